// Backward: consumers before inputs, each node's gradient complete before its rule runs. The first gradient to arrive
// at a node is moved into its entry, the second makes a sum of its own, later ones are added into that sum in place.
#include "graph/backward.h"

#include "core/host.h"
#include "core/iterate.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "graph/apply.h"
#include "graph/mode.h"
#include "graph/order.h"
#include "graph/profile.h"
#include "graph/recorder.h"
#include "ops/functions.h"

namespace steep {
namespace {

// Whether to look for Ctrl-C before a node's rule: small ones take less time than looking does. Work that takes long
// looks for itself (core/parallel.h), but a rule may be many ops that do not.
bool is_polled(std::size_t i, const Entry& e) {
  constexpr std::int64_t small = 1024;
  return (i % 16 == 0 || e.value.size() > small) && host_hooks().poll;
}

void accumulate(Entry& e, Tensor g, bool recording);

// The rule of slice, for those whose gradients were put off.
Tensor placed(const SliceGradient& s, const Dims& shape) {
  const auto a = s.slice.as<Slice>();
  return embed(s.g, a.start.dims(), a.step.dims(), shape);
}

// Gradients of slices become part of the node's, joined if that is possible.
void add_slices(Entry& e, bool recording) {
  if (!e.put_off || e.put_off->slices.empty()) return;
  std::vector<SliceGradient> slices = std::exchange(e.put_off->slices, {});
  const Dims shape = e.node->shape();
  const Tensor joined = slices.size() > 1 ? join_slices(slices, shape) : Tensor();
  if (joined) return accumulate(e, joined, recording);
  for (const SliceGradient& s : slices) accumulate(e, placed(s, shape), recording);
}

void add_products(Entry& e, bool recording) {
  if (!e.put_off || e.put_off->products.empty()) return;
  const std::vector<ProductGradient> products = std::exchange(e.put_off->products, {});
  const ProfiledPass noted(products[0].of);
  accumulate(e, sum_products(products), recording);
}

// Where every node's gradient is looked at, none may be put off.
bool may_wait(const Node& n) {
  return !mode().anomaly && !mode().keeps_values && !is_traced() && !(n.extra && n.extra->rule);
}
// A slice's gradient waits for those of other slices of the same tensor.
bool waits(const Node& n, const Entry* below) {
  static const Op& slice = find_op("slice");
  return n.op == &slice && below && !below->value && may_wait(n);
}

// The matrix that a product's right factor is, or of which it is the transposed one.
struct Factor {
  Entry* matrix = nullptr;
  bool transposed = false;
};
Factor right_factor(Order& order, const Node& n) {
  static const Op& matmul = find_op("matmul");
  Entry* e = n.op == &matmul && n.inputs()[1]->ndim == 2 ? order.find(n.inputs()[1]) : nullptr;
  if (!e || !e->needed || e->target || e->end || !is_transposed(e->node)) return {e};
  Entry* below = order.find(e->node->inputs()[0]);
  return below && below->needed ? Factor{below, true} : Factor{e};
}
// From the second product on, a matrix's gradient waits for those of the others, where they are small.
bool puts_off_product(Order& order, const Node& n, const Tensor& g) {
  const Factor right = right_factor(order, n);
  if (!right.matrix || !may_wait(n)) return false;
  if (!std::exchange(right.matrix->multiplied, true) || g.ndim() != 2) return false;
  const Tensor x = Rule{n, 1}.in(0);
  if (x.ndim() != 2 || !is_small_product(x, g)) return false;
  right.matrix->later().products.push_back({x, g, right.transposed, &n});
  ++mode().rules_run;
  return true;
}

// Whether the sum of the two would lie in memory as `sum` does: sums of what is laid out differently have other bits.
bool lies_as_sum(const Tensor& sum, const Tensor& term) {
  if (sum.contiguous()) return true;
  const Tensor both[] = {sum, term};
  return shared_order(both, 2, sum.shape(), sum.size()) == dense_order(sum);
}

void accumulate(Entry& e, Tensor g, bool recording) {
  if (e.put_off) add_slices(e, recording);
  if (!e.value) {
    e.value = std::move(g);
  } else if (e.owned && !recording && !is_recording() && lies_as_sum(e.value, g)) {
    add_into(e.value, g);
  } else {
    e.value = add(e.value, g);
    e.owned = true;
  }
}

// .grad is shared with nobody, since users scale it in place: g's two counts are the entry's and this one.
Tensor own(const Tensor& g) {
  if (is_recording()) return copy(g);
  if (g->refs <= 2 && g->storage->refs == 1 && g.contiguous() && !g->node) return g;
  return copied(g);
}

void store_grad(TensorImpl* leaf, Tensor g) {
  const Tensor owner = Tensor::share(leaf), before = grad_of(owner);
  const NoGrad off;
  set_grad(owner, before ? add(before, g) : own(g));
}

void check_freed(const Node& n) {
  if (n.freed)
    fail<GradientError>(n.name(),
                        ": backward() went through this graph before and freed what it kept; call the first "
                        "one with retain_graph=True to go through it twice");
}

// Working memory of a step, kept from node to node so that a pass allocates once. Between steps `grads` holds nothing.
struct Scratch {
  std::vector<Entry*> below;  // of the inputs that need a gradient, else null
  Needed needed;
  std::vector<Tensor> grads;

  // False for a target with nothing needed below it.
  bool look_below(Order& order, const Node& n) {
    const auto count = static_cast<std::size_t>(n.input_count);
    if (grads.size() != count) below.resize(count), needed.resize(count), grads.resize(count);
    bool any = false;
    for (std::size_t i = 0; i < count; ++i) {
      Entry* in = order.find(n.inputs()[i]);
      const bool wanted = in && in->needed;
      below[i] = wanted ? in : nullptr;
      needed[i] = wanted;
      any |= wanted;
    }
    return any;
  }
};

// One node: its rule, then its gradients to its inputs.
void step(Order& order, Entry& e, const WalkOptions& options, Scratch& scratch) {
  Node& n = *e.node;
  if (!scratch.look_below(order, n)) return;
  auto& [below, needed, grads] = scratch;
  check_freed(n);
  if (waits(n, below[0])) {
    ++mode().rules_run;
    below[0]->later().slices.push_back({e.value, n.attrs});
  } else {
    if (!options.record && n.input_count == 2 && needed[1] && puts_off_product(order, n, e.value)) needed[1] = false;
    run_rules(n, e.value, needed, grads);
  }
  e.value = {};
  if (options.free_saved) {
    drop_saved(&n);
    n.freed = true;
  }
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (grads[i]) accumulate(*below[i], std::move(grads[i]), options.record);
}

void seed(Order& order, const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents, bool record) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Entry* e = order.find(outputs[i]->node);
    if (!e) continue;
    if (!(cotangents[i].shape() == outputs[i].shape()))
      fail<GradientError>("backward: the cotangent ", cotangents[i], " does not have the shape of its output ",
                          outputs[i]);
    accumulate(*e, astype(cotangents[i], e->node->dtype), record);
  }
}

void mark(Order& order, const std::vector<Node*>* targets) {
  if (targets) {
    for (const Node* t : *targets)
      if (Entry* e = order.find(t)) e->target = true;
  } else {
    for (Entry& e : order.entries()) e.target = e.node->target != nullptr;
  }
  order.mark_needed();
}

// A target's gradient is complete: return it, or add it to its tensor's .grad.
void deliver(const Entry& e, const std::vector<Node*>* targets, std::vector<Tensor>& found) {
  if (!targets && !e.node->target) return;  // a rule has released the tensor meanwhile
  if (!targets) return store_grad(e.node->target, e.value);
  for (std::size_t t = 0; t < targets->size(); ++t)
    if ((*targets)[t] == e.node) found[t] = e.value;
}

}  // namespace

std::vector<Tensor> backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents,
                             const std::vector<Node*>* targets, const WalkOptions& options) {
  static const std::vector<Node*> none;
  Scope<bool> recording(mode().grad, options.record);
  const ProfiledPass noted(nullptr);
  Order order(outputs, options.since, targets ? *targets : none);
  mark(order, targets);
  seed(order, outputs, cotangents, options.record);
  std::vector<Tensor> found(targets ? targets->size() : 0);
  Scratch scratch;
  for (std::size_t i = order.entries().size(); i-- > 0;) {
    Entry& e = order.entries()[i];
    if (e.put_off) {
      add_slices(e, options.record);
      add_products(e, options.record);
      e.put_off.reset();
    }
    if (!e.value || !e.needed) continue;
    if (is_polled(i, e)) host_hooks().poll();
    if (e.target) deliver(e, targets, found);
    if (e.node->input_count && !e.end) step(order, e, options, scratch);
    e.value = {};
  }
  return found;
}

bool depends_on_others(const std::vector<Tensor>& outputs, const std::vector<Node*>& inputs) {
  Order order(outputs, 0, inputs);
  for (const Entry& e : order.entries()) {
    const bool given = std::find(inputs.begin(), inputs.end(), e.node) != inputs.end();
    if (e.node->input_count == 0 && !given) return true;
    if (given && e.node->input_count) return true;
  }
  return false;
}

std::vector<Node*> captured_nodes(const std::vector<Tensor>& outputs, const std::vector<Node*>& inputs,
                                  std::uint64_t since) {
  std::vector<Node*> found;
  Order order(outputs, since, inputs);
  const auto has = [](const std::vector<Node*>& v, const Node* n) {
    return std::find(v.begin(), v.end(), n) != v.end();
  };
  const auto reach = [&](Node* n) {
    if (Entry* e = order.find(n)) e->needed = true;
    else if (n && n->sequence < since && !has(found, n)) found.push_back(n);
  };
  for (const Tensor& y : outputs) reach(y->node);
  for (std::size_t i = order.entries().size(); i-- > 0;) {  // what is below the inputs is not captured
    const Entry& e = order.entries()[i];
    if (!e.needed || has(inputs, e.node)) continue;
    if (e.node->sequence < since && !has(found, e.node)) found.push_back(e.node);
    for (int in = 0; e.node->sequence >= since && in < e.node->input_count; ++in) reach(e.node->inputs()[in]);
  }
  return found;
}

}  // namespace steep
