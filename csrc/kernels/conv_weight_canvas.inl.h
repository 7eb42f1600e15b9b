// The gradient of a convolution with respect to its weight, read from canvases (conv_canvas.inl.h): a tile is some
// pairs of an input channel and a tap, times a panel of output channels. Nothing is copied for each tap. The order of
// sums is that of conv_weight.inl.h, bit for bit. Start reading at weight_canvas_block.

namespace conv {

#if defined(__AVX512F__)
constexpr int pair_rows = 9;  // 27 accumulators, three vectors of the gradient and one broadcast: 31 of 32 registers
#else
constexpr int pair_rows = 4;  // 12 accumulators of 16 registers
#endif
constexpr int pair_vecs = 3;

constexpr std::int64_t most_transposed_sums = 1 << 18;  // elements that are added up while transposed, and in cache

// Rows of pairs at offsets in the canvas, positions at others, and a panel of the gradient.
template <class T> struct PairTile {
  std::int64_t depth;
  const std::int64_t* position;
  const T* image;
  const std::int64_t* offset;  // of each row
  const T* grad;               // [positions, vectors]
  T* c = nullptr;
  std::int64_t ldc = 0, width = 0;
  bool add = false;

  void to(T* at, std::int64_t ld, std::int64_t columns, bool more) { c = at, ldc = ld, width = columns, add = more; }
};

template <class T, int rows, int vecs> static void tile_pairs(const PairTile<T>& t) {
  const T *a[rows], *b = t.grad;
  repeat<rows>(STEEP_EACH(i) { a[i] = t.image + t.offset[i]; });
  Vec<T> sum[rows][vecs] = {};
  for (std::int64_t k = 0; k < t.depth; ++k, b += vecs * lanes<T>) {
    const std::int64_t p = t.position[k];
    Vec<T> x[vecs];
    repeat<vecs>(STEEP_EACH(j) {
      x[j] = load(b + j * lanes<T>);
      __builtin_prefetch(b + (rows_ahead * vecs + j) * lanes<T>);
    });
    repeat<rows>(STEEP_EACH(i) {
      const Vec<T> y(a[i][p]);
      repeat<vecs>(STEEP_EACH(j) { sum[i][j] = fma(y, x[j], sum[i][j]); });
    });
  }
  with_part<T>(
      t.width - (vecs - 1) * lanes<T>,
      STEEP_EACH(last) { repeat<rows>(STEEP_EACH(i) { store_row(t.c + i * t.ldc, sum[i], last, t.add); }); });
}

template <class T> using PairTileFn = void (*)(const PairTile<T>&);
template <class T> static constexpr auto pair_tiles = tile_table<PairTileFn<T>, pair_rows, pair_vecs>(
    []<int rows, int vecs>() -> PairTileFn<T> { return tile_pairs<T, rows, vecs>; });

// A block of positions: what it reads of images, and where its positions lie in that. Each image has a canvas of some
// rows, or, where it has three dimensions, of some planes, or one for each of its planes where these are large: a sheet
// is what has a canvas. All canvases are of one size.
template <class T> struct PairBlock {
  const WeightSweep<T>& s;
  std::int64_t q, depth;
  bool direct;
  std::int64_t plane, sheet, unit, units;  // positions of each, of a row or plane; how many units a canvas has
  Canvas<T> canvas;
  std::int64_t group, sheet_step;  // input channels at a time; from the canvas of one sheet to the next
  std::int64_t position[most_depth];

  PairBlock(const WeightSweep<T>& sweep, std::int64_t from, std::int64_t count)
      : s(sweep),
        q(from),
        depth(count),
        direct(Canvas<T>::is_image(sweep.x.window)),
        plane(sweep.x.window[1].out * sweep.x.window[2].out),
        sheet(!direct && plane > 2 * most_depth ? plane : sweep.positions),
        unit(sheet == plane ? sweep.x.window[2].out : plane),
        units(least(sheet / unit, count / unit + 2)),
        canvas(direct ? Canvas<T>::of_image(sweep.x.window) : Canvas<T>(sweep.x.window, 0, units * unit)),
        group(direct ? sweep.channels : least(sweep.channels, ceil_div(1 << 17, canvas.channel * sheets()))),
        sheet_step(direct ? sweep.x.image_step : group * canvas.channel) {
    for (std::int64_t k = 0; k < depth;) k = list_positions((q + k) / sheet, k);
  }
  // Of sheet i, from the k-th on; returns which follows.
  std::int64_t list_positions(std::int64_t i, std::int64_t k) {
    const std::int64_t wide = s.x.window[2].out, begin = (i - first_sheet()) * sheet_step;
    const std::int64_t end = least(depth, (i + 1) * sheet - q);
    const Canvas<T> one = canvas_of(i);
    for (Place p = place_of(s.x.window, (q + k) % s.positions); k < end; next_row(s.x.window, p)) {
      const std::int64_t at = begin + one.place(p), some = least(wide - p.x, end - k);
      for (std::int64_t j = 0; j < some; ++j) position[k++] = at + j;
    }
    return end;
  }
  std::int64_t first_sheet() const { return q / sheet; }
  std::int64_t sheets() const { return (q + depth - 1) / sheet - first_sheet() + 1; }
  // It begins with the first position, and of later sheets with the first row or plane.
  Canvas<T> canvas_of(std::int64_t i) const {
    Canvas<T> one = canvas;
    const std::int64_t begin = i == first_sheet() && !direct ? q % sheet / unit : 0;
    const std::int64_t first = least(begin, sheet / unit - units);
    if (sheet == plane) one.first = i % (s.positions / sheet), one.top = first;
    else one.first = first;
    return one;
  }
  // Some channels of all sheets, copied to `to` unless the canvases are the images themselves.
  const T* read(std::int64_t channel, std::int64_t count, T* to) const {
    const T* from = static_cast<const T*>(s.x.image) + channel * volume(s.x.window, &Window::in);
    if (direct) return from + first_sheet() * s.x.image_step;
    for (std::int64_t i = 0; i < sheets(); ++i) {
      const std::int64_t at = first_sheet() + i, image = at / (s.positions / sheet);
      canvas_of(at).read(from + image * s.x.image_step, count, to + i * sheet_step, 0);
    }
    return to;
  }
};

// Used where whole rows fit in a canvas that is worth its copy, or none is needed. For one tap with a stride, a copy of
// what it reads is as good.
template <class T> static bool is_pair_path(const WeightSweep<T>& s) {
  const Window* w = s.x.window;
  return w[2].out <= 4096 && (Canvas<T>::is_image(w) || (has_canvas(w) && w[2].out >= 4 && s.taps > 1));
}

// One tile, for rows [row, row + rows) of the transposed result, columns [j, j + width). Without
// s.c, the tile is transposed and goes where it belongs.
template <class T> static void multiply_pairs(const PairBlock<T>& b, PairTile<T> tile, std::int64_t row,
                                              std::int64_t rows, std::int64_t j, std::int64_t width) {
  const WeightSweep<T>& s = b.s;
  const std::int64_t vecs = ceil_div(width, lanes<T>);
  const auto multiply = pair_tiles<T>.at[rows - 1][vecs - 1];
  if (s.c) {
    tile.to(s.c + row * s.x.rows + j, s.x.rows, width, b.q > 0);
    return multiply(tile);
  }
  alignas(64) T c[pair_rows * pair_vecs * lanes<T>];
  tile.to(c, vecs * lanes<T>, vecs * lanes<T>, false);
  multiply(tile);
  const std::int64_t all = s.x.channels * s.taps;
  const OutputRows<T> out{static_cast<T*>(s.x.out) + j * all + s.first * s.taps + row, all, 1, nullptr, b.q > 0};
  put_tile(out, c, vecs * lanes<T>, rows, width);
}

// The pairs of `channels` at hand times every panel of the gradient.
template <class T> static void sweep_pairs(const PairBlock<T>& b, std::int64_t channel, std::int64_t channels,
                                           const T* image, const std::int64_t* offset, const T* grad) {
  const WeightSweep<T>& s = b.s;
  const std::int64_t vecs = ceil_div(s.x.rows, lanes<T>), panels = ceil_div(vecs, pair_vecs);
  const std::int64_t pairs = channels * s.taps, tiles_here = ceil_div(pairs, pair_rows);
  for (std::int64_t i = 0; i < panels; ++i) {
    const std::int64_t begin = share_start(vecs, panels, i), wide = share_start(vecs, panels, i + 1) - begin;
    const std::int64_t j = begin * lanes<T>, width = least(wide * lanes<T>, s.x.rows - j);
    interruption_point();
    for (std::int64_t t = 0; t < tiles_here; ++t) {
      const std::int64_t row = share_start(pairs, tiles_here, t), rows = share_start(pairs, tiles_here, t + 1) - row;
      const PairTile<T> tile{b.depth, b.position, image, offset + row, grad + j * b.depth};
      multiply_pairs(b, tile, channel * s.taps + row, rows, j, width);
    }
  }
}

template <class T> static void weight_canvas_block(const WeightSweep<T>& s, std::int64_t q, std::int64_t depth) {
  const PairBlock<T> b(s, q, depth);
  const std::int64_t vecs = ceil_div(s.x.rows, lanes<T>), panels = ceil_div(vecs, pair_vecs);
  T* grad = scratch_for<T>(Scratch::gemm_b, depth * vecs * lanes<T>);
  for (std::int64_t i = 0; i < panels; ++i) {
    const std::int64_t j = share_start(vecs, panels, i) * lanes<T>, end = share_start(vecs, panels, i + 1) * lanes<T>;
    transpose_gradient(s, q, depth, j, least(end, s.x.rows) - j, grad + j * depth);
  }
  auto* offset = static_cast<std::int64_t*>(
      scratch(Scratch::conv_offsets, static_cast<std::size_t>(b.group * s.taps) * sizeof(std::int64_t)));
  b.canvas.list_offsets(b.group, offset);
  T* copy = b.direct ? nullptr : scratch_for<T>(Scratch::gemm_a, b.sheets() * b.sheet_step);
  for (std::int64_t c = 0; c < s.channels; c += b.group) {
    const std::int64_t some = least(b.group, s.channels - c);
    sweep_pairs(b, c, some, b.read(s.first + c, some, copy), offset, grad);
  }
}

}  // namespace conv
