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
const Param dtype_param{"dtype", Kind::dtype, "None", "dtype of the result; float32 where None"},
    like_dtype_param{"dtype", Kind::dtype, "None", "dtype of the result; that of x where None"},
    data_dtype_param{"dtype", Kind::dtype, "None", "dtype of the result; where None, what the values imply"},
    grad_param{"requires_grad", Kind::flag, "False", "whether backward() fills its .grad"},
    device_param{"device", Kind::device, "None", "\"cpu\" or None, the only device"},
    shape_param{"shape", Kind::ints, required, "the shape: sizes, one by one or as a sequence"},
    like_param{"x", Kind::tensor, required, "a tensor, of which the shape is taken"};

// What most functions take last.
using Wanted = std::optional<DType>;

// The tensor that a function made, as a leaf if requires_grad was given.
PyObject* made(Tensor t, bool requires_grad) {
  if (requires_grad) require_grad(t, true);
  return wrap(std::move(t));
}

PyObject* object_of(Wanted dtype) { return dtype ? dtype_object(*dtype) : Py_None; }

PyObject* tensor(const Op&, const Object& data, Wanted dtype, bool requires_grad, Unused) {
  return made(make_tensor(data.ptr(), object_of(dtype)), requires_grad);
}

// Whether a tensor made of data is a view of its memory.
bool shares_memory(PyObject* data, const Tensor& t) {
  if (is_tensor(data)) return borrow(data)->storage.get() == t->storage.get();
  return !is_scalar(data) && !is_list(data) && to_tensor(data).dtype() == t.dtype();
}

// copy: True copies, False refuses to, None copies where it must.
PyObject* asarray(const Op& op, const Object& obj, Wanted dtype, const Object& copied, bool requires_grad, Unused) {
  PyObject* data = obj.ptr();
  const bool never = !copied.is_none() && !PyObject_IsTrue(copied.ptr());
  const Tensor t = as_dtype(data, object_of(dtype));
  if (never && !shares_memory(data, t))
    fail<ValueError>(op.name, ": ", t, " cannot share the memory of ", Py_TYPE(data)->tp_name,
                     " data; leave out copy=False");
  if (copied.is_none() || never) return made(t, requires_grad);
  return made(is_tensor(data) ? make_tensor(data, object_of(dtype)) : copy(t), requires_grad);
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
Tensor fill(const Dims& shape, const Object& value, Wanted dtype) {
  PyObject* v = value.ptr();
  const DType t = dtype ? *dtype : to_tensor(v).dtype();
  if (PyFloat_Check(v)) return full(shape, PyFloat_AS_DOUBLE(v), t);
  if (PyBool_Check(v)) return full_int(shape, v == Py_True, t);
  if (PyLong_Check(v))
    return t == Bool ? full_int(shape, PyObject_IsTrue(v), t) : copy(broadcast_to(from_scalar(v, t), shape));
  const Tensor given = as_dtype(v, dtype_object(t));
  return copy(broadcast_to(given.size() == 1 ? reshape(given, {}) : given, shape));
}

template <int value> PyObject* filled(const Op&, const Arg& shape, Wanted dtype, bool requires_grad, Unused) {
  return made(full_int(parse_shape(shape), value, dtype.value_or(Float32)), requires_grad);
}
template <int value> PyObject* filled_like(const Op&, const Tensor& x, Wanted dtype, bool requires_grad, Unused) {
  return made(full_int(x.shape(), value, dtype.value_or(x.dtype())), requires_grad);
}
template <int value> void def_filled(py::module_& m, const char* name, const char* like, const char* doc,
                                     const char* example, const char* example_like) {
  def_function(m,
               {.name = name,
                .doc = doc,
                .returns = "A tensor.",
                .raises = "ValueError: for a negative size.",
                .source = array_api,
                .example = example,
                .params = {shape_param, dtype_param, grad_param, device_param}},
               filled<value>);
  def_function(m,
               {.name = like,
                .doc = doc,
                .returns = "A tensor of x's shape.",
                .source = array_api,
                .example = example_like,
                .params = {like_param, like_dtype_param, grad_param, device_param}},
               filled_like<value>);
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
Object python_number(const Op& op, const char* what, const Object& given) {
  PyObject* o = given.ptr();
  if (is_tensor(o)) {
    if (borrow(o)->node && grad_enabled())
      fail<GradientError>(op.name, ": ", what, " is a plain number, so the gradient of ", borrow(o),
                          " would be lost; pass float(x) if that is meant");
    host_read(borrow(o), op.name);
    return py::reinterpret_steal<Object>(item_object(borrow(o)));
  }
  if (PyFloat_Check(o) || PyUnicode_Check(o) == 0) {
    if (PyObject* i = PyFloat_Check(o) || !is_index(o) ? nullptr : PyNumber_Index(o))
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

PyObject* arange_of(const Op& op, const Object& first, const Object& last, const Object& every, Wanted dtype,
                    bool requires_grad, Unused) {
  Object start = python_number(op, "start", first), stop = py::none();
  if (!last.is_none()) stop = python_number(op, "stop", last);
  const Object step = python_number(op, "step", every);
  if (stop.is_none()) stop = start, start = py::int_(0);
  const bool floats = PyFloat_Check(start.ptr()) || PyFloat_Check(stop.ptr()) || PyFloat_Check(step.ptr());
  const DType t = dtype.value_or(floats ? Float32 : Int64);
  const double by = PyFloat_AsDouble(step.ptr());
  if (by == 0 || std::isnan(by)) fail<ValueError>("arange: step must be a number other than 0");
  if (!floats) return made(arange(whole(op, start), whole(op, stop), whole(op, step), t), requires_grad);
  const double from = PyFloat_AsDouble(start.ptr()), n = std::ceil((PyFloat_AsDouble(stop.ptr()) - from) / by);
  if (!(n < 1e15)) fail<ValueError>("arange: the range has no end, or too many elements");
  return made(ramp(from, by, n > 0 ? static_cast<std::int64_t>(n) : 0, t), requires_grad);
}

// Where stop - start overflows, half of everything is computed and doubled.
PyObject* linspace(const Op& op, double start, double stop, std::int64_t n, Wanted dtype, bool endpoint,
                   bool requires_grad, Unused) {
  const std::int64_t steps = endpoint ? n - 1 : n;
  if (n < 0) fail<ValueError>(op.name, ": num must be at least 0, and is ", n);
  const double scale = std::isinf(stop - start) && std::isfinite(start) && std::isfinite(stop) ? 2 : 1;
  const double by = steps > 0 ? (stop / scale - start / scale) / static_cast<double>(steps) : 0;
  const Tensor t = ramp(start / scale, by, n, Float64);
  double* v = t.data<double>();
  for (std::int64_t i = 0; scale != 1 && i < n; ++i) v[i] *= scale;
  if (endpoint && n > 1) v[n - 1] = stop;
  const DType wanted = dtype.value_or(Float32);
  return made(astype(is_float(wanted) ? t : floor(t), wanted), requires_grad);
}

// Diagonals beyond 64 bits are empty, as are those beyond the matrix.
std::int64_t diagonal(const Object& k) {
  if (!PyLong_Check(k.ptr())) fail<TypeError>("eye: k must be an integer, and got ", Py_TYPE(k.ptr())->tp_name);
  int overflow = 0;
  const long long n = PyLong_AsLongLongAndOverflow(k.ptr(), &overflow);
  return overflow ? overflow * (INT64_MAX / 2) : n;
}

PyObject* eye(const Op& op, std::int64_t rows, std::optional<std::int64_t> columns, const Object& place, Wanted dtype,
              bool requires_grad, Unused) {
  const std::int64_t n = columns.value_or(rows);
  if (rows < 0 || n < 0) fail<ValueError>(op.name, ": a size is negative: ", std::min(rows, n));
  const std::int64_t k = diagonal(python_number(op, "k", place));
  const std::int64_t row = std::max<std::int64_t>(0, -k), column = std::max<std::int64_t>(0, k);
  const std::int64_t size = numel({rows, n}), ones = std::min(rows - row, n - column);
  const DType type = dtype.value_or(Float32);
  if (ones <= 0) return made(full_int({rows, n}, 0, type), requires_grad);
  const Tensor flat = embed(full_int({ones}, 1, type), {row * n + column}, {n + 1}, {size});
  return made(reshape(flat, {rows, n}), requires_grad);
}

const Param copy_param{"copy", Kind::object, "None", "True to copy always, False never, None where it must be"};

// Data of other libraries, and lists.
void bind_data(py::module_& m) {
  def_function(
      m,
      {.name = "tensor",
       .doc = "A new tensor with a copy of data: numbers, nested lists of them, arrays, tensors. Python floats "
              "become float32, integers int64; NumPy's dtype is kept.",
       .returns = "A tensor.",
       .raises = "TypeError: for data that is not a rectangular array of numbers.",
       .source = "PyTorch's torch.tensor, pytorch.org/docs.",
       .example = ">>> sp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)\n"
                  "tensor([[1., 2.],\n"
                  "        [3., 4.]], dtype=float32, requires_grad=True)",
       .params = {{"data", Kind::object, required, "a number, nested lists of numbers, an array or a tensor"},
                  data_dtype_param,
                  grad_param,
                  device_param}},
      tensor);
  def_function(
      m,
      {.name = "asarray",
       .doc = "data as a tensor, sharing memory where it can; copy=True always copies, copy=False raises "
              "ValueError where it must. A list of tensors is joined, and gradients flow through it.",
       .returns = "A tensor, obj itself if it is one of that dtype.",
       .raises = "TypeError: for data that is not a rectangular array of numbers.\nValueError: if copy=False and "
                 "the memory cannot be shared.",
       .source = array_api,
       .example = ">>> sp.asarray(np.array([1.0, 2.0]))\n"
                  "tensor([1., 2.], dtype=float64)",
       .params = {{"obj", Kind::object, required, "a number, nested lists of numbers, an array or a tensor"},
                  data_dtype_param,
                  copy_param,
                  grad_param,
                  device_param}},
      asarray);
  def_function(
      m,
      {.name = "from_dlpack",
       .doc = "A tensor that shares the memory of an array with __dlpack__; copy=True copies.",
       .returns = "A tensor.",
       .raises = "TypeError: for a dtype that steep does not have.\nValueError: for memory that is not the CPU's.",
       .source = array_api,
       .example = ">>> sp.from_dlpack(np.array([1.0, 2.0]))\n"
                  "tensor([1., 2.], dtype=float64)",
       .params = {{"x", Kind::object, required, "an array of another library, or its DLPack capsule"},
                  device_param,
                  copy_param}},
      [](const Op&, const Object& x, Unused, const Object& copied) {
        const Tensor t = from_dlpack(x.ptr());
        return wrap(!copied.is_none() && PyObject_IsTrue(copied.ptr()) ? alias(copy(t)) : t);
      });
}

void bind_full(py::module_& m) {
  const Param value{"fill_value", Kind::object, required,
                    "a number, or a tensor that broadcasts to the shape, to which gradients flow"};
  def_function(m,
               {.name = "full",
                .doc = "Every element is fill_value.",
                .returns = "A tensor of the shape.",
                .raises = "ValueError: for a negative size, or a value that does not broadcast to the shape.",
                .source = array_api,
                .example = ">>> sp.full((2,), 7.0)\n"
                           "tensor([7., 7.], dtype=float32)",
                .params = {shape_param, value, data_dtype_param, grad_param, device_param}},
               [](const Op&, const Arg& shape, const Object& fill_value, Wanted dtype, bool requires_grad, Unused) {
                 return made(fill(parse_shape(shape), fill_value, dtype), requires_grad);
               });
  def_function(m,
               {.name = "full_like",
                .doc = "Every element is fill_value, in the shape and dtype of x.",
                .returns = "A tensor of x's shape.",
                .raises = "ValueError: for a value that does not broadcast to the shape.",
                .source = array_api,
                .example = ">>> sp.full_like(sp.zeros(2), 7.0)\n"
                           "tensor([7., 7.], dtype=float32)",
                .params = {like_param, value, like_dtype_param, grad_param, device_param}},
               [](const Op&, const Tensor& x, const Object& fill_value, Wanted dtype, bool requires_grad, Unused) {
                 return made(fill(x.shape(), fill_value, dtype.value_or(x.dtype())), requires_grad);
               });
}

void bind_ranges(py::module_& m) {
  def_function(
      m,
      {.name = "arange",
       .doc = "start, start + step, ... below stop; arange(n) counts from 0.",
       .returns = "A 1-d tensor, int64, or float32 if one of the three is a float.",
       .raises = "TypeError: for what is no number.\nValueError: if step is 0, or there are too many elements.",
       .source = array_api,
       .example = ">>> sp.arange(1, 10, 3)\n"
                  "tensor([1, 4, 7], dtype=int64)",
       .params = {{"start", Kind::object, required, "the first element; the end, if stop is None"},
                  {"stop", Kind::object, "None", "the end, which is not included"},
                  {"step", Kind::object, "1", "the difference of neighbours, negative to count down"},
                  data_dtype_param,
                  grad_param,
                  device_param}},
      arange_of);
  def_function(m,
               {.name = "linspace",
                .doc = "num evenly spaced values from start to stop, rounded down for integer dtypes.",
                .returns = "A 1-d tensor of num elements.",
                .raises = "ValueError: if num is negative.",
                .source = array_api,
                .example = ">>> sp.linspace(0.0, 1.0, 5)\n"
                           "tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)",
                .params = {{"start", Kind::real, required, "the first value"},
                           {"stop", Kind::real, required, "the last value, or the one after the last"},
                           {"num", Kind::integer, required, "how many"},
                           dtype_param,
                           {"endpoint", Kind::flag, "True", "whether stop is the last value"},
                           grad_param,
                           device_param}},
               linspace);
  def_function(m,
               {.name = "eye",
                .doc = "Ones on diagonal k, zeros elsewhere.",
                .returns = "A matrix (n_rows, n_cols).",
                .raises = "ValueError: for a negative size.",
                .source = array_api,
                .example = ">>> sp.eye(2, 3)\n"
                           "tensor([[1., 0., 0.],\n"
                           "        [0., 1., 0.]], dtype=float32)",
                .params = {{"n_rows", Kind::integer, required, "number of rows"},
                           {"n_cols", Kind::optional_integer, "None", "number of columns; that of rows where None"},
                           {"k", Kind::object, "0", "the diagonal: 0 the main one, above it if positive"},
                           dtype_param,
                           grad_param,
                           device_param}},
               eye);
}

}  // namespace

void bind_creation(py::module_& m) {
  bind_data(m);
  def_filled<0>(m, "zeros", "zeros_like", "All zeros.",
                ">>> sp.zeros((2,))\n"
                "tensor([0., 0.], dtype=float32)",
                ">>> sp.zeros_like(sp.arange(3))\n"
                "tensor([0, 0, 0], dtype=int64)");
  def_filled<1>(m, "ones", "ones_like", "All ones.",
                ">>> sp.ones((2,))\n"
                "tensor([1., 1.], dtype=float32)",
                ">>> sp.ones_like(sp.arange(3))\n"
                "tensor([1, 1, 1], dtype=int64)");
  def_filled<0>(
      m, "empty", "empty_like",
      "A tensor to be written into. Its elements are zeros, so that no result depends on uninitialised memory.",
      ">>> sp.empty((2, 3)).shape\n"
      "(2, 3)",
      ">>> sp.empty_like(sp.arange(3)).shape\n"
      "(3,)");
  bind_full(m);
  bind_ranges(m);
}

}  // namespace steep
