// Working memory for kernels that rearrange their operands before they compute: one growing buffer per slot and thread.
// Compiled once, for the baseline, so that no container or allocator is instantiated inside an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace steep::k {

constexpr std::size_t scratch_slots = 9;  // 0 to 2: gemm; 3, 7, 8: convolution; 4, 5: split products; 6: fused tiles

// At least `bytes` bytes aligned to 64, the same memory until the thread requests more from the slot; growth discards
// the contents. Throws std::bad_alloc. Freed when the thread ends.
void* scratch(std::size_t slot, std::size_t bytes);

// Every slot of the calling thread grown to at least `bytes` and filled with the word, so that a test can show that no
// kernel reads stale data.
void fill_scratch(std::uint32_t word, std::size_t bytes);

}  // namespace steep::k
