// Making tensors: from data, from other libraries' memory, and filled by rule. Sizes are checked before anything is
// allocated; dtype=None means float32, or what the arguments imply where the array API says so.
#include <cmath>

#include "bindings/autograd.h"
#include "bindings/python.h"
#include "core/parallel.h"
#include "graph/recorder.h"
#include "ops/functions.h"

namespace steep {
namespace {

using Object = py::object;

// The last parameters of every creation function.
const Param dtype_param{"dtype", Kind::dtype, "None"}, grad_param{"requires_grad", Kind::flag, "False"},
    device_param{"device", Kind::device, "None"}, shape_param{"shape", Kind::ints};

// The tensor that a function made, as a leaf if requires_grad was given.
PyObject* made(Tensor t, const Arg& wants_grad) {
  if (wants_grad.flag()) require_grad(t, true);
  return wrap(std::move(t));
}

PyObject* dtype_of(const Arg& a) { return a.given ? dtype_object(static_cast<DType>(a.integer)) : Py_None; }

PyObject* tensor(const Op&, Args& a) { return made(make_tensor(object_of(a[0]).ptr(), dtype_of(a[1])), a[2]); }

// Whether a tensor made of data is a view of its memory.
bool shares_memory(PyObject* data, const Tensor& t) {
  if (is_tensor(data)) return borrow(data)->storage.get() == t->storage.get();
  return !is_scalar(data) && !is_list(data) && to_tensor(data).dtype() == t.dtype();
}

// copy: True copies, False refuses to, None copies where it must.
PyObject* asarray(const Op& op, Args& a) {
  PyObject *data = object_of(a[0]).ptr(), *copied = object_of(a[2]).ptr();
  const bool never = copied != Py_None && !PyObject_IsTrue(copied);
  const Tensor t = as_dtype(data, dtype_of(a[1]));
  if (never && !shares_memory(data, t))
    fail<ValueError>(op.name, ": ", t, " cannot share the memory of ", Py_TYPE(data)->tp_name,
                     " data; leave out copy=False");
  if (copied == Py_None || never) return made(t, a[3]);
  return made(is_tensor(data) ? make_tensor(data, dtype_of(a[1])) : copy(t), a[3]);
}

Dims parse_shape(const Arg& shape) {
  Dims d;
  for (auto n : shape.ints) {
    if (n < 0) fail<ValueError>("shape: a size is negative: ", n);
    d.push(n);
  }
  return d;
}

// A Python number as itself; any other value broadcast to the shape, with its gradient.
Tensor fill(const Dims& shape, const Arg& value, const Arg& dtype, const Tensor* like) {
  PyObject* v = object_of(value).ptr();
  const DType t = dtype.given ? dtype.dtype(Float32) : like ? like->dtype() : to_tensor(v).dtype();
  if (PyFloat_Check(v)) return full(shape, PyFloat_AS_DOUBLE(v), t);
  if (PyBool_Check(v)) return full_int(shape, v == Py_True, t);
  if (PyLong_Check(v))
    return t == Bool ? full_int(shape, PyObject_IsTrue(v), t) : copy(broadcast_to(from_scalar(v, t), shape));
  const Tensor given = as_dtype(v, dtype_object(t));
  return copy(broadcast_to(given.size() == 1 ? reshape(given, {}) : given, shape));
}

template <int value> PyObject* filled(const Op&, Args& a) {
  return made(full_int(parse_shape(a[0]), value, a[1].dtype(Float32)), a[2]);
}
template <int value> PyObject* filled_like(const Op&, Args& a) {
  const Tensor& t = a[0].tensor;
  return made(full_int(t.shape(), value, a[1].dtype(t.dtype())), a[2]);
}
template <int value> void def_filled(py::module_& m, const char* name, const char* like, const char* doc) {
  def_function(m, name, doc, {shape_param, dtype_param, grad_param, device_param}, filled<value>);
  def_function(m, like, doc, {{"x", Kind::tensor}, dtype_param, grad_param, device_param}, filled_like<value>);
}

// start + i * step in float64, then cast, so that float32 results are the nearest to the exact ones.
Tensor ramp(double start, double step, std::int64_t n, DType dtype) {
  const Tensor t = empty({n}, Float64);
  serial_for(n, 1 << 16, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) t.data<double>()[i] = start + static_cast<double>(i) * step;
  });
  return astype(t, dtype);
}

// Any number as a Python int or float: NumPy's, and tensors and arrays without axes.
Object python_number(const Op& op, const char* what, const Arg& a) {
  PyObject* o = object_of(a).ptr();
  if (is_tensor(o)) {
    if (borrow(o)->node && mode().grad)
      fail<GradientError>(op.name, ": ", what, " is a plain number, so the gradient of ", borrow(o),
                          " would be lost; pass float(x) if that is meant");
    host_read(borrow(o), op.name);
    return py::reinterpret_steal<Object>(item_object(borrow(o)));
  }
  if (PyFloat_Check(o) || PyUnicode_Check(o) == 0) {
    if (PyObject* i = PyFloat_Check(o) || !PyIndex_Check(o) ? nullptr : PyNumber_Index(o))
      return py::reinterpret_steal<Object>(i);
    PyErr_Clear();
    if (PyObject* f = PyNumber_Float(o)) return py::reinterpret_steal<Object>(f);
    PyErr_Clear();
  }
  fail<TypeError>(op.name, ": ", what, " must be a number, and got ", Py_TYPE(o)->tp_name);
}
std::int64_t whole(const Op& op, const Object& v) {
  int overflow = 0;
  const long long n = PyLong_AsLongLongAndOverflow(v.ptr(), &overflow);
  if (overflow) fail<ValueError>(op.name, ": ", py::str(v).cast<std::string>(), " does not fit in 64 bits");
  return n;
}

PyObject* arange_of(const Op& op, Args& a) {
  Object start = python_number(op, "start", a[0]), stop = py::none();
  if (a[1].object != Py_None) stop = python_number(op, "stop", a[1]);
  const Object step = python_number(op, "step", a[2]);
  if (stop.is_none()) stop = start, start = py::int_(0);
  const bool floats = PyFloat_Check(start.ptr()) || PyFloat_Check(stop.ptr()) || PyFloat_Check(step.ptr());
  const DType t = a[3].dtype(floats ? Float32 : Int64);
  const double by = PyFloat_AsDouble(step.ptr());
  if (by == 0 || std::isnan(by)) fail<ValueError>("arange: step must be a number other than 0");
  if (!floats) return made(arange(whole(op, start), whole(op, stop), whole(op, step), t), a[4]);
  const double from = PyFloat_AsDouble(start.ptr()), n = std::ceil((PyFloat_AsDouble(stop.ptr()) - from) / by);
  if (!(n < 1e15)) fail<ValueError>("arange: the range has no end, or too many elements");
  return made(ramp(from, by, n > 0 ? static_cast<std::int64_t>(n) : 0, t), a[4]);
}

// Where stop - start overflows, half of everything is computed and doubled.
PyObject* linspace(const Op& op, Args& a) {
  const std::int64_t n = a[2].integer, steps = a[4].flag() ? n - 1 : n;
  if (n < 0) fail<ValueError>(op.name, ": num must be at least 0, and is ", n);
  const double start = a[0].real, stop = a[1].real;
  const double scale = std::isinf(stop - start) && std::isfinite(start) && std::isfinite(stop) ? 2 : 1;
  const double by = steps > 0 ? (stop / scale - start / scale) / static_cast<double>(steps) : 0;
  const Tensor t = ramp(start / scale, by, n, Float64);
  double* v = t.data<double>();
  for (std::int64_t i = 0; scale != 1 && i < n; ++i) v[i] *= scale;
  if (a[4].flag() && n > 1) v[n - 1] = stop;
  const DType wanted = a[3].dtype(Float32);
  return made(astype(is_float(wanted) ? t : floor(t), wanted), a[5]);
}

// Diagonals beyond 64 bits are empty, as are those beyond the matrix.
std::int64_t diagonal(const Object& k) {
  if (!PyLong_Check(k.ptr())) fail<TypeError>("eye: k must be an integer, and got ", Py_TYPE(k.ptr())->tp_name);
  int overflow = 0;
  const long long n = PyLong_AsLongLongAndOverflow(k.ptr(), &overflow);
  return overflow ? overflow * (INT64_MAX / 2) : n;
}

PyObject* eye(const Op& op, Args& a) {
  const std::int64_t rows = a[0].integer, n = a[1].given ? a[1].integer : rows;
  if (rows < 0 || n < 0) fail<ValueError>(op.name, ": a size is negative: ", std::min(rows, n));
  const Tensor i = reshape(arange(0, rows, 1, Int64), {rows, 1}), j = reshape(arange(0, n, 1, Int64), {1, n});
  const std::int64_t k = diagonal(python_number(op, "k", a[2]));
  return made(astype(equal(add(i, full_int({}, k, Int64)), j), a[3].dtype(Float32)), a[4]);
}

// Data of other libraries, and lists.
void bind_data(py::module_& m) {
  def_function(m, "tensor",
               "A new tensor with a copy of data: numbers, nested lists of them, arrays, tensors. Python floats become "
               "float32, integers int64; NumPy's dtype is kept. Raises TypeError for data that is not a rectangular "
               "array of numbers.\n\n"
               "sp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)",
               {{"data", Kind::object}, dtype_param, grad_param, device_param}, tensor);
  def_function(m, "asarray",
               "data as a tensor, sharing memory where it can; copy=True always copies, copy=False raises ValueError "
               "where it must. A list of tensors is joined, and gradients flow through it.",
               {{"obj", Kind::object}, dtype_param, {"copy", Kind::object, "None"}, grad_param, device_param}, asarray);
  def_function(m, "from_dlpack",
               "A tensor that shares the memory of an array with __dlpack__; copy=True copies. Raises TypeError for a "
               "dtype that steep does not have, ValueError for memory that is not the CPU's.",
               {{"x", Kind::object}, device_param, {"copy", Kind::object, "None"}}, [](const Op&, Args& a) {
                 const Tensor t = from_dlpack(object_of(a[0]).ptr());
                 return wrap(a[2].object != Py_None && PyObject_IsTrue(object_of(a[2]).ptr()) ? alias(copy(t)) : t);
               });
}

}  // namespace

void bind_creation(py::module_& m) {
  const Param value{"fill_value", Kind::object};
  bind_data(m);
  def_filled<0>(m, "zeros", "zeros_like", "All zeros; float32, or the dtype of x, by default.");
  def_filled<1>(m, "ones", "ones_like", "All ones; float32, or the dtype of x, by default.");
  def_filled<0>(
      m, "empty", "empty_like",
      "A tensor to be written into; its elements are zeros, so that no result depends on uninitialised memory.");
  def_function(m, "full",
               "Every element is fill_value; the dtype is that of fill_value by default, and gradients flow to it.",
               {shape_param, value, dtype_param, grad_param, device_param},
               [](const Op&, Args& a) { return made(fill(parse_shape(a[0]), a[1], a[2], nullptr), a[3]); });
  def_function(m, "full_like",
               "Every element is fill_value, in the shape and dtype of x; gradients flow to fill_value.",
               {{"x", Kind::tensor}, value, dtype_param, grad_param, device_param},
               [](const Op&, Args& a) { return made(fill(a[0].tensor.shape(), a[1], a[2], &a[0].tensor), a[3]); });
  def_function(m, "arange",
               "start, start + step, ... below stop; arange(n) counts from 0. int64, or float32 if one of the three is "
               "a float.",
               {{"start", Kind::object},
                {"stop", Kind::object, "None"},
                {"step", Kind::object, "1"},
                dtype_param,
                grad_param,
                device_param},
               arange_of);
  def_function(m, "linspace", "num evenly spaced values from start to stop, float32; rounded down for integer dtypes.",
               {{"start", Kind::real},
                {"stop", Kind::real},
                {"num", Kind::integer},
                dtype_param,
                {"endpoint", Kind::flag, "True"},
                grad_param,
                device_param},
               linspace);
  def_function(m, "eye", "Ones on diagonal k, zeros elsewhere, of shape (n_rows, n_cols); float32.",
               {{"n_rows", Kind::integer},
                {"n_cols", Kind::optional_integer, "None"},
                {"k", Kind::object, "0"},
                dtype_param,
                grad_param,
                device_param},
               eye);
}

}  // namespace steep
