// Convolution of 3 x 3 taps with stride 1 by Winograd's minimal filtering: m x m outputs, a tile, take (m + 2)^2
// products for each channel, not 9 m^2. For a block of tiles: the inputs' values at the points, as panels; for each
// point a matrix product over the channels, by the tiles of gemm_micro.inl.h; and the outputs. The bits of an output
// depend on its tile and its row of the weight alone. Start reading at correlate.

namespace winograd {

using gemm::scratch_for;

// A row of the weight belongs to one of `count` panels, the tiles of gemm_micro.inl.h, as equal as possible.
struct WeightPanels {
  std::int64_t rows, channels, count;

  explicit WeightPanels(const Correlation& x)
      : rows(x.rows), channels(x.channels), count(ceil_div(x.rows, gemm::tile_rows)) {}
  std::int64_t top(std::int64_t panel) const { return share_start(rows, count, panel); }
  std::int64_t high(std::int64_t panel) const { return top(panel + 1) - top(panel); }
  std::int64_t width() const { return gemm::widest(static_cast<int>(high(0))) * lanes<float>; }
  // From point to point: not a power of two, or they would share lines of the cache. The rest is for vectors that are
  // stored whole at the end of a panel.
  std::int64_t step() const { return rows * channels + 16; }
};

// A correlation's outputs in tiles, counted row-major over all of its images.
template <int m> struct Grid {
  static constexpr std::int64_t side = m + 2, points = side * side;
  const Winograd& w;
  const Window &y, &x;
  std::int64_t down, across;

  explicit Grid(const Winograd& winograd)
      : w(winograd), y(w.x.window[1]), x(w.x.window[2]), down(ceil_div(y.out, m)), across(ceil_div(x.out, m)) {}

  // Neighbouring tiles in one row of them, from place `at` of a block on.
  struct Run {
    std::int64_t image, y, x, count, at;
  };
  template <class F> void each_run(std::int64_t from, std::int64_t count, F f) const {
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t t = from + done, row = t / across, column = t % across;
      const std::int64_t some = least(across - column, count - done);
      f(Run{row / down, row % down, column, some, done});
      done += some;
    }
  }
};

// Some tiles and rows, and the memory for them. `reads`: what tiles read from one channel, [points, padded]; later the
// outputs of one row. `inputs` and `products`: [points, panels of tiles, channels or rows, width].
template <int m> struct Block {
  const Grid<m>& t;
  WeightPanels weight;
  std::int64_t row, rows, from, count, width, padded, input_step, product_step;
  float *reads, *inputs, *products;

  Block(const Grid<m>& grid, const WeightPanels& panels, std::int64_t panel, std::int64_t panel_end, std::int64_t from_,
        std::int64_t to)
      : t(grid),
        weight(panels),
        row(panels.top(panel)),
        rows(panels.top(panel_end) - row),
        from(from_),
        count(to - from_),
        width(panels.width()) {
    const std::int64_t all = ceil_div(count, width) * width;
    padded = all + lanes<float>;
    input_step = weight.channels * all + 16;
    product_step = rows * all + 16;
    reads = scratch_for<float>(Scratch::conv_columns, t.points * (padded + input_step + product_step));
    inputs = reads + t.points * padded;
    products = inputs + t.points * input_step;
  }
};

// The first input that an output reads along a dimension, relative to it; and the tap that reads the input after
// `place` more.
static inline std::int64_t lowest(const Window& w) { return least(w.at(0), w.at(2)); }
static inline std::int64_t tap_at(const Window& w, std::int64_t place) { return w.gap > 0 ? place : 2 - place; }

// A row of an image, zeros outside of it.
struct Line {
  const float* at;
  std::int64_t length;

  STEEP_INLINE Vec<float> from(std::int64_t x) const {
    if (x >= 0 && x + lanes<float> <= length) return load(at + x);
    const std::int64_t lo = x < 0 ? least(-x, lanes<float>) : 0;
    return load_part(at + x, Part<float>(lo, least(length - x < lo ? lo : length - x, lanes<float>)));
  }
  template <int m> STEEP_INLINE void places(std::int64_t x, Vec<float>* to) const {
    for (int i = 0; i < m; ++i) to[i] = from(x + i * lanes<float>);
    places_of<m>(to);
  }
};

// What a run of tiles reads from a row, the first one from x on: place by place, `padded` apart.
template <int m>
static void read_line(const Block<m>& b, const Line& line, std::int64_t x, std::int64_t count, float* to) {
  Vec<float> now[m], next[m];
  line.places<m>(x, now);
  for (std::int64_t i = 0; i < count; i += lanes<float>) {
    for (int p = 0; p < m; ++p) next[p] = now[p];
    if (i + lanes<float> <= count) line.places<m>(x + (i + lanes<float>)*m, next);
    for (int p = 0; p < m; ++p) store(to + p * b.padded + i, now[p]);
    for (int p = 0; p < 2; ++p) store(to + (m + p) * b.padded + i, next_lanes(now[p], next[p], Lanes{}));
    for (int p = 0; p < m; ++p) now[p] = next[p];
  }
}

template <int m> static void read_channel(const Block<m>& b, std::int64_t c) {
  const Grid<m>& t = b.t;
  const auto* images = static_cast<const float*>(t.w.x.image) + c * t.y.in * t.x.in;
  t.each_run(b.from, b.count, [&](const typename Grid<m>::Run& r) {
    for (std::int64_t i = 0; i < t.side; ++i) {
      const std::int64_t y = r.y * m + lowest(t.y) + i;
      const bool inside = y >= 0 && y < t.y.in;
      const Line line{images + (inside ? r.image * t.w.x.image_step + y * t.x.in : 0), inside ? t.x.in : 0};
      read_line(b, line, r.x * m + lowest(t.x), r.count, b.reads + i * t.side * b.padded + r.at);
    }
  });
}

// Tiles after the last one, which panels go on to, read zeros.
template <int m> static void clear_rest(const Block<m>& b) {
  for (std::int64_t e = 0; e < b.t.points; ++e)
    for (std::int64_t i = b.count; i < b.padded; ++i) b.reads[e * b.padded + i] = 0;
}

template <int m> static void evaluate_channel(const Block<m>& b, std::int64_t c) {
  constexpr std::int64_t points = Grid<m>::points;
  for (std::int64_t i = 0; i < b.padded - lanes<float>; i += lanes<float>) {
    Vec<float> x[points];
    for (int e = 0; e < points; ++e) x[e] = load(b.reads + e * b.padded + i);
    values_of_inputs<m>(x);
    float* to = b.inputs + (i / b.width * b.weight.channels + c) * b.width + i % b.width;
    for (int e = 0; e < points; ++e) store(to + e * b.input_step, x[e]);
  }
}

// One panel of the weight times all tiles, at one point. Sums run over blocks of channels as those of a product.
template <int m> static void multiply_panel(const Block<m>& b, std::int64_t e, std::int64_t panel) {
  const std::int64_t channels = b.weight.channels, depth = gemm::block_depth(channels);
  const std::int64_t top = b.weight.top(panel), high = b.weight.high(panel), vecs = b.width / lanes<float>;
  const float* a = b.t.w.points + e * b.weight.step() + top * channels;
  for (std::int64_t i = 0; i < b.count; i += b.width)
    for (std::int64_t k = 0; k < channels; k += depth)
      gemm::tiles<float, true>.at[high - 1][vecs - 1](
          {least(depth, channels - k), a + k * high, 1, high, b.inputs + e * b.input_step + i * channels + k * b.width,
           b.width, b.products + e * b.product_step + i * b.rows + (top - b.row) * b.width, b.width, b.width, k > 0});
}

// The outputs of a row into lines of neighbours, m of them; sums[i] is not finite if one of the outputs of tile i is
// not. Whether there is such a tile.
template <int m> static bool interpolate_row(const Block<m>& b, std::int64_t r, float* lines, float* sums) {
  constexpr std::int64_t points = Grid<m>::points;
  const Vec<float> bias = b.t.w.x.bias ? static_cast<const float*>(b.t.w.x.bias)[b.row + r] : 0.0f;
  Vec<std::int32_t> wrong(0);
  for (std::int64_t i = 0; i < b.count; i += lanes<float>) {
    const float* from = b.products + (i / b.width * b.rows + r) * b.width + i % b.width;
    Vec<float> x[points];
    for (int e = 0; e < points; ++e) x[e] = load(from + e * b.product_step);
    outputs_of_values<m>(x);
    Vec<float> sum(0.0f);
    for (int y = 0; y < m; ++y) {
      Vec<float>* line = x + y * (m + 2);
      for (int e = 0; e < m; ++e) sum = sum + (line[e] = line[e] + bias);
      neighbours_of<m>(line);
      for (int e = 0; e < m; ++e) store(lines + (y * b.padded + i) * m + e * lanes<float>, line[e]);
    }
    store(sums + i, sum);
    wrong = wrong | (sum - sum != Vec<float>(0.0f));
  }
  return any_lane(wrong);
}

// A tile with an infinity, a NaN or an overflow, which the transforms spread over all of it: as the definition says.
template <int m> static void correlate_tile(const Grid<m>& t, std::int64_t tile, std::int64_t row) {
  const std::int64_t image = tile / (t.down * t.across), y = tile / t.across % t.down * m, x = tile % t.across * m;
  Correlation one = t.w.x;
  one.images = 1;
  one.image = static_cast<const float*>(one.image) + image * one.image_step;
  one.out = static_cast<float*>(one.out) + image * one.out_image;
  for (std::int64_t i = y; i < least(y + m, t.y.out); ++i)
    conv::correlate<float>(one, row, row + 1, i * t.x.out + x, i * t.x.out + least(x + m, t.x.out));
}

template <int m> static void write_row(const Block<m>& b, std::int64_t r) {
  const Grid<m>& t = b.t;
  float *lines = b.reads, *sums = lines + m * m * b.padded;
  const bool wrong = interpolate_row(b, r, lines, sums);
  float* out = static_cast<float*>(t.w.x.out) + (b.row + r) * t.w.x.out_row;
  t.each_run(b.from, b.count, [&](const typename Grid<m>::Run& run) {
    const std::int64_t x = run.x * m, width = least(run.count * m, t.x.out - x);
    for (std::int64_t i = 0; i < m && run.y * m + i < t.y.out; ++i)
      __builtin_memcpy(out + run.image * t.w.x.out_image + (run.y * m + i) * t.x.out + x,
                       lines + (i * b.padded + run.at) * m, static_cast<std::size_t>(width) * sizeof(float));
  });
  for (std::int64_t i = 0; wrong && i < b.count; ++i)
    if (sums[i] - sums[i] != 0) correlate_tile(t, b.from + i, b.row + r);
}

template <int m> static void finish(const Block<m>& b, const Epilogue& done) {
  b.t.each_run(b.from, b.count, [&](const typename Grid<m>::Run& r) {
    const std::int64_t x = r.x * m, row = b.t.w.first_row + r.image * b.t.w.row_step + b.row;
    for (std::int64_t y = r.y * m; y < least((r.y + 1) * m, b.t.y.out); ++y)
      done.f(done.context, row, b.rows, y * b.t.x.out + x, least(r.count * m, b.t.x.out - x));
  });
}

template <int m> static void correlate_tiles(const Winograd& w, std::int64_t part, std::int64_t parts,
                                             std::int64_t from, std::int64_t to) {
  const Grid<m> t(w);
  const WeightPanels weight(w.x);
  const std::int64_t panel = share_start(weight.count, parts, part), end = share_start(weight.count, parts, part + 1);
  if (panel == end || from >= to) return;
  const Block<m> b(t, weight, panel, end, from, to);
  clear_rest(b);
  for (std::int64_t c = 0; c < weight.channels; ++c) {
    interruption_point();
    read_channel(b, c);
    evaluate_channel(b, c);
  }
  for (std::int64_t e = 0; e < t.points; ++e) {
    interruption_point();
    for (std::int64_t i = panel; i < end; ++i) multiply_panel(b, e, i);
  }
  for (std::int64_t r = 0; r < b.rows; ++r) {
    interruption_point();
    write_row(b, r);
  }
  if (w.done) finish(b, *w.done);
}
static void correlate(const Winograd& w, std::int64_t part, std::int64_t parts, std::int64_t from, std::int64_t to) {
  (w.tile == 2 ? correlate_tiles<2> : correlate_tiles<4>)(w, part, parts, from, to);
}

// The taps of one channel, the rows of a panel in the lanes of vectors: in double precision, rounded once. What is
// stored past its end, the next channel overwrites; memory after the panel may be another thread's.
template <int m>
static void evaluate_taps(const Correlation& x, const WeightPanels& w, std::int64_t panel, std::int64_t c, float* to) {
  static_assert(gemm::tile_rows <= lanes<float>);
  constexpr std::int64_t points = Grid<m>::points;
  const std::int64_t high = w.high(panel);
  const auto* weight = static_cast<const float*>(x.weight) + (w.top(panel) * w.channels + c) * 9;
  double taps[9][lanes<float>] = {};
  for (std::int64_t r = 0; r < high; ++r)
    for (std::int64_t t = 0; t < 9; ++t)
      taps[t][r] = weight[r * w.channels * 9 + tap_at(x.window[1], t / 3) * 3 + tap_at(x.window[2], t % 3)];
  Vec<double> g[9], values[2][points];
  for (int half = 0; half < 2; ++half) {
    for (int t = 0; t < 9; ++t) g[t] = load(taps[t] + half * lanes<double>);
    values_of_taps<m>(g, values[half]);
  }
  const Part<float> part(least(lanes<float>, (w.channels - c) * high));
  for (int e = 0; e < points; ++e) store_part(to + e * w.step(), floats_of(Doubles{values[0][e], values[1][e]}), part);
}

// Panels at each point: [points, panels, channels, rows of a panel].
template <int m> static void weight_panels(const Correlation& x, const WeightPanels& w, std::int64_t first,
                                           std::int64_t end, float* to) {
  for (std::int64_t panel = first; panel < end; ++panel) {
    interruption_point();
    for (std::int64_t c = 0; c < w.channels; ++c)
      evaluate_taps<m>(x, w, panel, c, to + w.top(panel) * w.channels + c * w.high(panel));
  }
}
static std::int64_t weight_at_points(const Correlation& x, std::int64_t tile, std::int64_t part, std::int64_t parts,
                                     float* to) {
  const WeightPanels w(x);
  const std::int64_t first = share_start(w.count, parts, part), end = share_start(w.count, parts, part + 1);
  if (to) (tile == 2 ? weight_panels<2> : weight_panels<4>)(x, w, first, end, to);
  return (tile + 2) * (tile + 2) * w.step();
}

}  // namespace winograd
