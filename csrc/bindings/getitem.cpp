// Python's key of x[key] as the parts that ops/index.h knows.
#include <algorithm>

#include "bindings/python.h"
#include "ops/functions.h"
#include "ops/index.h"

namespace steep {
namespace {

std::int64_t as_integer(PyObject* o) {
  const Py_ssize_t v = PyNumber_AsSsize_t(o, PyExc_IndexError);
  if (v == -1 && PyErr_Occurred()) throw_python_error();
  return v;
}

// Beyond 64 bits, the end of the range, as Python has it.
std::int64_t clipped(PyObject* o) {
  const Py_ssize_t v = PyNumber_AsSsize_t(o, nullptr);
  if (v == -1 && PyErr_Occurred()) throw_python_error();
  return std::max(v, -PY_SSIZE_T_MAX);
}

IndexPart slice_part(PyObject* o) {
  const auto* s = reinterpret_cast<PySliceObject*>(o);
  IndexPart p{.kind = IndexPart::slice};
  if (s->step != Py_None) p.step = clipped(s->step);
  if (p.step == 0) fail<ValueError>("getitem: a slice's step cannot be 0");
  p.has_start = s->start != Py_None;
  p.has_stop = s->stop != Py_None;
  if (p.has_start) p.start = clipped(s->start);
  if (p.has_stop) p.stop = clipped(s->stop);
  return p;
}

IndexPart part(PyObject* o) {
  if (PyLong_CheckExact(o)) return {.kind = IndexPart::integer, .start = as_integer(o)};
  if (PySlice_Check(o)) return slice_part(o);
  if (o == Py_None) return {.kind = IndexPart::new_axis};
  if (o == Py_Ellipsis) return {.kind = IndexPart::ellipsis};
  if (!PyBool_Check(o) && !is_tensor(o) && PyIndex_Check(o) && !PyObject_HasAttrString(o, "shape"))
    return {.kind = IndexPart::integer, .start = as_integer(o)};
  IndexPart p{.kind = IndexPart::tensor};
  p.index = to_tensor(o);
  const bool empty_list = PyList_Check(o) && p.index.size() == 0;
  if (empty_list) p.index = astype(p.index, Int64);
  if (p.index.ndim() == 0 && is_integer(p.index.dtype()))
    return {.kind = IndexPart::integer, .start = item_int(p.index)};
  return p;
}

std::vector<IndexPart> parts(PyObject* key) {
  std::vector<IndexPart> list;
  if (!PyTuple_Check(key)) return {part(key)};
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) list.push_back(part(PyTuple_GET_ITEM(key, i)));
  return list;
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) {
  return guarded([&] { return wrap(getitem(borrow(self), parts(key))); });
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  return guarded_int([&] {
    if (!value) fail<TypeError>("a tensor's elements cannot be deleted");
    const Tensor x = borrow(self);
    setitem(x, parts(key), is_scalar(value) ? from_scalar(value, x.dtype()) : to_tensor(value));
    return 0;
  });
}

}  // namespace steep
