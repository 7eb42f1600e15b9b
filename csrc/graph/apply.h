// The single entry point: every operation, forward or backward, passes through apply(). Recording, no_grad, saved
// tensors, gradient-rule overrides and NaN provenance live here and nowhere else.
#pragma once

#include <functional>
#include <initializer_list>

#include "graph/node.h"
#include "graph/op.h"

namespace steep {

Tensor apply(const Op& op, const Tensor* in, int count, const AttrsRef& attrs = {});
inline Tensor apply(const Op& op, std::initializer_list<Tensor> in, const AttrsRef& attrs = {}) {
  return apply(op, in.begin(), static_cast<int>(in.size()), attrs);
}

// The same result written into existing memory: after before_write(), and never recorded in the graph.
void apply_into(const Op& op, std::initializer_list<Tensor> in, const Tensor& target, const AttrsRef& attrs = {});

// Records a node above `out` whose rule is a function rather than a row: custom_vjp and checkpoint. `inputs` may
// hold null nodes. `row` names it.
void record_dynamic(const Op& row, const Tensor& out, const std::vector<Node*>& inputs, DynamicRule rule);

// Raises for an in-place write that the graph cannot represent, and counts it otherwise.
void before_write(const char* op, const Tensor& target, const Tensor* operands, int count);

// Throws the anomaly error if t holds a NaN or an infinity. `phase` is "forward" or "backward".
void check_finite(const Tensor& t, const char* op, const char* phase, const Tensor* in, int count,
                  const std::string& where);

}  // namespace steep
