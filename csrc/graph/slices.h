// Gradients of slices of one tensor, put together at once: of the three parts of a projection, of the steps of a
// sequence. Each by itself would be placed into zeros of the whole shape, and all of these added up. Start reading at
// join_slices.
#pragma once

#include <vector>

#include "core/tensor.h"
#include "graph/attrs.h"

namespace steep {

// Attributes of slice: where it starts, its steps and its size, in every dimension.
struct Slice {
  Ints start, step, size;
  STEEP_ATTRIBUTES(start, step, size)
};

// The gradient of a slice, and what it is a slice of.
struct SliceGradient {
  Tensor g;
  AttrsRef slice;
};

// The gradient with respect to the tensor of this shape that these are slices of, at least two: a view, if they lie in
// one buffer as slices of it would, or else new memory. Null if they overlap, or differ in more than one dimension.
Tensor join_slices(std::vector<SliceGradient>& parts, const Dims& shape);

}  // namespace steep
