// The positions that put the elements of rows in order, by counting digits instead of comparing. sort.cpp makes ops of
// it. Start reading at order_rows.
#pragma once

#include "core/tensor.h"

namespace steep {

// in: [..., n] contiguous, n > 0. out: [..., k] of int64, k <= n: the positions of the first k elements of every row,
// in ascending or descending order; NaN comes last in both, and equal elements (0 and -0 are) keep their order.
void order_rows(const Tensor& in, const Tensor& out, bool descending);

}  // namespace steep
