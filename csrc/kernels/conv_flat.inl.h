// Correlation without panels of columns: the image, with its border, is copied once so that every tap reads it at a
// fixed offset, and the inner kernel reads vectors there. A window with a stride above one is split into phases, each
// of stride one. Positions continue over the rows' borders, and past the last row to the end of a tile; results there
// are discarded, and the canvas is zero there, since stale values may be slow to compute with. Start reading at Canvas,
// then correlate_flat. The order of sums is that of the general code path, bit for bit.

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
  const Part<T> whole(lanes<T>);
  repeat<rows>(STEEP_EACH(i) { store_row<T, vecs>(t.c + i * t.ldc, sum[i], whole, t.add); });
}
// The widest that this height and the next allow: tiles of one sweep differ in height by at most one.
template <class T> struct FarTiles {
  using Fn = void (*)(const FarTile<T>&);
  Fn wide[tile_rows] = {}, next[tile_rows] = {};

  constexpr FarTiles() : FarTiles(std::make_integer_sequence<int, tile_rows>{}) {}
  template <int... i> constexpr explicit FarTiles(std::integer_sequence<int, i...>)
      : wide{tile_far<T, i + 1, widest(i + 1)>...}, next{tile_far<T, i + 1, widest(i + 2)>...} {}
};
template <class T> static constexpr FarTiles<T> far_tiles{};

// How one dimension of a window maps to its phases: tap i reads phase reach(i) % step, reach(i) / step further on.
struct Phases {
  const Window& w;
  std::int64_t lowest, longest;

  explicit Phases(const Window& window) : w(window), lowest(window.at(0)), longest(0) {
    for (std::int64_t i = 0; i < w.taps; ++i) lowest = least(lowest, w.at(i));
    for (std::int64_t i = 0; i < w.taps; ++i) longest = longest < reach(i) / w.step ? reach(i) / w.step : longest;
  }
  std::int64_t reach(std::int64_t i) const { return w.at(i) - lowest; }
  std::int64_t phase(std::int64_t i) const { return reach(i) % w.step; }
  std::int64_t shift(std::int64_t i) const { return reach(i) / w.step; }
};

// The rows of the image that output rows [first, first + rows) read, phase by phase, `pitch` elements a row.
template <class T> struct Canvas {
  const Window* window;
  Phases y, x;
  std::int64_t first, rows, pitch, plane, channel;

  Canvas(const Window* w, std::int64_t from, std::int64_t to)
      : window(w),
        y(w[1]),
        x(w[2]),
        first(from / w[2].out),
        rows((to - 1) / w[2].out - first + 1 + y.longest),
        pitch(w[2].out + x.longest),
        plane(rows * pitch + lanes<T>),
        channel(plane * w[1].step * w[2].step) {}

  // Where position p lies.
  std::int64_t place(std::int64_t p) const { return (p / window[2].out - first) * pitch + p % window[2].out; }

  void list_offsets(std::int64_t channels, std::int64_t* to) const {
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t ty = 0; ty < y.w.taps; ++ty)
        for (std::int64_t tx = 0; tx < x.w.taps; ++tx)
          *to++ = c * channel + (y.phase(ty) * x.w.step + x.phase(tx)) * plane + y.shift(ty) * pitch + x.shift(tx);
  }
  bool used(std::int64_t py, std::int64_t px) const {
    bool by_y = false, by_x = false;
    for (std::int64_t i = 0; i < y.w.taps; ++i) by_y = by_y || y.phase(i) == py;
    for (std::int64_t i = 0; i < x.w.taps; ++i) by_x = by_x || x.phase(i) == px;
    return by_y && by_x;
  }
  // Row (py, r) of phase px of one channel, a vector at a time.
  template <int step> void read_row(const T* image, std::int64_t iy, const Source<T>* reads, T* to) const {
    const bool inside = iy >= 0 && iy < y.w.in;
    for (std::int64_t v = 0; v * lanes<T> < pitch; ++v) {
      const Source<T>& s = reads[v];
      const Vec<T> row =
          inside && s.lo < s.hi ? read_piece<T, step>(image + iy * x.w.in + s.from, s, x.w.step) : Vec<T>(T(0));
      store(to + v * lanes<T>, row);
    }
  }
  static void clear(T* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = 0;
  }
  // The elements that tiles of `width` read beyond the rows: the ends of planes, and the beginnings of empty ones.
  void clear_ends(std::int64_t channels, T* to, std::int64_t width) const {
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t py = 0; py < y.w.step; ++py)
        for (std::int64_t px = 0; px < x.w.step; ++px, to += plane)
          used(py, px) ? clear(to + rows * pitch, lanes<T>) : clear(to, least(width, plane));
    clear(to, width);
  }
  void read(const T* image, std::int64_t channels, T* to, std::int64_t width) const {
    clear_ends(channels, to, width);
    const std::int64_t vecs = ceil_div(pitch, lanes<T>);
    auto* reads =
        static_cast<Source<T>*>(scratch(Scratch::conv_reads, static_cast<std::size_t>(vecs) * sizeof(Source<T>)));
    const auto copy = x.w.step == 1   ? &Canvas::read_row<1>
                      : x.w.step == 2 ? &Canvas::read_row<2>
                                      : &Canvas::read_row<0>;
    for (std::int64_t px = 0; px < x.w.step; ++px) {
      for (std::int64_t v = 0; v < vecs; ++v)
        reads[v] = source_of<T>(x.w, v * lanes<T>, least(lanes<T>, pitch - v * lanes<T>), x.lowest + px);
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t py = 0; py < y.w.step; ++py)
          for (std::int64_t r = 0; r < rows && used(py, px); ++r)
            (this->*copy)(image + c * y.w.in * x.w.in, (first + r) * y.w.step + y.lowest + py, reads,
                          to + c * channel + (py * x.w.step + px) * plane + r * pitch);
    }
  }
};

// Used where the borders waste little, and there are enough columns to pack the weights for. With few rows, both cost
// less than packing the columns, which few rows share.
template <class T> static bool is_flat_path(const Sweep<T>& s) {
  const Window* w = s.x.window;
  if (w[0].out != 1 || w[0].in != 1 || w[0].taps != 1 || w[0].at(0) != 0 || s.taps < 2) return false;
  const Phases x(w[2]), y(w[1]);
  const bool few = s.rows <= 64 && s.count >= 64 && x.longest <= w[2].out;
  const bool wide = s.count > 4 * s.width && x.longest * 4 <= w[2].out;
  return (few || wide) && w[1].step * w[2].step <= 16 && y.longest <= 64;
}

// One block of channels: out of the canvas at `image` into rows s.ldc apart. `packed`: the weights of an image before.
template <class T> static void sweep_canvas(const Sweep<T>& s, const Channels<T>& k, const T* image,
                                            const std::int64_t* offset, const T* packed) {
  const std::int64_t depth = k.count * s.taps;
  for (std::int64_t t = 0; t < s.tiles; t += tiles_in_cache) {
    const std::int64_t end = least(t + tiles_in_cache, s.tiles);
    const T* a = packed ? packed : weights_of(s, k, t, end, true).at;
    for (std::int64_t j = 0; j < s.ldc; j += s.width)
      for (std::int64_t i = t; i < end; ++i) {
        const std::int64_t row = s.top(i), rows = s.top(i + 1) - row;
        const auto& at = widest(static_cast<int>(rows)) * lanes<T> == s.width ? far_tiles<T>.wide : far_tiles<T>.next;
        at[rows - 1]({depth, a + (row - s.top(t)) * depth, image + j, offset, s.c + row * s.ldc + j, s.ldc,
                      k.first > 0 || s.x.bias});
      }
  }
}

// Rows are too short for a library call.
template <class T> STEEP_INLINE void copy_row(const T* from, T* to, std::int64_t n) {
  std::int64_t j = 0;
  for (; j + lanes<T> <= n; j += lanes<T>) store(to + j, load(from + j));
  if (j < n) store_part(to + j, load_part(from + j, Part<T>(n - j)), Part<T>(n - j));
}

// Copies the valid positions of a canvas to `out`.
template <class T> static void gather_rows(const Sweep<T>& s, const Canvas<T>& canvas, std::int64_t start, T* out) {
  const std::int64_t wide = s.x.window[2].out, *step = s.x.out_step;
  for (std::int64_t i = 0; i < s.rows; ++i)
    for (std::int64_t p = s.from; p < s.from + s.count;) {
      const std::int64_t x = p % wide, some = least(wide - x, s.from + s.count - p);
      T* to = out + (s.row + i) * s.x.out_row + p / wide * step[1] + x * step[2];
      const T* from = s.c + i * s.ldc + canvas.place(p) - start;
      if (step[2] == 1) copy_row(from, to, some);
      else
        for (std::int64_t j = 0; j < some; ++j) to[j * step[2]] = from[j];
      p += some;
    }
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
  const bool kept = s.tiles <= tiles_in_cache && most == s.x.channels;  // all packed weights at once
  for (std::int64_t i = 0; i < s.x.images; ++i) {
    if (s.x.bias) start(s, s.ldc);
    for (std::int64_t c = 0; c < s.x.channels; c += most) {
      const Channels<T> block{c, least(most, s.x.channels - c)};
      canvas.read(static_cast<const T*>(s.x.image) + i * s.x.image_step + c * in, block.count, image, s.width);
      sweep_canvas(s, block, image + zero, offset, kept && i ? scratch_for<T>(Scratch::gemm_a, 0) : nullptr);
    }
    gather_rows(s, canvas, zero, static_cast<T*>(s.x.out) + i * s.x.out_image);
  }
}

}  // namespace conv
