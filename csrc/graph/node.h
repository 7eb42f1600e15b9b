// The graph: one fixed-size node for every recorded application, from a free list, with intrusive counts. A graph
// nobody holds is freed at once by release(), a worklist and never a recursion. Nodes own the tensors that backward
// needs.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/op.h"

namespace steep {

// A gradient rule made at run time: run() fills grads[i] for every input i with needed[i]. `held` is the one object of
// the host language that run() holds a reference to, for the host's garbage collector.
struct DynamicRule {
  std::function<void(const Node& n, const Tensor& g, const Needed& needed, std::vector<Tensor>& grads)> run;
  void* held = nullptr;
  explicit operator bool() const { return static_cast<bool>(run); }
};

// A tensor kept for a gradient rule outside a node's own slots, under the same guarantee: memory that others may write
// is copied, and an in-place write is detected.
class Kept {
 public:
  explicit Kept(const Tensor& t);
  Kept(Kept&& o) noexcept = default;
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept();
  Tensor get(const char* op) const;  // GradientError if it was written since
  bool unchanged() const { return tensor_->storage->version == version_; }
  // Its graph, if this tensor holds the only reference to it.
  Node* sole_way() const { return tensor_->refs == 1 ? tensor_->node : nullptr; }

 private:
  Tensor tensor_;
  std::uint32_t version_;
};

// What few nodes have: many dimensions, many inputs, an operand kept beyond the third, a user's rule, the user's source
// line, copies of the operands and last the result where values are to be looked at, a shell (core/host.h).
struct Extra {
  Dims shape;  // of more dimensions than a node has room for
  std::vector<Node*> inputs;
  std::vector<Kept> kept;
  DynamicRule rule;
  std::string where;
  std::vector<Tensor> values;
  void* shell = nullptr;
};

struct Node {
  static constexpr int inline_inputs = 3, max_saved = 3, inline_dims = 4;
  std::uint32_t refs = 1;
  std::uint32_t slot = 0;        // 1 + index in the current pass over this node
  std::unique_ptr<Extra> extra;  // read whenever refs changes, and therefore next to it
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
  std::uint8_t ndim = 0;
  std::int64_t dims[inline_dims];  // of the output, up to ndim, where they fit
  TensorImpl* target = nullptr;    // not counted: the tensor whose .grad backward() fills

  Node() {}  // as of TensorImpl: dims stay unset
  Node* const* inputs() const { return input_count <= inline_inputs ? inputs_ : extra->inputs.data(); }
  Dims shape() const {
    if (ndim > inline_dims) return extra->shape;
    Dims d;
    for (int i = 0; i < ndim; ++i) d.push(dims[i]);
    return d;
  }
  bool has_shape(const Dims& s) const {
    if (ndim > inline_dims) return extra->shape == s;
    return ndim == s.size() && std::equal(s.begin(), s.end(), dims);
  }
  Extra& more() {
    if (!extra) extra = std::make_unique<Extra>();
    return *extra;
  }
  const char* name() const { return op ? op->name : "leaf"; }
};

Node* new_node(const Tensor& out);  // shape, dtype and sequence set; refs = 1
void release(Node* n);              // one count less
void retain_shell(Node* n);
inline Node* retain(Node* n) {
  if (!n) return n;
  ++n->refs;
  if (n->extra) [[unlikely]]
    retain_shell(n);
  return n;
}
inline bool has_shell(const Node* n) { return n && n->extra && n->extra->shell; }
void add_shell_if_wanted(Node* n);
// Adds a shell if its rule or an input needs one.
inline void add_shell(Node* n) {
  bool perhaps = n->extra != nullptr;
  for (const Node* in : n->inputs_) perhaps |= in && in->extra;
  if (perhaps) [[unlikely]]
    add_shell_if_wanted(n);
}
void set_inputs(Node* n, const Tensor* in, int count);
void save(Node* n, unsigned which, const Tensor* in, const Tensor& out);
void drop_saved(Node* n);
// What the node saved of its operands, and last of its result: null where it saved nothing, or what was written since.
std::vector<Tensor> saved_of(const Node& n);
// A tensor to keep beside the node that has `t` as an input: where the garbage collector looks after t's graph, the
// node's own count is enough, and this one is t without its graph. reconnected() gives it back.
Tensor beside_graph(const Tensor& t);
Tensor reconnected(const Tensor& kept, Node* source);

std::uint64_t sequence();  // nodes made from now on have at least this number

Node* make_leaf(const Tensor& t);                // gives t a leaf node; backward() fills its .grad
Node* make_watch(const Tensor& t);               // gives t a node above its own, for tapes and transforms
void end_watch(const Tensor& t, Node* watched);  // takes it off again, as soon as later ones are off
void forget_target(TensorImpl* p);               // no node fills p's .grad any more
extern const Op watch_op;

std::size_t live_nodes();

}  // namespace steep
