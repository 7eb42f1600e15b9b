// Regions of huge pages, and which ranges of them are unused. A block is the smallest range that holds it, so that
// blocks of several sizes share a huge page; ranges that meet are joined, and what they cover goes back to the system.
// Start reading at take_memory.
#include "kernels/pages.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <new>

#include "kernels/spin_lock.h"

namespace steep::k {
namespace {

constexpr std::size_t line = 64, huge_page = std::size_t{2} << 20, least_region = 4 * huge_page;

// Not under the address sanitizer, which sees no ends of blocks inside a region.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STEEP_SEES_BLOCKS
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define STEEP_SEES_BLOCKS
#endif
#if defined(MADV_HUGEPAGE) && !defined(STEEP_SEES_BLOCKS)
constexpr std::size_t least_paged = std::size_t{64} << 10;
#else
constexpr std::size_t least_paged = SIZE_MAX;
#endif

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }
char* round_up(char* p) {
  return p + (round_up(reinterpret_cast<std::uintptr_t>(p), huge_page) - reinterpret_cast<std::uintptr_t>(p));
}

class Regions {
 public:
  char* take(std::size_t bytes) {
    const SpinLock lock(busy_);
    auto best = unused_.end();
    for (auto i = unused_.begin(); i != unused_.end(); ++i)
      if (i->second >= bytes && (best == unused_.end() || i->second < best->second)) best = i;
    if (best == unused_.end()) best = add_region(bytes);
    char* at = best->first;
    const std::size_t rest = best->second - bytes;
    if (rest > 0) unused_.emplace_hint(best, at + bytes, rest);
    unused_.erase(best);
    return at;
  }

  void give(char* at, std::size_t bytes) {
    const SpinLock lock(busy_);
    const auto [region, region_bytes] = *std::prev(all_.upper_bound(at));
    auto next = unused_.upper_bound(at);
    if (next != unused_.end() && next->first == at + bytes && next->first < region + region_bytes) {
      bytes += next->second;
      next = unused_.erase(next);
    }
    if (next != unused_.begin()) {
      const auto before = std::prev(next);
      if (before->first >= region && before->first + before->second == at) {
        at = before->first;
        bytes += before->second;
        unused_.erase(before);
      }
    }
    if (bytes == region_bytes) {
      munmap(region, region_bytes);
      all_.erase(region);
      return;
    }
    unused_.emplace(at, bytes);
    char *first = round_up(at), *end = at + bytes - (reinterpret_cast<std::uintptr_t>(at) + bytes) % huge_page;
    if (first < end) madvise(first, static_cast<std::size_t>(end - first), MADV_DONTNEED);
  }

 private:
  using Ranges = std::map<char*, std::size_t>;  // of addresses, by the first

  Ranges::iterator add_region(std::size_t wanted) {
    const std::size_t bytes = round_up(wanted < least_region ? least_region : wanted, huge_page);
    void* mapped = mmap(nullptr, bytes + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    char *begin = static_cast<char*>(mapped), *at = round_up(begin);
    if (at > begin) munmap(begin, static_cast<std::size_t>(at - begin));
    munmap(at + bytes, huge_page - static_cast<std::size_t>(at - begin));
#ifdef MADV_HUGEPAGE
    madvise(at, bytes, MADV_HUGEPAGE);
#endif
    all_.emplace(at, bytes);
    return unused_.emplace(at, bytes).first;
  }

  Ranges all_, unused_;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

// Never destroyed: threads and tensors may outlive static objects.
Regions& regions() {
  static auto* all = new Regions;
  return *all;
}

}  // namespace

void* take_memory(std::size_t bytes) {
  if (bytes >= least_paged) return regions().take(round_up(bytes, line));
  void* p = std::aligned_alloc(line, round_up(bytes ? bytes : 1, line));
  if (!p) throw std::bad_alloc();
  return p;
}

void give_memory(void* at, std::size_t bytes) noexcept {
  if (bytes < least_paged) return std::free(at);
  try {
    regions().give(static_cast<char*>(at), round_up(bytes, line));
  } catch (const std::bad_alloc&) {  // no memory for the note that the range is unused: it stays in use
  }
}

}  // namespace steep::k
