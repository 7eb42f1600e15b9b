// Tiles of bfloat16 parts for split.inl.h. A float32 is the sum of up to three bfloat16 (24 bits in three times 8):
// round, subtract, round, subtract. A tile is 16 rows of 16 words as AMX reads them, a word being the pair of values at
// k and k + 1: the rows of A's tiles are lanes, those of B's are pairs. The rows that lie in memory may be either.
// While packing, the largest and smallest magnitudes of every lane are recorded, for split_guard.inl.h. Start reading
// at put_tile; split_lanes.inl.h packs whole operands.

namespace split {

constexpr std::int64_t panel_lanes = 32, tile_lanes = 16, tile_steps = 32, tile_words = 256;
constexpr std::int64_t lane_words = tile_steps / 2;  // of a lane in a tile of A

// A panel is its tiles of k in order, each as `parts` pairs of tiles: lanes 0 to 15, then 16 to 31.
template <int parts> constexpr std::int64_t tile_stride = parts * 2 * tile_words;

// The rows of A or the columns of B: `lane` elements from one to the next, `step` along k.
struct Lanes {
  const float* at;
  std::int64_t lane, step, count;

  Lanes from(std::int64_t i, std::int64_t p) const { return {at + i * lane + p * step, lane, step, count - i}; }
};

// Magnitudes as bits, which have the order of the numbers: the largest, and the smallest nonzero one, of every lane.
constexpr std::uint32_t none = 0x7fffffff;  // the smallest of no magnitudes
struct Ranges {
  std::uint32_t *high, *low;

  Ranges from(std::int64_t i) const { return {high + i, low + i}; }
  void clear(std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) high[i] = 0, low[i] = none;
  }
};

using Floats = Vec<float>;
using Words = Vec<std::uint32_t>;
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
      of[i] = i < 2 ? rounded(x) : words(x) & upper_half;  // the third has no more than 8 bits
      x = x - floats(of[i]);                               // exact
    }
  }
};

// The largest and smallest magnitudes that were seen, and whether any value has more than its first part, which only
// products of several parts ask. Smallest ones are one less, so that zero is the largest of all integers.
struct Extremes {
  Words high{0u}, below{none - 1}, rest{0u};

  Extremes() = default;
  STEEP_INLINE explicit Extremes(const Ranges& r) : high(load(r.high)), below(load(r.low) - 1u) {}
  template <int parts> STEEP_INLINE void add(Floats x) {
    if constexpr (parts > 1) rest = rest | (words(x) & ~upper_half);
    const Words size = words(x) & ~(1u << 31);
    high = larger(high, size);
    below = smaller(below, size - 1u);
  }
  STEEP_INLINE void put(const Ranges& r) const {
    store(r.high, high);
    store(r.low, below + 1u);
  }
};

// 16 lanes over 32 steps in memory: rows `stride` elements apart, and the distance of what will be packed next.
struct TileRows {
  const float* at;
  std::int64_t stride, ahead;

  STEEP_INLINE Floats read(std::int64_t row, std::int64_t i) const {
    const float* from = at + row * stride + i;
    if (i * sizeof(float) % 64 == 0) __builtin_prefetch(from + ahead, 0, 2);
    return load(from);
  }
};

typedef std::uint16_t Halves __attribute__((vector_size(kVecBytes / 2)));

// Rows that are lanes, 32 values in order of k each. Part n of the tile begins at to + n * part; the extremes of a lane
// are spread over a vector.
template <int parts>
STEEP_INLINE void split_rows_of_lanes(const TileRows& x, std::uint32_t* to, std::int64_t part, Extremes* seen) {
  for (std::int64_t i = 0; i < tile_lanes; ++i)
    for (std::int64_t p = 0; p < tile_steps; p += Floats::n) {
      const Floats value = x.read(i, p);
      seen[i].add<parts>(value);
      const Parts<parts> split(value);
      for (int n = 0; n < parts; ++n) {
        const Halves h = __builtin_convertvector((split.of[n] >> 16).v, Halves);
        __builtin_memcpy(to + n * part + i * 16 + p / 2, &h, sizeof h);
      }
    }
}

// Rows that are steps, which make up words two by two. Returns whether any value has more than its first part.
template <int parts>
STEEP_INLINE bool split_rows_of_steps(const TileRows& x, std::uint32_t* to, std::int64_t part, const Ranges& ranges) {
  Words rest(0u);
  for (std::int64_t i = 0; i < tile_lanes; i += Floats::n) {
    Extremes seen(ranges.from(i));
    for (std::int64_t p = 0; p < tile_steps; p += 2) {
      const Floats first = x.read(p, i), second = x.read(p + 1, i);
      seen.add<parts>(first);
      seen.add<parts>(second);
      const Parts<parts> even(first), odd(second);
      for (int n = 0; n < parts; ++n) store(to + n * part + p * 8 + i, (even.of[n] >> 16) | odd.of[n]);
    }
    seen.put(ranges.from(i));
    rest = rest | seen.rest;
  }
  return any_lane(rest);
}

// A tile of every part, `part` words apart: split(to, part) writes its rows, which are those wanted or their columns.
template <int parts, bool transposed, class F>
STEEP_INLINE void put_tile(std::uint32_t* to, std::int64_t part, F split) {
  if constexpr (!transposed) {
    split(to, part);
  } else {
    alignas(64) std::uint32_t words[parts * tile_words];
    split(words, tile_words);
    for (int n = 0; n < parts; ++n)
      gemm::pack(gemm::Strip<float>{reinterpret_cast<float*>(to + n * part), 16,
                                    reinterpret_cast<const float*>(words + n * tile_words), 16, 1, 16, 16});
  }
}

}  // namespace split
