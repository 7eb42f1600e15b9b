// Packing B once for pieces of a product, by all threads, before any piece is computed: see SharedPacking in product.h.
// The panels and their names are those that multiply_block in gemm.inl.h asks for. A unit is a panel. Start reading at
// pack_shared.

namespace gemm {

template <class T> static Product<T> piece_of(const Operands& x) {
  return {x.m,
          x.n,
          x.k,
          {static_cast<const T*>(x.a), x.a_row, x.a_col},
          {static_cast<const T*>(x.b), x.b_row, x.b_col},
          nullptr,
          0,
          Into::replace,
          nullptr};
}

// Of a piece, the block that holds a column of B and a step of k.
template <class T>
static Block<T> block_at(const Product<T>& x, const Plan<T>& plan, std::int64_t column, std::int64_t p) {
  const std::int64_t j = column / plan.columns * plan.columns;
  return {x, plan, p, least(plan.depth, x.k - p), j, least(plan.columns, x.n - j)};
}

template <class T> static SharedSize shared_size(const Operands& piece) {
  constexpr std::int64_t fewest = 1 << 16;  // elements, which take longer to pack than waking threads does
  constexpr std::int64_t most_rows = 2048;  // of a piece: with more, packing hardly counts
  const Product<T> x = piece_of<T>(piece);
  const Plan<T> plan(x);
  const bool each_packs = plan.pack_b && !plan.stream_b && !plan.transpose_b && plan.tiles > plan.tiles_per_block;
  if (x.n * x.k < fewest || x.m > most_rows || x.m * x.n <= most_transposed || !each_packs) return {0, 0};
  std::size_t bytes = 0;
  for (std::int64_t p = 0; p < x.k; p += plan.depth)
    for (std::int64_t j = 0; j < x.n; j += plan.columns)
      bytes += (panel_bytes<T>(size_of_b(block_at(x, plan, j, p))) + 63) / 64 * 64;
  return {ceil_div(x.n, plan.width) * ceil_div(x.k, plan.depth), bytes};
}

template <class T> static void pack_shared(const Operands& piece, std::int64_t from, std::int64_t to) {
  const Product<T> x = piece_of<T>(piece);
  const Plan<T> plan(x);
  const std::int64_t panels = ceil_div(x.n, plan.width);
  for (std::int64_t u = from; u < to; ++u) {
    const std::int64_t column = u % panels * plan.width;
    const Block<T> block = block_at(x, plan, column, u / panels * plan.depth);
    const T* first = x.b.from(block.p, block.j).at;
    T* memory = static_cast<T*>(
        panel_stores().covering(first)->reserve(first, key_of_b(block), panel_bytes<T>(size_of_b(block))));
    const std::int64_t j = column - block.j;
    pack_b(block, j, least(plan.width, block.columns - j), memory + j * block.depth);
  }
}

}  // namespace gemm
