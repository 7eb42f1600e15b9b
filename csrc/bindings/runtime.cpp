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

PyObject* memory(const Op&) {
  const MemoryReport r = memory_report();
  py::dict d;
  d["live_bytes"] = r.live_bytes;
  d["peak_bytes"] = r.peak_bytes;
  d["cached_bytes"] = r.cached_bytes;
  d["allocations"] = r.allocations;
  d["system_allocations"] = r.system_allocations;
  return d.release().ptr();
}

PyObject* set_num_threads(const Op& op, std::int64_t n) {
  if (n < 1 || n > INT_MAX) fail<ValueError>(op.name, ": needs at least 1 and at most ", INT_MAX, ", and got ", n);
  set_threads(static_cast<int>(n));
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
      m,
      {.name = "set_matmul_precision",
       .doc =
           "How float32 products are computed from now on, in every thread: \"auto\", \"fma\", \"split\" or \"bf16\".",
       .raises = "ValueError: for another word.",
       .source = "Henry, Tang and Heinecke 2019, \"Leveraging the bfloat16 artificial intelligence datatype for "
                 "higher-precision computations\", arXiv:1904.06376; docs/precision.md specifies each.",
       .example = ">>> sp.set_matmul_precision(\"auto\")\n"
                  ">>> sp.get_matmul_precision()\n"
                  "'auto'",
       .params =
           {{"mode", Kind::text, required,
             "\"fma\" for fused multiply-adds, \"split\" for six products of bfloat16 parts, as accurate, \"bf16\" "
             "for one, \"auto\" for whichever of the first two is faster"}}},
      [](const Op&, const std::string& mode) { return set_matmul_precision(parse_precision(mode)), none(); });
  def_function(m,
               {.name = "get_matmul_precision",
                .doc = "How float32 products are computed now, in this thread.",
                .returns = "A string, as set_matmul_precision() takes.",
                .example = ">>> with sp.matmul_precision(\"fma\"):\n"
                           "...     sp.get_matmul_precision()\n"
                           "'fma'"},
               [](const Op&) { return py::str(name(matmul_precision())).release().ptr(); });
  m.def("_scope_matmul_precision", scope_precision);
  m.def("_amx_missing", [] { return k::amx_missing(); });
}

}  // namespace

void bind_runtime(py::module_& m) {
  def_function(m,
               {.name = "set_num_threads",
                .doc = "Sets the number of threads for large operations. Results do not depend on it.",
                .raises = "ValueError: below 1.",
                .example = ">>> sp.set_num_threads(sp.get_num_threads())",
                .params = {{"n", Kind::integer, required, "the number of threads, at least 1"}}},
               set_num_threads);
  def_function(m,
               {.name = "get_num_threads",
                .doc = "The number of threads for large operations.",
                .returns = "An int.",
                .example = ">>> sp.get_num_threads() >= 1\n"
                           "True"},
               [](const Op&) { return PyLong_FromLong(threads()); });
  def_function(
      m,
      {.name = "memory_report",
       .doc = "How much memory tensors use.",
       .returns = "A dict: bytes live, at the peak and cached, and the numbers of allocations requested and made "
                  "from the system.",
       .example = ">>> sorted(sp.memory_report())\n"
                  "['allocations', 'cached_bytes', 'live_bytes', 'peak_bytes', 'system_allocations']"},
      memory);
  def_function(m,
               {.name = "reset_peak_memory",
                .doc = "Resets the peak to the bytes that are live now.",
                .example = ">>> sp.reset_peak_memory()\n"
                           ">>> report = sp.memory_report()\n"
                           ">>> report[\"peak_bytes\"] >= report[\"live_bytes\"]\n"
                           "True"},
               [](const Op&) { return reset_peak_memory(), none(); });
  def_function(m,
               {.name = "trim_memory",
                .doc = "Returns cached memory to the system.",
                .example = ">>> sp.trim_memory()\n"
                           ">>> sp.memory_report()[\"cached_bytes\"]\n"
                           "0"},
               [](const Op&) { return trim_memory(), none(); });
  def_function(m,
               {.name = "isa",
                .doc = "The instruction set in use.",
                .returns = "A string: \"avx512\", \"avx2\", \"baseline\" or \"neon\".",
                .example = ">>> sp.isa() in (\"avx512\", \"avx2\", \"baseline\", \"neon\")\n"
                           "True"},
               [](const Op&) { return PyUnicode_FromString(k::table().isa); });
  m.def("_thread_pool", thread_pool);
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
