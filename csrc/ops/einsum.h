// Einstein summation, made of transpositions, diagonals and batched matmul.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace steep {

Tensor einsum(const std::string& subscripts, const std::vector<Tensor>& operands);

}  // namespace steep
