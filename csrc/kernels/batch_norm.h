// The arguments of the kernels of batch norm in training. A channel's elements x, over all examples and positions,
// become y = (x - mean) / sqrt(variance + eps) * weight + bias, the variance the biased one. Start reading at
// BatchNorm.
#pragma once

#include <cstdint>

#include "kernels/product.h"

namespace steep::k {

struct BatchNorm {
  const void *x, *g;          // [examples, channels, n] contiguous: the operand, and the gradient of the result
  const void* moments;        // [2, channels]: means, then variances
  const void *weight, *bias;  // [channels]
  void* out;                  // like x
  void* sums;                 // [2, channels]
  std::int64_t examples, channels, n;  // none of them 0
  double eps;
};

// Channels [from, to). The moments of x, into `sums`. The result, of which every finished plane is reported to `done`
// as a row of [examples * channels, n]. Its gradient with respect to x, into `out`, and with respect to weight and
// bias, the sums of g * y before the scale and of g, into `sums`.
using BatchNormLoop = void (*)(const BatchNorm&, std::int64_t from, std::int64_t to, const Epilogue* done);

}  // namespace steep::k
