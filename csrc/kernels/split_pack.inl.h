// Panels of bfloat16 parts for split.inl.h. A float32 is the sum of up to three bfloat16 (24 bits in three times 8):
// round, subtract, round, subtract. A panel holds 32 rows of A, or columns of B, over one block of k, cut into tiles as
// AMX reads them: 16 rows of 16 words, a word being the pair of values at k and k + 1. While packing, the largest and
// smallest magnitudes of every row and column are recorded, for split_guard.inl.h. Start reading at pack_panel.

namespace split {

constexpr std::int64_t panel_lanes = 32, tile_lanes = 16, tile_steps = 32, tile_words = 256;

// The rows of A or the columns of B: `lane` elements from one to the next, `step` along k.
struct Lanes {
  const float* at;
  std::int64_t lane, step, count;

  Lanes from(std::int64_t i, std::int64_t p, std::int64_t some) const {
    return {at + i * lane + p * step, lane, step, some};
  }
};

// Magnitudes as bits, which have the order of the numbers: the largest, and the smallest nonzero one, of every lane.
struct Ranges {
  std::int32_t *high, *low;

  Ranges from(std::int64_t i) const { return {high + i, low + i}; }
};

using Floats = Vec<float>;
using Words = Vec<std::uint32_t>;
using Bits = Vec<std::int32_t>;
constexpr std::uint32_t upper_half = 0xffff0000u;

STEEP_INLINE Words words(Floats x) { return (Words::Raw)x.v; }
STEEP_INLINE Floats floats(Words x) { return (Floats::Raw)x.v; }

// To nearest, ties to even. NaN and overflowing values are wrong here: their rows and columns are recomputed by the
// other code path.
STEEP_INLINE Words rounded(Floats x) {
  const Words b = words(x);
  return (b + 0x7fffu + ((b >> 16) & 1u)) & upper_half;
}

template <int parts> struct Parts {
  Words of[parts];

  STEEP_INLINE explicit Parts(Floats x) {
    for (int i = 0; i < parts; ++i) {
      of[i] = rounded(x);
      x = x - floats(of[i]);  // exact
    }
  }
};

// Recorded while packing: the largest and smallest magnitudes, and whether any value has more than its first part.
struct Extremes {
  Bits high, low, rest{0};

  STEEP_INLINE void add(Floats x) {
    rest = rest | (bits(x) & 0xffff);
    const Bits size = bits(x) & 0x7fffffff;
    const Bits some = select(size == 0, Bits(0x7fffffff), size);
    high = select(size > high, size, high);
    low = select(some < low, some, low);
  }
};

// 16 lanes over up to `chunk` steps as plain floats: rows along k for A, or along the lanes for B. Zero at the edges.
constexpr std::int64_t chunk = 128;
struct Stage {
  alignas(64) float at[tile_lanes * chunk + Floats::n];
};
template <bool is_a> static void stage(const Lanes& x, std::int64_t steps, Stage& s) {
  if (x.count < tile_lanes || steps % tile_steps) __builtin_memset(&s, 0, sizeof s);
  if (x.count <= 0) return;
  if (is_a) gemm::pack(gemm::Strip<float>{s.at, chunk, x.at, x.step, x.lane, steps, x.count});
  else gemm::pack(gemm::Strip<float>{s.at, tile_lanes, x.at, x.lane, x.step, x.count, steps});
}

typedef std::uint16_t Halves __attribute__((vector_size(kVecBytes / 2)));

// One row of A's tiles: 32 values in order of k.
template <int parts> STEEP_INLINE void split_row(const float* from, std::uint32_t* to, Extremes& seen) {
  for (std::int64_t p = 0; p < tile_steps; p += Floats::n) {
    const Floats x = load(from + p);
    seen.add(x);
    const Parts<parts> y(x);
    for (int i = 0; i < parts; ++i) {
      const Halves h = __builtin_convertvector((y.of[i] >> 16).v, Halves);
      __builtin_memcpy(to + i * 2 * tile_words + p / 2, &h, sizeof h);
    }
  }
}
template <int parts>
static bool split_a(const Stage& s, std::int64_t tiles, std::uint32_t* to, std::int64_t stride, Ranges r) {
  Bits rest(0);
  for (int i = 0; i < tile_lanes; ++i) {
    Extremes seen{Bits(r.high[i]), Bits(r.low[i])};
    for (std::int64_t t = 0; t < tiles; ++t)
      split_row<parts>(s.at + i * chunk + t * tile_steps, to + t * stride + i * 16, seen);
    for (int l = 0; l < Bits::n; ++l) {
      if (seen.high.v[l] > r.high[i]) r.high[i] = seen.high.v[l];
      if (seen.low.v[l] < r.low[i]) r.low[i] = seen.low.v[l];
    }
    rest = rest | seen.rest;
  }
  return any_lane(rest);
}

// One row of B's tiles: the pair at k and k + 1 of every column.
template <int parts> STEEP_INLINE void split_pair(const float* from, std::uint32_t* to, Extremes& seen) {
  const Floats x = load(from), y = load(from + tile_lanes);
  seen.add(x);
  seen.add(y);
  const Parts<parts> even(x), odd(y);
  for (int i = 0; i < parts; ++i) store(to + i * 2 * tile_words, (even.of[i] >> 16) | odd.of[i]);
}
template <int parts>
static bool split_b(const Stage& s, std::int64_t tiles, std::uint32_t* to, std::int64_t stride, Ranges r) {
  Bits rest(0);
  for (std::int64_t j = 0; j < tile_lanes; j += Floats::n) {
    Extremes seen{load(r.high + j), load(r.low + j)};
    for (std::int64_t p = 0; p < tiles * 16; ++p)
      split_pair<parts>(s.at + p * 2 * tile_lanes + j, to + p / 16 * stride + p % 16 * 16 + j, seen);
    store(r.high + j, seen.high);
    store(r.low + j, seen.low);
    rest = rest | seen.rest;
  }
  return any_lane(rest);
}

// A panel is its tiles of k in order, each as `parts` pairs of tiles: lanes 0 to 15, then 16 to 31.
template <int parts> constexpr std::int64_t tile_stride = parts * 2 * tile_words;

// Returns whether any value has more than its first part: bfloat16s that were widened have not.
template <bool is_a, int parts>
static bool pack_panel(const Lanes& x, std::int64_t depth, std::uint32_t* to, Ranges ranges) {
  constexpr std::int64_t stride = tile_stride<parts>;
  Stage s;
  bool rest = false;
  for (std::int64_t half = 0; half < 2; ++half)
    for (std::int64_t p = 0; p < depth; p += chunk) {
      const std::int64_t steps = least(depth - p, chunk), tiles = ceil_div(steps, tile_steps);
      const std::int64_t first = half * tile_lanes;
      stage<is_a>(x.from(first, p, least(x.count - first, tile_lanes)), steps, s);
      std::uint32_t* at = to + p / tile_steps * stride + half * tile_words;
      rest |= is_a ? split_a<parts>(s, tiles, at, stride, ranges.from(first))
                   : split_b<parts>(s, tiles, at, stride, ranges.from(first));
    }
  return rest;
}

}  // namespace split
