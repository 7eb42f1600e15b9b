// Working memory for kernels that rearrange their operands before they compute: one growing buffer per slot and thread.
// Compiled once, for the baseline, so that no container or allocator is instantiated inside an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace steep::k {

// Who uses what. A kernel that calls another shares no slot with it: convolutions call products, and products of parts
// call plain ones.
enum class Scratch : std::uint8_t {
  gemm_a,  // packed panels, of products of parts as well, and of convolutions that call no product
  gemm_b,
  gemm_c,         // results that are transposed or cut out of a larger one
  conv_reads,     // what vectors of a row read from an image, and the rows of a window that is pooled
  conv_offsets,   // where taps read, and which rows are kept
  conv_columns,   // the matrix of a convolution, its tiles at Winograd's points, or what products of parts give
  conv_taps,      // the weight of a convolution, transposed
  conv_points,    // the same at Winograd's points, or as parts
  split_ranges,   // magnitudes of rows and columns, or of what a canvas holds
  split_spare,    // elements computed again
  split_added,    // magnitudes of a product that is added to what is there
  split_waiting,  // blocks of it that are computed by themselves first
  attention,      // scores of some queries, and sums over them; rows of a weight's gradient that are computed again
  norm,           // sums over planes, and scales of channels
  shared,         // panels that the pieces of a product have in common
  tiles,          // intermediate results of fused elementwise operations
  count
};

// At least `bytes` bytes aligned to 64, the same memory until the thread requests more from the slot; growth discards
// the contents. Throws std::bad_alloc. Freed when the thread ends.
void* scratch(Scratch slot, std::size_t bytes);

// Every slot of the calling thread grown to at least `bytes` and filled with the word, so that a test can show that no
// kernel reads stale data.
void fill_scratch(std::uint32_t word, std::size_t bytes);

}  // namespace steep::k
