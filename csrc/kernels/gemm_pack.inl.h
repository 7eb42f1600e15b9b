// Rearranges a block of a matrix into a panel that the inner kernels read in order of addresses. Start at pack.
// Any strides are taken as they are: rows are copied, columns are transposed in registers a square at a time.

template <class T, int half, int... l>
STEEP_INLINE void exchange(V<T>& x, V<T>& y, std::integer_sequence<int, l...>) {
  constexpr int n = lanes<T>;
  const V<T> low = __builtin_shufflevector(x, y, ((l & half) ? l - half + n : l)...);
  const V<T> high = __builtin_shufflevector(x, y, ((l & half) ? l + n : l + half)...);
  x = low;
  y = high;
}

// Transposes the square, swapping its off-diagonal quarters, then theirs, down to single elements.
template <class T, int half = lanes<T> / 2>
STEEP_INLINE void turn(V<T> (&x)[lanes<T>]) {
  repeat<lanes<T>>(STEEP_EACH(i) {
    if constexpr ((i & half) == 0)
      exchange<T, half>(x[i], x[i + half], std::make_integer_sequence<int, lanes<T>>{});
  });
  if constexpr (half > 1) turn<T, half / 2>(x);
}

constexpr int steps_ahead = 64;  // elements, prefetched along each column that is being transposed

// What to pack: to[p * ld + i] = from[i * lane + p * step], i < count, p < depth.
template <class T>
struct Strip {
  T* to;
  std::int64_t ld;
  const T* from;
  std::int64_t lane, step, count, depth;
  bool exact = false;  // store `count` lanes; else whole vectors, zero beyond them, which is faster

  Strip lanes_from(std::int64_t i, std::int64_t some) const {
    return {to + i, ld, from + i * lane, lane, step, some, depth, exact};
  }
  void put(std::int64_t p, std::int64_t i, V<T> x, std::int64_t some) const {
    exact ? store_part(to + p * ld + i, x, Part<T>(some)) : store(to + p * ld + i, x);
  }
};

template <class T>
static void pack_copied(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; ++p)
    for (std::int64_t i = 0; i < s.count; i += lanes<T>) {
      const T* from = s.from + p * s.step + i;
      const std::int64_t some = s.count - i;
      __builtin_prefetch(from + rows_ahead * s.step);
      s.put(p, i, some < lanes<T> ? load_part(from, Part<T>(some)) : load(from), some < lanes<T> ? some : lanes<T>);
    }
}

template <class T>
static void pack_turned(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; p += lanes<T>) {
    const std::int64_t steps = s.depth - p < lanes<T> ? s.depth - p : lanes<T>;
    const Part<T> part(steps);
    V<T> x[lanes<T>] = {};
    repeat<lanes<T>>(STEEP_EACH(i) {
      if (i >= s.count) return;
      x[i] = load_part(s.from + i * s.lane + p, part);
      __builtin_prefetch(s.from + i * s.lane + p + steps_ahead);
    });
    turn<T>(x);
    repeat<lanes<T>>(STEEP_EACH(i) {
      if (i < steps) s.put(p + i, 0, x[i], s.count);
    });
  }
}

template <class T>
static void pack_gathered(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; ++p) {
    T row[lanes<T>] = {};
    for (std::int64_t i = 0; i < s.count; ++i) row[i] = s.from[i * s.lane + p * s.step];
    s.put(p, 0, load(row), s.count);
  }
}

// A vector stored past the end of its row falls on lanes of later rows that are still to be written, because rows
// are written in order, a row's lanes in order or else the last lanes of all rows first; so the panel needs one
// vector of room past its end, and nothing else.
template <class T>
static void pack(const Strip<T>& s) {
  if (s.lane == 1) return pack_copied(s);
  for (std::int64_t i = (s.count - 1) / lanes<T> * lanes<T>; i >= 0; i -= lanes<T>) {
    const Strip<T> strip = s.lanes_from(i, s.count - i < lanes<T> ? s.count - i : lanes<T>);
    s.step == 1 ? pack_turned(strip) : pack_gathered(strip);
  }
}
