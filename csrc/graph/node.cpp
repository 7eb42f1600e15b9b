// Nodes: made from a free list, freed by a worklist, and the tensors they keep for their rules.
// A kept tensor's memory is versioned: Rule::in and Rule::out refuse one that was written after it was saved.
#include "graph/node.h"

#include <new>

#include "core/host.h"
#include "core/iterate.h"
#include "graph/apply.h"
#include "graph/mode.h"

namespace steep {
namespace {

union Slot {
  Slot* next;
  alignas(Node) char bytes[sizeof(Node)];
};
Slot* free_slots = nullptr;
std::size_t live = 0;
std::uint64_t counter = 1;

void refill() {
  constexpr int batch = 256;
  Slot* slots = static_cast<Slot*>(::operator new(sizeof(Slot) * batch));
  for (int i = batch - 1; i >= 0; --i) {
    slots[i].next = free_slots;
    free_slots = &slots[i];
  }
}

void free_node(Node* n) {
  if (has_shell(n)) host_hooks().node_gone(std::exchange(n->extra->shell, nullptr));
  drop_saved(n);
  Node* const* in = n->inputs();
  for (int i = 0; i < n->input_count; ++i)
    if (in[i]) release(in[i]);
  n->~Node();
  free_slots = new (n) Slot{free_slots};
  --live;
}

// Memory that others can write without steep's knowledge is copied when it is saved.
Tensor safe_to_keep(const Tensor& t) {
  if (t->storage->exports == 0 || is_recording()) return t;
  Tensor copy = empty(t.shape(), t.dtype());
  copy_strided(copy, t);
  copy->node = retain(t->node);
  return copy;
}

void keep(Node* n, int at, const Tensor& t) {
  Tensor kept = safe_to_keep(t);
  if (has_shell(kept->node)) [[unlikely]]
    kept = alias(kept);
  ++kept->storage->saves;
  n->versions[at] = kept->storage->version;
  n->saved[at] = kept.release();
}

// Of the tensor that `which` names in `saved`, one of four bits: counted without a call, which std::popcount would be.
int position(const Node& n, unsigned which) {
  const unsigned before = n.saves & (which - 1u);
  return static_cast<int>((before & 1) + (before >> 1 & 1) + (before >> 2 & 1));
}

[[noreturn]] void written_since(const char* op, const Tensor& t) {
  fail<GradientError>(op, ": an operand it keeps for its gradient, ", t, ", was written in place afterwards by ",
                      t->storage->writer, "; write into a copy, or after backward()");
}

void check_kept(const Node& n) {
  if (n.freed)
    fail<GradientError>(n.name(),
                        ": the values kept for its gradient were freed by an earlier backward(); call the "
                        "first one with retain_graph=True to go through the graph twice");
}

// A kept tensor, connected to `source`, the graph node it stood for when it was recorded.
Tensor kept(const Node& n, unsigned which, Node* source) {
  check_kept(n);
  if (which == in3) return reconnected(n.extra->kept[0].get(n.name()), source);
  const int at = position(n, which);
  TensorImpl* p = n.saved[at];
  if (p->storage->version != n.versions[at]) written_since(n.name(), Tensor::share(p));
  return reconnected(Tensor::share(p), source);
}

}  // namespace

Tensor beside_graph(const Tensor& t) { return has_shell(t->node) ? alias(t) : t; }
Tensor reconnected(const Tensor& kept, Node* source) {
  if (kept->node == source) return kept;
  Tensor t = alias(kept);
  t->node = retain(source);
  return t;
}

void retain_shell(Node* n) {
  if (n->extra->shell) host_hooks().retain_shell(n->extra->shell);
}
void add_shell_if_wanted(Node* n) {
  bool wanted = n->extra && n->extra->rule.held;
  for (int i = 0; i < n->input_count && !wanted; ++i) wanted = has_shell(n->inputs()[i]);
  if (wanted && host_hooks().make_shell) n->more().shell = host_hooks().make_shell(n);
}

Node* new_node(const Tensor& out) {
  const Dims& shape = out.shape();
  std::unique_ptr<Extra> extra;
  if (shape.size() > Node::inline_dims) extra = std::make_unique<Extra>(Extra{.shape = shape});
  if (!free_slots) refill();
  Slot* s = free_slots;
  free_slots = s->next;
  Node* n = new (s) Node();
  n->extra = std::move(extra);
  n->ndim = static_cast<std::uint8_t>(shape.size());
  for (int d = 0; d < std::min(shape.size(), Node::inline_dims); ++d) n->dims[d] = shape[d];
  n->dtype = out.dtype();
  n->sequence = counter++;
  ++live;
  return n;
}

void release(Node* n) {
  static Node* pending = nullptr;  // linked through `target`, which is unused in a node without references
  static bool draining = false;
  if (--n->refs) {
    if (has_shell(n)) host_hooks().release_shell(n->extra->shell);
    return;
  }
  n->target = reinterpret_cast<TensorImpl*>(pending);
  pending = n;
  if (draining) return;
  draining = true;
  while (pending) {
    Node* next = pending;
    pending = reinterpret_cast<Node*>(next->target);
    free_node(next);
  }
  draining = false;
}

void set_inputs(Node* n, const Tensor* in, int count) {
  Node** to = n->inputs_;
  if (count > Node::inline_inputs) {
    n->more().inputs.resize(static_cast<std::size_t>(count));
    to = n->extra->inputs.data();
  }
  n->input_count = static_cast<std::uint16_t>(count);
  for (int i = 0; i < count; ++i) to[i] = retain(in[i]->node);
}

void save(Node* n, unsigned which, const Tensor* in, const Tensor& out) {
  n->saves = static_cast<std::uint8_t>(which);
  int at = 0;
  for (int i = 0; i < 3; ++i)
    if (which & (1u << i)) keep(n, at++, in[i]);
  if (which & save_out) keep(n, at, alias(out));
  if ((which & in3) && n->input_count > 3) n->more().kept.emplace_back(beside_graph(in[3]));
}

std::vector<Tensor> saved_of(const Node& n) {
  std::vector<Tensor> found(n.input_count + 1u);
  for (unsigned i = 0; i < 4 && !n.freed; ++i) {
    const unsigned which = i == 3 ? save_out : 1u << i;
    if (!(n.saves & which)) continue;
    const int at = position(n, which);
    if (n.saved[at]->storage->version == n.versions[at])
      found[i == 3 ? n.input_count : i] = alias(Tensor::share(n.saved[at]));
  }
  if (n.extra && !n.extra->kept.empty() && n.extra->kept[0].unchanged())
    found[3] = alias(n.extra->kept[0].get(n.name()));
  return found;
}

void drop_saved(Node* n) {
  for (TensorImpl*& p : n->saved)
    if (p) {
      --p->storage->saves;
      Tensor gone(p);
      p = nullptr;
    }
  if (n->extra) n->extra->kept.clear();
}

std::uint64_t sequence() { return counter; }
std::size_t live_nodes() { return live; }

Node* make_leaf(const Tensor& t) {
  if (!is_float(t.dtype()))
    fail<GradientError>("requires_grad: only bfloat16, float32 and float64 tensors can have gradients, and this is ",
                        t);
  if (!t->node) t->node = new_node(t);
  t->node->target = t.get();
  return t->node;
}

const Op watch_op{.name = "watch",
                  .vjp = {{[](const Rule&, const Tensor& g) { return g; }}},
                  .jvp = Jvp::custom,
                  .jvp_rule = [](const Rule&, const Tensor* t) { return t[0]; }};

Node* make_watch(const Tensor& t) {
  Node* n = new_node(t);
  if (t->node) {
    n->op = &watch_op;
    n->input_count = 1;
    n->inputs_[0] = t->node;  // takes over the tensor's count
  }
  t->node = n;
  add_shell(n);
  return n;
}

void end_watch(const Tensor& t, Node* watched) {
  watched->unwatched = true;
  while (t->node && t->node->unwatched) {
    Node* top = t->node;
    t->node = retain(top->input_count ? top->inputs_[0] : nullptr);
    release(top);
  }
}

void forget_target(TensorImpl* p) {
  for (Node* n = p->node; n; n = n->op == &watch_op ? n->inputs_[0] : nullptr)
    if (n->target == p) n->target = nullptr;
}

Kept::Kept(const Tensor& t)
    : tensor_(safe_to_keep(has_shell(t->node) ? reconnected(alias(t), t->node) : t)),
      version_(tensor_->storage->version) {
  ++tensor_->storage->saves;
}
Kept::~Kept() {
  if (tensor_) --tensor_->storage->saves;
}
Tensor Kept::get(const char* op) const {
  if (tensor_->storage->version != version_) written_since(op, tensor_);
  return tensor_;
}

Tensor Rule::in(int i) const { return kept(node, i < 3 ? 1u << i : in3, node.inputs()[i]); }
Tensor Rule::out() const { return kept(node, save_out, const_cast<Node*>(&node)); }
const AttrsRef& Rule::attrs() const { return node.attrs; }
Dims Rule::shape(int i) const { return node.inputs()[i]->shape(); }
DType Rule::dtype(int i) const { return node.inputs()[i]->dtype; }

}  // namespace steep
