// Threads that hold no lock must not re-enter an interpreter that is shutting down: Python would unwind their C++
// frames. So at exit steep parks them instead, and waits briefly for threads about to take the lock. Start reading at
// close().
#include "bindings/host.h"

#include <unistd.h>

#include <atomic>
#include <chrono>

#include "bindings/collect.h"
#include "core/host.h"

namespace steep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{5};

// Names the calling thread.
const void* me() {
  static thread_local char here __attribute__((tls_model("initial-exec")));
  return &here;
}

std::atomic<bool> closing{false};
std::atomic<int> away{0};  // threads that have released the lock and not yet reacquired it
const void* closer = nullptr;
bool may_return() { return !closing || closer == me(); }

// The thread that traverses, and its depth. Written with the interpreter lock held; `walks_ended` only wakes waiters.
std::atomic<const void*> walker{nullptr};
int depth = 0;
std::atomic<int> walks_ended{0};
bool free_to_walk() { return depth == 0 || walker == me(); }

void* unlock() {
  ++away;
  return PyEval_SaveThread();
}
// A traversing thread may reacquire the lock: poll() then stops it, so that others do not wait for it.
void lock(void* state) {
  if (!may_return() && walker != me()) {
    --away;
    park();
  }
  PyEval_RestoreThread(static_cast<PyThreadState*>(state));
  --away;
}
void poll() {
  if (!may_return()) fail<GradientError>("the interpreter is shutting down");
  if (PyErr_CheckSignals() != 0) throw PythonError();
}

void wait_for_walk() {
  const int seen = walks_ended;
  void* state = unlock();
  walks_ended.wait(seen);
  lock(state);
}

std::string python_line() {
  PyFrameObject* frame = PyEval_GetFrame();
  if (!frame || PyErr_Occurred()) return "";
  const py::object f = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(frame));
  try {
    return py::module_::import("steep._repr").attr("user_line")(f).cast<std::string>();
  } catch (py::error_already_set& e) {  // CPython 3.11's f_back, when memory runs out
    if (!e.matches(PyExc_MemoryError) && !e.matches(PyExc_SystemError)) throw;
    return "";
  }
}

// A forked child has only this thread: other threads' traversals are over.
void after_fork() {
  if (!free_to_walk()) depth = 0;
  away = 0;
}

// Called by atexit: from here on only this thread may take the lock. It waits for traversals to end, since their rules
// are Python, and for threads that were about to take the lock.
void close() {
  closer = me();
  closing = true;
  const auto end = Clock::now() + patience;
  bool waiting = true;
  while (waiting && Clock::now() < end) {
    ++walks_ended;
    walks_ended.notify_all();
    void* state = PyEval_SaveThread();
    usleep(500);
    PyEval_RestoreThread(static_cast<PyThreadState*>(state));
    waiting = away > 0 || !free_to_walk();
  }
}

}  // namespace

void park() {
  for (;;) pause();
}

WalkLock::WalkLock() {
  while (!free_to_walk()) wait_for_walk();
  walker = me();
  ++depth;
}
WalkLock::~WalkLock() {
  if (--depth) return;
  walker = nullptr;
  ++walks_ended;
  walks_ended.notify_one();
  if (may_return()) return;
  PyEval_SaveThread();
  park();
}

void install_host_hooks() {
  HostHooks hooks{.unlock = unlock, .lock = lock, .poll = poll, .after_fork = after_fork, .line = python_line};
  add_shells(hooks);
  set_host_hooks(hooks);
  py::module_::import("atexit").attr("register")(py::cpp_function(close));
}

}  // namespace steep
