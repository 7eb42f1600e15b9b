// The order in which dimensions lie in memory. Elementwise results keep the order of their operands, as NumPy's and
// PyTorch's do, so that transposed operands are read and written as they lie. Start at shared_order().
#pragma once

#include "core/tensor.h"

namespace steep {

// Dimensions of a tensor from the one with the longest steps in memory to the one with the shortest; empty for
// row-major order.
using MemoryOrder = Dims;

// The order of all operands that have as many elements as `shape`; empty where they differ, or there are none.
MemoryOrder shared_order(const Tensor* in, int count, const Dims& shape, std::int64_t n);
// Of a tensor whose elements fill its memory without gaps; empty for others too.
MemoryOrder dense_order(const Tensor& t);
// The view of an operand, broadcast or not, with its dimensions in that order; one value is returned as it is.
Tensor in_order(const Tensor& t, const MemoryOrder& order);

// Uninitialised, laid out in that order, and without gaps.
Tensor empty(const Dims& shape, std::int64_t n, const MemoryOrder& order, DType dtype);

}  // namespace steep
