// Max pooling: the position of the largest element of every window, one vector of windows at a time. The windows of a
// row of the output have the same layout in every row, so what each vector reads for each tap is computed once. Start
// at find_largest.

namespace pool {

using namespace conv;

// What tap x of every vector of a row reads, by vector, then tap.
template <class T> static const Source<T>* row_reads(const Window* w) {
  const std::int64_t vecs = ceil_div(w[2].out, lanes<T>), taps = w[2].taps;
  auto* reads =
      static_cast<Source<T>*>(scratch(Scratch::gemm_a, static_cast<std::size_t>(vecs * taps) * sizeof(Source<T>)));
  for (std::int64_t v = 0; v < vecs; ++v)
    for (std::int64_t t = 0; t < taps; ++t)
      reads[v * taps + t] = source_of<T>(w[2], v * lanes<T>, least(lanes<T>, w[2].out - v * lanes<T>), w[2].at(t));
  return reads;
}

// The maxima of one vector of windows so far.
template <class T> struct Largest {
  using I = Int<T>;
  Vec<T> value;
  Vec<I> at, lane;

  static Vec<I> numbers() {
    Vec<I> n;
    for (int i = 0; i < lanes<T>; ++i) n.v[i] = static_cast<I>(i);
    return n;
  }
  STEEP_INLINE static Vec<I> all(std::int64_t x) { return static_cast<I>(x); }

  // An element wins unless it is not above `value` and `value` is not NaN.
  STEEP_INLINE Vec<I> wins(Vec<T> x) const { return (at < all(0)) | (~(x <= value) & (value == value)); }
  STEEP_INLINE void take(Vec<I> wins, Vec<T> x, std::int64_t position, std::int64_t step) {
    value = select(wins, x, value);
    at = select(wins, all(position) + lane * all(step), at);
  }
  // All requested lanes, or those inside the image.
  STEEP_INLINE void see(Vec<T> x, const Source<T>& s, std::int64_t position, std::int64_t step) {
    if (s.lo == 0 && s.hi == s.count) return take(wins(x), x, position, step);
    const Vec<I> inside = (lane >= all(s.lo)) & (lane < all(s.hi));
    take(inside & wins(x), x, position, step);
  }
  void put(std::int64_t* out, std::int64_t count) const {
    typedef std::int64_t Wide __attribute__((vector_size(lanes<T> * sizeof(std::int64_t))));
    const Wide wide = __builtin_convertvector(at.v, Wide);
    if (count == lanes<T>) __builtin_memcpy(out, &wide, sizeof wide);
    else __builtin_memcpy(out, &wide, static_cast<std::size_t>(count) * sizeof(std::int64_t));
  }
};

template <class T, int step>
static void pool_vector(const Window* w, const Readable<T>& plane, const Source<T>* reads, Place p, std::int64_t* out) {
  Largest<T> best{Vec<T>(T(0)), Largest<T>::all(-1), Largest<T>::numbers()};
  for (std::int64_t tz = 0; tz < w[0].taps; ++tz)
    for (std::int64_t ty = 0; ty < w[1].taps; ++ty) {
      const std::int64_t z = p.z * w[0].step + w[0].at(tz), y = p.y * w[1].step + w[1].at(ty);
      if (z < 0 || z >= w[0].in || y < 0 || y >= w[1].in) continue;
      if (ty + w[1].step >= w[1].taps) {  // of the rows after next, a prefetch for planes that come from memory
        const T* ahead = plane.begin + (z * w[1].in + y + 2 * w[1].step) * w[2].in + reads->from;
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + lanes<T>);
      }
      for (std::int64_t tx = 0; tx < w[2].taps; ++tx) {
        const Source<T>& s = reads[tx];
        if (s.lo >= s.hi) continue;
        const std::int64_t position = (z * w[1].in + y) * w[2].in + s.from;
        best.see(read_piece<T, step>(plane, plane.begin + position, s, w[2].step), s, position, w[2].step);
      }
    }
  best.put(out, reads->count);
}

template <class T, int step> static void pool_planes(const Pooling& x, std::int64_t from, std::int64_t to) {
  const Window* w = x.window;
  const std::int64_t in = volume(w, &Window::in), out = volume(w, &Window::out);
  const Source<T>* reads = row_reads<T>(w);
  for (std::int64_t i = from; i < to; ++i) {
    const T* image = static_cast<const T*>(x.image) + i * in;
    const Readable<T> plane{image, image + in};
    std::int64_t* row = x.out + i * out;
    for (Place p{}; out && !p.image; next_row(w, p)) {
      for (std::int64_t v = 0; v * lanes<T> < w[2].out; ++v)
        pool_vector<T, step>(w, plane, reads + v * w[2].taps, p, row + v * lanes<T>);
      row += w[2].out;
    }
  }
}

template <class T> static void find_largest(const Pooling& x, std::int64_t from, std::int64_t to) {
  const std::int64_t step = x.window[2].step;
  (step == 1 ? pool_planes<T, 1> : step == 2 ? pool_planes<T, 2> : pool_planes<T, 0>)(x, from, to);
}

}  // namespace pool
