// Sorting: where a gradient may be asked for, argsort is computed and the rest gathers by it, so gradients go to the
// elements' original positions; otherwise the elements are sorted without positions, which halves what is moved.
#include <algorithm>

#include "core/iterate.h"
#include "graph/mode.h"
#include "ops/functions.h"
#include "ops/ordering.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
const Param x{"x", Kind::tensor, required, "a tensor with at least one axis"},
    axis{"axis", Kind::integer, "-1", "the axis to sort along"},
    descending{"descending", Kind::flag, "False", "whether the largest comes first"},
    stable{"stable", Kind::flag, "True", "whether equal elements keep their order; they always do", true};
constexpr const char* bad_axis = "IndexError: if x has no such axis.\nValueError: if x has no axes.";

// Attributes of argsort_last: the first `count` positions, or all if it is negative.
struct Order {
  bool descending = false;
  std::int64_t count = -1;
  STEEP_ATTRIBUTES(descending, count)
};

void infer_argsort(Call& c) {
  Dims shape = c.in[0].shape();
  const std::int64_t count = c.attrs.as<Order>().count;
  if (count >= 0) shape.back() = count;
  c.out = empty(shape, Int64);
}

void compute_argsort(const Call& c) {
  const Tensor in = contiguous(c.in[0]);
  const bool down = c.attrs.as<Order>().descending;
  if (in.size() == 0) return;
  order_rows(in, c.out, down);
}

Tensor argsort(const Op& op, T t, std::int64_t axis_number, Order order) {
  static const Op& row = find_op("argsort_last");
  if (t.ndim() == 0) fail<ValueError>(op.name, ": ", t, " is 0-d and has no axis to sort along");
  const int at = normalize_axis(axis_number, t.ndim(), op.name), end = t.ndim() - 1;
  return moveaxis(apply(row, {moveaxis(t, at, end)}, order), end, at);
}

void infer_sort(Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); }
void compute_sort(const Call& c) {
  if (c.out.size() > 0) sort_values(contiguous(c.in[0]), c.out, c.attrs.as<Order>().descending);
}

Tensor sorted(const Op& op, T t, std::int64_t axis_number, bool descending) {
  static const Op& row = find_op("sort_last");
  const int at = normalize_axis(axis_number, std::max(1, t.ndim()), op.name), end = t.ndim() - 1;
  if (t.ndim() == 0 || (t->node && grad_enabled()))
    return take_along_axis(t, argsort(op, t, axis_number, {descending}), at);
  return moveaxis(apply(row, {moveaxis(t, at, end)}, Order{descending}), end, at);
}

std::vector<Tensor> topk(const Op& op, T t, std::int64_t k, std::int64_t axis, bool largest) {
  const int at = normalize_axis(axis, std::max(1, t.ndim()), op.name);
  if (t.ndim() > 0 && (k < 0 || k > t.dim(at)))
    fail<ValueError>(op.name, ": k = ", k, " for an axis of size ", t.dim(at), " of ", t);
  const Tensor best = argsort(op, t, axis, {largest, k});
  return {take_along_axis(t, best, at), best};
}

}  // namespace

Rows sort_rows() {
  return {
      {.name = "argsort_last",
       .attrs = attributes<Order>(),
       .infer = infer_argsort,
       .compute = compute_argsort,
       .hidden = true},
      {.name = "sort_last", .attrs = attributes<Order>(), .infer = infer_sort, .compute = compute_sort, .hidden = true},
      {.name = "argsort",
       .doc = "The positions that sort x along an axis; stable, NaN last.",
       .returns = "An int64 tensor of x's shape.",
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.argsort(sp.tensor([3.0, 1.0, 2.0]))\n"
                  "tensor([1, 2, 0], dtype=int64)",
       .params = {x, axis, descending, stable},
       .call = [](const Op& op, T x, std::int64_t axis, bool descending,
                  Unused) { return argsort(op, x, axis, {descending}); },
       .discrete = true},
      {.name = "sort",
       .doc = "x sorted along an axis; stable, NaN last.",
       .returns = "A tensor of x's shape. Gradients go to the elements' original positions.",
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.sort(sp.tensor([3.0, 1.0, 2.0]), descending=True)\n"
                  "tensor([3., 2., 1.], dtype=float32)",
       .params = {x, axis, descending, stable},
       .call = [](const Op& op, T x, std::int64_t axis, bool descending,
                  Unused) { return sorted(op, x, axis, descending); }},
      {.name = "topk",
       .doc = "The k largest (smallest) elements along an axis, in order, and their positions.",
       .returns = "A tuple of two tensors: the elements, and their int64 positions.",
       .raises = "IndexError: if x has no such axis.\nValueError: if x has no axes, or the axis fewer than k elements.",
       .source = like_torch,
       .example = ">>> sp.topk(sp.tensor([3.0, 1.0, 2.0]), 2)\n"
                  "(tensor([3., 2.], dtype=float32), tensor([0, 2], dtype=int64))",
       .params = {x,
                  {"k", Kind::integer, required, "how many"},
                  {"axis", Kind::integer, "-1", "the axis to search along"},
                  {"largest", Kind::flag, "True", "whether the largest are wanted, or the smallest"}},
       .call_many = topk},
  };
}

}  // namespace steep
