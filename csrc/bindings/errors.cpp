// C++ exceptions as Python ones: each type of core/errors.h has its counterpart.
#include <cxxabi.h>
#include <pybind11/eval.h>

#include <new>

#include "bindings/host.h"
#include "bindings/python.h"

namespace steep {
namespace {
PyObject *gradient_error = nullptr, *compile_error = nullptr;
}

// The current C++ exception as a Python exception.
static void translate() noexcept {
  try {
    throw;
  } catch (const abi::__forced_unwind&) {  // the interpreter has ended this thread
    park();
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (const PythonError&) {  // set already
  } catch (const ValueError& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const TypeError& e) {
    PyErr_SetString(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    PyErr_SetString(PyExc_IndexError, e.what());
  } catch (const GradientError& e) {
    PyErr_SetString(gradient_error, e.what());
  } catch (const CompileError& e) {
    PyErr_SetString(compile_error, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "steep: out of memory; smaller batches, or sp.trim_memory(), may help");
  } catch (const std::length_error&) {
    PyErr_SetString(PyExc_MemoryError, "steep: more elements than memory can hold");
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

// A Python MemoryError comes first: exceptions that follow from it may have other types.
void set_python_error() noexcept {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError)) PyErr_Fetch(&type, &value, &traceback);
  translate();
  if (type) PyErr_Restore(type, value, traceback);
}

void throw_python_error() { throw py::error_already_set(); }

// Called by C++ alone: pybind11's casts, and new_object().
static PyObject* allocate_object(PyTypeObject* type, Py_ssize_t items) {
  PyObject* self = PyType_GenericAlloc(type, items);
  if (!self) throw_python_error();
  return self;
}
static PyObject* new_object(PyTypeObject* type, PyObject*, PyObject*) {
  return guarded([&] {
    PyObject* self = allocate_object(type, 0);
    reinterpret_cast<py::detail::instance*>(self)->allocate_layout();
    return self;
  });
}
void checked_memory(PyHeapTypeObject* type) {
  type->ht_type.tp_alloc = allocate_object;
  type->ht_type.tp_new = new_object;
}

void set_signature(const py::object& type, const char* parameters) {
  const py::object likeness = py::eval(str("lambda ", parameters, ": None"));
  type.attr("__signature__") = py::module_::import("inspect").attr("signature")(likeness);
}

void bind_errors(py::module_& m) {
  gradient_error = PyErr_NewExceptionWithDoc(
      "steep.GradientError", "Raised for a derivative that the graph, the op or the order of calls does not allow.",
      PyExc_RuntimeError, nullptr);
  m.attr("GradientError") = py::handle(gradient_error);
  set_signature(m.attr("GradientError"), "*args");
  compile_error = PyErr_NewExceptionWithDoc(
      "steep.CompileError", "Raised for a function that cannot be compiled, or needs too many programs.",
      PyExc_RuntimeError, nullptr);
  m.attr("CompileError") = py::handle(compile_error);
  set_signature(m.attr("CompileError"), "*args");
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (py::error_already_set&) {
      throw;
    } catch (...) {
      set_python_error();
    }
  });
}

}  // namespace steep
