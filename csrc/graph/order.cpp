// Depth-first search with an explicit stack; a node is entered once, and placed after all its inputs.
#include "graph/order.h"

#include <algorithm>

namespace steep {
namespace {

struct Frame {
  Node* node;
  int next;
};

bool holds(const std::vector<Node*>& list, const Node* n) {
  return std::find(list.begin(), list.end(), n) != list.end();
}

}  // namespace

// A delegating constructor, so that slots are restored even if memory runs out.
Order::Order(const std::vector<Tensor>& outputs, std::uint64_t since, const std::vector<Node*>& keep) : Order() {
  for (const Tensor& t : outputs)
    if (t->node) visit(t->node, since, keep);
}

Order::~Order() {
  for (std::size_t i = entries_.size(); i-- > 0;) {
    entries_[i].node->slot = entries_[i].outer_slot;
    entries_[i].value = {};
    entries_[i].put_off.reset();
    release(entries_[i].node);
  }
}

void Order::visit(Node* root, std::uint64_t since, const std::vector<Node*>& keep) {
  // The stack is one path down the graph, and a graph has no cycles: an input that has no entry yet is not on it.
  std::vector<Frame> stack;
  const auto skip = [&](const Node* n) {
    return !n || find(n) || (n->sequence < since && !n->target && !holds(keep, n));
  };
  if (skip(root)) return;
  stack.push_back({root, 0});
  while (!stack.empty()) {
    Frame& top = stack.back();
    const bool end = top.node->sequence < since;
    if (top.next < top.node->input_count && !end) {
      Node* in = top.node->inputs()[top.next++];
      if (!skip(in)) stack.push_back({in, 0});
    } else {
      entries_.push_back({top.node, top.node->slot, false, false, false, end, {}, {}});
      retain(top.node);
      top.node->slot = static_cast<std::uint32_t>(entries_.size());
      stack.pop_back();
    }
  }
}

}  // namespace steep
