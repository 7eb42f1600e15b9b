// Correlation with output channels in the lanes of vectors: a tile is some neighbouring positions of one row times a
// panel of packed weights, and is transposed on its way to the output. Positions are read one at a time from a canvas
// (conv_canvas.inl.h), so that short rows, borders and strides waste nothing. The order of sums is that of the general
// code path, bit for bit. Start reading at correlate_channels.

namespace conv {

// One tile: neighbouring positions of the canvas, at offsets, one per step of the depth, times a panel.
template <class T> struct ChannelTile {
  std::int64_t depth;
  const T* image;
  const std::int64_t* offset;
  const T* weight;  // [depth, vectors]
  T* c;             // [positions, vectors]
};

template <class T, int positions, int vecs> static void tile_channels(const ChannelTile<T>& t) {
  constexpr std::int64_t width = vecs * lanes<T>;
  Vec<T> sum[positions][vecs] = {};
  const T* b = t.weight;
  for (std::int64_t k = 0; k < t.depth; ++k, b += width) {
    const T* a = t.image + t.offset[k];
    Vec<T> x[vecs];
    repeat<vecs>(STEEP_EACH(j) {
      x[j] = load(b + j * lanes<T>);
      __builtin_prefetch(b + rows_ahead * width + j * lanes<T>);
    });
    repeat<positions>(STEEP_EACH(i) {
      const Vec<T> y(a[i]);
      repeat<vecs>(STEEP_EACH(j) { sum[i][j] = fma(y, x[j], sum[i][j]); });
    });
  }
  repeat<positions>(
      STEEP_EACH(i) { repeat<vecs>(STEEP_EACH(j) { store(t.c + i * width + j * lanes<T>, sum[i][j]); }); });
}

constexpr int widest_panel = 4;  // in vectors

constexpr int widest_for(int positions) { return static_cast<int>(least(widest(positions), widest_panel)); }

template <class T> using ChannelTileFn = void (*)(const ChannelTile<T>&);
template <class T> static constexpr auto channel_tiles =
    tile_table<ChannelTileFn<T>, tile_rows, widest_panel>([]<int positions, int vecs>() -> ChannelTileFn<T> {
      if constexpr (vecs <= widest_for(positions)) return tile_channels<T, positions, vecs>;
      return nullptr;
    });

// One block of input channels of a part: its canvas, and the panels [panel, panel_end) of its weights. Panels are as
// equal as possible, and as wide as the tallest tile allows.
template <class T> struct ChannelSweep {
  const Sweep<T>& s;
  const Canvas<T>& canvas;
  const std::int64_t* offset;
  std::int64_t tallest, vecs, panels;
  Channels<T> block{};
  std::int64_t panel = 0, panel_end = 0;
  const T *image = nullptr, *weight = nullptr;
  std::int64_t which = 0;  // of the images

  ChannelSweep(const Sweep<T>& sweep, const Canvas<T>& rows, const std::int64_t* offsets)
      : s(sweep),
        canvas(rows),
        offset(offsets),
        tallest(ceil_div(rows.wide, ceil_div(rows.wide, tile_rows))),
        vecs(ceil_div(sweep.rows, lanes<T>)),
        panels(ceil_div(vecs, widest_for(static_cast<int>(tallest)))) {}

  std::int64_t depth() const { return block.count * s.taps; }
  std::int64_t first(std::int64_t i) const { return share_start(vecs, panels, i) * lanes<T>; }  // row of panel i
};

// Packs the weights of panels [panel, panel_end), zero beyond the last row.
template <class T> static void pack_panels(ChannelSweep<T>& c) {
  const std::int64_t ld = c.s.x.channels * c.s.taps, depth = c.depth(), top = c.first(c.panel);
  const T* from = static_cast<const T*>(c.s.x.weight) + c.s.row * ld + c.block.first * c.s.taps;
  const PanelKey key{Packing::filters_in_lanes, {ld, c.s.rows, c.panels, c.panel, c.panel_end, depth}};
  c.weight = panels_of(Scratch::gemm_a, from, key, depth * (c.first(c.panel_end) - top), [&](T* to) {
    for (std::int64_t i = c.panel; i < c.panel_end; ++i) {
      const std::int64_t row = c.first(i), width = c.first(i + 1) - row, count = least(width, c.s.rows - row);
      pack(Strip<T>{to + (row - top) * depth, width, from + row * ld, ld, 1, count, depth});
    }
  });
}

// Rows of the output, a vector of positions each: stored, or added to the bias or to what is there.
template <class T> struct OutputRows {
  T* to;
  std::int64_t row, step;
  const T* bias;
  bool add;

  void put(std::int64_t i, std::int64_t position, std::int64_t count, Vec<T> x) const {
    T* at = to + i * row + position * step;
    if (step == 2) return put_every_other(at, i, count, x);
    if (step != 1) return put_apart(at, i, count, x);
    with_part<T>(
        count, STEEP_EACH(part) {
          if (add) x = load_part(at, part) + x;
          else if (bias) x = Vec<T>(bias[i]) + x;
          store_part(at, x, part);
        });
  }
  void put_every_other(T* at, std::int64_t i, std::int64_t count, Vec<T> x) const {
    if (add) x = load_apart(at, count) + x;
    else if (bias) x = Vec<T>(bias[i]) + x;
    store_apart(at, x, count);
  }
  void put_apart(T* at, std::int64_t i, std::int64_t count, Vec<T> x) const {
    T value[lanes<T>];
    store(value, x);
    for (std::int64_t j = 0; j < count; ++j, at += step)
      *at = add ? *at + value[j] : bias ? bias[i] + value[j] : value[j];
  }
};

// A tile [positions, ld] transposed into its rows.
template <class T> static void put_tile(const OutputRows<T>& out, const T* c, std::int64_t ld, std::int64_t positions,
                                        std::int64_t channels) {
  for (std::int64_t i = 0; i < channels; i += lanes<T>)
    for (std::int64_t p = 0; p < positions; p += lanes<T>) {
      const std::int64_t across = least(lanes<T>, positions - p), down = least(lanes<T>, channels - i);
      Vec<T> x[lanes<T>];
      load_transposed(
          x, STEEP_EACH(j) { return c + (p + least(j, across - 1)) * ld + i; });
      repeat<lanes<T>>(STEEP_EACH(j) {
        if (j < down) out.put(i + j, p, across, x[j]);
      });
    }
}

// `count` positions from p on, neighbours in a row, times every panel at hand.
template <class T> static void sweep_panels(const ChannelSweep<T>& c, const Place& p, std::int64_t count) {
  const Sweep<T>& s = c.s;
  const std::int64_t step = s.x.out_step[2], depth = c.depth(), top = c.first(c.panel), place = c.canvas.place(p);
  alignas(64) T tile[tile_rows * widest_panel * lanes<T>];
  T* out = static_cast<T*>(s.x.out) + c.which * s.x.out_image + s.row * s.x.out_row + place_in(s.x, p);
  const T* bias = s.x.bias && c.block.first == 0 ? static_cast<const T*>(s.x.bias) + s.row : nullptr;
  for (std::int64_t i = c.panel; i < c.panel_end; ++i) {
    const std::int64_t row = c.first(i), width = c.first(i + 1) - row, rows_here = least(width, s.rows - row);
    for (std::int64_t r = row; r < row + rows_here; ++r) __builtin_prefetch(out + r * s.x.out_row, 1);
    channel_tiles<T>.at[count - 1][width / lanes<T> - 1](
        {depth, c.image + place, c.offset, c.weight + (row - top) * depth, tile});
    const OutputRows<T> rows{out + row * s.x.out_row, s.x.out_row, step, bias ? bias + row : nullptr,
                             c.block.first > 0};
    put_tile(rows, tile, width, count, rows_here);
  }
}

// All positions of a part, row by row, in tiles as equal as possible.
template <class T> static void sweep_positions(const ChannelSweep<T>& c) {
  const std::int64_t wide = c.s.x.window[2].out;
  Place p = place_of(c.s.x.window, c.s.from);
  for (std::int64_t done = 0, some; done < c.s.count; done += some, next_row(c.s.x.window, p)) {
    some = least(wide - p.x, c.s.count - done);
    const std::int64_t tiles = ceil_div(some, c.tallest), left = p.x;
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t begin = share_start(some, tiles, t);
      p.x = left + begin;
      sweep_panels(c, p, share_start(some, tiles, t + 1) - begin);
    }
    interruption_point();
  }
}

template <class T> static void correlate_channels(const Sweep<T>& s) {
  const bool direct = Canvas<T>::is_image(s.x.window);
  const Canvas<T> canvas = direct ? Canvas<T>::of_image(s.x.window) : Canvas<T>(s.x.window, s.from, s.from + s.count);
  const std::int64_t most = block_channels(s.x.channels, s.taps), in = volume(s.x.window, &Window::in);
  T* copy = direct ? nullptr : scratch_for<T>(Scratch::gemm_b, canvas.channel * most);
  auto* offset = static_cast<std::int64_t*>(
      scratch(Scratch::conv_offsets, static_cast<std::size_t>(most * s.taps) * sizeof(std::int64_t)));
  canvas.list_offsets(most, offset);
  ChannelSweep<T> c(s, canvas, offset);
  for (std::int64_t first = 0; first < s.x.channels; first += most) {
    c.block = {first, least(most, s.x.channels - first)};
    for (c.panel = 0; c.panel < c.panels; c.panel = c.panel_end) {
      c.panel_end = least(c.panel + tiles_in_cache, c.panels);
      pack_panels(c);
      for (c.which = 0; c.which < s.x.images; ++c.which) {
        const T* image = static_cast<const T*>(s.x.image) + c.which * s.x.image_step + first * in;
        if (!direct && (c.panel == 0 || s.x.images > 1)) canvas.read(image, c.block.count, copy, 0);
        c.image = direct ? image : copy;
        sweep_positions(c);
      }
    }
  }
}

// Used where lanes without an output channel and the transposition, about ten steps of a tile, cost less than the
// positions between rows that conv_flat.inl.h computes for nothing. One vector of channels uses the processor less
// well.
template <class T> static bool is_channel_path(const Sweep<T>& s) {
  const Window& x = s.x.window[2];
  if (!has_canvas(s.x.window) || s.taps < 2 || least(x.out, s.count) < 3) return false;
  const std::int64_t depth = s.taps * block_channels(s.x.channels, s.taps), wide = least(x.out, s.count);
  const std::int64_t vecs = ceil_div(s.rows, lanes<T>), percent = vecs == 1 ? 112 : 102;
  const std::int64_t tall = s.x.window[1].out, flat = tall + rows_between(s.x.window, s.from, s.count);
  return percent * (depth + 10) * vecs * lanes<T> * wide * tall <
         100 * depth * s.rows * (wide + Phases(x).longest) * flat;
}

}  // namespace conv
