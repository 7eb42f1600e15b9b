// parallel_for: the one place where work goes to other threads. Blocks have fixed boundaries that depend on n and
// grain alone, never on the number of threads, so a result cannot either. Exceptions are caught and rethrown on the
// calling thread, which also looks for Ctrl-C between blocks and lets other Python threads run during long work.
#pragma once

#include <cstdint>

namespace steep {

void set_threads(int n);  // process-wide; n >= 1
int threads();

// What the host language wants around long work; set once by the bindings. Null members are skipped.
struct HostHooks {
  void* (*unlock)();     // give the interpreter lock away
  void (*lock)(void*);   // take it back
  void (*poll)();        // with the lock held: throws when the user has pressed Ctrl-C
  void (*after_fork)();  // in the child
};
void set_host_hooks(const HostHooks& hooks);
const HostHooks& host_hooks();

using Block = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_blocks(std::int64_t n, std::int64_t grain, double total, Block f, void* context);

// In nanoseconds: work below `least_shared` stays on the calling thread, and does not wake a sleeping worker for itself
// below `least_wake`; work above `long_work` gives the interpreter lock away.
inline constexpr double least_shared = 10e3, least_wake = 40e3, long_work = 1e6;

// Calls f(begin, end) over blocks of `grain` items. `cost` is the work of one item in nanoseconds, roughly.
template <class F> void parallel_for(std::int64_t n, std::int64_t grain, double cost, F&& f) {
  const double total = cost * static_cast<double>(n);
  if (n <= grain || total < least_shared) {
    if (n > 0 && total < long_work) return f(std::int64_t{0}, n);
  }
  run_blocks(
      n, grain, total, [](void* c, std::int64_t b, std::int64_t e) { (*static_cast<F*>(c))(b, e); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace steep
