// The calling thread's settings: whether to record, anomaly detection, replaced gradient rules. Scopes restore them on
// return or exception. Every op reads them, so they are plain data, for which thread-local storage is one load.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "graph/op.h"

namespace steep {

// A user's gradient rule for an op: from g, the inputs and the output to the gradients of all inputs.
using UserRule =
    std::function<std::vector<Tensor>(const Tensor& g, const std::vector<Tensor>& inputs, const Tensor& out)>;
struct Override {
  const Op* op;
  std::shared_ptr<UserRule> rule;
  void* held = nullptr;  // the object that every copy of the rule holds a reference to: see DynamicRule
};

class Profiler;
class Recorder;
class ResultLog;

struct Mode {
  bool grad = true;
  bool anomaly = false;                // stop at the first NaN or infinity and name its producer
  bool keeps_values = false;           // nodes keep their operands, results and source lines, for sp.page()
  bool overridden = false;             // push_override() has been called, and not yet pop_override()
  std::optional<Precision> precision;  // set by the enclosing matmul_precision() block; else the process's applies
  Recorder* recorder = nullptr;        // records what runs, for compile()
  Profiler* profiler = nullptr;        // notes what runs and how long it takes, for profile()
  ResultLog* results = nullptr;        // notes or gives back what chosen ops return, for checkpoint()
  std::uint64_t rules_run = 0;         // vector-Jacobian products so far on this thread, for tests of cost
  bool wants_lines() const { return anomaly || keeps_values || profiler; }  // whether nodes note the user's line
};

static_assert(std::is_trivially_destructible_v<Mode>);

extern thread_local constinit Mode mode_storage __attribute__((tls_model("initial-exec")));
// For apply(), the traversals, and the bindings that set a mode; others ask the questions below.
inline Mode& mode() { return mode_storage; }
inline bool grad_enabled() { return mode().grad; }                 // what runs may get a node
inline bool is_recording() { return mode().recorder != nullptr; }  // what runs becomes part of a program

template <class T> class Scope {
 public:
  Scope(T& place, T value) : place_(place), before_(std::move(place)) { place = std::move(value); }
  ~Scope() { place_ = std::move(before_); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  T& place_;
  T before_;
};

// Of nested blocks with rules of the user's, the last one for an op applies.
void push_override(Override o);
void pop_override();

// While it lives, nothing on this thread gets a node.
struct NoGrad {
  Scope<bool> grad{mode().grad, false};
};

}  // namespace steep
