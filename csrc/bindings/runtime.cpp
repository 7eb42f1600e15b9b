// The process: threads, memory, instruction set.
#include "bindings/host.h"
#include "bindings/python.h"
#include "core/parallel.h"

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
  m.def("_promote", [](py::object a, py::object b) {
    return py::reinterpret_borrow<py::object>(dtype_object(promote(parse_dtype(a.ptr()), parse_dtype(b.ptr()))));
  });
  install_host_hooks();
}

}  // namespace steep
