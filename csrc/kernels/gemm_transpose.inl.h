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

// Transposes a square: first inside 16 bytes, from far to near, then across them, from near to far.
template <class T> STEEP_INLINE void transpose(Vec<T> (&x)[lanes<T>]) {
  constexpr int unit = 16 / static_cast<int>(sizeof(T));
  if constexpr (unit == 4) exchange_all<T, 2>(x);
  exchange_all<T, 1>(x);
  if constexpr (unit < lanes<T>) exchange_all<T, unit>(x);
  if constexpr (2 * unit < lanes<T>) exchange_all<T, 2 * unit>(x);
}

// How many vectors of columns of B are transposed side by side, so that enough independent additions are in flight.
constexpr int transposed_groups(int rows) { return rows <= (kVecBytes == 64 ? 6 : 3) ? 2 : 1; }

// The columns of B that one group reads; columns past the last one read it again, and are not stored.
template <class T, int count> STEEP_INLINE void find_columns(const Tile<T>& t, const T* (&column)[count]) {
  for (int i = 0; i < count; ++i) column[i] = t.b + least(i, t.width - 1) * t.b_row;
}

template <class T> STEEP_INLINE void load_square(Vec<T> (&x)[lanes<T>], const T* const* column, std::int64_t p,
                                                 Part<T> steps, std::int64_t ahead) {
  repeat<lanes<T>>(STEEP_EACH(i) {
    x[i] = load_part(column[i] + p, steps);
    __builtin_prefetch(column[i] + ahead, 0, 2);
  });
  transpose<T>(x);
}

// As tile, but B is columns `b_row` apart, contiguous along k, and A is [depth, rows] contiguous.
template <class T, int rows> static void tile_transposing(const Tile<T>& t) {
  constexpr int groups = transposed_groups(rows), n = lanes<T>;
  const T* column[groups * n];
  find_columns(t, column);
  Vec<T> sum[groups][rows] = {};
  for (std::int64_t p = 0; p < t.depth; p += n) {
    const std::int64_t steps = least(n, t.depth - p);
    const std::int64_t next = p + 64, ahead = next < t.depth ? next : next - t.depth + groups * n * t.b_row;
    const T* a = t.a + p * rows;
    repeat<groups>(STEEP_EACH(g) {
      Vec<T> x[n];
      load_square<T>(x, column + g * n, p, Part<T>(steps), ahead);
      repeat<n>(STEEP_EACH(l) {
        if (l >= steps) return;
        repeat<rows>(STEEP_EACH(i) { sum[g][i] = fma(Vec<T>(a[l * rows + i]), x[l], sum[g][i]); });
      });
    });
  }
  repeat<groups>(STEEP_EACH(g) {
    if (g * n >= t.width) return;
    const Part<T> part(least(n, t.width - g * n));
    repeat<rows>(STEEP_EACH(i) {
      Vec<T> row[1] = {sum[g][i]};
      store_row<T, 1>(t.c + i * t.ldc + g * n, row, part, t.add);
    });
  });
}

template <class T> struct TransposingTiles {
  TileFn<T> at[tile_rows] = {};

  constexpr TransposingTiles() : TransposingTiles(std::make_integer_sequence<int, tile_rows>{}) {}
  template <int... i> constexpr explicit TransposingTiles(std::integer_sequence<int, i...>)
      : at{tile_transposing<T, i + 1>...} {}
};
template <class T> static constexpr TransposingTiles<T> transposing_tiles{};

}  // namespace gemm
