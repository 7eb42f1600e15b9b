// One or two rows of A times a row-major B too large for the first caches: some whole rows of B at a time pass through
// the processor as they lie in memory, and the sums of all columns wait in a buffer. A tile of C in registers would
// read B in pieces a row apart, which costs twice the time. Start reading at stream.

namespace gemm {

constexpr int streamed_rows = 2, streamed_steps = 8;  // of A; of k at a time

template <class T> struct Stream {
  const T* a;
  std::int64_t a_row, a_col;
  const T* b;
  std::int64_t b_row, columns;
  T* sum;
  std::int64_t ld;
};

// Elements of A, which registers hold where they can.
template <class T, int rows, int steps> struct Factors { Vec<T> of[rows][steps]; };

// A vector of columns, `steps` of k further. `first`: the sums begin at zero.
template <class T, int rows, int steps, class Last>
STEEP_INLINE void add_streamed(const Stream<T>& s, const Factors<T, rows, steps>& a, std::int64_t j, bool first,
                               Last last) {
  Vec<T> sum[rows];
  repeat<rows>(STEEP_EACH(i) { sum[i] = first ? Vec<T>(T(0)) : load(s.sum + i * s.ld + j); });
  repeat<steps>(STEEP_EACH(p) {
    const Vec<T> x = load_part(s.b + p * s.b_row + j, last);
    repeat<rows>(STEEP_EACH(i) { sum[i] = fma(a.of[i][p], x, sum[i]); });
  });
  repeat<rows>(STEEP_EACH(i) { store(s.sum + i * s.ld + j, sum[i]); });
}

template <class T, int rows, int steps> static void stream_steps(const Stream<T>& s, bool first) {
  Factors<T, rows, steps> a;
  repeat<steps>(STEEP_EACH(p) { repeat<rows>(STEEP_EACH(i) { a.of[i][p] = s.a[i * s.a_row + p * s.a_col]; }); });
  std::int64_t j = 0;
  for (; j + lanes<T> <= s.columns; j += lanes<T>) add_streamed(s, a, j, first, Whole{});
  if (j < s.columns) add_streamed(s, a, j, first, Part<T>(s.columns - j));
}

// C[rows, columns] over `depth` steps of k, stored or added to what it holds.
template <class T, int rows> static void stream(Stream<T> s, std::int64_t depth, T* c, std::int64_t ldc, bool add) {
  for (std::int64_t p = 0, steps; p < depth; p += steps) {
    steps = depth - p >= streamed_steps ? streamed_steps : 1;
    if (steps > 1) interruption_point();
    (steps > 1 ? stream_steps<T, rows, streamed_steps> : stream_steps<T, rows, 1>)(s, p == 0);
    s.a += steps * s.a_col;
    s.b += steps * s.b_row;
  }
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < s.columns; j += lanes<T>) {
      Vec<T> row[1] = {load(s.sum + i * s.ld + j)};
      store_row(c + i * ldc + j, row, Part<T>(least(lanes<T>, s.columns - j)), add);
    }
}

}  // namespace gemm
