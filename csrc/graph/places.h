// Buffers that lie within others, so that nothing is copied between them and memory that is in cache is written: what
// is concatenated is computed in its place in the result, and the last result of a group takes the place of an operand,
// above all of a product that the group finishes. A matter of addresses alone: instructions, their order and their
// dependences stay as they are. Start reading at find_places.
#pragma once

#include "graph/fuse.h"
#include "graph/plan.h"

namespace steep {

struct Places {
  struct Place {
    BufferId whole = BufferId::none;  // none: by itself
    std::size_t offset = 0;           // in bytes
  };
  Table<BufferId, Place> of;

  explicit Places(std::size_t buffers) : of(buffers) {}
  bool within(BufferId b) const { return is_some(of[b].whole); }
  Place resolved(BufferId b) const;   // within a buffer that lies by itself
  void offset_all(Plan& plan) const;  // where they are, once the others are planned
};

// The planned buffers that may lie within another; their lifetimes become part of that one's.
Places find_places(const Program& p, const Table<UnitId, Unit>& units, Table<BufferId, Lifetime>& lives);

}  // namespace steep
