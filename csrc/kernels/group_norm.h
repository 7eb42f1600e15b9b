// The arguments of the group norm kernels. A group of channels of one example is a row x, which becomes y = (x - mean)
// / sqrt(variance + eps), the variance the biased one, and then y * weight + bias, of one weight and bias for each
// channel. Start reading at GroupNorm.
#pragma once

#include <cstdint>

#include "kernels/product.h"

namespace steep::k {

struct GroupNorm {
  const void *x, *g;          // [examples, groups, channels, n] contiguous: the operand, and the gradient of the result
  const void *weight, *bias;  // [groups, channels]
  void* out;                  // like x
  void* sums;                 // [2, examples, groups, channels]
  std::int64_t examples, groups, channels, n;  // none of them 0; channels are those of one group
  double eps;
};

// Rows [from, to) of [examples * groups]. The result, of which every finished row's planes are reported to `done` as
// rows of [examples * groups * channels, n]. Its gradient with respect to x, into `out`, and for those with respect to
// weight and bias the sums of g * y and of g over each plane, into `sums`.
using GroupNormLoop = void (*)(const GroupNorm&, std::int64_t from, std::int64_t to, const Epilogue* done);

}  // namespace steep::k
