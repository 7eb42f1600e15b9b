// Tensor's properties and the methods that are not ops; those are attached from the op table (functions.cpp).
#include "bindings/autograd.h"
#include "bindings/python.h"
#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/backward.h"
#include "graph/recorder.h"
#include "ops/functions.h"

namespace steep {
namespace {

using Getter = PyObject* (*)(const Tensor&);
template <Getter f> PyObject* get(PyObject* self, void*) {
  return guarded([&] { return f(borrow(self)); });
}
using Method = PyObject* (*)(const Tensor&);
template <Method f> PyObject* method(PyObject* self, PyObject*) {
  return guarded([&] { return f(borrow(self)); });
}

PyObject* shape(const Tensor& t) { return shape_tuple(t.shape()); }
PyObject* strides(const Tensor& t) { return shape_tuple(t.strides()); }
PyObject* dtype(const Tensor& t) { return Py_NewRef(dtype_object(t.dtype())); }
PyObject* ndim(const Tensor& t) { return PyLong_FromLong(t.ndim()); }
PyObject* size(const Tensor& t) { return PyLong_FromLongLong(t.size()); }
PyObject* itemsize(const Tensor& t) { return PyLong_FromLongLong(size_of(t.dtype())); }
PyObject* nbytes(const Tensor& t) { return PyLong_FromLongLong(t.size() * size_of(t.dtype())); }
PyObject* device(const Tensor&) { return PyUnicode_FromString("cpu"); }
PyObject* version(const Tensor& t) { return PyLong_FromUnsignedLong(t->storage->version); }
PyObject* is_leaf(const Tensor& t) { return PyBool_FromLong(!t->node || t->requires_grad); }
PyObject* made_by(const Tensor& t) {
  return t->node && t->node->op ? PyUnicode_FromString(t->node->name()) : Py_NewRef(Py_None);
}
PyObject* is_contiguous_flag(const Tensor& t) { return PyBool_FromLong(t.contiguous()); }
PyObject* requires_grad(const Tensor& t) { return PyBool_FromLong(t->node != nullptr); }
PyObject* grad(const Tensor& t) {
  const Tensor g = grad_of(t);
  return g ? wrap(g) : Py_NewRef(Py_None);
}
PyObject* transposed(const Tensor& t) {
  Dims order;
  for (int d = t.ndim(); d-- > 0;) order.push(d);
  return wrap(permute_dims(t, order));
}
PyObject* matrix_transposed(const Tensor& t) {
  if (t.ndim() < 2) fail<ValueError>(".mT: ", t, " has fewer than two dimensions");
  return wrap(transpose_last(t));
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    if (!value) fail<TypeError>("requires_grad cannot be deleted");
    const int wanted = PyObject_IsTrue(value);
    if (wanted < 0) throw_python_error();
    require_grad(borrow(self), wanted);
    return 0;
  });
}

int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    const Tensor t = borrow(self);
    Tensor g;
    if (value && value != Py_None) {
      g = to_tensor(value);
      if (!(g.shape() == t.shape()) || g.dtype() != t.dtype())
        fail<ValueError>(".grad: ", g, " does not have the shape and dtype of its tensor, ", t);
      g = alias(g);
    }
    set_grad(t, g);
    return 0;
  });
}

PyObject* item_method(const Tensor& t) {
  host_read(t, "item");
  return item_object(t);
}
PyObject* detach(const Tensor& t) {
  Tensor d = alias(t);
  d->detached_by = "detach";
  return wrap(d);
}
PyObject* copy_method(const Tensor& t) { return wrap(copy(t)); }
PyObject* contiguous_method(const Tensor& t) { return wrap(t.contiguous() ? t : copy(t)); }
// NumPy has no bfloat16: its values are returned as float32, a copy.
PyObject* numpy(const Tensor& t) {
  if (t.dtype() == BFloat16) return numpy(astype(alias(t), Float32));
  host_read(t, "numpy");
  return numpy_array(py::memoryview(to_python(alias(t))).ptr()).release().ptr();
}
py::object nested_list(const py::object& array, int ndim) {
  const auto n = static_cast<std::int64_t>(py::len(array));
  if (ndim == 1 && n <= 1 << 16) return array.attr("tolist")();
  py::list all;
  const std::int64_t each = ndim == 1 ? 1 << 16 : 1;
  serial_for(n, each, [&](std::int64_t b, std::int64_t e) {
    if (ndim == 1) all.attr("extend")(array[py::slice(b, e, 1)].attr("tolist")());
    else all.append(nested_list(array[py::int_(b)], ndim - 1));
  });
  return all;
}
// NumPy's lists of numbers, made in chunks so that Ctrl-C can interrupt.
PyObject* tolist(const Tensor& t) {
  const auto array = py::reinterpret_steal<py::object>(numpy(t));
  std::int64_t lists = 1;
  for (int d = 0; d < t.ndim() && t.size() == 0 && t.dim(d) > 0; ++d) lists = checked_mul(lists, t.dim(d));
  if (lists > 1 << 24) fail<ValueError>("tolist: ", t, " would be ", lists, " empty lists");
  if (t.size() <= 1 << 16) return array.attr("tolist")().release().ptr();
  return nested_list(array, t.ndim()).release().ptr();
}
PyObject* retain_grad(const Tensor& t) {
  if (!t->node) fail<GradientError>("retain_grad: ", t, " has no graph, so no gradient will reach it");
  t->node->target = t.get();
  return Py_NewRef(Py_None);
}
PyObject* dlpack_device(const Tensor&) { return Py_BuildValue("(ii)", 1, 0); }
PyObject* namespace_of(PyObject*, PyObject*, PyObject*) {
  return guarded([] { return py::module_::import("steep").release().ptr(); });
}
PyObject* dlpack(PyObject* self, PyObject*, PyObject*) {
  return guarded([&] { return to_dlpack(borrow(self)); });
}
PyObject* to_device(PyObject* self, PyObject* args, PyObject* named) {
  static const char* names[] = {"device", "stream", nullptr};
  PyObject *device, *stream = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, named, "O|$O:to_device", const_cast<char**>(names), &device, &stream))
    return nullptr;
  return guarded([&] {
    const auto wanted = py::cast<std::string>(py::str(py::handle(device)));
    if (wanted != "cpu") fail<ValueError>("to_device: \"", wanted, "\"; steep's tensors live on \"cpu\"");
    return Py_NewRef(self);
  });
}

// f"{loss:.3f}": the number of a one-element tensor, by Python's rules; without a format, the same as str().
PyObject* format(PyObject* self, PyObject* spec) {
  return guarded([&] {
    const Tensor t = borrow(self);
    if (!PyUnicode_Check(spec))
      fail<TypeError>("format: the format must be a string, and got ", Py_TYPE(spec)->tp_name);
    if (PyUnicode_GET_LENGTH(spec) == 0) return PyObject_Str(self);
    if (t.size() != 1)
      fail<TypeError>("format: ", t, " has more than one number, or none; format one element, or x.tolist()");
    return PyObject_Format(py::reinterpret_steal<py::object>(item_method(t)).ptr(), spec);
  });
}
// round(loss, 2): a Python number.
PyObject* rounded(PyObject* self, PyObject* args) {
  PyObject* digits = Py_None;
  if (!PyArg_ParseTuple(args, "|O:__round__", &digits)) return nullptr;
  return guarded([&] {
    const Tensor t = borrow(self);
    if (t.size() != 1)
      fail<TypeError>("round: ", t, " is not one number; for each element: sp.round(x * 10**n) / 10**n");
    const py::object number = py::reinterpret_steal<py::object>(item_method(t));
    return py::module_::import("builtins").attr("round")(number, py::handle(digits)).release().ptr();
  });
}
PyObject* complex_number(const Tensor& t) {
  host_read(t, "complex");
  return PyComplex_FromDoubles(item(t), 0);
}

// The NumPy array of a tensor, cast or copied if asked: what np.asarray(x, dtype, copy=) calls.
PyObject* array(PyObject* self, PyObject* args, PyObject* named) {
  return guarded([&] {
    py::object a = py::reinterpret_steal<py::object>(numpy(borrow(self)));
    py::object wanted = py::none(), copied = py::none();
    if (PyTuple_GET_SIZE(args) > 0) wanted = py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(args, 0));
    if (named && PyDict_GetItemString(named, "dtype")) wanted = py::handle(named)["dtype"];
    if (named && PyDict_GetItemString(named, "copy")) copied = py::handle(named)["copy"];
    if (!wanted.is_none()) a = a.attr("astype")(wanted, py::arg("copy") = false);
    return (copied.is(py::bool_(true)) ? py::object(a.attr("copy")()) : a).release().ptr();
  });
}

PyObject* backward_method(PyObject* self, PyObject* args, PyObject* named) {
  static const char* names[] = {"gradient", "retain_graph", nullptr};
  PyObject* gradient = Py_None;
  int retain_graph = 0;
  if (!PyArg_ParseTupleAndKeywords(args, named, "|Op:backward", const_cast<char**>(names), &gradient, &retain_graph))
    return nullptr;
  return guarded([&] {
    run_backward(borrow(self), gradient == Py_None ? Tensor() : to_tensor(gradient), retain_graph);
    return Py_NewRef(Py_None);
  });
}

// Pickles hold values only: dtype, shape, bytes and requires_grad.
PyObject* reduce(const Tensor& t) {
  host_read(t, "pickle");
  const Tensor c = contiguous(alias(t));
  const py::bytes bytes(c.bytes(), static_cast<std::size_t>(c.size() * size_of(c.dtype())));
  return py::make_tuple(
             py::module_::import("steep._repr").attr("rebuild"),
             py::make_tuple(std::string(name(t.dtype())), py::reinterpret_steal<py::object>(shape_tuple(t.shape())),
                            bytes, t->requires_grad))
      .release()
      .ptr();
}
PyObject* copy_values(const Tensor& t) {
  const Tensor made = alias(copy(alias(t)));
  require_grad(made, t->requires_grad);
  return wrap(made);
}

template <const char* function> PyObject* forwarded(PyObject* self, PyObject* args, PyObject* named) {
  return guarded([&] {
    const py::object f = py::module_::import("steep._interop").attr(function);
    return f(py::handle(self), *py::handle(args).cast<py::args>(),
             **(named ? py::handle(named).cast<py::kwargs>() : py::kwargs()))
        .release()
        .ptr();
  });
}
constexpr char array_ufunc[] = "array_ufunc", array_function[] = "array_function";

PyCFunction with_names(PyCFunctionWithKeywords f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

// What a notebook shows is made in Python.
PyObject* in_notebook(PyObject* self, const char* maker) {
  return guarded([&] { return py::module_::import("steep._repr").attr(maker)(py::handle(self)).release().ptr(); });
}
PyObject* html_in_notebook(PyObject* self, PyObject*) { return in_notebook(self, "html"); }
PyObject* png_in_notebook(PyObject* self, PyObject*) { return in_notebook(self, "png"); }

}  // namespace

PyGetSetDef tensor_properties[] = {
    {"shape", get<shape>, nullptr, "Sizes of the axes, a tuple.", nullptr},
    {"strides", get<strides>, nullptr, "Steps of the axes, in elements.", nullptr},
    {"dtype", get<dtype>, nullptr, "Element type.", nullptr},
    {"ndim", get<ndim>, nullptr, "Number of axes.", nullptr},
    {"size", get<size>, nullptr, "Number of elements.", nullptr},
    {"itemsize", get<itemsize>, nullptr, "Bytes per element.", nullptr},
    {"nbytes", get<nbytes>, nullptr, "Total bytes of the elements.", nullptr},
    {"device", get<device>, nullptr, "Always \"cpu\".", nullptr},
    {"T", get<transposed>, nullptr, "All axes reversed; a view.", nullptr},
    {"mT", get<matrix_transposed>, nullptr, "The last two axes exchanged; a view.", nullptr},
    {"requires_grad", get<requires_grad>, set_requires_grad,
     "Whether gradients with respect to this tensor are computed.", nullptr},
    {"grad", get<grad>, set_grad, "The gradient accumulated by backward(); None before the first call.", nullptr},
    {"is_leaf", get<is_leaf>, nullptr, "Whether this is a leaf: not computed from tensors that require gradients.",
     nullptr},
    {"made_by", get<made_by>, nullptr, "The name of the op that computed this recorded result, or None.", nullptr},
    {"is_contiguous", get<is_contiguous_flag>, nullptr, "Whether elements lie in row-major order without gaps.",
     nullptr},
    {"_version", get<version>, nullptr, "Number of in-place writes to this memory.", nullptr},
    {},
};

// The first line of each text is the signature that inspect.signature() answers with.
PyMethodDef tensor_methods[] = {
    {"item", method<item_method>, METH_NOARGS, "item($self, /)\n--\n\nThe one element, as a Python number."},
    {"tolist", method<tolist>, METH_NOARGS, "tolist($self, /)\n--\n\nNested lists of Python numbers."},
    {"numpy", method<numpy>, METH_NOARGS,
     "numpy($self, /)\n--\n\nThe elements as a NumPy array that shares memory; read-only while a graph keeps them."},
    {"detach", method<detach>, METH_NOARGS,
     "detach($self, /)\n--\n\nA tensor that shares this memory, without a graph."},
    {"copy", method<copy_method>, METH_NOARGS, "copy($self, /)\n--\n\nA copy; gradients flow through it."},
    {"clone", method<copy_method>, METH_NOARGS, "clone($self, /)\n--\n\nA copy; gradients flow through it."},
    {"contiguous", method<contiguous_method>, METH_NOARGS,
     "contiguous($self, /)\n--\n\nThe tensor itself if it is contiguous, else a row-major copy."},
    {"retain_grad", method<retain_grad>, METH_NOARGS,
     "retain_grad($self, /)\n--\n\nMakes backward() fill .grad of this non-leaf tensor too."},
    {"backward", with_names(backward_method), METH_VARARGS | METH_KEYWORDS,
     "backward($self, gradient=None, retain_graph=False)\n--\n\n"
     "Adds d self / d leaf into the .grad of every leaf that requires it. "
     "gradient: the cotangent, of self's shape; may be left out where self has one element."},
    {"_repr_html_", html_in_notebook, METH_NOARGS, "_repr_html_($self, /)\n--\n\nWhat a notebook shows."},
    {"_repr_png_", png_in_notebook, METH_NOARGS, "_repr_png_($self, /)\n--\n\nThe same as a picture, or None."},
    {"to_device", with_names(to_device), METH_VARARGS | METH_KEYWORDS,
     "to_device($self, device, *, stream=None)\n--\n\nThe tensor itself for \"cpu\"; raises ValueError for any other "
     "device."},
    {"__format__", format, METH_O,
     "__format__($self, format_spec, /)\n--\n\nFormats one element by Python's rules for numbers; str(self) for an "
     "empty format_spec."},
    {"__round__", rounded, METH_VARARGS,
     "__round__($self, ndigits=None, /)\n--\n\nThe one element rounded, as a Python number."},
    {"__complex__", method<complex_number>, METH_NOARGS,
     "__complex__($self, /)\n--\n\nThe one element as a Python complex number."},
    {"__array__", with_names(array), METH_VARARGS | METH_KEYWORDS,
     "__array__($self, dtype=None, copy=None)\n--\n\nFor np.asarray()."},
    {"__array_namespace__", with_names(namespace_of), METH_VARARGS | METH_KEYWORDS,
     "__array_namespace__($self, /, *, api_version=None)\n--\n\nsteep, the array API namespace."},
    {"__array_ufunc__", with_names(forwarded<array_ufunc>), METH_VARARGS | METH_KEYWORDS,
     "__array_ufunc__($self, ufunc, method, *inputs, **kwargs)\n--\n\nNumPy's ufuncs on tensors."},
    {"__array_function__", with_names(forwarded<array_function>), METH_VARARGS | METH_KEYWORDS,
     "__array_function__($self, func, types, args, kwargs)\n--\n\nNumPy's functions on tensors."},
    {"__dlpack__", with_names(dlpack), METH_VARARGS | METH_KEYWORDS,
     "__dlpack__($self, /, *, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\n"
     "A DLPack capsule that shares memory."},
    {"__dlpack_device__", method<dlpack_device>, METH_NOARGS, "__dlpack_device__($self, /)\n--\n\n(1, 0): CPU memory."},
    {"__reduce__", method<reduce>, METH_NOARGS, "__reduce__($self, /)\n--\n\nFor pickle: the values."},
    {"__copy__", method<copy_values>, METH_NOARGS, "__copy__($self, /)\n--\n\nA tensor with the same values."},
    {"__deepcopy__", [](PyObject* self, PyObject*) { return guarded([&] { return copy_values(borrow(self)); }); },
     METH_O, "__deepcopy__($self, memo, /)\n--\n\nA tensor with the same values."},
    {},
};

}  // namespace steep
