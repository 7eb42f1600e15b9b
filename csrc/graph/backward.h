// The two passes over a recorded graph: backward (vector-Jacobian products, from outputs to inputs) and forward
// (Jacobian-vector products, from inputs to outputs). Rules are ops, so a pass can be recorded too.
#pragma once

#include <vector>

#include "graph/node.h"

namespace steep {

struct WalkOptions {
  bool record = false;      // the results have a graph of their own
  bool free_saved = false;  // release saved tensors as the pass goes
  std::uint64_t since = 0;  // nodes recorded before this are constants, unless they are targets
};

// Gradients of sum(outputs * cotangents) with respect to the given nodes, null where there is no path. Without targets,
// every leaf that is reached gets the gradient added to its tensor's .grad.
std::vector<Tensor> backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents,
                             const std::vector<Node*>* targets, const WalkOptions& options);

// Tangents of the outputs for tangents at the given nodes, null where there is no path.
std::vector<Tensor> forward(const std::vector<Tensor>& outputs, const std::vector<Node*>& inputs,
                            const std::vector<Tensor>& tangents, const WalkOptions& options);

// Whether the graph of the outputs depends on nodes other than those given: then it may be differentiated again.
bool depends_on_others(const std::vector<Tensor>& outputs, const std::vector<Node*>& inputs);

// The nodes made before `since` that the output depends on directly: what a checkpointed function captured.
std::vector<Node*> captured_nodes(const std::vector<Tensor>& outputs, const std::vector<Node*>& inputs,
                                  std::uint64_t since);

// Explains why y's gradient with respect to x is None or zero, or how it flows.
std::string explain(const Tensor& y, const Tensor& x);

// The gradients of a node's inputs from its output's gradient (graph/rules.cpp).
void run_rules(Node& n, const Tensor& g, const Needed& needed, std::vector<Tensor>& grads);
// The tangent of a node's output from its inputs' tangents, null where none.
Tensor run_jvp(Node& n, const std::vector<Tensor>& tangents);

}  // namespace steep
