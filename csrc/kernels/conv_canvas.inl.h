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
  bool has(std::int64_t p) const {  // a tap of that phase
    for (std::int64_t i = 0; i < w.taps; ++i)
      if (phase(i) == p) return true;
    return false;
  }
};

// What positions [from, to) read, phase by phase, `pitch` elements per row and `tall` rows per plane: of planes of the
// output from `first` on their rows from `top` on. These are whole planes, or, if all positions lie in one, the rows of
// these, or, if they lie in one row, its columns [left, left + wide).
template <class T> struct Canvas {
  const Window* window;
  Phases z, y, x;
  std::int64_t first, top, left, wide, tall, pitch, rows, phase, channel;  // rows of a phase; elements of both
  std::int64_t end = lanes<T>;  // elements after the rows of a phase that are zero

  Canvas(const Window* w, std::int64_t from, std::int64_t to) : window(w), z(w[0]), y(w[1]), x(w[2]) {
    const std::int64_t line = from / w[2].out, last = (to - 1) / w[2].out;
    first = line / w[1].out;
    const std::int64_t planes = last / w[1].out - first + 1;
    top = planes > 1 ? 0 : line % w[1].out;
    left = line == last ? from % w[2].out : 0;
    wide = line == last ? to - from : w[2].out;
    tall = (planes > 1 ? w[1].out : last - line + 1) + y.longest;
    pitch = wide + x.longest;
    rows = (planes + z.longest) * tall;
    phase = rows * pitch + lanes<T>;
    channel = phase * z.w.step * y.w.step * x.w.step;
  }

  // The image itself, as a canvas that need not be read: for windows that reach no border and have no stride.
  static bool is_image(const Window* w) {
    const auto within = [](const Window& d) {
      return d.step == 1 && d.at(0) == 0 && d.gap > 0 && d.out - 1 + d.at(d.taps - 1) < d.in;
    };
    return within(w[0]) && within(w[1]) && within(w[2]);
  }
  static Canvas of_image(const Window* w) {
    Canvas c(w, 0, volume(w, &Window::out));
    c.pitch = w[2].in;
    c.tall = w[1].in;
    c.phase = c.channel = volume(w, &Window::in);
    return c;
  }
  // Where a position lies.
  std::int64_t place(const Place& p) const { return ((p.z - first) * tall + p.y - top) * pitch + p.x - left; }
  std::int64_t place(std::int64_t position) const { return place(place_of(window, position)); }

  void list_offsets(std::int64_t channels, std::int64_t* to) const {
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t tz = 0; tz < z.w.taps; ++tz)
        for (std::int64_t ty = 0; ty < y.w.taps; ++ty)
          for (std::int64_t tx = 0; tx < x.w.taps; ++tx)
            *to++ = c * channel + phase_at(z.phase(tz), y.phase(ty), x.phase(tx)) +
                    (z.shift(tz) * tall + y.shift(ty)) * pitch + x.shift(tx);
  }
  std::int64_t phase_at(std::int64_t pz, std::int64_t py, std::int64_t px) const {
    return ((pz * y.w.step + py) * x.w.step + px) * phase;
  }
  template <class F> void each_phase(F f) const {
    for (std::int64_t pz = 0; pz < z.w.step; ++pz)
      for (std::int64_t py = 0; py < y.w.step; ++py)
        for (std::int64_t px = 0; px < x.w.step; ++px) f(pz, py, px, z.has(pz) && y.has(py) && x.has(px));
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
  // The rows of a phase, from row `iy` of plane `iz` of the image on, of all channels.
  template <int step> void read_rows(const T* image, std::int64_t channels, std::int64_t iz, std::int64_t iy,
                                     const Source<T>* reads, T* to) const {
    const std::int64_t in = volume(window, &Window::in);
    for (std::int64_t c = 0; c < channels; ++c, image += in, to += channel) {
      const Readable<T> all{image, image + in};
      for (std::int64_t r = 0, depth = iz; r < rows; r += tall, depth += z.w.step)
        for (std::int64_t i = 0, at = iy; i < tall; ++i, at += y.w.step) {
          const bool inside = depth >= 0 && depth < z.w.in && at >= 0 && at < y.w.in;
          read_row<step>(all, image + (depth * y.w.in + at) * x.w.in, inside, reads, to + (r + i) * pitch);
        }
    }
  }
  static void clear(T* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = 0;
  }
  // The elements that tiles of `width` read beyond the rows: the ends of phases, and the beginnings of empty ones.
  void clear_ends(std::int64_t channels, T* to, std::int64_t width) const {
    each_phase([&](std::int64_t pz, std::int64_t py, std::int64_t px, bool has_rows) {
      T* at = to + phase_at(pz, py, px);
      for (std::int64_t c = 0; c < channels; ++c, at += channel)
        has_rows ? clear(at + rows * pitch, end) : clear(at, least(width, phase));
    });
    clear(to + channels * channel, width);
  }
  void read(const T* image, std::int64_t channels, T* to, std::int64_t width) const {
    clear_ends(channels, to, width);
    const std::int64_t vecs = ceil_div(pitch, lanes<T>);
    auto* reads = static_cast<Source<T>*>(
        scratch(Scratch::conv_reads, static_cast<std::size_t>(vecs * x.w.step) * sizeof(Source<T>)));
    for (std::int64_t i = 0; i < vecs * x.w.step; ++i) {
      const std::int64_t v = i % vecs * lanes<T>;
      reads[i] = source_of<T>(x.w, left + v, least(lanes<T>, pitch - v), x.lowest + i / vecs);
    }
    const auto copy = x.w.step == 1   ? &Canvas::read_rows<1>
                      : x.w.step == 2 ? &Canvas::read_rows<2>
                                      : &Canvas::read_rows<0>;
    each_phase([&](std::int64_t pz, std::int64_t py, std::int64_t px, bool has_rows) {
      if (!has_rows) return;
      (this->*copy)(image, channels, first * z.w.step + z.lowest + pz, top * y.w.step + y.lowest + py,
                    reads + px * vecs, to + phase_at(pz, py, px));
    });
  }
};

// Copies the valid positions of a canvas to `out`.
template <class T> static void gather_rows(const Sweep<T>& s, const Canvas<T>& canvas, std::int64_t start, T* out) {
  const std::int64_t wide = s.x.window[2].out, step = s.x.out_step[2];
  const Place begin = place_of(s.x.window, s.from);
  for (std::int64_t i = 0; i < s.rows; ++i) {
    Place p = begin;
    for (std::int64_t done = 0, some; done < s.count; done += some, next_row(s.x.window, p)) {
      some = least(wide - p.x, s.count - done);
      T* to = out + (s.row + i) * s.x.out_row + place_in(s.x, p);
      const T* from = s.c + i * s.ldc + canvas.place(p) - start;
      copy_row(from, to, some, step);
    }
  }
}

// Whether the windows have two dimensions.
static inline bool is_plane(const Window* w) {
  return w[0].out == 1 && w[0].in == 1 && w[0].taps == 1 && w[0].at(0) == 0;
}

// Whether windows read a canvas that is not much larger than the image.
static inline bool has_canvas(const Window* w) {
  const Phases z(w[0]), y(w[1]), x(w[2]);
  const bool small = is_plane(w) ? y.longest <= 64 : z.longest <= 8 && y.longest <= w[1].out;
  return small && volume(w, &Window::taps) > 0 && x.longest <= w[2].out && w[0].step * w[1].step * w[2].step <= 16;
}

// The rows between the planes of an output whose positions [from, from + count) a canvas holds.
static inline std::int64_t rows_between(const Window* w, std::int64_t from, std::int64_t count) {
  const std::int64_t plane = w[1].out * w[2].out;
  return from / plane == (from + count - 1) / plane ? 0 : Phases(w[1]).longest;
}

}  // namespace conv
