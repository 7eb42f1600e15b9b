// What sp.profile() notes of a thread: every computation with its times, the shapes of its operands and the user's
// line. apply() tells of eager ops, Replay::run of the steps of programs. Start reading at Profiler.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "graph/mode.h"
#include "graph/node.h"

namespace steep {

struct Layout {
  DType dtype;
  Dims shape;
};

// One application of an op.
struct Operation {
  const char* name;
  std::string where;
  std::vector<Layout> in;
  Layout out;
};

// What ran at one go: an eager op, or a step of a program with all that is fused in it.
struct Event {
  enum class Phase { forward, backward, compiled };
  Phase phase;
  const char* rule;         // of the backward pass: the op whose gradient rule runs, else ""
  std::int64_t begin, end;  // nanoseconds since the profile began
  std::vector<Operation> operations;
};

class Profiler {
 public:
  // Nanoseconds since it was made.
  std::int64_t now() const { return std::chrono::nanoseconds(Clock::now() - start_).count(); }
  void ran(const Call& c, std::int64_t begin);                           // an eager op
  void ran_step(std::vector<Operation> operations, std::int64_t begin);  // a step of a program
  const std::vector<Event>& events() const { return events_; }
  // What noting itself has taken, in nanoseconds.
  std::int64_t own_time() const { return own_; }

  int passes = 0;              // backward passes that run, one within the other
  const Node* rule = nullptr;  // the node whose gradient rule runs

 private:
  using Clock = std::chrono::steady_clock;
  void add(Event::Phase phase, const char* rule, std::int64_t begin, std::int64_t end,
           std::vector<Operation> operations);

  Clock::time_point start_ = Clock::now();
  std::vector<Event> events_;
  std::int64_t own_ = 0;
};

// While it lives, what this thread computes is noted as of a backward pass, or of a node's gradient rule in one.
class ProfiledPass {
 public:
  explicit ProfiledPass(const Node* rule) : profiler_(mode().profiler) {
    if (!profiler_) return;
    ++profiler_->passes;
    before_ = std::exchange(profiler_->rule, rule);
  }
  ~ProfiledPass() {
    if (!profiler_) return;
    --profiler_->passes;
    profiler_->rule = before_;
  }
  ProfiledPass(const ProfiledPass&) = delete;
  ProfiledPass& operator=(const ProfiledPass&) = delete;

 private:
  Profiler* profiler_;
  const Node* before_ = nullptr;
};

}  // namespace steep
