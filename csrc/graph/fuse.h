// Which instructions run together, and in what order. A unit is one instruction, or a group of elementwise ones over
// the same number of elements, with the reductions that end them, which makes one pass over memory (tiles.h).
#pragma once

#include "graph/program.h"
#include "kernels/fold.h"

namespace steep {

struct Unit {
  std::vector<InstructionId> members;  // ascending
  bool group = false;                  // elementwise, even if it is a single instruction
  // The unit, a product, on whose result it can run part by part as parts are finished.
  UnitId finishes = UnitId::none;
};

// The units in an order that respects every dependence.
Table<UnitId, Unit> fuse(const Program& p);

// Elements in one leaf of a row's fold: longer rows are reduced by a tree over leaves.
inline std::int64_t fold_leaf(DType t) { return k::row_leaf_bytes / size_of(t); }

bool is_elementwise(const Instruction& c);
bool is_fold(const Instruction& c);              // a sum, max or min of trailing axes
std::int64_t fold_length(const Instruction& c);  // elements per result

}  // namespace steep
