// Running one node's gradient rule: the row's, a fused kernel, or the user's. run_rules() is the backward pass,
// run_jvp() forward mode.
#include "graph/apply.h"
#include "graph/backward.h"
#include "graph/mode.h"
#include "graph/profile.h"
#include "ops/functions.h"

namespace steep {
namespace {

const Vjp& row_rule(const Node& n, int i) {
  const auto& all = n.op->vjp;
  return all[std::min(static_cast<std::size_t>(i), all.size() - 1)];
}

Tensor run_fused(const Vjp& v, const Rule& r, const Tensor& g) {
  const Tensor saved = v.saves == save_out ? r.out() : r.in(__builtin_ctz(v.saves));
  Scope<bool> quiet(mode().anomaly, false);  // the pass checks the gradient, and names the op
  return fused_gradient(v.fused, g, saved, r.attrs());
}

Tensor run_row(Node& n, int i, const Tensor& g) {
  const Vjp& v = row_rule(n, i);
  const Rule r{n, i};
  ++mode().rules_run;
  const bool fused = v.fused != k::Kernel::count && !grad_enabled();
  return fused ? run_fused(v, r, g) : v.rule(r, g);
}

// Sums over broadcast dimensions, to the shape of the input.
Tensor fit_shape(const Tensor& g, const Node& n, const Node& input) {
  const Dims shape = input.shape();
  const int lead = g.ndim() - shape.size();
  for (int d = 0; d < shape.size(); ++d)
    if (lead < 0 || (shape[d] != 1 && shape[d] != g.dim(lead + d)))
      fail<GradientError>(n.name(), ": its gradient rule returned ", g, " for an operand of shape ", shape);
  return sum_to(g, shape);
}

// The gradient that a rule returned in the input's dtype and shape.
void fit(Tensor& g, const Node& n, const Node& input) {
  if (g.dtype() != input.dtype) g = astype(g, input.dtype);
  if (!input.has_shape(g.shape())) g = fit_shape(g, n, input);
}

void check_gradient(const Node& n, const Tensor& g) {
  check_finite(g, n.name(), "backward", &g, 1, n.extra ? n.extra->where : "");
}

// Elementwise: the Jacobian is diagonal, so the vjp of the broadcast tangent is the jvp.
Tensor jvp_diagonal(Node& n, const std::vector<Tensor>& tangents) {
  Tensor total;
  for (int i = 0; i < n.input_count; ++i) {
    if (!tangents[static_cast<std::size_t>(i)]) continue;
    const Tensor t = run_row(n, i, broadcast_to(tangents[static_cast<std::size_t>(i)], n.shape()));
    if (t) total = total ? add(total, t) : t;
  }
  return total;
}

// Any op: u -> vjp(u) is linear, so its own vjp is the Jacobian. Costs a recorded pass through the rule.
Tensor jvp_by_vjp(Node& n, const std::vector<Tensor>& tangents) {
  Scope<bool> recording(mode().grad, true);
  const Tensor u = zeros(n.shape(), n.dtype);
  Node* at = make_watch(u);
  Needed needed;
  for (const Tensor& t : tangents) needed.push_back(t ? 1 : 0);
  std::vector<Tensor> grads(tangents.size());
  run_rules(n, u, needed, grads);
  std::vector<Tensor> outputs, cotangents;
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (needed[i] && grads[i] && grads[i]->node) outputs.push_back(grads[i]), cotangents.push_back(tangents[i]);
  const std::vector<Node*> targets{at};
  return backward(outputs, cotangents, &targets, {.record = true, .since = at->sequence})[0];
}

}  // namespace

void run_rules(Node& n, const Tensor& g, const Needed& needed, std::vector<Tensor>& grads) {
  const ProfiledPass noted(&n);
  if (n.extra && n.extra->rule) {
    ++mode().rules_run;
    n.extra->rule.run(n, g, needed, grads);
  } else if (n.op->joint) {
    ++mode().rules_run;
    n.op->joint({n, 0}, g, needed, grads);
  } else {
    for (int i = 0; i < n.input_count; ++i)
      if (needed[static_cast<std::size_t>(i)]) grads[static_cast<std::size_t>(i)] = run_row(n, i, g);
  }
  for (int i = 0; i < n.input_count; ++i) {
    Tensor& grad = grads[static_cast<std::size_t>(i)];
    if (!grad) continue;
    if (!needed[static_cast<std::size_t>(i)]) grad = {};
    else fit(grad, n, *n.inputs()[i]);
    if (mode().anomaly && grad) check_gradient(n, grad);
  }
}

Tensor run_jvp(Node& n, const std::vector<Tensor>& tangents) {
  if (n.extra && n.extra->rule) return jvp_by_vjp(n, tangents);
  switch (n.op->jvp) {
    case Jvp::diagonal: return jvp_diagonal(n, tangents);
    case Jvp::linear: return apply(*n.op, {tangents[0]}, n.attrs);
    case Jvp::custom: return n.op->jvp_rule(Rule{n, 0}, tangents.data());
    default: return jvp_by_vjp(n, tangents);
  }
}

}  // namespace steep
