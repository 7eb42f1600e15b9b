// Packed operands that outlive a call. Kernels rearrange a matrix before they multiply by it; a program that multiplies
// by the same weights at every call (graph/replay.cpp) keeps them rearranged. Kernels ask for memory through Panels and
// get scratch memory wherever nothing is kept, so the same code serves both. Compiled once, for the baseline, like
// scratch.h.
#pragma once

#include "kernels/scratch.h"

namespace steep::k {

// What, beside the address of the first element, determines what panels hold: which kernel's they are, and every number
// that their layout depends on.
enum class Packing : std::uint8_t {
  rows,
  columns,
  filters,
  filters_in_lanes,
  transposed_taps,
  winograd,
  parts,
  filter_parts
};
struct PanelKey {
  Packing how;
  std::int64_t of[7];
};

// The panels of operands that instructions share. Any thread may ask for them.
class PanelStore {
 public:
  struct Impl;

  PanelStore();
  PanelStore(void* memory, std::size_t bytes);  // panels lie there as far as they fit, and not in memory of their own
  ~PanelStore();
  PanelStore(const PanelStore&) = delete;
  PanelStore& operator=(const PanelStore&) = delete;

  // Memory that does not change while this lives, or until it forgets. Once is enough. Panels take at most five times
  // its bytes: four are the weight of a convolution at Winograd's points, and the cut into parts, and so keys, depend
  // on the number of threads.
  void add_source(const void* begin, std::size_t bytes);
  bool covers(const void* at) const;
  void forget();              // what the sources held: all panels are to be packed again, in the same memory
  std::size_t bytes() const;  // of all panels
  // Memory for panels that several threads fill before anybody asks for them; null if there is none.
  void* reserve(const void* from, const PanelKey& key, std::size_t bytes);

 private:
  friend class Panels;
  Impl* impl_;
};

// What kernels look through: a store for each operand that is kept, and one that an op may add.
struct PanelStores {
  PanelStore* of[4] = {};

  void add(PanelStore* store);
  PanelStore* covering(const void* at) const;  // null if there is none
};

// The calling thread's, also while it works for another.
const PanelStores& panel_stores();
bool is_kept(const void* at);  // whether panels of what lies there are kept
class PanelScope {
 public:
  explicit PanelScope(const PanelStores& stores);
  ~PanelScope();
  PanelScope(const PanelScope&) = delete;
  PanelScope& operator=(const PanelScope&) = delete;

 private:
  PanelStores outer_;
};

// Memory for panels of what lies at `from`: kept memory, or scratch memory of the slot where nothing is kept or another
// thread is filling the same panels. Unless packed(), the caller fills them and calls keep(); panels whose filling was
// interrupted stay unused.
class Panels {
 public:
  Panels() = default;
  Panels(Scratch slot, const void* from, const PanelKey& key, std::size_t bytes);
  void* at() const { return at_; }
  bool packed() const { return packed_; }
  bool keep();  // whether they are kept memory

  struct Entry;

 private:
  void find_kept(PanelStore::Impl& all, const void* from, const PanelKey& key, std::size_t bytes);
  void begin(PanelStore::Impl& all, Entry& entry);

  void* at_ = nullptr;
  bool packed_ = false;
  Entry* filling_ = nullptr;
  PanelStore::Impl* all_ = nullptr;
};

}  // namespace steep::k
