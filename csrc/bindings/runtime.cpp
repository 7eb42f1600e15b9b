// The process: threads, memory, instruction set.
#include "bindings/host.h"
#include "bindings/python.h"
#include "core/parallel.h"
#include "kernels/scratch.h"
#include "ops/precision.h"

namespace steep {
namespace {

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

// Sets the calling thread's precision, None for none of its own, and returns what it was.
py::object scope_precision(const py::object& word) {
  std::optional<Precision> wanted;
  if (!word.is_none()) wanted = parse_precision(py::cast<std::string>(py::str(word)));
  const auto before = std::exchange(mode().precision, wanted);
  return before ? py::object(py::str(name(*before))) : py::none();
}

void bind_precision(py::module_& m) {
  m.def(
      "set_matmul_precision", [](const std::string& mode) { set_matmul_precision(parse_precision(mode)); },
      "How float32 products are computed from now on, in every thread: \"auto\", \"fma\", \"split\" or \"bf16\".",
      py::arg("mode"));
  m.def(
      "get_matmul_precision", [] { return name(matmul_precision()); },
      "How float32 products are computed here and now.");
  m.def("_scope_matmul_precision", scope_precision);
  m.def("_amx_missing", [] { return k::amx_missing(); });
}

}  // namespace

void bind_runtime(py::module_& m) {
  using py::arg;
  m.def(
      "set_num_threads",
      [](int n) {
        if (n < 1) fail<ValueError>("set_num_threads: needs at least 1, and got ", n);
        set_threads(n);
      },
      "Threads for large operations, from now on.", arg("n"));
  m.def("get_num_threads", threads, "Threads that large operations use.");
  m.def("memory_report", memory, "Bytes live, at the peak and cached; allocations asked for and made of the system.");
  m.def("reset_peak_memory", reset_peak_memory, "Starts the peak again at what is live now.");
  m.def("trim_memory", trim_memory, "Gives cached memory back to the system.");
  m.def(
      "isa", [] { return k::table().isa; }, "The instruction set in use.");
  m.def("_isas", [] { return py::make_tuple(k::isas_built(), k::isas_usable()); });
  m.def("_fill_scratch", k::fill_scratch, arg("word"), arg("bytes"));
  m.def("_isa_missing", [](const std::string& isa) { return k::isa_missing(isa.c_str()); });
  m.def("_promote", [](py::object a, py::object b) {
    return py::reinterpret_borrow<py::object>(dtype_object(promote(parse_dtype(a.ptr()), parse_dtype(b.ptr()))));
  });
  bind_precision(m);
  install_host_hooks();
}

}  // namespace steep
