// float32 products through bfloat16 parts: six products of parts (all whose ranks add up to at most two) give a smaller
// error than the chain of fused multiply-adds, and one gives 8 bits. An element's bits depend on its row of A, its
// column of B and k alone. Engine multiplies two packed panels: Plain here, tiles of AMX in isa_amx.cpp, with the same
// bits. Needs vec.h, gemm.inl.h and table.h. Start reading at split_product, then multiply.

#define STEEP_INLINE inline __attribute__((always_inline))

namespace split_parts {

#include "kernels/split_pack.inl.h"

// Ranks of A's and B's part, in the order in which they are added up; after them come the largest parts, {0, 0}, so
// that sums of small products are finished before they meet large ones. Neighbours share a tile already loaded.
constexpr int small_products[5][2] = {{2, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 2}};

#include "kernels/split_guard.inl.h"
#include "kernels/split_plain.inl.h"

constexpr std::size_t slot_ranges = 4, slot_spare = 5;  // of scratch; packed panels share the slots of gemm.inl.h
constexpr std::int64_t rows_per_block = 256;            // of A: its packed panels stay in the second-level cache
constexpr std::int64_t columns_per_block = 1024;        // of B

// Steps of k in a block: as equal as multiples of a tile's 32 allow, and a function of k alone.
static inline std::int64_t split_depth(std::int64_t k) {
  constexpr std::int64_t most = 512;
  return pieces(pieces(k, pieces(k, most)), tile_steps) * tile_steps;
}

// Lanes [first, first + count) over steps [p, p + depth), panel after panel.
template <bool is_a, int parts> static void pack_panels(const Lanes& x, std::int64_t first, std::int64_t count,
                                                        std::int64_t p, std::int64_t depth, std::uint32_t* to,
                                                        bool* rest, const Ranges& ranges) {
  const std::int64_t panel = pieces(depth, tile_steps) * tile_stride<parts>;
  for (std::int64_t i = 0; i < count; i += panel_lanes, to += panel)
    *rest++ = pack_panel<is_a, parts>(x.from(first + i, p, at_most(count - i, panel_lanes)), depth, to,
                                      ranges.from(first + i));
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

// Packed panels, and whether their small products are anything but zero.
struct Buffers {
  std::uint32_t *a, *b;
  Ranges rows, columns;
  bool rest_of_a[rows_per_block / panel_lanes], rest_of_b[columns_per_block / panel_lanes];
};

// Rows [i, i + mi) of A, packed, against columns [j, j + nj) of B, packed.
template <class Engine, int parts> static void sweep(const Whole& x, const Buffers& buffers, std::int64_t i,
                                                     std::int64_t mi, std::int64_t j, std::int64_t nj,
                                                     std::int64_t tiles, bool add) {
  alignas(64) float c[panel_lanes * panel_lanes];
  const std::int64_t panel = tiles * tile_stride<parts>;
  for (std::int64_t s = 0; s < nj; s += panel_lanes)
    for (std::int64_t r = 0; r < mi; r += panel_lanes) {
      const std::int64_t pa = r / panel_lanes, pb = s / panel_lanes;
      const bool small = parts == 3 && (buffers.rest_of_a[pa] || buffers.rest_of_b[pb]);
      const std::int64_t rows = at_most(mi - r, panel_lanes);
      float* to = x.c + (i + r) * x.ldc + j + s;
      fetch(to, x.ldc, rows);
      Engine::template panels<parts>(c, buffers.a + pa * panel, buffers.b + pb * panel, tiles, small);
      (add ? put<true> : put<false>)(c, to, x.ldc, rows, at_most(nj - s, panel_lanes));
    }
}

template <class Engine, int parts> static void multiply(const Whole& x, Buffers& buffers) {
  [[maybe_unused]] const Engine engine{};
  const std::int64_t depth = split_depth(x.k);
  for (std::int64_t j = 0; j < x.n; j += columns_per_block)
    for (std::int64_t p = 0; p < x.k; p += depth) {
      const std::int64_t nj = at_most(x.n - j, columns_per_block), steps = at_most(x.k - p, depth);
      pack_panels<false, parts>(x.b, j, nj, p, steps, buffers.b, buffers.rest_of_b, buffers.columns);
      for (std::int64_t i = 0; i < x.m; i += rows_per_block) {
        const std::int64_t mi = at_most(x.m - i, rows_per_block);
        pack_panels<true, parts>(x.a, i, mi, p, steps, buffers.a, buffers.rest_of_a, buffers.rows);
        sweep<Engine, parts>(x, buffers, i, mi, j, nj, pieces(steps, tile_steps), p > 0);
      }
    }
}

template <class T> static T* scratch_for(std::size_t slot, std::int64_t count) {
  return static_cast<T*>(scratch(slot, static_cast<std::size_t>(count) * sizeof(T)));
}
template <int parts> static std::uint32_t* panels_scratch(std::size_t slot, std::int64_t lanes, std::int64_t k) {
  return scratch_for<std::uint32_t>(slot,
                                    pieces(lanes, panel_lanes) * split_depth(k) / tile_steps * tile_stride<parts>);
}

template <class Engine, int parts> static void product(const Whole& x) {
  const std::int64_t m = pieces(x.m, panel_lanes) * panel_lanes, n = pieces(x.n, panel_lanes) * panel_lanes;
  auto* at = scratch_for<std::int32_t>(slot_ranges, 2 * (m + n));
  for (std::int64_t i = 0; i < m + n; ++i) at[i] = 0, at[m + n + i] = 0x7fffffff;
  Buffers buffers{panels_scratch<parts>(gemm_parts::slot_a, at_most(m, rows_per_block), x.k),
                  panels_scratch<parts>(gemm_parts::slot_b, at_most(n, columns_per_block), x.k),
                  {at, at + m + n},
                  {at + m, at + m + n + m},
                  {},
                  {}};
  float* spare = scratch_for<float>(slot_spare, (2 + repaired_at_once) * x.n);
  multiply<Engine, parts>(x, buffers);
  repair(x, buffers.rows, buffers.columns, spare);
}

}  // namespace split_parts

// See Gemm in product.h; parts is 3 for six products of parts and 1 for one.
template <class Engine, int parts> static void split_product(std::int64_t m, std::int64_t n, std::int64_t k,
                                                             const void* a, std::int64_t a_row, std::int64_t a_col,
                                                             const void* b, std::int64_t b_row, std::int64_t b_col,
                                                             void* c, std::int64_t ldc, const Epilogue* done) {
  if (m <= 0 || n <= 0 || k <= 0) return table().gemm[f32](m, n, k, a, a_row, a_col, b, b_row, b_col, c, ldc, done);
  split_parts::product<Engine, parts>({m,
                                       n,
                                       k,
                                       {static_cast<const float*>(a), a_row, a_col, m},
                                       {static_cast<const float*>(b), b_col, b_row, n},
                                       static_cast<float*>(c),
                                       ldc});
  if (done) done->f(done->context, 0, m, 0, n);
}

#undef STEEP_INLINE
