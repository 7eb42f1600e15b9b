// How each kind of guard reads and compares. A guard is looked at before every replay, so containers and arrays are
// compared where they lie, without a copy. Start reading at Guard::holds.
#include "bindings/guard.h"

#include <array>
#include <cstring>

namespace steep {
namespace {

using Kind = Guard::Kind;

constexpr auto kind_names = std::to_array<const char*>(
    {"cell", "item", "attribute", "lookup", "contents", "start", "length", "buffer", "graph", "function", "call"});
static_assert(kind_names.size() == static_cast<std::size_t>(Kind::call) + 1);

Kind parse_kind(const std::string& name) {
  for (std::size_t i = 0; i < kind_names.size(); ++i)
    if (name == kind_names[i]) return static_cast<Kind>(i);
  fail<ValueError>("Guard: there is no kind ", name);
}

py::object stolen(PyObject* o) { return py::reinterpret_steal<py::object>(o); }

// The value, or `missing` where reading it raised one of the errors that say so. Others, Ctrl-C among them, go on.
py::object or_missing(PyObject* found) {
  if (found) return stolen(found);
  for (PyObject* means_missing : {PyExc_AttributeError, PyExc_LookupError, PyExc_ValueError})
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(means_missing)) {
      PyErr_Clear();
      return Guard::missing();
    }
  throw_python_error();
}

py::object defined_by(PyObject* type, PyObject* name) {
  PyObject* found = _PyType_Lookup(reinterpret_cast<PyTypeObject*>(type), name);
  return found ? py::reinterpret_borrow<py::object>(found) : Guard::missing();
}

// ---- containers ----

// A dict's order is that of its entries; an OrderedDict keeps another, which only its iterator knows.
bool is_plain_dict(PyObject* o) {
  static PyObject* const ordered = py::object(py::module_::import("collections").attr("OrderedDict")).release().ptr();
  return PyDict_Check(o) && !PyObject_TypeCheck(o, reinterpret_cast<PyTypeObject*>(ordered));
}

py::object entries(PyObject* dict) {
  py::tuple all(2 * PyDict_GET_SIZE(dict));
  PyObject *key, *value;
  for (Py_ssize_t at = 0, i = 0; PyDict_Next(dict, &at, &key, &value);) {
    PyTuple_SET_ITEM(all.ptr(), i++, Py_NewRef(key));
    PyTuple_SET_ITEM(all.ptr(), i++, Py_NewRef(value));
  }
  return all;
}

bool same_entries(PyObject* before, PyObject* dict) {
  if (PyTuple_GET_SIZE(before) != 2 * PyDict_GET_SIZE(dict)) return false;
  PyObject *key, *value;
  for (Py_ssize_t at = 0, i = 0; PyDict_Next(dict, &at, &key, &value); i += 2)
    if (!same_value(PyTuple_GET_ITEM(before, i), key) || !same_value(PyTuple_GET_ITEM(before, i + 1), value))
      return false;
  return true;
}

py::object first_items(PyObject* list, Py_ssize_t count) { return checked(PyList_GetSlice(list, 0, count)); }

bool same_items(PyObject* before, PyObject* list) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(before); ++i)
    if (!same_value(PyList_GET_ITEM(before, i), PyList_GET_ITEM(list, i))) return false;
  return true;
}

// Lists as lists, dicts as alternating keys and values, anything else as the tuple that it iterates to.
py::object contents(PyObject* o) {
  if (PyList_Check(o)) return first_items(o, PyList_GET_SIZE(o));
  if (is_plain_dict(o)) return entries(o);
  const bool mapping = PyMapping_Check(o) && PyObject_HasAttrString(o, "items");
  const py::object items = mapping ? checked(PyObject_CallMethod(o, "items", nullptr)) : py::object();
  return checked(PySequence_Tuple(mapping ? items.ptr() : o));
}

bool same_contents(PyObject* before, PyObject* o) {
  if (PyList_Check(o)) return PyList_GET_SIZE(before) == PyList_GET_SIZE(o) && same_items(before, o);
  if (is_plain_dict(o)) return same_entries(before, o);
  return same_value(before, contents(o).ptr());
}

// ---- arrays ----

class Buffer {
 public:
  explicit Buffer(PyObject* o) {
    if (PyObject_GetBuffer(o, &view_, PyBUF_FULL_RO) != 0) throw_python_error();
  }
  ~Buffer() { PyBuffer_Release(&view_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  py::bytes bytes() {
    py::bytes all(nullptr, static_cast<std::size_t>(view_.len));
    if (PyBuffer_ToContiguous(PyBytes_AS_STRING(all.ptr()), &view_, view_.len, 'C') != 0) throw_python_error();
    return all;
  }
  std::string layout() const {
    std::string text = view_.format ? view_.format : "B";
    for (int i = 0; i < view_.ndim; ++i) text += str(' ', view_.shape[i]);
    return text;
  }
  bool has(PyObject* bytes) {
    if (view_.len != PyBytes_GET_SIZE(bytes)) return false;
    const bool dense = PyBuffer_IsContiguous(&view_, 'C');
    const py::bytes copy = dense ? py::bytes() : this->bytes();
    const void* now = dense ? view_.buf : PyBytes_AS_STRING(copy.ptr());
    return std::memcmp(now, PyBytes_AS_STRING(bytes), static_cast<std::size_t>(view_.len)) == 0;
  }

 private:
  Py_buffer view_;
};

py::object bytes_and_layout(PyObject* o) {
  Buffer b(o);
  return py::make_tuple(b.layout(), b.bytes());
}
bool same_bytes(PyObject* before, PyObject* o) {
  Buffer b(o);
  const auto layout = py::handle(PyTuple_GET_ITEM(before, 0)).cast<std::string>();
  return b.layout() == layout && b.has(PyTuple_GET_ITEM(before, 1));
}

py::object part(PyObject* o) { return o ? py::reinterpret_borrow<py::object>(o) : py::none(); }

bool same_function(PyObject* before, PyObject* f) {
  const auto is = [before](Py_ssize_t i, PyObject* now) {
    return PyTuple_GET_ITEM(before, i) == (now ? now : Py_None);
  };
  return is(0, PyFunction_GET_CODE(f)) && is(1, PyFunction_GET_DEFAULTS(f)) && is(2, PyFunction_GET_KW_DEFAULTS(f));
}

bool has_graph(PyObject* tensor) { return borrow(tensor)->node != nullptr; }

}  // namespace

bool same_value(PyObject* before, PyObject* now) {
  if (before == now) return true;
  if (Py_TYPE(before) != Py_TYPE(now)) return false;
  if (PyFloat_CheckExact(now)) {
    const double a = PyFloat_AS_DOUBLE(before), b = PyFloat_AS_DOUBLE(now);
    return std::memcmp(&a, &b, sizeof a) == 0;
  }
  if (PyTuple_CheckExact(now)) {
    const Py_ssize_t n = PyTuple_GET_SIZE(before);
    bool same = n == PyTuple_GET_SIZE(now);
    for (Py_ssize_t i = 0; same && i < n; ++i) same = same_value(PyTuple_GET_ITEM(before, i), PyTuple_GET_ITEM(now, i));
    return same;
  }
  if (!PyLong_CheckExact(now) && !PyUnicode_CheckExact(now) && !PyBytes_CheckExact(now)) return false;
  return PyObject_RichCompareBool(before, now, Py_EQ) == 1;
}

py::object Guard::missing() {
  static PyObject* const object = py::module_::import("types").attr("SimpleNamespace")().release().ptr();
  return py::reinterpret_borrow<py::object>(object);
}

Guard::Guard(Kind kind, py::object holder, py::object name)
    : kind_(kind), holder_(std::move(holder)), name_(std::move(name)), value_(now()) {}

py::object Guard::now() const {
  PyObject* from = holder_.ptr();
  switch (kind_) {
    case Kind::cell: return or_missing(Py_XNewRef(PyCell_GET(from)));
    case Kind::item: return or_missing(PyObject_GetItem(from, name_.ptr()));
    case Kind::attribute: return or_missing(PyObject_GetAttr(from, name_.ptr()));
    case Kind::lookup: return defined_by(from, name_.ptr());
    case Kind::contents: return contents(from);
    case Kind::start: return first_items(from, PyLong_AsSsize_t(name_.ptr()));
    case Kind::length: return py::int_(PyObject_Size(from));
    case Kind::buffer: return bytes_and_layout(from);
    case Kind::graph: return py::bool_(has_graph(from));
    case Kind::function:
      return py::make_tuple(part(PyFunction_GET_CODE(from)), part(PyFunction_GET_DEFAULTS(from)),
                            part(PyFunction_GET_KW_DEFAULTS(from)));
    case Kind::call: return or_missing(PyObject_CallNoArgs(from));
  }
  return missing();
}

bool Guard::holds() const {
  PyObject* from = holder_.ptr();
  switch (kind_) {
    case Kind::item:
      if (PyDict_CheckExact(from)) {  // without a KeyError where there is none
        PyObject* found = PyDict_GetItemWithError(from, name_.ptr());
        if (!found && PyErr_Occurred()) throw_python_error();
        return found ? same_value(value_.ptr(), found) : value_.is(missing());
      }
      break;
    case Kind::contents: return same_contents(value_.ptr(), from);
    case Kind::start: return PyList_GET_SIZE(from) >= PyList_GET_SIZE(value_.ptr()) && same_items(value_.ptr(), from);
    case Kind::buffer: return same_bytes(value_.ptr(), from);
    case Kind::function: return same_function(value_.ptr(), from);
    case Kind::graph: return has_graph(from) == value_.is(py::handle(Py_True));
    default: break;
  }
  return same_value(value_.ptr(), now().ptr());
}

std::string Guard::change() const {
  if (holds()) return "";
  const py::object found = now();
  const auto text = [](const py::object& o) -> std::string {
    return o.is(missing()) ? "missing" : py::module_::import("reprlib").attr("repr")(o).cast<std::string>();
  };
  const bool named = kind_ == Kind::item || kind_ == Kind::attribute || kind_ == Kind::lookup || kind_ == Kind::cell;
  const std::string what = named ? py::cast<std::string>(py::str(name_)) : str("a ", Py_TYPE(holder_.ptr())->tp_name);
  if (kind_ == Kind::buffer) return what + " has other bytes";
  return str(what, " was ", text(value_), " and is ", text(found));
}

int Guard::traverse(visitproc visit, void* arg) const {
  Py_VISIT(holder_.ptr());
  Py_VISIT(value_.ptr());
  return 0;
}

void bind_guard(py::module_& m) {
  py::class_<Guard>(m, "_Guard", "A value that a recording depends on, as it was when the guard was made.",
                    py::custom_type_setup(checked_memory))
      .def(py::init([](const std::string& kind, py::object holder, py::object name) {
             return std::make_unique<Guard>(parse_kind(kind), std::move(holder), std::move(name));
           }),
           py::arg("kind"), py::arg("holder"), py::arg("name") = py::none())
      .def_property_readonly("kind", [](const Guard& g) { return kind_names[static_cast<std::size_t>(g.kind())]; })
      .def_property_readonly("holder", [](const Guard& g) { return g.holder(); })
      .def_property_readonly("name", [](const Guard& g) { return g.name(); })
      .def_property_readonly(
          "value", [](const Guard& g) { return g.value(); }, "What it was.")
      .def("now", &Guard::now, "What it is; MISSING where there is no value.")
      .def("holds", &Guard::holds, "Whether it is what it was: numbers and text to the bit, all else the same object.");
  m.def(
      "_same_value", [](const py::object& a, const py::object& b) { return same_value(a.ptr(), b.ptr()); },
      "Whether two numbers, texts or tuples of these are equal to the bit, or two other values the same object.");
  m.attr("_MISSING") = Guard::missing();
}

}  // namespace steep
