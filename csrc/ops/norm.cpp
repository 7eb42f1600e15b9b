// Normalisation, and what else layers are made of: all composites of other ops, so that they have derivatives of any
// order. Layer, group and instance norm are the same computation, rows normalised to mean 0 and variance 1
// (layer_norm.cpp), over different rows. Start reading at call_layer_norm.
#include <cmath>

#include "ops/functions.h"
#include "ops/layer_norm.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;

Tensor as_float(T x) { return astype(x, to_float(x.dtype())); }

Tensor scaled(T y, T weight, T bias) {
  const Tensor z = weight ? multiply(y, weight) : y;
  return bias ? add(z, bias) : z;
}
// One value per channel, in a shape that broadcasts along axis 1 of x.
Tensor by_channel(const Op& op, const char* name, T values, T x) {
  if (!values) return {};
  if (values.ndim() != 1 || values.dim(0) != x.dim(1))
    fail<ValueError>(op.name, ": ", name, " ", values, " must have shape (", x.dim(1), ",), one for each channel of ",
                     x);
  Dims column = Dims::filled(x.ndim() - 1, 1);
  column[0] = x.dim(1);
  return reshape(values, column);
}
void require_channels(const Op& op, T x) {
  if (x.ndim() < 2) fail<ValueError>(op.name, ": needs (N, C, ...), and got ", x);
}
void require_elements(const Op& op, T x) {
  if (x.size() == 0) fail<ValueError>(op.name, ": ", x, " has no elements to take a mean of");
}

Tensor call_layer_norm(const Op& op, T given, const Arg& over, T weight, T bias, double eps) {
  const Tensor x = as_float(given);
  const Dims shape = over.dims();
  const int lead = x.ndim() - shape.size();
  bool fits = lead >= 0 && shape.size() > 0;
  std::int64_t n = 1;
  for (int d = 0; fits && d < shape.size(); ++d) fits = x.dim(lead + d) == shape[d], n *= shape[d];
  for (const Tensor* t : {&weight, &bias}) fits = fits && (!*t || t->shape() == shape);
  if (!fits)
    fail<ValueError>(op.name, ": over ", shape, " needs an input that ends in these dimensions, and weights of just ",
                     "that shape; the input is ", x);
  if (x.size() == 0) return x;
  const Tensor rows = reshape(x, {x.size() / n, n});
  if (!weight && !bias) return reshape(standardize(rows, eps), x.shape());
  const auto values = [&](T t, double missing) { return t ? reshape(t, {n}) : full({n}, missing, x.dtype()); };
  return reshape(layer_norm(rows, values(weight, 1), values(bias, 0), eps), x.shape());
}

Tensor group_norm(const Op& op, T given, std::int64_t groups, T weight, T bias, double eps) {
  const Tensor x = as_float(given);
  require_channels(op, x);
  if (groups < 1 || x.dim(1) % groups)
    fail<ValueError>(op.name, ": the ", x.dim(1), " channels of ", x, " cannot be shared among ", groups, " groups");
  const Tensor w = by_channel(op, "weight", weight, x), b = by_channel(op, "bias", bias, x);
  if (x.size() == 0) return x;
  if ((weight || bias) && has_planes(x)) {
    const auto values = [&](T given, double missing) { return given ? given : full({x.dim(1)}, missing, x.dtype()); };
    return group_norm_scaled(x, groups, values(weight, 1), values(bias, 0), eps);
  }
  const std::int64_t rows = x.dim(0) * groups;
  return scaled(reshape(standardize(reshape(x, {rows, x.size() / rows}), eps), x.shape()), w, b);
}
Tensor call_instance_norm(const Op& op, T x, T weight, T bias, double eps) {
  require_channels(op, x);
  return group_norm(op, x, x.dim(1), weight, bias, eps);
}

// The mean over all axes but the channels, over contiguous rows first.
Tensor channel_mean(T x) {
  const Tensor rows = reshape(x, {x.dim(0), x.dim(1), x.size() / (x.dim(0) * x.dim(1))});
  const double n = static_cast<double>(rows.dim(0) * rows.dim(2));
  return divide(sum(sum(rows, 4, false), 1, false), scalar_like(n, x));
}
}  // namespace

// The rounding error of the mean is corrected, so that equal numbers minus their mean are 0.
std::vector<Tensor> channel_moments(T x) {
  static const Op& op = find_op("batch_norm");  // which errors name
  require_channels(op, x);
  require_elements(op, x);
  const Tensor rounded = channel_mean(x);
  const Tensor left = alias(channel_mean(subtract(alias(x), by_channel(op, "mean", alias(rounded), x))));
  const Tensor mean = add(rounded, left);
  return {mean, channel_mean(square(subtract(x, by_channel(op, "mean", mean, x))))};
}
Tensor batch_norm(const Op& op, T given, T means, T variances, T weights, T biases, double eps) {
  const Tensor x = as_float(given);
  require_channels(op, x);
  const Tensor mean = by_channel(op, "mean", means, x), variance = by_channel(op, "var", variances, x);
  const Tensor weight = by_channel(op, "weight", weights, x), bias = by_channel(op, "bias", biases, x);
  const Tensor scale = rsqrt(add(variance, eps));
  return scaled(subtract(x, mean), weight ? multiply(scale, weight) : scale, bias);
}

namespace {

// Squares averaged over `size` neighbouring channels, zeros beyond the ends, as in PyTorch.
Tensor call_local_response(const Op& op, T given, std::int64_t size, double alpha, double beta, double k) {
  const Tensor x = as_float(given);
  require_channels(op, x);
  if (size < 1) fail<ValueError>(op.name, ": size must be at least 1, and is ", size);
  if (x.dim(1) == 0) return x;
  // Neighbours farther off than there are channels are zeros to all of them.
  const std::int64_t reach = x.dim(1) - 1, below = std::min(size / 2, reach),
                     above = std::min(size - 1 - size / 2, reach);
  Dims start = Dims::filled(x.ndim(), 0), full = x.shape();
  start[1] = below;
  full[1] = checked_add(full[1], below + above);
  const Tensor squares = embed(square(x), start, Dims::filled(x.ndim(), 1), full);
  Tensor total = narrow(squares, 1, 0, x.dim(1));
  for (std::int64_t i = 1; i <= below + above; ++i) total = add(total, narrow(squares, 1, i, x.dim(1)));
  const Tensor base = add(multiply(total, alpha / static_cast<double>(size)), k);
  return divide(x, pow(base, scalar_like(beta, x)));
}

Tensor call_prelu(const Op& op, T given, T weights) {
  const Tensor x = as_float(given);
  Tensor weight = astype(weights, x.dtype());
  if (weight.size() != 1) {
    require_channels(op, x);
    weight = by_channel(op, "weight", weight, x);
  } else {
    weight = reshape(weight, {});
  }
  // Where the weight is 0 the function is constant below 0, and an infinite gradient is not propagated.
  return where(less_equal(x, scalar_like(0, x)), mul_zero_either(x, weight), x);
}

}  // namespace

namespace {

const Param x{"x", Kind::tensor, required, "a tensor (N, C, ...)"},
    weight{"weight", Kind::optional_tensor, "None", "factors (C,), one for each channel; none where None"},
    bias{"bias", Kind::optional_tensor, "None", "summands (C,), one for each channel; none where None"},
    eps{"eps", Kind::real, "1e-05", "added to the variance, so that constants do not divide by 0"};
constexpr const char* like_x = "A float tensor of x's shape.";

Rows normalisation_rows() {
  return {
      {.name = "layer_norm",
       .doc = "Mean 0 and variance 1 over the trailing dimensions `shape`, then scaled and shifted (Ba et al. 2016): "
              "(x - mean) / sqrt(var + eps) * weight + bias, with the biased variance.",
       .returns = like_x,
       .raises = "ValueError: if x does not end in these dimensions, or a weight has another shape.",
       .source = "Ba, Kiros and Hinton 2016, \"Layer normalization\", arXiv:1607.06450.",
       .example = ">>> sp.layer_norm(sp.tensor([[1.0, 3.0], [2.0, 2.0]]), (2,))\n"
                  "tensor([[-0.999995,  0.999995],\n"
                  "        [ 0.      ,  0.      ]], dtype=float32)\n"
                  ">>> sp.layer_norm(sp.zeros((8, 4, 5)), (4, 5), sp.ones((4, 5)), sp.zeros((4, 5))).shape\n"
                  "(8, 4, 5)",
       .params = {{"x", Kind::tensor, required, "a tensor whose last dimensions are `shape`"},
                  {"shape", Kind::ints, required,
                   "the sizes of the dimensions to normalise over, one number or several"},
                  {"weight", Kind::optional_tensor, "None", "factors of just that shape; 1 where None"},
                  {"bias", Kind::optional_tensor, "None", "summands of just that shape; 0 where None"},
                  eps},
       .call = call_layer_norm},
      {.name = "group_norm",
       .doc = "Mean 0 and variance 1 over groups of channels of each example (Wu and He 2018).",
       .returns = like_x,
       .raises = "ValueError: if the groups do not divide the channels, x has no channels, or a weight another size.",
       .source = "Wu and He 2018, \"Group normalization\", arXiv:1803.08494.",
       .example = ">>> sp.group_norm(sp.tensor([[1.0, 3.0, 5.0, 5.0]]), 2)\n"
                  "tensor([[-0.999995,  0.999995,  0.      ,  0.      ]], dtype=float32)",
       .params = {x,
                  {"num_groups", Kind::integer, required, "the number of groups, which divides the channels"},
                  weight,
                  bias,
                  eps},
       .call = group_norm},
      {.name = "instance_norm",
       .doc = "Mean 0 and variance 1 of each channel of each example (Ulyanov et al. 2016).",
       .returns = like_x,
       .raises = "ValueError: if x has no channels, or a weight another size.",
       .source = "Ulyanov, Vedaldi and Lempitsky 2016, \"Instance normalization\", arXiv:1607.08022.",
       .example = ">>> sp.instance_norm(sp.tensor([[[1.0, 3.0], [2.0, 2.0]]]))\n"
                  "tensor([[[-0.999995,  0.999995],\n"
                  "         [ 0.      ,  0.      ]]], dtype=float32)",
       .params = {x, weight, bias, eps},
       .call = call_instance_norm},
      {.name = "batch_norm",
       .doc = "(x - mean) / sqrt(var + eps) * weight + bias, per channel (Ioffe and Szegedy 2015), with "
              "statistics that are given. nn.functional.batch_norm computes them too.",
       .returns = like_x,
       .raises = "ValueError: if x has no channels, or a statistic or weight another size.",
       .source = "Ioffe and Szegedy 2015, \"Batch normalization\", arXiv:1502.03167.",
       .example = ">>> sp.batch_norm(sp.tensor([[1.0, 4.0]]), sp.tensor([1.0, 2.0]), sp.tensor([1.0, 4.0]), eps=0.0)\n"
                  "tensor([[0., 1.]], dtype=float32)",
       .params = {x,
                  {"mean", Kind::tensor, required, "means (C,)"},
                  {"var", Kind::tensor, required, "variances (C,)"},
                  weight,
                  bias,
                  eps},
       .call = batch_norm},
  };
}

Rows other_layer_rows() {
  return {
      {.name = "local_response_norm",
       .doc = "x / (k + alpha * mean of x**2 over `size` channels around)**beta (Krizhevsky et al. 2012), "
              "zeros beyond the first and the last channel, as in PyTorch.",
       .returns = like_x,
       .raises = "ValueError: if x has no channels, or size is below 1.",
       .source = "Krizhevsky, Sutskever and Hinton 2012, \"ImageNet classification with deep convolutional neural "
                 "networks\", section 3.3.",
       .example = ">>> sp.local_response_norm(sp.tensor([[1.0, 2.0, 3.0]]), 3, alpha=3.0, beta=1.0)\n"
                  "tensor([[0.16666667, 0.13333334, 0.21428572]], dtype=float32)",
       .params = {x,
                  {"size", Kind::integer, required, "the number of neighbouring channels"},
                  {"alpha", Kind::real, "0.0001", "the factor of the mean square"},
                  {"beta", Kind::real, "0.75", "the exponent"},
                  {"k", Kind::real, "1.0", "the summand"}},
       .call = call_local_response},
      {.name = "prelu",
       .doc = "x where x > 0, weight * x elsewhere; one weight, or one per channel of (N, C, ...) (He et al. 2015).",
       .returns = like_x,
       .raises = "ValueError: if there is more than one weight, and not one for each channel.",
       .source = "He, Zhang, Ren and Sun 2015, \"Delving deep into rectifiers\", arXiv:1502.01852.",
       .example = ">>> sp.prelu(sp.tensor([-2.0, 3.0]), sp.tensor([0.25]))\n"
                  "tensor([-0.5,  3. ], dtype=float32)",
       .params = {{"x", Kind::tensor, required, "a tensor, (N, C, ...) for a weight per channel"},
                  {"weight", Kind::tensor, required, "the factor below 0: one, or (C,)"}},
       .call = call_prelu,
       .subgradient = "weight at 0"},
  };
}

}  // namespace

Rows norm_rows() { return joined({normalisation_rows, other_layer_rows}); }

}  // namespace steep
