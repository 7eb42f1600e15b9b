// Graphs in Python: backward(), the two traversals, watching, modes, gradient-rule overrides and nodes with Python
// rules; what a node is to Python is in node_type.cpp. python/steep/transforms.py and tape.py are written in terms of
// these.
#include "bindings/autograd.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings/collect.h"
#include "bindings/host.h"
#include "bindings/python.h"
#include "core/parallel.h"
#include "graph/backward.h"
#include "graph/result_log.h"
#include "ops/functions.h"

namespace steep {
namespace {

std::vector<Node*> nodes_of(const std::vector<NodeHandle>& handles) {
  std::vector<Node*> nodes;
  for (const NodeHandle& h : handles) nodes.push_back(h.get());
  return nodes;
}

std::vector<Tensor> walk_backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents,
                                  const std::vector<NodeHandle>& targets, bool record, std::uint64_t since) {
  const WalkLock lock;
  const auto nodes = nodes_of(targets);
  return backward(outputs, cotangents, &nodes, {.record = record, .since = since});
}
std::vector<Tensor> walk_forward(const std::vector<Tensor>& outputs, const std::vector<NodeHandle>& inputs,
                                 const std::vector<Tensor>& tangents, bool record) {
  const WalkLock lock;
  return forward(outputs, nodes_of(inputs), tangents, {.record = record});
}

py::object node_of(const Tensor& t) { return t->node ? py::cast(NodeHandle(t->node)) : py::none(); }

// Puts a node above t's own and returns it; unwatch() removes it again.
NodeHandle watch(const Tensor& t) {
  if (!is_float(t.dtype()))
    fail<TypeError>("watch: only bfloat16, float32 and float64 tensors have gradients, and this is ", t);
  return NodeHandle(make_watch(t));
}
void unwatch(const Tensor& t, const NodeHandle& watched) { end_watch(t, watched.get()); }
// The same memory under a new node: what a transform differentiates with respect to.
std::pair<Tensor, NodeHandle> watched_alias(const Tensor& t) {
  Tensor a = alias(t);
  a->node = retain(t->node);
  return {a, watch(a)};
}

std::vector<NodeHandle> captured(const std::vector<Tensor>& outputs, const std::vector<NodeHandle>& inputs,
                                 std::uint64_t since) {
  const WalkLock lock;
  std::vector<NodeHandle> found;
  for (Node* n : captured_nodes(outputs, nodes_of(inputs), since)) found.emplace_back(n);
  return found;
}

// The gradients a Python rule returned: one tensor or None, or a sequence of them, one per input.
void read_gradients(const py::object& result, const char* op, std::vector<Tensor>& grads) {
  const bool one = result.is_none() || is_tensor(result.ptr());
  const py::tuple list = one ? py::make_tuple(result) : py::tuple(result);
  if (list.size() != grads.size())
    fail<GradientError>(op, ": its gradient rule returned ", list.size(), " gradients for ", grads.size(), " inputs");
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (!list[i].is_none()) grads[i] = to_tensor(list[i].ptr());
}

// Rows for nodes with Python rules, one per name, never freed.
const Op& named_row(const std::string& name) {
  static auto& rows = *new std::vector<std::pair<std::string*, Op*>>;
  for (auto& [text, row] : rows)
    if (*text == name) return *row;
  auto* text = new std::string(name);
  rows.emplace_back(text, new Op{.name = text->c_str()});
  return *rows.back().second;
}

// y as the recorded result of `inputs` (tensors or nodes, None for constants), with gradient rule(g) -> gradients. The
// last `unknown` inputs are those whose gradient the rule cannot give: a traversal that needs one raises.
Tensor record_rule(const std::string& name, const Tensor& y, const std::vector<py::object>& inputs, py::function rule,
                   std::size_t unknown) {
  std::vector<Node*> nodes;
  for (const py::object& in : inputs) {
    if (in.is_none()) nodes.push_back(nullptr);
    else if (is_tensor(in.ptr())) nodes.push_back(borrow(in.ptr())->node);
    else nodes.push_back(in.cast<const NodeHandle&>().get());
  }
  Tensor out = alias(y);
  if (std::any_of(nodes.begin(), nodes.end(), [](const Node* n) { return n != nullptr; }))
    record_dynamic(
        named_row(name), out, nodes,
        {[rule, name, unknown](const Node&, const Tensor& g, const Needed& needed, std::vector<Tensor>& grads) {
           for (std::size_t i = needed.size() - unknown; i < needed.size(); ++i)
             if (needed[i])
               fail<GradientError>(name, ": its function reads a tensor that requires a gradient and is not ",
                                   "among its arguments, whose gradient its rule would lose; make it an ",
                                   "argument, or detach() it");
           read_gradients(rule(to_python(g)), name.c_str(), grads);
         },
         rule.ptr()});
  return out;
}

// A thread may end with a rule in force, and then no longer hold the interpreter lock; after interpreter shutdown,
// rules are not freed.
void drop_rule(UserRule* rule) {
  if (!Py_IsInitialized()) return;
  const py::gil_scoped_acquire lock;
  delete rule;
}

// rule(g, inputs, output) -> gradient(s), or None to go back to the op's own rule.
void override_rule(const std::string& name, py::object rule) {
  Override o{&find_op(name), nullptr};
  o.held = rule.is_none() ? nullptr : rule.ptr();
  if (!rule.is_none())
    o.rule = std::shared_ptr<UserRule>(
        new UserRule([rule, name](const Tensor& g, const std::vector<Tensor>& in, const Tensor& out) {
          std::vector<Tensor> grads(in.size());
          read_gradients(rule(g, py::tuple(py::cast(in)), out), name.c_str(), grads);
          return grads;
        }),
        drop_rule);
  push_override(std::move(o));
}

PyObject* explain_in_words(const Op& op, const py::object& y, const py::object& x) {
  for (PyObject* each : {y.ptr(), x.ptr()})
    if (!is_tensor(each)) fail<TypeError>(op.name, ": needs two tensors, and got ", Py_TYPE(each)->tp_name);
  const WalkLock lock;
  return py::str(explain(borrow(y.ptr()), borrow(x.ptr()))).release().ptr();
}

}  // namespace

void require_grad(const Tensor& t, bool wanted) {
  if (wanted && t->node) return;
  if (wanted) {
    make_leaf(t);
  } else if (t->node) {
    if (!t->requires_grad)
      fail<GradientError>("requires_grad: ", t, " was computed by ", t->node->name(),
                          "; use detach() for a constant with its values");
    forget_target(t.get());
    release(t->node);
    t->node = nullptr;
  }
  t->requires_grad = wanted;
}

void run_backward(const Tensor& t, const Tensor& gradient, bool retain_graph) {
  const WalkLock lock;
  if (!t->node)
    fail<GradientError>(
        "backward: ", t, " has no graph",
        t->detached_by
            ? str(": it comes from ", t->detached_by, ", which stops gradients")
            : std::string(
                  ": none of its inputs requires a gradient (requires_grad=True), or it was made under no_grad()"));
  if (!gradient && t.size() != 1)
    fail<GradientError>("backward: ", t,
                        " is not a scalar; reduce it first, as in y.sum().backward(), or pass gradient=, a "
                        "tensor of its shape");
  const Tensor g = gradient ? gradient : full(t.shape(), 1, t.dtype());
  backward({t}, {g}, nullptr, {.free_saved = !retain_graph});
}

std::shared_ptr<ResultLog> new_result_log(const std::vector<std::string>& names) {
  std::vector<const Op*> ops;
  for (const std::string& name : names) {
    const Op& op = find_op(name);
    if (!op.compute)
      fail<ValueError>("checkpoint: ", op.name, " ", op.infer ? "is a view of its operand" : "is made of other ops",
                       ", so there is no result of it to keep; a compiled function prints the ops that compute");
    ops.push_back(&op);
  }
  return std::make_shared<ResultLog>(std::move(ops));
}

// For one run of a checkpointed function: `again` if it is not the first.
void bind_result_log(py::module_& m) {
  py::class_<ResultLog, std::shared_ptr<ResultLog>>(m, "_ResultLog", "What checkpoint(keep=) keeps.")
      .def(py::init(&new_result_log))
      .def("run", [](const std::shared_ptr<ResultLog>& log, bool again, const py::function& f) {
        if (again) log->rewind();
        const Scope<ResultLog*> scope(mode().results, log.get());
        return f();
      });
}

void bind_autograd(py::module_& m) {
  bind_result_log(m);
  bind_node(m);
  bind_grad_modes(m);
  m.def("_walk_backward", walk_backward);
  m.def("_walk_forward", walk_forward);
  m.def("_node_of", node_of);
  m.def("_watch", watch);
  m.def("_unwatch", unwatch);
  m.def("_watched_alias", watched_alias);
  m.def("_captured", captured);
  m.def("_depends_on_others", [](const std::vector<Tensor>& outputs, const std::vector<NodeHandle>& inputs) {
    const WalkLock lock;
    return depends_on_others(outputs, nodes_of(inputs));
  });
  m.def("_record_rule", record_rule, py::arg("name"), py::arg("y"), py::arg("inputs"), py::arg("rule"),
        py::arg("unknown") = 0);
  m.def("_sequence", [] { return checked(PyLong_FromUnsignedLongLong(sequence())); });
  def_function(
      m,
      {.name = "explain",
       .doc = "Explains why y's gradient with respect to x is None or zero, or which ops it flows through.",
       .returns = "A string.",
       .raises = "TypeError: for what is no tensor.",
       .example =
           ">>> x = sp.tensor(2.0, requires_grad=True)\n"
           ">>> print(sp.explain(sp.floor(x), x))\n"
           "the gradient is zero where it passes floor, flat everywhere; the gradient flows through: floor <- leaf",
       .params = {{"y", Kind::object, required, "the tensor that is differentiated"},
                  {"x", Kind::object, required, "the tensor that it is differentiated with respect to"}}},
      explain_in_words);
  m.def("_set_grad_enabled", [](bool on) { return std::exchange(mode().grad, on); });
  def_function(m,
               {.name = "is_grad_enabled",
                .doc = "Whether operations are being recorded on this thread.",
                .returns = "A bool.",
                .example = ">>> with sp.no_grad():\n"
                           "...     sp.is_grad_enabled()\n"
                           "False"},
               [](const Op&) { return PyBool_FromLong(grad_enabled()); });
  m.def("_set_keeps_values", [](bool on) { return std::exchange(mode().keeps_values, on); });
  m.def("_set_anomaly", [](bool on) { return std::exchange(mode().anomaly, on); });
  m.def("_push_override", override_rule);
  m.def("_pop_override", pop_override);
  py::class_<Kept, std::shared_ptr<Kept>>(m, "_Kept", "A tensor kept for a gradient rule, refused if written since.",
                                          py::custom_type_setup(collect_kept))
      .def(py::init<const Tensor&>())
      .def("get", [](const Kept& k, const std::string& op) { return k.get(op.c_str()); });
  m.def(
      "_rules_run", [] { return mode().rules_run; }, "Gradient rules run so far on this thread.");
  def_function(
      m,
      {.name = "live_nodes",
       .doc = "The number of graph nodes alive now: one for every recorded operation whose result is still needed.",
       .returns = "An int.",
       .example = ">>> before = sp.live_nodes()\n"
                  ">>> x = sp.tensor(1.0, requires_grad=True)\n"
                  ">>> y = x * x\n"
                  ">>> sp.live_nodes() - before\n"
                  "2"},
      [](const Op&) { return PyLong_FromLongLong(static_cast<long long>(live_nodes())); });
}

}  // namespace steep
