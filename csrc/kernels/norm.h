// What the kernels of layer norm are told. A row x becomes y = (x - mean) / sqrt(variance + eps), the variance the
// biased one, and then y * weight + bias. Start reading at Norm.
#pragma once

#include <cstdint>

namespace steep::k {

struct Norm {
  const void *x, *g;          // [rows, n] contiguous: what is standardised, and the gradient of the result
  const void *weight, *bias;  // [n], or null for none
  void* out;
  std::int64_t n;  // at least 1
  double eps;
};

// Rows [from, to). The result: out[r] is a row. Its gradient by x: the same, from x, g and weight. Its gradients by
// weight and bias: the sums over these rows of g * y and of g, as the 2 n elements of out.
using NormLoop = void (*)(const Norm&, std::int64_t from, std::int64_t to);

}  // namespace steep::k
