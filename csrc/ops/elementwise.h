// How elementwise ops infer shapes and run their kernels; the rows that use these are in elementwise.cpp.
#pragma once

#include "graph/op.h"

namespace steep {

// Attributes of astype.
struct Cast {
  DType dtype = Float32;
  STEEP_ATTRIBUTES(dtype)
};

void infer_same(Call& c);       // out like the operand
void infer_broadcast(Call& c);  // out of the broadcast shape, in the operands' dtype
void infer_bool(Call& c);       // the same, bool
void infer_cast(Call& c);       // like the operand, in the dtype asked for
void infer_where(Call& c);

void compute_loop(const Call& c);   // runs the row's loop
void compute_power(const Call& c);  // pow: raises for integers to a negative power, which are not integers

// The loops of rows: the row's kernel, the same or none for integers, and those outside kernels.def.
k::Loop loop_of_kernel(const Call& c);
k::Loop loop_of_rounding(const Call& c);
k::Loop loop_of_where(const Call& c);
k::Loop loop_of_cast(const Call& c);

}  // namespace steep
