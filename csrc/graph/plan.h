// Memory for a program's temporaries: those whose lifetimes do not overlap share bytes of one arena.
#pragma once

#include "graph/ids.h"

namespace steep {

// From the first unit that writes it to the last that reads it, both included. bytes == 0: not planned.
struct Lifetime {
  std::size_t bytes = 0;
  UnitId first = UnitId::none, last = UnitId::none;
};

struct Plan {
  Table<BufferId, std::size_t> offset;  // of each, a multiple of 64
  std::size_t bytes = 0;                // of the arena
};
Plan plan_memory(const Table<BufferId, Lifetime>& lives);

}  // namespace steep
