// The per-thread buffers of scratch.h. A thread keeps its largest request of each slot until it ends, because the next
// product is likely to be as large, and new pages cost more than the packing itself.
#include "kernels/scratch.h"

#include <algorithm>
#include <new>

namespace steep::k {
namespace {

constexpr std::align_val_t line{64};

struct Slot {
  void* at = nullptr;
  std::size_t bytes = 0;

  ~Slot() { ::operator delete(at, line); }

  void grow(std::size_t wanted) {
    ::operator delete(at, line);
    at = nullptr;
    bytes = 0;
    const std::size_t rounded = (wanted + wanted / 4 + 4095) / 4096 * 4096;
    at = ::operator new(rounded, line);
    bytes = rounded;
  }
};

thread_local Slot slots[scratch_slots];

}  // namespace

void* scratch(std::size_t slot, std::size_t bytes) {
  Slot& s = slots[slot];
  if (bytes > s.bytes) s.grow(bytes);
  return s.at;
}

void fill_scratch(std::uint32_t word, std::size_t bytes) {
  for (std::size_t slot = 0; slot < scratch_slots; ++slot) {
    scratch(slot, bytes);
    auto* at = static_cast<std::uint32_t*>(slots[slot].at);
    std::fill(at, at + slots[slot].bytes / sizeof(word), word);
  }
}

}  // namespace steep::k
