// The interpreter as steep's threads meet it: giving its lock away and taking it back, one walk over graphs at a time,
// and leaving in good order when the process exits or forks.
#pragma once

namespace steep {

// Nodes carry marks while a walk is under way, so one thread walks at a time; its rules may walk again.
class WalkLock {
 public:
  WalkLock();
  ~WalkLock();
  WalkLock(const WalkLock&) = delete;
  WalkLock& operator=(const WalkLock&) = delete;
};

// For a thread that must not run on because the interpreter is going away: sleeps for good, without the lock.
[[noreturn]] void park();

void install_host_hooks();

}  // namespace steep
