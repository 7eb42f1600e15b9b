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

// A block to pack: to[p * ld + i] = from[i * lane + p * step]. Whole vectors are stored, zero beyond `count` lanes.
template <class T>
struct Strip {
  T* to;
  std::int64_t ld;
  const T* from;
  std::int64_t lane, step, count, depth;
};

template <class T>
static void pack_copied(const Strip<T>& s) {
  const Part<T> part(s.count);
  for (std::int64_t p = 0; p < s.depth; ++p) store(s.to + p * s.ld, load_part(s.from + p * s.step, part));
}

template <class T>
static void pack_turned(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; p += lanes<T>) {
    const std::int64_t steps = s.depth - p < lanes<T> ? s.depth - p : lanes<T>;
    const Part<T> part(steps);
    V<T> x[lanes<T>] = {};
    repeat<lanes<T>>(STEEP_EACH(i) {
      if (i < s.count) x[i] = load_part(s.from + i * s.lane + p, part);
    });
    turn<T>(x);
    repeat<lanes<T>>(STEEP_EACH(i) {
      if (i < steps) store(s.to + (p + i) * s.ld, x[i]);
    });
  }
}

template <class T>
static void pack_gathered(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; ++p) {
    T row[lanes<T>] = {};
    for (std::int64_t i = 0; i < s.count; ++i) row[i] = s.from[i * s.lane + p * s.step];
    store(s.to + p * s.ld, load(row));
  }
}

// Packs `count` lanes of any number. A vector stored past the end of its row falls on lanes of later rows that are
// still to be written, because strips go from the last to the first and each strip from its first row to its last;
// so the panel needs one vector of room past its end, and nothing else.
template <class T>
static void pack(const Strip<T>& s) {
  for (std::int64_t i = (s.count - 1) / lanes<T> * lanes<T>; i >= 0; i -= lanes<T>) {
    const std::int64_t count = s.count - i < lanes<T> ? s.count - i : lanes<T>;
    const Strip<T> strip{s.to + i, s.ld, s.from + i * s.lane, s.lane, s.step, count, s.depth};
    if (s.lane == 1) pack_copied(strip);
    else if (s.step == 1) pack_turned(strip);
    else pack_gathered(strip);
  }
}
