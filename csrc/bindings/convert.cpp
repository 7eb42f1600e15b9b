// Converts Python numbers, lists (nested.cpp) and arrays to tensors, and back to numbers. NumPy arrays and other
// buffers are shared, not copied, by to_tensor(); make_tensor() always copies.
#include <cstring>

#include "bindings/python.h"
#include "core/iterate.h"
#include "ops/functions.h"

namespace steep {
namespace {

Tensor integer_scalar(PyObject* o, DType t) {
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (v == -1 && PyErr_Occurred()) throw_python_error();
  if (is_float(t)) return overflow ? scalar(PyLong_AsDouble(o), t) : scalar(static_cast<double>(v), t);
  const bool fits = !overflow && (t == Int64 || t == Bool || (t == Int32 && v >= INT32_MIN && v <= INT32_MAX) ||
                                  (t == UInt8 && v >= 0 && v <= 255));
  if (!fits)
    fail<ValueError>("the Python integer ", py::cast<std::string>(py::str(py::handle(o))), " does not fit in ", t);
  return full_int({}, v, t);
}

}  // namespace

py::object numpy_array(PyObject* o) {
  static PyObject* const asarray = py::object(py::module_::import("numpy").attr("asarray")).release().ptr();
  PyObject* array = PyObject_CallOneArg(asarray, o);
  if (!array) throw_python_error();
  return py::reinterpret_steal<py::object>(array);
}

bool is_list(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o); }
bool is_scalar(PyObject* o) { return PyFloat_Check(o) || PyLong_Check(o); }
bool is_index(PyObject* o) {
  return PyIndex_Check(o) && !PyBool_Check(o) && std::strncmp(Py_TYPE(o)->tp_name, "numpy.bool", 10) != 0;
}

Tensor from_scalar(PyObject* o, DType beside) {
  if (PyFloat_Check(o)) return scalar(PyFloat_AS_DOUBLE(o), is_float(beside) ? beside : Float32);
  if (PyBool_Check(o)) return full_int({}, o == Py_True, beside);
  return integer_scalar(o, beside == Bool ? Int64 : beside);
}

Tensor to_tensor(PyObject* o, DType beside) {
  if (is_tensor(o)) return borrow(o);
  const DType floats = beside == Float64 ? Float64 : Float32;
  if (PyFloat_CheckExact(o)) return scalar(PyFloat_AS_DOUBLE(o), floats);  // not NumPy's float64, a subclass
  if (PyBool_Check(o)) return full_int({}, o == Py_True, Bool);
  if (PyLong_Check(o)) return integer_scalar(o, Int64);
  if (PyList_CheckExact(o) || PyTuple_CheckExact(o)) return from_nested(o, floats);
  if (PyObject_CheckBuffer(o) && !PyBytes_Check(o)) return from_buffer(o);
  if (PyObject_HasAttrString(o, "__dlpack__")) return from_dlpack(o);
  if (PyObject_HasAttrString(o, "__array__")) return from_buffer(numpy_array(o).ptr());
  if (is_list(o)) return from_nested(o, floats);
  fail<TypeError>("expected a tensor, an array, a number or nested lists of numbers, and got ", Py_TYPE(o)->tp_name);
}

void to_tensors(PyObject* const* given, std::size_t count, Tensor* out) {
  DType beside = Bool;
  bool found = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_scalar(given[i])) continue;
    out[i] = to_tensor(given[i]);
    beside = promote(beside, out[i].dtype());
    found = true;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const bool rounded = beside == Float64 && out[i] && out[i].dtype() == Float32 && is_list(given[i]);
    if (rounded) out[i] = to_tensor(given[i], beside);
    if (is_scalar(given[i])) out[i] = found ? from_scalar(given[i], beside) : to_tensor(given[i]);
  }
}

Tensor as_dtype(PyObject* data, PyObject* dtype) {
  if (!dtype || dtype == Py_None) return to_tensor(data);
  const DType wanted = parse_dtype(dtype);
  if (PyLong_CheckExact(data) && is_float(wanted)) return from_scalar(data, wanted);
  return astype(to_tensor(data, Float64), wanted);
}

Tensor make_tensor(PyObject* data, PyObject* dtype) {
  const Tensor t = as_dtype(data, dtype);
  if (t->node && is_list(data))
    fail<GradientError>(
        "tensor: the list holds tensors that have a graph, and tensor() copies values alone; use "
        "stack() or asarray() to keep their gradients, or detach() them");
  const NoGrad off;
  return alias(copy(t));
}

PyObject* item_object(const Tensor& t) {
  if (is_float(t.dtype())) return PyFloat_FromDouble(item(t));
  const std::int64_t v = item_int(t);
  return t.dtype() == Bool ? PyBool_FromLong(v != 0) : PyLong_FromLongLong(v);
}

PyObject* shape_tuple(const Dims& shape) {
  PyObject* tuple = PyTuple_New(shape.size());
  for (int i = 0; tuple && i < shape.size(); ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(shape[i]));
  return tuple;
}

}  // namespace steep
