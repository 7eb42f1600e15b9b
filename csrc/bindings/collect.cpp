// Graphs and Python's garbage collector. A gradient rule in Python may hold tensors of its own graph. The collector can
// free such a cycle only if it sees each count along it exactly once: a tensor shows its node's shell, a shell the
// shells of its node's inputs and the rule, and whatever has further holders in C++ shows nothing, which is safe. A
// cycle is broken by dropping the rule. Graphs without Python rules have no shells and cost nothing. Start at Shell.
#include "bindings/collect.h"

namespace steep {
namespace {

struct Shell {
  PyObject_HEAD Node* node;  // null once it is gone; not counted, since the shell's count follows the node's
};

int visit_shell(const Node* n, visitproc visit, void* arg) {
  if (has_shell(n)) Py_VISIT(static_cast<PyObject*>(n->extra->shell));
  return 0;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  const Node* n = reinterpret_cast<Shell*>(self)->node;
  if (!n) return 0;
  Py_VISIT(static_cast<PyObject*>(n->extra->rule.held));
  for (int i = 0; i < n->input_count; ++i)
    if (const int stop = visit_shell(n->inputs()[i], visit, arg)) return stop;
  return 0;
}

int clear(PyObject* self) {
  Node* n = reinterpret_cast<Shell*>(self)->node;
  if (!n || !n->extra->rule) return 0;
  n->freed = true;  // a finaliser may still ask for a gradient
  const DynamicRule gone = std::exchange(n->extra->rule, DynamicRule{});
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  PyObject_GC_Del(self);
}

PyTypeObject ShellType = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "steep._core.NodeShell",
    .tp_basicsize = sizeof(Shell),
    .tp_dealloc = deallocate,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "What the garbage collector sees of a graph node.",
    .tp_traverse = traverse,
    .tp_clear = clear,
};

// No collection starts in here: it would run Python in the middle of an op.
void* make_shell(Node* n) {
  const int collecting = PyGC_Disable();
  auto* shell = PyObject_GC_New(Shell, &ShellType);
  if (collecting) PyGC_Enable();
  if (!shell) {
    PyErr_Clear();
    throw std::bad_alloc();
  }
  shell->node = n;
  for (std::uint32_t i = 1; i < n->refs; ++i) Py_INCREF(shell);
  PyObject_GC_Track(shell);
  return shell;
}

// Nodes may outlive the interpreter, which has then freed the shells' memory.
void retain_one(void* shell) {
  if (Py_IsInitialized()) Py_INCREF(static_cast<PyObject*>(shell));
}
void release_one(void* shell) {
  if (Py_IsInitialized()) Py_DECREF(static_cast<PyObject*>(shell));
}
void node_gone(void* shell) {
  static_cast<Shell*>(shell)->node = nullptr;
  release_one(shell);
}

template <class T> const T* held_by(PyObject* self) {
  const auto* instance = reinterpret_cast<py::detail::instance*>(self);
  return instance->simple_holder_constructed ? &py::handle(self).cast<const T&>() : nullptr;
}

// A pybind11 type around a T that leads to one node.
template <class T, Node* (T::*node)() const> void collect(PyHeapTypeObject* heap_type) {
  checked_memory(heap_type);
  PyTypeObject& type = heap_type->ht_type;
  type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
    Py_VISIT(Py_TYPE(self));
    const T* held = held_by<T>(self);
    return held ? visit_shell((held->*node)(), visit, arg) : 0;
  };
  type.tp_clear = [](PyObject*) { return 0; };
}

}  // namespace

void collect_node(PyHeapTypeObject* type) { collect<NodeHandle, &NodeHandle::get>(type); }
void collect_kept(PyHeapTypeObject* type) { collect<Kept, &Kept::sole_way>(type); }

int traverse_tensor(PyObject* self, visitproc visit, void* arg) {
  const TensorImpl* t = reinterpret_cast<PyTensor*>(self)->impl;
  if (t->refs > 1) return 0;
  if (t->storage->refs == 1) Py_VISIT(buffer_owner(t->storage.get()));
  return visit_shell(t->node, visit, arg);
}

void add_shells(HostHooks& hooks) {
  if (PyType_Ready(&ShellType) < 0) throw_python_error();
  hooks.make_shell = make_shell;
  hooks.retain_shell = retain_one;
  hooks.release_shell = release_one;
  hooks.node_gone = node_gone;
}

}  // namespace steep
