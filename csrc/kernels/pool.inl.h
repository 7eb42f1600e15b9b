// Max pooling: the largest elements of all windows, or their positions, one dimension after another. The maxima of a
// row of the image along its windows are computed once, and the maxima of the rows of a window are those of the window.
// Along x, then y, then z is row-major order: the first of equals (0 and -0 too) wins, and the first NaN. Small windows
// inside the image are looked through directly. Start reading at pool_planes.

namespace pool {

using namespace conv;

// Part of the outputs of every row: from `x` on, as a window whose row begins at `start` of the image's, without taps
// that read outside of the image for every output, so that it reaches over no more than twice the row.
constexpr std::int64_t longest_part = 2048;  // whose rows stay in the cache, and which is soon done
struct RowPart {
  Window w;
  std::int64_t start;

  RowPart(const Window& all, std::int64_t from) : w(all) {
    w.out = least(all.out - from, longest_part);
    w.first += from * all.step;
    for (; w.taps > 1 && w.first + (w.out - 1) * w.step < 0; --w.taps) w.first += w.gap;
    while (w.taps > 1 && w.at(w.taps - 1) >= w.in) --w.taps;
    start = w.first > 0 ? w.first : 0;
    w.in -= start;
    w.first -= start;
  }
};

// A number of outputs rounded up to whole vectors.
template <class T> static std::int64_t padded(std::int64_t out) { return ceil_div(out, lanes<T>) * lanes<T>; }

// Whether one of n elements is a NaN, for which comparisons need a second look.
template <class T> static bool has_nan(const T* row, std::int64_t n) {
  Vec<Int<T>> found(0);
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) found = found | is_nan(load(row + i));
  if (i < n) found = found | is_nan(load_part(row + i, Part<T>(n - i)));
  return any_lane(found);
}

// Rows as the windows along them read them: in the image itself, or a copy with -inf around where windows reach over
// the ends of a row, or whole vectors would reach over the end of the memory.
template <class T> struct PaddedRow {
  const Window& w;
  const T* end;               // of the memory that rows lie in
  std::int64_t step, length;  // from one window to the next; what whole vectors of windows read
  bool inside;                // all windows lie in the row
  T* copy;

  static std::int64_t step_of(const Window& w) { return w.out == 1 ? 1 : w.step; }  // of one window it may be anything
  static std::int64_t length_of(const Window& w) {
    return (step_of(w) > 2 ? w.out : padded<T>(w.out)) * step_of(w) + (w.taps - 1) * w.gap;
  }

  PaddedRow(const Window& window, const T* memory_end, T* memory)
      : w(window),
        end(memory_end),
        step(step_of(w)),
        length(length_of(w)),
        inside(w.first == 0 && (w.out - 1) * step + w.at(w.taps - 1) < w.in),
        copy(memory) {
    for (std::int64_t i = 0; i < length; ++i) copy[i] = -kInf<T>;
  }
  const T* read(const T* row) const {
    if (inside && row + length <= end) return row;
    const std::int64_t n = least(w.in, length + w.first);
    if (n > 0) __builtin_memcpy(copy - w.first, row, static_cast<std::size_t>(n) * sizeof(T));
    return copy;
  }
};

// Every step-th element from p on. Step 0: every `stride`-th, of which there are `count`; lanes past them repeat the
// first.
template <class T, int step> STEEP_INLINE Vec<T> load_every(const T* p, std::int64_t stride, std::int64_t count) {
  Vec<T> x, y;
  if constexpr (step == 1) return load(p);
  if constexpr (step == 2) load_pairs(p, x, y);
  else
    for (int i = 0; i < lanes<T>; ++i) x.v[i] = p[i < count ? i * stride : 0];
  return x;
}

// The largest of `count` candidates of n outputs, a vector at a time: those from output i on are read(r, i), at(r, i)
// says where they are, which is asked only where positions are, and put(i, values, where) takes what is found. `nans`:
// there may be some.
template <class T, bool find, bool nans, class Read, class At, class Put>
STEEP_INLINE void largest_among(std::int64_t count, std::int64_t n, Read read, At at, Put put) {
  using Where = Vec<Int<T>>;
  for (std::int64_t i = 0; i < n; i += lanes<T>) {
    Vec<T> best = read(0, i);
    Where where(0);
    if constexpr (find) where = at(0, i);
    for (std::int64_t r = 1; r < count; ++r) {
      const Vec<T> x = read(r, i);
      const Where wins = nans ? ~(x <= best) & (best == best) : x > best;  // larger, or the first NaN
      best = select(wins, x, best);
      if constexpr (find) where = select(wins, at(r, i), where);
    }
    put(i, best, where);
  }
}
template <class T, bool find, class Read, class At, class Put>
STEEP_INLINE void largest_of(bool nans, std::int64_t count, std::int64_t n, Read read, At at, Put put) {
  nans ? largest_among<T, find, true>(count, n, read, at, put) : largest_among<T, find, false>(count, n, read, at, put);
}

// The maxima along part of every row, each kept until a later row of its plane takes its slot.
template <class T, bool find> struct RowMaxima {
  using I = Int<T>;
  struct Held {
    std::int64_t row;  // the one in the slot, or -1
    bool nans;         // whether it has some
  };
  // A row of maxima: their values, and where they are from `begin` on in the plane.
  struct Row {
    const T* value;
    const I* at;
    std::int64_t begin;
  };
  struct Rows {
    std::int64_t count = 0;
    bool nans = false;
  };

  const Window* w;
  RowPart part;
  std::int64_t high, deep, width;  // slots along y and z, powers of 2; elements of one
  T* slots;
  I* places;  // of what is in the slots, within their rows
  Held* held;
  Row* rows;  // of one window
  PaddedRow<T> row;
  Vec<I> ramp;  // the places of a vector of windows

  static std::int64_t slots_for(const Window& d) {  // one for every row that a window reaches over
    const std::int64_t reach = least(d.in, (d.taps - 1) * d.gap + 1);
    std::int64_t n = 1;
    while (n < reach) n *= 2;
    return n;
  }

  RowMaxima(const Window* windows, const T* image_end, std::int64_t from)
      : w(windows),
        part(w[2], from),
        high(slots_for(w[1])),
        deep(slots_for(w[0])),
        width(padded<T>(part.w.out)),
        slots(scratch_for<T>(Scratch::gemm_a, high * deep * width + PaddedRow<T>::length_of(part.w))),
        places(find ? scratch_for<I>(Scratch::gemm_b, high * deep * width) : nullptr),
        held(scratch_for<Held>(Scratch::conv_offsets, high * deep)),
        rows(scratch_for<Row>(Scratch::conv_reads, least(w[0].taps, w[0].in) * least(w[1].taps, w[1].in))),
        row(part.w, image_end, slots + high * deep * width) {
    for (int i = 0; i < lanes<T>; ++i) ramp.v[i] = static_cast<I>(i * row.step);
  }

  void forget() const {
    for (std::int64_t i = 0; i < high * deep; ++i) held[i] = {-1, false};
  }
  template <int step> void compute(const T* from, bool nans, T* maxima, I* at) const {
    const std::int64_t gap = part.w.gap, first = part.w.first, stride = row.step, out = part.w.out;
    const Vec<I> in_vector = ramp;
    largest_of<T, find>(
        nans, part.w.taps, width,
        [=](std::int64_t r, std::int64_t i) {
          return load_every<T, step>(from + r * gap + i * stride, stride, out - i);
        },
        [=](std::int64_t r, std::int64_t) { return Vec<I>(static_cast<I>(first + r * gap)); },
        [=](std::int64_t i, Vec<T> best, Vec<I> where) {
          store(maxima + i, best);
          if constexpr (find) store(at + i, where + in_vector + Vec<I>(static_cast<I>(i * stride)));
        });
  }
  Row maxima_of(const T* plane, std::int64_t z, std::int64_t y, bool& nans) const {
    const std::int64_t slot = (z & (deep - 1)) * high + (y & (high - 1)), id = z * w[1].in + y;
    const std::int64_t begin = id * w[2].in + part.start;
    T* maxima = slots + slot * width;
    I* at = find ? places + slot * width : nullptr;
    if (held[slot].row != id) {
      held[slot] = {id, has_nan(plane + begin, part.w.in)};
      const T* from = row.read(plane + begin);
      if (row.step == 1) compute<1>(from, held[slot].nans, maxima, at);
      else if (row.step == 2) compute<2>(from, held[slot].nans, maxima, at);
      else compute<0>(from, held[slot].nans, maxima, at);
    }
    nans = nans || held[slot].nans;
    return {maxima, at, begin};
  }
  // Lists the rows of the windows of one row of the output.
  Rows find_rows(const T* plane, const Place& p) const {
    Rows found;
    for (std::int64_t tz = 0; tz < w[0].taps; ++tz)
      for (std::int64_t ty = 0; ty < w[1].taps; ++ty) {
        const std::int64_t z = p.z * w[0].step + w[0].at(tz), y = p.y * w[1].step + w[1].at(ty);
        if (z >= 0 && z < w[0].in && y >= 0 && y < w[1].in) rows[found.count++] = maxima_of(plane, z, y, found.nans);
      }
    return found;
  }
};

// A vector of what was found, of n outputs from `i` on: values, or where they are.
template <class T> static void put(T* out, std::int64_t i, std::int64_t n, Vec<T> best, Vec<Int<T>>) {
  with_part<T>(
      n - i, STEEP_EACH(part) { store_part(out + i, best, part); });
}
template <class T> static void put(std::int64_t* out, std::int64_t i, std::int64_t n, Vec<T>, Vec<Int<T>> where) {
  typedef std::int64_t Wide __attribute__((vector_size(lanes<T> * sizeof(std::int64_t))));
  const Wide wide = __builtin_convertvector(where.v, Wide);
  double bits[lanes<T>];  // moved as what has partial stores
  __builtin_memcpy(bits, &wide, sizeof bits);
  for (std::int64_t l = 0; l < least(n - i, lanes<T>); l += lanes<double>)
    with_part<double>(
        n - i - l, STEEP_EACH(part) { store_part(reinterpret_cast<double*>(out + i + l), load(bits + l), part); });
}

// The position of the first element in window x of a row, all of whose elements are -inf: the border is as well.
template <class T, bool find> static std::int64_t first_position(const RowMaxima<T, find>& m, std::int64_t x) {
  const Window& w = m.part.w;
  for (std::int64_t t = 0; t < w.taps; ++t) {
    const std::int64_t at = x * w.step + w.at(t);
    if (at >= 0 && at < w.in) return m.rows[0].begin + at;
  }
  return -1;
}

template <class T>
static void put_values(const RowMaxima<T, false>& m, typename RowMaxima<T, false>::Rows found, T* out) {
  const auto* rows = m.rows;
  const std::int64_t n = m.part.w.out;
  for (std::int64_t i = 0; !found.count && i < n; ++i) out[i] = -kInf<T>;
  if (found.count)
    largest_of<T, false>(
        found.nans, found.count, n, [=](std::int64_t r, std::int64_t i) { return load(rows[r].value + i); }, 0,
        [=](std::int64_t i, Vec<T> best, Vec<Int<T>> where) { put<T>(out, i, n, best, where); });
}

template <class T>
static void put_positions(const RowMaxima<T, true>& m, typename RowMaxima<T, true>::Rows found, std::int64_t* out) {
  using Where = Vec<Int<T>>;
  const auto* rows = m.rows;
  const std::int64_t n = m.part.w.out;
  for (std::int64_t i = 0; !found.count && i < n; ++i) out[i] = -1;
  if (found.count)
    largest_of<T, true>(
        found.nans, found.count, n, [=](std::int64_t r, std::int64_t i) { return load(rows[r].value + i); },
        [=](std::int64_t r, std::int64_t i) {
          return load(rows[r].at + i) + Where(static_cast<Int<T>>(rows[r].begin));
        },
        [&](std::int64_t i, Vec<T> best, Where where) {
          put<T>(out, i, n, best, where);
          if (any_lane(best == Vec<T>(-kInf<T>)))
            for (std::int64_t l = 0; l < least(n - i, lanes<T>); ++l)
              if (best.v[l] == -kInf<T>) out[i + l] = first_position(m, i + l);
        });
}

template <class T, bool find, class Out>
static void pool_planes(const Pooling& x, std::int64_t from, std::int64_t to,
                        void (*put)(const RowMaxima<T, find>&, typename RowMaxima<T, find>::Rows, Out*)) {
  const Window* w = x.window;
  const std::int64_t in = volume(w, &Window::in), out = volume(w, &Window::out);
  const T* image = static_cast<const T*>(x.image);
  for (std::int64_t begin = 0; begin < w[2].out; begin += longest_part) {
    const RowMaxima<T, find> maxima(w, image + x.planes * in, begin);
    for (std::int64_t i = from; i < to; ++i) {
      const T* plane = image + i * in;
      Out* row = static_cast<Out*>(x.out) + i * out + begin;
      maxima.forget();
      for (Place p{}; !p.image; next_row(w, p), row += w[2].out) {
        if (p.y % 64 == 0) interruption_point();
        put(maxima, maxima.find_rows(plane, p), row);
      }
    }
  }
}

constexpr std::int64_t most_direct = 4;  // elements of a window that is looked through directly

// Windows of few elements, all inside the image: each element is a candidate, without maxima of rows.
static inline bool is_direct(const Window* w) {
  const auto inside = [](const Window& d) {
    return d.first == 0 && d.gap > 0 && (d.out - 1) * d.step + d.at(d.taps - 1) < d.in;
  };
  return volume(w, &Window::taps) <= most_direct && (w[2].step <= 2 || w[2].out == 1) && inside(w[0]) && inside(w[1]) &&
         inside(w[2]);
}

template <class T, bool find, class Out> struct DirectPool {
  const Window* w;
  const T* end;  // of the memory that planes lie in
  std::int64_t count, n, length;
  std::int64_t element[most_direct] = {};  // of a window, from its first one on

  DirectPool(const Window* windows, const T* memory_end)
      : w(windows),
        end(memory_end),
        count(volume(windows, &Window::taps)),
        n(windows[2].out),
        length(PaddedRow<T>::length_of(windows[2])) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t line = i / w[2].taps;
      const std::int64_t row = w[0].at(line / w[1].taps) * w[1].in + w[1].at(line % w[1].taps);
      element[i] = row * w[2].in + w[2].at(i % w[2].taps);
    }
  }
  // A row of the output, whose first window begins at `begin` in the plane.
  template <int step> void put_row(const T* plane, std::int64_t begin, std::int64_t stride, Out* out) const {
    using Where = Vec<Int<T>>;
    Where ramp;
    for (int i = 0; i < lanes<T>; ++i) ramp.v[i] = static_cast<Int<T>>(i * stride);
    const T* from = plane + begin;
    largest_among<T, find, true>(
        count, n,
        [=, this](std::int64_t r, std::int64_t i) {
          return load_every<T, step>(from + element[r] + i * stride, stride, n - i);
        },
        [=, this](std::int64_t r, std::int64_t i) {
          return ramp + Where(static_cast<Int<T>>(begin + element[r] + i * stride));
        },
        [=, this](std::int64_t i, Vec<T> best, Where where) { put<T>(out, i, n, best, where); });
  }
  // Whole vectors of the last rows would reach over the end of the memory.
  template <int step> void put_plane(const T* plane, Out* out) const {
    for (Place p{}; !p.image; next_row(w, p), out += n) {
      if (p.y % 64 == 0) interruption_point();
      const std::int64_t begin = (p.z * w[0].step * w[1].in + p.y * w[1].step) * w[2].in;
      if (plane + begin + element[count - 1] + length <= end) put_row<step>(plane, begin, step, out);
      else put_row<0>(plane, begin, step, out);
    }
  }
};

template <class T, bool find, int step, class Out>
static void direct_planes(const Pooling& x, std::int64_t from, std::int64_t to) {
  const std::int64_t in = volume(x.window, &Window::in), out = volume(x.window, &Window::out);
  const T* image = static_cast<const T*>(x.image);
  const DirectPool<T, find, Out> pool(x.window, image + x.planes * in);
  for (std::int64_t i = from; i < to; ++i)
    pool.template put_plane<step>(image + i * in, static_cast<Out*>(x.out) + i * out);
}

template <class T, bool find, class Out>
static bool pool_directly(const Pooling& x, std::int64_t from, std::int64_t to) {
  if (!is_direct(x.window)) return false;
  PaddedRow<T>::step_of(x.window[2]) == 1 ? direct_planes<T, find, 1, Out>(x, from, to)
                                          : direct_planes<T, find, 2, Out>(x, from, to);
  return true;
}

template <class T> static void largest_values(const Pooling& x, std::int64_t from, std::int64_t to) {
  if (!pool_directly<T, false, T>(x, from, to)) pool_planes<T, false, T>(x, from, to, put_values<T>);
}
template <class T> static void largest_positions(const Pooling& x, std::int64_t from, std::int64_t to) {
  if (!pool_directly<T, true, std::int64_t>(x, from, to))
    pool_planes<T, true, std::int64_t>(x, from, to, put_positions<T>);
}

}  // namespace pool
