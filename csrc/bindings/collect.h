// What Python's garbage collector sees of graphs: see collect.cpp.
#pragma once

#include "bindings/python.h"
#include "core/host.h"

namespace steep {

// A counted node, so that Python can name one.
class NodeHandle {
 public:
  explicit NodeHandle(Node* n) : n_(retain(n)) {}
  NodeHandle(const NodeHandle& o) : n_(retain(o.n_)) {}
  NodeHandle& operator=(const NodeHandle&) = delete;
  ~NodeHandle() {
    if (n_) release(n_);
  }
  Node* get() const { return n_; }

 private:
  Node* n_;
};

// For pybind11's custom_type_setup, of the types that hold a NodeHandle or a Kept.
void collect_node(PyHeapTypeObject* type);
void collect_kept(PyHeapTypeObject* type);

// tp_traverse of tensors, and whether an object around `t` has anything to show it.
int traverse_tensor(PyObject* self, visitproc visit, void* arg);
inline bool is_collected(const TensorImpl* t) { return has_shell(t->node) || t->storage->release; }

void add_shells(HostHooks& hooks);

}  // namespace steep
