// Recording for compiled functions, in Python: what a run does becomes a program. python/steep/compiling/ decides when;
// guards are in guard.h, calls that replay in recording.h. Start reading at Capture.
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "bindings/recording.h"
#include "graph/recorder.h"
#include "graph/verify.h"

namespace steep {
namespace {

// Operations meanwhile are not part of the recording around.
class Unrecorded {
 public:
  Unrecorded() : before_(std::exchange(mode().recorder, nullptr)) {}
  ~Unrecorded() { mode().recorder = before_; }
  Unrecorded(const Unrecorded&) = delete;
  Unrecorded& operator=(const Unrecorded&) = delete;

 private:
  Recorder* before_;
};

// The recorder in force on this thread, from Python's `with`.
class Capture {
 public:
  Capture(const std::vector<Tensor>& arguments, bool trace, bool keep)
      : recorder_(arguments, trace, keep), before_(mode().recorder) {
    mode().recorder = &recorder_;
  }
  ~Capture() { stop(); }
  void stop() {
    if (mode().recorder == &recorder_) mode().recorder = before_;
    recorder_.stop();
  }
  void finish(const std::vector<Tensor>& outputs) {
    program_ = recorder_.finish(outputs);
    stop();
  }
  // What was recorded, ready to run. It may be asked for more than once; keep: as verify.h needs it.
  std::shared_ptr<Replay> program(bool keep) const {
    Program p = program_;
    p.forget_values();
    simplify(p);
    accumulate(p);
    return std::make_shared<Replay>(std::move(p), keep);
  }
  void undo() {
    const Unrecorded off;
    recorder_.undo();
  }
  void forget() { program_.forget_values(); }
  const Program& recorded() const { return program_; }
  Recorder& recorder() { return recorder_; }

 private:
  Recorder recorder_;
  Recorder* before_;
  Program program_;
};

class UnrecordedBlock {
 public:
  void enter() { off_.emplace(); }
  void exit() { off_.reset(); }

 private:
  std::optional<Unrecorded> off_;
};

constexpr const char* why_detached =
    "a compiled function that updates tensors in place, draws random numbers or calls backward()";

// Where an array's elements lie: from the first byte to behind the last.
std::pair<const char*, const char*> extent(const py::buffer_info& info) {
  const char *first = static_cast<const char*>(info.ptr), *last = first;
  for (py::ssize_t i = 0; i < info.ndim; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    const py::ssize_t way = (info.shape[axis] - 1) * info.strides[axis];
    (way < 0 ? first : last) += way;
  }
  return {first, last + info.itemsize};
}

// Whether a program reads memory of an array (anything with a buffer) whenever it runs.
bool reads_memory_of(const Replay& r, const py::buffer& array) {
  const auto [first, end] = extent(array.request());
  const auto reads = [first = first, end = end](const Buffer& b) {
    return b.place == Place::captured && b.storage->data >= first && b.storage->data < end;
  };
  return std::ranges::any_of(r.program().buffers, reads);
}

void bind_programs(py::module_& m) {
  py::class_<Replay, std::shared_ptr<Replay>>(m, "Program", "A recorded call, ready to be run again.",
                                              py::custom_type_setup(checked_memory))
      .def(py::init([](const py::args&, const py::kwargs&) -> std::shared_ptr<Replay> {
        fail<TypeError>("Program: compile() makes programs; look at compile(f).programs after a call");
      }))
      .def_property_readonly("panel_bytes", &Replay::panel_bytes,
                             "Bytes of packed copies of constant operands, which later calls read.")
      .def_property_readonly("arena_bytes", &Replay::arena_bytes, "Bytes of the arena that all temporaries share.")
      .def_property_readonly("_arena", [](const Replay& r) { return reinterpret_cast<std::uintptr_t>(r.arena()); })
      .def_property_readonly("temporary_bytes", &Replay::temporary_bytes, "What they would need without sharing.")
      .def_property_readonly(
          "instructions", [](const Replay& r) { return r.program().code.size(); }, "Instructions after simplification.")
      .def_property_readonly(
          "recorded", [](const Replay& r) { return r.program().recorded; }, "Instructions before it.")
      .def_property_readonly("groups", &Replay::groups, "Fused groups.")
      .def("_reads", &reads_memory_of, "Whether it reads the memory of an array at every call.")
      .def_property_readonly("_writes", [](const Replay& r) { return r.program().has_effects(); })
      .def("_versions", &Replay::versions)
      .def("_detach",
           [](Replay& r, const std::vector<int>& results) {
             for (const int i : results) r.detach(i, why_detached);
           })
      .def("_run",
           [](Replay& r, const std::vector<Tensor>& arguments) {
             std::vector<Tensor> results;
             r.run(arguments.data(), results);
             return results;
           })
      .def("__str__", &Replay::text)
      .def("_repr_html_",
           [](const py::object& r) { return py::module_::import("steep._repr").attr("program_html")(r); })
      .def("__repr__", [](const Replay& r) {
        return str("<steep program: ", r.program().code.size(), " instructions, ", r.groups(), " fused groups>");
      });
}

// (op, attributes by name, inputs, output, in place) of every application so far.
py::list traced(Capture& c) {
  py::list all;
  for (const Traced& t : c.recorder().traced())
    all.append(py::make_tuple(t.op->name, attributes_dict(*t.op, t.attrs), t.in, t.out, t.in_place));
  return all;
}

void bind_captures(py::module_& m) {
  py::class_<Capture>(m, "_Capture", py::custom_type_setup(checked_memory))
      .def(py::init<const std::vector<Tensor>&, bool, bool>(), py::arg("arguments"), py::arg("trace") = false,
           py::arg("keep") = false)
      .def("give", [](Capture& c, const Tensor& t) { c.recorder().give(t); })
      .def("traced", &traced)
      .def("stop", &Capture::stop)
      .def("finish", &Capture::finish)
      .def("forget", &Capture::forget, "Releases the values that it has computed.")
      .def("undo", &Capture::undo, "Puts back what the run has written in place, and every .grad that it set.")
      .def("program", &Capture::program)
      .def("difference", [](const Capture& a, const Capture& b) { return difference(a.recorded(), b.recorded()); })
      .def("first_wrong", [](const Capture& c, const Replay& kept) { return first_wrong(kept, c.recorded()); });
  py::class_<Snapshot>(m, "_Snapshot", py::custom_type_setup(checked_memory))
      .def(py::init([](const Replay& r, const std::vector<Tensor>& arguments) {
        return std::make_unique<Snapshot>(r.program(), arguments);
      }))
      .def("restore", &Snapshot::restore)
      .def("now", [](const Snapshot& s) {
        py::list all;
        for (const auto& [name, bytes] : s.now()) all.append(py::make_tuple(name, py::bytes(bytes)));
        return all;
      });
}

void bind_helpers(py::module_& m) {
  py::class_<UnrecordedBlock>(m, "_unrecorded", "Operations inside are not part of the recording around.",
                              py::custom_type_setup(checked_memory))
      .def(py::init<>())
      .def("__enter__", &UnrecordedBlock::enter)
      .def("__exit__", [](UnrecordedBlock& u, const py::args&) { u.exit(); });
  m.def(
      "_cell",
      [](double value) {
        const Tensor t = scalar(value, Float64);
        t->storage->born = 0;
        return t;
      },
      "A 0-d float64 tensor that a recording takes for one from outside.");
  m.def(
      "_set_cell", [](const Tensor& cell, double value) { *cell.data<double>() = value; }, "Sets such a tensor.");
  m.def(
      "_same_memory", [](const Tensor& a, const Tensor& b) { return a->storage.get() == b->storage.get(); },
      "Whether two tensors are parts of one block of memory.");
  m.def(
      "_detached",
      [](const Tensor& t) {
        Tensor a = alias(t);
        a->detached_by = why_detached;
        return a;
      },
      "The tensor without its graph, for the reason that a compiled function gives.");
  m.def(
      "_is_freed", [](const Tensor& t) { return t->node && t->node->freed; }, "Whether backward() freed its graph.");
  m.def(
      "_is_watching", [] { return mode().anomaly || mode().keeps_values || mode().overridden; },
      "Whether anomalies are looked for, values kept, or gradient rules replaced, on this thread.");
  m.def(
      "_is_recording", [] { return is_recording(); }, "Whether a call is being recorded on this thread.");
}

}  // namespace

void bind_compile(py::module_& m) {
  bind_compiled_type(m);
  bind_programs(m);
  set_signature(m.attr("Program"), "");
  bind_captures(m);
  bind_guard(m);
  bind_recording(m);
  bind_helpers(m);
}

}  // namespace steep
