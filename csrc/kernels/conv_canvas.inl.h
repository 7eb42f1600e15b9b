// The canvas of a convolution: the rows of the image that a part reads, copied once with their border, so that every
// tap reads it at a fixed offset. A window with a stride above one is split into phases, each of stride one. What lies
// beyond the rows, which tiles may read, is zero, since stale values may be slow to compute with. Start reading at
// Canvas.

namespace conv {

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

// What positions [from, to) read, phase by phase, `pitch` elements a row: whole rows of the output from row `first` on,
// or, if all positions lie in one row, its columns [left, left + wide).
template <class T> struct Canvas {
  const Window* window;
  Phases y, x;
  std::int64_t first, rows, left, wide, pitch, plane, channel;

  Canvas(const Window* w, std::int64_t from, std::int64_t to)
      : window(w),
        y(w[1]),
        x(w[2]),
        first(from / w[2].out),
        rows((to - 1) / w[2].out - first + 1 + y.longest),
        left(rows == 1 + y.longest ? from % w[2].out : 0),
        wide(rows == 1 + y.longest ? to - from : w[2].out),
        pitch(wide + x.longest),
        plane(rows * pitch + lanes<T>),
        channel(plane * w[1].step * w[2].step) {}

  // The image itself, as a canvas that need not be read: for windows that reach no border and have no stride.
  static bool is_image(const Window* w) {
    const auto within = [](const Window& d) {
      return d.step == 1 && d.at(0) == 0 && d.gap > 0 && d.out - 1 + d.at(d.taps - 1) < d.in;
    };
    return within(w[1]) && within(w[2]);
  }
  static Canvas of_image(const Window* w) {
    Canvas c(w, 0, w[1].out * w[2].out);
    c.pitch = w[2].in;
    c.plane = c.channel = w[1].in * w[2].in;
    return c;
  }
  // Where position p lies.
  std::int64_t place(std::int64_t p) const { return (p / window[2].out - first) * pitch + p % window[2].out - left; }

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
  // One row of a channel, a vector at a time.
  template <int step>
  STEEP_INLINE void read_row(const Readable<T>& all, const T* from, bool inside, const Source<T>* reads, T* to) const {
    for (std::int64_t v = 0; v * lanes<T> < pitch; ++v) {
      const Source<T>& s = reads[v];
      const bool any = inside && s.lo < s.hi;
      store(to + v * lanes<T>, any ? read_piece<T, step>(all, from + s.from, s, x.w.step) : Vec<T>(T(0)));
    }
  }
  // The rows of a phase, from row `iy` of the image on, of all channels.
  template <int step>
  void read_rows(const T* image, std::int64_t channels, std::int64_t iy, const Source<T>* reads, T* to) const {
    for (std::int64_t c = 0; c < channels; ++c, image += y.w.in * x.w.in, to += channel) {
      const Readable<T> all{image, image + y.w.in * x.w.in};
      for (std::int64_t r = 0, at = iy; r < rows; ++r, at += y.w.step)
        read_row<step>(all, image + at * x.w.in, at >= 0 && at < y.w.in, reads, to + r * pitch);
    }
  }
  static void clear(T* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = 0;
  }
  // The elements that tiles of `width` read beyond the rows: the ends of planes, and the beginnings of empty ones.
  void clear_ends(std::int64_t channels, T* to, std::int64_t width) const {
    for (std::int64_t py = 0; py < y.w.step; ++py)
      for (std::int64_t px = 0; px < x.w.step; ++px) {
        T* at = to + (py * x.w.step + px) * plane;
        const bool has_rows = used(py, px);
        for (std::int64_t c = 0; c < channels; ++c, at += channel)
          has_rows ? clear(at + rows * pitch, lanes<T>) : clear(at, least(width, plane));
      }
    clear(to + channels * channel, width);
  }
  void read(const T* image, std::int64_t channels, T* to, std::int64_t width) const {
    clear_ends(channels, to, width);
    const std::int64_t vecs = ceil_div(pitch, lanes<T>);
    auto* reads =
        static_cast<Source<T>*>(scratch(Scratch::conv_reads, static_cast<std::size_t>(vecs) * sizeof(Source<T>)));
    const auto copy = x.w.step == 1   ? &Canvas::read_rows<1>
                      : x.w.step == 2 ? &Canvas::read_rows<2>
                                      : &Canvas::read_rows<0>;
    for (std::int64_t px = 0; px < x.w.step; ++px) {
      for (std::int64_t v = 0; v < vecs; ++v)
        reads[v] = source_of<T>(x.w, left + v * lanes<T>, least(lanes<T>, pitch - v * lanes<T>), x.lowest + px);
      for (std::int64_t py = 0; py < y.w.step; ++py)
        if (used(py, px))
          (this->*copy)(image, channels, first * y.w.step + y.lowest + py, reads, to + (py * x.w.step + px) * plane);
    }
  }
};

// Whether the windows have two dimensions.
static inline bool is_plane(const Window* w) {
  return w[0].out == 1 && w[0].in == 1 && w[0].taps == 1 && w[0].at(0) == 0;
}

// Whether windows of two dimensions read a canvas that is not much larger than the image.
static inline bool has_canvas(const Window* w) {
  if (!is_plane(w)) return false;
  const Phases y(w[1]), x(w[2]);
  return w[1].taps > 0 && w[2].taps > 0 && x.longest <= w[2].out && y.longest <= 64 && w[1].step * w[2].step <= 16;
}

}  // namespace conv
