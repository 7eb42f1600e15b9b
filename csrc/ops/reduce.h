// Running a reduction: shared by its rows (reduce.cpp) and the code that chooses a kernel (reduce_run.cpp); and running
// sums and products, of which the derivative of a product is made (row_maps.cpp).
#pragma once

#include "graph/op.h"

namespace steep {

// Reduces the axes (bits) of the one operand into c.out, whose elements are in the order of the other axes.
void run_reduction(const Call& c, k::Reduction kind, unsigned axes);

// The same for the root of the sum of squares, which neither overflows nor underflows on the way.
void run_euclidean_norm(const Call& c, unsigned axes);

// "cumsum_last" or "cumprod_last", and the last axis backwards.
Tensor cumulate(const char* name, const Tensor& t);
Tensor flip_last(const Tensor& t);

}  // namespace steep
