// The size-class cache: four classes per power of two, each with a free list. Page faults cost more than arithmetic on
// large tensors, so freed blocks are kept for the next request of their class: twice as many bytes as were ever live at
// once, since the largest needs of all classes come at different times of a step (a training step of VGG16 keeps 1.25
// times as many); beyond that the classes that nobody has asked for longest are given back.
#include "core/storage.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "core/errors.h"
#include "kernels/pages.h"

namespace steep {
namespace {

constexpr int class_count = 4 * 44;
constexpr std::size_t smallest = 64;
constexpr std::size_t least_limit = std::size_t{256} << 20, most_limit = std::size_t{4} << 30;
constexpr std::size_t largest = std::size_t{1} << 46;

struct Free {
  Free* next;
};
Free* free_list[class_count];
std::uint64_t asked[class_count], requests;  // when a class was last asked for
std::size_t most_live;
MemoryReport report{};

// Class c holds blocks of (4 + c % 4) << (c / 4 + 4) bytes: 64, 80, 96, 112, 128, 160, ...
std::size_t class_bytes(int c) { return std::size_t(4 + c % 4) << (c / 4 + 4); }

std::size_t block_bytes(int c) { return class_bytes(c) + sizeof(Storage); }

int class_of(std::size_t bytes) {
  if (bytes <= smallest) return 0;
  const int top = std::bit_width(bytes - 1) - 1;         // 2^top <= bytes - 1
  const std::size_t quarter = (bytes - 1) >> (top - 2);  // 4..7
  return (top - 6) * 4 + static_cast<int>(quarter - 4) + 1;
}

void* system_allocate(std::size_t bytes) {
  ++report.system_allocations;
  try {
    return k::take_memory(bytes);
  } catch (const std::bad_alloc&) {
    trim_memory();
    return k::take_memory(bytes);
  }
}

void give_back(int c) {
  Free* f = free_list[c];
  free_list[c] = f->next;
  report.cached_bytes -= class_bytes(c);
  k::give_memory(f, block_bytes(c));
}

// Gives blocks back until `more` bytes can be kept too; false if they cannot.
bool make_room(std::size_t more) {
  const std::size_t limit = std::clamp(2 * most_live, least_limit, most_limit);
  if (more > limit) return false;
  while (report.cached_bytes + more > limit) {
    int oldest = -1;
    for (int c = 0; c < class_count; ++c)
      if (free_list[c] && (oldest < 0 || asked[c] < asked[oldest])) oldest = c;
    while (free_list[oldest] && report.cached_bytes + more > limit) give_back(oldest);
  }
  return true;
}

void* take(int c) {
  asked[c] = ++requests;
  if (Free* f = free_list[c]) {
    free_list[c] = f->next;
    report.cached_bytes -= class_bytes(c);
    return f;
  }
  return system_allocate(block_bytes(c));
}

constexpr std::uint8_t reserved = 255;  // the size class of blocks from a reserve

// A block from the reserve, or null if it is too small; the size requested is recorded for the next time.
Storage* take_reserved(Reserve& r, std::size_t bytes) {
  const std::size_t whole = (bytes + sizeof(Storage) + 63) & ~std::size_t{63};
  r.wanted += whole;
  if (r.used + whole > r.bytes) return nullptr;
  char* block = r.data + r.used;
  r.used += whole;
  Storage* s = new (block) Storage{};
  s->refs = 1;
  s->data = block + sizeof(Storage);
  s->bytes = bytes;
  s->size_class = reserved;
  return s;
}

}  // namespace

thread_local constinit AllocationScope allocation_scope_storage;

Storage* allocate(std::size_t bytes) {
  if (bytes > largest) throw std::bad_alloc();
  const AllocationScope& scope = allocation_scope();
  if (scope.reserve)
    if (Storage* s = take_reserved(*scope.reserve, bytes)) return s;
  const int c = class_of(bytes);
  char* block = static_cast<char*>(take(c));
  Storage* s = new (block) Storage{};
  s->refs = 1;
  s->data = block + sizeof(Storage);
  s->bytes = bytes;
  s->size_class = static_cast<std::uint8_t>(c);
  s->born = scope.epoch;
  ++report.allocations;
  report.live_bytes += class_bytes(c);
  if (report.live_bytes > report.peak_bytes) report.peak_bytes = report.live_bytes;
  if (report.live_bytes > most_live) most_live = report.live_bytes;
  return s;
}

Storage* adopt(void* data, std::size_t bytes, void (*release)(void*), void* owner, bool readonly) {
  Storage* s = allocate(0);
  s->data = static_cast<char*>(data);
  s->bytes = bytes;
  s->release = release;
  s->owner = owner;
  s->readonly = readonly;
  s->born = 0;  // it existed before any recording
  return s;
}

void free_storage(Storage* s) {
  if (s->release) s->release(s->owner);
  const int c = s->size_class;
  if (c == reserved) return;
  report.live_bytes -= class_bytes(c);
  if (!make_room(class_bytes(c))) return k::give_memory(s, block_bytes(c));
  report.cached_bytes += class_bytes(c);
  free_list[c] = new (s) Free{free_list[c]};
}

MemoryReport memory_report() { return report; }
void reset_peak_memory() { report.peak_bytes = report.live_bytes; }

void trim_memory() {
  for (int c = 0; c < class_count; ++c)
    while (free_list[c]) give_back(c);
#ifdef __GLIBC__
  malloc_trim(0);  // free() keeps what lies below a block in use
#endif
}

}  // namespace steep
