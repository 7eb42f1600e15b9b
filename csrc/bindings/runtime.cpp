// Process-wide settings: threads, memory, instruction set.
#include <climits>

#include "bindings/host.h"
#include "bindings/python.h"
#include "core/parallel.h"
#include "kernels/scratch.h"
#include "ops/precision.h"

namespace steep {
namespace {

PyObject* none() { return Py_NewRef(Py_None); }

PyObject* memory(const Op&, Args&) {
  const MemoryReport r = memory_report();
  py::dict d;
  d["live_bytes"] = r.live_bytes;
  d["peak_bytes"] = r.peak_bytes;
  d["cached_bytes"] = r.cached_bytes;
  d["allocations"] = r.allocations;
  d["system_allocations"] = r.system_allocations;
  return d.release().ptr();
}

PyObject* set_num_threads(const Op& op, Args& a) {
  if (a[0].integer < 1 || a[0].integer > INT_MAX)
    fail<ValueError>(op.name, ": needs at least 1 and at most ", INT_MAX, ", and got ", a[0].integer);
  set_threads(static_cast<int>(a[0].integer));
  return none();
}

// Sets the calling thread's precision, None to unset it, and returns the previous value.
py::object scope_precision(const py::object& word) {
  std::optional<Precision> wanted;
  if (!word.is_none()) wanted = parse_precision(py::cast<std::string>(py::str(word)));
  const auto before = std::exchange(mode().precision, wanted);
  return before ? py::object(py::str(name(*before))) : py::none();
}

void bind_precision(py::module_& m) {
  def_function(
      m, "set_matmul_precision",
      "How float32 products are computed from now on, in every thread: \"auto\", \"fma\", \"split\" or \"bf16\".",
      {{"mode", Kind::text}},
      [](const Op&, Args& a) { return set_matmul_precision(parse_precision(a[0].text)), none(); });
  def_function(m, "get_matmul_precision", "The current float32 product precision, a string.", {},
               [](const Op&, Args&) { return py::str(name(matmul_precision())).release().ptr(); });
  m.def("_scope_matmul_precision", scope_precision);
  m.def("_amx_missing", [] { return k::amx_missing(); });
}

}  // namespace

void bind_runtime(py::module_& m) {
  def_function(m, "set_num_threads", "Sets the number of threads for large operations. Raises ValueError below 1.",
               {{"n", Kind::integer}}, set_num_threads);
  def_function(m, "get_num_threads", "The number of threads for large operations, an int.", {},
               [](const Op&, Args&) { return PyLong_FromLong(threads()); });
  def_function(
      m, "memory_report",
      "A dict of bytes live, at the peak and cached, and counts of allocations requested and made from the system.", {},
      memory);
  def_function(m, "reset_peak_memory", "Resets the peak to the bytes that are live now.", {},
               [](const Op&, Args&) { return reset_peak_memory(), none(); });
  def_function(m, "trim_memory", "Returns cached memory to the system.", {},
               [](const Op&, Args&) { return trim_memory(), none(); });
  def_function(m, "isa", "The instruction set in use, a string.", {},
               [](const Op&, Args&) { return PyUnicode_FromString(k::table().isa); });
  m.def("_isas", [] { return py::make_tuple(k::isas_built(), k::isas_usable()); });
  m.def("_fill_scratch", k::fill_scratch, py::arg("word"), py::arg("bytes"));
  m.def("_isa_missing", [](const std::string& isa) { return k::isa_missing(isa.c_str()); });
  m.def("_promote", [](py::object a, py::object b) {
    return py::reinterpret_borrow<py::object>(dtype_object(promote(parse_dtype(a.ptr()), parse_dtype(b.ptr()))));
  });
  bind_precision(m);
  install_host_hooks();
}

}  // namespace steep
