// The memory behind tensors: 64-byte aligned, reference-counted blocks from a cache of size classes.
// A Storage is its own header, in the same block as its bytes. Counts are plain integers: whoever touches a
// handle holds the interpreter lock; worker threads see raw pointers only. Start at allocate().
#pragma once

#include <cstddef>
#include <cstdint>

namespace steep {

struct alignas(64) Storage {
  std::uint32_t refs;
  std::uint32_t version;  // bumped by every in-place write
  std::uint32_t exports;  // writable views of these bytes that live outside steep (NumPy, DLPack)
  std::uint32_t saves;    // nodes that keep these bytes for their gradient rule
  const char* writer;     // the op that wrote in place last; for error messages
  char* data;
  std::size_t bytes;
  void (*release)(void*);  // of foreign memory; null for our own
  void* owner;             // foreign: the argument of release
  std::uint8_t size_class;
  bool readonly;       // foreign memory that must not be written
  std::uint32_t born;  // the recording during which it was allocated, 0 outside of one
};
static_assert(sizeof(Storage) == 64);

// A block of at least `bytes` bytes, uninitialised, refs = 1. Throws std::bad_alloc.
Storage* allocate(std::size_t bytes);
// Foreign memory, given back by release(owner) when the last tensor lets go.
Storage* adopt(void* data, std::size_t bytes, void (*release)(void*), void* owner, bool readonly);
void free_storage(Storage* s);

// What the calling thread's allocations belong to: a recording (graph/recorder.h), which distinguishes its own
// storages, or one instruction of a replay (graph/replay.h), whose working memory comes from a reserve and is all free
// after it.
struct Reserve {
  char* data = nullptr;
  std::size_t bytes = 0, used = 0, wanted = 0;
};
struct AllocationScope {
  std::uint32_t epoch = 0;
  Reserve* reserve = nullptr;
};
extern thread_local constinit AllocationScope allocation_scope_storage __attribute__((tls_model("initial-exec")));
inline AllocationScope& allocation_scope() { return allocation_scope_storage; }

struct MemoryReport {
  std::size_t live_bytes, peak_bytes, cached_bytes, allocations, system_allocations;
};
MemoryReport memory_report();
void reset_peak_memory();
void trim_memory();  // gives every cached block back to the system

class StorageRef {
 public:
  StorageRef() = default;
  explicit StorageRef(Storage* s) : s_(s) {}  // takes ownership of one count
  StorageRef(const StorageRef& o) : s_(o.s_) {
    if (s_) ++s_->refs;
  }
  StorageRef(StorageRef&& o) noexcept : s_(o.s_) { o.s_ = nullptr; }
  StorageRef& operator=(StorageRef o) noexcept {
    Storage* t = s_;
    s_ = o.s_;
    o.s_ = t;
    return *this;
  }
  ~StorageRef() {
    if (s_ && --s_->refs == 0) free_storage(s_);
  }
  Storage* operator->() const { return s_; }
  Storage* get() const { return s_; }
  explicit operator bool() const { return s_ != nullptr; }

 private:
  Storage* s_ = nullptr;
};

}  // namespace steep
