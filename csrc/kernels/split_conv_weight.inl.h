// The gradient of a convolution with respect to its weight, by bfloat16 parts: rows of the gradient times channels of
// the image, at the distance of every tap, summed over the positions of the batch. The gradient is packed once for all
// channels and taps, with zeros between its rows. The image lies split in a canvas, once with words that begin at even
// places and once at odd ones, so that a tap at any distance reads whole words. Start reading at correlate_weight, then
// weight_chunk.

namespace split {

constexpr std::int64_t most_places = 1024;  // whose products are summed before they are added to the result
constexpr std::int64_t most_read = 2048;    // elements of a canvas for these

// A thread's channels [first, first + channels), the result as [taps, rows, ld], and the magnitudes of all.
struct WeightParts {
  const WeightGradient& x;
  std::int64_t first, channels, taps, ld;
  float* c;
  Ranges of_channels, of_rows;

  std::int64_t panels() const { return ceil_div(x.rows, panel_lanes); }
  std::int64_t of_tap() const { return x.rows * ld; }
};

// The gradient at positions [from, from + count) of some images, from image `i` on, as rows `ld` apart.
static void spread_gradient(const WeightParts& w, const PartsCanvas& canvas, std::int64_t i, std::int64_t from,
                            std::int64_t count, float* to, std::int64_t ld) {
  const Window* window = w.x.window;
  const std::int64_t plane = volume(window, &Window::out), begin = canvas.one.place(from);
  for (std::int64_t at = 0; at < w.x.rows * ld; ++at) to[at] = 0;
  for (std::int64_t r = 0; r < w.x.rows; ++r)
    for (std::int64_t n = 0; n < canvas.x.images; ++n) {
      const float* grad = static_cast<const float*>(w.x.grad) + (i + n) * w.x.grad_step + r * plane;
      conv::Place p = conv::place_of(window, from);
      for (std::int64_t at = from, some; at < from + count; at += some, conv::next_row(window, p)) {
        some = least(window[2].out - p.x, from + count - at);
        conv::copy_row(grad + at, to + r * ld + n * canvas.image + canvas.one.place(p) - begin, some);
      }
    }
}

// Panels of 32 rows of it.
template <int parts> static PackedLanes pack_gradient(const WeightParts& w, const float* grad, std::int64_t ld) {
  const std::int64_t words = w.panels() * ld / tile_steps * tile_stride<parts>, lanes = w.panels() * panel_lanes;
  const auto bytes = static_cast<std::int64_t>(PackedLanes::bytes(words, w.panels()));
  const PackedLanes all(gemm::scratch_for<std::uint8_t>(Scratch::gemm_a, bytes), words, w.panels());
  pack_lanes<true, parts>({grad, ld, 1, w.x.rows}, ld, all);
  widen(w.of_rows, all.ranges, lanes);
  return all;
}

// The words of 32 channels of a canvas: parts, of each those that begin at even and at odd places, of each two halves.
struct SplitChannels {
  std::uint32_t* at;
  std::int64_t half;

  std::int64_t part() const { return 4 * half; }
  StackedTiles from(std::int64_t place) const {
    return {at + place % 2 * 2 * half + place / 2 * tile_lanes, half, part()};
  }
};

// Words that begin at odd places, of those that begin at even ones.
static void shift_words(const std::uint32_t* even, std::uint32_t* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += Words::n) {
    const bool last = i + tile_lanes >= count;
    store(to + i, (load(even + i) >> 16) | (last ? Words(0u) : load(even + i + tile_lanes) << 16));
  }
}

// 16 channels of a canvas. Returns whether any value has more than its first part.
template <int parts> static bool split_half(const float* floats, std::int64_t steps, const SplitChannels& all,
                                            std::uint32_t* to, const Ranges& ranges) {
  alignas(64) float rows[tile_steps * tile_lanes + Floats::n];
  bool rest = false;
  for (std::int64_t p = 0; p < steps; p += tile_steps) {
    gemm::pack(gemm::Strip<float>{rows, tile_lanes, floats + p, steps, 1, tile_lanes, tile_steps});
    rest |= split_rows_of_steps<parts>(TileRows{rows, tile_lanes, 0}, to + p / 2 * tile_lanes, all.part(), ranges);
  }
  for (int n = 0; n < parts; ++n) shift_words(to + n * all.part(), to + n * all.part() + 2 * all.half, all.half);
  return rest;
}

// Up to 32 channels of a canvas. Returns whether any value has more than its first part.
template <int parts> static bool split_channels(const WeightParts& w, PartsCanvas& canvas, std::int64_t c,
                                                float* floats, const SplitChannels& to) {
  const std::int64_t count = least(panel_lanes, w.channels - c), steps = canvas.one.channel;
  canvas.read_floats(w.first + c, count, floats);
  for (std::int64_t i = count * steps; i < panel_lanes * steps; ++i) floats[i] = 0;
  bool rest = false;
  for (std::int64_t i = 0; i < panel_lanes; i += tile_lanes)
    rest |=
        split_half<parts>(floats + i * steps, steps, to, to.at + i / tile_lanes * to.half, w.of_channels.from(c + i));
  return rest;
}

// Positions [from, from + count) of some images, from image `i` on; the first of all are stored, later ones are added.
template <class Engine, int parts> static void weight_chunk(const WeightParts& w, const Correlation& image,
                                                            std::int64_t i, std::int64_t from, std::int64_t count) {
  PartsCanvas canvas(image, from, from + count);
  const std::int64_t begin = canvas.one.place(from), steps = canvas.one.channel;
  const std::int64_t last = (image.images - 1) * canvas.image + canvas.one.place(from + count - 1) + 1 - begin;
  const std::int64_t ld = ceil_div(last, tile_steps) * tile_steps, tiles = ld / tile_steps;
  const std::int64_t size = panel_lanes * steps > w.x.rows * ld ? panel_lanes * steps : w.x.rows * ld;
  float* floats = gemm::scratch_for<float>(Scratch::gemm_c, size);
  spread_gradient(w, canvas, i, from, count, floats, ld);
  const PackedLanes grad = pack_gradient<parts>(w, floats, ld);
  auto* distance = gemm::scratch_for<std::int64_t>(Scratch::conv_offsets, w.taps);
  canvas.one.list_offsets(1, distance);
  const std::int64_t half = steps / 2 * tile_lanes;
  const SplitChannels image_words{gemm::scratch_for<std::uint32_t>(Scratch::gemm_b, parts * 4 * half), half};
  alignas(64) float sums[panel_lanes * panel_lanes];
  using Rows = AdjacentTiles<parts>;
  for (std::int64_t c = 0; c < w.channels; c += panel_lanes) {
    const bool rest = split_channels<parts>(w, canvas, c, floats, image_words);
    for (std::int64_t row = 0; row < w.x.rows; row += panel_lanes)
      for (std::int64_t t = 0; t < w.taps; ++t) {
        const std::int64_t panel = row / panel_lanes;
        Engine::template panels<parts>(PanelPair<Rows, StackedTiles>{sums,
                                                                     panel_lanes,
                                                                     {grad.at + panel * tiles * tile_stride<parts>},
                                                                     image_words.from(begin + distance[t]),
                                                                     tiles,
                                                                     parts == 3 && (rest || grad.rest[panel]),
                                                                     grad.at,
                                                                     0});
        float* to = w.c + t * w.of_tap() + row * w.ld + c;
        (i || from ? put<true> : put<false>)(sums, to, w.ld, least(panel_lanes, w.x.rows - row), panel_lanes);
      }
  }
}

// One tap's result as the product that repair expects: rows of the gradient, and channels.
struct WeightProblem {
  const WeightParts& w;
  std::int64_t tap, m, n;
  float* c;
  std::int64_t ldc;

  // The convolution's own order of sums, for which all taps are computed.
  void by_fma(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj, float* to, std::int64_t ld) const {
    const std::int64_t all = w.x.channels * w.taps;
    float* found = gemm::scratch_for<float>(Scratch::attention, mi * all);
    WeightGradient y = w.x;
    y.parts = nullptr;
    y.product = nullptr;
    y.rows = mi;
    y.grad = static_cast<const float*>(y.grad) + i * volume(y.window, &Window::out);
    y.out = found;
    table().correlate_weight[f32](y, w.first + j, w.first + j + nj);
    for (std::int64_t r = 0; r < mi; ++r)
      for (std::int64_t k = 0; k < nj; ++k) to[r * ld + k] = found[r * all + (w.first + j + k) * w.taps + tap];
  }
};

static void repair_weight(const WeightParts& w) {
  if (!any_irregular(w.of_channels, w.channels) && !any_irregular(w.of_rows, w.x.rows)) return;
  for (std::int64_t t = 0; t < w.taps; ++t)
    repair(WeightProblem{w, t, w.x.rows, w.channels, w.c + t * w.of_tap(), w.ld}, w.of_rows, w.of_channels,
           gemm::scratch_for<float>(Scratch::split_spare, (2 + repaired_at_once) * w.channels));
}

// Several images whose canvases are small at a time, or some rows of one.
template <class Engine, int parts> static void weight_chunks(const WeightParts& w) {
  [[maybe_unused]] const Engine engine{};
  Correlation image{};
  for (int d = 0; d < 3; ++d) image.window[d] = w.x.window[d];
  image.channels = w.x.channels;
  image.image_step = w.x.image_step;
  const Window* window = w.x.window;
  const std::int64_t line = window[2].out, lines = window[1].out, plane = line * lines;
  const std::int64_t most = least(most_places, most_read / (window[1].step * window[2].step));
  const std::int64_t pieces = ceil_div(lines, most > line ? most / line : 1), wide = ceil_div(lines, pieces) * line;
  const std::int64_t together = most > plane ? most / plane : 1;
  for (std::int64_t i = 0; i < w.x.batch; i += together) {
    interruption_point();
    image.images = least(together, w.x.batch - i);
    image.image = static_cast<const float*>(w.x.image) + i * w.x.image_step;
    for (std::int64_t from = 0; from < plane; from += wide)
      weight_chunk<Engine, parts>(w, image, i, from, least(wide, plane - from));
  }
}

template <class Engine, int parts>
static void correlate_weight(const WeightGradient& x, std::int64_t from, std::int64_t to) {
  const std::int64_t taps = volume(x.window, &Window::taps), all = x.channels * taps, channels = to - from;
  if (channels <= 0 || x.rows <= 0) return;
  const std::int64_t ld = ceil_div(channels, panel_lanes) * panel_lanes,
                     rows = ceil_div(x.rows, panel_lanes) * panel_lanes;
  float* c = gemm::scratch_for<float>(Scratch::conv_columns, taps * x.rows * ld);
  auto* high = gemm::scratch_for<std::uint32_t>(Scratch::split_ranges, 2 * (ld + rows));
  const Ranges ranges{high, high + ld + rows};
  ranges.clear(ld + rows);
  const WeightParts w{x, from, channels, taps, ld, c, ranges, ranges.from(ld)};
  weight_chunks<Engine, parts>(w);
  repair_weight(w);
  float* out = static_cast<float*>(x.out) + from * taps;
  for (std::int64_t r = 0; r < x.rows; ++r)
    gemm::pack(gemm::Strip<float>{out + r * all, taps, c + r * ld, w.of_tap(), 1, taps, channels, true});
}

template <class Engine>
constexpr SplitGemm products = {&run<Engine, 3>,
                                &run<Engine, 1>,
                                &correlate<Engine, 3>,
                                &correlate<Engine, 1>,
                                &correlate_weight<Engine, 3>,
                                &correlate_weight<Engine, 1>,
                                {panel_lanes, panel_lanes, gemm::least_length, lanes<float>, gemm::most_depth, 128}};

}  // namespace split
