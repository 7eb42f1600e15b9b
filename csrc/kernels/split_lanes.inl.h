// Whole operands as panels of bfloat16 parts: 32 rows of A, or columns of B, over one block of k, cut into the tiles of
// split_pack.inl.h. An operand is read in the order of its addresses: lane by lane where elements along k are adjacent,
// else step by step across all lanes, so that what is read next is known and prefetched. Start reading at pack_lanes.

namespace split {

// The panels of some lanes over a block of k, the magnitudes of the lanes, and of every panel whether any value has
// more than its first part: bfloat16s that were widened have not.
struct PackedLanes {
  std::uint32_t* at;
  Ranges ranges;
  bool* rest;

  // In memory of `bytes`: the words of the panels, the largest and the smallest magnitudes, and what panels have more.
  PackedLanes(void* memory, std::int64_t words, std::int64_t panels)
      : at(static_cast<std::uint32_t*>(memory)),
        ranges{at + words, at + words + panels * panel_lanes},
        rest(reinterpret_cast<bool*>(ranges.low + panels * panel_lanes)) {}
  static std::size_t bytes(std::int64_t words, std::int64_t panels) {
    return static_cast<std::size_t>(words + 2 * panels * panel_lanes) * sizeof(std::uint32_t) +
           static_cast<std::size_t>(panels);
  }
  void clear(std::int64_t panels) const {
    for (std::int64_t i = 0; i < panels; ++i) rest[i] = false;
    ranges.clear(panels * panel_lanes);
  }
};

// What is not read where it lies: tiles at the edges, filled up with zeros, and elements that are not adjacent.
struct TileCopy {
  alignas(64) float at[tile_lanes * tile_steps + Floats::n];
};

// The first tile of x, whose rows are to be lanes, or steps.
template <bool of_lanes> static TileRows rows_of(const Lanes& x, std::int64_t steps, TileCopy& copy) {
  const std::int64_t count = least(x.count, tile_lanes), depth = least(steps, tile_steps);
  const bool whole = count == tile_lanes && depth == tile_steps;
  if (of_lanes && whole && x.step == 1) return {x.at, x.lane, x.count > tile_lanes ? tile_lanes * x.lane : 0};
  if (!of_lanes && whole && x.lane == 1) return {x.at, x.step, steps > tile_steps ? tile_steps * x.step : 0};
  constexpr std::int64_t ld = of_lanes ? tile_steps : tile_lanes;
  if (!whole) __builtin_memset(&copy, 0, sizeof copy);
  if (count > 0)
    gemm::pack(of_lanes ? gemm::Strip<float>{copy.at, ld, x.at, x.step, x.lane, depth, count}
                        : gemm::Strip<float>{copy.at, ld, x.at, x.lane, x.step, count, depth});
  return {copy.at, ld, 0};
}

// The extremes of 16 lanes, each spread over a vector. Returns whether any value has more than its first part.
static bool put_extremes(const Extremes* seen, const Ranges& ranges) {
  Words rest(0u);
  for (std::int64_t i = 0; i < tile_lanes; i += Words::n) {
    Words high[Words::n], below[Words::n];
    for (int l = 0; l < Words::n; ++l) {
      high[l] = seen[i + l].high;
      below[l] = seen[i + l].below;
      rest = rest | seen[i + l].rest;
    }
    gemm::transpose<std::uint32_t>(high);
    gemm::transpose<std::uint32_t>(below);
    Extremes all;
    for (int l = 0; l < Words::n; ++l) {
      all.high = larger(all.high, high[l]);
      all.below = smaller(all.below, below[l]);
    }
    all.put(ranges.from(i));
  }
  return any_lane(rest);
}

// 16 lanes along all of k. Three parts of B are transposed before they are split, since that is two squares, not three.
template <bool is_a, int parts>
static bool pack_along_k(const Lanes& x, std::int64_t depth, std::uint32_t* to, const Ranges& ranges) {
  TileCopy copy;
  Extremes seen[tile_lanes];
  bool rest = false;
  for (std::int64_t p = 0; p < depth; p += tile_steps, to += tile_stride<parts>) {
    constexpr bool of_lanes = is_a || parts == 1;
    const TileRows rows = rows_of<of_lanes>(x.from(0, p), depth - p, copy);
    if constexpr (of_lanes)
      put_tile<parts, !is_a>(to, 2 * tile_words, [&](std::uint32_t* at, std::int64_t part) {
        split_rows_of_lanes<parts>(rows, at, part, seen);
      });
    else rest |= split_rows_of_steps<parts>(rows, to, 2 * tile_words, ranges);
  }
  return is_a || parts == 1 ? put_extremes(seen, ranges) : rest;
}

// 16 lanes over the steps of one tile, whose parts lie `part` words apart.
template <bool is_a, int parts> static bool pack_across(const Lanes& x, std::int64_t steps, std::uint32_t* to,
                                                        const Ranges& ranges, std::int64_t part = 2 * tile_words) {
  TileCopy copy;
  bool rest = false;
  const TileRows rows = rows_of<false>(x, steps, copy);
  put_tile<parts, is_a>(to, part, [&](std::uint32_t* at, std::int64_t part) {
    rest = split_rows_of_steps<parts>(rows, at, part, ranges);
  });
  return rest;
}

template <bool is_a, int parts> static void pack_lanes(const Lanes& x, std::int64_t depth, const PackedLanes& all) {
  const std::int64_t panels = ceil_div(x.count, panel_lanes), lanes = panels * panel_lanes;
  const std::int64_t panel = ceil_div(depth, tile_steps) * tile_stride<parts>;
  all.clear(panels);
  const std::int64_t block = x.step == 1 ? depth : tile_steps;
  for (std::int64_t p = 0; p < depth; p += block)
    for (std::int64_t i = 0; i < lanes; i += tile_lanes) {
      std::uint32_t* to = all.at + i / panel_lanes * panel + i % panel_lanes / tile_lanes * tile_words;
      const Lanes some = x.from(i, p);
      const Ranges ranges = all.ranges.from(i);
      all.rest[i / panel_lanes] |=
          x.step == 1 ? pack_along_k<is_a, parts>(some, depth, to, ranges)
                      : pack_across<is_a, parts>(some, depth - p, to + p / tile_steps * tile_stride<parts>, ranges);
    }
}

}  // namespace split
