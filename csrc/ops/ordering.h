// Rows in order, or the positions that put them in order, by counting digits instead of comparing. sort.cpp makes ops
// of it. Start reading at order_rows.
#pragma once

#include "core/tensor.h"

namespace steep {

// in: [..., n] contiguous, n > 0. out: [..., k] of int64, k <= n: the positions of the first k elements of every row,
// in ascending or descending order; NaN comes last in both, and equal elements (0 and -0 are) keep their order.
void order_rows(const Tensor& in, const Tensor& out, bool descending);

// The elements in that order, bit for bit. out: of in's shape and dtype, contiguous.
void sort_values(const Tensor& in, const Tensor& out, bool descending);

}  // namespace steep
