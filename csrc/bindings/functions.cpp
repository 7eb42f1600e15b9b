// Every op of the table as a Python function, and as a method where its first parameter is x. One callable type
// serves both: called by vectorcall, ops of tensors alone skip argument parsing.
#include "ops/functions.h"

#include <pybind11/stl.h>

#include <cstddef>
#include <deque>

#include "bindings/python.h"

namespace steep {
namespace {

struct PyOp {
  PyObject_HEAD vectorcallfunc call;
  const Op* op;
  Body body;   // of a function that is not an op
  bool plain;  // tensors in, apply(), tensor out
  int arity;
};
extern PyTypeObject OpType;

PyObject* list_of(const std::vector<Tensor>& results) {
  py::tuple tuple(results.size());
  for (std::size_t i = 0; i < results.size(); ++i)
    PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), wrap(results[i]));
  return tuple.release().ptr();
}

PyObject* call_parsed(const Op& op, PyObject* const* args, Py_ssize_t given, PyObject* names) {
  Args parsed(op.params.size());
  if (!parse_arguments(op, args, given, names, parsed)) return nullptr;
  if (op.call_many) return list_of(op.call_many(op, parsed));
  if (op.call) return wrap(op.call(op, parsed));
  Tensor in[3];
  for (std::size_t i = 0; i < op.params.size(); ++i) in[i] = parsed[i].tensor;
  return wrap(apply(op, in, static_cast<int>(op.params.size())));
}

PyObject* call_function(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* names) {
  const auto& f = *reinterpret_cast<PyOp*>(self);
  return guarded([&]() -> PyObject* {
    Args parsed(f.op->params.size());
    parse_arguments(*f.op, args, PyVectorcall_NARGS(flags), names, parsed);
    return f.body(*f.op, parsed);
  });
}

PyObject* call_op(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* names) {
  const auto& f = *reinterpret_cast<PyOp*>(self);
  const Py_ssize_t given = PyVectorcall_NARGS(flags);
  return guarded([&]() -> PyObject* {
    if (!f.plain || given != f.arity || names) return call_parsed(*f.op, args, given, names);
    Tensor in[3];
    to_tensors(args, static_cast<std::size_t>(f.arity), in);
    return wrap(apply(*f.op, in, f.arity));
  });
}

PyObject* bind_method(PyObject* self, PyObject* instance, PyObject*) {
  return instance && instance != Py_None ? PyMethod_New(self, instance) : Py_NewRef(self);
}
PyObject* represent(PyObject* self) {
  const auto& f = *reinterpret_cast<PyOp*>(self);
  return PyUnicode_FromFormat(f.body ? "<steep function %s>" : "<steep op %s>", f.op->name);
}
PyObject* get_name(PyObject* self, void*) { return PyUnicode_FromString(reinterpret_cast<PyOp*>(self)->op->name); }
PyObject* get_module(PyObject*, void*) { return PyUnicode_FromString("steep"); }
PyObject* get_doc(PyObject* self, void*) {
  const Op& op = *reinterpret_cast<PyOp*>(self)->op;
  return PyUnicode_FromString(page(op).c_str());
}
PyObject* get_signature(PyObject* self, void*) {
  return PyUnicode_FromString(signature(*reinterpret_cast<PyOp*>(self)->op, false).c_str());
}
PyObject* reduce(PyObject* self, PyObject*) { return get_name(self, nullptr); }

PyGetSetDef op_properties[] = {{"__name__", get_name, nullptr, nullptr, nullptr},
                               {"__qualname__", get_name, nullptr, nullptr, nullptr},
                               {"__module__", get_module, nullptr, nullptr, nullptr},
                               {"__doc__", get_doc, nullptr, nullptr, nullptr},
                               {"__text_signature__", get_signature, nullptr, nullptr, nullptr},
                               {}};
PyMethodDef op_methods[] = {{"__reduce__", reduce, METH_NOARGS, "Pickled by name."}, {}};

PyTypeObject OpType = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "steep.Op",
    .tp_basicsize = sizeof(PyOp),
    .tp_vectorcall_offset = offsetof(PyOp, call),
    .tp_repr = represent,
    .tp_call = PyVectorcall_Call,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_methods = op_methods,
    .tp_getset = op_properties,
    .tp_descr_get = bind_method,
};

bool is_plain(const Op& op) {
  if (op.call || op.call_many || op.params.size() > 3) return false;
  for (const Param& p : op.params)
    if (p.kind != Kind::tensor) return false;
  return true;
}

bool is_method(const Op& op) { return !op.params.empty() && std::string_view(op.params[0].name) == "x"; }

PyObject* make_op(const Op& op, Body body = {}) {
  auto* f = PyObject_New(PyOp, &OpType);
  if (!f) throw_python_error();
  f->call = body ? call_function : call_op;
  f->op = &op;
  f->body = body;
  f->plain = is_plain(op);
  f->arity = static_cast<int>(op.params.size());
  return reinterpret_cast<PyObject*>(f);
}

py::list names_of(const AttrNames& attributes) {
  py::list names;
  for (const AttrName& a : attributes) names.append(py::str(a.name.data(), a.name.size()));
  return names;
}

py::dict describe(const Op& op) {
  py::dict d;
  d["name"] = op.name;
  d["doc"] = op.doc;
  d["signature"] = signature(op, false);
  d["stub"] = signature(op, true);
  d["attributes"] = names_of(op.attrs);
  d["hidden"] = op.hidden;
  d["many"] = static_cast<bool>(op.call_many);
  d["primitive"] = op.infer != nullptr;
  d["differentiable"] = !op.vjp.empty();
  d["gradient"] = gradient_of(op);
  d["ulp"] = py::dict(py::arg("float32") = op.ulp.f32, py::arg("float64") = op.ulp.f64);
  d["fused"] = !op.vjp.empty() && op.vjp[0].fused != k::Kernel::count;
  d["method"] = is_method(op);
  d["subgradient"] = subgradient_of(op);
  return d;
}

}  // namespace

void def_function(py::module_& m, Op row, Body body) {
  static auto& rows = *new std::deque<Op>;
  if (!body.fits(row.params)) fail<ValueError>("the parameters of ", row.name, " are not those of its function");
  rows.push_back(std::move(row));
  m.attr(rows.back().name) = py::reinterpret_steal<py::object>(make_op(rows.back(), body));
}

void bind_functions(py::module_& m) {
  if (PyType_Ready(&OpType) < 0 || PyType_Ready(&TensorType) < 0) throw_python_error();
  m.attr("Tensor") = py::handle(reinterpret_cast<PyObject*>(&TensorType));
  for (const Op& op : all_ops()) {
    if (op.hidden && !op.call && !op.call_many) continue;
    const py::object f = py::reinterpret_steal<py::object>(make_op(op));
    m.attr(op.name) = f;
    if (is_method(op) && PyDict_SetItemString(TensorType.tp_dict, op.name, f.ptr()) < 0) throw_python_error();
  }
  m.def(
      "_match",
      [](const py::args& given) {
        std::vector<Tensor> tensors(given.size());
        if (!tensors.empty()) to_tensors(&PyTuple_GET_ITEM(given.ptr(), 0), tensors.size(), tensors.data());
        return tensors;
      },
      "An op's operands as tensors; numbers and lists take the dtype of the other tensors.");
  m.def(
      "_op_table",
      [] {
        py::list rows;
        for (const Op& op : all_ops()) rows.append(describe(op));
        return rows;
      },
      "Every op's row as a dict: what stubs, docs, tests and benchmarks are made from.");
  m.def(
      "_call_hidden",
      [](const std::string& name, const std::vector<Tensor>& in, const py::kwargs& attrs) {
        const Op& op = find_op(name);
        if (!op.hidden || !op.infer) fail<ValueError>("_call_hidden: ", name, " is no hidden primitive; call it");
        return apply(op, in.data(), static_cast<int>(in.size()), parse_attributes(op, attrs));
      },
      "Applies a row that is not exported, its attributes given by name, for tests.");
}

}  // namespace steep
