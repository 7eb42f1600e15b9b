// Reads images through sliding windows: the columns (or rows) of the matrix that a convolution multiplies by, written
// one panel at a time directly from the image. Positions are cut into pieces of at most one vector that lie in one row
// of the image; a tap only shifts them and determines which lanes fall into the border. Start reading at Pieces.

namespace conv {

using namespace gemm;

static inline std::int64_t within(std::int64_t x, std::int64_t most) { return x < 0 ? 0 : x > most ? most : x; }
// A location in the flattened positions of a batch: image, and position in it.
struct Place {
  std::int64_t image, z, y, x;
};
static inline Place place_of(const Window* w, std::int64_t position) {
  Place p;
  p.x = position % w[2].out;
  position /= w[2].out;
  p.y = position % w[1].out;
  position /= w[1].out;
  p.z = position % w[0].out;
  p.image = position / w[0].out;
  return p;
}
static inline void next_row(const Window* w, Place& p) {
  p.x = 0;
  if (++p.y < w[1].out) return;
  p.y = 0;
  if (++p.z < w[0].out) return;
  p.z = 0;
  ++p.image;
}

// Positions that lie in one row of the output, fewer than a vector: the destination in a panel's row, and the source.
struct Piece {
  std::int64_t to, count;
  Place at;
};
// The same piece for one tap.
template <class T> struct Source {
  std::int64_t from, to, count, lo, hi;  // offset into the image; lanes [lo, hi) lie inside it
  PreparedPart<T> low, high;             // of the first vector read, and of the second where the step is 2
};

// What the tap at `offset` reads for `count` positions of one row from x on.
template <class T>
static Source<T> source_of(const Window& w, std::int64_t x, std::int64_t count, std::int64_t offset) {
  const std::int64_t ix = x * w.step + offset;
  const auto steps = [&](std::int64_t n) { return w.step == 1 ? n : ceil_div(n, w.step); };
  const std::int64_t lo = within(steps(-ix), count), hi = within(steps(w.in - ix), count);
  Source<T> s{ix, 0, count, lo, hi, {}, {}};
  if (lo >= hi) s.from = s.lo = s.hi = 0;
  else if (w.step == 1) s.low = {Part<T>(lo, hi)};
  else if (w.step == 2) {
    s.low = {Part<T>(within(2 * lo, lanes<T>), within(2 * hi - 1, lanes<T>))};
    s.high = {Part<T>(within(2 * lo - lanes<T>, lanes<T>), within(2 * hi - 1 - lanes<T>, lanes<T>))};
  }
  return s;
}

constexpr int most_pieces = 544;  // of the longest panel, where every position is a row of its own

template <class T> struct Pieces {
  const Window* window;
  std::int64_t image_step;
  int count = 0;
  Piece piece[most_pieces];
  Source<T> source[most_pieces];

  Pieces(const Window* w, std::int64_t step, std::int64_t position, std::int64_t total) : window(w), image_step(step) {
    Place p = place_of(w, position);
    for (std::int64_t to = 0; to < total;) {
      const std::int64_t some = least(least(w[2].out - p.x, total - to), lanes<T>);
      piece[count++] = {to, some, p};
      to += some;
      p.x += some;
      if (p.x == w[2].out) next_row(w, p);
    }
  }
  // Shifts every piece by a tap.
  void shift(std::int64_t tz, std::int64_t ty, std::int64_t tx) {
    const Window &z = window[0], &y = window[1];
    for (int i = 0; i < count; ++i) {
      const Piece& p = piece[i];
      const std::int64_t iz = p.at.z * z.step + z.at(tz), iy = p.at.y * y.step + y.at(ty);
      source[i] = source_of<T>(window[2], p.at.x, p.count, window[2].at(tx));
      source[i].to = p.to;
      if (iz < 0 || iz >= z.in || iy < 0 || iy >= y.in) source[i] = {0, p.to, p.count, 0, 0, {}, {}};
      else if (source[i].hi) source[i].from += p.at.image * image_step + (iz * y.in + iy) * window[2].in;
    }
  }
};

template <class T, int... l> STEEP_INLINE Vec<T> evens(Vec<T> x, Vec<T> y, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(x.v, y.v, 2 * l...);
}
// Two vectors from p on as the elements at even and at odd places. With vectors of 32 bytes by shuffles inside 16, as
// load_transposed.
constexpr int pair_lane(int l, int n, int unit, int odd) {
  return (l % unit < unit / 2 ? 0 : n) + l / unit * unit + 2 * (l % (unit / 2)) + odd;
}
template <class T, int... l>
STEEP_INLINE void load_pairs(const T* p, Vec<T>& even, Vec<T>& odd, std::integer_sequence<int, l...>) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  constexpr int unit = unit_of<T>;
  const Vec<T> x = load_halves(p, p + 2 * unit), y = load_halves(p + unit, p + 3 * unit);
  even = __builtin_shufflevector(x.v, y.v, pair_lane(l, lanes<T>, unit, 0)...);
  odd = __builtin_shufflevector(x.v, y.v, pair_lane(l, lanes<T>, unit, 1)...);
#else
  const Vec<T> x = load(p), y = load(p + lanes<T>);
  even = __builtin_shufflevector(x.v, y.v, (2 * l)...);
  odd = __builtin_shufflevector(x.v, y.v, (2 * l + 1)...);
#endif
}
template <class T> STEEP_INLINE void load_pairs(const T* p, Vec<T>& even, Vec<T>& odd) {
  load_pairs(p, even, odd, std::make_integer_sequence<int, lanes<T>>{});
}

// Loads one piece of one channel, which lies in `image`.
template <class T, int step>
STEEP_INLINE Vec<T> read_piece(const Readable<T>& image, const T* from, const Source<T>& s, std::int64_t stride) {
  if constexpr (step == 1) return s.low.load_in(image, from);
  if constexpr (step == 2)
    return evens<T>(s.low.load_in(image, from), s.high.load_in(image, from + lanes<T>),
                    std::make_integer_sequence<int, lanes<T>>{});
  T row[lanes<T>] = {};
  for (std::int64_t i = s.lo; i < s.hi; ++i) row[i] = from[i * stride];
  return load(row);
}

// The pieces, as the last tap left them, of channels [0, count) `plane` apart, in one image or several, into rows `ld`
// apart. A row holds `width` elements; a vector that would exceed them is stored in part.
template <class T, int step> static void copy_pieces(const Pieces<T>& p, const T* image, std::int64_t plane,
                                                     std::int64_t count, T* to, std::int64_t ld, std::int64_t width) {
  const std::int64_t stride = p.window[2].step;
  const std::int64_t last = p.count ? p.piece[p.count - 1].at.image : 0;
  const Readable<T> all{image, image + last * p.image_step + count * plane};
  for (std::int64_t c = 0; c < count; ++c)
    for (int i = 0; i < p.count; ++i) {
      const Source<T>& s = p.source[i];
      const Vec<T> x = read_piece<T, step>(all, image + c * plane + s.from, s, stride);
      T* at = to + c * ld + s.to;
      s.to + lanes<T> <= width ? store(at, x) : store_part(at, x, Part<T>(s.count));
    }
}

// Rows (channel, tap) of the matrix of a convolution at the positions of p: row r at to + r * ld.
template <class T>
static void pack_taps(Pieces<T>& p, const T* image, std::int64_t channels, T* to, std::int64_t ld, std::int64_t width) {
  const Window* w = p.window;
  const std::int64_t plane = w[0].in * w[1].in * w[2].in, taps = w[0].taps * w[1].taps * w[2].taps;
  const auto copy = w[2].step == 1 ? copy_pieces<T, 1> : w[2].step == 2 ? copy_pieces<T, 2> : copy_pieces<T, 0>;
  for (std::int64_t z = 0; z < w[0].taps; ++z)
    for (std::int64_t y = 0; y < w[1].taps; ++y)
      for (std::int64_t x = 0; x < w[2].taps; ++x, to += ld) {
        p.shift(z, y, x);
        copy(p, image, plane, channels, to, taps * ld, width);
      }
}

}  // namespace conv
