// One recorded call of a compiled function: its program, and everything that must be as it was for the program to stand
// for the next call. The type whose call tries a recording first is in compiled_type.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bindings/guard.h"
#include "graph/replay.h"
#include "ops/precision.h"

namespace steep {

// How results become what the function returned: tensors alone, or a tree that Python builds from them.
enum class Shape : std::uint8_t { none, one, tuple, tree };

// One thread uses a recording at a time: what a call asks Python for, and long ops, let others run, and those record a
// program of their own.
class Recording {
 public:
  struct Conditions {
    std::vector<py::object> arguments;  // null where any tensor of the layout will do
    std::vector<bool> requires_grad;
    std::vector<Guard> guards;
  };
  Recording(std::shared_ptr<Replay> replay, Conditions conditions, std::vector<py::object> refresh);

  // The replay's results, or null where the call is none that this recording stands for.
  PyObject* run(PyObject* const* given, std::size_t count, Shape shape);
  bool is_for(PyObject* const* given, std::size_t count);
  // What guarded value changed since, in words; "" if none did.
  std::string change() const;

  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  struct Use;
  bool accepts(PyObject* const* given, std::size_t count);
  bool accepts_argument(std::size_t i, PyObject* given);
  bool modes_hold() const;

  std::shared_ptr<Replay> replay_;
  Conditions conditions_;
  std::vector<py::object> refresh_;  // called before every run: they set tensors that the program reads
  bool grad_, in_use_ = false;
  Precision precision_;
  std::vector<Tensor> tensors_, results_;  // of the call in progress, kept for their capacity
};

void bind_recording(py::module_& m);

// compiled_type.cpp
void bind_compiled_type(py::module_& m);

}  // namespace steep
