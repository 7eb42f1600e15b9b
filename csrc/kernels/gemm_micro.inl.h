// The inner kernels of the matrix product: a tile of C held in registers while k runs. Start reading at tile.
// All arithmetic of a product happens in fma and in store_row, so that every shape, layout and instruction set
// gives the same bits: within a block of k an element is one chain of fused multiply-adds that starts at zero, and
// the finished block is added to what C holds (the first block replaces it).

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int tile_rows = 14;  // 28 accumulators, two vectors of B and one broadcast of A: 31 of 32 registers
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
constexpr int tile_rows = 6;  // 12 accumulators of 16 registers
#else
constexpr int vector_bytes = 16;
constexpr int tile_rows = 4;
#endif

static inline std::int64_t least(std::int64_t x, std::int64_t y) { return x < y ? x : y; }

template <class T> struct Reg {
  typedef T type __attribute__((vector_size(vector_bytes)));
  typedef T loose __attribute__((vector_size(vector_bytes), aligned(alignof(T)), may_alias));
};
template <class T> using V = typename Reg<T>::type;
template <class T> constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

#define STEEP_INLINE [[gnu::always_inline]] static inline
#define STEEP_EACH(i) [&](auto i) __attribute__((always_inline))

// f(0), f(1), .. with constant arguments, so that arrays indexed by them live in registers.
template <int i> struct Index {
  constexpr operator int() const { return i; }
};
template <class F, int... i> STEEP_INLINE void repeat_each(F& f, std::integer_sequence<int, i...>) {
  (f(Index<i>{}), ...);
}
template <int count, class F> STEEP_INLINE void repeat(F f) {
  repeat_each(f, std::make_integer_sequence<int, count>{});
}

template <class T> STEEP_INLINE V<T> load(const T* p) { return *reinterpret_cast<const typename Reg<T>::loose*>(p); }
template <class T> STEEP_INLINE void store(T* p, V<T> x) { *reinterpret_cast<typename Reg<T>::loose*>(p) = x; }

// Part says how many leading lanes of a vector exist: the other lanes are neither read nor written, and load as zero.
#if defined(__AVX512F__)
template <class T> struct Part {
  std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8> mask;
  explicit Part(std::int64_t count) : mask(static_cast<decltype(mask)>((1u << count) - 1)) {}
};
STEEP_INLINE V<float> load_part(const float* p, Part<float> n) { return _mm512_maskz_loadu_ps(n.mask, p); }
STEEP_INLINE V<double> load_part(const double* p, Part<double> n) { return _mm512_maskz_loadu_pd(n.mask, p); }
STEEP_INLINE void store_part(float* p, V<float> x, Part<float> n) { _mm512_mask_storeu_ps(p, n.mask, x); }
STEEP_INLINE void store_part(double* p, V<double> x, Part<double> n) { _mm512_mask_storeu_pd(p, n.mask, x); }
STEEP_INLINE V<float> spread(float x) { return _mm512_set1_ps(x); }
STEEP_INLINE V<double> spread(double x) { return _mm512_set1_pd(x); }
STEEP_INLINE V<float> fma(V<float> x, V<float> y, V<float> z) { return _mm512_fmadd_ps(x, y, z); }
STEEP_INLINE V<double> fma(V<double> x, V<double> y, V<double> z) { return _mm512_fmadd_pd(x, y, z); }

#elif defined(__AVX2__) && defined(__FMA__)
alignas(32) static const std::int32_t part_bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
template <class T> struct Part {
  __m256i mask;
  explicit Part(std::int64_t count)
      : mask(_mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(part_bits + 8 - count * static_cast<std::int64_t>(sizeof(T) / 4)))) {}
};
STEEP_INLINE V<float> load_part(const float* p, Part<float> n) { return _mm256_maskload_ps(p, n.mask); }
STEEP_INLINE V<double> load_part(const double* p, Part<double> n) { return _mm256_maskload_pd(p, n.mask); }
STEEP_INLINE void store_part(float* p, V<float> x, Part<float> n) { _mm256_maskstore_ps(p, n.mask, x); }
STEEP_INLINE void store_part(double* p, V<double> x, Part<double> n) { _mm256_maskstore_pd(p, n.mask, x); }
STEEP_INLINE V<float> spread(float x) { return _mm256_set1_ps(x); }
STEEP_INLINE V<double> spread(double x) { return _mm256_set1_pd(x); }
STEEP_INLINE V<float> fma(V<float> x, V<float> y, V<float> z) { return _mm256_fmadd_ps(x, y, z); }
STEEP_INLINE V<double> fma(V<double> x, V<double> y, V<double> z) { return _mm256_fmadd_pd(x, y, z); }

#else
template <class T> struct Part {
  std::int64_t count;
  explicit Part(std::int64_t n) : count(n) {}
};
template <class T> STEEP_INLINE V<T> load_part(const T* p, Part<T> n) {
  V<T> x = {};
  std::memcpy(&x, p, static_cast<std::size_t>(n.count) * sizeof(T));
  return x;
}
template <class T> STEEP_INLINE void store_part(T* p, V<T> x, Part<T> n) {
  std::memcpy(p, &x, static_cast<std::size_t>(n.count) * sizeof(T));
}
STEEP_INLINE V<float> spread(float x) { return V<float>{x, x, x, x}; }
STEEP_INLINE V<double> spread(double x) { return V<double>{x, x}; }

#if defined(__FP_FAST_FMAF)
STEEP_INLINE float fma_lane(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
#else
// The product of two floats is exact in double. Its sum with z is rounded to odd (when inexact, the neighbour with
// an odd last bit), which keeps the second rounding, to float, from falling on a false tie.
STEEP_INLINE float fma_lane(float x, float y, float z) {
  const double p = static_cast<double>(x) * y, c = z, sum = p + c, from_c = sum - p;
  const double error = (p - (sum - from_c)) + (c - from_c);
  std::uint64_t bits;
  std::memcpy(&bits, &sum, sizeof bits);
  if (error != 0 && __builtin_isfinite(sum) && !(bits & 1)) bits += (error > 0) == (sum > 0) ? 1 : -1;
  double odd;
  std::memcpy(&odd, &bits, sizeof odd);
  return static_cast<float>(odd);
}
#endif
STEEP_INLINE double fma_lane(double x, double y, double z) { return std::fma(x, y, z); }

template <class X> STEEP_INLINE X fma(X x, X y, X z) {
  for (std::size_t i = 0; i < sizeof(X) / sizeof(x[0]); ++i) z[i] = fma_lane(x[i], y[i], z[i]);
  return z;
}
#endif

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
  bool add;  // to what C holds
};

template <class T, int vecs> STEEP_INLINE void load_row(V<T> (&x)[vecs], const T* p, Part<T> last) {
  repeat<vecs - 1>(STEEP_EACH(j) { x[j] = load(p + j * lanes<T>); });
  x[vecs - 1] = load_part(p + (vecs - 1) * lanes<T>, last);
}

// Writes one row of the tile, or adds it to what is there.
template <class T, int vecs> STEEP_INLINE void store_row(T* p, V<T> (&x)[vecs], Part<T> last, bool add) {
  if (add) {
    V<T> old[vecs];
    load_row<T, vecs>(old, p, last);
    repeat<vecs>(STEEP_EACH(j) { x[j] = old[j] + x[j]; });
  }
  repeat<vecs - 1>(STEEP_EACH(j) { store(p + j * lanes<T>, x[j]); });
  store_part(p + (vecs - 1) * lanes<T>, x[vecs - 1], last);
}

constexpr int rows_ahead =
    8;  // of B, prefetched: its panels come from the second-level cache, unpacked rows from farther away

// `down`: the rows of A are neighbours in memory (a packed panel, or a transposed matrix).
template <class T, int rows, int vecs, bool down> static void tile(const Tile<T>& t) {
  const Part<T> last(t.width - (vecs - 1) * lanes<T>);
  const std::int64_t a_row = down ? 1 : t.a_row, a_col = t.a_col, b_row = t.b_row;
  const T *a = t.a, *b = t.b;
  repeat<rows>(
      STEEP_EACH(i) { repeat<vecs>(STEEP_EACH(j) { __builtin_prefetch(t.c + i * t.ldc + j * lanes<T>, 0, 2); }); });
  V<T> sum[rows][vecs] = {};
  for (std::int64_t k = t.depth; k > 0; --k, a += a_col, b += b_row) {
    V<T> x[vecs];
    load_row<T, vecs>(x, b, last);
    repeat<vecs>(STEEP_EACH(j) { __builtin_prefetch(b + rows_ahead * b_row + j * lanes<T>); });
    repeat<rows>(STEEP_EACH(i) {
      const V<T> y = spread(a[i * a_row]);
      repeat<vecs>(STEEP_EACH(j) { sum[i][j] = fma(y, x[j], sum[i][j]); });
    });
  }
  repeat<rows>(STEEP_EACH(i) { store_row<T, vecs>(t.c + i * t.ldc, sum[i], last, t.add); });
}

// The widest tile, in vectors, that leaves its accumulators in registers at a given height.
constexpr int widest(int rows) {
  if (vector_bytes == 64) return rows == 1 ? 16 : rows == 2 ? 8 : rows <= 6 ? 4 : rows <= 8 ? 3 : 2;
  return rows == 1 ? (vector_bytes == 32 ? 8 : 4) : rows <= 4 && vector_bytes == 32 ? 3 : 2;
}

template <class T> using TileFn = void (*)(const Tile<T>&);
constexpr int widest_of_all = 16;

template <class T, int rows, int vecs, bool down> constexpr TileFn<T> tile_if_it_fits() {
  if constexpr (vecs <= widest(rows)) return tile<T, rows, vecs, down>;
  return nullptr;
}

// Every tile of one layout of A: at[rows - 1][vecs - 1].
template <class T, bool down> struct Tiles {
  TileFn<T> at[tile_rows][widest_of_all] = {};

  constexpr Tiles() : Tiles(std::make_integer_sequence<int, tile_rows * widest_of_all>{}) {}
  template <int... i> constexpr explicit Tiles(std::integer_sequence<int, i...>) {
    ((at[i / widest_of_all][i % widest_of_all] =
          tile_if_it_fits<T, i / widest_of_all + 1, i % widest_of_all + 1, down>()),
     ...);
  }
};
template <class T, bool down> static constexpr Tiles<T, down> tiles{};
