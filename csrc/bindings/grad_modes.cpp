// no_grad() and enable_grad(): context managers and decorators, as plain CPython types, since every optimiser's step
// enters one. The previous state is stored per thread, so a mode may be entered again while entered, on any thread.
#include "bindings/python.h"

namespace steep {
namespace {

struct PyGradMode {
  PyObject_HEAD
};

thread_local std::vector<bool> before;  // set by the enclosing blocks

template <bool on> constexpr const char* mode_name = on ? "enable_grad" : "no_grad";

template <bool on> PyObject* enter(PyObject* self, PyObject*) {
  return guarded([&] {
    before.push_back(mode().grad);
    mode().grad = on;
    return Py_NewRef(self);
  });
}
template <bool on> PyObject* leave(PyObject*, PyObject*) {
  return guarded([] {
    if (before.empty()) fail<ValueError>(mode_name<on>, ": left without having been entered");
    mode().grad = before.back();
    before.pop_back();
    return Py_NewRef(Py_None);
  });
}
// As a decorator: the function, run in this mode.
PyObject* decorate(PyObject* self, PyObject* args, PyObject* named) {
  PyObject* function;
  if ((named && PyDict_GET_SIZE(named)) || !PyArg_ParseTuple(args, "O", &function)) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "as a decorator it takes one function");
    return nullptr;
  }
  return guarded([&] {
    return py::module_::import("steep._repr").attr("decorated")(py::handle(self), py::handle(function)).release().ptr();
  });
}
template <bool on> PyObject* construct(PyTypeObject* type, PyObject* args, PyObject* named) {
  if (PyTuple_GET_SIZE(args) || (named && PyDict_GET_SIZE(named))) {
    PyErr_Format(PyExc_TypeError, "%s() takes no arguments", mode_name<on>);
    return nullptr;
  }
  return type->tp_alloc(type, 0);
}

template <bool on> PyMethodDef methods[] = {
    {"__enter__", enter<on>, METH_NOARGS, "Enters the mode."},
    {"__exit__", leave<on>, METH_VARARGS, "Restores the previous mode."},
    {},
};
template <bool on> PyTypeObject type = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = on ? "steep.enable_grad" : "steep.no_grad",
    .tp_basicsize = sizeof(PyGradMode),
    .tp_call = decorate,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = on ? "enable_grad()\n--\n\nOperations inside are recorded, even within no_grad()."
                 : "no_grad()\n--\n\nOperations inside are not recorded. A context manager and a decorator.",
    .tp_methods = methods<on>,
    .tp_new = construct<on>,
};

template <bool on> void bind_mode(py::module_& m) {
  if (PyType_Ready(&type<on>) < 0) throw_python_error();
  m.attr(mode_name<on>) = py::handle(reinterpret_cast<PyObject*>(&type<on>));
}

}  // namespace

void bind_grad_modes(py::module_& m) {
  bind_mode<false>(m);
  bind_mode<true>(m);
}

}  // namespace steep
