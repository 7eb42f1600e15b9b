// The profiler of the calling thread, for steep.profile. Start reading at Profile.
#include "graph/profile.h"

#include <pybind11/stl.h>

#include "bindings/python.h"

namespace steep {
namespace {

class Profile {
 public:
  Profile() {
    if (mode().profiler) fail<ValueError>("profile: this thread is being profiled already; leave that block first");
    mode().profiler = &profiler_;
  }
  ~Profile() { stop(); }
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  void stop() {
    if (mode().profiler != &profiler_) return;
    end_ = profiler_.now();
    mode().profiler = nullptr;
  }
  const Profiler& profiler() const { return profiler_; }
  std::int64_t end() const { return end_; }

 private:
  Profiler profiler_;
  std::int64_t end_ = 0;
};

py::tuple layout(const Layout& l) {
  py::tuple shape(l.shape.size());
  for (int d = 0; d < l.shape.size(); ++d) shape[static_cast<std::size_t>(d)] = l.shape[d];
  return py::make_tuple(py::reinterpret_borrow<py::object>(dtype_object(l.dtype)), shape);
}

// (name, line, operands, result), each tensor as (dtype, shape).
py::tuple operation(const Operation& o) {
  py::list in;
  for (const Layout& l : o.in) in.append(layout(l));
  return py::make_tuple(o.name, o.where, in, layout(o.out));
}

// (phase, op of the gradient rule or "", begin, end, operations) of everything so far, in nanoseconds.
py::list events(const Profile& p) {
  static constexpr const char* phases[] = {"forward", "backward", "compiled"};
  py::list all;
  for (const Event& e : p.profiler().events()) {
    py::list operations;
    for (const Operation& o : e.operations) operations.append(operation(o));
    all.append(py::make_tuple(phases[static_cast<int>(e.phase)], e.rule, e.begin, e.end, operations));
  }
  return all;
}

}  // namespace

void bind_profile(py::module_& m) {
  py::class_<Profile>(m, "_Profile", "Notes what this thread computes, from its making on.")
      .def(py::init())
      .def("stop", &Profile::stop)
      .def("events", events)
      .def_property_readonly("elapsed", &Profile::end, "Nanoseconds from its making to stop().")
      .def_property_readonly(
          "own_time", [](const Profile& p) { return p.profiler().own_time(); }, "Nanoseconds that noting has taken.");
}

}  // namespace steep
