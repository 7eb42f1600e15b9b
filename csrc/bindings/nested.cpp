// Nested lists as tensors. Lists of Python's own numbers are read here; lists that hold tensors are joined by ops, so
// that gradients flow; all others go through NumPy. Start reading at from_nested().
#include <optional>

#include "bindings/python.h"
#include "ops/functions.h"

namespace steep {
namespace {

bool is_python_number(PyObject* o) { return PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o); }

// -- lists of Python's numbers ----------------------------------------------------------------------------------------

// What such lists hold, if they are a rectangle: read before anything is allocated. No code of the user's runs
// meanwhile.
struct Numbers {
  Dims shape;
  bool complete = false;  // the first number has been reached, and with it the number of dimensions
  bool floats = false, integers = false;

  bool read(PyObject* o, int depth = 0) {
    if (!PyList_CheckExact(o) && !PyTuple_CheckExact(o)) return read_number(o, depth);
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    if (n == 0 || depth == (complete ? shape.size() : max_dims)) return false;
    if (!complete) shape.push(n);
    else if (shape[depth] != n) return false;
    PyObject** items = PySequence_Fast_ITEMS(o);
    for (Py_ssize_t i = 0; i < n; ++i)
      if (!read(items[i], depth + 1)) return false;
    return true;
  }
  DType dtype(DType of_floats) const { return floats ? of_floats : integers ? Int64 : Bool; }

 private:
  bool read_number(PyObject* o, int depth) {
    complete = true;
    if (depth != shape.size() || !is_python_number(o)) return false;
    floats |= PyFloat_CheckExact(o) != 0;
    integers |= PyLong_CheckExact(o) != 0;
    return true;
  }
};

// Floats are rounded once to double and then to T, as NumPy's arrays of them are. False for an integer beyond 64 bits.
template <class T> bool write(PyObject* o, T*& to) {
  if (PyFloat_CheckExact(o)) return *to++ = static_cast<T>(PyFloat_AS_DOUBLE(o)), true;
  if (PyLong_Check(o)) {
    int overflow = 0;
    const long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    *to++ = std::is_floating_point_v<T> ? static_cast<T>(static_cast<double>(v)) : static_cast<T>(v);
    return !overflow;
  }
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  PyObject** items = PySequence_Fast_ITEMS(o);
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!write(items[i], to)) return false;
  return true;
}
template <class T> bool fill(const Tensor& t, PyObject* data) {
  T* to = t.data<T>();
  return write(data, to);
}

// Nothing for lists that hold anything else, are empty or ragged, or go beyond 64 bits.
std::optional<Tensor> from_numbers(PyObject* data, DType of_floats) {
  Numbers numbers;
  if (!numbers.read(data)) return {};
  const Tensor t = empty(numbers.shape, numbers.dtype(of_floats));
  const bool whole = t.dtype() == Float64   ? fill<double>(t, data)
                     : t.dtype() == Float32 ? fill<float>(t, data)
                     : t.dtype() == Int64   ? fill<std::int64_t>(t, data)
                                            : fill<bool>(t, data);
  return whole ? std::optional(t) : std::nullopt;
}

// -- lists of anything ------------------------------------------------------------------------------------------------

// Whether `holds` is true of a leaf of nested lists. Lists may hold themselves: those nested deeper than any tensor are
// left to NumPy, which raises.
template <class F> bool any_leaf(PyObject* data, F&& holds, int depth = 0) {
  if (PyRange_Check(data) || depth > 2 * max_dims) return false;
  if (!is_list(data)) return holds(data);
  for (py::handle each : py::reinterpret_borrow<py::object>(data))
    if (any_leaf(each.ptr(), holds, depth + 1)) return true;
  return false;
}

std::string dtype_name(const py::object& array) { return array.attr("dtype").attr("name").cast<std::string>(); }

// A tensor, or an array of another library than NumPy, which may know neither its dtype nor where it is.
bool is_joined(PyObject* leaf) {
  if (is_tensor(leaf)) return true;
  return !is_python_number(leaf) && !PyUnicode_Check(leaf) && PyObject_HasAttrString(leaf, "__dlpack__") &&
         !PyObject_HasAttrString(leaf, "__array_interface__");
}

// Numbers among tensors take the tensors' dtype.
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

// Python floats become `floats`, unless float64 arrays are among them.
Tensor by_numpy(PyObject* data, DType floats) {
  const py::object array = numpy_array(data);
  const bool widened = dtype_name(array) == "float64" && !any_leaf(data, [](PyObject* leaf) {
                         return !is_python_number(leaf) && dtype_name(numpy_array(leaf)) == "float64";
                       });
  const bool objects = array.attr("dtype").attr("kind").cast<std::string>() == "O";
  if (objects)
    fail<TypeError>("tensor: the data is not a rectangle of numbers (rows of different lengths, or other objects)");
  const Tensor t = from_buffer(array.ptr());
  t->storage->born = allocation_scope().epoch;  // an array of our own: its values are those of the list
  return widened ? astype(t, floats) : t;
}

}  // namespace

Tensor from_nested(PyObject* data, DType floats) {
  if (auto t = from_numbers(data, floats)) return *t;
  DType beside = Bool;
  bool tensors = false;
  any_leaf(data, [&](PyObject* leaf) {
    if (is_joined(leaf)) beside = promote(beside, to_tensor(leaf).dtype()), tensors = true;
    return false;
  });
  return tensors ? joined(data, beside) : by_numpy(data, floats);
}

}  // namespace steep
