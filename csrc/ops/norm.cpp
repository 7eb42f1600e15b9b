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

Tensor call_layer_norm(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  const Dims shape = a[1].dims();
  const int lead = x.ndim() - shape.size();
  bool fits = lead >= 0 && shape.size() > 0;
  std::int64_t n = 1;
  for (int d = 0; fits && d < shape.size(); ++d) fits = x.dim(lead + d) == shape[d], n *= shape[d];
  for (int i = 2; fits && i < 4; ++i) fits = !a[static_cast<std::size_t>(i)].given || a[i].tensor.shape() == shape;
  if (!fits)
    fail<ValueError>(op.name, ": over ", shape, " needs an input that ends in these dimensions, and weights of just ",
                     "that shape; the input is ", x);
  if (x.size() == 0) return x;
  const Tensor rows = reshape(x, {x.size() / n, n});
  if (!a[2].given && !a[3].given) return reshape(standardize(rows, a[4].real), x.shape());
  const auto values = [&](const Arg& arg, double missing) {
    return arg.given ? reshape(arg.tensor, {n}) : full({n}, missing, x.dtype());
  };
  return reshape(layer_norm(rows, values(a[2], 1), values(a[3], 0), a[4].real), x.shape());
}

Tensor group_norm(const Op& op, T given, std::int64_t groups, T weight, T bias, double eps) {
  const Tensor x = as_float(given);
  require_channels(op, x);
  if (groups < 1 || x.dim(1) % groups)
    fail<ValueError>(op.name, ": the ", x.dim(1), " channels of ", x, " cannot be shared among ", groups, " groups");
  const Tensor w = by_channel(op, "weight", weight, x), b = by_channel(op, "bias", bias, x);
  if (x.size() == 0) return x;
  const std::int64_t rows = x.dim(0) * groups;
  return scaled(reshape(standardize(reshape(x, {rows, x.size() / rows}), eps), x.shape()), w, b);
}
Tensor call_group_norm(const Op& op, Args& a) {
  return group_norm(op, a[0].tensor, a[1].integer, a[2].tensor, a[3].tensor, a[4].real);
}
Tensor call_instance_norm(const Op& op, Args& a) {
  require_channels(op, a[0].tensor);
  return group_norm(op, a[0].tensor, a[0].tensor.dim(1), a[1].tensor, a[2].tensor, a[3].real);
}

// The mean over all axes but the channels, over contiguous rows first.
Tensor channel_mean(T x) {
  const Tensor rows = reshape(x, {x.dim(0), x.dim(1), x.size() / (x.dim(0) * x.dim(1))});
  const double n = static_cast<double>(rows.dim(0) * rows.dim(2));
  return divide(sum(sum(rows, 4, false), 1, false), scalar_like(n, x));
}
// The rounding error of the mean is corrected, so that equal numbers minus their mean are 0.
std::vector<Tensor> call_moments(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  require_channels(op, x);
  require_elements(op, x);
  const Tensor rounded = channel_mean(x);
  const Tensor left = alias(channel_mean(subtract(alias(x), by_channel(op, "mean", alias(rounded), x))));
  const Tensor mean = add(rounded, left);
  return {mean, channel_mean(square(subtract(x, by_channel(op, "mean", mean, x))))};
}
Tensor call_batch_norm(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  require_channels(op, x);
  const Tensor mean = by_channel(op, "mean", a[1].tensor, x), variance = by_channel(op, "var", a[2].tensor, x);
  const Tensor weight = by_channel(op, "weight", a[3].tensor, x), bias = by_channel(op, "bias", a[4].tensor, x);
  const Tensor scale = rsqrt(add(variance, a[5].real));
  return scaled(subtract(x, mean), weight ? multiply(scale, weight) : scale, bias);
}

// Squares averaged over `size` neighbouring channels, zeros beyond the ends, as in PyTorch.
Tensor call_local_response(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  const std::int64_t size = a[1].integer;
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
  const Tensor base = add(multiply(total, a[2].real / static_cast<double>(size)), a[4].real);
  return divide(x, pow(base, scalar_like(a[3].real, x)));
}

Tensor call_prelu(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  Tensor weight = astype(a[1].tensor, x.dtype());
  if (weight.size() != 1) {
    require_channels(op, x);
    weight = by_channel(op, "weight", weight, x);
  } else {
    weight = reshape(weight, {});
  }
  // Where the weight is 0 the function is constant below 0, and an infinite gradient is not propagated.
  return where(less_equal(x, scalar_like(0, x)), mul_zero_either(x, weight), x);
}

// Which keys a query may see: those not after it, counted from the first of both.
Tensor causal_mask(std::int64_t queries, std::int64_t keys) {
  return greater_equal(reshape(arange(0, queries, 1, Int64), {queries, 1}), arange(0, keys, 1, Int64));
}
Tensor call_attention(const Op& op, Args& a) {
  const Tensor q = as_float(a[0].tensor), k = as_float(a[1].tensor), v = as_float(a[2].tensor);
  const bool fits = q.ndim() > 1 && k.ndim() > 1 && v.ndim() > 1 && q.dim(-1) == k.dim(-1) && k.dim(-2) == v.dim(-2);
  if (!fits || q.dim(-1) == 0 || k.dim(-2) == 0)
    fail<ValueError>(op.name, ": needs query (..., L, E), key (..., S, E) and value (..., S, D), and got ", q, ", ", k,
                     " and ", v);
  const double scale = a[5].real != 0 ? a[5].real : 1 / std::sqrt(static_cast<double>(q.dim(-1)));
  Tensor scores = matmul(multiply(q, scale), transpose_last(k));
  const Tensor never = scalar_like(-INFINITY, scores);
  T mask = a[3].tensor;
  if (mask) scores = mask.dtype() == Bool ? where(mask, scores, never) : add(scores, mask);
  if (a[4].flag()) scores = where(causal_mask(q.dim(-2), k.dim(-2)), scores, never);
  static const Op& softmax = find_op("softmax_last");
  return matmul(apply(softmax, {scores}), v);
}

}  // namespace

Rows norm_rows() {
  const Param x{"x", Kind::tensor}, weight{"weight", Kind::optional_tensor, "None"},
      bias{"bias", Kind::optional_tensor, "None"}, eps{"eps", Kind::real, "1e-05"};
  return {
      {.name = "layer_norm",
       .doc = "Mean 0 and variance 1 over the trailing dimensions `shape`, then scaled and shifted (Ba et al. 2016).",
       .params = {x, {"shape", Kind::ints}, weight, bias, eps},
       .call = call_layer_norm},
      {.name = "group_norm",
       .doc = "Mean 0 and variance 1 over groups of channels of each example (Wu and He 2018).",
       .params = {x, {"num_groups", Kind::integer}, weight, bias, eps},
       .call = call_group_norm},
      {.name = "instance_norm",
       .doc = "Mean 0 and variance 1 of each channel of each example (Ulyanov et al. 2016).",
       .params = {x, weight, bias, eps},
       .call = call_instance_norm},
      {.name = "channel_moments",
       .doc = "Mean and biased variance per channel of (N, C, ...): the batch statistics of batch_norm.",
       .params = {x},
       .call_many = call_moments},
      {.name = "batch_norm",
       .doc = "(x - mean) / sqrt(var + eps) * weight + bias, per channel (Ioffe and Szegedy 2015).",
       .params = {x, {"mean", Kind::tensor}, {"var", Kind::tensor}, weight, bias, eps},
       .call = call_batch_norm},
      {.name = "local_response_norm",
       .doc = "x / (k + alpha * mean of x**2 over `size` channels around)**beta (Krizhevsky et al. 2012).",
       .params = {x,
                  {"size", Kind::integer},
                  {"alpha", Kind::real, "0.0001"},
                  {"beta", Kind::real, "0.75"},
                  {"k", Kind::real, "1.0"}},
       .call = call_local_response},
      {.name = "prelu",
       .doc = "x where x > 0, weight * x elsewhere; one weight, or one per channel of (N, C, ...) (He et al. 2015).",
       .params = {x, {"weight", Kind::tensor}},
       .call = call_prelu,
       .subgradient = "weight at 0"},
      {.name = "attention",
       .doc = "softmax(query @ key.T * scale + mask) @ value; a bool mask is true where a key is seen. Scale 0: "
              "1 / sqrt(E).",
       .params = {{"query", Kind::tensor},
                  {"key", Kind::tensor},
                  {"value", Kind::tensor},
                  {"mask", Kind::optional_tensor, "None"},
                  {"causal", Kind::flag, "False"},
                  {"scale", Kind::real, "0.0"}},
       .call = call_attention},
  };
}

}  // namespace steep
