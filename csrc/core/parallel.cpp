// The thread pool: workers sleep on a condition variable, wake for a job, and take its blocks by an atomic counter.
// After fork the child starts with no workers and makes its own on first use. Start at run_blocks().
#include "core/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifdef STEEP_OPENMP
#include <omp.h>
#endif

namespace steep {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<int> thread_count{1};
HostHooks hooks{};
thread_local bool inside_job = false;

struct Job {
  std::int64_t n, grain, blocks;
  Block f;
  void* context;
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex error_mutex;
  std::exception_ptr error;

  void fail_with(std::exception_ptr e) {
    std::lock_guard lock(error_mutex);
    if (!error) error = std::move(e);
    stop = true;
  }
  // Takes the next block; false when there is none left.
  bool step() {
    const std::int64_t i = next.fetch_add(1);
    if (i >= blocks || stop) return false;
    try {
      f(context, i * grain, std::min(n, (i + 1) * grain));
    } catch (...) {
      fail_with(std::current_exception());
    }
    return true;
  }
};

// The calling thread's share: blocks, with a look at the host every 50 ms.
void drain(Job& job, void*& unlocked) {
  auto looked = Clock::now();
  while (job.step()) {
    if (!unlocked || Clock::now() - looked < std::chrono::milliseconds(50)) continue;
    hooks.lock(unlocked);
    unlocked = nullptr;
    try {
      hooks.poll();
    } catch (...) {
      job.fail_with(std::current_exception());
    }
    unlocked = hooks.unlock();
    looked = Clock::now();
  }
}

#ifdef STEEP_OPENMP

void run_job(Job& job, int helpers, void*& unlocked) {
#pragma omp parallel num_threads(helpers + 1)
  {
    if (omp_get_thread_num() == 0) {
      drain(job, unlocked);
    } else {
      while (job.step()) {
      }
    }
  }
}

#else

class Pool {
 public:
  // Offers the job to `helpers` workers, runs `caller` here, and returns when nobody works on the job any more.
  template <class Caller> void run(Job& job, int helpers, Caller&& caller) {
    {
      std::lock_guard lock(mutex_);
      hire(helpers);
      job_ = &job;
      wanted_ = helpers;
    }
    wake_.notify_all();
    caller();
    std::unique_lock lock(mutex_);
    job_ = nullptr;
    wanted_ = 0;
    done_.wait(lock, [this] { return active_ == 0; });
  }
  std::mutex& owner() { return owner_; }

 private:
  // Where the system gives no more threads, those there are do the work.
  void hire(int helpers) {
    try {
      while (static_cast<int>(workers_.size()) < helpers) workers_.emplace_back([this] { work(); });
    } catch (const std::exception&) {
    }
  }
  void work() {
    inside_job = true;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return wanted_ > 0; });
      --wanted_;
      ++active_;
      Job* job = job_;
      lock.unlock();
      while (job->step()) {
      }
      lock.lock();
      if (--active_ == 0) done_.notify_all();
    }
  }
  std::mutex mutex_, owner_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  Job* job_ = nullptr;
  int wanted_ = 0, active_ = 0;
};

// Never destroyed: workers may outlive main(), and a forked child must not join threads it does not have.
Pool* pool = nullptr;

Pool& the_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  });
  return *pool;
}

void run_job(Job& job, int helpers, void*& unlocked) {
  Pool& p = the_pool();
  std::unique_lock owner(p.owner(), std::try_to_lock);
  if (!owner || helpers == 0) return drain(job, unlocked);  // another Python thread has the workers
  p.run(job, helpers, [&] { drain(job, unlocked); });
}

#endif

}  // namespace

void set_threads(int n) { thread_count = std::clamp(n, 1, 256); }
int threads() { return thread_count; }
void set_host_hooks(const HostHooks& h) {
  hooks = h;
  if (hooks.after_fork) pthread_atfork(nullptr, nullptr, hooks.after_fork);
}
const HostHooks& host_hooks() { return hooks; }

void run_blocks(std::int64_t n, std::int64_t grain, bool long_work, Block f, void* context) {
  if (n <= 0) return;
  Job job{n, grain, (n + grain - 1) / grain, f, context, {}, {}, {}, {}};
  void* unlocked = long_work && !inside_job && hooks.unlock ? hooks.unlock() : nullptr;
  const int helpers = inside_job ? 0 : static_cast<int>(std::min<std::int64_t>(threads(), job.blocks)) - 1;
  run_job(job, helpers, unlocked);
  if (unlocked) hooks.lock(unlocked);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace steep
