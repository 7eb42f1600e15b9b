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

IndexPart slice_part(PyObject* o) {
  const auto* s = reinterpret_cast<PySliceObject*>(o);
  IndexPart p{.kind = IndexPart::slice};
  Py_ssize_t start, stop, step;  // those beyond 64 bits are clamped, as Python's own lists have it
  if (PySlice_Unpack(o, &start, &stop, &step) < 0) throw_python_error();
  p.has_start = s->start != Py_None;
  p.has_stop = s->stop != Py_None;
  p.start = start;
  p.stop = stop;
  p.step = step;
  return p;
}

IndexPart part(PyObject* o) {
  if (PyLong_CheckExact(o)) return {.kind = IndexPart::integer, .start = as_integer(o)};
  if (PySlice_Check(o)) return slice_part(o);
  if (o == Py_None) return {.kind = IndexPart::new_axis};
  if (o == Py_Ellipsis) return {.kind = IndexPart::ellipsis};
  if (!is_tensor(o) && is_index(o) && !PyObject_HasAttrString(o, "__len__"))
    return {.kind = IndexPart::integer, .start = as_integer(o)};
  IndexPart p{.kind = IndexPart::tensor};
  p.index = to_tensor(o);
  const bool empty_list = PyList_Check(o) && p.index.size() == 0;
  if (empty_list) p.index = astype(p.index, Int64);
  if (p.index.ndim() == 0 && is_integer(p.index.dtype()) && !is_recording())
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
    setitem(x, parts(key), is_scalar(value) ? from_scalar(value, x.dtype()) : to_tensor(value, x.dtype()));
    return 0;
  });
}

}  // namespace steep
