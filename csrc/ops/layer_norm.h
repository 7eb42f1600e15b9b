// Normalised rows as C++ functions, for the norms composed of them (norm.cpp).
#pragma once

#include "core/tensor.h"

namespace steep {

// (x - mean) / sqrt(variance + eps) along the last axis; the variance is the biased one.
Tensor standardize(const Tensor& rows, double eps);
// The same, times weight plus bias, both of one value for each column.
Tensor layer_norm(const Tensor& rows, const Tensor& weight, const Tensor& bias, double eps);

}  // namespace steep
