// Correlation of several images at once, for outputs of few positions: a tile is some images, at one position, times a
// panel of packed weights. Images are transposed first, so that those of a tile are neighbours, and a position reads
// only the taps that lie inside the image, which few do where a kernel is large beside it. The order of sums is that of
// the general code path, bit for bit; 0 times a weight that is not finite, which the border would add, is left to it.
// Start reading at correlate_images.

namespace conv {

// One step of the depth: where its element of the first image of a tile lies, and its row of the panel.
struct Read {
  std::int32_t image, row;
};
constexpr int reads_ahead = 8;  // whose images are prefetched: they lie anywhere in the second-level cache

template <class T> struct ImageTile {
  std::int64_t depth;
  const Read* read;
  const T *image, *weight;
  T* c;  // [images, vectors]
  bool add;
};

template <class T, int images, int vecs> static void tile_images(const ImageTile<T>& t) {
  constexpr std::int64_t width = vecs * lanes<T>;
  Vec<T> sum[images][vecs] = {};
  for (std::int64_t k = 0; k < t.depth; ++k) {
    const T *a = t.image + t.read[k].image, *b = t.weight + t.read[k].row * width;
    __builtin_prefetch(t.image + t.read[k + reads_ahead].image);
    Vec<T> x[vecs];
    repeat<vecs>(STEEP_EACH(j) {
      x[j] = load(b + j * lanes<T>);
      __builtin_prefetch(b + rows_ahead * width + j * lanes<T>);
    });
    repeat<images>(STEEP_EACH(i) {
      const Vec<T> y(a[i]);
      repeat<vecs>(STEEP_EACH(j) { sum[i][j] = fma(y, x[j], sum[i][j]); });
    });
  }
  repeat<images>(STEEP_EACH(i) { store_row(t.c + i * width, sum[i], Whole{}, t.add); });
}

template <class T> using ImageTileFn = void (*)(const ImageTile<T>&);
template <class T> static constexpr auto image_tiles =
    tile_table<ImageTileFn<T>, tile_rows, widest_panel>([]<int images, int vecs>() -> ImageTileFn<T> {
      if constexpr (vecs <= widest_for(images)) return tile_images<T, images, vecs>;
      return nullptr;
    });

// The taps of one dimension that lie inside the image at a position: [from, to).
struct Inside {
  std::int64_t from, to;

  Inside(const Window& w, std::int64_t position) : from(0), to(w.taps) {
    const auto outside = [&](std::int64_t i) {
      const std::int64_t at = position * w.step + w.at(i);
      return at < 0 || at >= w.in;
    };
    while (from < to && outside(from)) ++from;
    while (to > from && outside(to - 1)) --to;
  }
};
// How many pairs of a position and a tap inside the image there are.
static inline std::int64_t pairs_inside(const Window* windows) {
  std::int64_t pairs = 1;
  for (int d = 0; d < 3; ++d) {
    std::int64_t of_line = 0;
    for (std::int64_t t = 0; t < windows[d].out; ++t) {
      const Inside inside(windows[d], t);
      of_line += inside.to - inside.from;
    }
    pairs *= of_line;
  }
  return pairs;
}

// Images in tiles as equal as possible; panels of weights too, as wide as the largest tile allows.
template <class T> struct ImageSweep {
  const Sweep<T>& s;
  std::int64_t in, ld, tiles, vecs, panels;
  bool all_inside;  // no tap is ever left out

  explicit ImageSweep(const Sweep<T>& sweep)
      : s(sweep),
        in(volume(sweep.x.window, &Window::in)),
        ld(ceil_div(sweep.x.images, lanes<T>) * lanes<T>),
        tiles(ceil_div(sweep.x.images, tile_rows)),
        vecs(ceil_div(sweep.rows, lanes<T>)),
        panels(ceil_div(vecs, widest_for(static_cast<int>(largest())))),
        all_inside(pairs_inside(sweep.x.window) == sweep.count * sweep.taps) {}

  std::int64_t largest() const { return ceil_div(s.x.images, tiles); }
  std::int64_t first(std::int64_t panel) const { return share_start(vecs, panels, panel) * lanes<T>; }
};

// The steps of position p in `channels` channels; those of fewer channels come first. Returns where the list ends.
template <class T> static Read* list_reads(const ImageSweep<T>& c, std::int64_t p, std::int64_t channels, Read* to) {
  const Window* w = c.s.x.window;
  const Place at = place_of(w, p);
  const Inside z(w[0], at.z), y(w[1], at.y), x(w[2], at.x);
  const auto narrow = [](std::int64_t i) { return static_cast<std::int32_t>(i); };
  std::int64_t n = 0;
  for (std::int64_t i = z.from; i < z.to; ++i)
    for (std::int64_t j = y.from; j < y.to; ++j)
      for (std::int64_t k = x.from; k < x.to; ++k) {
        const std::int64_t iz = at.z * w[0].step + w[0].at(i), iy = at.y * w[1].step + w[1].at(j);
        const std::int64_t place = (iz * w[1].in + iy) * w[2].in + at.x * w[2].step + w[2].at(k);
        to[n++] = {narrow(place * c.ld), narrow((i * w[1].taps + j) * w[2].taps + k)};
      }
  const std::int32_t image_step = narrow(c.in * c.ld), row_step = narrow(c.s.taps);
  for (std::int64_t k = n; k < n * channels; ++k) to[k] = {to[k - n].image + image_step, to[k - n].row + row_step};
  return to + n * channels;
}

constexpr std::int64_t most_image_positions = 128;

// The steps of all positions: those of position t in [begin[t], begin[t + 1]).
template <class T> static void list_all(const ImageSweep<T>& c, std::int64_t channels, const Read** begin) {
  const std::int64_t count = channels * pairs_inside(c.s.x.window) + reads_ahead;
  auto* to = static_cast<Read*>(scratch(Scratch::conv_offsets, static_cast<std::size_t>(count) * sizeof(Read)));
  for (std::int64_t t = 0; t < c.s.count; ++t) {
    begin[t] = to;
    to = list_reads(c, c.s.from + t, channels, to);
  }
  begin[c.s.count] = to;
  for (int i = 0; i < reads_ahead; ++i) to[i] = {};
}

// One panel of weights, rows [row, row + width) of the part, and its results: [positions, images, width].
template <class T> struct ImagePanel {
  std::int64_t row, width, rows;
  T* c;
};

template <class T> static void start_panel(const ImageSweep<T>& c, const ImagePanel<T>& p) {
  if (!c.s.x.bias) return;
  const T* bias = static_cast<const T*>(c.s.x.bias) + c.s.row + p.row;
  T row[widest_panel * lanes<T>] = {};
  for (std::int64_t i = 0; i < p.rows; ++i) row[i] = bias[i];
  for (std::int64_t i = 0; i < c.s.count * c.s.x.images; ++i)
    for (std::int64_t j = 0; j < p.width; j += lanes<T>) store(p.c + i * p.width + j, load(row + j));
}

template <class T> static bool all_finite(const T* x, std::int64_t count) {
  constexpr int some = 4;  // sums, since one would wait for itself
  const Vec<T> zero(T(0));
  Vec<T> sum[some] = {};
  std::int64_t i = 0;
  for (; i + some * lanes<T> <= count; i += some * lanes<T>)
    repeat<some>(STEEP_EACH(j) { sum[j] = fma(load(x + i + j * lanes<T>), zero, sum[j]); });
  for (; i < count; i += lanes<T>) sum[0] = fma(load(x + i), zero, sum[0]);
  T found[lanes<T>];
  store(found, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (const T value : found)
    if (value != 0) return false;
  return true;
}

// Adds what a block of channels gives, whose transposed images begin at `image`, unless a weight is not finite. `reads`
// are those of all positions, one after the other, of `most` channels each.
template <class T> static bool sweep_images(const ImageSweep<T>& c, const ImagePanel<T>& p, const Channels<T>& block,
                                            std::int64_t most, const T* image, const Read* const* reads) {
  const Sweep<T>& s = c.s;
  const std::int64_t ld = s.x.channels * s.taps, depth = block.count * s.taps;
  const T* from = static_cast<const T*>(s.x.weight) + (s.row + p.row) * ld + block.first * s.taps;
  const PanelKey key{Packing::filters_in_lanes, {ld, p.rows, 1, 0, 1, depth, p.width}};
  const T* weight = panels_of(Scratch::gemm_a, from, key, depth * p.width + lanes<T>, [&](T* to) {
    pack(Strip<T>{to, p.width, from, ld, 1, p.rows, depth});
  });
  if (!c.all_inside && !all_finite(weight, depth * p.width)) return false;
  for (std::int64_t t = 0; t < s.count; ++t) {
    const std::int64_t steps = (reads[t + 1] - reads[t]) / most * block.count;
    for (std::int64_t i = 0; i < c.tiles; ++i) {
      const std::int64_t one = share_start(s.x.images, c.tiles, i), end = share_start(s.x.images, c.tiles, i + 1);
      image_tiles<T>.at[end - one - 1][p.width / lanes<T> - 1](
          {steps, reads[t], image + one, weight, p.c + (t * s.x.images + one) * p.width, block.first > 0 || s.x.bias});
    }
  }
  return true;
}

// A panel's results transposed into the output, image by image.
template <class T> static void put_images(const ImageSweep<T>& c, const ImagePanel<T>& p, T* spare) {
  const Sweep<T>& s = c.s;
  const bool flat = is_flat(s.x);
  Correlation one = s.x;
  Sweep<T> part{one, s.taps, s.row + p.row, p.rows, s.from, s.count, s.tiles, s.width, spare, s.count};
  for (std::int64_t i = 0; i < s.x.images; ++i) {
    one.out = static_cast<T*>(s.x.out) + i * s.x.out_image;
    T* to = flat ? static_cast<T*>(one.out) + part.row * s.x.out_row + s.from : spare;
    const std::int64_t ld = flat ? s.x.out_row : s.count;
    pack(Strip<T>{to, ld, p.c + i * p.width, s.x.images * p.width, 1, s.count, p.rows, true});
    if (!flat) spread_out(part);
  }
}

// Whether it is done: not if a weight is not finite where the border has a say.
template <class T> static bool correlate_images(const Sweep<T>& s) {
  const ImageSweep<T> c(s);
  const std::int64_t most = block_channels(s.x.channels, s.taps);
  const std::int64_t widest = ceil_div(c.vecs, c.panels) * lanes<T>;
  T* images = scratch_for<T>(Scratch::gemm_b, s.x.channels * c.in * c.ld + lanes<T>);
  pack(Strip<T>{images, c.ld, static_cast<const T*>(s.x.image), s.x.image_step, 1, s.x.images, s.x.channels * c.in});
  const std::int64_t results = s.count * s.x.images * widest;
  T* sums = scratch_for<T>(Scratch::gemm_c, results + s.count * widest);
  const Read* reads[most_image_positions + 1];
  list_all(c, most, reads);
  for (std::int64_t i = 0; i < c.panels; ++i) {
    const std::int64_t row = c.first(i), width = c.first(i + 1) - row;
    const ImagePanel<T> panel{row, width, least(width, s.rows - row), sums};
    start_panel(c, panel);
    for (std::int64_t k = 0; k < s.x.channels; k += most) {
      interruption_point();
      if (!sweep_images(c, panel, Channels<T>{k, least(most, s.x.channels - k)}, most, images + k * c.in * c.ld, reads))
        return false;
    }
    put_images(c, panel, sums + results);
  }
  return true;
}

// What a step of a tile costs, in halves of a cycle: its products, their latency where they are few, and the panel,
// which comes from the second-level cache.
static inline std::int64_t step_cost(std::int64_t rows, std::int64_t vecs) {
  const std::int64_t products = rows * vecs, panel = 5 * vecs;
  return products > panel ? (products > 8 ? products : 8) : (panel > 8 ? panel : 8);
}

// Used where tiles of images cost less than tiles of neighbouring positions, borders included.
template <class T> static bool is_image_path(const Sweep<T>& s) {
  const std::int64_t positions = volume(s.x.window, &Window::out), images = s.x.images, wide = s.x.window[2].out;
  if (images < 2 || s.taps == 0 || s.count != positions || positions > most_image_positions) return false;
  if (s.x.channels * volume(s.x.window, &Window::in) * (images + lanes<T>) >= 1ll << 31) return false;  // as in Read
  const auto cost = [](std::int64_t count) {  // of all, for a vector of channels
    const std::int64_t tiles_here = ceil_div(count, tile_rows), rows = ceil_div(count, tiles_here);
    const std::int64_t vecs = widest_for(static_cast<int>(rows));
    return tiles_here * step_cost(rows, vecs) * 12 / vecs;
  };
  return 10 * pairs_inside(s.x.window) * cost(images) < 9 * positions / wide * s.taps * images * cost(wide);
}

}  // namespace conv
