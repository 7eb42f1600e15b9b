// A node of a graph in Python: what it is, what it kept, and its gradient rule alone, which sp.page() shows step by
// step.
#include <pybind11/stl.h>

#include "bindings/collect.h"
#include "bindings/host.h"
#include "bindings/python.h"
#include "graph/apply.h"
#include "graph/backward.h"

namespace steep {
namespace {

bool has_own_rule(const Node& n) { return n.extra && n.extra->rule; }

py::list inputs_of(const NodeHandle& n) {
  py::list inputs;
  for (int i = 0; i < n.get()->input_count; ++i) {
    Node* in = n.get()->inputs()[i];
    inputs.append(in ? py::cast(NodeHandle(in)) : py::none());
  }
  return inputs;
}

py::dict attributes_of_node(const NodeHandle& n) {
  return n.get()->op ? attributes_dict(*n.get()->op, n.get()->attrs) : py::dict();
}

// The gradients of the inputs that have nodes, by this node's rule alone. Recorded, it runs as ops, and no fused
// kernel.
std::vector<Tensor> pull(const NodeHandle& n, const Tensor& g, bool record) {
  const WalkLock lock;
  if (n.get()->freed)
    fail<GradientError>(n.get()->name(), ": backward() freed what this graph kept; call it with retain_graph=True");
  const Scope<bool> recording(mode().grad, record);
  const auto count = static_cast<std::size_t>(n.get()->input_count);
  Needed needed(count);
  for (std::size_t i = 0; i < count; ++i) needed[i] = n.get()->inputs()[i] != nullptr;
  std::vector<Tensor> grads(count);
  run_rules(*n.get(), g, needed, grads);
  return grads;
}

// The op applied again, to all of its operands, without a graph.
Tensor again(const NodeHandle& n, const std::vector<Tensor>& operands) {
  if (!n.get()->op || !n.get()->op->infer || has_own_rule(*n.get()))
    fail<ValueError>(n.get()->name(), ": a node that is no op of the table cannot be computed again");
  const NoGrad off;
  return apply(*n.get()->op, operands.data(), static_cast<int>(operands.size()), n.get()->attrs);
}

}  // namespace

void bind_node(py::module_& m) {
  py::class_<NodeHandle>(m, "Node", "A node of a graph.", py::custom_type_setup(collect_node))
      .def(py::init([](const py::args&, const py::kwargs&) -> NodeHandle {
        fail<TypeError>("Node: nodes come with recorded tensors, and are not made by hand");
      }))
      .def_property_readonly("name", [](const NodeHandle& n) { return n.get()->name(); })
      .def_property_readonly("target", [](const NodeHandle& n) { return Tensor::share(n.get()->target); })
      .def_property_readonly("sequence", [](const NodeHandle& n) { return n.get()->sequence; })
      .def_property_readonly("inputs", &inputs_of)
      .def_property_readonly(
          "shape", [](const NodeHandle& n) { return py::reinterpret_steal<py::object>(shape_tuple(n.get()->shape())); })
      .def_property_readonly("dtype", [](const NodeHandle& n) { return name(n.get()->dtype); })
      .def_property_readonly("attributes", &attributes_of_node)
      .def_property_readonly("where",
                             [](const NodeHandle& n) { return n.get()->extra ? n.get()->extra->where : std::string(); })
      .def_property_readonly("freed", [](const NodeHandle& n) { return n.get()->freed; })
      .def_property_readonly("has_own_rule", [](const NodeHandle& n) { return has_own_rule(*n.get()); })
      .def(
          "saved", [](const NodeHandle& n) { return saved_of(*n.get()); }, "What its rule may read.")
      .def(
          "values",
          [](const NodeHandle& n) {
            const bool kept = n.get()->extra && !n.get()->extra->values.empty();
            return kept ? n.get()->extra->values : saved_of(*n.get());
          },
          "The operands and the result, as far as they are known.")
      .def("pull", &pull)
      .def("again", &again)
      .def("__eq__", [](const NodeHandle& a, const NodeHandle& b) { return a.get() == b.get(); })
      .def("__hash__", [](const NodeHandle& a) { return reinterpret_cast<std::uintptr_t>(a.get()); });
  set_signature(m.attr("Node"), "");
}

}  // namespace steep
