// The graph: one fixed-size node for every recorded application, from a free list, with intrusive counts. A graph
// nobody holds is freed at once by release(), a worklist and never a recursion. Nodes own what backward will need.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/op.h"

namespace steep {

// A gradient rule made at run time: fills grads[i] for every input i with needed[i].
using DynamicRule = std::function<void(const Tensor& g, const std::vector<bool>& needed, std::vector<Tensor>& grads)>;

// What few nodes have: many inputs, a rule of the user's, the line of the user's program.
struct Extra {
  std::vector<Node*> inputs;
  DynamicRule rule;
  std::string where;
};

struct Node {
  static constexpr int inline_inputs = 3, max_saved = 3;
  std::uint32_t refs = 1;
  std::uint32_t slot = 0;  // 1 + index in the pass that walks this node now
  std::uint64_t sequence = 0;
  const Op* op = nullptr;  // null: a leaf
  AttrsRef attrs;
  Node* inputs_[inline_inputs] = {};  // null for constants
  TensorImpl* saved[max_saved] = {};  // in the order of the bits of `saves`
  std::uint32_t versions[max_saved] = {};
  std::uint16_t input_count = 0;
  std::uint8_t saves = 0;
  bool freed = false;
  bool unwatched = false;  // a watch node whose tape or transform has ended
  DType dtype = Float32;
  Dims shape;
  TensorImpl* target = nullptr;  // not counted: the tensor whose .grad backward() fills
  std::unique_ptr<Extra> extra;

  Node* const* inputs() const { return input_count <= inline_inputs ? inputs_ : extra->inputs.data(); }
  Extra& more() {
    if (!extra) extra = std::make_unique<Extra>();
    return *extra;
  }
  const char* name() const { return op ? op->name : "leaf"; }
};

Node* new_node(const Tensor& out);  // shape, dtype and sequence set; refs = 1
void release(Node* n);              // one count less
inline Node* retain(Node* n) {
  if (n) ++n->refs;
  return n;
}
void set_inputs(Node* n, const Tensor* in, int count);
void save(Node* n, unsigned which, const Tensor* in, const Tensor& out);
void drop_saved(Node* n);

// A tensor kept for a gradient rule outside a node's own slots, under the same promise: what others may write behind
// our back is copied, and an in-place write is noticed.
class Kept {
 public:
  explicit Kept(const Tensor& t);
  Kept(Kept&& o) noexcept = default;
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept();
  Tensor get(const char* op) const;  // GradientError if it was written since

 private:
  Tensor tensor_;
  std::uint32_t version_;
};

std::uint64_t sequence();  // nodes made from now on have at least this number

Node* make_leaf(const Tensor& t);                // gives t a leaf node; backward() fills its .grad
Node* make_watch(const Tensor& t);               // gives t a node above its own, for tapes and transforms
void end_watch(const Tensor& t, Node* watched);  // takes it off again, as soon as later ones are off
void forget_target(TensorImpl* p);               // no node fills p's .grad any more
extern const Op watch_op;

std::size_t live_nodes();

}  // namespace steep
