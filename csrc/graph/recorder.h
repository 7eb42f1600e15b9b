// Writes down a step while it runs: apply() and the other choke points report to the thread's recorder, if it has one.
// A tensor is known by its storage; storages made during the recording by anything but an instruction are constants.
// Start reading at Recorder::computed.
#pragma once

#include <unordered_map>

#include "graph/program.h"

namespace steep {

// An application as it was asked for, views and their attributes too: what a translation into another language needs.
struct Traced {
  const Op* op;
  AttrsRef attrs;
  std::vector<Tensor> in;
  Tensor out;
  bool in_place;
};

class Recorder {
 public:
  // `keep`: the values of temporaries stay until Program::forget_values(), as verify.h needs them.
  explicit Recorder(const std::vector<Tensor>& arguments, bool trace = false, bool keep = false);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  void stop();  // what is allocated from now on is no part of the recording

  void computed(const Call& c);    // a result of apply()
  void will_write(const Call& c);  // before memory is written in place: c.out is the target
  void written(const Call& c);
  void grad_read(const Tensor& owner);
  void grad_set(const Tensor& owner, const Tensor& g);
  // Whether it has the same value at every replay.
  bool is_constant(const Tensor& t);
  // Refuses to give away the value of a tensor that may be another one at the next call. `what` is what was asked.
  void host_read(const Tensor& t, const char* what);
  void give(const Tensor& t);  // a value made by others during the recording, to be taken for another argument
  const std::vector<Traced>& traced() const { return traced_; }
  bool traces() const { return trace_; }

  Program finish(const std::vector<Tensor>& outputs);
  // Puts back what the run has written in place outside of itself, and every .grad that it set.
  void undo();

 private:
  BufferId buffer_of(const Tensor& t);
  BufferId known_buffer(const Tensor& t) const;
  View view_of(const Tensor& t);
  bool born_here(const Tensor& t) const;
  BufferId merged_constant(const Tensor& t, BufferId made);
  void push(const Call& c, bool in_place);
  void enter(const Tensor& t, Place place, int number);
  BufferId new_buffer(const Tensor& t, Place place);
  Slot& slot_of(const Tensor& owner);
  void trace(const Call& c, bool in_place);
  void keep(const Tensor& t);
  void note_temporary(BufferId b);
  void release_unused();

  Program program_;
  std::vector<Tensor> arguments_;
  Table<BufferId, std::int64_t> base_;  // the offset of its first element within the storage, in bytes
  Table<BufferId, bool> uniform_;       // of constants: one value everywhere
  std::vector<std::pair<std::uint64_t, BufferId>> scalars_;
  std::unordered_map<const Storage*, BufferId> at_;
  std::unordered_map<const Storage*, std::pair<StorageRef, StorageRef>> bytes_before_;  // of what was written outside
  std::vector<std::pair<Tensor, Tensor>> grads_before_;  // of each slot: the owner, and its .grad
  std::uint32_t epoch_, epoch_before_;
  bool trace_, keep_;
  std::vector<Traced> traced_;
  std::vector<BufferId> temporaries_;             // whose memory is still held
  std::size_t noted_bytes_ = 0, held_bytes_ = 0;  // of those since the last release_unused(), and of those it left
};

// The tensor's .grad, null for None: every read and write goes through these two.
Tensor grad_of(const Tensor& owner);
void set_grad(const Tensor& owner, const Tensor& g);

// Whether what runs is written down for a translation, which wants composites in their parts.
bool is_traced();

// What a function asks that needs a tensor's value outside of any op.
void host_read(const Tensor& t, const char* what);

}  // namespace steep
