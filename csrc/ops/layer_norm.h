// Normalised rows and channels as C++ functions, for the norms composed of them (norm.cpp).
#pragma once

#include <vector>

#include "graph/op.h"

namespace steep {

// (x - mean) / sqrt(variance + eps) along the last axis; the variance is the biased one.
Tensor standardize(const Tensor& rows, double eps);
// Its gradient with respect to the rows, from that of the result, in ops.
Tensor standardize_gradient(const Tensor& g, const Tensor& rows, double eps);
// The same, times weight plus bias, both of one value for each column.
Tensor layer_norm(const Tensor& rows, const Tensor& weight, const Tensor& bias, double eps);

// group_norm.cpp: groups of channels of (N, C, ...), and weight and bias of one value for each channel; for x whose
// planes are long enough for vectors.
bool has_planes(const Tensor& x);
Tensor group_norm_scaled(const Tensor& x, std::int64_t groups, const Tensor& weight, const Tensor& bias, double eps);

// norm.cpp: the mean and the biased variance of each channel of (N, C, ...), and batch norm by given ones, of which the
// errors name `op`.
std::vector<Tensor> channel_moments(const Tensor& x);
Tensor batch_norm(const Op& op, const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& weight,
                  const Tensor& bias, double eps);

}  // namespace steep
