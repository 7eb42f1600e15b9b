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

using py::arg;
using Object = py::object;

Tensor tensor(Object data, Object dtype, bool wants_grad) {
  const Tensor t = make_tensor(data.ptr(), dtype.ptr());
  if (wants_grad) require_grad(t, true);
  return t;
}
Tensor asarray(Object data, Object dtype, Object copy) {
  if (copy.is(py::bool_(true))) return make_tensor(data.ptr(), dtype.ptr());
  const Tensor t = to_tensor(data.ptr());
  return dtype.is_none() ? t : astype(t, parse_dtype(dtype.ptr()));
}

std::int64_t whole(py::handle v) {
  const Py_ssize_t n = PyNumber_AsSsize_t(v.ptr(), PyExc_OverflowError);
  if (n == -1 && PyErr_Occurred()) throw_python_error();
  return n;
}
Dims parse_shape(py::handle shape) {
  Dims d;
  const auto add = [&](py::handle v) {
    d.push(whole(v));
    if (d.back() < 0) fail<ValueError>("shape: a size is negative: ", d.back());
  };
  if (PyIndex_Check(shape.ptr()) && !PyObject_HasAttrString(shape.ptr(), "__len__")) add(shape);
  else
    for (py::handle v : shape) add(v);
  return d;
}
DType type_or(const Object& dtype, DType otherwise) { return dtype.is_none() ? otherwise : parse_dtype(dtype.ptr()); }

PyObject* read_scalar(const Tensor& t) {
  host_read(t, "full");
  return item_object(t);
}
bool is_number(py::handle o) { return is_scalar(o.ptr()); }
Tensor fill(const Dims& shape, Object value, DType t) {
  if (is_tensor(value.ptr()) || !is_number(value))
    value = py::reinterpret_steal<Object>(read_scalar(to_tensor(value.ptr())));
  if (PyFloat_Check(value.ptr())) return full(shape, py::cast<double>(value), t);
  return full_int(shape, item_int(from_scalar(value.ptr(), Int64)), t);
}
DType type_of(const Object& value) { return to_tensor(value.ptr()).dtype(); }
Tensor filled(Object shape, Object value, Object dtype) {
  return fill(parse_shape(shape), value, type_or(dtype, type_of(value)));
}

void def_filled(py::module_& m, const char* name, const char* like, const char* doc, int value) {
  m.def(
      name,
      [value](Object shape, Object dtype) { return full_int(parse_shape(shape), value, type_or(dtype, Float32)); }, doc,
      arg("shape"), arg("dtype") = py::none());
  m.def(
      like,
      [value](Object x, Object dtype) {
        const Tensor t = to_tensor(x.ptr());
        return full_int(t.shape(), value, type_or(dtype, t.dtype()));
      },
      doc, arg("x"), arg("dtype") = py::none());
}

// start + i * step in float64, then cast, so that float32 results are the nearest to the exact ones.
Tensor ramp(double start, double step, std::int64_t n, DType dtype) {
  const Tensor t = empty({n}, Float64);
  serial_for(n, 1 << 16, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) t.data<double>()[i] = start + static_cast<double>(i) * step;
  });
  return astype(t, dtype);
}

Tensor arange_of(Object start, Object stop, Object step, Object dtype) {
  if (stop.is_none()) stop = start, start = py::int_(0);
  const bool floats = PyFloat_Check(start.ptr()) || PyFloat_Check(stop.ptr()) || PyFloat_Check(step.ptr());
  const DType t = type_or(dtype, floats ? Float32 : Int64);
  const double by = py::cast<double>(step);
  if (by == 0 || std::isnan(by)) fail<ValueError>("arange: step must be a number other than 0");
  if (!floats) return arange(whole(start), whole(stop), whole(step), t);
  const double from = py::cast<double>(start), n = std::ceil((py::cast<double>(stop) - from) / by);
  if (!(n < 1e15)) fail<ValueError>("arange: the range has no end, or too many elements");
  return ramp(from, by, n > 0 ? static_cast<std::int64_t>(n) : 0, t);
}

Tensor linspace(double start, double stop, std::int64_t n, Object dtype, bool endpoint) {
  if (n < 0) fail<ValueError>("linspace: num must be at least 0, and is ", n);
  const std::int64_t steps = endpoint ? n - 1 : n;
  const Tensor t = ramp(start, steps > 0 ? (stop - start) / static_cast<double>(steps) : 0, n, Float64);
  if (endpoint && n > 1) t.data<double>()[n - 1] = stop;
  return astype(t, type_or(dtype, Float32));
}

Tensor eye(std::int64_t rows, Object columns, std::int64_t k, Object dtype) {
  const std::int64_t n = columns.is_none() ? rows : whole(columns);
  const Tensor i = reshape(arange(0, rows, 1, Int64), {rows, 1}), j = reshape(arange(0, n, 1, Int64), {1, n});
  return astype(equal(add(i, full_int({}, k, Int64)), j), type_or(dtype, Float32));
}

}  // namespace

void bind_creation(py::module_& m) {
  m.def("tensor", tensor, "A new tensor with a copy of data. Python floats become float32; NumPy's dtype is kept.",
        arg("data"), arg("dtype") = py::none(), arg("requires_grad") = false);
  m.def("asarray", asarray, "data as a tensor, sharing memory where it can.", arg("obj"), arg("dtype") = py::none(),
        arg("copy") = py::none());
  m.def(
      "from_dlpack", [](Object x) { return from_dlpack(x.ptr()); }, "A tensor that shares another library's memory.",
      arg("x"));
  def_filled(m, "zeros", "zeros_like", "All zeros.", 0);
  def_filled(m, "ones", "ones_like", "All ones.", 1);
  def_filled(m, "empty", "empty_like", "For results to be written into; zeros, so that nothing depends on old memory.",
             0);
  m.def("full", filled, "Every element fill_value.", arg("shape"), arg("fill_value"), arg("dtype") = py::none());
  m.def(
      "full_like",
      [](Object x, Object value, Object dtype) {
        const Tensor t = to_tensor(x.ptr());
        return fill(t.shape(), value, type_or(dtype, t.dtype()));
      },
      "Every element fill_value, in x's shape.", arg("x"), arg("fill_value"), arg("dtype") = py::none());
  m.def("arange", arange_of, "start, start + step, ... below stop; arange(n) counts from 0.", arg("start"),
        arg("stop") = py::none(), arg("step") = 1, arg("dtype") = py::none());
  m.def("linspace", linspace, "num evenly spaced values from start to stop.", arg("start"), arg("stop"), arg("num"),
        arg("dtype") = py::none(), arg("endpoint") = true);
  m.def("eye", eye, "Ones on diagonal k, zeros elsewhere.", arg("n_rows"), arg("n_cols") = py::none(), arg("k") = 0,
        arg("dtype") = py::none());
}

}  // namespace steep
