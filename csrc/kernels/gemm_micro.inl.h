// The inner kernels of the matrix product: a tile of C held in registers while k runs. Start reading at tile.
// All arithmetic of a product happens in fma and in store_row, so that every shape, layout and instruction set
// gives the same bits: within a block of k an element is one chain of fused multiply-adds that starts at zero, and
// the finished block is added to what C holds (the first block replaces it).

namespace gemm {

#if defined(__AVX512F__)
constexpr int tile_rows = 14;  // 28 accumulators, two vectors of B and one broadcast of A: 31 of 32 registers
#elif defined(__AVX2__)
constexpr int tile_rows = 6;  // 12 accumulators of 16 registers
#else
constexpr int tile_rows = 4;
#endif

constexpr std::int64_t most_depth = 512;    // steps of k in a block
constexpr std::int64_t least_length = 576;  // of a piece of a product, which repays the packing of its other side

// One tile: C[rows, width] over `depth` steps of k. B is read as vectors along its rows, A one element at a time.
template <class T> struct Tile {
  std::int64_t depth;
  const T* a;
  std::int64_t a_row, a_col;
  const T* b;
  std::int64_t b_row;
  T* c;
  std::int64_t ldc;
  std::int64_t width;
  bool add;                 // to what C holds
  bool padded = false;      // the rows of B go on to whole vectors
  const T* next = nullptr;  // what is read later, of which so many elements are prefetched with every step
  std::int64_t share = 0;
};

template <class T, int vecs, class Last> STEEP_INLINE void load_row(Vec<T> (&x)[vecs], const T* p, Last last) {
  repeat<vecs - 1>(STEEP_EACH(j) { x[j] = load(p + j * lanes<T>); });
  x[vecs - 1] = load_part(p + (vecs - 1) * lanes<T>, last);
}

// Writes one row of the tile, or adds it to what is there.
template <class T, int vecs, class Last> STEEP_INLINE void store_row(T* p, Vec<T> (&x)[vecs], Last last, bool add) {
  if (add) {
    Vec<T> old[vecs];
    load_row(old, p, last);
    repeat<vecs>(STEEP_EACH(j) { x[j] = old[j] + x[j]; });
  }
  repeat<vecs - 1>(STEEP_EACH(j) { store(p + j * lanes<T>, x[j]); });
  store_part(p + (vecs - 1) * lanes<T>, x[vecs - 1], last);
}

constexpr int rows_ahead =
    8;  // of B, prefetched: its panels come from the second-level cache, unpacked rows from farther away

// The products of a tile, added up over k.
template <class T, int rows, int vecs, bool down, bool fetching, class Last>
STEEP_INLINE void add_up(const Tile<T>& t, Last last, Vec<T> (&sum)[rows][vecs]) {
  const std::int64_t a_row = down ? 1 : t.a_row, a_col = t.a_col, b_row = t.b_row;
  const T *a = t.a, *b = t.b, *next = t.next;
  for (std::int64_t k = t.depth; k > 0; --k, a += a_col, b += b_row) {
    Vec<T> x[vecs];
    if constexpr (fetching) {
      __builtin_prefetch(next, 0, 2);
      next += t.share;
    }
    load_row(x, b, last);
    repeat<vecs>(STEEP_EACH(j) { __builtin_prefetch(b + rows_ahead * b_row + j * lanes<T>); });
    repeat<rows>(STEEP_EACH(i) {
      const Vec<T> y(a[i * a_row]);
      repeat<vecs>(STEEP_EACH(j) { sum[i][j] = fma(y, x[j], sum[i][j]); });
    });
  }
}

// `down`: the rows of A are neighbours in memory (a packed panel, or a transposed matrix). `fetching`: the share of
// what is read later is prefetched, which costs a few hundredths where it is near.
template <class T, int rows, int vecs, bool down, bool fetching = false> static void tile(const Tile<T>& t) {
  const std::int64_t last = t.width - (vecs - 1) * lanes<T>;
  repeat<rows>(
      STEEP_EACH(i) { repeat<vecs>(STEEP_EACH(j) { __builtin_prefetch(t.c + i * t.ldc + j * lanes<T>, 0, 2); }); });
  Vec<T> sum[rows][vecs] = {};
  const auto sum_up = STEEP_EACH(some) { add_up<T, rows, vecs, down, fetching>(t, some, sum); };
  const auto put = STEEP_EACH(some) {
    repeat<rows>(STEEP_EACH(i) { store_row(t.c + i * t.ldc, sum[i], some, t.add); });
  };
  if constexpr (fetching) {  // a whole panel
    sum_up(Whole{});
    put(Whole{});
  } else {
    with_part<T>(t.padded ? lanes<T> : last, sum_up);
    with_part<T>(last, put);
  }
}

// The widest tile, in vectors, that leaves its accumulators in registers at a given height.
constexpr int widest(int rows) {
  if (kVecBytes == 64) return rows == 1 ? 16 : rows == 2 ? 8 : rows <= 6 ? 4 : rows <= 8 ? 3 : 2;
  return rows == 1 ? (kVecBytes == 32 ? 8 : 4) : rows <= 4 && kVecBytes == 32 ? 3 : 2;
}

template <class T> using TileFn = void (*)(const Tile<T>&);
constexpr int widest_of_all = 16;

// Of one layout of A.
template <class T, bool down>
static constexpr auto tiles = tile_table<TileFn<T>, tile_rows, widest_of_all>([]<int rows, int vecs>() -> TileFn<T> {
  if constexpr (vecs <= widest(rows)) return tile<T, rows, vecs, down>;
  return nullptr;
});

// Of a packed A and a whole panel of B, by the number of rows alone; null for fewer than half a tile, which are rare.
template <class T>
static constexpr auto fetching_tiles = tile_table<TileFn<T>, tile_rows, 1>([]<int rows, int>() -> TileFn<T> {
  if constexpr (2 * rows >= tile_rows) return tile<T, rows, widest(rows), true, true>;
  return nullptr;
});

}  // namespace gemm
