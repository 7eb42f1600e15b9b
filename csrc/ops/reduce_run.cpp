// Which kernel a reduction over a set of axes runs. Axes that follow each other in memory, whatever their order, are
// the rows of one kernel, or the columns of another where kept axes follow them; otherwise a row is gathered into a
// buffer before it is folded, or the operand is copied where one is too long for that. Start reading at run_reduction.
#include "ops/reduce.h"

#include <bit>
#include <cmath>
#include <limits>

#include "core/iterate.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "kernels/scratch.h"

namespace steep {
namespace {

using k::Reduction;
using T = const Tensor&;

// Squares this much smaller than their sum are denormal or 0.
template <class E> constexpr E squares_lost_below = sizeof(E) == 4 ? static_cast<E>(0x1p-80) : static_cast<E>(0x1p-900);
constexpr std::int64_t longest_gathered = 1 << 22;  // bytes of a row

bool is_reduced(unsigned axes, int d) { return (axes >> d & 1) != 0; }

// Contiguous memory as [outer, n, inner], of which n is reduced; inner is 0 where kept axes lie between reduced ones.
struct Blocks {
  std::int64_t outer = 1, n = 1, inner = 1;
};
Blocks blocks_of(T t, unsigned axes) {
  Blocks b;
  bool begun = false;
  for (int d = 0; d < t.ndim(); ++d) {
    const bool reduced = is_reduced(axes, d);
    if (t.dim(d) == 1) continue;
    if (reduced && b.inner != 1) return {1, 1, 0};
    begun = begun || reduced;
    (reduced ? b.n : begun ? b.inner : b.outer) *= t.dim(d);
  }
  return b;
}

// The operand's view with the reduced axes last.
Tensor axes_last(T t, unsigned axes) {
  Dims shape, strides;
  for (const bool reduced : {false, true})
    for (int d = 0; d < t.ndim(); ++d)
      if (is_reduced(axes, d) == reduced) shape.push(t.dim(d)), strides.push(t.strides()[d]);
  return view(t, shape, strides, t->offset);
}

// Rows of n elements, of which f folds some.
template <class F> void over_rows(T out, std::int64_t n, double cost, F f) {
  const std::int64_t grain = std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(n, 1));
  parallel_for(out.size(), grain, cost * static_cast<double>(n), f);
}

void reduce_rows(k::RowReduce f, T in, T out, std::int64_t n) {
  const std::int64_t item = size_of(in.dtype()), out_item = size_of(out.dtype());
  over_rows(out, n, 0.1, [&](std::int64_t b, std::int64_t e) {
    f(in.bytes() + b * n * item, out.bytes() + b * out_item, e - b, n);
  });
}

// The same of a view whose rows lie in pieces.
void reduce_gathered(k::RowReduce f, T in, T out, std::int64_t n) {
  const std::int64_t item = size_of(in.dtype()), out_item = size_of(out.dtype());
  Dims shape = in.shape(), strides = in.strides();
  merge_dims(shape, strides);
  over_rows(out, n, 0.3, [&](std::int64_t b, std::int64_t e) {
    char* row = static_cast<char*>(k::scratch(k::Scratch::tiles, static_cast<std::size_t>(n * item)));
    for (; b < e; ++b) {
      gather(row, in.bytes(), item, shape, strides, b * n, n);
      f(row, out.bytes() + b * out_item, 1, n);
    }
  });
}

// Columns of every block.
void reduce_columns(k::ColReduce f, T in, T out, const Blocks& x) {
  const std::int64_t item = size_of(in.dtype()), out_item = size_of(out.dtype());
  const std::int64_t grain = std::max<std::int64_t>(64, 16384 / std::max<std::int64_t>(x.n, 1));
  parallel_for(out.size(), grain, 0.1 * static_cast<double>(x.n), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t some; b < e; b += some) {
      const std::int64_t block = b / x.inner, column = b % x.inner;
      some = std::min(e - b, x.inner - column);
      f(in.bytes() + (block * x.n * x.inner + column) * item, out.bytes() + b * out_item, x.n, some, x.inner);
    }
  });
}

// By rows or columns of contiguous memory; false where there are neither, or no kernel for them.
bool reduce_blocks(Reduction kind, T in, T out, unsigned axes) {
  const Blocks blocks = blocks_of(in, axes);
  const auto columns = k::table().col_reduce[kind][in.dtype()];
  if (blocks.inner == 0 || (blocks.inner > 1 && !columns)) return false;
  if (blocks.inner > 1) reduce_columns(columns, in, out, blocks);
  else reduce_rows(k::table().row_reduce[kind][in.dtype()], in, out, blocks.n);
  return true;
}

// The axes of a result that are not reduced, as the operand's order in memory has them: as a view of the result.
Tensor kept_in_order(T out, unsigned axes, const MemoryOrder& order) {
  const Dims row_major = contiguous_strides(out.shape());
  const bool keeps = out.ndim() == order.size();
  Dims shape, strides;
  for (const auto d : order) {
    const int axis = static_cast<int>(d);
    if (is_reduced(axes, axis)) continue;
    int at = axis;
    for (int before = 0; !keeps && before < axis; ++before) at -= is_reduced(axes, before);
    shape.push(out.dim(at)), strides.push(row_major[at]);
  }
  return view(out, shape, strides, out->offset);
}

// The same of an operand in another order, whose result is put in row-major order. Not positions among all elements,
// which count in row-major order.
bool reduce_in_order(Reduction kind, T in, T out, unsigned axes) {
  const bool positions = kind == Reduction::argmax || kind == Reduction::argmin;
  const MemoryOrder order = positions && std::popcount(axes) > 1 ? MemoryOrder() : dense_order(in);
  if (order.empty()) return false;
  unsigned moved = 0;
  for (int i = 0; i < order.size(); ++i)
    if (is_reduced(axes, static_cast<int>(order[i]))) moved |= 1u << i;
  const Tensor kept = kept_in_order(out, axes, order), to = kept.contiguous() ? kept : empty(kept.shape(), out.dtype());
  if (!reduce_blocks(kind, in_order(in, order), to, moved)) return false;
  if (!kept.contiguous()) copy_strided(kept, to);
  return true;
}

// Whether the sum of squares is as exact as sums are: neither infinite nor so small that squares were lost.
template <class E> bool is_exact(E squares) {
  return squares != squares || (squares < std::numeric_limits<E>::infinity() && squares > squares_lost_below<E>);
}
// The norm of a row by squares of its elements over a power of two close to the largest.
template <class E> E scaled_norm(E* row, std::int64_t n) {
  E top = 0, squares = 0;
  for (std::int64_t i = 0; i < n; ++i) top = std::max(top, std::abs(row[i]));
  if (top == 0 || std::isinf(top)) return top;
  const int exponent = std::ilogb(top);
  for (std::int64_t i = 0; i < n; ++i) row[i] = std::scalbn(row[i], -exponent);
  constexpr DType type = sizeof(E) == 4 ? Float32 : Float64;
  k::table().row_reduce[Reduction::squares][type](row, &squares, 1, n);
  return std::scalbn(std::sqrt(squares), exponent);
}
template <class E> void take_roots(T in, T out, unsigned axes) {
  const Tensor last = axes_last(in, axes);
  const std::int64_t n = in.size() / out.size();
  Dims shape = last.shape(), strides = last.strides();
  merge_dims(shape, strides);
  Tensor row;
  E* y = out.data<E>();
  for (std::int64_t i = 0; i < out.size(); ++i) {
    if (is_exact(y[i])) {
      y[i] = std::sqrt(y[i]);
    } else {
      k::interruption_point();
      if (!row) row = empty({n}, in.dtype());
      gather(row.bytes(), last.bytes(), size_of(in.dtype()), shape, strides, i * n, n);
      y[i] = scaled_norm(row.data<E>(), n);
    }
  }
}

}  // namespace

void run_euclidean_norm(const Call& c, unsigned axes) {
  run_reduction(c, Reduction::squares, axes);
  if (c.out.size() == 0 || c.in[0].size() == 0) return;
  if (c.out.dtype() == Float32) take_roots<float>(c.in[0], c.out, axes);
  else take_roots<double>(c.in[0], c.out, axes);
}

void run_reduction(const Call& c, Reduction kind, unsigned axes) {
  T in = c.in[0];
  const auto rows = k::table().row_reduce[kind][in.dtype()];
  if (!rows) fail<TypeError>(c.op.name, ": not defined for ", in, "; use any() or all(), or astype() first");
  if (c.out.size() == 0) return;
  if (in.contiguous() ? in.size() > 0 && reduce_blocks(kind, in, c.out, axes) : reduce_in_order(kind, in, c.out, axes))
    return;
  const Tensor last = axes_last(in, axes);
  const std::int64_t n = in.size() / c.out.size();
  if (last.contiguous() || n == 0) return reduce_rows(rows, last, c.out, n);
  if (n * size_of(in.dtype()) <= longest_gathered) return reduce_gathered(rows, last, c.out, n);
  reduce_rows(rows, contiguous(last), c.out, n);
}

}  // namespace steep
