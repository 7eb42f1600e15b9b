// Correlation with positions in the lanes of vectors, read from a canvas (conv_canvas.inl.h) without panels of columns.
// Positions continue over the rows' borders, and past the last row to the end of a tile; results there are discarded.
// The order of sums is that of the general code path, bit for bit. Start reading at correlate_flat.

namespace conv {

// One tile with B at offsets, one per step of k; C is a whole tile in scratch memory.
template <class T> struct FarTile {
  std::int64_t depth;
  const T *a, *b;
  const std::int64_t* offset;
  T* c;
  std::int64_t ldc;
  bool add;
};

template <class T, int rows, int vecs> static void tile_far(const FarTile<T>& t) {
  Vec<T> sum[rows][vecs] = {};
  const T* a = t.a;
  for (std::int64_t k = 0; k < t.depth; ++k, a += rows) {
    const T* b = t.b + t.offset[k];
    Vec<T> x[vecs];
    repeat<vecs>(STEEP_EACH(j) { x[j] = load(b + j * lanes<T>); });
    repeat<rows>(STEEP_EACH(i) {
      const Vec<T> y(a[i]);
      repeat<vecs>(STEEP_EACH(j) { sum[i][j] = fma(y, x[j], sum[i][j]); });
    });
  }
  repeat<rows>(STEEP_EACH(i) { store_row(t.c + i * t.ldc, sum[i], Whole{}, t.add); });
}
// The widest that this height allows, then the widest that the next allows: tiles of one sweep differ in height by at
// most one.
template <class T> using FarTileFn = void (*)(const FarTile<T>&);
template <class T>
static constexpr auto far_tiles = tile_table<FarTileFn<T>, tile_rows, 2>([]<int rows, int next>() -> FarTileFn<T> {
  return tile_far<T, rows, widest(rows + next - 1)>;
});

// Used where the borders waste little, and there are enough columns to pack the weights for. With few rows, both cost
// less than packing the columns, which few rows share.
template <class T> static bool is_flat_path(const Sweep<T>& s) {
  if (!has_canvas(s.x.window) || s.taps < 2) return false;
  const Phases x(s.x.window[2]);
  const std::int64_t between = rows_between(s.x.window, s.from, s.count), tall = s.x.window[1].out;
  return (s.rows <= 64 && s.count >= 64 && between * 2 <= tall) ||
         (s.count > 4 * s.width && x.longest * 4 <= x.w.out && between * 4 <= tall);
}

// One block of channels: out of the canvas at `image` into rows s.ldc apart. `packed`: the weights of an image before.
// Returns the last weights that it packed.
template <class T> static const T* sweep_canvas(const Sweep<T>& s, const Channels<T>& k, const T* image,
                                                const std::int64_t* offset, const T* packed) {
  const std::int64_t depth = k.count * s.taps;
  const T* a = packed;
  for (std::int64_t t = 0; t < s.tiles; t += tiles_in_cache) {
    const std::int64_t end = least(t + tiles_in_cache, s.tiles);
    if (!packed) a = weights_of(s, k, t, end, true).at;
    for (std::int64_t j = 0; j < s.ldc; j += s.width)
      for (std::int64_t i = t; i < end; ++i) {
        const std::int64_t row = s.top(i), rows = s.top(i + 1) - row;
        const bool next = widest(static_cast<int>(rows)) * lanes<T> != s.width;
        far_tiles<T>.at[rows - 1][next]({depth, a + (row - s.top(t)) * depth, image + j, offset, s.c + row * s.ldc + j,
                                         s.ldc, k.first > 0 || s.x.bias});
      }
  }
  return a;
}

template <class T> static void correlate_flat(Sweep<T> s) {
  const Canvas<T> canvas(s.x.window, s.from, s.from + s.count);
  const std::int64_t zero = canvas.place(s.from), span = canvas.place(s.from + s.count - 1) + 1 - zero;
  s.ldc = ceil_div(span, s.width) * s.width;
  s.c = scratch_for<T>(Scratch::gemm_c, s.rows * s.ldc);
  const std::int64_t most = block_channels(s.x.channels, s.taps), in = volume(s.x.window, &Window::in);
  T* image = scratch_for<T>(Scratch::gemm_b, canvas.channel * most + s.width);
  auto* offset = static_cast<std::int64_t*>(
      scratch(Scratch::conv_offsets, static_cast<std::size_t>(most * s.taps) * sizeof(std::int64_t)));
  canvas.list_offsets(most, offset);
  const bool all = s.tiles <= tiles_in_cache && most == s.x.channels;  // weights are packed at once
  const T* packed = nullptr;
  for (std::int64_t i = 0; i < s.x.images; ++i) {
    if (s.x.bias) start(s, s.ldc);
    for (std::int64_t c = 0; c < s.x.channels; c += most) {
      const Channels<T> block{c, least(most, s.x.channels - c)};
      canvas.read(static_cast<const T*>(s.x.image) + i * s.x.image_step + c * in, block.count, image, s.width);
      packed = sweep_canvas(s, block, image + zero, offset, all ? packed : nullptr);
    }
    gather_rows(s, canvas, zero, static_cast<T*>(s.x.out) + i * s.x.out_image);
  }
}

}  // namespace conv
