// Convolutions by bfloat16 parts, on planes: the product of split.inl.h with an image in place of A, whose tiles are
// read straight from a canvas (split_canvas.inl.h), and the weight in place of B. The sum runs over blocks of 32
// channels, taps, and the channels of a block; an element's bits depend on what its window reads, its row of the
// weight, and the number of channels alone. Start reading at correlate, then correlate_part.

namespace split {

constexpr std::int64_t most_tiles = 36;              // that are summed before the sum is added to C
constexpr std::int64_t most_canvas_words = 1 << 17;  // a quarter of the second-level cache

// Blocks of channels whose products are summed before the sum is added to C: as equal as possible.
static inline std::int64_t blocks_at_once(std::int64_t blocks, std::int64_t taps) {
  const std::int64_t most = most_tiles > taps ? most_tiles / taps : 1;
  return ceil_div(blocks, ceil_div(blocks, most));
}

// One part of a convolution, whose weight is packed, and its canvas.
template <int parts> struct ConvPart {
  conv::Sweep<float> s;
  const PackedLanes& weight;
  const PartsCanvas& canvas;
  Ranges ranges;                 // of the canvas
  const std::int64_t* distance;  // of tiles, taps of a block of channels first
};

// The lanes of one tile over all taps of a block of channels: of the weight, whose taps are neighbours in memory.
template <int parts>
static bool pack_taps(const Lanes& x, std::int64_t taps, std::uint32_t* to, const Ranges& ranges, float* rows) {
  const std::int64_t depth = least(x.step, tile_steps * taps), lanes = least(x.count, tile_lanes);
  for (std::int64_t i = lanes < tile_lanes ? 0 : depth * tile_lanes; i < tile_steps * taps * tile_lanes; ++i)
    rows[i] = 0;
  if (lanes > 0) gemm::pack(gemm::Strip<float>{rows, tile_lanes, x.at, x.lane, 1, lanes, depth});
  bool rest = false;
  for (std::int64_t t = 0; t < taps; ++t, to += tile_stride<parts>)
    rest |=
        split_rows_of_steps<parts>(TileRows{rows + t * tile_lanes, taps * tile_lanes, 0}, to, 2 * tile_words, ranges);
  return rest;
}

// Panels of 32 rows of the weight: tiles in the order of the sum.
template <int parts>
static PackedLanes packed_weight(const Correlation& x, std::int64_t taps, std::int64_t row, std::int64_t rows) {
  const std::int64_t panels = ceil_div(rows, panel_lanes), lanes = panels * panel_lanes, depth = x.channels * taps;
  const std::int64_t tiles = ceil_div(x.channels, tile_steps) * taps, words = panels * tiles * tile_stride<parts>;
  const auto* from = static_cast<const float*>(x.weight) + row * depth;
  const PanelKey key{Packing::filter_parts, {parts, rows, x.channels, taps}};
  Panels memory(Scratch::conv_points, from, key, PackedLanes::bytes(words, panels));
  const PackedLanes all(memory.at(), words, panels);
  if (memory.packed()) return all;
  all.clear(panels);
  float* spare = gemm::scratch_for<float>(Scratch::gemm_c, tile_steps * taps * tile_lanes);
  for (std::int64_t i = 0; i < lanes; i += tile_lanes)
    for (std::int64_t t = 0; t < tiles; t += taps)
      all.rest[i / panel_lanes] |= pack_taps<parts>(
          {from + i * depth + t * tile_steps, depth, depth - t * tile_steps, rows - i}, taps,
          all.at + (i / panel_lanes * tiles + t) * tile_stride<parts> + i % panel_lanes / tile_lanes * tile_words,
          all.ranges.from(i), spare);
  memory.keep();
  return all;
}

// 32 positions of 32 rows, which tiles hold the other way round.
template <int parts, bool add>
static void put_positions(const ConvPart<parts>& p, const float* from, std::int64_t row, std::int64_t j) {
  alignas(64) float rows[panel_lanes * panel_lanes + Floats::n];
  gemm::pack(gemm::Strip<float>{rows, panel_lanes, from, panel_lanes, 1, panel_lanes, panel_lanes});
  put<add>(rows, p.s.c + row * p.s.ldc + j, p.s.ldc, least(panel_lanes, p.s.rows - row), panel_lanes);
}

// Some blocks of channels, of which the canvas is filled.
template <class Engine, int parts> static void multiply_blocks(const ConvPart<parts>& p, const Channels<float>& blocks,
                                                               const ListedTiles& canvas, bool rest) {
  alignas(64) float sums[panel_lanes * panel_lanes];
  const std::int64_t all_tiles = ceil_div(p.s.x.channels, tile_steps) * p.s.taps,
                     panel = all_tiles * tile_stride<parts>;
  const std::uint32_t* b = p.weight.at + blocks.first * p.s.taps * tile_stride<parts>;
  const std::int64_t lines = ceil_div(parts * 2 * tile_words / line_words, p.s.ldc / panel_lanes);
  const std::int64_t tiles = blocks.count * p.s.taps;
  using Tiles = AdjacentTiles<parts>;
  for (std::int64_t row = 0; row < p.s.rows; row += panel_lanes, b += panel)
    for (std::int64_t j = 0; j < p.s.ldc; j += panel_lanes) {
      Engine::template panels<parts>(
          PanelPair<ListedTiles, Tiles>{sums,
                                        panel_lanes,
                                        {canvas.at + j * lane_words, canvas.distance, canvas.part},
                                        {b},
                                        tiles,
                                        parts == 3 && (rest || p.weight.rest[row / panel_lanes]),
                                        b + panel + j / panel_lanes * lines * tiles * line_words,
                                        row + panel_lanes < p.s.rows ? lines : 0});
      (blocks.first ? put_positions<parts, true> : put_positions<parts, false>)(p, sums, row, j);
    }
}

// Outputs in rows `ld` apart, without gaps.
static inline void flatten(Correlation& x, std::int64_t ld) {
  x.out_row = ld;
  x.out_step[0] = x.window[1].out * x.window[2].out;
  x.out_step[1] = x.window[2].out;
  x.out_step[2] = 1;
}

// An image's part as the product that repair expects: rows of the weight, and positions.
struct ConvProblem {
  const Correlation& x;
  std::int64_t row, from, m, n;
  float* c;
  std::int64_t ldc;

  void by_fma(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj, float* to, std::int64_t ld) const {
    Correlation y = x;
    flatten(y, ld);
    y.parts = nullptr;
    y.product = nullptr;
    y.bias = nullptr;
    y.images = 1;
    y.out = to - (row + i) * ld - (from + j);
    table().correlate[f32](y, row + i, row + i + mi, from + j, from + j + nj);
  }
};

// The magnitudes of what every position of an image reads.
template <int parts> static void list_ranges(const ConvPart<parts>& p, std::int64_t image, const Ranges& to) {
  for (std::int64_t i = 0; i < p.s.count; ++i) {
    const std::int64_t place = image * p.canvas.image + p.canvas.one.place(p.s.from + i);
    to.from(i).clear(1);
    for (std::int64_t t = 0; t < p.s.taps; ++t) widen(to.from(i), p.ranges.from(place + p.distance[t] / lane_words), 1);
  }
}

// An image where some magnitudes are not regular: its positions without what lies between them, in rows `count` apart
// from `compact` on, get what fused multiply-adds give where parts would not do.
template <int parts> static void finish_irregular(const ConvPart<parts>& p, std::int64_t image, float* compact) {
  const conv::Sweep<float>& s = p.s;
  Correlation x = s.x;
  x.image = static_cast<const float*>(x.image) + image * x.image_step;
  x.out = static_cast<float*>(x.out) + image * x.out_image;
  Correlation flat = x;
  flatten(flat, s.count);
  conv::gather_rows(
      conv::Sweep<float>{flat, s.taps, s.row, s.rows, s.from, s.count, 0, 0, s.c + image * p.canvas.image, s.ldc},
      p.canvas.one, p.canvas.one.place(s.from), compact - s.row * s.count - s.from);
  auto* high = reinterpret_cast<std::uint32_t*>(compact + s.rows * s.count);
  const Ranges columns{high, high + s.count};
  list_ranges(p, image, columns);
  if (any_irregular(p.weight.ranges, s.rows) || any_irregular(columns, s.count))
    repair(ConvProblem{x, s.row, s.from, s.rows, s.count, compact, s.count}, p.weight.ranges, columns,
           gemm::scratch_for<float>(Scratch::split_spare, (2 + repaired_at_once) * s.count));
  const conv::Sweep<float> found{x, s.taps, s.row, s.rows, s.from, s.count, 0, 0, compact, s.count};
  if (x.bias) conv::add_bias(found, 0, s.rows, 0, s.count);
  conv::spread_out(found);
}

template <int parts> static void finish(const ConvPart<parts>& p) {
  conv::Sweep<float> s = p.s;
  if (any_irregular(p.weight.ranges, s.rows) || any_irregular(p.ranges, p.canvas.one.channel)) {
    for (std::int64_t i = 0; i < s.x.images; ++i) finish_irregular(p, i, s.c + s.rows * s.ldc);
    return;
  }
  if (s.x.bias) conv::add_bias(s, 0, s.rows, 0, s.ldc);
  for (std::int64_t i = 0; i < s.x.images; ++i, s.c += p.canvas.image)
    conv::gather_rows(s, p.canvas.one, p.canvas.one.place(s.from), static_cast<float*>(s.x.out) + i * s.x.out_image);
}

// Positions [from, from + count) of some images, which share a canvas.
template <class Engine, int parts> static void correlate_part(const Correlation& x, const PackedLanes& weight,
                                                              std::int64_t row, std::int64_t rows, std::int64_t from,
                                                              std::int64_t count) {
  PartsCanvas canvas(x, from, from + count);
  const std::int64_t taps = volume(x.window, &Window::taps), blocks = ceil_div(x.channels, tile_steps);
  const std::int64_t most = blocks_at_once(blocks, taps), size = canvas.one.channel, part = canvas.part_words(most);
  const std::int64_t last =
      (x.images - 1) * canvas.image + canvas.one.place(from + count - 1) + 1 - canvas.one.place(from);
  const std::int64_t ldc = ceil_div(last, panel_lanes) * panel_lanes;
  auto* distance = gemm::scratch_for<std::int64_t>(Scratch::split_ranges, most * taps + size);
  auto* high = reinterpret_cast<std::uint32_t*>(distance + most * taps);
  const Ranges ranges{high, high + size};
  auto* words = gemm::scratch_for<std::uint32_t>(Scratch::gemm_b, parts * part + panel_lanes * lane_words);
  float* floats = gemm::scratch_for<float>(Scratch::gemm_c, tile_steps * size);
  float* c = gemm::scratch_for<float>(Scratch::conv_columns, rows * (ldc + count) + 2 * count);
  const ConvPart<parts> p{{x, taps, row, rows, from, count, 0, 0, c, ldc}, weight, canvas, ranges, distance};
  canvas.list_distances(most, distance);
  ranges.clear(size);
  for (std::int64_t i = 0; i < panel_lanes * lane_words; ++i) words[parts * part + i] = 0;
  const std::int64_t begin = canvas.one.place(from) * lane_words;
  for (std::int64_t b = 0; b < blocks; b += most) {
    const Channels<float> some{b, least(most, blocks - b)};
    const bool rest = canvas.read<parts>(some, floats, words, ranges);
    multiply_blocks<Engine>(p, some, ListedTiles{words + begin, distance, canvas.part_words(some.count)}, rest);
  }
  finish(p);
}

// Images as a whole as far as canvases are small enough, else rows of one.
template <class Engine, int parts> static void correlate(const Correlation& x, std::int64_t row, std::int64_t row_end,
                                                         std::int64_t from, std::int64_t to) {
  if (row >= row_end || from >= to) return;
  [[maybe_unused]] const Engine engine{};
  const Window* w = x.window;
  const std::int64_t taps = volume(w, &Window::taps), blocks = ceil_div(x.channels, tile_steps), line = w[2].out;
  const PackedLanes weight = packed_weight<parts>(x, taps, row, row_end - row);
  const std::int64_t per_position = parts * blocks_at_once(blocks, taps) * lane_words * w[1].step * w[2].step;
  const std::int64_t most = most_canvas_words / per_position > line ? most_canvas_words / per_position : line;
  const std::int64_t together = least(x.images, most / (to - from) > 1 ? most / (to - from) : 1);
  for (std::int64_t i = 0; i < x.images; i += together) {
    Correlation some = x;
    some.images = least(together, x.images - i);
    some.image = static_cast<const float*>(x.image) + i * x.image_step;
    some.out = static_cast<float*>(x.out) + i * x.out_image;
    const std::int64_t pieces = ceil_div(to - from, most), wide = ceil_div(ceil_div(to - from, pieces), line) * line;
    for (std::int64_t at = from; at < to; at += wide) {
      interruption_point();
      correlate_part<Engine, parts>(some, weight, row, row_end - row, at, least(wide, to - at));
    }
  }
}

}  // namespace split
