// The tensor handle: a counted pointer to shape, strides, storage and the node that made it.
// TensorImpl is what Python's Tensor object points to; Tensor is the C++ handle every other file speaks.
#pragma once

#include <utility>

#include "core/dtype.h"
#include "core/shape.h"
#include "core/storage.h"

namespace steep {

struct Node;  // graph/node.h

struct TensorImpl {
  std::uint32_t refs = 1;
  DType dtype;
  bool requires_grad = false;  // a leaf whose .grad backward fills
  bool contiguous = true;
  Dims shape, strides;
  std::int64_t offset = 0;  // in elements
  std::int64_t count = 0;   // of elements
  StorageRef storage;
  Node* node = nullptr;               // counted; null for constants
  TensorImpl* grad = nullptr;         // counted
  const char* detached_by = nullptr;  // the op that stopped gradients, for explain()

  TensorImpl() {}  // not an aggregate, all of which would be zeroed first, shape and strides too
};

void destroy(TensorImpl* p);  // core/tensor.cpp
TensorImpl* new_impl();

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorImpl* p) : p_(p) {}  // takes ownership of one count
  static Tensor share(TensorImpl* p) {
    if (p) ++p->refs;
    return Tensor(p);
  }
  Tensor(const Tensor& o) : p_(o.p_) {
    if (p_) ++p_->refs;
  }
  Tensor(Tensor&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  Tensor& operator=(Tensor o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Tensor() {
    if (p_ && --p_->refs == 0) destroy(p_);
  }

  TensorImpl* get() const { return p_; }
  TensorImpl* release() { return std::exchange(p_, nullptr); }
  TensorImpl* operator->() const { return p_; }
  explicit operator bool() const { return p_ != nullptr; }

  const Dims& shape() const { return p_->shape; }
  const Dims& strides() const { return p_->strides; }
  int ndim() const { return p_->shape.size(); }
  std::int64_t size() const { return p_->count; }
  std::int64_t dim(int i) const { return p_->shape[i < 0 ? i + ndim() : i]; }
  DType dtype() const { return p_->dtype; }
  bool contiguous() const { return p_->contiguous; }
  char* bytes() const { return p_->storage->data + p_->offset * size_of(p_->dtype); }
  template <class T> T* data() const { return reinterpret_cast<T*>(bytes()); }

 private:
  TensorImpl* p_ = nullptr;
};

// "float32(3, 4)", as error messages show an operand.
std::ostream& operator<<(std::ostream& out, const Tensor& t);

Tensor empty(const Dims& shape, DType dtype);                  // contiguous, uninitialised
Tensor empty(const Dims& shape, std::int64_t n, DType dtype);  // the same, of a shape whose numel() is known
Tensor full(const Dims& shape, double value, DType dtype);
Tensor full_int(const Dims& shape, std::int64_t value, DType dtype);
Tensor scalar(double value, DType dtype);  // 0-d
Tensor view(const Tensor& base, const Dims& shape, const Dims& strides, std::int64_t offset);
Tensor alias(const Tensor& t);  // same bytes, no node
double item(const Tensor& t);   // the one element, as a double
std::int64_t item_int(const Tensor& t);

}  // namespace steep
