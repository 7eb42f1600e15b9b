// apply(): promote, infer, compute, record. Start reading there.
#include "graph/apply.h"

#include <algorithm>

#include "core/host.h"
#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/mode.h"
#include "graph/node.h"
#include "graph/profile.h"
#include "graph/recorder.h"
#include "graph/result_log.h"
#include "ops/functions.h"

namespace steep {

thread_local constinit Mode mode_storage;

namespace {

thread_local std::vector<Override> overrides;

bool any_node(const Tensor* in, int count) {
  for (int i = 0; i < count; ++i)
    if (in[i]->node) return true;
  return false;
}

DType promotion(Promote how, DType common) {
  switch (how) {
    case Promote::boolean: return Bool;
    case Promote::floating: return to_float(common);
    case Promote::sum: return to_sum(common);
    default: return common;
  }
}
DType promotion(Promote how, const Tensor* in, int count) {
  DType common = in[0].dtype();
  for (int i = 1; i < count; ++i) common = promote(common, in[i].dtype());
  return promotion(how, common);
}
bool is_promoted(const Op& op, const Tensor* in, int count) {
  if (op.promotes == Promote::none) return true;
  const DType first = in[0].dtype();
  for (int i = 1; i < count; ++i)
    if (in[i].dtype() != first) return false;
  return promotion(op.promotes, first) == first;
}

// The op on its operands in one dtype, through the cast op so that gradients flow back.
[[gnu::noinline]] Tensor apply_promoted(const Op& op, const Tensor* in, int count, const AttrsRef& attrs) {
  const DType common = promotion(op.promotes, in, count);
  std::vector<Tensor> casts;
  for (int i = 0; i < count; ++i) casts.push_back(astype(in[i], common));
  return apply(op, casts.data(), count, attrs);
}

// A result without a graph records which op detached it, for explain().
const char* detaching_op(const Op& op, const Tensor* in, int count) {
  for (int i = 0; i < count; ++i) {
    if (in[i]->node) return mode().grad ? op.name : "no_grad";
    if (in[i]->detached_by) return in[i]->detached_by;
  }
  return nullptr;
}

// What the rules of the inputs that have nodes need saved.
unsigned wanted(const Op& op, const Tensor* in, int count) {
  unsigned saves = nothing;
  const int last = static_cast<int>(op.vjp.size()) - 1;
  for (int i = 0; i < count; ++i)
    if (in[i]->node) saves |= op.vjp[static_cast<std::size_t>(std::min(i, last))].saves;
  return saves;
}

const Override* find_override(const Op& op) {
  for (std::size_t i = overrides.size(); i-- > 0;)
    if (overrides[i].op == &op) return overrides[i].rule ? &overrides[i] : nullptr;
  return nullptr;
}

// The user's rule sees copies of the handles, without nodes of this application, so no cycle can form.
DynamicRule overridden(const Override& o, const Op& op, const Tensor* in, int count, const Tensor& out) {
  auto kept = std::make_shared<std::vector<Kept>>();
  kept->reserve(static_cast<std::size_t>(count) + 1);
  for (int i = 0; i < count; ++i) kept->emplace_back(beside_graph(in[i]));
  kept->emplace_back(alias(out));
  const auto run = [rule = *o.rule, kept, &op](const Node& n, const Tensor& g, const Needed&, std::vector<Tensor>& to) {
    std::vector<Tensor> inputs;
    for (int i = 0; i < n.input_count; ++i)
      inputs.push_back(reconnected((*kept)[static_cast<std::size_t>(i)].get(op.name), n.inputs()[i]));
    auto grads = rule(g, inputs, kept->back().get(op.name));
    for (std::size_t i = 0; i < to.size() && i < grads.size(); ++i) to[i] = grads[i];
  };
  return {run, o.held};
}

// For sp.page(): copies, since memory outside of the graph may be written later.
void keep_values(Node* n, const Tensor* in, int count, const Tensor& out) {
  std::vector<Tensor>& values = n->more().values;
  for (int i = 0; i < count; ++i) values.push_back(copied(in[i]));
  values.push_back(copied(out));
}

[[gnu::noinline]] void record(const Call& c) {
  Node* n = new_node(c.out);
  const Tensor& out = c.out;
  out->node = n;
  n->op = &c.op;
  n->attrs = c.attrs;
  set_inputs(n, c.in, c.count);
  const Override* o = mode().overridden ? find_override(c.op) : nullptr;
  if (o) {
    n->more().rule = overridden(*o, c.op, c.in, c.count, out);
  } else if (const unsigned which = wanted(c.op, c.in, c.count)) {
    save(n, which, c.in, out);
  }
  add_shell(n);
  if (mode().keeps_values) keep_values(n, c.in, c.count, out);
  if (mode().wants_lines()) n->more().where = user_line();
}

// bfloat16 is stored, copied and cast. Arithmetic on it is done in float32 and rounded once, gradients included.
bool needs_float32(const Op& op, const Tensor* in, int count) {
  if (!op.compute || op.any_dtype) return false;
  for (int i = 0; i < count; ++i)
    if (in[i].dtype() == BFloat16) return true;
  return false;
}
[[gnu::noinline]] Tensor in_float32(const Op& op, const Tensor* in, int count, const AttrsRef& attrs) {
  std::vector<Tensor> wide;
  for (int i = 0; i < count; ++i) wide.push_back(in[i].dtype() == BFloat16 ? astype(in[i], Float32) : in[i]);
  const Tensor y = apply(op, wide.data(), count, attrs);
  return y.dtype() == Float32 ? astype(y, BFloat16) : y;
}

bool all_finite(const Tensor& t) {
  const Tensor flags = all(isfinite(t));
  return *flags.data<bool>();
}

// Operations inside a computation are neither recorded nor timed.
[[gnu::noinline]] void run_alone(const Call& c) {
  if (!c.op.compute) return;
  Scope<Recorder*> unrecorded(mode().recorder, nullptr);
  Scope<Profiler*> untimed(mode().profiler, nullptr);
  c.op.compute(c);
}
void run_timed(const Call& c) {
  Profiler* profiler = mode().profiler;
  if (!profiler || !c.op.compute) return run_alone(c);
  const std::int64_t begin = profiler->now();
  run_alone(c);
  profiler->ran(c, begin);
}
[[gnu::noinline]] void compute_watched(const Call& c) {
  run_timed(c);
  if (is_recording()) mode().recorder->computed(c);
}

}  // namespace

Tensor apply(const Op& op, const Tensor* in, int count, const AttrsRef& attrs) {
  if (!is_promoted(op, in, count)) return apply_promoted(op, in, count, attrs);
  if (needs_float32(op, in, count)) return in_float32(op, in, count, attrs);
  Call call{op, in, count, attrs, {}};
  const Mode& m = mode();
  if (m.results) [[unlikely]]
    call.out = m.results->recall(call);
  if (!call.out) {
    op.infer(call);
    if (m.recorder || m.profiler) compute_watched(call);
    else if (op.compute) op.compute(call);
  }
  if (m.results) [[unlikely]]
    m.results->note(call);
  if (m.anomaly && op.compute) check_finite(call.out, op.name, "forward", in, count, "");
  if (m.grad && !op.vjp.empty() && is_float(call.out.dtype()) && any_node(in, count)) {
    record(call);
  } else {
    call.out->detached_by = detaching_op(op, in, count);
  }
  return std::move(call.out);
}

void apply_into(const Op& op, std::initializer_list<Tensor> in, const Tensor& target, const AttrsRef& attrs) {
  const Uninterrupted whole;
  const Call call{op, in.begin(), static_cast<int>(in.size()), attrs, target};
  Recorder* recorder = mode().recorder;
  if (!recorder && !mode().profiler) return op.compute(call);
  if (recorder) recorder->will_write(call);
  run_timed(call);
  if (recorder) recorder->written(call);
}

void record_dynamic(const Op& row, const Tensor& out, const std::vector<Node*>& inputs, DynamicRule rule) {
  Node* n = new_node(out);
  Tensor(out)->node = n;
  n->op = &row;
  Extra& extra = n->more();
  extra.rule = std::move(rule);
  if (inputs.size() <= Node::inline_inputs) std::copy(inputs.begin(), inputs.end(), n->inputs_);
  else extra.inputs = inputs;
  n->input_count = static_cast<std::uint16_t>(inputs.size());
  for (Node* in : inputs) retain(in);
  add_shell(n);
  if (mode().keeps_values) {
    extra.values.resize(inputs.size());
    extra.values.push_back(copied(out));
  }
  if (mode().wants_lines()) extra.where = user_line();
}

void push_override(Override o) {
  overrides.push_back(std::move(o));
  mode().overridden = true;
}
void pop_override() {
  if (!overrides.empty()) overrides.pop_back();
  mode().overridden = !overrides.empty();
}

void before_write(const char* op, const Tensor& target, const Tensor* operands, int count) {
  if (target->storage->readonly)
    fail<ValueError>(op, ": the memory behind ", target, " is read-only; write into a copy");
  for (int d = 0; d < target.ndim(); ++d)
    if (target.size() > 0 && target.dim(d) > 1 && target.strides()[d] == 0)
      fail<ValueError>(op, ": ", target, " was broadcast, and its elements along axis ", d,
                       " share memory; write into a copy()");
  const bool leaf = target->requires_grad;
  if (target->node && !(leaf && !mode().grad))
    fail<GradientError>(op, ": ", target,
                        leaf ? " is a leaf that requires a gradient; write to it under no_grad()"
                             : " is part of a graph and cannot be written in place; write y = y + x "
                               "instead of y += x, or detach() it first");
  for (int i = 0; i < count; ++i)
    if (operands[i] && operands[i]->node && mode().grad)
      fail<GradientError>(op, ": writing ", operands[i], ", which is part of a graph, into ", target,
                          " would lose its gradient; write y = y + x instead, or work under no_grad()");
  ++target->storage->version;
  target->storage->writer = op;
}

void check_finite(const Tensor& t, const char* op, const char* phase, const Tensor* in, int count,
                  const std::string& where) {
  if (!is_float(t.dtype()) || t.size() == 0) return;
  Scope<bool> quiet(mode().anomaly, false);
  Scope<bool> still(mode().grad, false);
  if (all_finite(t)) return;
  std::string operands;
  for (int i = 0; i < count; ++i) operands += str(i ? ", " : "", in[i]);
  const std::string line = where.empty() ? user_line() : where;
  fail<GradientError>("detect_anomaly: ", op, " is the first to produce a NaN or an infinity, in the ", phase, " pass",
                      operands.empty() ? "" : " from ", operands, line.empty() ? "" : " at ", line);
}

}  // namespace steep
