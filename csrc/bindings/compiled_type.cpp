// The type of what compile() returns. A call whose arguments are tensors like the last ones is replayed here, without
// Python code; any other goes to python/steep/compiling/compiled.py. Start reading at call().
#include "bindings/recording.h"

namespace steep {
namespace {

struct PyCompiled {
  PyObject_HEAD PyObject* recording;  // the last one used, if its arguments were positional leaves
  PyObject* build;                    // of Shape::tree
  PyObject *dict, *weak_references;
  Shape shape;
};

PyObject* call(PyObject* object, PyObject* args, PyObject* named) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  return guarded([&]() -> PyObject* {
    if (self.recording && (!named || PyDict_GET_SIZE(named) == 0)) {
      const py::object held = py::reinterpret_borrow<py::object>(self.recording);
      auto& recording = held.cast<Recording&>();
      auto* items = reinterpret_cast<PyTupleObject*>(args)->ob_item;
      const py::object build = py::reinterpret_borrow<py::object>(self.build);
      const Shape shape = self.shape;
      auto results = py::reinterpret_steal<py::object>(
          recording.run(items, static_cast<std::size_t>(PyTuple_GET_SIZE(args)), shape));
      if (results && shape == Shape::tree) results = build(results, py::handle(args));
      if (results) return results.release().ptr();
    }
    const py::object slow = py::handle(object).attr("_call");
    return slow(py::handle(args), named ? py::reinterpret_borrow<py::object>(named) : py::dict()).release().ptr();
  });
}

PyObject* use(PyObject* object, PyObject* args) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  PyObject *recording, *build;
  int shape;
  if (!PyArg_ParseTuple(args, "OiO:_use", &recording, &shape, &build)) return nullptr;
  Py_XSETREF(self.recording, recording == Py_None ? nullptr : Py_NewRef(recording));
  Py_XSETREF(self.build, Py_NewRef(build));
  self.shape = static_cast<Shape>(shape);
  return Py_NewRef(Py_None);
}

int traverse(PyObject* object, visitproc visit, void* arg) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  Py_VISIT(self.recording);
  Py_VISIT(self.build);
  Py_VISIT(self.dict);
  return 0;
}
int clear(PyObject* object) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  Py_CLEAR(self.recording);
  Py_CLEAR(self.build);
  Py_CLEAR(self.dict);
  return 0;
}
void deallocate(PyObject* object) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  PyObject_GC_UnTrack(object);
  if (self.weak_references) PyObject_ClearWeakRefs(object);
  clear(object);
  Py_TYPE(object)->tp_free(object);
}
PyObject* bind(PyObject* self, PyObject* instance, PyObject*) {
  return instance && instance != Py_None ? PyMethod_New(self, instance) : Py_NewRef(self);
}

PyMethodDef methods[] = {{"_use", use, METH_VARARGS, "The recording that the next calls try first."}, {}};
PyGetSetDef properties[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}, {}};

PyTypeObject CompiledType = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "steep._core.CompiledBase",
    .tp_basicsize = sizeof(PyCompiled),
    .tp_dealloc = deallocate,
    .tp_call = call,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc =
        "CompiledBase(function, **options)\n--\n\nWhat compile() returns: a function that is recorded once and then "
        "replayed.",
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_weaklistoffset = offsetof(PyCompiled, weak_references),
    .tp_methods = methods,
    .tp_getset = properties,
    .tp_descr_get = bind,
    .tp_dictoffset = offsetof(PyCompiled, dict),
    .tp_new = PyType_GenericNew,
};

}  // namespace

void bind_compiled_type(py::module_& m) {
  if (PyType_Ready(&CompiledType) < 0) throw_python_error();
  m.attr("CompiledBase") = py::handle(reinterpret_cast<PyObject*>(&CompiledType));
}

}  // namespace steep
