// The table behind panels.h: panels by key, under a mutex that is held for a search only. A thread that finds panels
// which another is still filling packs its own into scratch memory rather than wait.
#include "kernels/panels.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "kernels/pages.h"
#include "kernels/spin_lock.h"

namespace steep::k {
namespace {

constexpr std::size_t most_copies = 5, spare = 1 << 14;  // of all sources together; and bytes, for the ends of panels

thread_local constinit PanelStores current;

struct Name {
  const void* from;
  PanelKey key;

  friend bool operator<(const Name& a, const Name& b) {
    if (a.from != b.from) return std::less<>()(a.from, b.from);
    if (a.key.how != b.key.how) return a.key.how < b.key.how;
    return std::lexicographical_compare(std::begin(a.key.of), std::end(a.key.of), std::begin(b.key.of),
                                        std::end(b.key.of));
  }
};

}  // namespace

struct Panels::Entry {
  explicit Entry(std::size_t bytes) : memory(bytes), at(memory.at()) {}
  explicit Entry(void* lent) : at(lent) {}

  Block memory;
  void* at;
  bool begun = false, packed = false;  // one that is begun is filled by some thread, or its filling was interrupted
};

struct PanelStore::Impl {
  struct Source {
    const char* begin;
    std::size_t bytes;
  };
  std::vector<Source> sources;
  std::size_t source_bytes = 0, bytes = 0;
  std::map<Name, Panels::Entry> panels;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
  char *lent = nullptr, *lent_end = nullptr;

  // A new one where there is none of that name; null where there is no room for it.
  Panels::Entry* entry(const Name& name, std::size_t wanted) {
    if (const auto found = panels.find(name); found != panels.end()) return &found->second;
    if (lent) {
      const std::size_t aligned = (wanted + 63) / 64 * 64;
      if (aligned > static_cast<std::size_t>(lent_end - lent)) return nullptr;
      return &panels.try_emplace(name, static_cast<void*>(std::exchange(lent, lent + aligned))).first->second;
    }
    if (bytes + wanted > most_copies * source_bytes + spare) return nullptr;
    bytes += wanted;
    return &panels.try_emplace(name, wanted).first->second;
  }
};

PanelStore::PanelStore() : impl_(new Impl) {}
PanelStore::PanelStore(void* memory, std::size_t bytes) : PanelStore() {
  impl_->lent = static_cast<char*>(memory);
  impl_->lent_end = impl_->lent + bytes;
}
PanelStore::~PanelStore() { delete impl_; }

void PanelStore::add_source(const void* begin, std::size_t bytes) {
  if (covers(begin)) return;
  impl_->sources.push_back({static_cast<const char*>(begin), bytes});
  impl_->source_bytes += bytes;
}

bool PanelStore::covers(const void* at) const {
  const auto* p = static_cast<const char*>(at);
  return std::any_of(impl_->sources.begin(), impl_->sources.end(),
                     [&](const Impl::Source& s) { return p >= s.begin && p < s.begin + s.bytes; });
}

void PanelStore::forget() {
  for (auto& [name, entry] : impl_->panels) entry.begun = entry.packed = false;
}

std::size_t PanelStore::bytes() const { return impl_->bytes; }

void* PanelStore::reserve(const void* from, const PanelKey& key, std::size_t bytes) {
  const SpinLock lock(impl_->busy);
  Panels::Entry* entry = impl_->entry({from, key}, bytes);
  if (!entry) return nullptr;
  entry->begun = entry->packed = true;
  return entry->at;
}

void PanelStores::add(PanelStore* store) { *std::find(std::begin(of), std::end(of) - 1, nullptr) = store; }

PanelStore* PanelStores::covering(const void* at) const {
  for (PanelStore* store : of)
    if (store && store->covers(at)) return store;
  return nullptr;
}

const PanelStores& panel_stores() { return current; }
bool is_kept(const void* at) { return current.covering(at); }

PanelScope::PanelScope(const PanelStores& stores) : outer_(current) { current = stores; }
PanelScope::~PanelScope() { current = outer_; }

Panels::Panels(Scratch slot, const void* from, const PanelKey& key, std::size_t bytes) {
  if (const PanelStore* store = current.covering(from)) find_kept(*store->impl_, from, key, bytes);
  if (!at_) at_ = scratch(slot, bytes);
}

void Panels::find_kept(PanelStore::Impl& all, const void* from, const PanelKey& key, std::size_t bytes) {
  const SpinLock lock(all.busy);
  Entry* entry = all.entry({from, key}, bytes);
  if (!entry || (entry->begun && !entry->packed)) return;
  if (!entry->begun) begin(all, *entry);
  at_ = entry->at;
  packed_ = entry->packed;
}

void Panels::begin(PanelStore::Impl& all, Entry& entry) {
  entry.begun = true;
  filling_ = &entry;
  all_ = &all;
}

bool Panels::keep() {
  if (!filling_) return packed_;
  const SpinLock lock(all_->busy);
  filling_->packed = packed_ = true;
  filling_ = nullptr;
  return true;
}

}  // namespace steep::k
