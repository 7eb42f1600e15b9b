// float32 products through bfloat16 parts: six products of parts (all whose ranks add up to at most two) give a smaller
// error than the chain of fused multiply-adds, and one gives 8 bits. An element's bits depend on its row of A, its
// column of B and k alone. Engine multiplies two packed panels: Plain here, tiles of AMX in isa_amx.cpp, with the same
// bits. Start reading at run, then multiply.

namespace split {

constexpr std::int64_t most_rows = 256;           // of A in a block: its packed panels stay in the second-level cache
constexpr std::int64_t columns_per_block = 4096;  // of B, for which a panel of A is packed once
constexpr std::int64_t near_words = 1 << 18;      // of packed panels, half of the second-level cache
constexpr std::int64_t columns_at_once = 512;     // of C, whose rectangles are finished while they are in that cache

// Rows of A in a block: as equal as its panels allow, since every block reads all of B.
static inline std::int64_t block_rows(std::int64_t m) {
  return ceil_div(ceil_div(m, ceil_div(m, most_rows)), panel_lanes) * panel_lanes;
}
// Steps of k in a block: as equal as multiples of a tile's 32 allow, and a function of k alone.
static inline std::int64_t split_depth(std::int64_t k) {
  return ceil_div(ceil_div(k, ceil_div(k, gemm::most_depth)), tile_steps) * tile_steps;
}

static void widen(const Ranges& to, const Ranges& by, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (by.high[i] > to.high[i]) to.high[i] = by.high[i];
    if (by.low[i] < to.low[i]) to.low[i] = by.low[i];
  }
}

// Lanes [first, first + count) over steps [p, p + depth), packed now or, of constant operands, by a call before.
template <bool is_a, int parts> static PackedLanes packed(const Lanes& x, std::int64_t first, std::int64_t count,
                                                          std::int64_t p, std::int64_t depth, const Ranges& ranges) {
  Lanes some = x.from(first, p);
  some.count = count;
  const std::int64_t panels = ceil_div(count, panel_lanes);
  const std::int64_t words = panels * ceil_div(depth, tile_steps) * tile_stride<parts>;
  const PanelKey key{Packing::parts, {is_a, parts, x.lane, x.step, count, depth}};
  Panels memory(is_a ? Scratch::gemm_a : Scratch::gemm_b, some.at, key, PackedLanes::bytes(words, panels));
  const PackedLanes all(memory.at(), words, panels);
  if (!memory.packed()) {
    pack_lanes<is_a, parts>(some, depth, all);
    memory.keep();
  }
  widen(ranges.from(first), all.ranges, count);
  return all;
}

// A finished rectangle of C, of one block of k: the first replaces what C holds, later ones are added.
template <bool add> static void put(const float* from, float* c, std::int64_t ldc, std::int64_t m, std::int64_t n) {
  for (std::int64_t i = 0; i < m; ++i, from += panel_lanes, c += ldc)
    for (std::int64_t j = 0; j < n; j += Floats::n) {
      const std::int64_t some = n - j;
      const Floats x = load(from + j);
      if (some >= Floats::n) store(c + j, add ? load(c + j) + x : x);
      else store_part(c + j, add ? load_part(c + j, some) + x : x, some);
    }
}

// Prefetches C into the second-level cache, while the product to be written or added to it is computed.
static void fetch(const float* c, std::int64_t ldc, std::int64_t m) {
  for (std::int64_t i = 0; i < m; ++i, c += ldc) {
    __builtin_prefetch(c, 0, 2);
    __builtin_prefetch(c + tile_lanes, 0, 2);
  }
}

// A product, the magnitudes of its rows and columns, and what is done to its elements when they are final.
struct Product {
  Whole x;
  Ranges rows, columns;
  Into into;
  const Epilogue* done;

  bool is_regular(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) const {
    return !any_irregular(rows.from(i), mi) && !any_irregular(columns.from(j), nj);
  }
  // Whether a block of rows and columns has to be a product by itself, because some of it will be repaired, before it
  // is added to what C holds: k is one block then, so that all magnitudes are known.
  bool waits(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) const {
    return into == Into::add && !is_regular(i, mi, j, nj);
  }
  void finish(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) const {
    if (done) done->f(done->context, i, mi, j, nj);
  }
};

// Rows [i, i + mi) of A against columns [j, j + nj) of B, over some tiles of k.
struct Block {
  std::int64_t i, mi, j, nj, tiles;
  bool adds, last;  // to what C holds; of k
};

// Panels of B that come from beyond the second-level cache are prefetched, a share of the next one with every panel of
// A: those of a block that is too large for it, and those that are kept, since other products came between.
static std::int64_t prefetched_lines(const Whole& x, const Block& s, std::int64_t parts) {
  const bool far = is_kept(x.b.at) || s.nj * s.tiles * tile_steps * parts / 2 > near_words;
  return far ? ceil_div(parts * 2 * tile_words / line_words, ceil_div(s.mi, panel_lanes)) : 0;
}

template <class Engine, int parts>
static void sweep(const Product& all, const PackedLanes& a, const PackedLanes& b, const Block& s) {
  alignas(64) float edge[panel_lanes * panel_lanes];
  const Whole& x = all.x;
  const std::int64_t panel = s.tiles * tile_stride<parts>, lines = prefetched_lines(x, s, parts);
  for (std::int64_t j = 0; j < s.nj; j += panel_lanes) {
    const std::int64_t pb = j / panel_lanes, columns = least(s.nj - j, panel_lanes);
    const std::uint32_t* at = b.at + pb * panel;
    for (std::int64_t i = 0; i < s.mi; i += panel_lanes) {
      const std::int64_t pa = i / panel_lanes, rows = least(s.mi - i, panel_lanes);
      const bool direct = !s.adds && rows == panel_lanes && columns == panel_lanes;
      float* to = x.c + (s.i + i) * x.ldc + s.j + j;
      fetch(to, x.ldc, rows);
      using Tiles = AdjacentTiles<parts>;
      Engine::template panels<parts>(PanelPair<Tiles, Tiles>{direct ? to : edge,
                                                             direct ? x.ldc : panel_lanes,
                                                             {a.at + pa * panel},
                                                             {at},
                                                             s.tiles,
                                                             parts == 3 && (a.rest[pa] || b.rest[pb]),
                                                             at + panel + pa * lines * s.tiles * line_words,
                                                             j + columns < s.nj ? lines : 0});
      if (!direct) (s.adds ? put<true> : put<false>)(edge, to, x.ldc, rows, columns);
    }
    const std::int64_t end = j + columns, begin = j / columns_at_once * columns_at_once;
    if (s.last && (end % columns_at_once == 0 || end == s.nj) && all.is_regular(s.i, s.mi, s.j + begin, end - begin))
      all.finish(s.i, s.mi, s.j + begin, end - begin);
  }
}

template <class Engine, int parts> static void multiply(const Product& all) {
  [[maybe_unused]] const Engine engine{};
  const Whole& x = all.x;
  const std::int64_t depth = split_depth(x.k), rows = block_rows(x.m);
  for (std::int64_t j = 0; j < x.n; j += columns_per_block)
    for (std::int64_t p = 0; p < x.k; p += depth) {
      const std::int64_t nj = least(x.n - j, columns_per_block), steps = least(x.k - p, depth);
      const PackedLanes b = packed<false, parts>(x.b, j, nj, p, steps, all.columns);
      for (std::int64_t i = 0; i < x.m; i += rows) {
        const std::int64_t mi = least(x.m - i, rows);
        const PackedLanes a = packed<true, parts>(x.a, i, mi, p, steps, all.rows);
        if (all.waits(i, mi, j, nj)) continue;
        const bool adds = p > 0 || all.into == Into::add;
        sweep<Engine, parts>(all, a, b, Block{i, mi, j, nj, ceil_div(steps, tile_steps), adds, p + steps == x.k});
      }
    }
}

// What sweep has not finished: rectangles with rows or columns that are not regular. The other code path overwrites
// packed panels, so they wait until none is needed.
static void finish_irregular(const Product& all) {
  const Whole& x = all.x;
  repair(x, all.rows, all.columns, gemm::scratch_for<float>(Scratch::split_spare, (2 + repaired_at_once) * x.n));
  const std::int64_t rows = block_rows(x.m);
  for (std::int64_t i = 0; i < x.m; i += rows)
    for (std::int64_t j = 0; j < x.n; j += columns_at_once) {
      const std::int64_t mi = least(x.m - i, rows), nj = least(x.n - j, columns_at_once);
      if (!all.is_regular(i, mi, j, nj)) all.finish(i, mi, j, nj);
    }
}

template <class Engine, int parts> static void product(const Whole& x, Into into, const Epilogue* done);

// What multiply has left to wait.
template <class Engine, int parts> static void add_waiting(const Product& all) {
  const Whole& x = all.x;
  const std::int64_t rows = block_rows(x.m);
  for (std::int64_t i = 0; i < x.m; i += rows)
    for (std::int64_t j = 0; j < x.n; j += columns_per_block) {
      const std::int64_t mi = least(x.m - i, rows), nj = least(x.n - j, columns_per_block);
      if (!all.waits(i, mi, j, nj)) continue;
      auto* own = gemm::scratch_for<float>(Scratch::split_waiting, mi * nj);
      product<Engine, parts>({mi, nj, x.k, x.a.from(i, 0), x.b.from(j, 0), own, nj}, Into::replace, nullptr);
      for (std::int64_t r = 0; r < mi; ++r)
        for (std::int64_t q = 0; q < nj; ++q) x.c[(i + r) * x.ldc + j + q] += own[r * nj + q];
      all.finish(i, mi, j, nj);
    }
}

template <class Engine, int parts> static void product(const Whole& x, Into into, const Epilogue* done) {
  const std::int64_t m = ceil_div(x.m, panel_lanes) * panel_lanes, n = ceil_div(x.n, panel_lanes) * panel_lanes;
  const Scratch ranges = into == Into::add ? Scratch::split_added : Scratch::split_ranges;
  auto* at = gemm::scratch_for<std::uint32_t>(ranges, 2 * (m + n));
  Ranges{at, at + m + n}.clear(m + n);
  const Product all{x, {at, at + m + n}, {at + m, at + m + n + m}, into, done};
  multiply<Engine, parts>(all);
  if (all.is_regular(0, x.m, 0, x.n)) return;
  into == Into::add ? add_waiting<Engine, parts>(all) : finish_irregular(all);
}

// See Gemm in product.h; parts is 3 for six products of parts and 1 for one.
template <class Engine, int parts> static void run(std::int64_t m, std::int64_t n, std::int64_t k, const void* a,
                                                   std::int64_t a_row, std::int64_t a_col, const void* b,
                                                   std::int64_t b_row, std::int64_t b_col, void* c, std::int64_t ldc,
                                                   Into into, const Epilogue* done) {
  if (m <= 0 || n <= 0 || k <= 0)
    return table().gemm[f32](m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, into, done);
  product<Engine, parts>({m,
                          n,
                          k,
                          {static_cast<const float*>(a), a_row, a_col, m},
                          {static_cast<const float*>(b), b_col, b_row, n},
                          static_cast<float*>(c),
                          ldc},
                         into, done);
}

}  // namespace split
