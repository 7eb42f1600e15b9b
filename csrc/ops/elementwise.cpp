// Elementwise functions of one float: their rows and rules. Those of two operands, of integers and of bools are in
// elementwise_pairs.cpp, how they run in elementwise_run.cpp. Start at the rows.
#include <deque>
#include <numbers>

#include "ops/elementwise_rows.h"
#include "ops/registry.h"

namespace steep {
namespace {

using namespace elementwise;

constexpr double large_argument = 1e10;  // beyond it 1 + x * x is x * x in every type

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

constexpr double ln2 = std::numbers::ln2, ln10 = std::numbers::ln10;

Rows exponential_rows() {
  return {
      smooth("exp",
             {"e to the x.",
              ">>> sp.exp(sp.tensor([0.0, 1.0]))\n"
              "tensor([1.       , 2.7182817], dtype=float32)"},
             K::exp, {[](R r, T g) { return mul_zero(g, r.out()); }, save_out, K::exp_df}),
      smooth("expm1",
             {"exp(x) - 1, exact near 0.",
              ">>> sp.expm1(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 1.7182817], dtype=float32)"},
             K::expm1, {[](R r, T g) { return mul_zero(g, exp(r.in(0))); }, in0, K::expm1_df}),
      smooth("log",
             {"Natural logarithm.",
              ">>> sp.log(sp.tensor([1.0, 4.0]))\n"
              "tensor([0.       , 1.3862944], dtype=float32)"},
             K::log, {[](R r, T g) { return mul_zero(g, reciprocal(r.in(0))); }, in0, K::log_df}),
      smooth("log1p",
             {"log(1 + x), exact near 0.",
              ">>> sp.log1p(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 0.6931472], dtype=float32)"},
             K::log1p, {[](R r, T g) { return mul_zero(g, reciprocal(add(r.in(0), 1))); }, in0, K::log1p_df}),
      smooth("log2",
             {"Logarithm to base 2.",
              ">>> sp.log2(sp.tensor([1.0, 4.0]))\n"
              "tensor([0., 2.], dtype=float32)"},
             K::log2, {[](R r, T g) { return mul_zero(g, reciprocal(multiply(r.in(0), ln2))); }, in0, K::log2_df}),
      smooth("log10",
             {"Logarithm to base 10.",
              ">>> sp.log10(sp.tensor([1.0, 100.0]))\n"
              "tensor([0., 2.], dtype=float32)"},
             K::log10, {[](R r, T g) { return mul_zero(g, reciprocal(multiply(r.in(0), ln10))); }, in0, K::log10_df}),
      smooth("sqrt",
             {"Square root, correctly rounded.",
              ">>> sp.sqrt(sp.tensor([4.0, 9.0]))\n"
              "tensor([2., 3.], dtype=float32)"},
             K::sqrt, {[](R r, T g) { return mul_zero(g, multiply(reciprocal(r.out()), 0.5)); }, save_out, K::sqrt_df}),
      smooth("rsqrt",
             {"1 / sqrt(x).",
              ">>> sp.rsqrt(sp.tensor([1.0, 4.0]))\n"
              "tensor([1. , 0.5], dtype=float32)",
              "PyTorch's torch.rsqrt, pytorch.org/docs."},
             K::rsqrt,
             {[](R r, T g) { return mul_zero(g, multiply(multiply(square(r.out()), r.out()), -0.5)); }, save_out,
              K::rsqrt_df}),
      smooth("reciprocal",
             {"1 / x.",
              ">>> sp.reciprocal(sp.tensor([1.0, 4.0]))\n"
              "tensor([1.  , 0.25], dtype=float32)"},
             K::reciprocal,
             {[](R r, T g) { return mul_zero(g, negative(square(r.out()))); }, save_out, K::reciprocal_df}),
  };
}

Rows trigonometric_rows() {
  return {
      smooth("sin",
             {"Sine of x in radians.",
              ">>> sp.sin(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.      , 0.841471], dtype=float32)"},
             K::sin, {[](R r, T g) { return mul_zero(g, cos(r.in(0))); }, in0, K::sin_df}),
      smooth("cos",
             {"Cosine of x in radians.",
              ">>> sp.cos(sp.tensor([0.0, 1.0]))\n"
              "tensor([1.       , 0.5403023], dtype=float32)"},
             K::cos, {[](R r, T g) { return mul_zero(g, negative(sin(r.in(0)))); }, in0, K::cos_df}),
      smooth("tan",
             {"Tangent of x in radians.",
              ">>> sp.tan(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 1.5574079], dtype=float32)"},
             K::tan, {[](R r, T g) { return mul_zero(g, add(square(r.out()), 1)); }, save_out, K::tan_df}),
      smooth("asin",
             {"Inverse sine, in radians.",
              ">>> sp.asin(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 1.5707964], dtype=float32)"},
             K::asin, {[](R r, T g) { return mul_zero(g, rsqrt(one_minus_square(r.in(0)))); }, in0, K::asin_df}),
      smooth("acos",
             {"Inverse cosine, in radians.",
              ">>> sp.acos(sp.tensor([0.0, 1.0]))\n"
              "tensor([1.5707964, 0.       ], dtype=float32)"},
             K::acos,
             {[](R r, T g) { return mul_zero(g, negative(rsqrt(one_minus_square(r.in(0))))); }, in0, K::acos_df}),
      smooth("atan",
             {"Inverse tangent, in radians.",
              ">>> sp.atan(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 0.7853982], dtype=float32)"},
             K::atan, {[](R r, T g) { return mul_zero(g, atan_derivative(r.in(0))); }, in0, K::atan_df}),
      smooth("sinh",
             {"Hyperbolic sine.",
              ">>> sp.sinh(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 1.1752012], dtype=float32)"},
             K::sinh, {[](R r, T g) { return mul_zero(g, cosh(r.in(0))); }, in0, K::sinh_df}),
      smooth("cosh",
             {"Hyperbolic cosine.",
              ">>> sp.cosh(sp.tensor([0.0, 1.0]))\n"
              "tensor([1.       , 1.5430806], dtype=float32)"},
             K::cosh, {[](R r, T g) { return mul_zero(g, sinh(r.in(0))); }, in0, K::cosh_df}),
      smooth("asinh",
             {"Inverse hyperbolic sine.",
              ">>> sp.asinh(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 0.8813736], dtype=float32)"},
             K::asinh, {[](R r, T g) { return mul_zero(g, asinh_derivative(r.in(0))); }, in0, K::asinh_df}),
      smooth("acosh",
             {"Inverse hyperbolic cosine.",
              ">>> sp.acosh(sp.tensor([1.0, 4.0]))\n"
              "tensor([0.      , 2.063437], dtype=float32)"},
             K::acosh,
             {[](R r, T g) { return mul_zero(g, multiply(rsqrt(add(r.in(0), -1)), rsqrt(add(r.in(0), 1)))); }, in0,
              K::acosh_df}),
      smooth("atanh",
             {"Inverse hyperbolic tangent.",
              ">>> sp.atanh(sp.tensor([0.0, 0.5]))\n"
              "tensor([0.        , 0.54930615], dtype=float32)"},
             K::atanh, {[](R r, T g) { return mul_zero(g, reciprocal(one_minus_square(r.in(0)))); }, in0, K::atanh_df}),
  };
}

Rows sigmoid_rows() {
  return {
      smooth("tanh",
             {"Hyperbolic tangent.",
              ">>> sp.tanh(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 0.7615942], dtype=float32)"},
             K::tanh, {[](R r, T g) { return ternary(K::tanh_gradient, g, r.out(), r.in(0)); }, in0 | save_out}, 0.6f),
      smooth("sigmoid",
             {"Logistic sigmoid, 1 / (1 + exp(-x)).",
              ">>> sp.sigmoid(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.5      , 0.7310586], dtype=float32)",
              "Goodfellow, Bengio and Courville 2016, Deep Learning, section 3.10."},
             K::sigmoid, {[](R r, T g) { return ternary(K::sigmoid_gradient, g, r.out(), r.in(0)); }, in0 | save_out}),
      smooth(
          "erf",
          {"Gauss error function.",
           ">>> sp.erf(sp.tensor([0.0, 1.0]))\n"
           "tensor([0.        , 0.84270084], dtype=float32)",
           "SciPy's scipy.special.erf, docs.scipy.org."},
          K::erf,
          {[](R r, T g) { return mul_zero(g, multiply(exp(negative(square(r.in(0)))), 2 * std::numbers::inv_sqrtpi)); },
           in0, K::erf_df}),
      smooth("erfc",
             {"1 - erf(x), exact where that is close to 0.",
              ">>> sp.erfc(sp.tensor([0.0, 1.0]))\n"
              "tensor([1.        , 0.15729922], dtype=float32)",
              "SciPy's scipy.special.erfc, docs.scipy.org."},
             K::erfc,
             {[](R r, T g) {
                return mul_zero(g, multiply(exp(negative(square(r.in(0)))), -2 * std::numbers::inv_sqrtpi));
              },
              in0, K::erfc_df}),
      smooth("softplus",
             {"log(1 + exp(x)), linear for large x.",
              ">>> sp.softplus(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.6931472, 1.3132617], dtype=float32)",
              "Dugas et al. 2000, \"Incorporating second-order functional knowledge for better option pricing\"."},
             K::softplus, {[](R r, T g) { return mul_zero(g, sigmoid(r.in(0))); }, in0, K::softplus_df}),
  };
}

Rows activation_rows() {
  return {
      smooth("gelu",
             {"x * Phi(x), Phi the normal distribution function (exact, by erfc; Hendrycks and Gimpel 2016).",
              ">>> sp.gelu(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 0.8413447], dtype=float32)",
              "Hendrycks and Gimpel 2016, \"Gaussian error linear units\", arXiv:1606.08415."},
             K::gelu, {[](R r, T g) { return mul_zero(g, gelu_derivative(r.in(0))); }, in0, K::gelu_df}, 0.6f),
      smooth("silu",
             {"x * sigmoid(x), also called swish.",
              ">>> sp.silu(sp.tensor([0.0, 1.0]))\n"
              "tensor([0.       , 0.7310586], dtype=float32)",
              "Elfwing, Uchibe and Doya 2017, \"Sigmoid-weighted linear units\", arXiv:1702.03118."},
             K::silu, {[](R r, T g) { return mul_zero(g, silu_derivative(r.in(0))); }, in0, K::silu_df}),
      subgradient(smooth("hardsigmoid",
                         {"x / 6 + 1/2 between 0 and 1 (Howard et al. 2019).",
                          ">>> sp.hardsigmoid(sp.tensor([-4.0, -1.0, 2.0]))\n"
                          "tensor([0.       , 0.3333333, 0.8333334], dtype=float32)",
                          "Howard et al. 2019, \"Searching for MobileNetV3\", arXiv:1905.02244."},
                         K::hardsigmoid, {hardsigmoid_rule, in0, K::hardsigmoid_df}, 0.3f),
                  "0 at -3 and 3"),
      subgradient(smooth("hardswish",
                         {"x * hardsigmoid(x) (Howard et al. 2019).",
                          ">>> sp.hardswish(sp.tensor([-4.0, -1.0, 2.0]))\n"
                          "tensor([ 0.       , -0.3333333,  1.6666667], dtype=float32)",
                          "Howard et al. 2019, \"Searching for MobileNetV3\", arXiv:1905.02244."},
                         K::hardswish, {hardswish_rule, in0, K::hardswish_df}, 0.3f),
                  "0 at -3, 1 at 3"),
      subgradient(smooth("relu",
                         {"max(x, 0).",
                          ">>> sp.relu(sp.tensor([-4.0, -1.0, 2.0]))\n"
                          "tensor([0., 0., 2.], dtype=float32)",
                          "Glorot, Bordes and Bengio 2011, \"Deep sparse rectifier neural networks\"."},
                         K::relu, {relu_rule, save_out, K::relu_df}, 0.3f),
                  "0 at 0"),
  };
}

// Attributes of leaky_relu and elu, read by their kernels too.
struct LeakyRelu {
  double negative_slope = 0.01;
  STEEP_ATTRIBUTES(negative_slope)
};
struct Elu {
  double alpha = 1;
  STEEP_ATTRIBUTES(alpha)
};
// Of one operand and one number.
template <class A> Tensor with_parameter(const Op& op, T x, double value) { return apply(op, {x}, A{value}); }

Rows parameter_rows() {
  Op leaky = smooth("leaky_relu",
                    {"x where x > 0, negative_slope * x elsewhere.",
                     ">>> sp.leaky_relu(sp.tensor([-4.0, 2.0]), negative_slope=0.25)\n"
                     "tensor([-1.,  2.], dtype=float32)",
                     "Maas, Hannun and Ng 2013, \"Rectifier nonlinearities improve neural network acoustic models\"."},
                    K::leaky_relu,
                    {[](R r, T g) {
                       const double below = r.attrs().as<LeakyRelu>().negative_slope;
                       const Tensor low = below == 0 ? scalar_like(0, g) : multiply(g, below);
                       return where(less_equal(r.in(0), scalar_like(0, g)), low, g);
                     },
                     in0, K::leaky_relu_df},
                    0.3f);
  leaky.params.push_back({"negative_slope", Kind::real, "0.01", "the derivative below 0"});
  leaky.attrs = attributes<LeakyRelu>();
  leaky.call = with_parameter<LeakyRelu>;
  leaky.subgradient = "negative_slope at 0";
  Op elu = smooth("elu",
                  {"x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015).",
                   ">>> sp.elu(sp.tensor([-4.0, -1.0, 2.0]))\n"
                   "tensor([-0.9816844 , -0.63212055,  2.        ], dtype=float32)",
                   "Clevert, Unterthiner and Hochreiter 2015, \"Fast and accurate deep network learning by exponential "
                   "linear units\", arXiv:1511.07289."},
                  K::elu,
                  {[](R r, T g) {
                     const Tensor v = r.in(0), zero = scalar_like(0, v);
                     const double alpha = r.attrs().as<Elu>().alpha;
                     const Tensor low = alpha == 0 ? zero : mul_zero(g, multiply(exp(minimum(v, zero)), alpha));
                     return where(less_equal(v, zero), low, g);
                   },
                   in0, K::elu_df});
  elu.params.push_back({"alpha", Kind::real, "1.0", "minus the limit for large negative x"});
  elu.attrs = attributes<Elu>();
  elu.call = with_parameter<Elu>;
  elu.subgradient = "alpha at 0";
  return {leaky, elu};
}

// The fused first-order kernels as rows of their own: (g, what the rule saved) -> gradient.
Rows fused_rows(const Rows& rows) {
  static std::deque<std::string> names;
  Rows fused;
  for (const Op& op : rows) {
    if (op.vjp.empty() || op.vjp[0].fused == K::count) continue;
    names.push_back(std::string(op.name) + "_gradient");
    fused.push_back({.name = names.back().c_str(),
                     .attrs = op.attrs,
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
  Rows all = joined({exponential_rows, trigonometric_rows, sigmoid_rows, activation_rows, parameter_rows, number_rows,
                     pair_rows, integer_rows, bool_rows, other_rows, clip_rows});
  for (Op& op : fused_rows(all)) all.push_back(std::move(op));
  return all;
}

}  // namespace steep
