// float32 products through bfloat16 parts: six products of parts (all whose ranks add up to at most two) give a smaller
// error than the chain of fused multiply-adds, and one gives 8 bits. An element's bits depend on its row of A, its
// column of B and k alone. Engine multiplies two packed panels: Plain here, tiles of AMX in isa_amx.cpp, with the same
// bits. Start reading at run, then multiply.

namespace split {

constexpr std::int64_t rows_per_block = 256;      // of A: its packed panels stay in the second-level cache
constexpr std::int64_t columns_per_block = 1024;  // of B

// Steps of k in a block: as equal as multiples of a tile's 32 allow, and a function of k alone.
static inline std::int64_t split_depth(std::int64_t k) {
  constexpr std::int64_t most = 512;
  return ceil_div(ceil_div(k, ceil_div(k, most)), tile_steps) * tile_steps;
}

// The panels of some lanes over a block of k, what pack_panel says of each, and the magnitudes of the lanes.
struct PackedLanes {
  std::uint32_t* at;
  bool* rest;
  Ranges ranges;
};

template <bool is_a, int parts>
static void pack_lanes(const Lanes& x, std::int64_t count, std::int64_t depth, const PackedLanes& to) {
  const std::int64_t panel = ceil_div(depth, tile_steps) * tile_stride<parts>;
  for (std::int64_t i = 0; i < ceil_div(count, panel_lanes) * panel_lanes; ++i)
    to.ranges.high[i] = 0, to.ranges.low[i] = 0x7fffffff;
  for (std::int64_t i = 0; i < count; i += panel_lanes) {
    const Lanes some = x.from(i, 0, least(count - i, panel_lanes));
    to.rest[i / panel_lanes] = pack_panel<is_a, parts>(some, depth, to.at + i / panel_lanes * panel, to.ranges.from(i));
  }
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
  const Lanes some = x.from(first, p, count);
  const std::int64_t panels = ceil_div(count, panel_lanes), lanes_of_all = panels * panel_lanes;
  const std::int64_t words = panels * ceil_div(depth, tile_steps) * tile_stride<parts>;
  const PanelKey key{Packing::parts, {is_a, parts, x.lane, x.step, count, depth}};
  Panels memory(
      is_a ? Scratch::gemm_a : Scratch::gemm_b, some.at, key,
      static_cast<std::size_t>(words + 2 * lanes_of_all) * sizeof(std::uint32_t) + static_cast<std::size_t>(panels));
  auto* at = static_cast<std::uint32_t*>(memory.at());
  auto* high = reinterpret_cast<std::int32_t*>(at + words);
  const PackedLanes all{at, reinterpret_cast<bool*>(high + 2 * lanes_of_all), {high, high + lanes_of_all}};
  if (!memory.packed()) {
    pack_lanes<is_a, parts>(some, count, depth, all);
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

// Prefetches C into the second-level cache, while the product to be added to it is computed.
static void fetch(const float* c, std::int64_t ldc, std::int64_t m) {
  for (std::int64_t i = 0; i < m; ++i, c += ldc) {
    __builtin_prefetch(c, 0, 2);
    __builtin_prefetch(c + tile_lanes, 0, 2);
  }
}

// Rows [i, i + mi) of A against columns [j, j + nj) of B, `tiles` of k.
template <class Engine, int parts> static void sweep(const Whole& x, const PackedLanes& a, const PackedLanes& b,
                                                     std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj,
                                                     std::int64_t tiles, bool add) {
  alignas(64) float c[panel_lanes * panel_lanes];
  const std::int64_t panel = tiles * tile_stride<parts>;
  for (std::int64_t s = 0; s < nj; s += panel_lanes)
    for (std::int64_t r = 0; r < mi; r += panel_lanes) {
      const std::int64_t pa = r / panel_lanes, pb = s / panel_lanes;
      const bool small = parts == 3 && (a.rest[pa] || b.rest[pb]);
      const std::int64_t rows = least(mi - r, panel_lanes);
      float* to = x.c + (i + r) * x.ldc + j + s;
      fetch(to, x.ldc, rows);
      Engine::template panels<parts>(c, a.at + pa * panel, b.at + pb * panel, tiles, small);
      (add ? put<true> : put<false>)(c, to, x.ldc, rows, least(nj - s, panel_lanes));
    }
}

template <class Engine, int parts> static void multiply(const Whole& x, const Ranges& rows, const Ranges& columns) {
  [[maybe_unused]] const Engine engine{};
  const std::int64_t depth = split_depth(x.k);
  for (std::int64_t j = 0; j < x.n; j += columns_per_block)
    for (std::int64_t p = 0; p < x.k; p += depth) {
      const std::int64_t nj = least(x.n - j, columns_per_block), steps = least(x.k - p, depth);
      const PackedLanes b = packed<false, parts>(x.b, j, nj, p, steps, columns);
      for (std::int64_t i = 0; i < x.m; i += rows_per_block) {
        const std::int64_t mi = least(x.m - i, rows_per_block);
        const PackedLanes a = packed<true, parts>(x.a, i, mi, p, steps, rows);
        sweep<Engine, parts>(x, a, b, i, mi, j, nj, ceil_div(steps, tile_steps), p > 0);
      }
    }
}

template <class Engine, int parts> static void product(const Whole& x) {
  const std::int64_t m = ceil_div(x.m, panel_lanes) * panel_lanes, n = ceil_div(x.n, panel_lanes) * panel_lanes;
  auto* at = gemm::scratch_for<std::int32_t>(Scratch::split_ranges, 2 * (m + n));
  for (std::int64_t i = 0; i < m + n; ++i) at[i] = 0, at[m + n + i] = 0x7fffffff;
  const Ranges rows{at, at + m + n}, columns{at + m, at + m + n + m};
  float* spare = gemm::scratch_for<float>(Scratch::split_spare, (2 + repaired_at_once) * x.n);
  multiply<Engine, parts>(x, rows, columns);
  repair(x, rows, columns, spare);
}

// See Gemm in product.h; parts is 3 for six products of parts and 1 for one.
template <class Engine, int parts> static void run(std::int64_t m, std::int64_t n, std::int64_t k, const void* a,
                                                   std::int64_t a_row, std::int64_t a_col, const void* b,
                                                   std::int64_t b_row, std::int64_t b_col, void* c, std::int64_t ldc,
                                                   const Epilogue* done) {
  if (m <= 0 || n <= 0 || k <= 0) return table().gemm[f32](m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, done);
  product<Engine, parts>({m,
                          n,
                          k,
                          {static_cast<const float*>(a), a_row, a_col, m},
                          {static_cast<const float*>(b), b_col, b_row, n},
                          static_cast<float*>(c),
                          ldc});
  if (done) done->f(done->context, 0, m, 0, n);
}

}  // namespace split
