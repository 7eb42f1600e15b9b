// Forward mode: tangents pushed through the recorded graph, inputs before consumers, each rule an op. And explain(),
// which looks for the path that a gradient would take.
#include <algorithm>

#include "graph/backward.h"
#include "graph/mode.h"
#include "graph/order.h"
#include "ops/functions.h"

namespace steep {
namespace {

std::vector<Tensor> input_tangents(Order& order, const Node& n) {
  std::vector<Tensor> t(n.input_count);
  for (int i = 0; i < n.input_count; ++i)
    if (const Entry* e = order.find(n.inputs()[i])) t[static_cast<std::size_t>(i)] = e->value;
  return t;
}

std::string how_it_flows(Order& order) {
  std::string path;
  for (std::size_t i = order.entries().size(); i-- > 0;)
    if (order.entries()[i].needed) path += str(path.empty() ? "" : " <- ", order.entries()[i].node->name());
  return "the gradient flows through: " + path;
}

// The rules along the way whose gradient is zero everywhere.
std::string flat_ops(Order& order) {
  std::string flat;
  for (const Entry& e : order.entries())
    if (e.needed && e.node->op && e.node->op->flat) flat += str(flat.empty() ? "" : ", ", e.node->name());
  return flat;
}

}  // namespace

std::vector<Tensor> forward(const std::vector<Tensor>& outputs, const std::vector<Node*>& inputs,
                            const std::vector<Tensor>& tangents, const WalkOptions& options) {
  Scope<bool> recording(mode().grad, options.record);
  Order order(outputs, options.since, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (Entry* e = order.find(inputs[i])) e->target = true, e->value = tangents[i];
  order.mark_needed();
  for (Entry& e : order.entries())
    if (e.needed && !e.value && e.node->input_count) {
      const auto in = input_tangents(order, *e.node);
      if (std::any_of(in.begin(), in.end(), [](const Tensor& t) { return static_cast<bool>(t); }))
        e.value = run_jvp(*e.node, in);
    }
  std::vector<Tensor> result;
  for (const Tensor& y : outputs) {
    const Entry* e = order.find(y->node);
    result.push_back(e ? e->value : Tensor());
  }
  return result;
}

std::string explain(const Tensor& y, const Tensor& x) {
  if (!is_float(y.dtype())) return str("y is ", y, ": only float tensors have gradients");
  if (!y->node)
    return str("y, ", y, ", has no graph: ",
               y->detached_by
                   ? str("it comes from ", y->detached_by, ", which stops gradients")
                   : "it was computed from constants, or under no_grad(). Make an input with requires_grad=True, or "
                     "watch() it");
  if (!x->node) return str("x, ", x, ", is a constant: make it with requires_grad=True, watch() it, or use grad(f)(x)");
  Order order({y}, 0, {});
  Entry* at = order.find(x->node);
  if (!at) return str("y does not depend on x: none of the ", order.entries().size(), " recorded steps of y reads it");
  at->target = true;
  order.mark_needed();
  const std::string flat = flat_ops(order);
  if (!flat.empty())
    return str("the gradient is zero where it passes ", flat, ", flat everywhere; ", how_it_flows(order));
  return how_it_flows(order);
}

}  // namespace steep
