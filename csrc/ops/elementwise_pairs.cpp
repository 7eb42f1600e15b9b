// Elementwise ops of numbers, of two operands, of integers and bools, and those that are none of these: their rows and
// rules. Start at the rows.
#include <cmath>

#include "core/iterate.h"
#include "graph/mode.h"
#include "graph/recorder.h"
#include "ops/registry.h"
#include "ops/elementwise_rows.h"

namespace steep::elementwise {
namespace {

Op rounding(const char* name, const Text& text, K kernel) {
  Op op = step(name, text, kernel);
  op.loop = loop_of_rounding;
  return op;
}
Op compare(const char* name, const Text& text, K kernel) {
  Op op = pair(name, text, kernel, {});
  op.infer = infer_bool;
  op.returns = "A bool tensor of the broadcast shape.";
  return op;
}
// On bools: other dtypes are compared with 0 first.
Op logical(const char* name, const Text& text, K kernel) {
  Op op = compare(name, text, kernel);
  op.promotes = Promote::boolean;
  return op;
}
Op test(const char* name, const Text& text, K kernel) {
  Op op = compare(name, text, kernel);
  op.params = {x};
  op.returns = "A bool tensor of x's shape.";
  op.raises = "";
  op.promotes = Promote::none;
  return op;
}
// A predicate on floats; integers are converted to float.
Op test_float(const char* name, const Text& text, K kernel) {
  Op op = test(name, text, kernel);
  op.promotes = Promote::floating;
  return op;
}

// Powers of integers look at their exponents first, so they cannot be fused with other loops.
Op power(Op op) {
  op.compute = compute_power;
  op.may_raise = true;
  op.raises = "ValueError: if the shapes do not broadcast, or for integers to a negative power.";
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
// A coordinate over the square of the distance from 0, which may overflow or underflow.
Tensor over_square(T a, T distance) { return divide(divide(a, distance), distance); }
Tensor distance(R r) { return binary(K::hypot, r.in(0), r.in(1)); }
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

// Where a bound replaces x: where x is past it, or it is NaN. Most bounds are a single number, whose value is checked.
Tensor beyond(K past, T v, T bound) {
  const Tensor out = binary(past, v, bound);
  const bool one = bound.ndim() == 0 && (!is_recording() || mode().recorder->is_constant(bound));
  const bool numbers = !is_float(bound.dtype()) || (one && !std::isnan(item(bound)));
  return numbers ? out : binary(K::logical_or, out, isnan(bound));
}
// x, or the bound where x is past it. Its gradient goes to one of the two.
template <K past> Op bound_on_one_side(const char* name, K kernel) {
  Op op = pair(name, {}, kernel,
               {{[](R r, T g) { return zero_where(beyond(past, r.in(0), r.in(1)), g); }, in0 | in1},
                {[](R r, T g) { return where(beyond(past, r.in(0), r.in(1)), g, scalar_like(0, g)); }, in0 | in1}});
  op.hidden = true;
  return op;
}
// Integers with a float bound become floats; else the result has x's dtype.
Tensor clip(const Op&, T x, T min, T max) {
  Tensor y = x;
  for (const Tensor* bound : {&min, &max})
    if (*bound && is_float(bound->dtype()) && !is_float(y.dtype())) y = astype(y, bound->dtype());
  if (min) y = binary(K::clip_low, y, astype(min, y.dtype()));
  if (max) y = binary(K::clip_high, y, astype(max, y.dtype()));
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

}  // namespace

Rows number_rows() {
  return {
      number("negative",
             {"-x.",
              ">>> sp.negative(sp.tensor([-3, 0, 2]))\n"
              "tensor([ 3,  0, -2], dtype=int64)"},
             K::negative, {[](R, T g) { return negative(g); }}),
      number("square",
             {"x * x.",
              ">>> sp.square(sp.tensor([-3, 0, 2]))\n"
              "tensor([9, 0, 4], dtype=int64)"},
             K::square, {[](R r, T g) { return mul_zero(g, multiply(r.in(0), 2)); }, in0}),
      subgradient(number("abs",
                         {"Absolute value.",
                          ">>> sp.abs(sp.tensor([-3, 0, 2]))\n"
                          "tensor([3, 0, 2], dtype=int64)"},
                         K::abs, {abs_rule, in0, K::abs_f_df}),
                  "0 at 0"),
      step("sign",
           {"-1, 0 or 1 by the sign of x; NaN stays NaN.",
            ">>> sp.sign(sp.tensor([-3, 0, 2]))\n"
            "tensor([-1,  0,  1], dtype=int64)"},
           K::sign),
      rounding("floor",
               {"The largest integer not above x.",
                ">>> sp.floor(sp.tensor([-1.5, 0.5, 2.5]))\n"
                "tensor([-2.,  0.,  2.], dtype=float32)"},
               K::floor),
      rounding("ceil",
               {"The smallest integer not below x.",
                ">>> sp.ceil(sp.tensor([-1.5, 0.5, 2.5]))\n"
                "tensor([-1.,  1.,  3.], dtype=float32)"},
               K::ceil),
      rounding("round",
               {"The nearest integer, halves to even.",
                ">>> sp.round(sp.tensor([-1.5, 0.5, 2.5]))\n"
                "tensor([-2.,  0.,  2.], dtype=float32)"},
               K::round),
      rounding("trunc",
               {"x rounded towards 0 to an integer.",
                ">>> sp.trunc(sp.tensor([-1.5, 0.5, 2.5]))\n"
                "tensor([-1.,  0.,  2.], dtype=float32)"},
               K::trunc),
  };
}

namespace {

const char* ties = "half to each operand at a tie";

Rows arithmetic_rows() {
  return {
      pair("add",
           {"x1 + x2.",
            ">>> sp.add(sp.tensor([1, 2]), sp.tensor([10, 20]))\n"
            "tensor([11, 22], dtype=int64)"},
           K::add, {{[](R, T g) { return g; }}}),
      pair("subtract",
           {"x1 - x2.",
            ">>> sp.subtract(sp.tensor([1, 2]), sp.tensor([10, 20]))\n"
            "tensor([ -9, -18], dtype=int64)"},
           K::subtract, {{[](R, T g) { return g; }}, {[](R, T g) { return negative(g); }}}),
      pair(
          "multiply",
          {"x1 * x2.",
           ">>> sp.multiply(sp.tensor([1, 2]), sp.tensor([10, 20]))\n"
           "tensor([10, 40], dtype=int64)"},
          K::multiply,
          {{[](R r, T g) { return mul_zero(g, r.in(1)); }, in1}, {[](R r, T g) { return mul_zero(g, r.in(0)); }, in0}}),
      pair("divide",
           {"x1 / x2, in floats.",
            ">>> sp.divide(sp.tensor([1, 2]), sp.tensor([4, 4]))\n"
            "tensor([0.25, 0.5 ], dtype=float32)"},
           K::divide,
           {{[](R r, T g) { return mul_zero(g, reciprocal(r.in(1))); }, in1},
            {[](R r, T g) { return mul_zero(g, negative(divide(r.out(), r.in(1)))); }, in1 | save_out}},
           Promote::floating),
      power(pair("pow",
                 {"x1 to the power x2; ValueError for integers to a negative power.",
                  ">>> sp.pow(sp.tensor([2, 3]), sp.tensor([3, 2]))\n"
                  "tensor([8, 9], dtype=int64)"},
                 K::pow, {{pow_base, in0 | in1}, {pow_exponent, in0 | save_out}})),
      subgradient(pair("minimum",
                       {"The smaller of two; NaN if either is NaN.",
                        ">>> sp.minimum(sp.tensor([1, 5]), sp.tensor([3, 2]))\n"
                        "tensor([1, 2], dtype=int64)"},
                       K::minimum,
                       {{[](R r, T g) { return share_of(K::less, g, r.in(0), r.in(1)); }, in0 | in1},
                        {[](R r, T g) { return share_of(K::less, g, r.in(1), r.in(0)); }, in0 | in1}}),
                  ties),
      subgradient(pair("maximum",
                       {"The larger of two; NaN if either is NaN.",
                        ">>> sp.maximum(sp.tensor([1, 5]), sp.tensor([3, 2]))\n"
                        "tensor([3, 5], dtype=int64)"},
                       K::maximum,
                       {{[](R r, T g) { return share_of(K::greater, g, r.in(0), r.in(1)); }, in0 | in1},
                        {[](R r, T g) { return share_of(K::greater, g, r.in(1), r.in(0)); }, in0 | in1}}),
                  ties),
      [] {
        Op op = pair("floor_divide",
                     {"x1 / x2 rounded down.",
                      ">>> sp.floor_divide(sp.tensor([-7, 7]), sp.tensor([2, 2]))\n"
                      "tensor([-4,  3], dtype=int64)"},
                     K::floor_divide, {{zero_rule}, {[](R r, T) { return zeros(r.shape(1), r.dtype(1)); }}});
        op.flat = true;
        return op;
      }(),
  };
}

Rows other_pair_rows() {
  return {
      pair("remainder",
           {"x1 - floor(x1 / x2) * x2, with the sign of x2.",
            ">>> sp.remainder(sp.tensor([-7, 7]), sp.tensor([3, 3]))\n"
            "tensor([2, 1], dtype=int64)"},
           K::remainder, {{[](R, T g) { return g; }}, {remainder_divisor, in0 | in1}}),
      pair("atan2",
           {"The angle of the point (x2, x1), in radians.",
            ">>> sp.atan2(sp.tensor([1.0, -1.0]), sp.tensor([1.0, 1.0]))\n"
            "tensor([ 0.7853982, -0.7853982], dtype=float32)"},
           K::atan2,
           {{[](R r, T g) { return mul_zero(g, over_square(r.in(1), distance(r))); }, in0 | in1},
            {[](R r, T g) { return mul_zero(g, negative(over_square(r.in(0), distance(r)))); }, in0 | in1}},
           Promote::floating),
      subgradient(pair("hypot",
                       {"The length of the vector (x1, x2), without overflow on the way.",
                        ">>> sp.hypot(sp.tensor([3.0, 5.0]), sp.tensor([4.0, 12.0]))\n"
                        "tensor([ 5., 13.], dtype=float32)"},
                       K::hypot,
                       {{[](R r, T g) { return mul_zero(g, share_of_length(r.in(0), r.out())); }, in0 | save_out},
                        {[](R r, T g) { return mul_zero(g, share_of_length(r.in(1), r.out())); }, in1 | save_out}},
                       Promote::floating),
                  "0 at (0, 0)"),
      subgradient(
          pair("copysign",
               {"The magnitude of x1 with the sign of x2.",
                ">>> sp.copysign(sp.tensor([1.0, 2.0]), sp.tensor([-1.0, 0.0]))\n"
                "tensor([-1.,  2.], dtype=float32)"},
               K::copysign, {{copysign_rule, in0 | in1}, {[](R r, T) { return zeros(r.shape(1), r.dtype(1)); }}},
               Promote::floating),
          "0 where x1 = 0; 0 with respect to x2"),
      pair("nextafter",
           {"The next float after x1 towards x2.",
            ">>> sp.nextafter(sp.tensor([0.0, 1.0]), sp.tensor([1.0, 2.0]))\n"
            "tensor([1.4012985e-45, 1.0000001e+00], dtype=float32)"},
           K::nextafter, {}, Promote::floating),
      pair("logaddexp",
           {"log(exp(x1) + exp(x2)).",
            ">>> sp.logaddexp(sp.tensor([0.0, 1000.0]), sp.tensor([0.0, 1000.0]))\n"
            "tensor([6.9314718e-01, 1.0006932e+03], dtype=float32)"},
           K::logaddexp,
           {{[](R r, T g) { return mul_zero(g, sigmoid(subtract(r.in(0), r.in(1)))); }, in0 | in1},
            {[](R r, T g) { return mul_zero(g, sigmoid(subtract(r.in(1), r.in(0)))); }, in0 | in1}},
           Promote::floating),
  };
}

}  // namespace

Rows pair_rows() { return joined({arithmetic_rows, other_pair_rows}); }

Rows integer_rows() {
  return {
      pair("bitwise_and",
           {"Bits set in both.",
            ">>> sp.bitwise_and(sp.tensor([12, 7]), sp.tensor([10, 2]))\n"
            "tensor([8, 2], dtype=int64)"},
           K::bitwise_and, {}),
      pair("bitwise_or",
           {"Bits set in either.",
            ">>> sp.bitwise_or(sp.tensor([12, 7]), sp.tensor([10, 2]))\n"
            "tensor([14,  7], dtype=int64)"},
           K::bitwise_or, {}),
      pair("bitwise_xor",
           {"Bits set in one of the two.",
            ">>> sp.bitwise_xor(sp.tensor([12, 7]), sp.tensor([10, 2]))\n"
            "tensor([6, 5], dtype=int64)"},
           K::bitwise_xor, {}),
      pair("bitwise_left_shift",
           {"x1 shifted left by x2 bits.",
            ">>> sp.bitwise_left_shift(sp.tensor([1, 3]), sp.tensor([4, 1]))\n"
            "tensor([16,  6], dtype=int64)"},
           K::left_shift, {}),
      pair("bitwise_right_shift",
           {"x1 shifted right by x2 bits, keeping the sign.",
            ">>> sp.bitwise_right_shift(sp.tensor([16, -3]), sp.tensor([4, 1]))\n"
            "tensor([ 1, -2], dtype=int64)"},
           K::right_shift, {}),
      {.name = "bitwise_invert",
       .doc = "Every bit flipped; not, of bools.",
       .returns = "A tensor of x's shape and dtype.",
       .raises = "TypeError: for floats.",
       .source = array_api,
       .example = ">>> sp.bitwise_invert(sp.tensor([0, 5]))\n"
                  "tensor([-1, -6], dtype=int64)",
       .params = {x},
       .call = [](const Op&, T x) -> Tensor {
         const Tensor& t = x;
         return t.dtype() == Bool ? logical_not(t) : binary(K::bitwise_xor, t, full_int({}, -1, t.dtype()));
       },
       .discrete = true},
  };
}

Rows bool_rows() {
  return {
      compare("equal",
              {"x1 == x2.",
               ">>> sp.equal(sp.tensor([1, 2, 3]), sp.tensor([3, 2, 1]))\n"
               "tensor([False,  True, False], dtype=bool)"},
              K::equal),
      compare("not_equal",
              {"x1 != x2.",
               ">>> sp.not_equal(sp.tensor([1, 2, 3]), sp.tensor([3, 2, 1]))\n"
               "tensor([ True, False,  True], dtype=bool)"},
              K::not_equal),
      compare("less",
              {"x1 < x2.",
               ">>> sp.less(sp.tensor([1, 2, 3]), sp.tensor([3, 2, 1]))\n"
               "tensor([ True, False, False], dtype=bool)"},
              K::less),
      compare("less_equal",
              {"x1 <= x2.",
               ">>> sp.less_equal(sp.tensor([1, 2, 3]), sp.tensor([3, 2, 1]))\n"
               "tensor([ True,  True, False], dtype=bool)"},
              K::less_equal),
      compare("greater",
              {"x1 > x2.",
               ">>> sp.greater(sp.tensor([1, 2, 3]), sp.tensor([3, 2, 1]))\n"
               "tensor([False, False,  True], dtype=bool)"},
              K::greater),
      compare("greater_equal",
              {"x1 >= x2.",
               ">>> sp.greater_equal(sp.tensor([1, 2, 3]), sp.tensor([3, 2, 1]))\n"
               "tensor([False,  True,  True], dtype=bool)"},
              K::greater_equal),
      logical("logical_and",
              {"Both are true (non-zero).",
               ">>> sp.logical_and(sp.tensor([True, True]), sp.tensor([True, False]))\n"
               "tensor([ True, False], dtype=bool)"},
              K::logical_and),
      logical("logical_or",
              {"Either is true (non-zero).",
               ">>> sp.logical_or(sp.tensor([True, True]), sp.tensor([True, False]))\n"
               "tensor([ True,  True], dtype=bool)"},
              K::logical_or),
      logical("logical_xor",
              {"One of the two is true (non-zero).",
               ">>> sp.logical_xor(sp.tensor([True, True]), sp.tensor([True, False]))\n"
               "tensor([False,  True], dtype=bool)"},
              K::logical_xor),
      [] {
        Op op = logical("logical_not",
                        {"x is false (zero).",
                         ">>> sp.logical_not(sp.tensor([True, False]))\n"
                         "tensor([False,  True], dtype=bool)"},
                        K::logical_not);
        op.params = {x};
        op.returns = "A bool tensor of x's shape.";
        op.raises = "";
        return op;
      }(),
      test_float("isnan",
                 {"x is not a number.",
                  ">>> sp.isnan(sp.tensor([1.0, float(\"inf\"), float(\"nan\")]))\n"
                  "tensor([False, False,  True], dtype=bool)"},
                 K::isnan),
      test_float("signbit",
                 {"x has a minus sign, zeros and NaNs included.",
                  ">>> sp.signbit(sp.tensor([-1.0, -0.0, 2.0]))\n"
                  "tensor([ True,  True, False], dtype=bool)"},
                 K::signbit),
      test_float("isinf",
                 {"x is an infinity.",
                  ">>> sp.isinf(sp.tensor([1.0, float(\"inf\"), float(\"nan\")]))\n"
                  "tensor([False,  True, False], dtype=bool)"},
                 K::isinf),
      test_float("isfinite",
                 {"x is neither infinite nor NaN.",
                  ">>> sp.isfinite(sp.tensor([1.0, float(\"inf\"), float(\"nan\")]))\n"
                  "tensor([ True, False, False], dtype=bool)"},
                 K::isfinite),
  };
}

Rows clip_rows() {
  return {
      {.name = "clip",
       .doc = "x limited to [min, max]; either bound may be None. The gradient is 1 at a bound.",
       .returns = "A tensor of the broadcast shape.",
       .raises = "ValueError: if the shapes do not broadcast.",
       .source = array_api,
       .example = ">>> sp.clip(sp.tensor([-2.0, 0.5, 3.0]), 0.0, 1.0)\n"
                  "tensor([0. , 0.5, 1. ], dtype=float32)",
       .params = {x,
                  {"min", Kind::optional_tensor, "None", "the lower bound, a number or a tensor that broadcasts"},
                  {"max", Kind::optional_tensor, "None", "the upper bound"}},
       .call = clip,
       .subgradient = "1 at a bound"},
      bound_on_one_side<K::less>("clip_low", K::clip_low),
      bound_on_one_side<K::greater>("clip_high", K::clip_high),
  };
}

Rows other_rows() {
  return {
      {.name = "where",
       .doc = "x1 where condition holds, x2 elsewhere; the three broadcast.",
       .returns = "A tensor of the broadcast shape, in the common dtype of x1 and x2.",
       .raises = "ValueError: if the shapes do not broadcast.",
       .source = array_api,
       .example = ">>> sp.where(sp.tensor([True, False]), sp.tensor([1, 2]), 0)\n"
                  "tensor([1, 0], dtype=int64)",
       .params = {{"condition", Kind::index, required, "bools; numbers are true where they are not 0"},
                  {"x1", Kind::tensor, required, "what is taken where it is true"},
                  {"x2", Kind::tensor, required, "what is taken elsewhere"}},
       .call = [](const Op&, T condition, T x1, T x2) { return where(condition, x1, x2); },
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
       .returns = "A tensor of x's shape.",
       .raises = "TypeError: for an unknown dtype.",
       .source = array_api,
       .example = ">>> sp.astype(sp.tensor([-1.5, 2.5]), sp.int32)\n"
                  "tensor([-1,  2], dtype=int32)",
       .params = {x,
                  {"dtype", Kind::dtype, required, "the dtype, or its name"},
                  {"copy", Kind::flag, "False", "whether x is copied that has the dtype already", true},
                  {"device", Kind::device, "None", "\"cpu\" or None, the only device", true}},
       .attrs = attributes<Cast>(),
       .call =
           [](const Op&, T x, std::optional<DType> dtype, bool copied, Unused) {
             const Tensor y = astype(x, dtype.value_or(Float32));
             return copied && y.dtype() == x.dtype() ? copy(y) : y;
           },
       .infer = infer_cast,
       .compute = compute_loop,
       .vjp = {{[](R r, T g) { return astype(g, r.dtype(0)); }}},
       .jvp = Jvp::linear,
       .loop = loop_of_cast,
       .any_dtype = true},
      gradient_of(
          "tanh_gradient", K::tanh_gradient, [](R r, T h) { return ternary(K::tanh_gradient, h, r.in(1), r.in(2)); },
          [](R r, T h) { return mul_zero(h, mul_zero(r.out(), multiply(r.in(1), -2))); }),
      gradient_of(
          "sigmoid_gradient", K::sigmoid_gradient,
          [](R r, T h) { return ternary(K::sigmoid_gradient, h, r.in(1), r.in(2)); },
          [](R r, T h) { return mul_zero(h, mul_zero(r.out(), add(multiply(r.in(1), -2), 1))); }),
      [] {
        Op op = pair("mul_zero", {}, K::mul_zero,
                     {{[](R r, T h) { return mul_zero(h, r.in(1)); }, in1},
                      {[](R r, T h) { return mul_zero(h, r.in(0)); }, in0}});
        op.hidden = true;
        return op;
      }(),
      [] {
        Op op = pair("mul_zero_either", {}, K::mul_zero_either,
                     {{[](R r, T h) { return mul_zero_either(h, r.in(1)); }, in1},
                      {[](R r, T h) { return mul_zero_either(h, r.in(0)); }, in0}});
        op.hidden = true;
        return op;
      }(),
  };
}

}  // namespace steep::elementwise
