// Converts Python numbers, lists and arrays to tensors, and back to numbers. NumPy arrays and other buffers are shared,
// not copied, by to_tensor(); make_tensor() always copies.
#include <cstring>

#include "bindings/python.h"
#include "core/iterate.h"
#include "ops/functions.h"

namespace steep {
namespace {

bool is_python_number(PyObject* o) { return PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o); }

// Whether `holds` is true of a leaf of nested lists. Lists may hold themselves: those nested deeper than any tensor are
// left to NumPy, which raises.
template <class F> bool any_leaf(PyObject* data, F&& holds, int depth = 0) {
  if (PyRange_Check(data) || depth > 2 * max_dims) return false;
  if (!is_list(data)) return holds(data);
  for (py::handle each : py::reinterpret_borrow<py::object>(data))
    if (any_leaf(each.ptr(), holds, depth + 1)) return true;
  return false;
}

py::object as_array(PyObject* o) { return py::module_::import("numpy").attr("asarray")(py::handle(o)); }
std::string dtype_name(const py::object& array) { return array.attr("dtype").attr("name").cast<std::string>(); }

// A tensor, or an array of another library than NumPy, which may know neither its dtype nor where it is.
bool is_joined(PyObject* leaf) {
  if (is_tensor(leaf)) return true;
  return !is_python_number(leaf) && !PyUnicode_Check(leaf) && PyObject_HasAttrString(leaf, "__dlpack__") &&
         !PyObject_HasAttrString(leaf, "__array_interface__");
}

// Lists that hold tensors are joined by ops, so that gradients flow; numbers among them take the tensors' dtype.
Tensor joined(PyObject* data, DType beside) {
  if (!is_list(data)) return is_python_number(data) ? from_scalar(data, beside) : to_tensor(data, beside);
  std::vector<Tensor> rows;
  for (py::handle each : py::reinterpret_borrow<py::object>(data)) {
    rows.push_back(expand_dims(joined(each.ptr(), beside), 0));
    if (!(rows.back().shape() == rows[0].shape()))
      fail<ValueError>("tensor: the rows of a list have different shapes, ", rows[0], " and ", rows.back());
  }
  return rows.empty() ? zeros({0}, beside) : concat(rows, 0);
}

// Lists without tensors go through NumPy. Python floats become `floats`, unless float64 arrays are among them.
Tensor from_nested(PyObject* data, DType floats) {
  DType beside = Bool;
  bool tensors = false;
  any_leaf(data, [&](PyObject* leaf) {
    if (is_joined(leaf)) beside = promote(beside, to_tensor(leaf).dtype()), tensors = true;
    return false;
  });
  if (tensors) return joined(data, beside);
  const py::object array = as_array(data);
  const bool widened = dtype_name(array) == "float64" && !any_leaf(data, [](PyObject* leaf) {
                         return !is_python_number(leaf) && dtype_name(as_array(leaf)) == "float64";
                       });
  const bool objects = array.attr("dtype").attr("kind").cast<std::string>() == "O";
  if (objects)
    fail<TypeError>("tensor: the data is not a rectangle of numbers (rows of different lengths, or other objects)");
  const Tensor t = from_buffer(array.ptr());
  t->storage->born = allocation_scope().epoch;  // an array of our own: its values are those of the list
  return widened ? astype(t, floats) : t;
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
  if (PyObject_CheckBuffer(o) && !PyBytes_Check(o)) return from_buffer(o);
  if (PyObject_HasAttrString(o, "__dlpack__")) return from_dlpack(o);
  if (PyObject_HasAttrString(o, "__array__"))
    return from_buffer(py::module_::import("numpy").attr("asarray")(py::handle(o)).ptr());
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
