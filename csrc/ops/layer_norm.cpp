// Rows normalised to mean 0 and variance 1, and scaled and shifted: the primitives of layer, group and instance norm.
// Each is one pass over the rows, as is each gradient; composed of sums and their rules a step would take twenty. The
// rules written in ops serve derivatives of higher order. Start reading at the rows, at the end.
#include "ops/layer_norm.h"

#include "core/iterate.h"
#include "core/parallel.h"
#include "kernels/fold.h"
#include "kernels/integers.h"
#include "graph/mode.h"
#include "graph/node.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

// Attributes of all rows.
struct Norm {
  double eps = 1e-5;
  STEEP_ATTRIBUTES(eps)
};

constexpr std::int64_t leaf_rows = k::column_leaf;  // a thread sums a leaf at a time

unsigned last_axis(T t) { return 1u << (t.ndim() - 1); }
double nanoseconds(std::int64_t n) { return 0.3 * static_cast<double>(n); }  // a row

k::Norm norm_of(const Call& c, T x) {
  return {x.bytes(), nullptr, nullptr, nullptr, c.out.bytes(), x.dim(-1), c.attrs.as<Norm>().eps};
}

void run_rows(k::NormLoop f, const k::Norm& norm, std::int64_t rows) {
  const std::int64_t grain = std::max<std::int64_t>(1, 8192 / norm.n);
  parallel_for(rows, grain, nanoseconds(norm.n), [&](std::int64_t b, std::int64_t e) { f(norm, b, e); });
}

// (x[, weight, bias])
void compute_norm(const Call& c) {
  if (c.out.size() == 0) return;
  const Tensor x = contiguous(c.in[0]), weight = c.count > 1 ? contiguous(c.in[1]) : Tensor(),
               bias = c.count > 1 ? contiguous(c.in[2]) : Tensor();
  k::Norm norm = norm_of(c, x);
  if (weight) norm.weight = weight.bytes(), norm.bias = bias.bytes();
  run_rows(k::table().norm[x.dtype()], norm, x.size() / norm.n);
}
// (g, x[, weight])
void compute_gradient(const Call& c) {
  if (c.out.size() == 0) return;
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), weight = c.count > 2 ? contiguous(c.in[2]) : Tensor();
  k::Norm norm = norm_of(c, x);
  norm.g = g.bytes();
  if (weight) norm.weight = weight.bytes();
  run_rows(k::table().norm_gradient[x.dtype()], norm, x.size() / norm.n);
}
// (g, x) -> [2, n]: leaves of rows, combined by the same tree as any sum over columns.
void compute_sums(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]);
  const std::int64_t n = x.dim(-1), rows = n ? x.size() / n : 0, leaves = k::ceil_div(rows, leaf_rows);
  const Tensor parts = empty({leaves, 2 * n}, x.dtype());
  parallel_for(leaves, 1, nanoseconds(n * leaf_rows), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) {
      k::Norm norm = norm_of(c, x);
      norm.g = g.bytes();
      norm.out = parts.bytes() + i * 2 * n * size_of(x.dtype());
      k::table().norm_sums[x.dtype()](norm, i * leaf_rows, std::min(rows, (i + 1) * leaf_rows));
    }
  });
  k::table().col_reduce[k::Reduction::sum][x.dtype()](parts.bytes(), c.out.bytes(), leaves, 2 * n, 2 * n);
}

void infer_norm(Call& c) {
  T x = c.in[0];
  for (int i = 1; i < c.count; ++i)
    if (c.in[i].ndim() != 1 || c.in[i].dim(0) != x.dim(-1))
      fail<ValueError>(c.op.name, ": ", c.in[i], " is not one value for each column of ", x);
  c.out = empty(x.shape(), x.dtype());
}
void infer_like_x(Call& c) { c.out = empty(c.in[1].shape(), c.in[1].dtype()); }
void infer_sums(Call& c) { c.out = empty({2, c.in[1].dim(-1)}, c.in[1].dtype()); }

// The same in ops: y before it is scaled, and 1 / sqrt(variance + eps).
struct Standard {
  Tensor y, inverse, n;

  Standard(T x, double eps) {
    n = scalar_like(static_cast<double>(x.dim(-1)), x);
    const Tensor first = alias(narrow(x, x.ndim() - 1, 0, 1)), moved = subtract(x, first);
    const Tensor centred = subtract(moved, divide(sum(moved, last_axis(x), true), n));
    inverse = rsqrt(add(divide(sum(square(centred), last_axis(x), true), n), eps));
    y = multiply(centred, inverse);
  }
};

double eps_of(R r) { return r.attrs().as<Norm>().eps; }

Tensor by_x(R r, T g) {
  const bool is_scaled = r.node.input_count > 1;
  static const Op& fused = find_op("layer_norm_gradient");
  if (!grad_enabled())
    return is_scaled ? apply(fused, {g, r.in(0), r.in(1)}, r.attrs()) : apply(fused, {g, r.in(0)}, r.attrs());
  return standardize_gradient(is_scaled ? mul_zero(g, r.in(1)) : g, r.in(0), eps_of(r));
}
// Those with respect to weight and bias come from one op.
void gradients(R r, T g, const Needed& needed, std::vector<Tensor>& grads) {
  static const Op& fused = find_op("layer_norm_sums");
  if (needed[0]) grads[0] = by_x(r, g);
  if (grad_enabled()) {
    grads[1] = mul_zero(g, Standard(r.in(0), eps_of(r)).y);
    grads[2] = g;
  } else if (needed[1] || needed[2]) {
    const Tensor sums = apply(fused, {g, r.in(0)}, r.attrs());
    const auto row = [&](std::int64_t i) { return squeeze_axes(narrow(sums, 0, i, 1), 1); };
    grads[1] = row(0);
    grads[2] = row(1);
  }
}

}  // namespace

Tensor standardize(T rows, double eps) {
  static const Op& op = find_op("standardize_last");
  return apply(op, {rows}, Norm{eps});
}
Tensor standardize_gradient(T g, T rows, double eps) {
  const Standard s(rows, eps);
  const auto mean = [&](T t) { return divide(sum(t, last_axis(t), true), s.n); };
  return mul_zero(subtract(subtract(g, mean(g)), mul_zero(mean(mul_zero(g, s.y)), s.y)), s.inverse);
}
Tensor layer_norm(T rows, T weight, T bias, double eps) {
  static const Op& op = find_op("layer_norm_last");
  return apply(op, {rows, weight, bias}, Norm{eps});
}

Rows layer_norm_rows() {
  Rows rows{
      {.name = "standardize_last",
       .infer = infer_norm,
       .compute = compute_norm,
       .promotes = Promote::floating,
       .vjp = {{by_x, in0}},
       .hidden = true},
      {.name = "layer_norm_last",
       .infer = infer_norm,
       .compute = compute_norm,
       .promotes = Promote::floating,
       .vjp = {{nullptr, in0 | in1}, {nullptr, in0}},
       .joint = gradients,
       .hidden = true},
      {.name = "layer_norm_gradient", .infer = infer_like_x, .compute = compute_gradient, .hidden = true},
      {.name = "layer_norm_sums", .infer = infer_sums, .compute = compute_sums, .hidden = true},
  };
  for (Op& op : rows) op.attrs = attributes<Norm>();
  return rows;
}

}  // namespace steep
