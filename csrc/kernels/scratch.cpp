// The per-thread buffers of scratch.h. A thread keeps its largest request of each slot until it ends, because the next
// product is likely to be as large, and new pages cost more than the packing itself.
#include "kernels/scratch.h"

#include <algorithm>

#include "kernels/pages.h"

namespace steep::k {
namespace {

void grow(Block& slot, std::size_t wanted) {
  { const Block given_back = std::move(slot); }
  slot = Block((wanted + wanted / 4 + 4095) / 4096 * 4096);
}

constexpr auto slot_count = static_cast<std::size_t>(Scratch::count);
thread_local Block slots[slot_count];

}  // namespace

void* scratch(Scratch slot, std::size_t bytes) {
  Block& s = slots[static_cast<std::size_t>(slot)];
  if (bytes > s.bytes()) grow(s, bytes);
  return s.at();
}

void fill_scratch(std::uint32_t word, std::size_t bytes) {
  for (Block& s : slots) {
    if (bytes > s.bytes()) grow(s, bytes);
    auto* at = static_cast<std::uint32_t*>(s.at());
    std::fill(at, at + s.bytes() / sizeof(word), word);
  }
}

}  // namespace steep::k
