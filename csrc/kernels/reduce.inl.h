// Reductions along rows and columns, arg max and min, softmax and cumulative rows.
//
// A row is folded by a fixed tree that depends on its length alone: 64-byte groups of lanes (16 floats, 8 doubles)
// whatever the instruction set, four groups alternately, leaves of 16 KiB, leaves combined in pairs. The error of a sum
// grows with the logarithm of its length. A column is folded in leaves of 64 rows, combined in pairs; its bits depend
// on the number of rows alone. Start reading at fold_row and fold_columns.

template <class T> constexpr T lowest() {
  if constexpr (is_real<T>) return -kInf<T>;
  else return T(-1) < T(0) ? static_cast<T>(UInt<T>(1) << (8 * sizeof(T) - 1)) : T(0);
}
template <class T> constexpr T highest() {
  if constexpr (is_real<T>) return kInf<T>;
  else return static_cast<T>(~lowest<T>());
}

// A reduction: its identity, and a step for vectors and single values.
struct Sum {
  template <class T> static constexpr T identity() { return 0; }
  template <class V> static STEEP_INLINE V f(V a, V b) { return static_cast<V>(a + b); }
};
struct Prod {
  template <class T> static constexpr T identity() { return 1; }
  template <class V> static STEEP_INLINE V f(V a, V b) { return static_cast<V>(a * b); }
};
struct Max {
  template <class T> static constexpr T identity() { return lowest<T>(); }
  template <class V> static STEEP_INLINE V f(V a, V b) { return maxv(a, b); }
};
struct Min {
  template <class T> static constexpr T identity() { return highest<T>(); }
  template <class V> static STEEP_INLINE V f(V a, V b) { return minv(a, b); }
};
struct Or {
  template <class T> static constexpr T identity() { return 0; }
  template <class V> static STEEP_INLINE V f(V a, V b) { return static_cast<V>(a | b); }
};
struct And {
  template <class T> static constexpr T identity() { return 1; }
  template <class V> static STEEP_INLINE V f(V a, V b) { return static_cast<V>(a & b); }
};

// Integer sums and products wrap around, so they run on the unsigned type.
template <class F, class T> struct FoldType { using type = T; };
template <> struct FoldType<Sum, std::int32_t> { using type = std::uint32_t; };
template <> struct FoldType<Sum, std::int64_t> { using type = std::uint64_t; };
template <> struct FoldType<Prod, std::int32_t> { using type = std::uint32_t; };
template <> struct FoldType<Prod, std::int64_t> { using type = std::uint64_t; };

// 64 bytes of lanes, in as many vectors as the instruction set needs.
constexpr int kGroupBytes = 64;
constexpr int kParts = kGroupBytes / kVecBytes;
template <class T> constexpr int kLanes = kGroupBytes / static_cast<int>(sizeof(T));
template <class T> struct Group { Vec<T> part[kParts]; };

template <class T> STEEP_INLINE Group<T> group_of(T value) {
  Group<T> g;
  for (int i = 0; i < kParts; ++i) g.part[i] = Vec<T>(value);
  return g;
}
template <class T> STEEP_INLINE Group<T> load_group(const T* x) {
  Group<T> g;
  for (int i = 0; i < kParts; ++i) g.part[i] = load(x + i * Vec<T>::n);
  return g;
}
template <class T> STEEP_INLINE void store_group(T* x, Group<T> g) {
  for (int i = 0; i < kParts; ++i) store(x + i * Vec<T>::n, g.part[i]);
}
template <class T> STEEP_INLINE Vec<T> load_padded(const T* x, std::int64_t n, T pad) {
  if (n <= 0) return pad;
  if (n >= Vec<T>::n) return load(x);
  Vec<Int<T>> lane;
  for (int i = 0; i < Vec<T>::n; ++i) lane.v[i] = static_cast<Int<T>>(i);
  return select(lane < Vec<Int<T>>(static_cast<Int<T>>(n)), load_part(x, n), Vec<T>(pad));
}
// The first n lanes, 0 < n < kLanes; the others hold `pad`.
template <class T> STEEP_INLINE Group<T> load_group(const T* x, std::int64_t n, T pad) {
  Group<T> g;
  for (int i = 0; i < kParts; ++i) g.part[i] = load_padded(x + i * Vec<T>::n, n - i * Vec<T>::n, pad);
  return g;
}
template <class T> STEEP_INLINE void store_group(T* x, Group<T> g, std::int64_t n) {
  for (int i = 0; i < kParts; ++i, x += Vec<T>::n, n -= Vec<T>::n) {
    if (n >= Vec<T>::n) store(x, g.part[i]);
    else if (n > 0) store_part(x, g.part[i], n);
  }
}
template <class F, class T> STEEP_INLINE Group<T> fold(Group<T> a, Group<T> b) {
  for (int i = 0; i < kParts; ++i) a.part[i] = F::f(a.part[i], b.part[i]);
  return a;
}

// Lane i is combined with lane i + half, then i + quarter, and so on: the same pairs on every instruction set.
template <int by, class T, int... i> STEEP_INLINE Vec<T> lanes_down(Vec<T> x, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(x.v, x.v, ((i + by) % Vec<T>::n)...);
}
template <class F, int half, class T> STEEP_INLINE T fold_vec(Vec<T> x) {
  if constexpr (half == 0) return x.v[0];
  else return fold_vec<F, half / 2>(F::f(x, lanes_down<half>(x, std::make_integer_sequence<int, Vec<T>::n>())));
}
template <class F, class T> STEEP_INLINE T fold_group(Group<T> g) {
  for (int half = kParts / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) g.part[i] = F::f(g.part[i], g.part[i + half]);
  return fold_vec<F, Vec<T>::n / 2>(g.part[0]);
}

// At most one leaf: four accumulators alternate, then are combined in pairs.
template <class F, class T> STEEP_INLINE T fold_leaf(const T* x, std::int64_t n) {
  constexpr T id = F::template identity<T>();
  constexpr std::int64_t lanes = kLanes<T>;
  if (n == 0) return id;
  if (n < lanes) return fold_group<F>(load_group(x, n, id));
  if (n == lanes) return fold_group<F>(load_group(x));
  Group<T> a = group_of(id), b = a, c = a, d = a;
  for (; n >= 4 * lanes; n -= 4 * lanes, x += 4 * lanes) {
    for (int line = 0; line < 4; ++line) __builtin_prefetch(x + (line + 32) * lanes);  // 2 KiB ahead, for memory
    a = fold<F>(a, load_group(x));
    b = fold<F>(b, load_group(x + lanes));
    c = fold<F>(c, load_group(x + 2 * lanes));
    d = fold<F>(d, load_group(x + 3 * lanes));
  }
  for (; n >= lanes; n -= lanes, x += lanes) {
    a = fold<F>(a, load_group(x));
    const Group<T> oldest = a;
    a = b;
    b = c;
    c = d;
    d = oldest;
  }
  if (n > 0) a = fold<F>(a, load_group(x, n, id));
  return fold_group<F>(fold<F>(fold<F>(a, b), fold<F>(c, d)));
}

constexpr std::int64_t stretch = 1 << 15;  // elements between two interruption points

template <class T> constexpr std::int64_t row_leaf = row_leaf_bytes / static_cast<std::int64_t>(sizeof(T));

template <class F, class T> T fold_row(const T* x, std::int64_t n) {
  constexpr std::int64_t leaf = row_leaf<T>;
  if (n <= leaf) return fold_leaf<F>(x, n);
  if (n > 32 * leaf) interruption_point();
  const std::int64_t left = fold_split(n, leaf);
  return F::f(fold_row<F>(x, left), fold_row<F>(x + left, n - left));
}

template <class F, class T> void row_fold(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  using U = typename FoldType<F, T>::type;
  const U* from = static_cast<const U*>(x);
  U* to = static_cast<U*>(out);
  for (std::int64_t r = 0; r < rows; ++r) to[r] = fold_row<F>(from + r * n, n);
}

// A strip of `width` groups of columns, folded down n rows from `first` on; row(r, i) is group i of row r.
template <class T, int width> struct ColumnStrip { Group<T> group[width]; };
template <class F, class T, int width, class Row>
ColumnStrip<T, width> fold_columns(std::int64_t first, std::int64_t n, Row row) {
  constexpr std::int64_t leaf = column_leaf;
  ColumnStrip<T, width> s;
  if (n > leaf) {
    if (n > 32 * leaf) interruption_point();
    const std::int64_t top = fold_split(n, leaf);
    s = fold_columns<F, T, width>(first, top, row);
    const ColumnStrip<T, width> rest = fold_columns<F, T, width>(first + top, n - top, row);
    for (int i = 0; i < width; ++i) s.group[i] = fold<F>(s.group[i], rest.group[i]);
    return s;
  }
  Group<T> sums[width];  // not s itself: what is returned has an address, and would be written at every row
  for (int i = 0; i < width; ++i) sums[i] = group_of(F::template identity<T>());
  for (std::int64_t r = first; r < first + n; ++r)
    for (int i = 0; i < width; ++i) sums[i] = fold<F>(sums[i], row(r, i));
  for (int i = 0; i < width; ++i) s.group[i] = sums[i];
  return s;
}

// Groups of a row of m columns, of which the last may be partial: each(j, width, some) for columns from j on, `some` of
// them in the last group of the strip, or 0 where all are whole.
template <class T, class Each> STEEP_INLINE void over_strips(std::int64_t m, Each each) {
  constexpr std::int64_t lanes = kLanes<T>;
  std::int64_t j = 0;
  for (; j + 4 * lanes <= m; j += 4 * lanes) each(j, Index<4>(), 0);
  for (; j + lanes <= m; j += lanes) each(j, Index<1>(), 0);
  if (j < m) each(j, Index<1>(), m - j);
}
// A group of which `some` lanes exist, or all where it is 0.
template <class T> STEEP_INLINE Group<T> load_some(const T* x, std::int64_t some, T pad) {
  return some ? load_group(x, some, pad) : load_group(x);
}
template <class T> STEEP_INLINE void store_some(T* x, Group<T> g, std::int64_t some) {
  if (some) store_group(x, g, some);
  else store_group(x, g);
}

template <class F, class T> void col_fold(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld) {
  using U = typename FoldType<F, T>::type;
  over_strips<U>(m, [=](std::int64_t j, auto width, std::int64_t some) {
    const U* from = static_cast<const U*>(x) + j;
    U* to = static_cast<U*>(out) + j;
    const auto s = fold_columns<F, U, width>(0, n, [=](std::int64_t r, int i) {
      return load_some(from + r * ld + i * kLanes<U>, some, F::template identity<U>());
    });
    for (int i = 0; i < width; ++i) store_some(to + i * kLanes<U>, s.group[i], some);
  });
}

// Bool is stored as one byte, 0 or 1.
template <class T> struct Stored { using type = T; };
template <> struct Stored<bool> { using type = std::uint8_t; };

// The first element of which `is` says so, of x or of vectors of it. Blocks without one are skipped quickly.
constexpr std::int64_t searched_block = 64;
template <class T, class Is> STEEP_INLINE bool in_block(const T* x, Is is) {
  auto found = is(load(x));
  for (std::int64_t j = lanes<T>; j < searched_block; j += lanes<T>) found = found | is(load(x + j));
  return any_lane(found);
}
template <class T, class Is> STEEP_INLINE std::int64_t find_first_that(const T* x, std::int64_t n, Is is) {
  std::int64_t i = 0;
  for (; i + searched_block <= n && !in_block(x + i, is); i += searched_block)
    if (i % stretch == stretch - searched_block) interruption_point();
  while (i < n && !is(x[i])) ++i;
  return i < n ? i : 0;
}
// The first place that holds `best`, or the first NaN where best is one.
template <class T> std::int64_t find_first(const T* x, std::int64_t n, T best) {
  if (best != best)
    return find_first_that(
        x, n, [](auto v) __attribute__((always_inline)) { return v != v; });
  return find_first_that(
      x, n, [best](auto v) __attribute__((always_inline)) { return v == decltype(v)(best); });
}
template <class F, class T> void row_arg(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  using U = typename Stored<T>::type;
  const U* from = static_cast<const U*>(x);
  std::int64_t* to = static_cast<std::int64_t*>(out);
  for (std::int64_t r = 0; r < rows; ++r, from += n) to[r] = find_first(from, n, fold_row<F>(from, n));
}

template <class F, class T>
void arg_strip(const T* x, std::int64_t* out, std::int64_t n, std::int64_t m, std::int64_t ld) {
  T best[64];
  for (std::int64_t j = 0; j < m; ++j) {
    best[j] = n > 0 ? x[j] : T(0);
    out[j] = 0;
  }
  for (std::int64_t r = 1; r < n; ++r) {
    if (r % 4096 == 0) interruption_point();
    for (std::int64_t j = 0; j < m; ++j) {
      const T old = best[j], now = F::f(old, x[r * ld + j]);
      const bool better = (now != old) & (old == old);  // NaN propagates
      best[j] = better ? now : old;
      out[j] = better ? r : out[j];
    }
  }
}
template <class F, class T> void col_arg(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld) {
  using U = typename Stored<T>::type;
  const U* from = static_cast<const U*>(x);
  std::int64_t* to = static_cast<std::int64_t*>(out);
  for (std::int64_t j = 0; j < m; j += 64) arg_strip<F>(from + j, to + j, n, m - j < 64 ? m - j : 64, ld);
}

template <class F, class T> void row_scan(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(out);
  for (std::int64_t r = 0; r < rows; ++r, from += n, to += n) {
    T last = n > 0 ? to[0] = from[0] : T(0);
    for (std::int64_t i = 1; i < n; ++i) {
      to[i] = last = F::f(last, from[i]);
      if (i % stretch == 0) [[unlikely]]
        interruption_point();
    }
  }
}

// Running sums as exact as sum(): float32 adds up in double, and double keeps what each addition rounds away (Neumaier
// 1974), found without a branch on which is larger (Knuth 1997, section 4.2.2). An infinity has no rounding error.
template <class T> struct RunningSum {
  double total = 0, lost = 0;

  STEEP_INLINE T with(T value) {
    const double x = static_cast<double>(value), next = total + x, added = next - total;
    if constexpr (sizeof(T) == sizeof(double)) lost += (total - (next - added)) + (x - added);
    total = next;
    if constexpr (sizeof(T) < sizeof(double)) return static_cast<T>(total);
    else return total - total == 0 ? total + lost : total;
  }
};
// Some rows at once, whose additions do not wait for each other.
template <class T, int rows> STEEP_INLINE void running_sums(const T* from, T* to, std::int64_t n) {
  RunningSum<T> sums[rows];
  for (std::int64_t i = 0; i < n;) {
    const std::int64_t end = i + stretch < n ? i + stretch : n;
    for (; i < end; ++i)
      for (int r = 0; r < rows; ++r) to[r * n + i] = sums[r].with(from[r * n + i]);
    if (i < n) interruption_point();
  }
}
template <class T> void row_cumsum(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  if constexpr (is_real<T>) {
    constexpr int together = 4;
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(out);
    std::int64_t r = 0;
    for (; r + together <= rows; r += together) running_sums<T, together>(from + r * n, to + r * n, n);
    for (; r < rows; ++r) running_sums<T, 1>(from + r * n, to + r * n, n);
  } else {
    row_scan<op::add, T>(x, out, rows, n);
  }
}

// to[i] = g(from[i]) along one row, the partial vector at the end by the same code.
template <class T, class G> STEEP_INLINE void map_row(const T* from, T* to, std::int64_t n, G g) {
  constexpr std::int64_t lanes = Vec<T>::n;
  for (; n > stretch; n -= stretch, from += stretch, to += stretch) {
    for (std::int64_t i = 0; i < stretch; i += lanes) store(to + i, g(load(from + i)));
    interruption_point();
  }
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, g(load(from + i)));
  if (i < n) store_part(to + i, g(load_part(from + i, n - i)), n - i);
}
template <class T> void row_softmax(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(out);
  for (std::int64_t r = 0; r < rows; ++r, from += n, to += n) {
    const Vec<T> top(fold_row<Max>(from, n));
    map_row(from, to, n, [=](Vec<T> v) { return expv(v - top); });
    const Vec<T> total(fold_row<Sum>(to, n));
    map_row(to, to, n, [=](Vec<T> v) { return v / total; });
  }
}

// The exponentials are summed through a buffer of one leaf, so that x and out may be the same row.
template <class T> T sum_of_exp(const T* x, std::int64_t n, Vec<T> top) {
  constexpr std::int64_t leaf = row_leaf<T>;
  if (n > leaf) {
    if (n > 16 * leaf) interruption_point();
    const std::int64_t left = fold_split(n, leaf);
    return sum_of_exp(x, left, top) + sum_of_exp(x + left, n - left, top);
  }
  T e[leaf];
  map_row(x, e, n, [=](Vec<T> v) { return expv(v - top); });
  return fold_leaf<Sum>(e, n);
}
template <class T> void row_log_softmax(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(out);
  for (std::int64_t r = 0; r < rows; ++r, from += n, to += n) {
    const Vec<T> top(fold_row<Max>(from, n));
    const Vec<T> log_total = logv(Vec<T>(sum_of_exp(from, n, top)));
    map_row(from, to, n, [=](Vec<T> v) { return (v - top) - log_total; });
  }
}
