// Elementwise ops: the rows, and the one way they run. Gradient rules are written in ops; mul_zero(g, d) is g * d that
// is exactly 0 where g is 0, so that a branch not taken by where() propagates no NaN. Where a function is constant, a
// rule selects 0 by a condition instead of multiplying by a derivative of 0: the incoming gradient may be infinite.
// Start at the rows below.
#include "ops/elementwise.h"

#include <cmath>
#include <deque>
#include <numbers>

#include "core/iterate.h"
#include "graph/mode.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using K = k::Kernel;
using T = const Tensor&;
using R = const Rule&;

const Param x{"x", Kind::tensor};
const std::vector<Param> two = {{"x1", Kind::tensor}, {"x2", Kind::tensor}};
constexpr const char* flat = "zero everywhere";
constexpr double large_argument = 1e10;  // beyond it 1 + x * x is x * x in every type

Tensor zero_rule(R r, T) { return zeros(r.shape(0), r.dtype(0)); }
Tensor one_minus(T a) { return subtract(scalar_like(1, a), a); }

// A differentiable function of one float operand.
Op smooth(const char* name, const char* doc, K kernel, Vjp vjp, float cost = 0.4f) {
  return {.name = name,
          .doc = doc,
          .params = {x},
          .infer = infer_same,
          .compute = compute_loop,
          .promotes = Promote::floating,
          .vjp = {vjp},
          .jvp = Jvp::diagonal,
          .kernel = kernel,
          .loop = loop_of_kernel,
          .cost = cost};
}
// One whose derivative is 0 wherever it exists.
Op step(const char* name, const char* doc, K kernel) {
  Op op = smooth(name, doc, kernel, {zero_rule}, 0.1f);
  op.promotes = Promote::none;
  op.subgradient = flat;
  return op;
}
Op rounding(const char* name, const char* doc, K kernel) {
  Op op = step(name, doc, kernel);
  op.loop = loop_of_rounding;
  return op;
}
Op number(const char* name, const char* doc, K kernel, Vjp vjp) {
  Op op = smooth(name, doc, kernel, vjp, 0.1f);
  op.promotes = Promote::none;
  return op;
}
Op pair(const char* name, const char* doc, K kernel, std::vector<Vjp> vjp, Promote promotes = Promote::common) {
  return {.name = name,
          .doc = doc,
          .params = two,
          .infer = infer_broadcast,
          .compute = compute_loop,
          .promotes = promotes,
          .vjp = std::move(vjp),
          .jvp = Jvp::diagonal,
          .kernel = kernel,
          .loop = loop_of_kernel};
}
Op compare(const char* name, const char* doc, K kernel) {
  Op op = pair(name, doc, kernel, {});
  op.infer = infer_bool;
  return op;
}
// On bools: other dtypes are compared with 0 first.
Op logical(const char* name, const char* doc, K kernel) {
  Op op = compare(name, doc, kernel);
  op.promotes = Promote::boolean;
  return op;
}
Op test(const char* name, const char* doc, K kernel) {
  Op op = compare(name, doc, kernel);
  op.params = {x};
  op.promotes = Promote::none;
  return op;
}
// A predicate on floats; integers are converted to float.
Op test_float(const char* name, const char* doc, K kernel) {
  Op op = test(name, doc, kernel);
  op.promotes = Promote::floating;
  return op;
}
Op subgradient(Op op, const char* text) {
  op.subgradient = text;
  return op;
}

// Powers of integers look at their exponents first, so they cannot be fused with other loops.
Op power(Op op) {
  op.compute = compute_power;
  op.loop = [](const Call& c) { return is_integer(c.in[0].dtype()) ? nullptr : loop_of_kernel(c); };
  op.subgradient = "with respect to x1: 0 where x2 = 0; with respect to x2: 0 where x1 = 0";
  return op;
}

// g where the kernel's comparison says a wins, half of it at a tie.
Tensor share_of(K wins, T g, T a, T b) {
  return where(binary(wins, a, b), g, where(equal(a, b), multiply(g, 0.5), scalar_like(0, g)));
}
// Constant in x1 where x2 is 0; and in x2 where x1 is 1, or 0.
Tensor pow_base(R r, T g) {
  const Tensor a = r.in(0), b = r.in(1);
  return mul_zero_either(g, mul_zero_either(b, pow(a, add(b, -1))));
}
Tensor pow_exponent(R r, T g) {
  const Tensor a = r.in(0), log_a = log(where(equal(a, scalar_like(0, a)), scalar_like(1, a), a));
  return mul_zero_either(g, mul_zero_either(r.out(), log_a));
}
// x over the hypotenuse, 0 where both are 0.
Tensor share_of_length(T leg, T length) {
  const Tensor zero = scalar_like(0, length), none = equal(length, zero);
  return where(none, zero, divide(leg, where(none, scalar_like(1, length), length)));
}
// 1 / sqrt(1 + a^2), where a^2 may overflow.
Tensor asinh_derivative(T a) {
  const Tensor size = unary(K::abs, a), one = scalar_like(1, a), large = greater(size, scalar_like(large_argument, a));
  return where(large, reciprocal(where(large, size, one)), rsqrt(add(square(zero_where(large, a)), 1)));
}
// 1 / (1 + a^2), likewise.
Tensor atan_derivative(T a) {
  const Tensor one = scalar_like(1, a), large = greater(unary(K::abs, a), scalar_like(large_argument, a));
  return where(large, square(reciprocal(where(large, a, one))), reciprocal(add(square(zero_where(large, a)), 1)));
}
Tensor one_minus_square(T a) { return multiply(one_minus(a), add(a, 1)); }
// A coordinate over the square of the distance from 0, which may overflow or underflow.
Tensor over_square(T a, T distance) { return divide(divide(a, distance), distance); }
Tensor distance(R r) { return binary(K::hypot, r.in(0), r.in(1)); }
Tensor gelu_derivative(T a) {
  const Tensor cdf = multiply(unary(K::erfc, multiply(a, -1 / std::numbers::sqrt2)), 0.5);
  const Tensor pdf = multiply(exp(multiply(square(a), -0.5)), 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
  return add(cdf, multiply(a, pdf));
}
Tensor silu_derivative(T a) {
  const Tensor s = sigmoid(a);
  return multiply(s, add(multiply(a, one_minus(s)), 1));
}

Tensor hardswish_rule(R r, T g) {
  const Tensor a = r.in(0), three = scalar_like(3, a);
  const Tensor rising = where(less(a, three), mul_zero(g, add(divide(a, three), 0.5)), g);
  return zero_where(less_equal(a, scalar_like(-3, a)), rising);
}
Tensor hardsigmoid_rule(R r, T g) {
  const Tensor a = r.in(0), sixth = divide(scalar_like(1, a), scalar_like(6, a));
  return zero_where(greater_equal(unary(K::abs, a), scalar_like(3, a)), multiply(g, sixth));
}
Tensor relu_rule(R r, T g) { return zero_where(less_equal(r.out(), scalar_like(0, g)), g); }
Tensor abs_rule(R r, T g) {
  const Tensor a = r.in(0);
  return zero_where(equal(a, scalar_like(0, a)), mul_zero(g, sign(a)));
}
Tensor copysign_rule(R r, T g) {
  const Tensor a = r.in(0), sign_of = multiply(sign(a), binary(K::copysign, scalar_like(1, g), r.in(1)));
  return zero_where(equal(a, scalar_like(0, a)), mul_zero(g, sign_of));
}
Tensor remainder_divisor(R r, T g) {
  const Tensor quotient = floor(divide(r.in(0), r.in(1)));
  return zero_where(equal(quotient, scalar_like(0, quotient)), mul_zero(g, negative(quotient)));
}

Rows float_rows() {
  constexpr double ln2 = std::numbers::ln2, ln10 = std::numbers::ln10;
  return {
      smooth("exp", "e to the x. At most 2 ULP in float32.", K::exp,
             {[](R r, T g) { return mul_zero(g, r.out()); }, save_out, K::exp_df}),
      smooth("expm1", "exp(x) - 1, exact near 0.", K::expm1,
             {[](R r, T g) { return mul_zero(g, exp(r.in(0))); }, in0, K::expm1_df}),
      smooth("log", "Natural logarithm. At most 2 ULP in float32.", K::log,
             {[](R r, T g) { return mul_zero(g, reciprocal(r.in(0))); }, in0, K::log_df}),
      smooth("log1p", "log(1 + x), exact near 0.", K::log1p,
             {[](R r, T g) { return mul_zero(g, reciprocal(add(r.in(0), 1))); }, in0, K::log1p_df}),
      smooth("log2", "Logarithm to base 2.", K::log2,
             {[](R r, T g) { return mul_zero(g, reciprocal(multiply(r.in(0), ln2))); }, in0, K::log2_df}),
      smooth("log10", "Logarithm to base 10.", K::log10,
             {[](R r, T g) { return mul_zero(g, reciprocal(multiply(r.in(0), ln10))); }, in0, K::log10_df}),
      smooth("sqrt", "Square root, correctly rounded.", K::sqrt,
             {[](R r, T g) { return mul_zero(g, multiply(reciprocal(r.out()), 0.5)); }, save_out, K::sqrt_df}),
      smooth("rsqrt", "1 / sqrt(x).", K::rsqrt,
             {[](R r, T g) { return mul_zero(g, multiply(multiply(square(r.out()), r.out()), -0.5)); }, save_out,
              K::rsqrt_df}),
      smooth("reciprocal", "1 / x.", K::reciprocal,
             {[](R r, T g) { return mul_zero(g, negative(square(r.out()))); }, save_out, K::reciprocal_df}),
      smooth("sin", "Sine of x in radians.", K::sin,
             {[](R r, T g) { return mul_zero(g, cos(r.in(0))); }, in0, K::sin_df}),
      smooth("cos", "Cosine of x in radians.", K::cos,
             {[](R r, T g) { return mul_zero(g, negative(sin(r.in(0)))); }, in0, K::cos_df}),
      smooth("tan", "Tangent of x in radians.", K::tan,
             {[](R r, T g) { return mul_zero(g, add(square(r.out()), 1)); }, save_out, K::tan_df}),
      smooth("asin", "Inverse sine, in radians.", K::asin,
             {[](R r, T g) { return mul_zero(g, rsqrt(one_minus_square(r.in(0)))); }, in0, K::asin_df}),
      smooth("acos", "Inverse cosine, in radians.", K::acos,
             {[](R r, T g) { return mul_zero(g, negative(rsqrt(one_minus_square(r.in(0))))); }, in0, K::acos_df}),
      smooth("atan", "Inverse tangent, in radians.", K::atan,
             {[](R r, T g) { return mul_zero(g, atan_derivative(r.in(0))); }, in0, K::atan_df}),
      smooth("sinh", "Hyperbolic sine.", K::sinh,
             {[](R r, T g) { return mul_zero(g, cosh(r.in(0))); }, in0, K::sinh_df}),
      smooth("cosh", "Hyperbolic cosine.", K::cosh,
             {[](R r, T g) { return mul_zero(g, sinh(r.in(0))); }, in0, K::cosh_df}),
      smooth("asinh", "Inverse hyperbolic sine.", K::asinh,
             {[](R r, T g) { return mul_zero(g, asinh_derivative(r.in(0))); }, in0, K::asinh_df}),
      smooth("acosh", "Inverse hyperbolic cosine.", K::acosh,
             {[](R r, T g) { return mul_zero(g, multiply(rsqrt(add(r.in(0), -1)), rsqrt(add(r.in(0), 1)))); }, in0,
              K::acosh_df}),
      smooth("atanh", "Inverse hyperbolic tangent.", K::atanh,
             {[](R r, T g) { return mul_zero(g, reciprocal(one_minus_square(r.in(0)))); }, in0, K::atanh_df}),
      smooth("tanh", "Hyperbolic tangent. At most 4 ULP in float32.", K::tanh,
             {[](R r, T g) { return ternary(K::tanh_gradient, g, r.out(), r.in(0)); }, in0 | save_out}, 0.6f),
      smooth("sigmoid", "Logistic sigmoid, 1 / (1 + exp(-x)). At most 3 ULP in float32.", K::sigmoid,
             {[](R r, T g) { return ternary(K::sigmoid_gradient, g, r.out(), r.in(0)); }, in0 | save_out}),
      smooth(
          "erf", "Gauss error function. At most 2 ULP in float32.", K::erf,
          {[](R r, T g) { return mul_zero(g, multiply(exp(negative(square(r.in(0)))), 2 * std::numbers::inv_sqrtpi)); },
           in0, K::erf_df}),
      smooth("erfc", "1 - erf(x), exact where that is close to 0. At most 6 ULP in float32.", K::erfc,
             {[](R r, T g) {
                return mul_zero(g, multiply(exp(negative(square(r.in(0)))), -2 * std::numbers::inv_sqrtpi));
              },
              in0, K::erfc_df}),
      smooth("softplus", "log(1 + exp(x)), linear for large x.", K::softplus,
             {[](R r, T g) { return mul_zero(g, sigmoid(r.in(0))); }, in0, K::softplus_df}),
      smooth("gelu", "x * Phi(x), Phi the normal distribution function (exact, by erfc; Hendrycks and Gimpel 2016).",
             K::gelu, {[](R r, T g) { return mul_zero(g, gelu_derivative(r.in(0))); }, in0, K::gelu_df}, 0.6f),
      smooth("silu", "x * sigmoid(x), also called swish.", K::silu,
             {[](R r, T g) { return mul_zero(g, silu_derivative(r.in(0))); }, in0, K::silu_df}),
      subgradient(smooth("hardsigmoid", "x / 6 + 1/2 between 0 and 1 (Howard et al. 2019).", K::hardsigmoid,
                         {hardsigmoid_rule, in0, K::hardsigmoid_df}, 0.3f),
                  "0 at -3 and 3"),
      subgradient(smooth("hardswish", "x * hardsigmoid(x) (Howard et al. 2019).", K::hardswish,
                         {hardswish_rule, in0, K::hardswish_df}, 0.3f),
                  "0 at -3, 1 at 3"),
      subgradient(smooth("relu", "max(x, 0).", K::relu, {relu_rule, save_out, K::relu_df}, 0.3f), "0 at 0"),
  };
}

Tensor one_parameter(const Op& op, Args& a) { return apply(op, {a[0].tensor}, {bits(a[1].real)}); }

Rows parameter_rows() {
  Op leaky = smooth("leaky_relu", "x where x > 0, negative_slope * x elsewhere.", K::leaky_relu,
                    {[](R r, T g) {
                       const double below = r.attrs().real(0);
                       const Tensor low = below == 0 ? scalar_like(0, g) : multiply(g, below);
                       return where(less_equal(r.in(0), scalar_like(0, g)), low, g);
                     },
                     in0, K::leaky_relu_df},
                    0.3f);
  leaky.params.push_back({"negative_slope", Kind::real, "0.01"});
  leaky.subgradient = "negative_slope at 0";
  Op elu = smooth("elu", "x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015).", K::elu,
                  {[](R r, T g) {
                     const Tensor v = r.in(0), zero = scalar_like(0, v);
                     const double alpha = r.attrs().real(0);
                     const Tensor low = alpha == 0 ? zero : mul_zero(g, multiply(exp(minimum(v, zero)), alpha));
                     return where(less_equal(v, zero), low, g);
                   },
                   in0, K::elu_df});
  elu.params.push_back({"alpha", Kind::real, "1.0"});
  elu.subgradient = "alpha at 0";
  Rows rows{leaky, elu};
  for (Op& op : rows) op.call = one_parameter;
  return rows;
}

Rows number_rows() {
  return {
      number("negative", "-x.", K::negative, {[](R, T g) { return negative(g); }}),
      number("square", "x * x.", K::square, {[](R r, T g) { return mul_zero(g, multiply(r.in(0), 2)); }, in0}),
      subgradient(number("abs", "Absolute value.", K::abs, {abs_rule, in0, K::abs_f_df}), "0 at 0"),
      step("sign", "-1, 0 or 1 by the sign of x; NaN stays NaN.", K::sign),
      rounding("floor", "The largest integer not above x.", K::floor),
      rounding("ceil", "The smallest integer not below x.", K::ceil),
      rounding("round", "The nearest integer, halves to even.", K::round),
      rounding("trunc", "x rounded towards 0 to an integer.", K::trunc),
  };
}

Rows pair_rows() {
  const char* ties = "half to each operand at a tie";
  return {
      pair("add", "x1 + x2.", K::add, {{[](R, T g) { return g; }}}),
      pair("subtract", "x1 - x2.", K::subtract, {{[](R, T g) { return g; }}, {[](R, T g) { return negative(g); }}}),
      pair(
          "multiply", "x1 * x2.", K::multiply,
          {{[](R r, T g) { return mul_zero(g, r.in(1)); }, in1}, {[](R r, T g) { return mul_zero(g, r.in(0)); }, in0}}),
      pair("divide", "x1 / x2, in floats.", K::divide,
           {{[](R r, T g) { return mul_zero(g, reciprocal(r.in(1))); }, in1},
            {[](R r, T g) { return mul_zero(g, negative(divide(r.out(), r.in(1)))); }, in1 | save_out}},
           Promote::floating),
      power(pair("pow", "x1 to the power x2; ValueError for integers to a negative power.", K::pow,
                 {{pow_base, in0 | in1}, {pow_exponent, in0 | save_out}})),
      subgradient(pair("minimum", "The smaller of two; NaN if either is NaN.", K::minimum,
                       {{[](R r, T g) { return share_of(K::less, g, r.in(0), r.in(1)); }, in0 | in1},
                        {[](R r, T g) { return share_of(K::less, g, r.in(1), r.in(0)); }, in0 | in1}}),
                  ties),
      subgradient(pair("maximum", "The larger of two; NaN if either is NaN.", K::maximum,
                       {{[](R r, T g) { return share_of(K::greater, g, r.in(0), r.in(1)); }, in0 | in1},
                        {[](R r, T g) { return share_of(K::greater, g, r.in(1), r.in(0)); }, in0 | in1}}),
                  ties),
      subgradient(pair("floor_divide", "x1 / x2 rounded down.", K::floor_divide,
                       {{zero_rule}, {[](R r, T) { return zeros(r.shape(1), r.dtype(1)); }}}),
                  flat),
      pair("remainder", "x1 - floor(x1 / x2) * x2, with the sign of x2.", K::remainder,
           {{[](R, T g) { return g; }}, {remainder_divisor, in0 | in1}}),
      pair("atan2", "The angle of the point (x2, x1), in radians.", K::atan2,
           {{[](R r, T g) { return mul_zero(g, over_square(r.in(1), distance(r))); }, in0 | in1},
            {[](R r, T g) { return mul_zero(g, negative(over_square(r.in(0), distance(r)))); }, in0 | in1}},
           Promote::floating),
      subgradient(pair("hypot", "The length of the vector (x1, x2), without overflow on the way.", K::hypot,
                       {{[](R r, T g) { return mul_zero(g, share_of_length(r.in(0), r.out())); }, in0 | save_out},
                        {[](R r, T g) { return mul_zero(g, share_of_length(r.in(1), r.out())); }, in1 | save_out}},
                       Promote::floating),
                  "0 at (0, 0)"),
      subgradient(
          pair("copysign", "The magnitude of x1 with the sign of x2.", K::copysign,
               {{copysign_rule, in0 | in1}, {[](R r, T) { return zeros(r.shape(1), r.dtype(1)); }}}, Promote::floating),
          "0 where x1 = 0; 0 with respect to x2"),
      pair("nextafter", "The next float after x1 towards x2.", K::nextafter, {}, Promote::floating),
      pair("logaddexp", "log(exp(x1) + exp(x2)).", K::logaddexp,
           {{[](R r, T g) { return mul_zero(g, sigmoid(subtract(r.in(0), r.in(1)))); }, in0 | in1},
            {[](R r, T g) { return mul_zero(g, sigmoid(subtract(r.in(1), r.in(0)))); }, in0 | in1}},
           Promote::floating),
  };
}

Rows integer_rows() {
  return {
      pair("bitwise_and", "Bits set in both.", K::bitwise_and, {}),
      pair("bitwise_or", "Bits set in either.", K::bitwise_or, {}),
      pair("bitwise_xor", "Bits set in one of the two.", K::bitwise_xor, {}),
      pair("bitwise_left_shift", "x1 shifted left by x2 bits.", K::left_shift, {}),
      pair("bitwise_right_shift", "x1 shifted right by x2 bits, keeping the sign.", K::right_shift, {}),
      {.name = "bitwise_invert",
       .doc = "Every bit flipped; not, of bools.",
       .params = {x},
       .call = [](const Op&, Args& a) -> Tensor {
         const Tensor& t = a[0].tensor;
         return t.dtype() == Bool ? logical_not(t) : binary(K::bitwise_xor, t, full_int({}, -1, t.dtype()));
       }},
  };
}

Rows bool_rows() {
  return {
      compare("equal", "x1 == x2.", K::equal),
      compare("not_equal", "x1 != x2.", K::not_equal),
      compare("less", "x1 < x2.", K::less),
      compare("less_equal", "x1 <= x2.", K::less_equal),
      compare("greater", "x1 > x2.", K::greater),
      compare("greater_equal", "x1 >= x2.", K::greater_equal),
      logical("logical_and", "Both are true (non-zero).", K::logical_and),
      logical("logical_or", "Either is true (non-zero).", K::logical_or),
      logical("logical_xor", "One of the two is true (non-zero).", K::logical_xor),
      [] {
        Op op = logical("logical_not", "x is false (zero).", K::logical_not);
        op.params = {x};
        return op;
      }(),
      test_float("isnan", "x is not a number.", K::isnan),
      test_float("signbit", "x has a minus sign, zeros and NaNs included.", K::signbit),
      test_float("isinf", "x is an infinity.", K::isinf),
      test_float("isfinite", "x is neither infinite nor NaN.", K::isfinite),
  };
}

// Where a bound replaces x: where x is past it, or it is NaN. Most bounds are a single number, whose value is checked.
Tensor beyond(K past, T v, T bound) {
  const Tensor out = binary(past, v, bound);
  const bool one = bound.ndim() == 0 && !mode().recorder;
  const bool numbers = !is_float(bound.dtype()) || (one && !std::isnan(item(bound)));
  return numbers ? out : binary(K::logical_or, out, isnan(bound));
}
// Integers with a float bound become floats; else the result has x's dtype.
Tensor clip(const Op&, Args& a) {
  Tensor y = a[0].tensor;
  for (int i = 1; i < 3; ++i)
    if (a[i].given && is_float(a[i].tensor.dtype()) && !is_float(y.dtype())) y = astype(y, a[i].tensor.dtype());
  if (a[1].given) y = where(beyond(K::less, y, a[1].tensor), astype(a[1].tensor, y.dtype()), y);
  if (a[2].given) y = where(beyond(K::greater, y, a[2].tensor), astype(a[2].tensor, y.dtype()), y);
  return y;
}

// (g, y, x) -> g times the derivative of y with respect to x, as a function of g and x, through y.
Op gradient_of(const char* name, K kernel, Tensor (*by_g)(R, T), Tensor (*by_x)(R, T)) {
  return {.name = name,
          .infer = infer_broadcast,
          .compute = compute_loop,
          .vjp = {{by_g, in1 | in2}, {[](R, T) { return Tensor(); }}, {by_x, in1 | save_out}},
          .jvp = Jvp::diagonal,
          .kernel = kernel,
          .loop = loop_of_kernel,
          .cost = 0.2f,
          .hidden = true};
}

Rows other_rows() {
  return {
      {.name = "where",
       .doc = "x1 where condition holds, x2 elsewhere; the three broadcast.",
       .params = {{"condition", Kind::index}, {"x1", Kind::tensor}, {"x2", Kind::tensor}},
       .call = [](const Op&, Args& a) { return where(a[0].tensor, a[1].tensor, a[2].tensor); },
       .infer = infer_where,
       .compute = compute_loop,
       .vjp = {{[](R, T) { return Tensor(); }},
               {[](R r, T g) { return where(r.in(0), g, scalar_like(0, g)); }, in0},
               {[](R r, T g) { return where(r.in(0), scalar_like(0, g), g); }, in0}},
       .jvp = Jvp::diagonal,
       .loop = loop_of_where,
       .cost = 0.15f,
       .any_dtype = true},
      {.name = "astype",
       .doc =
           "x as another dtype, rounded towards 0 where that is an integer; x itself if it has it, unless copy=True.",
       .params =
           {x, {"dtype", Kind::dtype}, {"copy", Kind::flag, "False", true}, {"device", Kind::device, "None", true}},
       .call =
           [](const Op&, Args& a) {
             const Tensor y = astype(a[0].tensor, a[1].dtype(Float32));
             return a[2].flag() && y.dtype() == a[0].tensor.dtype() ? copy(y) : y;
           },
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), static_cast<DType>(c.attrs[0])); },
       .compute = compute_loop,
       .vjp = {{[](R r, T g) { return astype(g, r.dtype(0)); }}},
       .jvp = Jvp::linear,
       .loop = loop_of_cast,
       .any_dtype = true},
      {.name = "clip",
       .doc = "x limited to [min, max]; either bound may be None. The gradient is 1 at a bound.",
       .params = {x, {"min", Kind::optional_tensor, "None"}, {"max", Kind::optional_tensor, "None"}},
       .call = clip,
       .subgradient = "1 at a bound"},
      gradient_of(
          "tanh_gradient", K::tanh_gradient, [](R r, T h) { return ternary(K::tanh_gradient, h, r.in(1), r.in(2)); },
          [](R r, T h) { return mul_zero(h, mul_zero(r.out(), multiply(r.in(1), -2))); }),
      gradient_of(
          "sigmoid_gradient", K::sigmoid_gradient,
          [](R r, T h) { return ternary(K::sigmoid_gradient, h, r.in(1), r.in(2)); },
          [](R r, T h) { return mul_zero(h, mul_zero(r.out(), add(multiply(r.in(1), -2), 1))); }),
      [] {
        Op op = pair("mul_zero", "", K::mul_zero,
                     {{[](R r, T h) { return mul_zero(h, r.in(1)); }, in1},
                      {[](R r, T h) { return mul_zero(h, r.in(0)); }, in0}});
        op.hidden = true;
        return op;
      }(),
      [] {
        Op op = pair("mul_zero_either", "", K::mul_zero_either,
                     {{[](R r, T h) { return mul_zero_either(h, r.in(1)); }, in1},
                      {[](R r, T h) { return mul_zero_either(h, r.in(0)); }, in0}});
        op.hidden = true;
        return op;
      }(),
  };
}

// The fused first-order kernels as rows of their own: (g, what the rule saved) -> gradient.
Rows fused_rows(const Rows& rows) {
  static std::deque<std::string> names;
  Rows fused;
  for (const Op& op : rows) {
    if (op.vjp.empty() || op.vjp[0].fused == K::count) continue;
    names.push_back(std::string(op.name) + "_gradient");
    fused.push_back({.name = names.back().c_str(),
                     .infer = infer_same,
                     .compute = compute_loop,
                     .kernel = op.vjp[0].fused,
                     .loop = loop_of_kernel,
                     .cost = 0.15f,
                     .hidden = true});
  }
  return fused;
}

}  // namespace

Rows elementwise_rows() {
  Rows all;
  for (auto part : {float_rows, parameter_rows, number_rows, pair_rows, integer_rows, bool_rows, other_rows})
    for (Op& op : part()) all.push_back(std::move(op));
  for (Op& op : fused_rows(all)) all.push_back(std::move(op));
  return all;
}

}  // namespace steep
