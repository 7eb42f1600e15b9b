// Batch norm in training as a primitive: the moments in two passes over a channel, the result in one, and all gradients
// in two; composed of other ops a step took twenty. The moments are an operand of their own, so that running statistics
// read them too, and the gradient with respect to x counts what they owe to it. Short planes, such as those of (N, C),
// are composed: their sums run over columns. Start reading at the rows, at the end.
#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/mode.h"
#include "graph/recorder.h"
#include "kernels/integers.h"
#include "ops/functions.h"
#include "ops/layer_norm.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

// Attributes of all rows.
struct BatchNorm {
  double eps = 1e-5;
  STEEP_ATTRIBUTES(eps)
};

std::int64_t positions(T x) { return x.size() / (x.dim(0) * x.dim(1)); }

k::BatchNorm arguments_of(const Call& c, T x) {
  k::BatchNorm b{};
  b.x = x.bytes();
  b.examples = x.dim(0);
  b.channels = x.dim(1);
  b.n = positions(x);
  b.eps = c.attrs.as<BatchNorm>().eps;
  return b;
}
// Planes of neighbouring channels are read together where they are short, so that memory is read in pieces of 2 KB; of
// longer ones a single channel is more likely to stay in cache between its passes.
void run_channels(k::BatchNormLoop f, const k::BatchNorm& b, DType type, const k::Epilogue* done) {
  constexpr std::int64_t piece = 2048, blocks = 8;
  const std::int64_t together = k::ceil_div(piece, b.n * size_of(type));
  const double cost = 0.3 * static_cast<double>(b.examples * b.n);
  parallel_for(b.channels, std::min(together, k::ceil_div(b.channels, blocks)), cost,
               [&](std::int64_t from, std::int64_t to) { f(b, from, to, done); });
}

// (x) -> [2, C]
void infer_moments(Call& c) { c.out = empty({2, c.in[0].dim(1)}, c.in[0].dtype()); }
void compute_moments(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  k::BatchNorm b = arguments_of(c, x);
  b.sums = c.out.bytes();
  run_channels(k::table().batch_moments[x.dtype()], b, x.dtype(), nullptr);
}

// (x, moments, weight, bias)
void infer_like_x(Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); }
void compute_parts(const Call& c, const k::Epilogue* done) {
  const Tensor x = contiguous(c.in[0]), moments = contiguous(c.in[1]), weight = contiguous(c.in[2]),
               bias = contiguous(c.in[3]);
  k::BatchNorm b = arguments_of(c, x);
  b.moments = moments.bytes();
  b.weight = weight.bytes();
  b.bias = bias.bytes();
  b.out = c.out.bytes();
  run_channels(k::table().batch_norm[x.dtype()], b, x.dtype(), done);
}
void compute(const Call& c) { compute_parts(c, nullptr); }

// (g, x, moments, weight) -> the gradients with respect to x, weight and bias, one after the other.
void infer_gradient(Call& c) { c.out = empty({checked_add(c.in[1].size(), 2 * c.in[1].dim(1))}, c.in[1].dtype()); }
void compute_gradient(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), moments = contiguous(c.in[2]),
               weight = contiguous(c.in[3]);
  k::BatchNorm b = arguments_of(c, x);
  b.g = g.bytes();
  b.moments = moments.bytes();
  b.weight = weight.bytes();
  b.out = c.out.bytes();
  b.sums = c.out.bytes() + x.size() * size_of(x.dtype());
  run_channels(k::table().batch_norm_gradient[x.dtype()], b, x.dtype(), nullptr);
}

Tensor by_channel(T values, T x) {
  Dims column = Dims::filled(x.ndim() - 1, 1);
  column[0] = x.dim(1);
  return reshape(values, column);
}
unsigned but_channels(T x) { return all_axes(x) & ~2u; }

// The same in ops, for derivatives of higher order.
void composed_gradients(R r, T g, std::vector<Tensor>& grads) {
  const Tensor x = r.in(0);
  const std::vector<Tensor> moments = channel_moments(x);
  const Tensor inverse = rsqrt(add(moments[1], r.attrs().as<BatchNorm>().eps));
  const Tensor y = multiply(subtract(x, by_channel(moments[0], x)), by_channel(inverse, x));
  const std::int64_t count = x.size() / x.dim(1);
  const Tensor n = scalar_like(static_cast<double>(count), x);
  const Tensor along = sum(mul_zero(g, y), but_channels(x), false), total = sum(g, but_channels(x), false);
  const Tensor centred =
      subtract(subtract(g, by_channel(divide(total, n), x)), mul_zero(by_channel(divide(along, n), x), y));
  grads[0] = mul_zero(centred, by_channel(multiply(inverse, r.in(2)), x));
  grads[2] = along;
  grads[3] = total;
}
void gradients(R r, T g, const Needed&, std::vector<Tensor>& grads) {
  if (grad_enabled()) return composed_gradients(r, g, grads);
  static const Op& op = find_op("batch_norm_gradient");
  const Tensor x = r.in(0), all = apply(op, {g, x, r.in(1), r.in(2)}, r.attrs());
  const std::int64_t n = x.size(), channels = x.dim(1);
  grads[0] = reshape(narrow(all, 0, 0, n), x.shape());
  grads[2] = narrow(all, 0, n, channels);
  grads[3] = narrow(all, 0, n + channels, channels);
}

// [result, mean, variance]; the moments have no graph.
std::vector<Tensor> call_training(const Op&, T given, T weight, T bias, double eps) {
  const Tensor x = astype(given, to_float(given.dtype()));
  const Op& named = find_op("batch_norm");  // which errors name
  if (x.ndim() < 2 || x.size() == 0 || !has_planes(x) || is_traced()) {
    const std::vector<Tensor> moments = channel_moments(x);
    return {batch_norm(named, x, moments[0], moments[1], weight, bias, eps), alias(moments[0]), alias(moments[1])};
  }
  const auto values = [&](const char* name, T t, double missing) {
    if (!t) return full({x.dim(1)}, missing, x.dtype());
    if (t.ndim() != 1 || t.dim(0) != x.dim(1))
      fail<ValueError>(named.name, ": ", name, " ", t, " must have shape (", x.dim(1), ",), one for each channel of ",
                       x);
    return astype(t, x.dtype());
  };
  static const Op &moments_op = find_op("batch_norm_moments"), &norm_op = find_op("batch_norm_training");
  const Tensor moments = apply(moments_op, {alias(x)}, BatchNorm{eps});
  const auto row = [&](std::int64_t i) { return squeeze_axes(narrow(moments, 0, i, 1), 1); };
  return {apply(norm_op, {x, moments, values("weight", weight, 1), values("bias", bias, 0)}, BatchNorm{eps}), row(0),
          row(1)};
}

}  // namespace

Rows batch_norm_rows() {
  Rows rows{
      {.name = "batch_norm_moments", .infer = infer_moments, .compute = compute_moments, .hidden = true},
      {.name = "batch_norm_training",
       .infer = infer_like_x,
       .compute = compute,
       .compute_parts = compute_parts,
       .part_rows = 2,
       .vjp = {{nullptr, in0 | in1 | in2}},
       .joint = gradients,
       .hidden = true},
      {.name = "batch_norm_gradient", .infer = infer_gradient, .compute = compute_gradient, .hidden = true},
  };
  for (Op& op : rows) op.attrs = attributes<BatchNorm>();
  rows.push_back(
      {.name = "_batch_norm_training",
       .doc = "Batch norm by the statistics of x, and these: the means and biased variances of its channels.",
       .params = {{"x", Kind::tensor, required, "a tensor (N, C, ...)"},
                  {"weight", Kind::optional_tensor, "None", "factors (C,); 1 where None"},
                  {"bias", Kind::optional_tensor, "None", "summands (C,); 0 where None"},
                  {"eps", Kind::real, "1e-05", "added to the variance"}},
       .call_many = call_training,
       .hidden = true});
  return rows;
}

}  // namespace steep
