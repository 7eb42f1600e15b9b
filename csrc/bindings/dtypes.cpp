// The dtype objects, such as steep.float32, comparable to NumPy's dtypes and to names.
#include <algorithm>
#include <cctype>
#include <cstring>

#include "bindings/python.h"

namespace steep {
namespace {

struct DTypeObject {
  DType type;
};
PyObject* objects[k::type_count];

bool find_name(const char* text, DType& out) {
  for (int t = 0; t < k::type_count; ++t)
    if (std::strcmp(dtype_info[t].name, text) == 0) return out = static_cast<DType>(t), true;
  return false;
}

// NumPy's name of it; nothing for what is not a dtype, or has the other byte order.
std::string numpy_name(py::handle o) {
  try {
    const py::object numpy_dtype = py::module_::import("numpy").attr("dtype")(o);
    return numpy_dtype.attr("isnative").cast<bool>() ? numpy_dtype.attr("name").cast<std::string>() : "";
  } catch (py::error_already_set&) {
    return "";
  }
}

std::string after_point(const std::string& text) { return text.substr(text.rfind('.') + 1); }

// The name of another library's dtype, which prints itself as torch.float32 does; nothing for what is not one.
std::string foreign_name(py::handle o) {
  std::string type = after_point(Py_TYPE(o.ptr())->tp_name);
  std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return std::tolower(c); });
  if (type != "dtype") return "";
  try {
    return after_point(py::str(o).cast<std::string>());
  } catch (py::error_already_set&) {
    return "";
  }
}

// Anything that NumPy takes for a dtype, or another library calls one, by its name.
DType by_name(py::handle o) {
  DType t;
  if (py::isinstance<py::str>(o) && o.cast<std::string>() == dtype_info[BFloat16].name) return BFloat16;
  if (!find_name(numpy_name(o).c_str(), t) && !find_name(foreign_name(o).c_str(), t))
    fail<TypeError>("dtype: ", py::repr(o).cast<std::string>(),
                    " is not one of steep's (bool, uint8, int32, int64, bfloat16, float32, float64); convert the "
                    "data with NumPy's astype() first");
  return t;
}

// dtype("float32"), of whatever names a dtype; arguments are parsed here, so that the error messages are steep's.
DTypeObject construct(const py::args& args, const py::kwargs& named) {
  if (args.size() != 1 || named.size() != 0)
    fail<TypeError>("dtype: takes one argument, what names a dtype, as in dtype(\"float32\")");
  return {parse_dtype(args[0].cast<py::object>().ptr())};
}

bool equal_dtype(const DTypeObject& a, py::object b) {
  try {
    return a.type == parse_dtype(b.ptr());
  } catch (const std::exception&) {
    PyErr_Clear();
    return false;
  }
}

}  // namespace

PyObject* dtype_object(DType t) { return objects[t]; }

DType parse_dtype(PyObject* o) {
  if (py::isinstance<DTypeObject>(o)) return py::cast<const DTypeObject&>(py::handle(o)).type;
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return Float32;
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return Int64;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return Bool;
  return by_name(o);
}

void bind_dtypes(py::module_& m) {
  py::class_<DTypeObject>(m, "dtype", "An element type: steep.float32, float64, bfloat16, int32, int64, uint8 or bool.")
      .def(py::init(&construct))
      .def_property_readonly("name", [](const DTypeObject& d) { return name(d.type); })
      .def_property_readonly("itemsize", [](const DTypeObject& d) { return size_of(d.type); })
      .def_property_readonly("kind", [](const DTypeObject& d) { return std::string(1, dtype_info[d.type].kind); })
      .def_property_readonly(
          "dtype", [](const DTypeObject& d) { return py::module_::import("numpy").attr("dtype")(name(d.type)); })
      .def("__repr__", [](const DTypeObject& d) { return str("steep.", name(d.type)); })
      .def("__str__", [](const DTypeObject& d) { return name(d.type); })
      .def("__hash__", [](const DTypeObject& d) { return py::hash(py::str(name(d.type))); })
      .def("__eq__", equal_dtype)
      .def("__ne__", [](const DTypeObject& a, py::object b) { return !equal_dtype(a, b); })
      .def("__reduce__", [](const DTypeObject& d) { return name(d.type); });
  set_signature(m.attr("dtype"), "name");
  for (int t = 0; t < k::type_count; ++t) {
    py::object o = py::cast(DTypeObject{static_cast<DType>(t)});
    objects[t] = o.inc_ref().ptr();
    m.attr(dtype_info[t].name) = o;
  }
}

}  // namespace steep
