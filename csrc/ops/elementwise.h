// How elementwise ops infer shapes and run their kernels; the rows that use these are in elementwise.cpp.
#pragma once

#include "graph/op.h"

namespace steep {

void infer_same(Call& c);       // out like the operand
void infer_broadcast(Call& c);  // out of the broadcast shape, in the operands' dtype
void infer_bool(Call& c);       // the same, bool
void infer_where(Call& c);
void compute_elementwise(const Call& c);
void compute_where(const Call& c);
void compute_cast(const Call& c);

}  // namespace steep
