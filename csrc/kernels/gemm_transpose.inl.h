// Transposition in registers, and the inner kernel that multiplies by a matrix as it transposes it: for a few rows of A
// and a column-major B (x W^T), where a packed panel would be read only once or twice. Start reading at transpose, then
// tile_transposing.

namespace gemm {

constexpr int steps_ahead = 64;  // elements, prefetched along each column that is being transposed

// Where lane l comes from when two vectors of n lanes, x then y, exchange elements `half` apart in a transposition:
// inside 16 bytes (`unit` lanes) x and y interleave; across them, x's even (or odd) units come before y's. Each of
// these is one cheap instruction on every instruction set, unlike swapping quarters in place.
constexpr int source_lane(int l, int half, int n, int unit, bool high) {
  if (half < unit) return l % 2 * n + l / unit * unit + l % unit / 2 + (high ? unit / 2 : 0);
  const int q = 2 * (l / unit), units = n / unit;
  return (q >= units ? n : 0) + (q % units + (high ? 1 : 0)) * unit + l % unit;
}

template <class T, int half, int... l>
STEEP_INLINE void exchange(Vec<T>& x, Vec<T>& y, std::integer_sequence<int, l...>) {
  constexpr int unit = 16 / static_cast<int>(sizeof(T));
  const Vec<T> low = __builtin_shufflevector(x.v, y.v, source_lane(l, half, lanes<T>, unit, false)...);
  const Vec<T> high = __builtin_shufflevector(x.v, y.v, source_lane(l, half, lanes<T>, unit, true)...);
  x = low;
  y = high;
}

template <class T, int half> STEEP_INLINE void exchange_all(Vec<T> (&x)[lanes<T>]) {
  repeat<lanes<T>>(STEEP_EACH(i) {
    if constexpr ((i & half) == 0) exchange<T, half>(x[i], x[i + half], std::make_integer_sequence<int, lanes<T>>{});
  });
}

template <class T> constexpr int unit_of = 16 / static_cast<int>(sizeof(T));

// Transposes a square: first inside 16 bytes, from far to near, then across them, from near to far.
template <class T> STEEP_INLINE void transpose_units(Vec<T> (&x)[lanes<T>]) {
  if constexpr (unit_of<T> == 4) exchange_all<T, 2>(x);
  exchange_all<T, 1>(x);
}
template <class T> STEEP_INLINE void transpose(Vec<T> (&x)[lanes<T>]) {
  transpose_units<T>(x);
  if constexpr (unit_of<T> < lanes<T>) exchange_all<T, unit_of<T>>(x);
  if constexpr (2 * unit_of<T> < lanes<T>) exchange_all<T, 2 * unit_of<T>>(x);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// 16 bytes of two rows.
STEEP_INLINE Vec<float> load_halves(const float* low, const float* high) {
  return (Vec<float>::Raw)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}
STEEP_INLINE Vec<double> load_halves(const double* low, const double* high) {
  return (Vec<double>::Raw)_mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(low)), _mm_loadu_pd(high), 1);
}
#endif

// The square whose rows begin at row(0), row(1), .., each asked for once, transposed. With vectors of 32 bytes the
// exchange across 16 bytes is made as they are loaded, which costs nothing; shuffles that cross them are slow, on some
// processors very.
template <class T, class Row> STEEP_INLINE void load_transposed(Vec<T> (&x)[lanes<T>], Row row) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  constexpr int unit = unit_of<T>;
  repeat<unit>(STEEP_EACH(i) {
    const T *low = row(i), *high = row(Index<i + unit>{});
    x[i] = load_halves(low, high);
    x[i + unit] = load_halves(low + unit, high + unit);
  });
  transpose_units<T>(x);
#else
  repeat<lanes<T>>(STEEP_EACH(i) { x[i] = load(row(i)); });
  transpose<T>(x);
#endif
}

// How many vectors of columns of B are transposed side by side, so that enough independent additions are in flight.
constexpr int transposed_groups(int rows) { return rows <= (kVecBytes == 64 ? 6 : 3) ? 2 : 1; }

// By how many squares the second group follows the first: by one cache line. Columns that are a multiple of 4 KB apart
// share their places in the first cache, which holds a line of each of one group's columns, not of two, until all of it
// is read.
constexpr int squares_behind = 64 / kVecBytes > 1 ? 64 / kVecBytes : 0;

// The columns of B that one group reads; columns past the last one read it again, and are not stored.
template <class T, int count> STEEP_INLINE void find_columns(const Tile<T>& t, const T* (&column)[count]) {
  for (int i = 0; i < count; ++i) column[i] = t.b + least(i, t.width - 1) * t.b_row;
}

// What is left of a tile's k, less than a square, of one group of columns.
template <class T, int rows>
static void add_rest(const T* const* column, std::int64_t p, std::int64_t steps, const T* a, Vec<T> (&sum)[rows]) {
  const Part<T> part(steps);
  Vec<T> x[lanes<T>];
  for (int i = 0; i < lanes<T>; ++i) x[i] = load_part(column[i] + p, part);
  transpose<T>(x);
  for (std::int64_t l = 0; l < steps; ++l, a += rows)
    repeat<rows>(STEEP_EACH(i) { sum[i] = fma(Vec<T>(a[i]), x[l], sum[i]); });
}

// A square of a tile: its columns of B begin at the pointers, p steps of k along.
template <class T, int rows>
STEEP_INLINE void add_square(const T* const* column, std::int64_t p, const Tile<T>& t, Vec<T> (&sum)[rows]) {
  constexpr int n = lanes<T>;
  [[maybe_unused]] const std::int64_t next = p + 64, ahead = next < t.depth ? next : next - t.depth + 2 * n * t.b_row;
  Vec<T> x[n];
  load_transposed(
      x, STEEP_EACH(i) {
        if constexpr (squares_behind == 0) __builtin_prefetch(column[i] + ahead, 0, 2);
        return column[i] + p;
      });
  const T* row = t.a + p * rows;
  asm volatile("" : "+r"(row));  // else what is read here is kept for the next group, and other registers spill
  repeat<n>(STEEP_EACH(l) { repeat<rows>(STEEP_EACH(i) { sum[i] = fma(Vec<T>(row[l * rows + i]), x[l], sum[i]); }); });
}

// As tile, but B is columns `b_row` apart, contiguous along k, and A is [depth, rows] contiguous.
template <class T, int rows> static void tile_transposing(const Tile<T>& t) {
  constexpr int groups = transposed_groups(rows), n = lanes<T>;
  const T* column[groups * n];
  find_columns(t, column);
  Vec<T> sum[groups][rows] = {};
  const std::int64_t whole = t.depth / n * n, behind = groups > 1 ? squares_behind * n : 0;
  for (std::int64_t p = 0; p < whole + behind; p += n) {
    if (p < whole) add_square<T, rows>(column, p, t, sum[0]);
    if (groups > 1 && p >= behind) add_square<T, rows>(column + n, p - behind, t, sum[groups - 1]);
  }
  if (whole < t.depth)
    repeat<groups>(STEEP_EACH(g) {
      Vec<T> rest[rows];  // a copy, so that the sums above stay in registers
      repeat<rows>(STEEP_EACH(i) { rest[i] = sum[g][i]; });
      add_rest<T, rows>(column + g * n, whole, t.depth - whole, t.a + whole * rows, rest);
      repeat<rows>(STEEP_EACH(i) { sum[g][i] = rest[i]; });
    });
  repeat<groups>(STEEP_EACH(g) {
    if (g * n >= t.width) return;
    with_part<T>(
        t.width - g * n, STEEP_EACH(part) {
          repeat<rows>(STEEP_EACH(i) {
            Vec<T> row[1] = {sum[g][i]};
            store_row(t.c + i * t.ldc + g * n, row, part, t.add);
          });
        });
  });
}

template <class T>
static constexpr auto transposing_tiles = tile_table<TileFn<T>, tile_rows, 1>([]<int rows, int>() -> TileFn<T> {
  return tile_transposing<T, rows>;
});

}  // namespace gemm
