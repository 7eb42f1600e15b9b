// Running a captured program: a loop over units whose operands, shapes and memory are fixed in advance. A call looks up
// the addresses of the arguments, allocates results if the previous ones are still referenced, and runs. Start reading
// at Replay::run.
#pragma once

#include <memory>

#include "graph/arena.h"
#include "graph/kept_panels.h"
#include "graph/plan.h"
#include "graph/tiles.h"
#include "kernels/pages.h"

namespace steep {

struct Operation;

class Replay {
 public:
  // keep: no memory is shared and every value is kept for verify.h.
  explicit Replay(Program p, bool keep = false);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // Whether the arguments' layouts and the .grads that the step reads are as they were when it was recorded.
  bool accepts(const Tensor* arguments, int count) const;
  // Raises what an instruction raises. `results`: the tensors the recorded run returned, in order.
  void run(const Tensor* arguments, std::vector<Tensor>& results);
  // The reason why a result that has a graph in the plain function has none here.
  void detach(int result, const char* why) { owned_results_[result].detached_by = why; }
  std::uint64_t versions() const;  // of captured memory, summed: it grows with every write

  const Program& program() const { return program_; }
  std::size_t arena_bytes() const { return plan_.bytes; }
  std::size_t temporary_bytes() const;  // what the temporaries would need without sharing
  std::size_t panel_bytes() const;      // packed copies of operands (kept_panels.h)
  int groups() const { return static_cast<int>(groups_.size()); }
  std::string text() const;
  const char* address(BufferId b) const { return base_[b]; }
  const char* arena() const { return arena_->at(); }

 private:
  struct Call;
  // A tensor owned by the program that is returned. Two alternate, so that a loop that passes the last result back as
  // an argument needs no more; a new one is made when both are still referenced.
  struct Own {
    View view;
    Tensor tensor, spare;
    const char* detached_by = nullptr;  // why it has no graph
  };
  // A group, an instruction, or a product (the call) with the group that finishes its parts.
  struct Step {
    int group = -1, call = -1;
    bool writes = false;  // into memory visible outside: not interruptible
    std::vector<UnitId> units;
  };

  void find_lifetimes(Table<BufferId, Lifetime>& lives, Table<BufferId, bool>& escapes) const;
  void keep_all(Table<BufferId, Lifetime>& lives, Table<BufferId, bool>& escapes) const;
  bool writes_outside(const Unit& unit) const;
  void make_steps(const Table<BufferId, bool>& escapes);
  void place_buffers();
  void add_call(InstructionId i);
  void add_group(const Unit& unit, const Table<BufferId, bool>& escapes, const Table<BufferId, bool>& moving);
  Table<BufferId, bool> moving_buffers() const;
  Tensor over(const View& v);
  bool same_sharing(const Tensor* arguments, int count) const;
  void check_writable(const Tensor* arguments) const;
  const Tensor& owner_of(const Slot& s, const Tensor* arguments) const;
  void bind_arena();
  void bind_arguments(const Tensor* arguments);
  void bind_results(const Tensor* arguments);
  void renew(Own& own, std::uint32_t holders);
  void move_to(BufferId b, char* at);
  void rebind();
  void run_call(const Step& s);
  void run_step(const Step& s);
  void run_steps();
  std::vector<Operation> operations_of(const Step& s) const;
  const TileGroup& group(const Step& s) const { return groups_[s.group]; }
  void deliver(const Tensor* arguments, std::vector<Tensor>& results);

  Program program_;
  Table<UnitId, Unit> units_;
  Plan plan_;
  PanelPlan panels_;
  std::vector<Step> steps_;
  Table<int, TileGroup> groups_;
  Table<int, std::vector<BufferId>> touched_;  // by group: buffers that may move
  Table<BufferId, Storage> headers_;           // for instructions that take tensors
  Table<int, Call> calls_;                     // after headers_, which they refer to
  Table<BufferId, char*> base_;
  Table<BufferId, bool> moved_;
  bool any_moved_ = true, first_ = true;
  Table<int, Own> owned_results_, owned_grads_;  // by result and slot
  std::shared_ptr<Arena> arena_;
  k::Block scratch_, reserved_;
  Reserve reserve_;  // of reserved_
};

}  // namespace steep
