// Memory for the temporaries of programs. Nothing in it outlives a run, so programs that do not run at the same time
// share an arena: those of a training step for several shapes of a batch, of its evaluation, of other functions. Start
// reading at find_arena.
#pragma once

#include <memory>
#include <utility>

#include "kernels/pages.h"

namespace steep {

class Arena {
 public:
  explicit Arena(std::size_t bytes) : memory_(bytes) {}

  char* at() const { return static_cast<char*>(memory_.at()); }
  std::size_t bytes() const { return memory_.bytes(); }
  bool in_use() const { return in_use_; }

 private:
  friend class ArenaUse;
  k::Block memory_;
  bool in_use_ = false;
};

// One of at least so many bytes that no program runs in, and that is not much larger; else a new one. Whoever asks
// holds the interpreter lock.
std::shared_ptr<Arena> find_arena(std::size_t bytes);

// While one of these lives, a program runs in the arena.
class ArenaUse {
 public:
  explicit ArenaUse(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) { arena_->in_use_ = true; }
  ~ArenaUse() { arena_->in_use_ = false; }
  ArenaUse(const ArenaUse&) = delete;
  ArenaUse& operator=(const ArenaUse&) = delete;

 private:
  std::shared_ptr<Arena> arena_;
};

}  // namespace steep
