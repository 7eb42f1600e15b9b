// A captured step as plain data: a list of instructions over views of buffers. recorder.h records one, the passes
// (simplify.cpp, accumulate.cpp, fuse.cpp, plan.cpp) rewrite it, replay.h runs it, print.cpp shows it. Start reading at
// Program.
#pragma once

#include <string>
#include <vector>

#include "graph/ids.h"
#include "graph/op.h"

namespace steep {

// Where a buffer's bytes are: computed by the program; constant since recording; a tensor of the caller's that the
// program keeps; an argument; the .grad that a tensor had before the call.
enum class Place : std::uint8_t { temporary, constant, captured, argument, gradient };

struct Buffer {
  Place place = Place::temporary;
  std::size_t bytes = 0;
  bool written = false;  // in place, by some instruction
  StorageRef storage;    // while recording, for every buffer; afterwards for constants and captured tensors
  int number = -1;       // of the argument, or of the slot whose gradient this is
};

// A layout over a buffer. The offset counts elements; an argument's buffer starts at its first element.
struct View {
  BufferId buffer = BufferId::none;
  DType dtype = Float32;
  Dims shape, strides;
  std::int64_t offset = 0;

  std::int64_t count() const { return numel(shape); }
  bool contiguous() const { return is_contiguous(shape, strides); }
  bool single() const;  // one value, possibly broadcast
  friend bool operator==(const View& a, const View& b) {
    return a.buffer == b.buffer && a.dtype == b.dtype && a.offset == b.offset && a.shape == b.shape &&
           a.strides == b.strides;
  }
};

struct Instruction {
  const Op* op = nullptr;
  AttrsRef attrs;
  std::vector<View> in;
  View out;
  bool in_place = false;   // out is existing memory
  k::Loop loop = nullptr;  // of elementwise ops
  InstructionId number{};  // as recorded
  std::string where;       // the user's line
};

// What a call returns: a new tensor, or an argument or captured tensor.
struct Result {
  View view;
  bool known = false;
  Tensor tensor;     // a captured tensor that is returned itself
  int part_of = -1;  // the result whose memory it is a part of; or the slot, counted after all results
};

// A tensor whose .grad the step reads or sets.
struct Slot {
  Tensor owner;  // null: the argument `argument`
  int argument = -1;
  bool read = false;  // before it was set, so that a call requires it to be present or absent as then
  bool present = false;
  View before;
  bool set = false;
  bool none = false;  // set to None
  View value;
};

struct Program {
  Table<BufferId, Buffer> buffers;
  Table<InstructionId, Instruction> code;
  Table<int, View> arguments;
  Table<int, Result> results;
  Table<int, Slot> slots;
  int recorded = 0, dead = 0, repeated = 0, uniform = 0;  // for the report

  BufferId add_buffer(Place place, std::size_t bytes) { return buffers.add({.place = place, .bytes = bytes}); }
  InstructionId next_number() { return static_cast<InstructionId>(recorded++); }
  Buffer& buffer(const View& v) { return buffers[v.buffer]; }
  const Buffer& buffer(const View& v) const { return buffers[v.buffer]; }
  View new_temporary(const Dims& shape, DType dtype);
  // After recording: releases what only the recorded run needed.
  void forget_values() {
    for (Buffer& b : buffers)
      if (b.place != Place::constant && b.place != Place::captured) b.storage = {};
  }
  bool outlives(const Buffer& b) const { return b.place != Place::temporary && b.place != Place::constant; }
  // Whether a call changes anything but its results.
  bool has_effects() const {
    for (const Slot& s : slots)
      if (s.set) return true;
    for (const Buffer& b : buffers)
      if (b.written && outlives(b)) return true;
    return false;
  }
  // Calls f on every view that reads a buffer, or writes one in place.
  template <class F> void each_use(F&& f) {
    for (Instruction& i : code) {
      for (View& v : i.in) f(v);
      if (i.in_place) f(i.out);
    }
    for (Result& r : results)
      if (!r.known) f(r.view);
    for (Slot& s : slots)
      if (s.set && !s.none) f(s.value);
  }
};

// Same elements in the same flat order.
bool same_elements(const View& a, const View& b);

// simplify.cpp: removes dead instructions, merges repeated ones, computes uniform results for one element, and removes
// copies of unwritten buffers. Then every result gets its own memory.
void simplify(Program& p);

// accumulate.cpp: products whose results are only added to something are added to it as they are computed.
void accumulate(Program& p);

// The program as text, one instruction per line.
std::string describe(const View& v, const Program& p);

}  // namespace steep
