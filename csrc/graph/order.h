// A topological order of the nodes below some outputs, found without recursion and undone at the end of its scope. Each
// node's slot holds its index in the order; an order made during another pass saves and restores the slots, so gradient
// rules may themselves differentiate.
#pragma once

#include <memory>
#include <vector>

#include "graph/node.h"
#include "graph/products.h"
#include "graph/slices.h"

namespace steep {

// Gradients that are not part of an entry's value yet.
struct PutOff {
  std::vector<SliceGradient> slices;
  std::vector<ProductGradient> products;
};

struct Entry {
  Node* node;
  std::uint32_t outer_slot;
  bool needed = false;  // leads to a target
  bool target = false;
  bool owned = false;       // `value` is owned, and may be added to in place
  bool end = false;         // recorded before `since`: its inputs count as constants
  bool multiplied = false;  // the gradient of a product by it has been seen
  Tensor value;             // gradient or tangent so far
  std::unique_ptr<PutOff> put_off = {};

  PutOff& later() {
    if (!put_off) put_off = std::make_unique<PutOff>();
    return *put_off;
  }
};

class Order {
 public:
  // Inputs before users. Nodes numbered below `since` are left out unless `keep` holds them.
  Order(const std::vector<Tensor>& outputs, std::uint64_t since, const std::vector<Node*>& keep);
  ~Order();
  Order(const Order&) = delete;
  Order& operator=(const Order&) = delete;

  std::vector<Entry>& entries() { return entries_; }
  Entry* find(const Node* n) {
    return n && n->slot && n->slot <= entries_.size() && entries_[n->slot - 1].node == n ? &entries_[n->slot - 1]
                                                                                         : nullptr;
  }
  // Marks what leads to the entries whose `target` is set.
  void mark_needed() {
    for (Entry& e : entries_) {
      e.needed = e.target;
      Node* const* in = e.node->inputs();
      for (int i = 0; i < e.node->input_count && !e.needed && !e.end; ++i) {
        const Entry* below = find(in[i]);
        e.needed = below && below->needed;
      }
    }
  }

 private:
  Order() = default;
  void visit(Node* root, std::uint64_t since, const std::vector<Node*>& keep);
  std::vector<Entry> entries_;
};

}  // namespace steep
