// Which instructions run together, and in what order. A unit is one instruction, or a group of elementwise ones over as
// many elements, with the reductions that end them, which goes through memory once (tiles.h).
#pragma once

#include "graph/program.h"

namespace steep {

struct Unit {
  std::vector<int> members;  // numbers of instructions, ascending
  bool group = false;        // elementwise, even where it is one instruction
  int finishes = -1;         // the unit, a product, on whose result it can run part by part as that becomes final
};

// The units in an order that respects every dependence.
std::vector<Unit> fuse(const Program& p);

// Elements in one leaf of a row's fold: reductions of longer rows meet in a tree over leaves (kernels/reduce.inl.h).
inline std::int64_t fold_leaf(DType t) { return 16384 / size_of(t); }

bool is_elementwise(const Instruction& c);
bool is_fold(const Instruction& c);              // a sum, max or min of trailing axes
std::int64_t fold_length(const Instruction& c);  // elements that one result is made of

}  // namespace steep
