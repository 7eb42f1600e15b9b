// Sorting: argsort is computed, the rest gathers by it, so gradients go to the elements' original positions.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/iterate.h"
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
const Param x{"x", Kind::tensor}, axis{"axis", Kind::integer, "-1"}, descending{"descending", Kind::flag, "False"},
    stable{"stable", Kind::flag, "True", true};  // always

// NaN comes last, ascending or descending; equal elements keep their order.
template <class E> bool before(E a, E b, bool down) {
  if constexpr (std::is_floating_point_v<E>) {
    if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
  }
  return down ? b < a : a < b;
}

template <class E> void sort_rows(T in, T out, bool down) {
  const std::int64_t n = in.dim(-1);
  parallel_for(in.size() / n, 1, 20.0 * static_cast<double>(n), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t r = b; r < e; ++r) {
      const E* v = in.data<E>() + r * n;
      std::int64_t* at = out.data<std::int64_t>() + r * n;
      std::iota(at, at + n, 0);
      std::uint32_t compared = 0;
      std::stable_sort(at, at + n, [&](std::int64_t i, std::int64_t j) {
        if (++compared % 16384 == 0) k::interruption_point();
        return before(v[i], v[j], down);
      });
    }
  });
}

void compute_argsort(const Call& c) {
  const Tensor in = contiguous(c.in[0]);
  const bool down = c.attrs.flag(0);
  if (in.size() == 0) return;
  switch (in.dtype()) {
    case Float32: return sort_rows<float>(in, c.out, down);
    case Float64: return sort_rows<double>(in, c.out, down);
    case Int64: return sort_rows<std::int64_t>(in, c.out, down);
    case Int32: return sort_rows<std::int32_t>(in, c.out, down);
    default: return sort_rows<std::uint8_t>(in, c.out, down);
  }
}

Tensor argsort(const Op& op, T t, std::int64_t axis_number, bool down) {
  static const Op& row = find_op("argsort_last");
  if (t.ndim() == 0) fail<ValueError>(op.name, ": ", t, " is 0-d and has no axis to sort along");
  const int at = normalize_axis(axis_number, t.ndim(), op.name), end = t.ndim() - 1;
  return moveaxis(apply(row, {moveaxis(t, at, end)}, {down}), end, at);
}
std::vector<Tensor> topk(const Op& op, Args& a) {
  T t = a[0].tensor;
  const Tensor order = argsort(op, t, a[2].integer, a[3].flag());
  const int at = normalize_axis(a[2].integer, t.ndim(), op.name);
  if (a[1].integer < 0 || a[1].integer > t.dim(at))
    fail<ValueError>(op.name, ": k = ", a[1].integer, " for an axis of size ", t.dim(at), " of ", t);
  const Tensor best = narrow(order, at, 0, a[1].integer);
  return {take_along_axis(t, best, at), best};
}

}  // namespace

Rows sort_rows() {
  return {
      {.name = "argsort_last",
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), Int64); },
       .compute = compute_argsort,
       .hidden = true},
      {.name = "argsort",
       .doc = "The positions that sort x along an axis; stable, NaN last.",
       .params = {x, axis, descending, stable},
       .call = [](const Op& op, Args& a) { return argsort(op, a[0].tensor, a[1].integer, a[2].flag()); }},
      {.name = "sort",
       .doc = "x sorted along an axis; stable, NaN last.",
       .params = {x, axis, descending, stable},
       .call =
           [](const Op& op, Args& a) {
             const int at = normalize_axis(a[1].integer, std::max(1, a[0].tensor.ndim()), op.name);
             return take_along_axis(a[0].tensor, argsort(op, a[0].tensor, a[1].integer, a[2].flag()), at);
           }},
      {.name = "topk",
       .doc = "The k largest (smallest) elements along an axis, in order, and their positions.",
       .params = {x, {"k", Kind::integer}, axis, {"largest", Kind::flag, "True"}},
       .call_many = topk},
  };
}

}  // namespace steep
