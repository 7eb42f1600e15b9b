// Guards of compiled steps: a value outside of the step that its recording depended on, read and compared in one place.
// python/steep/compiling/reach.py decides what is guarded; a recording (recording.h) asks holds() before every replay.
#pragma once

#include <string>
#include <vector>

#include "bindings/python.h"

namespace steep {

// Whether a number, text or tuple of these is what it was, to the last bit. All other values are the same only if they
// are the same object.
bool same_value(PyObject* before, PyObject* now);

class Guard {
 public:
  // How the value is read from its holder.
  enum class Kind : std::uint8_t {
    cell,       // what a variable that a function closes over holds
    item,       // holder[name]: a global, an entry of an object's __dict__
    attribute,  // holder.name
    lookup,     // what a class or its bases define under a name
    contents,   // every item of a container, in order; of a mapping also the keys
    start,      // the first items of a list, `name` of them
    length,     // of a container
    buffer,     // the bytes of an array, with their layout
    graph,      // whether a tensor has a graph
    function,   // its code and its default arguments
    call,       // holder()
  };
  Guard(Kind kind, py::object holder, py::object name);  // reads the value as it is now

  bool holds() const;
  py::object now() const;  // the `missing` object where there is no value
  // In words; "" if nothing changed.
  std::string change() const;
  static py::object missing();

  Kind kind() const { return kind_; }
  const py::object& holder() const { return holder_; }
  const py::object& name() const { return name_; }
  const py::object& value() const { return value_; }
  int traverse(visitproc visit, void* arg) const;

 private:
  Kind kind_;
  py::object holder_, name_, value_;
};

void bind_guard(py::module_& m);

}  // namespace steep
