// The Tensor type itself: a static CPython type whose objects come from a short free list. Only those that lead to
// Python objects are shown to the garbage collector (collect.cpp).
#include <cstddef>

#include "bindings/collect.h"
#include "bindings/python.h"
#include "core/iterate.h"
#include "graph/recorder.h"
#include "ops/functions.h"

namespace steep {
namespace {

constexpr int kept_objects = 256;
PyTensor* free_objects[kept_objects];
int free_count = 0;

void deallocate(PyObject* self) {
  auto* o = reinterpret_cast<PyTensor*>(self);
  if (o->collected) PyObject_GC_UnTrack(self);
  if (o->weak_references) PyObject_ClearWeakRefs(self);
  Tensor gone(o->impl);
  if (free_count < kept_objects) free_objects[free_count++] = o;
  else PyObject_GC_Del(o);
}

Py_ssize_t length(PyObject* self) {
  const Tensor t = borrow(self);
  if (t.ndim() == 0) return PyErr_SetString(PyExc_TypeError, "len: a 0-d tensor has no length"), -1;
  return t.dim(0);
}

PyObject* sequence_item(PyObject* self, Py_ssize_t i) {
  const Tensor t = borrow(self);
  if (t.ndim() == 0 || i < 0 || i >= t.dim(0)) return PyErr_SetString(PyExc_IndexError, "index out of range"), nullptr;
  py::object key = py::int_(i);
  return get_item(self, key.ptr());
}

PyObject* iterate(PyObject* self) {
  if (length(self) < 0) return PyErr_SetString(PyExc_TypeError, "iter: a 0-d tensor cannot be iterated over"), nullptr;
  return PySeqIter_New(self);
}

Py_hash_t hash(PyObject* self) { return static_cast<Py_hash_t>(reinterpret_cast<std::uintptr_t>(self) >> 4); }

PyObject* represent(PyObject* self) {
  return guarded(
      [&] { return py::module_::import("steep._repr").attr("represent")(py::handle(self)).release().ptr(); });
}

PyObject* construct(PyTypeObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError, "Tensor: make tensors with steep.tensor(data) or steep.asarray(array)");
  return nullptr;
}

// 3 in x: whether any element equals it.
int contains(PyObject* self, PyObject* value) {
  return guarded_int([&] {
    const auto same = py::reinterpret_steal<py::object>(rich_compare(self, value, Py_EQ));
    if (!same) throw_python_error();
    if (!is_tensor(same.ptr())) return 0;
    const Tensor found = borrow(same.ptr());
    host_read(found, "in");
    return static_cast<int>(item_int(all(logical_not(found))) == 0 && found.size() > 0);
  });
}

PySequenceMethods sequence_methods = {.sq_length = length, .sq_item = sequence_item, .sq_contains = contains};
PyMappingMethods mapping_methods = {.mp_length = length, .mp_subscript = get_item, .mp_ass_subscript = set_item};
PyBufferProcs buffer_methods = {.bf_getbuffer = get_buffer, .bf_releasebuffer = release_buffer};

}  // namespace

// Two objects around one tensor would hide its graph from the garbage collector, so the second gets its own handle.
static Tensor sole_handle(const Tensor& t) {
  return has_shell(t->node) && t->refs > 1 && !t->grad ? reconnected(alias(t), t->node) : t;
}

PyObject* wrap(Tensor t) {
  if (t->node && t->node->extra) [[unlikely]]
    t = sole_handle(t);
  PyTensor* o;
  if (free_count) {
    o = free_objects[--free_count];
    PyObject_Init(reinterpret_cast<PyObject*>(o), &TensorType);
  } else {
    o = PyObject_GC_New(PyTensor, &TensorType);
    if (!o) throw_python_error();
  }
  o->impl = t.release();
  o->weak_references = nullptr;
  o->collected = is_collected(o->impl);
  if (o->collected) PyObject_GC_Track(o);
  return reinterpret_cast<PyObject*>(o);
}

PyTypeObject TensorType = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "steep.Tensor",
    .tp_basicsize = sizeof(PyTensor),
    .tp_dealloc = deallocate,
    .tp_repr = represent,
    .tp_as_number = &number_methods,
    .tp_as_sequence = &sequence_methods,
    .tp_as_mapping = &mapping_methods,
    .tp_hash = hash,
    .tp_str = represent,
    .tp_as_buffer = &buffer_methods,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc =
        "Tensor()\n--\n\nAn n-dimensional array that records the operations applied to it, so that it can be "
        "differentiated.",
    .tp_traverse = traverse_tensor,
    .tp_richcompare = rich_compare,
    .tp_weaklistoffset = offsetof(PyTensor, weak_references),
    .tp_iter = iterate,
    .tp_methods = tensor_methods,
    .tp_getset = tensor_properties,
    .tp_new = construct,
};

}  // namespace steep
