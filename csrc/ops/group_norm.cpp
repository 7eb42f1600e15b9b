// Group norm with weights as a primitive, and so instance norm, of which each channel is a group: the result in one
// pass over a group, all gradients in two. Short planes, such as those of (N, C), are composed of other ops (norm.cpp).
// The rules written in ops serve derivatives of higher order. Start reading at the rows, at the end.
#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/mode.h"
#include "ops/functions.h"
#include "ops/layer_norm.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

// Attributes of all rows.
struct GroupNorm {
  std::int64_t num_groups = 1;
  double eps = 1e-5;
  STEEP_ATTRIBUTES(num_groups, eps)
};

k::GroupNorm arguments_of(const Call& c, T x) {
  k::GroupNorm b{};
  b.x = x.bytes();
  b.examples = x.dim(0);
  b.groups = c.attrs.as<GroupNorm>().num_groups;
  b.channels = x.dim(1) / b.groups;
  b.n = x.size() / (x.dim(0) * x.dim(1));
  b.eps = c.attrs.as<GroupNorm>().eps;
  return b;
}
void run_rows(k::GroupNormLoop f, const k::GroupNorm& b, const k::Epilogue* done) {
  const std::int64_t size = b.channels * b.n, grain = std::max<std::int64_t>(1, 8192 / size);
  parallel_for(b.examples * b.groups, grain, 0.3 * static_cast<double>(size),
               [&](std::int64_t from, std::int64_t to) { f(b, from, to, done); });
}

// (x, weight, bias)
void infer_like_x(Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); }
void compute_parts(const Call& c, const k::Epilogue* done) {
  const Tensor x = contiguous(c.in[0]), weight = contiguous(c.in[1]), bias = contiguous(c.in[2]);
  k::GroupNorm b = arguments_of(c, x);
  b.weight = weight.bytes();
  b.bias = bias.bytes();
  b.out = c.out.bytes();
  run_rows(k::table().group_norm[x.dtype()], b, done);
}
void compute(const Call& c) { compute_parts(c, nullptr); }

// (g, x, weight) -> the gradient with respect to x, and sums over planes [2, N, C], one after the other.
void infer_gradient(Call& c) {
  T x = c.in[1];
  c.out = empty({checked_add(x.size(), 2 * x.dim(0) * x.dim(1))}, x.dtype());
}
void compute_gradient(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), weight = contiguous(c.in[2]);
  k::GroupNorm b = arguments_of(c, x);
  b.g = g.bytes();
  b.weight = weight.bytes();
  b.out = c.out.bytes();
  b.sums = c.out.bytes() + x.size() * size_of(x.dtype());
  run_rows(k::table().group_norm_gradient[x.dtype()], b, nullptr);
}

// The same in ops, for derivatives of higher order: x as rows, and what multiplies each channel.
void composed_gradients(R r, T g, std::vector<Tensor>& grads) {
  const auto& attrs = r.attrs().as<GroupNorm>();
  const Tensor x = r.in(0);
  const std::int64_t examples = x.dim(0), channels = x.dim(1), rows = examples * attrs.num_groups;
  const Dims planes{examples, channels, x.size() / (examples * channels)}, flat{rows, x.size() / rows};
  const Tensor y = standardize(reshape(x, flat), attrs.eps);
  const Tensor g3 = reshape(g, planes), weighted = mul_zero(g3, reshape(r.in(1), {channels, 1}));
  grads[0] = reshape(standardize_gradient(reshape(weighted, flat), reshape(x, flat), attrs.eps), x.shape());
  grads[1] = sum(mul_zero(g3, reshape(y, planes)), 1u | 4u, false);
  grads[2] = sum(g3, 1u | 4u, false);
}
void gradients(R r, T g, const Needed&, std::vector<Tensor>& grads) {
  if (grad_enabled()) return composed_gradients(r, g, grads);
  static const Op& op = find_op("group_norm_gradient");
  const Tensor x = r.in(0), all = apply(op, {g, x, r.in(1)}, r.attrs());
  const std::int64_t n = x.size(), planes = x.dim(0) * x.dim(1);
  const auto by_channel = [&](std::int64_t start) {
    return sum(reshape(narrow(all, 0, start, planes), {x.dim(0), x.dim(1)}), 1, false);
  };
  grads[0] = reshape(narrow(all, 0, 0, n), x.shape());
  grads[1] = by_channel(n);
  grads[2] = by_channel(n + planes);
}

}  // namespace

bool has_planes(T x) {
  constexpr std::int64_t shortest = 16;
  return x.size() >= shortest * x.dim(0) * x.dim(1);
}
Tensor group_norm_scaled(T x, std::int64_t groups, T weight, T bias, double eps) {
  static const Op& op = find_op("group_norm_scaled");
  return apply(op, {x, weight, bias}, GroupNorm{groups, eps});
}

Rows group_norm_rows() {
  Rows rows{
      {.name = "group_norm_scaled",
       .infer = infer_like_x,
       .compute = compute,
       .compute_parts = compute_parts,
       .part_rows = 2,
       .promotes = Promote::floating,
       .vjp = {{nullptr, in0 | in1}},
       .joint = gradients,
       .hidden = true},
      {.name = "group_norm_gradient", .infer = infer_gradient, .compute = compute_gradient, .hidden = true},
  };
  for (Op& op : rows) op.attrs = attributes<GroupNorm>();
  return rows;
}

}  // namespace steep
