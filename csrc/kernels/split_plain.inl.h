// What AMX's TDPBF16PS computes, in plain vector code with the same bits: in every tile the even and the odd members of
// the pairs are a chain of fused multiply-adds each, from zero; the two are added, and their sum is added to C.
// Denormal operands and results are flushed to zero. Start reading at PanelPair and Plain, then tile_product.

namespace split {

constexpr std::int64_t line_words = 16;

// Ranks of A's and B's part, in the order in which they are added up; after them come the largest parts, {0, 0}, so
// that sums of small products are finished before they meet large ones. Neighbours share a tile already loaded.
constexpr int small_products[5][2] = {{2, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 2}};

// Where a panel's tiles lie: tile(t, p, half) is part p of tile t, of lanes 0 to 15 or 16 to 31. Adjacent, the two
// halves behind one another.
template <int parts> struct AdjacentTiles {
  const std::uint32_t* at;

  STEEP_INLINE const std::uint32_t* tile(std::int64_t t, int p, int half) const {
    return at + t * tile_stride<parts> + (2 * p + half) * tile_words;
  }
};
// Tiles listed by their distance from `at`, a part `part` words behind the one before.
struct ListedTiles {
  const std::uint32_t* at;
  const std::int64_t* distance;
  std::int64_t part;

  STEEP_INLINE const std::uint32_t* tile(std::int64_t t, int p, int half) const {
    return at + distance[t] + p * part + half * tile_words;
  }
};
// Tiles behind one another, those of the other half of the lanes `half` words from them.
struct StackedTiles {
  const std::uint32_t* at;
  std::int64_t half, part;

  STEEP_INLINE const std::uint32_t* tile(std::int64_t t, int p, int second) const {
    return at + t * tile_words + p * part + second * half;
  }
};

// C[32, 32] = the product of two panels of `tiles` tiles; without the small products if the caller knows that they are
// zero. From `next` on lies what is read later, of which `lines` cache lines may be prefetched with every tile.
template <class A, class B> struct PanelPair {
  float* c;
  std::int64_t ldc;
  A a;
  B b;
  std::int64_t tiles;
  bool small;
  const std::uint32_t* next;
  std::int64_t lines;
};

// Denormals are flushed to zero, as operands and results, during the lifetime of a FlushDenormals. The arithmetic has
// to be in a separate function.
#if defined(__x86_64__)
STEEP_INLINE std::uint64_t float_control() { return _mm_getcsr(); }
STEEP_INLINE void set_float_control(std::uint64_t x) { _mm_setcsr(static_cast<unsigned>(x)); }
constexpr std::uint64_t flush_bits = 0x8040;
#elif defined(__aarch64__)
STEEP_INLINE std::uint64_t float_control() {
  std::uint64_t x;
  asm volatile("mrs %0, fpcr" : "=r"(x));
  return x;
}
STEEP_INLINE void set_float_control(std::uint64_t x) { asm volatile("msr fpcr, %0" : : "r"(x)); }
constexpr std::uint64_t flush_bits = 1 << 24;
#else
STEEP_INLINE std::uint64_t float_control() { return 0; }
STEEP_INLINE void set_float_control(std::uint64_t) {}
constexpr std::uint64_t flush_bits = 0;
#endif
struct FlushDenormals {
  const std::uint64_t before = float_control();

  STEEP_INLINE FlushDenormals() { set_float_control(before | flush_bits); }
  STEEP_INLINE ~FlushDenormals() { set_float_control(before); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

// The two members of pairs of bfloat16, as float32.
STEEP_INLINE Floats even(Words pairs) { return floats(pairs << 16); }
STEEP_INLINE Floats odd(Words pairs) { return floats(pairs & upper_half); }

constexpr int rows_at_once = kVecBytes == 64 ? 8 : 4;  // two accumulators per row have to fit in the registers

// C += A B of one tile each.
static inline void tile_product(float* c, std::int64_t ldc, const std::uint32_t* a, const std::uint32_t* b) {
  for (int i = 0; i < tile_lanes; i += rows_at_once)
    for (int j = 0; j < tile_lanes; j += Floats::n) {
      Floats x[rows_at_once], y[rows_at_once];
      for (int r = 0; r < rows_at_once; ++r) x[r] = y[r] = Floats(0.0f);
      for (int p = 0; p < 16; ++p) {
        const Words pairs = load(b + p * 16 + j);
        for (int r = 0; r < rows_at_once; ++r) {
          const Words pair(a[(i + r) * 16 + p]);
          x[r] = fma(even(pair), even(pairs), x[r]);
          y[r] = fma(odd(pair), odd(pairs), y[r]);
        }
      }
      for (int r = 0; r < rows_at_once; ++r) {
        float* at = c + (i + r) * ldc + j;
        store(at, load(at) + (x[r] + y[r]));
      }
    }
}

struct Plain {
  // C += one part of A times one part of B, over all four pairs of their tiles.
  template <class Pair> STEEP_INLINE static void multiply(const Pair& x, std::int64_t tile, const int (&parts)[2]) {
    for (int h = 0; h < 4; ++h)
      tile_product(x.c + h / 2 * tile_lanes * x.ldc + h % 2 * tile_lanes, x.ldc, x.a.tile(tile, parts[0], h / 2),
                   x.b.tile(tile, parts[1], h % 2));
  }

  template <class Pair> [[gnu::noinline]] static void add_up(const Pair& x) {
    for (std::int64_t t = 0; x.small && t < x.tiles; ++t)
      for (const auto& p : small_products) multiply(x, t, p);
    for (std::int64_t t = 0; t < x.tiles; ++t) multiply(x, t, {0, 0});
  }

  template <int parts, class Pair> static void panels(const Pair& x) {
    for (int i = 0; i < panel_lanes; ++i) __builtin_memset(x.c + i * x.ldc, 0, panel_lanes * sizeof *x.c);
    const FlushDenormals flush;
    add_up(x);
  }
};

}  // namespace split
