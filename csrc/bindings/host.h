// The interpreter lock: releasing and reacquiring it, one graph traversal at a time, and orderly shutdown when the
// process exits or forks.
#pragma once

namespace steep {

// Nodes carry marks during a traversal, so one thread traverses at a time; its rules may start nested traversals.
class WalkLock {
 public:
  WalkLock();
  ~WalkLock();
  WalkLock(const WalkLock&) = delete;
  WalkLock& operator=(const WalkLock&) = delete;
};

// For a thread that must not continue because the interpreter is shutting down: sleeps forever, without the lock.
[[noreturn]] void park();

void install_host_hooks();

}  // namespace steep
