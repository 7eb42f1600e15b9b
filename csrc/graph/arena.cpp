// The arenas that there are, for as long as a program has them.
#include "graph/arena.h"

#include <vector>

namespace steep {
namespace {

// A new arena has room for programs that need a little more. It costs nothing where no program writes.
std::size_t with_room(std::size_t bytes) { return bytes + bytes / 8; }
// A small program does not keep the arena of a large one.
bool is_much_larger(std::size_t than, std::size_t bytes) { return bytes > 2 * than + (1 << 16); }

}  // namespace

std::shared_ptr<Arena> find_arena(std::size_t bytes) {
  static auto& all = *new std::vector<std::weak_ptr<Arena>>;
  std::erase_if(all, [](const auto& a) { return a.expired(); });
  std::shared_ptr<Arena> best;
  for (const auto& a : all) {
    const std::shared_ptr<Arena> arena = a.lock();
    if (arena->in_use() || arena->bytes() < bytes || is_much_larger(bytes, arena->bytes())) continue;
    if (!best || arena->bytes() < best->bytes()) best = arena;
  }
  if (!best) all.push_back(best = std::make_shared<Arena>(with_room(bytes)));
  return best;
}

}  // namespace steep
