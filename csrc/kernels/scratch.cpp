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

constexpr auto slot_count = static_cast<std::size_t>(Scratch::count);
thread_local Slot slots[slot_count];

}  // namespace

void* scratch(Scratch slot, std::size_t bytes) {
  Slot& s = slots[static_cast<std::size_t>(slot)];
  if (bytes > s.bytes) s.grow(bytes);
  return s.at;
}

void fill_scratch(std::uint32_t word, std::size_t bytes) {
  for (Slot& s : slots) {
    if (bytes > s.bytes) s.grow(bytes);
    auto* at = static_cast<std::uint32_t*>(s.at);
    std::fill(at, at + s.bytes / sizeof(word), word);
  }
}

}  // namespace steep::k
