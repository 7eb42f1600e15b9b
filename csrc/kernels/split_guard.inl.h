// Which rows and columns may go through bfloat16 parts, and the recomputation of those that may not, by fused
// multiply-adds. How an element is computed depends on its row of A, its column of B and its own value, so the result
// depends neither on threads nor on the batch split. Start reading at repair.
//
// Three kinds of row (and column):
//   large    a magnitude above 2^50, an infinity or a NaN: all its elements are recomputed.
//   small    a magnitude below 2^-40, not zero: products of parts may underflow, by at most about 2^-125 times the
//            largest magnitude per term. Elements below 2^-90 times that magnitude, for which this matters, are
//            recomputed; for the others it is less than the rounding of one addition.
//   regular  all others. Every product of parts is at least 2^-126 (parts of x are multiples of 2^-23 of it), and sums
//            of such are multiples of the same unit: nothing underflows or overflows.

namespace split {

constexpr float large_above = 0x1p50f, small_below = 0x1p-40f, inexact_below = 0x1p-90f;

STEEP_INLINE std::uint32_t magnitude(float x) { return __builtin_bit_cast(std::uint32_t, x); }
STEEP_INLINE bool is_large(const Ranges& r, std::int64_t i) { return r.high[i] > magnitude(large_above); }
STEEP_INLINE bool is_small(const Ranges& r, std::int64_t i) { return r.low[i] < magnitude(small_below); }

static bool any_irregular(const Ranges& r, std::int64_t count) {
  bool any = false;
  for (std::int64_t i = 0; i < count; ++i)
    any |= r.high[i] > magnitude(large_above) || r.low[i] < magnitude(small_below);
  return any;
}

// The magnitude below which lost products matter, judged by this row or column alone; -1 if all products are 0.
static float inexact_limit(const Ranges& r, std::int64_t i) {
  if (r.high[i] == 0 || is_large(r, i)) return -1;
  const float largest = __builtin_bit_cast(float, r.high[i]);
  return inexact_below * (largest > 1 ? largest : 1);
}

// A product; what is repaired has m, n, c, ldc and by_fma as it has.
struct Whole {
  std::int64_t m, n, k;
  Lanes a, b;
  float* c;
  std::int64_t ldc;

  // Rows [i, i + mi) and columns [j, j + nj) by fused multiply-adds, into `to`.
  void by_fma(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj, float* to, std::int64_t ld) const {
    table().gemm[f32](mi, nj, k, a.at + i * a.lane, a.lane, a.step, b.at + j * b.lane, b.step, b.lane, to, ld,
                      Into::replace, nullptr);
  }
};

// Calls f(first, count) for every run of large rows or columns.
template <class F> static void each_large_run(const Ranges& r, std::int64_t count, F f) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = i;
    while (i < count && is_large(r, i)) ++i;
    if (i > first) f(first, i - first);
  }
}

// The columns' limits, for rows that are regular and for rows that are small.
struct Limits {
  float *regular, *small;
  bool any;
};
static Limits column_limits(const Ranges& r, std::int64_t n, float* spare) {
  const Limits l{spare, spare + n, false};
  bool any = false;
  for (std::int64_t j = 0; j < n; ++j) {
    l.small[j] = inexact_limit(r, j);
    l.regular[j] = is_small(r, j) ? l.small[j] : -1;
    any = any || l.regular[j] > 0;
  }
  return {l.regular, l.small, any};
}

STEEP_INLINE bool is_inexact(float c, float column, float row) {
  const float size = __builtin_fabsf(c);
  return column > 0 && (size < column || size < row);
}

// Whether any element of a row is: usually none, so this is the cost of small rows.
static bool any_inexact(const float* c, const float* columns, float row, std::int64_t n) {
  const Floats zero(0.0f), whole_row(row);
  Floats::Mask found(0);
  for (std::int64_t j = 0; j < n; j += Floats::n) {
    const bool whole = n - j >= Floats::n;
    const Floats size = absv(whole ? load(c + j) : load_part(c + j, n - j));
    const Floats column = whole ? load(columns + j) : load_part(columns + j, n - j);
    found = found | ((column > zero) & ((size < column) | (size < whole_row)));
  }
  return any_lane(found);
}

// A row's elements for which lost products matter are in columns [first, end).
struct Inexact {
  std::int64_t first, end;
};
struct RowLimit {
  float row;
  const float* columns;

  RowLimit(const Ranges& r, std::int64_t i, const Limits& l)
      : row(inexact_limit(r, i)), columns(is_small(r, i) ? l.small : l.regular) {}
  Inexact find(const float* c, std::int64_t n) const {
    Inexact f{n, 0};
    if (row < 0 || !any_inexact(c, columns, row, n)) return f;
    for (std::int64_t j = 0; j < n; ++j)
      if (is_inexact(c[j], columns[j], row)) {
        f.first = least(j, f.first);
        f.end = j + 1;
      }
    return f;
  }
};

constexpr std::int64_t repaired_at_once = 32;

// Up to 32 neighbouring rows from i on that have such elements; returns the number of rows processed.
template <class X>
static std::int64_t repair_inexact(const X& x, const Ranges& rows, const Limits& l, std::int64_t i, float* spare) {
  Inexact all{x.n, 0};
  std::int64_t count = 0;
  for (; count < repaired_at_once && i + count < x.m; ++count) {
    const Inexact f = RowLimit(rows, i + count, l).find(x.c + (i + count) * x.ldc, x.n);
    if (f.end == 0) break;
    all = {least(f.first, all.first), all.end > f.end ? all.end : f.end};
  }
  if (count == 0) return 1;
  const std::int64_t width = all.end - all.first;
  x.by_fma(i, count, all.first, width, spare, width);
  for (std::int64_t r = 0; r < count; ++r) {
    const RowLimit limit(rows, i + r, l);
    float* c = x.c + (i + r) * x.ldc + all.first;
    for (std::int64_t j = 0; j < width; ++j)
      if (is_inexact(c[j], limit.columns[all.first + j], limit.row)) c[j] = spare[r * width + j];
  }
  return count;
}

static bool any_small(const Ranges& r, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    if (is_small(r, i)) return true;
  return false;
}

// `spare` holds 2 n + 32 n floats.
template <class X> static void repair(const X& x, const Ranges& rows, const Ranges& columns, float* spare) {
  each_large_run(rows, x.m,
                 [&](std::int64_t i, std::int64_t some) { x.by_fma(i, some, 0, x.n, x.c + i * x.ldc, x.ldc); });
  each_large_run(columns, x.n, [&](std::int64_t j, std::int64_t some) { x.by_fma(0, x.m, j, some, x.c + j, x.ldc); });
  const Limits limits = column_limits(columns, x.n, spare);
  if (!limits.any && !any_small(rows, x.m)) return;
  for (std::int64_t i = 0; i < x.m;) i += repair_inexact(x, rows, limits, i, spare + 2 * x.n);
}

}  // namespace split
