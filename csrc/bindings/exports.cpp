// Sharing memory with NumPy and others: the buffer protocol and DLPack, both ways. A tensor whose memory a graph has
// saved is exported read-only; memory that others may write is copied when a graph saves it (graph/node.cpp). No other
// library is imported: what an array is, its methods tell.
#include <cstring>
#include <iterator>

#include "bindings/python.h"
#include "core/iterate.h"
#include "graph/recorder.h"
#include "ops/functions.h"

namespace steep {
namespace {

// The parts of DLPack's ABI that steep supports: tensors are exported by that of 0.8, and read by it and by that
// of 1.0, which says whether the memory may be written.
struct DLDevice {
  std::int32_t type, id;
};
struct DLDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  std::uint64_t flags;
  DLTensor tensor;
};
constexpr std::int32_t dl_cpu = 1;
constexpr std::uint64_t dl_readonly = 1;  // of the flags
constexpr const char* dl_devices[] = {"",       "the CPU",
                                      "CUDA",   "CUDA's host memory",
                                      "OpenCL", "",
                                      "",       "Vulkan",
                                      "Metal",  "VPI",
                                      "ROCm",   "ROCm's host memory",
                                      "",       "CUDA's managed memory",
                                      "oneAPI"};

struct BufferLayout {
  Py_ssize_t shape[max_dims], strides[max_dims];
  bool counted;  // this export may write
};

bool writable(const Tensor& t) {
  for (int d = 0; d < t.ndim(); ++d)
    if (t.size() > 0 && t.dim(d) > 1 && t.strides()[d] == 0) return false;
  return t->storage->saves == 0 && !t->storage->readonly && t->node == nullptr;
}

// The element types of the buffer protocol, by their letter; what the size is depends on the machine for some.
struct Format {
  const char* code;
  char kind;         // NumPy's, as in dtype_info; 0: a type that steep does not have
  const char* name;  // what NumPy calls it
};
constexpr Format formats[] = {
    {"?", 'b', "bool"},     {"B", 'u', "uint8"},     {"i", 'i', "int32"}, {"l", 'i', "int64"}, {"q", 'i', "int64"},
    {"f", 'f', "float32"},  {"d", 'f', "float64"},   {"b", 0, "int8"},    {"h", 0, "int16"},   {"H", 0, "uint16"},
    {"I", 0, "uint32"},     {"L", 0, "uint64"},      {"Q", 0, "uint64"},  {"e", 0, "float16"}, {"g", 0, "longdouble"},
    {"Zf", 0, "complex64"}, {"Zd", 0, "complex128"}, {"c", 0, "bytes"},
};

// How to get at the values of another dtype, for messages: by the dtype of steep's that holds all of them.
std::string way_out(const std::string& dtype) {
  if (dtype.find("complex") != std::string::npos) return "take a part of them first, as in x.real.astype(\"float32\")";
  const bool floats = dtype.find("float") != std::string::npos || dtype == "longdouble";
  const bool wide = dtype == "uint32" || dtype == "uint64" || dtype == "longdouble";
  const std::string to = str(floats ? "float" : "int", wide ? "64" : "32");
  return str("convert them first, as in x.astype(\"", to, "\"), or x.to(torch.", to, ") of a PyTorch tensor");
}

[[noreturn]] void refuse_dtype(const char* what, const std::string& dtype, const std::string& more) {
  fail<TypeError>(what, ": elements of dtype ", dtype, more,
                  " are none of steep's dtypes (bool, uint8, int32, int64, bfloat16, float32, float64); ",
                  way_out(dtype));
}

DType format_type(const char* format, Py_ssize_t item) {
  const char* code = format + (*format == '<' || *format == '=' || *format == '@');
  const char* what = format;
  for (const Format& f : formats) {
    if (std::strcmp(f.code, code) != 0) continue;
    for (int t = 0; t < k::type_count; ++t)
      if (f.kind == dtype_info[t].kind && dtype_info[t].size == item) return static_cast<DType>(t);
    what = f.name;
  }
  refuse_dtype("array", what, str(" (format \"", format, "\", ", item, " bytes)"));
}

void give_back(void* owner) {
  auto* view = static_cast<Py_buffer*>(owner);
  PyBuffer_Release(view);
  delete view;
}

Tensor tensor_over(StorageRef storage, DType dtype, const Dims& shape, const Dims& strides) {
  Tensor t(new_impl());
  t->dtype = dtype;
  t->shape = shape;
  t->strides = strides;
  t->count = numel(shape);
  t->contiguous = is_contiguous(shape, strides);
  t->storage = std::move(storage);
  return t;
}

Storage* take_over(Py_buffer* view) {
  try {
    return adopt(view->buf, static_cast<std::size_t>(view->len), give_back, view, view->readonly);
  } catch (...) {
    give_back(view);
    throw;
  }
}

// Strides in elements, or false where they are not integer multiples of the element size.
bool element_strides(const Py_buffer& b, Dims& shape, Dims& strides) {
  for (int d = 0; d < b.ndim; ++d) {
    shape.push(b.shape[d]);
    if (b.strides[d] % b.itemsize) return false;
    strides.push(b.strides[d] / b.itemsize);
  }
  return reinterpret_cast<std::uintptr_t>(b.buf) % static_cast<std::size_t>(b.itemsize) == 0;
}

struct Exported {
  DLManagedTensor managed;
  Tensor tensor;
  std::int64_t shape[max_dims], strides[max_dims];
};

void delete_exported(DLManagedTensor* m) {
  const py::gil_scoped_acquire lock;
  auto* e = static_cast<Exported*>(m->context);
  --e->tensor->storage->exports;
  delete e;
}

DLDataType dl_type(DType t) {
  const std::uint8_t code = t == Bool ? 6 : t == UInt8 ? 1 : t == BFloat16 ? 4 : is_float(t) ? 2 : 0;
  return {code, static_cast<std::uint8_t>(8 * size_of(t)), 1};
}
DType from_dl_type(DLDataType t) {
  for (int i = 0; i < k::type_count; ++i) {
    const DLDataType mine = dl_type(static_cast<DType>(i));
    if (mine.code == t.code && mine.bits == t.bits && t.lanes == 1) return static_cast<DType>(i);
  }
  constexpr const char* names[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
  const bool narrow = t.code >= std::size(names) && t.code <= 17;  // the floats of 8 bits and less
  const char* what = t.code < std::size(names) ? names[t.code] : narrow ? "float" : "an unknown type of ";
  refuse_dtype("from_dlpack", str(what, int{t.bits}), t.lanes == 1 ? "" : " (vectors)");
}

void capsule_gone(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return;
  auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  m->deleter(m);
}
template <class Managed> void release_managed(void* owner) {
  auto* m = static_cast<Managed*>(owner);
  if (m->deleter) m->deleter(m);
}

bool is_true(PyObject* o, const char* attribute) {
  const py::object found = py::getattr(py::handle(o), attribute, py::none());
  const py::object value = PyCallable_Check(found.ptr()) ? found() : found;
  return value.ptr() == Py_True;
}

// "Tensor torch.float32 (2, 3)": what it says of itself.
std::string shown_array(PyObject* o) {
  std::string text = Py_TYPE(o)->tp_name;
  const py::object dtype = py::getattr(py::handle(o), "dtype", py::none());
  const py::object shape = py::getattr(py::handle(o), "shape", py::none());
  if (!dtype.is_none()) text += " " + py::cast<std::string>(py::str(dtype));
  if (PySequence_Check(shape.ptr()))
    text += " " + py::cast<std::string>(py::str(checked(PySequence_Tuple(shape.ptr()))));
  return text;
}

void check_device(std::int32_t type, std::int32_t number) {
  if (type == dl_cpu) return;
  const bool known = type > 0 && type < static_cast<std::int32_t>(std::size(dl_devices)) && *dl_devices[type];
  fail<ValueError>(
      "from_dlpack: the array is on ", known ? dl_devices[type] : str("a device of kind ", type), " (number ", number,
      "), not in CPU memory; copy it there first, as x.cpu() does in PyTorch and jax.device_get(x) in JAX");
}

// Refuses what would be read with other values, or not at all, with the fix.
void check_readable(PyObject* o) {
  if (is_true(o, "is_neg"))  // PyTorch's DLPack leaves the sign out
    fail<ValueError>("from_dlpack: the negation of ", shown_array(o), " has not been computed; pass x.resolve_neg()");
  if (!PyObject_HasAttrString(o, "__dlpack_device__")) return;
  const py::object device = py::handle(o).attr("__dlpack_device__")();
  if (PyTuple_Check(device.ptr()) && PyTuple_GET_SIZE(device.ptr()) == 2)
    check_device(py::cast<std::int32_t>(py::int_(device[py::int_(0)])), py::cast<std::int32_t>(device[py::int_(1)]));
}

// An exporter's exception, as the cause of one that names the array and the fix.
[[noreturn]] void cannot_export(py::error_already_set& why, PyObject* o) {
  if (!why.matches(PyExc_Exception) || why.matches(PyExc_MemoryError)) throw;
  std::string text = py::cast<std::string>(py::str(why.value()));
  text.resize(std::min(text.size(), text.find('\n')));
  const bool graph = is_true(o, "requires_grad");
  const std::string fix = graph ? str(shown_array(o),
                                      " requires a gradient, and graphs do not go on from one library to another; pass "
                                      "x.detach()")
                                : str(shown_array(o), " does not give its memory (", text,
                                      "); pass an array whose values are in CPU memory");
  const py::object type = py::module_::import("steep._core").attr("GradientError");
  py::raise_from(why, graph ? type.ptr() : PyExc_TypeError, str("from_dlpack: ", fix).c_str());
  throw_python_error();
}

// By DLPack 1.0, which tells of read-only memory, or as exporters before it understand.
py::object exported(PyObject* o) {
  const py::object ask = py::handle(o).attr("__dlpack__");
  try {
    return ask(py::arg("max_version") = py::make_tuple(1, 0));
  } catch (const py::error_already_set& e) {
    if (!e.matches(PyExc_TypeError)) throw;
  }
  return ask();
}

py::object capsule_of(PyObject* o) {
  if (PyCapsule_CheckExact(o)) return py::reinterpret_borrow<py::object>(o);
  if (is_tensor(o)) return py::handle(o).attr("__dlpack__")();
  try {
    check_readable(o);
    return exported(o);
  } catch (py::error_already_set& why) {
    cannot_export(why, o);
  }
}

// JAX gives its immutable arrays without a flag, but only read-only buffers of them.
bool refuses_writing(PyObject* o) {
  if (!PyObject_CheckBuffer(o)) return false;
  Py_buffer view;
  if (PyObject_GetBuffer(o, &view, PyBUF_STRIDED) == 0) return PyBuffer_Release(&view), false;
  PyErr_Clear();
  return true;
}

// Whether the layout is one that a consumer with these flags can read.
bool fits_request(const Tensor& t, int flags) {
  const auto asks = [flags](int what) { return (flags & what) == what; };
  if (!asks(PyBUF_STRIDES) || asks(PyBUF_C_CONTIGUOUS)) return t.contiguous();
  return !asks(PyBUF_F_CONTIGUOUS) || t.ndim() < 2 || t.size() < 2;
}

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  const Tensor t = borrow(self);
  view->obj = nullptr;
  if (guarded_int([&] { return host_read(t, "buffer"), 0; }) < 0) return -1;
  const bool can_write = writable(t);
  if ((flags & PyBUF_WRITABLE) && !can_write) {
    PyErr_SetString(PyExc_BufferError,
                    "a graph keeps this tensor's memory, so it cannot be shared for writing; copy it");
    return -1;
  }
  if (!fits_request(t, flags)) {
    PyErr_SetString(PyExc_BufferError, "this tensor is not contiguous; ask for strides, or copy it");
    return -1;
  }
  if (t.dtype() == BFloat16) {
    PyErr_SetString(PyExc_BufferError, "bfloat16 has no buffer format; use x.numpy(), which is a float32 copy");
    return -1;
  }
  auto* layout = new (std::nothrow) BufferLayout;
  if (!layout) return PyErr_NoMemory(), -1;
  for (int d = 0; d < t.ndim(); ++d) {
    layout->shape[d] = t.dim(d);
    layout->strides[d] = t.strides()[d] * size_of(t.dtype());
  }
  layout->counted = can_write;
  if (can_write) ++t->storage->exports;
  *view = Py_buffer{.buf = t.bytes(),
                    .obj = Py_NewRef(self),
                    .len = t.size() * size_of(t.dtype()),
                    .itemsize = size_of(t.dtype()),
                    .readonly = !can_write,
                    .ndim = t.ndim(),
                    .format = flags & PyBUF_FORMAT ? const_cast<char*>(dtype_info[t.dtype()].format) : nullptr,
                    .shape = flags & PyBUF_ND ? layout->shape : nullptr,
                    .strides = flags & PyBUF_STRIDES ? layout->strides : nullptr,
                    .suboffsets = nullptr,
                    .internal = layout};
  return 0;
}

void release_buffer(PyObject* self, Py_buffer* view) {
  auto* layout = static_cast<BufferLayout*>(view->internal);
  if (layout->counted) --borrow(self)->storage->exports;
  delete layout;
}

PyObject* buffer_owner(const Storage* s) {
  return s->release == give_back ? static_cast<const Py_buffer*>(s->owner)->obj : nullptr;
}

// An array whose dtype has no buffer format: bfloat16 is copied by way of float32, which holds all its values.
Tensor without_format(PyObject* o) {
  const py::error_already_set why;  // what the buffer's request raised
  if (PyObject_HasAttrString(o, "__dlpack_device__")) check_readable(o);
  if (!PyObject_HasAttrString(o, "dtype")) throw why;
  const std::string dtype = py::cast<std::string>(py::str(py::handle(o).attr("dtype")));
  if (dtype != "bfloat16") refuse_dtype("array", dtype, "");
  const py::object array = numpy_array(o);
  return astype(from_buffer(array.attr("astype")("float32").ptr()), BFloat16);
}

template <class Managed> Tensor taken_over(PyObject* capsule, const char* name, const char* used, bool readonly) {
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  if (!m) throw_python_error();
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    if (m->major > 1) fail<ValueError>("from_dlpack: version ", m->major, " of DLPack; 1 is the last that is known");
    readonly = m->flags & dl_readonly;
  }
  const DLTensor& d = m->tensor;
  check_device(d.device.type, d.device.id);
  if (d.ndim > max_dims) fail<ValueError>("from_dlpack: ", d.ndim, " dimensions; a tensor has at most ", max_dims);
  const DType dtype = from_dl_type(d.dtype);
  Dims shape, strides;
  for (int i = 0; i < d.ndim; ++i) shape.push(d.shape[i]);
  strides = contiguous_strides(shape);
  for (int i = 0; d.strides && i < d.ndim; ++i) strides[i] = d.strides[i];
  PyCapsule_SetName(capsule, used);
  char* data = static_cast<char*>(d.data) + d.byte_offset;
  const StorageRef storage(adopt(data, 0, release_managed<Managed>, m, readonly));
  storage->exports = 1;
  return tensor_over(storage, dtype, shape, strides);
}

Tensor from_buffer(PyObject* o) {
  auto* view = new Py_buffer;
  if (PyObject_GetBuffer(o, view, PyBUF_STRIDED_RO | PyBUF_FORMAT) != 0) {
    delete view;
    return without_format(o);
  }
  const StorageRef storage(take_over(view));
  Dims shape, strides;
  const DType dtype = format_type(view->format ? view->format : "B", view->itemsize);
  if (view->ndim > max_dims) fail<ValueError>("array: ", view->ndim, " dimensions; a tensor has at most ", max_dims);
  if (!element_strides(*view, shape, strides)) {
    const py::object copy = py::module_::import("numpy").attr("array")(py::handle(o), py::arg("order") = "C");
    return from_buffer(copy.ptr());
  }
  storage->exports = 1;  // possibly read-only here; its owner may still write
  return tensor_over(storage, dtype, shape, strides);
}

PyObject* to_dlpack(const Tensor& t) {
  host_read(t, "__dlpack__");
  if (!writable(t))
    fail<ValueError>("__dlpack__: the memory of ", t,
                     " is read-only, broadcast or kept by a graph; export a copy: x.detach().copy()");
  auto* e = new Exported{{}, t, {}, {}};
  for (int d = 0; d < t.ndim(); ++d) e->shape[d] = t.dim(d), e->strides[d] = t.strides()[d];
  e->managed = {{t.bytes(), {dl_cpu, 0}, t.ndim(), dl_type(t.dtype()), e->shape, e->strides, 0}, e, delete_exported};
  ++t->storage->exports;
  PyObject* capsule = PyCapsule_New(&e->managed, "dltensor", capsule_gone);
  if (!capsule) throw_python_error();
  return capsule;
}

Tensor from_dlpack(PyObject* source) {
  const py::object capsule = capsule_of(source);
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned"))
    return taken_over<DLManagedTensorVersioned>(capsule.ptr(), "dltensor_versioned", "used_dltensor_versioned", false);
  const bool readonly = !is_tensor(source) && refuses_writing(source);
  return taken_over<DLManagedTensor>(capsule.ptr(), "dltensor", "used_dltensor", readonly);
}

}  // namespace steep
