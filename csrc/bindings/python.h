// What every binding file shares: the Python object of a tensor, conversions between Python and C++, and translation of
// C++ exceptions to Python ones. Tensor is a CPython type of its own, with number slots, so that an operator costs tens
// of nanoseconds; everything that is not performance-critical goes through pybind11.
#pragma once

#include <pybind11/pybind11.h>

#include "graph/apply.h"
#include "graph/mode.h"
#include "graph/node.h"

namespace steep {

namespace py = pybind11;

struct PyTensor {
  PyObject_HEAD TensorImpl* impl;  // counted
  PyObject* weak_references;
  bool collected;  // the garbage collector looks at it
};
extern PyTypeObject TensorType;

inline bool is_tensor(PyObject* o) { return Py_TYPE(o) == &TensorType; }
inline Tensor borrow(PyObject* o) { return Tensor::share(reinterpret_cast<PyTensor*>(o)->impl); }
PyObject* wrap(Tensor t);  // a new reference
inline py::object to_python(Tensor t) { return py::reinterpret_steal<py::object>(wrap(std::move(t))); }

// errors.cpp
void set_python_error() noexcept;                                    // call inside catch (...)
[[noreturn]] void throw_python_error();                              // the Python exception that is set now
void set_signature(const py::object& type, const char* parameters);  // what inspect.signature(type) answers
template <class F> PyObject* guarded(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}
template <class F> int guarded_int(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return -1;
  }
}

// For pybind11's custom_type_setup: a failed allocation of an object is a MemoryError, where pybind11 would continue.
void checked_memory(PyHeapTypeObject* type);
// A number as a Python object, or throws the exception that Python has set.
inline py::object checked(PyObject* made) {
  if (!made) throw_python_error();
  return py::reinterpret_steal<py::object>(made);
}

// convert.cpp
bool is_scalar(PyObject* o);                    // a Python float, int or bool
bool is_list(PyObject* o);                      // a list, a tuple or a range
py::object numpy_array(PyObject* o);            // numpy.asarray(o)
Tensor from_nested(PyObject* o, DType floats);  // nested.cpp: of a list, its Python floats in the dtype `floats`
bool is_index(PyObject* o);                     // by __index__, but no bool: NumPy's have it too, up to NumPy 2.2
Tensor from_scalar(PyObject* o, DType beside);  // 0-d, in the dtype to which it is promoted with a tensor of that dtype
// Tensors as they are, NumPy arrays and buffers shared, lists copied. Python floats are float32, or float64 where the
// other operand is float64, so that no bit is lost.
Tensor to_tensor(PyObject* o, DType beside = Float32);
// Operands of one op: Python's numbers among them, alone or in lists, take the dtype of the tensors beside them.
void to_tensors(PyObject* const* given, std::size_t count, Tensor* out);
Tensor as_dtype(PyObject* data, PyObject* dtype);     // to_tensor() in the dtype asked for, or None
Tensor make_tensor(PyObject* data, PyObject* dtype);  // a copy without a graph
DType parse_dtype(PyObject* o);
PyObject* dtype_object(DType t);  // borrowed
PyObject* item_object(const Tensor& t);
PyObject* shape_tuple(const Dims& shape);

// arguments.cpp: `args` by the op's schema; the first `given` are positional, the rest are named by `names`
bool parse_arguments(const Op& op, PyObject* const* args, Py_ssize_t given, PyObject* names, Args& out);
std::string signature(const Op& op, bool stub);

// pages.cpp: what help() shows, and parts of it
std::string page(const Op& op);
const char* gradient_of(const Op& op);
const char* subgradient_of(const Op& op);  // "" where the derivative exists everywhere

// attributes.cpp: attributes by name
py::dict attributes_dict(const Op& op, const AttrsRef& attrs);
AttrsRef parse_attributes(const Op& op, const py::dict& given);

// functions.cpp: a function of the module whose arguments are parsed by schema, as those of ops are. Its body returns
// a new reference.
using Body = Function<PyObject*>;
void def_function(py::module_& m, Op row, Body body);
template <> struct Taken<py::object> {
  static constexpr bool is(Kind k) { return k == Kind::object; }
  static py::object from(const Arg& a) { return py::reinterpret_borrow<py::object>(static_cast<PyObject*>(a.object)); }
};

// getitem.cpp
PyObject* get_item(PyObject* self, PyObject* key);
int set_item(PyObject* self, PyObject* key, PyObject* value);

// exports.cpp
int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);
PyObject* to_dlpack(const Tensor& t);
Tensor from_dlpack(PyObject* capsule_or_array);
Tensor from_buffer(PyObject* o);
PyObject* buffer_owner(const Storage* s);  // borrowed; null where it is no other object's memory

// number.cpp
extern PyNumberMethods number_methods;
PyObject* rich_compare(PyObject* a, PyObject* b, int op);

// members.cpp
extern PyMethodDef tensor_methods[];
extern PyGetSetDef tensor_properties[];

// what each file adds to the module
void bind_errors(py::module_& m);
void bind_dtypes(py::module_& m);
void bind_functions(py::module_& m);
void bind_autograd(py::module_& m);
void bind_node(py::module_& m);
void bind_creation(py::module_& m);
void bind_grad_modes(py::module_& m);
void bind_runtime(py::module_& m);
void bind_compile(py::module_& m);
void bind_profile(py::module_& m);

}  // namespace steep

namespace pybind11::detail {
template <> struct type_caster<steep::Tensor> {
  PYBIND11_TYPE_CASTER(steep::Tensor, const_name("Tensor"));
  bool load(handle src, bool) {
    if (!steep::is_tensor(src.ptr()))  // no function is overloaded, so this is the caller's mistake
      steep::fail<steep::TypeError>("expected a tensor, as asarray() makes one, and got ", Py_TYPE(src.ptr())->tp_name);
    value = steep::borrow(src.ptr());
    return true;
  }
  static handle cast(const steep::Tensor& t, return_value_policy, handle) {
    return t ? steep::wrap(t) : pybind11::none().release();
  }
};
}  // namespace pybind11::detail
