// The thread pool: workers wait for a job, spinning for a while before they sleep, and take its blocks by an atomic
// counter. Waking a spinner costs a store, waking a sleeper a system call and some 50 us until it works. After fork the
// child starts with no workers and makes its own on first use. With STEEP_OPENMP, OpenMP's threads work instead, except
// in a child of fork, for which OpenMP makes no promise: it has a pool of steep's own. Start at run_blocks().
#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/host.h"
#include "kernels/panels.h"

#ifdef STEEP_OPENMP
#include <omp.h>
#endif

namespace steep {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<int> thread_count{1};
HostHooks hooks{};
thread_local constinit bool inside_job __attribute__((tls_model("initial-exec"))) = false;

struct Job;
// The calling thread's job, for look_up().
struct Here {
  Job* job = nullptr;         // the one it helps with or waits for
  bool helper = false;        // it helps another thread: the caller checks for Ctrl-C, and sets stop
  void** unlocked = nullptr;  // the caller's: the saved interpreter state, if the lock was released
  int uninterrupted = 0;
  Clock::time_point looked{};
};
thread_local constinit Here here __attribute__((tls_model("initial-exec")));

constexpr std::chrono::milliseconds between_looks{20};

struct Stopped {};  // a helper leaves a job that has failed already

struct Job {
  std::int64_t n, grain, blocks;
  Block f;
  void* context;
  k::PanelStores panels = k::panel_stores();  // the caller's, for whoever helps
  std::atomic<std::int64_t> left{blocks}, front{0}, back{blocks};
  std::atomic<bool> stop{false};
  std::mutex error_mutex{};
  std::exception_ptr error{};

  void fail_with(std::exception_ptr e) {
    std::lock_guard lock(error_mutex);
    if (!error) error = std::move(e);
    stop = true;
  }
  // Takes a block; false when there is none left. The caller takes blocks from the first on and helpers from the last
  // backwards, so that from job to job a core mostly works on data in its cache.
  bool step(bool helper) {
    if (left.fetch_sub(1) <= 0 || stop) return false;
    const std::int64_t i = helper ? --back : front++;
    guard([&] { f(context, i * grain, std::min(n, (i + 1) * grain)); });
    return true;
  }
  template <class F> void guard(F&& work) {
    try {
      work();
    } catch (const Stopped&) {
    } catch (...) {
      fail_with(std::current_exception());
    }
  }
};

// Asks the host, with its lock held, whether the user has pressed Ctrl-C.
void ask_host() {
  void** unlocked = here.unlocked;
  if (!unlocked || !*unlocked) return hooks.poll();
  hooks.lock(std::exchange(*unlocked, nullptr));
  std::exception_ptr error;
  try {
    hooks.poll();
  } catch (...) {
    error = std::current_exception();
  }
  *unlocked = hooks.unlock();
  if (error) std::rethrow_exception(error);
}

// What interruption points do.
void look_up() {
  if (here.helper) {
    if (here.job->stop) throw Stopped();
    return;
  }
  if (!hooks.poll || here.uninterrupted) return;
  const auto now = Clock::now();
  if (now - here.looked < between_looks) return;
  here.looked = now;
  ask_host();
}

// While one of these lives, what the thread starts stays on it: it may not hold the interpreter lock, and the workers
// are busy with its job.
class InsideJob {
 public:
  InsideJob() : outer_(std::exchange(inside_job, true)) {}
  ~InsideJob() { inside_job = outer_; }
  InsideJob(const InsideJob&) = delete;
  InsideJob& operator=(const InsideJob&) = delete;

 private:
  bool outer_;
};

// The calling thread's share.
void drain(Job& job) {
  const InsideJob inside;
  while (job.step(false)) job.guard(look_up);
}

// A helper's.
void help(Job& job) {
  const InsideJob inside;
  const k::PanelScope panels(job.panels);
  here.job = &job;
  here.helper = true;
  while (job.step(true)) {
  }
  here.helper = false;
}

// Processors that the calling thread may run on.
int processors() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

// A pause instruction for spin loops.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Every hand-over has the form "store, then load": each side writes its own atomic and then reads the other's, in
// sequentially consistent order, so that at least one sees the other, and no wake-up is lost.
class Pool {
 public:
  // Offers the job to `helpers` workers, runs `caller` here, and returns when nobody works on the job any more. A
  // `brief` job ends before a sleeping worker would start, which is woken only if such jobs follow one another.
  template <class Caller> void run(Job& job, int helpers, bool brief, Caller&& caller) {
    hire(helpers);
    job_ = &job;
    state_ = helpers * seat;
    if (!brief || Clock::now() - ended_ < patience) wake(helpers);
    caller();
    state_ &= seat - 1;
    wait(job);
    ended_ = Clock::now();
  }
  std::mutex& owner() { return owner_; }

 private:
  // If the system creates no more threads, the existing ones do the work.
  void hire(int helpers) {
    try {
      while (static_cast<int>(workers_.size()) < helpers) workers_.emplace_back([this] { work(); });
    } catch (const std::exception&) {
    }
  }
  // Workers that do not sleep find the job by themselves.
  void wake(int helpers) {
    const int asleep = sleepers_, awake = static_cast<int>(workers_.size()) - asleep;
    if (asleep == 0 || helpers <= awake) return;
    { std::lock_guard lock(mutex_); }
    for (int i = awake; i < helpers; ++i) wake_.notify_one();
  }
  // Waits until the last helper has left, checking for Ctrl-C now and then.
  void wait(Job& job) {
    if (spin([this] { return state_ == 0; })) return;
    std::unique_lock lock(mutex_);
    caller_sleeps_ = true;
    while (!done_.wait_for(lock, between_looks, [this] { return state_ == 0; })) {
      lock.unlock();
      job.guard(look_up);
      lock.lock();
    }
    caller_sleeps_ = false;
  }
  void work() {
    for (;;) {
      while (!spin([this] { return sit(); })) sleep();
      help(*job_);
      if (--state_ > 0 || !caller_sleeps_) continue;
      { std::lock_guard lock(mutex_); }
      done_.notify_one();
    }
  }
  // Joins the job, if a helper is still wanted: the job lives until its last helper has left.
  bool sit() {
    int s = state_;
    while (s >= seat)
      if (state_.compare_exchange_weak(s, s - seat + 1)) return true;
    return false;
  }
  void sleep() {
    processors_ = processors();
    std::unique_lock lock(mutex_);
    ++sleepers_;
    wake_.wait(lock, [this] { return state_ >= seat; });
    --sleepers_;
  }
  // Polls a condition for a while; only once where there are more threads than processors. It yields in between, or on
  // a busy machine it would occupy the processor that the awaited thread needs.
  template <class Ready> bool spin(Ready&& ready) const {
    if (ready()) return true;
    const int n = thread_count;
    if (n == 1 || n > processors_) return false;
    const auto end = Clock::now() + patience;
    do {
      for (int i = 0; i < 32; ++i, relax())
        if (ready()) return true;
      std::this_thread::yield();
    } while (Clock::now() < end);
    return false;
  }
  static constexpr int seat = 1 << 16;
  static constexpr std::chrono::microseconds patience{100};  // a wake-up from sleep takes 50

  alignas(64) std::atomic<int> state_{0};  // helpers still wanted, times `seat`, plus those at work
  Job* job_ = nullptr;                     // written while state_ is 0
  alignas(64) std::atomic<int> sleepers_{0}, processors_{processors()};
  std::atomic<bool> caller_sleeps_{false};
  std::mutex mutex_, owner_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;  // the owner's, likewise
  Clock::time_point ended_{};         // when the last job did
};

// Never destroyed: workers may outlive main(), and a forked child must not join threads it does not have.
Pool* pool = nullptr;
[[maybe_unused]] bool forked = false;  // in a child of fork

Pool& the_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] {
      pool = new Pool;
      forked = true;
    });
  });
  return *pool;
}

#ifdef STEEP_OPENMP
// One job by OpenMP's threads. Their barrier does not look for Ctrl-C, so the caller waits for the helpers before it; a
// helper that starts later finds no block.
void run_by_openmp(Job& job, int helpers) {
  std::atomic<int> working{0};
#pragma omp parallel num_threads(helpers + 1)
  {
    if (omp_get_thread_num() == 0) {
      drain(job);
      for (auto next = Clock::now() + between_looks; working > 0;) {
        std::this_thread::yield();
        if (Clock::now() < next) continue;
        job.guard(look_up);
        next = Clock::now() + between_looks;
      }
    } else {
      ++working;
      help(job);
      --working;
    }
  }
}
#endif

void run_job(Job& job, int helpers, double total) {
  if (helpers == 0) return drain(job);
  Pool& p = the_pool();
  std::unique_lock owner(p.owner(), std::try_to_lock);
  if (!owner) return drain(job);  // another Python thread has the workers
#ifdef STEEP_OPENMP
  if (!forked) return run_by_openmp(job, helpers);
#endif
  p.run(job, helpers, total < least_wake, [&] { drain(job); });
}

}  // namespace

void set_threads(int n) { thread_count = std::clamp(n, 1, 256); }
int threads() { return thread_count; }
const char* thread_pool() {
#ifdef STEEP_OPENMP
  return "OpenMP";
#else
  return "steep";
#endif
}
void set_host_hooks(const HostHooks& h) {
  hooks = h;
  k::set_interruption(look_up);
  if (hooks.after_fork) pthread_atfork(nullptr, nullptr, hooks.after_fork);
}
const HostHooks& host_hooks() { return hooks; }

Uninterrupted::Uninterrupted() { ++here.uninterrupted; }
Uninterrupted::~Uninterrupted() { --here.uninterrupted; }

void run_blocks(std::int64_t n, std::int64_t grain, double total, Block f, void* context) {
  if (n <= 0) return;
  Job job{n, grain, (n + grain - 1) / grain, f, context};
  void* unlocked = total >= long_work && !inside_job && hooks.unlock ? hooks.unlock() : nullptr;
  const int helpers = inside_job ? 0 : static_cast<int>(std::min<std::int64_t>(threads(), job.blocks)) - 1;
  void** const outer = here.unlocked;
  if (!outer) here.unlocked = &unlocked;
  run_job(job, helpers, total);
  here.unlocked = outer;
  if (unlocked) hooks.lock(unlocked);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace steep
