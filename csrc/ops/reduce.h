// Running a reduction: shared by its rows (reduce.cpp) and the code that chooses a kernel (reduce_run.cpp).
#pragma once

#include "graph/op.h"

namespace steep {

// Reduces the axes (bits) of the one operand into c.out, whose elements are in the order of the other axes.
void run_reduction(const Call& c, k::Reduction kind, unsigned axes);

}  // namespace steep
