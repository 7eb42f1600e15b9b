// Gradients of a matrix that many small products share, as every step of a recurrent layer multiplies by one weight:
// one product over the rows of all of them, where each by itself would write a matrix, and all of these would be added
// up. Start reading at sum_products.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace steep {

struct Node;

// What a product x w with this gradient g adds to that of w, or of a matrix whose transposed w is.
struct ProductGradient {
  Tensor x, g;  // [m, k] and [m, n]
  bool transposed;
  const Node* of;  // the product, for a profile
};

// Whether copying its rows costs less than a matrix that is written and added.
bool is_small_product(const Tensor& x, const Tensor& g);

// Sums of x^T g, and of g^T x where transposed.
Tensor sum_products(const std::vector<ProductGradient>& all);

}  // namespace steep
