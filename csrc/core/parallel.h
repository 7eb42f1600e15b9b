// parallel_for: the one place where work goes to other threads. Blocks have fixed boundaries that depend on n and grain
// alone, never on the number of threads, so a result cannot either. Exceptions are caught and rethrown on the calling
// thread, which also lets other Python threads run during long work. Between blocks, and at the interruption points of
// long loops (kernels/interrupt.h), it looks for Ctrl-C, and the others check whether it has stopped the job.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/interrupt.h"

namespace steep {

void set_threads(int n);  // process-wide; n >= 1
int threads();
const char* thread_pool();  // whose threads were built in: "steep" or "OpenMP"

// While one of these lives, the calling thread is not interrupted: around writes into memory that others see, so that
// none is left half-written.
class Uninterrupted {
 public:
  Uninterrupted();
  ~Uninterrupted();
  Uninterrupted(const Uninterrupted&) = delete;
  Uninterrupted& operator=(const Uninterrupted&) = delete;
};
// The longest uninterrupted work, in nanoseconds.
inline constexpr double least_interrupted = 50e6;

// For loops that stay on the calling thread: f(begin, end) over chunks, with an interruption point between them.
template <class F> void serial_for(std::int64_t n, std::int64_t stretch, F&& f) {
  for (std::int64_t i = 0; i < n; i += stretch) {
    if (i) k::interruption_point();
    f(i, std::min(n, i + stretch));
  }
}

using Block = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_blocks(std::int64_t n, std::int64_t grain, double total, Block f, void* context);

// In nanoseconds: work below `least_shared` stays on the calling thread, and does not wake a sleeping worker for itself
// below `least_wake`; work above `long_work` releases the interpreter lock.
inline constexpr double least_shared = 10e3, least_wake = 40e3, long_work = 1e6;

// Whether n items are one call on the calling thread, which keeps the interpreter lock.
inline bool stays_here(std::int64_t n, std::int64_t grain, double cost) {
  const double total = cost * static_cast<double>(n);
  return (n <= grain || total < least_shared) && total < long_work;
}

// Calls f(begin, end) over blocks of `grain` items. `cost` is the work of one item in nanoseconds, roughly.
template <class F> void parallel_for(std::int64_t n, std::int64_t grain, double cost, F&& f) {
  if (n > 0 && stays_here(n, grain, cost)) return f(std::int64_t{0}, n);
  run_blocks(
      n, grain, cost * static_cast<double>(n),
      [](void* c, std::int64_t b, std::int64_t e) { (*static_cast<std::remove_reference_t<F>*>(c))(b, e); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace steep
