// From Python's numbers, lists and arrays to tensors, and back to numbers. NumPy arrays and other buffers are shared,
// not copied, by to_tensor(); make_tensor() always copies.
#include "bindings/python.h"
#include "core/iterate.h"
#include "ops/functions.h"

namespace steep {
namespace {

bool holds_arrays(py::handle data) {
  if (py::isinstance<py::list>(data) || py::isinstance<py::tuple>(data))
    return py::len(data) > 0 && holds_arrays(data[py::int_(0)]);
  return is_tensor(data.ptr()) || py::hasattr(data, "dtype");
}

// Lists go through NumPy; Python's floats mean float32, unless arrays among them say otherwise.
Tensor from_nested(PyObject* data) {
  const py::object array = py::module_::import("numpy").attr("asarray")(py::handle(data));
  const bool widened = array.attr("dtype").attr("name").cast<std::string>() == "float64" && !holds_arrays(data);
  const bool objects = array.attr("dtype").attr("kind").cast<std::string>() == "O";
  if (objects)
    fail<TypeError>("tensor: the data is not a rectangle of numbers (rows of different lengths, or other objects)");
  const Tensor t = from_buffer(array.ptr());
  t->storage->born = allocation_scope().epoch;  // an array of our own: its values are those of the list
  return widened ? astype(t, Float32) : t;
}

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

bool is_scalar(PyObject* o) { return PyFloat_Check(o) || PyLong_Check(o); }

Tensor from_scalar(PyObject* o, DType beside) {
  if (PyFloat_Check(o)) return scalar(PyFloat_AS_DOUBLE(o), is_float(beside) ? beside : Float32);
  if (PyBool_Check(o)) return full_int({}, o == Py_True, beside);
  return integer_scalar(o, beside == Bool ? Int64 : beside);
}

Tensor to_tensor(PyObject* o) {
  if (is_tensor(o)) return borrow(o);
  if (PyFloat_CheckExact(o)) return scalar(PyFloat_AS_DOUBLE(o), Float32);  // not NumPy's float64, a subclass
  if (PyBool_Check(o)) return full_int({}, o == Py_True, Bool);
  if (PyLong_Check(o)) return integer_scalar(o, Int64);
  if (PyObject_CheckBuffer(o) && !PyBytes_Check(o)) return from_buffer(o);
  if (PyObject_HasAttrString(o, "__dlpack__")) return from_dlpack(o);
  if (PyObject_HasAttrString(o, "__array__"))
    return from_buffer(py::module_::import("numpy").attr("asarray")(py::handle(o)).ptr());
  if (PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o)) return from_nested(o);
  fail<TypeError>("expected a tensor, an array, a number or nested lists of numbers, and got ", Py_TYPE(o)->tp_name);
}

Tensor make_tensor(PyObject* data, PyObject* dtype) {
  Scope<bool> off(mode().grad, false);
  Tensor t = to_tensor(data);
  if (dtype && dtype != Py_None) {
    const DType wanted = parse_dtype(dtype);
    t = PyFloat_Check(data) ? scalar(PyFloat_AS_DOUBLE(data), wanted) : astype(t, wanted);
  }
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
