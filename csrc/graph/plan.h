// Memory for a program's temporaries: those whose lifetimes do not overlap share bytes of one arena.
#pragma once

#include <cstdint>
#include <vector>

namespace steep {

// From the first unit that writes it to the last that reads it, both included. bytes == 0: not planned.
struct Lifetime {
  std::size_t bytes = 0;
  int first = -1, last = -1;
};

struct Plan {
  std::vector<std::size_t> offset;  // of each, a multiple of 64
  std::size_t bytes = 0;            // of the arena
};
Plan plan_memory(const std::vector<Lifetime>& lives);

}  // namespace steep
