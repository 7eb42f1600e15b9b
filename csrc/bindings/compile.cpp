// Compiled functions in Python: recording a call, and the type whose call replays it. python/steep/compiling.py decides
// when to record; a call whose arguments are tensors like the last ones never leaves this file. Start reading at
// call().
#include <pybind11/stl.h>

#include <cstring>
#include <memory>

#include "bindings/host.h"
#include "bindings/python.h"
#include "graph/recorder.h"
#include "graph/replay.h"
#include "graph/verify.h"
#include "ops/precision.h"

namespace steep {
namespace {

// Whether a number or text is what it was, to the last bit; all other values are known by being the same object.
bool same_value(PyObject* wanted, PyObject* given) {
  if (wanted == given) return true;
  if (Py_TYPE(wanted) != Py_TYPE(given)) return false;
  if (PyFloat_CheckExact(given)) {
    const double a = PyFloat_AS_DOUBLE(wanted), b = PyFloat_AS_DOUBLE(given);
    return std::memcmp(&a, &b, sizeof a) == 0;
  }
  if (PyTuple_CheckExact(given)) {
    const Py_ssize_t n = PyTuple_GET_SIZE(wanted);
    bool same = n == PyTuple_GET_SIZE(given);
    for (Py_ssize_t i = 0; same && i < n; ++i)
      same = same_value(PyTuple_GET_ITEM(wanted, i), PyTuple_GET_ITEM(given, i));
    return same;
  }
  if (!PyLong_CheckExact(given) && !PyUnicode_CheckExact(given)) return false;
  return PyObject_RichCompareBool(wanted, given, Py_EQ) == 1;
}

// What a recording relied on beside its arguments: a variable that a function closes over, an item of a container (a
// global, an entry of a list) or an attribute, and what it held; how long a container was; whether a tensor had a
// graph.
struct Guard {
  enum class Kind : std::uint8_t { cell, item, attribute, length, graph } kind;
  py::object holder, name, value;

  py::object now() const {
    PyObject* found = nullptr;
    if (kind == Kind::cell) found = Py_XNewRef(PyCell_GET(holder.ptr()));
    else if (kind == Kind::item) found = PyObject_GetItem(holder.ptr(), name.ptr());
    else if (kind == Kind::length) found = PyLong_FromSsize_t(PyObject_Size(holder.ptr()));
    else if (kind == Kind::graph) found = PyBool_FromLong(borrow(holder.ptr())->node != nullptr);
    else found = PyObject_GetAttr(holder.ptr(), name.ptr());
    if (!found) PyErr_Clear();
    return py::reinterpret_steal<py::object>(found);
  }
  bool holds() const {
    if (kind == Kind::length) return PyObject_Size(holder.ptr()) == PyLong_AsSsize_t(value.ptr());
    if (kind == Kind::graph) return (borrow(holder.ptr())->node != nullptr) == value.is(py::handle(Py_True));
    const py::object found = now();
    return found && same_value(value.ptr(), found.ptr());
  }
};

// How results become what the function returned.
enum class Shape : std::uint8_t { none, one, tuple, tree };

PyObject* pack(Shape shape, const std::vector<Tensor>& results) {
  if (shape == Shape::none) return Py_NewRef(Py_None);
  if (shape == Shape::one) return wrap(results[0]);
  py::tuple all(results.size());
  for (std::size_t i = 0; i < results.size(); ++i)
    PyTuple_SET_ITEM(all.ptr(), static_cast<Py_ssize_t>(i), wrap(results[i]));
  return all.release().ptr();
}

// One recorded call, and when it may be replayed. One thread uses it at a time: what a call asks Python for, and long
// ops, let others run, and those record a program of their own.
class Recording {
 public:
  Recording(std::shared_ptr<Replay> replay, std::vector<py::object> arguments, std::vector<bool> requires_grad,
            std::vector<Guard> guards, std::vector<py::object> hosts)
      : replay_(std::move(replay)),
        arguments_(std::move(arguments)),
        requires_grad_(std::move(requires_grad)),
        guards_(std::move(guards)),
        hosts_(std::move(hosts)),
        grad_(mode().grad),
        precision_(matmul_precision()) {}

  // The replay's results, or null where the call is none that this recording stands for.
  PyObject* run(PyObject* const* given, std::size_t count, Shape shape) {
    if (in_use_) return nullptr;
    const Use use(*this);
    if (!accepts(given, count)) return nullptr;
    for (const py::object& ask : hosts_) ask();
    replay_->run(tensors_.data(), results_);
    return pack(shape, results_);
  }
  bool is_for(PyObject* const* given, std::size_t count) {
    if (in_use_) return false;
    const Use use(*this);
    return accepts(given, count);
  }
  // What changed since, in words; "" if nothing that guards see did.
  std::string broken_guard() const {
    for (const Guard& g : guards_)
      if (!g.holds()) {
        const py::object now = g.now();
        return str(py::cast<std::string>(py::str(g.name)), " was ", py::cast<std::string>(py::repr(g.value)),
                   " and is ", now ? py::cast<std::string>(py::repr(now)) : "gone");
      }
    return "";
  }

  int traverse(visitproc visit, void* arg) const {
    for (const auto* all : {&arguments_, &hosts_})
      for (const py::object& o : *all) Py_VISIT(o.ptr());
    for (const Guard& g : guards_) {
      Py_VISIT(g.holder.ptr());
      Py_VISIT(g.value.ptr());
    }
    return 0;
  }
  void clear() {
    const Recording moved(std::move(*this));
    in_use_ = true;  // for good
  }

 private:
  struct Use {
    Recording& r;
    explicit Use(Recording& recording) : r(recording) { r.in_use_ = true; }
    ~Use() {
      r.tensors_.clear();
      r.results_.clear();
      r.in_use_ = false;
    }
  };
  bool accepts(PyObject* const* given, std::size_t count) {
    const Mode& m = mode();
    if (count != arguments_.size() || m.grad != grad_ || matmul_precision() != precision_ || m.anomaly || m.recorder ||
        !m.overrides.empty())
      return false;
    for (std::size_t i = 0; i < count; ++i) {
      PyObject* wanted = arguments_[i].ptr();
      if (wanted) {
        if (!same_value(wanted, given[i])) return false;
      } else {
        if (!is_tensor(given[i])) return false;
        tensors_.push_back(borrow(given[i]));
        if ((tensors_.back()->node != nullptr) != requires_grad_[i]) return false;
      }
    }
    return guards_hold() && replay_->accepts(tensors_.data(), static_cast<int>(tensors_.size()));
  }
  bool guards_hold() const {
    for (const Guard& g : guards_)
      if (!g.holds()) return false;
    return true;
  }
  std::shared_ptr<Replay> replay_;
  std::vector<py::object> arguments_;  // null where any tensor of the layout will do
  std::vector<bool> requires_grad_;
  std::vector<Guard> guards_;
  std::vector<py::object> hosts_;  // called before every run: they set tensors that the program reads
  bool grad_, in_use_ = false;
  Precision precision_;
  std::vector<Tensor> tensors_, results_;  // of the call in progress, kept for their room
};

// The recorder in force on this thread, from Python's `with`.
class Capture {
 public:
  Capture(const std::vector<Tensor>& arguments, bool trace) : recorder_(arguments, trace), before_(mode().recorder) {
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
    return std::make_shared<Replay>(std::move(p), keep);
  }
  const Program& recorded() const { return program_; }
  Recorder& recorder() { return recorder_; }

 private:
  Recorder recorder_;
  Recorder* before_;
  Program program_;
};

class Unrecorded {
 public:
  void enter() { before_ = std::exchange(mode().recorder, nullptr); }
  void exit() { mode().recorder = before_; }

 private:
  Recorder* before_ = nullptr;
};

// ---- the type ----

struct PyCompiled {
  PyObject_HEAD PyObject* recording;  // the last one used, if its arguments were positional leaves
  PyObject* build;                    // of Shape::tree
  PyObject *dict, *weak_references;
  Shape shape;
};

PyObject* call(PyObject* object, PyObject* args, PyObject* named) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  return guarded([&]() -> PyObject* {
    if (self.recording && (!named || PyDict_GET_SIZE(named) == 0)) {
      const py::object held = py::reinterpret_borrow<py::object>(self.recording);
      auto& recording = held.cast<Recording&>();
      auto* items = reinterpret_cast<PyTupleObject*>(args)->ob_item;
      const py::object build = py::reinterpret_borrow<py::object>(self.build);
      const Shape shape = self.shape;
      auto results = py::reinterpret_steal<py::object>(
          recording.run(items, static_cast<std::size_t>(PyTuple_GET_SIZE(args)), shape));
      if (results && shape == Shape::tree) results = build(results, py::handle(args));
      if (results) return results.release().ptr();
    }
    const py::object slow = py::handle(object).attr("_call");
    return slow(py::handle(args), named ? py::reinterpret_borrow<py::object>(named) : py::dict()).release().ptr();
  });
}

PyObject* use(PyObject* object, PyObject* args) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  PyObject *recording, *build;
  int shape;
  if (!PyArg_ParseTuple(args, "OiO:_use", &recording, &shape, &build)) return nullptr;
  Py_XSETREF(self.recording, recording == Py_None ? nullptr : Py_NewRef(recording));
  Py_XSETREF(self.build, Py_NewRef(build));
  self.shape = static_cast<Shape>(shape);
  return Py_NewRef(Py_None);
}

int traverse(PyObject* object, visitproc visit, void* arg) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  Py_VISIT(self.recording);
  Py_VISIT(self.build);
  Py_VISIT(self.dict);
  return 0;
}
int clear(PyObject* object) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  Py_CLEAR(self.recording);
  Py_CLEAR(self.build);
  Py_CLEAR(self.dict);
  return 0;
}
void deallocate(PyObject* object) {
  auto& self = *reinterpret_cast<PyCompiled*>(object);
  PyObject_GC_UnTrack(object);
  if (self.weak_references) PyObject_ClearWeakRefs(object);
  clear(object);
  Py_TYPE(object)->tp_free(object);
}
PyObject* bind(PyObject* self, PyObject* instance, PyObject*) {
  return instance && instance != Py_None ? PyMethod_New(self, instance) : Py_NewRef(self);
}

PyMethodDef methods[] = {{"_use", use, METH_VARARGS, "The recording that the next calls try first."}, {}};
PyGetSetDef properties[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}, {}};

PyTypeObject CompiledType = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "steep._core.CompiledBase",
    .tp_basicsize = sizeof(PyCompiled),
    .tp_dealloc = deallocate,
    .tp_call = call,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc =
        "CompiledBase(function, **options)\n--\n\nWhat compile() returns: a function that is recorded once and then "
        "replayed.",
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_weaklistoffset = offsetof(PyCompiled, weak_references),
    .tp_methods = methods,
    .tp_getset = properties,
    .tp_descr_get = bind,
    .tp_dictoffset = offsetof(PyCompiled, dict),
    .tp_new = PyType_GenericNew,
};

// A layer may hold a compiled function whose guards hold the layer.
void collectable(PyHeapTypeObject* heap_type) {
  checked_memory(heap_type);
  PyTypeObject& type = heap_type->ht_type;
  type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    const auto* instance = reinterpret_cast<py::detail::instance*>(self);
    return instance->simple_holder_constructed ? py::handle(self).cast<Recording&>().traverse(visit, arg) : 0;
  };
  type.tp_clear = [](PyObject* self) {
    py::handle(self).cast<Recording&>().clear();
    return 0;
  };
}

std::vector<Guard> read_guards(const py::list& list) {
  std::vector<Guard> guards;
  for (const py::handle item : list) {
    const auto g = item.cast<py::tuple>();
    guards.push_back({static_cast<Guard::Kind>(g[0].cast<int>()), g[1], g[2], g[3]});
  }
  return guards;
}

std::shared_ptr<Recording> recorded(std::shared_ptr<Replay> replay, const py::list& arguments,
                                    const std::vector<bool>& requires_grad, const py::list& guards,
                                    const std::vector<py::object>& hosts) {
  std::vector<py::object> wanted;
  for (const py::handle a : arguments)  // None in a list of one: any tensor
    wanted.push_back(a.is_none() ? py::object() : py::reinterpret_borrow<py::object>(a.cast<py::tuple>()[0]));
  return std::make_shared<Recording>(std::move(replay), std::move(wanted), requires_grad, read_guards(guards), hosts);
}

constexpr const char* why_cut =
    "a compiled function that updates tensors in place, draws random numbers or goes backward itself";

void bind_programs(py::module_& m) {
  py::class_<Replay, std::shared_ptr<Replay>>(m, "Program", "A recorded call, ready to be run again.",
                                              py::custom_type_setup(checked_memory))
      .def(py::init([](const py::args&, const py::kwargs&) -> std::shared_ptr<Replay> {
        fail<TypeError>("Program: compile() makes programs; look at compile(f).programs after a call");
      }))
      .def_property_readonly("arena_bytes", &Replay::arena_bytes, "Bytes of the arena that all temporaries share.")
      .def_property_readonly("temporary_bytes", &Replay::temporary_bytes, "What they would need without sharing.")
      .def_property_readonly(
          "instructions", [](const Replay& r) { return r.program().code.size(); }, "Instructions after simplification.")
      .def_property_readonly(
          "recorded", [](const Replay& r) { return r.program().recorded; }, "Instructions before it.")
      .def_property_readonly("groups", &Replay::groups, "Fused groups.")
      .def_property_readonly("_writes", [](const Replay& r) { return r.program().has_effects(); })
      .def("_versions", &Replay::versions)
      .def("_cut",
           [](Replay& r, const std::vector<int>& results) {
             for (const int i : results) r.cut(i, why_cut);
           })
      .def("_run",
           [](Replay& r, const std::vector<Tensor>& arguments) {
             std::vector<Tensor> results;
             r.run(arguments.data(), results);
             return results;
           })
      .def("__str__", &Replay::text)
      .def("__repr__", [](const Replay& r) {
        return str("<steep program: ", r.program().code.size(), " instructions, ", r.groups(), " fused groups>");
      });
}

// (op, attributes, inputs, output, in place) of every application so far.
py::list traced(Capture& c) {
  py::list all;
  for (const Traced& t : c.recorder().traced()) {
    const std::vector<std::int64_t> attrs(t.attrs.data(), t.attrs.data() + t.attrs.size());
    all.append(py::make_tuple(t.op->name, attrs, t.in, t.out, t.in_place));
  }
  return all;
}

void bind_recordings(py::module_& m) {
  py::class_<Capture>(m, "_Capture", py::custom_type_setup(checked_memory))
      .def(py::init<const std::vector<Tensor>&, bool>(), py::arg("arguments"), py::arg("trace") = false)
      .def("give", [](Capture& c, const Tensor& t) { c.recorder().give(t); })
      .def("traced", &traced)
      .def("stop", &Capture::stop)
      .def("finish", &Capture::finish)
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
  py::class_<Recording, std::shared_ptr<Recording>>(m, "_Recording", py::custom_type_setup(collectable))
      .def(py::init(&recorded))
      .def(
          "run",
          [](Recording& r, const py::list& leaves) -> py::object {
            PyObject* all = r.run(reinterpret_cast<PyListObject*>(leaves.ptr())->ob_item, leaves.size(), Shape::tuple);
            return all ? py::reinterpret_steal<py::object>(all) : py::none();
          },
          "The results as a tuple; None where the call is none that the recording stands for.")
      .def("accepts",
           [](Recording& r, const py::list& leaves) {
             return r.is_for(reinterpret_cast<PyListObject*>(leaves.ptr())->ob_item, leaves.size());
           })
      .def("broken_guard", &Recording::broken_guard);
}

void bind_helpers(py::module_& m) {
  py::class_<Unrecorded>(m, "_unrecorded", "Operations inside are not part of the recording around.",
                         py::custom_type_setup(checked_memory))
      .def(py::init<>())
      .def("__enter__", [](Unrecorded& u) { u.enter(); })
      .def("__exit__", [](Unrecorded& u, const py::args&) { u.exit(); });
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
      "_cut_off",
      [](const Tensor& t) {
        Tensor a = alias(t);
        a->cut = why_cut;
        return a;
      },
      "The tensor without its graph, for the reason that a compiled function gives.");
  m.def(
      "_is_freed", [](const Tensor& t) { return t->node && t->node->freed; }, "Whether backward() freed its graph.");
  m.def(
      "_is_watching", [] { return mode().anomaly || !mode().overrides.empty(); },
      "Whether anomalies are looked for, or gradient rules replaced, on this thread.");
  m.def(
      "_is_recording", [] { return mode().recorder != nullptr; }, "Whether a call is being recorded on this thread.");
}

}  // namespace

void bind_compile(py::module_& m) {
  if (PyType_Ready(&CompiledType) < 0) throw_python_error();
  m.attr("CompiledBase") = py::handle(reinterpret_cast<PyObject*>(&CompiledType));
  bind_programs(m);
  set_signature(m.attr("Program"), "");
  bind_recordings(m);
  bind_helpers(m);
}

}  // namespace steep
