// The arguments of the layer norm kernels. A row x becomes y = (x - mean) / sqrt(variance + eps), the variance the
// biased one, and then y * weight + bias. Start reading at Norm.
#pragma once

#include <cstdint>

namespace steep::k {

struct Norm {
  const void *x, *g;          // [rows, n] contiguous: the rows to normalise, and the gradient of the result
  const void *weight, *bias;  // [n], or null for none
  void* out;
  std::int64_t n;  // at least 1
  double eps;
};

// Rows [from, to). The result: out[r] is a row. Its gradient with respect to x: likewise, from x, g and weight. Its
// gradients with respect to weight and bias: the sums over these rows of g * y and of g, as the 2 n elements of out.
using NormLoop = void (*)(const Norm&, std::int64_t from, std::int64_t to);

}  // namespace steep::k
