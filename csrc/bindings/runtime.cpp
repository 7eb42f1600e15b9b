// Making tensors from data, and the process: threads, memory, instruction set.
#include <pybind11/stl.h>

#include "bindings/autograd.h"
#include "bindings/python.h"
#include "core/parallel.h"
#include "ops/functions.h"

namespace steep {
namespace {

Tensor tensor(py::object data, py::object dtype, bool wants_grad) {
  const Tensor t = make_tensor(data.ptr(), dtype.ptr());
  if (wants_grad) require_grad(t, true);
  return t;
}

Tensor asarray(py::object data, py::object dtype, py::object copy) {
  if (copy.is(py::bool_(true))) return make_tensor(data.ptr(), dtype.ptr());
  const Tensor t = to_tensor(data.ptr());
  return dtype.is_none() ? t : astype(t, parse_dtype(dtype.ptr()));
}

Dims parse_shape(py::handle shape) {
  Dims d;
  const auto add = [&](py::handle v) {
    const auto n = py::cast<std::int64_t>(py::module_::import("operator").attr("index")(v));
    if (n < 0) fail<ValueError>("shape: a size is negative: ", n);
    d.push(n);
  };
  if (PyIndex_Check(shape.ptr())) add(shape);
  else
    for (py::handle v : shape) add(v);
  return d;
}

DType or_float(const py::object& dtype) { return dtype.is_none() ? Float32 : parse_dtype(dtype.ptr()); }

Tensor filled(py::object shape, py::object value, py::object dtype) {
  if (is_tensor(value.ptr())) value = py::reinterpret_steal<py::object>(item_object(borrow(value.ptr())));
  DType t = dtype.is_none() ? (PyFloat_Check(value.ptr()) ? Float32 : PyBool_Check(value.ptr()) ? Bool : Int64)
                            : parse_dtype(dtype.ptr());
  if (PyFloat_Check(value.ptr())) return full(parse_shape(shape), py::cast<double>(value), t);
  return full_int(parse_shape(shape), py::cast<std::int64_t>(value), t);
}

// start + i * step in float64, then cast, so that float32 results are the nearest to the exact ones.
Tensor ramp(double start, double step, std::int64_t n, DType dtype) {
  const Tensor t = empty({n}, Float64);
  for (std::int64_t i = 0; i < n; ++i) t.data<double>()[i] = start + static_cast<double>(i) * step;
  return astype(t, dtype);
}

py::dict memory() {
  const MemoryReport r = memory_report();
  py::dict d;
  d["live_bytes"] = r.live_bytes;
  d["peak_bytes"] = r.peak_bytes;
  d["cached_bytes"] = r.cached_bytes;
  d["allocations"] = r.allocations;
  d["system_allocations"] = r.system_allocations;
  return d;
}

void install_hooks() {
  set_host_hooks({.unlock = []() -> void* { return PyEval_SaveThread(); },
                  .lock = [](void* state) { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); },
                  .poll = [] {
                    if (PyErr_CheckSignals() != 0) throw PythonError();
                  }});
}

}  // namespace

void bind_runtime(py::module_& m) {
  using py::arg;
  m.def("tensor", tensor, "A new tensor with a copy of data. Python floats become float32; NumPy's dtype is kept.",
        arg("data"), arg("dtype") = py::none(), arg("requires_grad") = false);
  m.def("asarray", asarray, "data as a tensor, sharing memory where it can.", arg("obj"), arg("dtype") = py::none(),
        arg("copy") = py::none());
  m.def("from_dlpack", [](py::object x) { return from_dlpack(x.ptr()); }, "A tensor that shares another library's memory.", arg("x"));
  m.def("empty", [](py::object s, py::object t) { return empty(parse_shape(s), or_float(t)); }, "Uninitialised.",
        arg("shape"), arg("dtype") = py::none());
  m.def("full", filled, "Every element fill_value.", arg("shape"), arg("fill_value"), arg("dtype") = py::none());
  m.def("ramp", [](double start, double step, std::int64_t n, py::object t) { return ramp(start, step, n, parse_dtype(t.ptr())); });
  m.def("int_ramp", [](std::int64_t a, std::int64_t b, std::int64_t s, py::object t) { return arange(a, b, s, parse_dtype(t.ptr())); });
  m.def("set_num_threads", [](int n) {
    if (n < 1) fail<ValueError>("set_num_threads: needs at least 1, and got ", n);
    set_threads(n);
  }, "Threads for large operations, from now on.", arg("n"));
  m.def("get_num_threads", threads, "Threads that large operations use.");
  m.def("memory_report", memory, "Bytes live, at the peak and cached; allocations asked for and made of the system.");
  m.def("reset_peak_memory", reset_peak_memory, "Starts the peak again at what is live now.");
  m.def("trim_memory", trim_memory, "Gives cached memory back to the system.");
  m.def("isa", [] { return k::table().isa; }, "The instruction set in use.");
  m.def("isas", [] { return py::make_tuple(k::isas_built(), k::isas_usable()); });
  m.def("promote", [](py::object a, py::object b) {
    return py::reinterpret_borrow<py::object>(dtype_object(promote(parse_dtype(a.ptr()), parse_dtype(b.ptr()))));
  });
  install_hooks();
}

}  // namespace steep
