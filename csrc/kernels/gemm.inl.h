// The matrix product C = A B, for any strides of A and B. Start reading at run, then multiply. The bits of an element
// depend on its row of A, its column of B and k alone: k is cut into blocks by block_depth, and everything else here
// (panels, tiles, which operand is packed, whether the transposed product is computed) affects where an element is
// computed, never how. The inner kernels are in gemm_micro, gemm_transpose and gemm_stream.inl.h, packing in
// gemm_pack.inl.h.

namespace gemm {

template <class T> struct Matrix {
  const T* at;
  std::int64_t row, col;

  Matrix transposed() const { return {at, col, row}; }
  Matrix from(std::int64_t i, std::int64_t j) const { return {at + i * row + j * col, row, col}; }
};

template <class T> struct Product {
  std::int64_t m, n, k;
  Matrix<T> a, b;
  T* c;
  std::int64_t ldc;
  Into into;
  const Epilogue* done;

  // What the block of k that begins at p is put into.
  bool adds(std::int64_t p) const { return p > 0 || into == Into::add; }
};

// Tells the caller's epilogue that rows and columns of C are final.
template <class T>
static void finish(const Product<T>& x, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
  if (x.done) x.done->f(x.done->context, i, mi, j, nj);
}

// Gathers final panels into rectangles that are large enough for a call and still in cache: adjacent panels into
// strips, strips into rectangles.
template <class T> class Finished {
 public:
  Finished(const Product<T>& x, bool last) : x_(x), wanted_(last && x.done) {}

  void add_panel(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
    if (!wanted_) return;
    if (strip_.mi == 0) strip_ = {i, mi, j, 0};
    strip_.nj += nj;
    if (large(strip_)) end_strip();
  }
  void end_strip() {
    const bool below = above_.i + above_.mi == strip_.i && above_.j == strip_.j && above_.nj == strip_.nj;
    if (below) {
      above_.mi += strip_.mi;
    } else {
      call(above_);
      above_ = strip_;
    }
    strip_ = {};
    if (large(above_)) call(above_);
  }
  void flush() { call(above_); }  // after the last end_strip

 private:
  struct Rectangle {
    std::int64_t i = 0, mi = 0, j = 0, nj = 0;
  };
  // Which the second cache holds; longer rows cost less, since every row of a rectangle is a run of the epilogue.
  static bool large(const Rectangle& r) { return r.mi * r.nj * static_cast<std::int64_t>(sizeof(T)) >= 1 << 17; }
  void call(Rectangle& r) {
    if (r.mi) finish(x_, r.i, r.mi, r.j, r.nj);
    r = {};
  }
  const Product<T>& x_;
  bool wanted_;
  Rectangle above_, strip_;
};

// Steps of k in a block: equal, up to multiples of 16. The same on every instruction set, or the bits differ.
static inline std::int64_t block_depth(std::int64_t k) {
  return ceil_div(ceil_div(k, ceil_div(k, most_depth)), 16) * 16;
}

constexpr std::int64_t most_tiles = 8;        // of a block of rows, whose packed panels the second cache holds
constexpr std::int64_t most_near = 24576;     // bytes of B, which the first cache holds beside a panel of A
constexpr std::int64_t most_swept = 1 << 18;  // bytes of B, which the second cache holds: it has no order to prefer
constexpr std::int64_t most_held = 1 << 20;   // bytes of B's panels, which that cache holds until they are read again

// How the loops are blocked. Rows of C are divided into tiles as equally as possible, so that no tile is a thin
// remainder.
template <class T> struct Plan {
  std::int64_t depth, tiles, tiles_per_block, width, columns;
  bool pack_a, pack_b, transpose_b, stream_b;

  explicit Plan(const Product<T>& x) {
    depth = block_depth(x.k);
    tiles = ceil_div(x.m, tile_rows);
    width = widest(static_cast<int>(ceil_div(x.m, tiles))) * lanes<T>;
    columns = width * (2048 / width);
    const std::int64_t block = least(depth, x.k) * least(columns, x.n) * static_cast<std::int64_t>(sizeof(T));
    tiles_per_block = block > most_near ? ceil_div(tiles, ceil_div(tiles, most_tiles)) : 1;
    // Also neighbouring rows: steps of k far apart in memory are slow to read again.
    pack_a = x.n > 4 * width || is_kept(x.a.at);
    const bool kept = is_kept(x.b.at);
    transpose_b = tiles == 1 && x.k >= lanes<T> && x.b.row == 1 && x.b.col != 1 && !kept;
    // With few rows a copy of B does not pay, nor where B lies in the first cache and its rows are whole vectors.
    const bool near = block <= most_near && x.n % lanes<T> == 0 && !kept;
    pack_b = x.b.col != 1 || (x.m > 60 && !near);
    stream_b = x.m <= streamed_rows && x.b.col == 1 && x.n > width && block > most_swept && !kept;
  }
};

// The part of a product that one block of k and one block of columns makes up, its operands packed where it pays.
template <class T> struct Block {
  const Product<T>& x;
  const Plan<T>& plan;
  std::int64_t p, depth, j, columns;

  bool last() const { return p + depth == x.k; }
};

// The tiles from `first` to `end`, which begin at row `top` of C, and their panels of A where A is packed.
template <class T> struct Rows {
  std::int64_t first, end, top;
  const T* packed;
};

template <class T> static std::int64_t row_of(const Product<T>& x, const Plan<T>& plan, std::int64_t tile) {
  return share_start(x.m, plan.tiles, tile);
}

// One panel of B, its width rounded up to whole vectors.
template <class T> static Matrix<T> pack_b(const Block<T>& s, std::int64_t j, std::int64_t count, T* to) {
  const Matrix<T> b = s.x.b.from(s.p, s.j + j);
  const std::int64_t ld = ceil_div(count, lanes<T>) * lanes<T>;
  pack(Strip<T>{to, ld, b.at, b.col, b.row, count, s.depth});
  return {to, ld, 1};
}

// The bounds of some tiles' rows.
struct TileBounds {
  std::int64_t at[most_tiles + 1];
};

// A step of a tile's panel of A, `count` elements, from memory where `readable` of them are adjacent. `writable`: whole
// vectors are stored while they stay in the panel, whose later steps overwrite what is too much.
template <class T>
static void copy_step(const T* from, T* to, std::int64_t count, std::int64_t readable, std::int64_t writable) {
  for (std::int64_t i = 0; i < count; i += lanes<T>) {
    const Vec<T> x = readable - i >= lanes<T> ? load(from + i) : load_part(from + i, readable - i);
    if (writable - i >= lanes<T>) store(to + i, x);
    else store_part(to + i, x, least(count - i, lanes<T>));
  }
}

// Panels of A where its rows are adjacent in memory: step by step across all tiles, as they lie. One tile after another
// would read a line of each step at a time.
template <class T> static void pack_across(const Block<T>& s, std::int64_t first, std::int64_t tiles, T* to) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  TileBounds rows;
  for (std::int64_t t = 0; t <= tiles; ++t) rows.at[t] = row_of(s.x, s.plan, first + t);
  for (std::int64_t p = 0; p < s.depth; ++p) {
    const T* from = s.x.a.from(0, s.p + p).at;
    for (std::int64_t i = rows.at[0]; i < rows.at[tiles]; i += line)
      __builtin_prefetch(from + i + rows_ahead * s.x.a.col);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t row = rows.at[t], count = rows.at[t + 1] - row;
      copy_step(from + row, to + (row - rows.at[0]) * s.depth + p * count, count, s.x.m - row, (s.depth - p) * count);
    }
  }
}

// Panels of A, one per tile, as wide as the tile is high; what one writes past its end the next one overwrites.
template <class T> static const T* pack_a(const Block<T>& s, std::int64_t first, std::int64_t end) {
  const std::int64_t top = row_of(s.x, s.plan, first), high = row_of(s.x, s.plan, end) - top;
  const Matrix<T> all = s.x.a.from(top, s.p);
  const PanelKey key{Packing::rows, {all.row, all.col, s.x.m, s.plan.tiles, first, end, s.depth}};
  return panels_of(Scratch::gemm_a, all.at, key, s.depth * high, [&](T* to) {
    if (all.row == 1 && end - first > 1) return pack_across(s, first, end - first, to);
    for (std::int64_t t = first; t < end; ++t) {
      const std::int64_t row = row_of(s.x, s.plan, t), count = row_of(s.x, s.plan, t + 1) - row;
      const Matrix<T> a = s.x.a.from(row, s.p);
      pack(Strip<T>{to + (row - top) * s.depth, count, a.at, a.row, a.col, count, s.depth});
    }
  });
}

// Memory for the panels of B of a block: for all of them or one at a time, filled before or not; null to use B itself.
template <class T> struct PackedB {
  T* at = nullptr;
  bool all = false, done = false;
};

// The name and the elements of all panels of B of a block.
template <class T> static PanelKey key_of_b(const Block<T>& s) {
  return {Packing::columns, {s.x.b.row, s.x.b.col, s.columns, s.plan.width, s.depth}};
}
template <class T> static std::int64_t size_of_b(const Block<T>& s) { return s.depth * (s.columns + lanes<T>); }

// A panel of B, columns [j, j + width) of the block. `then`: the one after it, if it has to come from beyond the second
// cache; each tile prefetches a share of it.
template <class T> struct PanelB {
  std::int64_t j, width;
  Matrix<T> at;
  const T* then;
};

// Every tile of some rows of C and one panel of B.
template <class T> static void sweep_panel(const Block<T>& s, const Rows<T>& r, const PanelB<T>& b) {
  const std::int64_t vecs = ceil_div(b.width, lanes<T>), share = ceil_div(b.at.row, r.end - r.first);
  for (std::int64_t t = r.first; t < r.end; ++t) {
    const std::int64_t row = row_of(s.x, s.plan, t), rows = row_of(s.x, s.plan, t + 1) - row;
    const Matrix<T> a = r.packed ? Matrix<T>{r.packed + (row - r.top) * s.depth, 1, rows} : s.x.a.from(row, s.p);
    const auto& kernels = a.row == 1 ? tiles<T, true>.at : tiles<T, false>.at;
    const auto kernel = kernels[rows - 1][vecs - 1], other = fetching_tiles<T>.at[rows - 1][0];
    const bool fetching = b.then && other && a.row == 1 && vecs == widest(static_cast<int>(rows));
    T* c = s.x.c + row * s.x.ldc + s.j + b.j;
    (fetching ? other : kernel)({s.depth, a.at, a.row, a.col, b.at.at, b.at.row, c, s.x.ldc, b.width, s.x.adds(s.p),
                                 s.plan.pack_b, fetching ? b.then + (t - r.first) * share * s.depth : nullptr, share});
  }
}

// Panel after panel of B. Panels are packed when the first rows need them, while they pass through the caches anyway,
// and stay for any rows that follow.
template <class T>
static void sweep(const Block<T>& s, const Rows<T>& rows, const PackedB<T>& packed, Finished<T>& finished) {
  const std::int64_t high = row_of(s.x, s.plan, rows.end) - rows.top;
  const bool packing = packed.at && rows.first == 0 && !packed.done;
  // Between two calls that read kept panels, others came.
  const bool far = s.columns * s.depth * static_cast<std::int64_t>(sizeof(T)) > (packed.done ? most_swept : most_held);
  for (std::int64_t j = 0; j < s.columns; j += s.plan.width) {
    const std::int64_t width = least(s.plan.width, s.columns - j);
    T* at = packed.at && packed.all ? packed.at + j * s.depth : packed.at;
    const Matrix<T> b = !at       ? s.x.b.from(s.p, s.j + j)
                        : packing ? pack_b(s, j, width, at)
                                  : Matrix<T>{at, ceil_div(width, lanes<T>) * lanes<T>, 1};
    const bool then = far && packed.all && !packing && j + width < s.columns;
    sweep_panel(s, rows, PanelB<T>{j, width, b, then ? at + width * s.depth : nullptr});
    interruption_point();
    finished.add_panel(rows.top, high, s.j + j, width);
  }
  finished.end_strip();
}

// A few rows of A and a column-major B: B is transposed in registers.
template <class T> static void sweep_transposing(const Block<T>& s) {
  const std::int64_t m = s.x.m, step = transposed_groups(static_cast<int>(m)) * lanes<T>;
  const T* a = m == 1 && s.x.a.col == 1 ? s.x.a.from(0, s.p).at : pack_a(s, 0, 1);
  for (std::int64_t j = 0; j < s.columns; j += step) {
    const T* b = s.x.b.from(s.p, s.j + j).at;
    transposing_tiles<T>.at[m - 1][0](
        {s.depth, a, 1, m, b, s.x.b.col, s.x.c + s.j + j, s.x.ldc, least(step, s.columns - j), s.x.adds(s.p)});
    if (j % (step * 16) == 0) interruption_point();
  }
  if (s.last()) finish(s.x, 0, m, s.j, s.columns);
}

// One or two rows of A and a row-major B that is read in order of addresses.
template <class T> static void sweep_streaming(const Block<T>& s) {
  const std::int64_t m = s.x.m, ld = ceil_div(s.columns, lanes<T>) * lanes<T>;
  const Matrix<T> a = s.x.a.from(0, s.p), b = s.x.b.from(s.p, s.j);
  const Stream<T> rows{a.at, a.row, a.col, b.at, b.row, s.columns, scratch_for<T>(Scratch::gemm_b, m * ld), ld};
  (m == 1 ? stream<T, 1> : stream<T, 2>)(rows, s.depth, s.x.c + s.j, s.x.ldc, s.x.adds(s.p));
  if (s.last()) finish(s.x, 0, m, s.j, s.columns);
}

template <class T> static void multiply_block(const Block<T>& s) {
  if (s.plan.stream_b) return sweep_streaming(s);
  if (s.plan.transpose_b) return sweep_transposing(s);
  const std::int64_t step = s.plan.tiles_per_block;
  const Matrix<T> b = s.x.b.from(s.p, s.j);
  const bool all = s.plan.tiles > step || is_kept(b.at);
  Panels panels;
  if (s.plan.pack_b)
    panels = panels_for<T>(Scratch::gemm_b, b.at, key_of_b(s), all ? size_of_b(s) : s.depth * s.plan.width);
  const PackedB<T> packed{static_cast<T*>(panels.at()), all, panels.packed()};
  Finished<T> finished(s.x, s.last());
  for (std::int64_t t = 0; t < s.plan.tiles; t += step) {
    const std::int64_t end = least(t + step, s.plan.tiles);
    sweep(s, Rows<T>{t, end, row_of(s.x, s.plan, t), s.plan.pack_a ? pack_a(s, t, end) : nullptr}, packed, finished);
    panels.keep();
  }
  finished.flush();
}

template <class T> static void multiply(const Product<T>& x) {
  const Plan<T> plan(x);
  for (std::int64_t p = 0; p < x.k; p += plan.depth)
    for (std::int64_t j = 0; j < x.n; j += plan.columns)
      multiply_block(Block<T>{x, plan, p, least(plan.depth, x.k - p), j, least(plan.columns, x.n - j)});
}

// What a product costs in vector operations: its multiply-adds and, unless B is rows already, transposing B.
template <class T> static std::int64_t cost(std::int64_t m, std::int64_t n, const Matrix<T>& b) {
  return ceil_div(n, lanes<T>) * (m + (b.col == 1 ? 0 : m <= tile_rows ? 5 : 10));
}

// C^T = B^T A^T, then transposed into C: for few columns, or a column-major B.
template <class T> static void multiply_transposed(const Product<T>& x) {
  const std::int64_t ld = ceil_div(x.m, lanes<T>) * lanes<T>;
  T* c = scratch_for<T>(Scratch::gemm_c, x.n * ld);
  multiply(Product<T>{x.n, x.m, x.k, x.b.transposed(), x.a.transposed(), c, ld, Into::replace, nullptr});
  pack(Strip<T>{x.c, x.ldc, c, ld, 1, x.n, x.m, true});
  finish(x, 0, x.m, 0, x.n);
}

template <class T> static void clear(const Product<T>& x) {
  for (std::int64_t i = 0; i < x.m && x.into == Into::replace; ++i)
    for (std::int64_t j = 0; j < x.n; ++j) x.c[i * x.ldc + j] = 0;
  finish(x, 0, x.m, 0, x.n);
}

constexpr std::int64_t most_transposed = 1 << 16;  // elements of C, so that its copy stays in cache

template <class T> static void product(const Product<T>& x) {
  if (x.m <= 0 || x.n <= 0) return;
  if (x.k <= 0) return clear(x);
  const bool transposed = x.into == Into::replace && x.m * x.n <= most_transposed &&
                          cost(x.n, x.m, x.a.transposed()) + x.n / 4 < cost(x.m, x.n, x.b);
  transposed ? multiply_transposed(x) : multiply(x);
}

// float and double. See Gemm in product.h.
template <class T> static void run(std::int64_t m, std::int64_t n, std::int64_t k, const void* a, std::int64_t a_row,
                                   std::int64_t a_col, const void* b, std::int64_t b_row, std::int64_t b_col, void* c,
                                   std::int64_t ldc, Into into, const Epilogue* done) {
  product<T>({m,
              n,
              k,
              {static_cast<const T*>(a), a_row, a_col},
              {static_cast<const T*>(b), b_row, b_col},
              static_cast<T*>(c),
              ldc,
              into,
              done});
}

// Integers, wrapping around as NumPy's do.
template <class T> static void run_integers(std::int64_t m, std::int64_t n, std::int64_t k, const void* a,
                                            std::int64_t a_row, std::int64_t a_col, const void* b, std::int64_t b_row,
                                            std::int64_t b_col, void* c, std::int64_t ldc, Into, const Epilogue* done) {
  using U = std::make_unsigned_t<T>;
  const U *from_a = static_cast<const U*>(a), *from_b = static_cast<const U*>(b);
  std::int64_t done_here = 0;  // since the last interruption point
  for (std::int64_t i = 0; i < m; ++i) {
    U* row = static_cast<U*>(c) + i * ldc;
    for (std::int64_t j = 0; j < n; ++j) row[j] = 0;
    for (std::int64_t p = 0; p < k; ++p) {
      const U x = from_a[i * a_row + p * a_col];
      for (std::int64_t j = 0; j < n; ++j) row[j] = static_cast<U>(row[j] + x * from_b[p * b_row + j * b_col]);
      if ((done_here += n) > 1 << 15) done_here = 0, interruption_point();
    }
  }
  if (done && m > 0 && n > 0) done->f(done->context, 0, m, 0, n);
}

}  // namespace gemm
