// Checks for misuse of graphs from Python.
#pragma once

#include "core/tensor.h"

namespace steep {

// t.requires_grad = wanted: makes a leaf, or a constant of one. Raises for tensors that were computed.
void require_grad(const Tensor& t, bool wanted);

// t.backward(gradient, retain_graph), with its errors. A null gradient stands for 1.
void run_backward(const Tensor& t, const Tensor& gradient, bool retain_graph);

}  // namespace steep
