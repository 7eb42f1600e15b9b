// Making and freeing tensors. Impls come from a free list, since every eager op makes one; a tensor's node is released
// through graph/node.h's worklist, so that a chain of ten million nodes is freed by a loop.
#include "core/tensor.h"

#include <cstring>
#include <new>

#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/node.h"

namespace steep {
namespace {

union Slot {
  Slot* next;
  alignas(TensorImpl) char bytes[sizeof(TensorImpl)];
};
Slot* free_slots = nullptr;

void refill() {
  constexpr int batch = 64;
  Slot* slots = static_cast<Slot*>(::operator new(sizeof(Slot) * batch));
  for (int i = 0; i < batch; ++i) {
    slots[i].next = free_slots;
    free_slots = &slots[i];
  }
}

template <class T> Tensor filled(const Dims& shape, T value, DType from, DType dtype) {
  Tensor t = empty(shape, dtype);
  const auto fill = k::table().cast[from][dtype];
  serial_for(t.size(), 1 << 18, [&](std::int64_t b, std::int64_t e) {
    const void* in[] = {&value};
    fill(in, t.bytes() + b * size_of(dtype), e - b, 1, nullptr);
  });
  return t;
}

}  // namespace

TensorImpl* new_impl() {
  if (!free_slots) refill();
  Slot* s = free_slots;
  free_slots = s->next;
  return new (s) TensorImpl();
}

void destroy(TensorImpl* p) {
  while (p) {
    TensorImpl* grad = p->grad;
    if (Node* n = p->node) {
      forget_target(p);
      release(n);
    }
    p->~TensorImpl();
    free_slots = new (p) Slot{free_slots};
    p = grad && --grad->refs == 0 ? grad : nullptr;
  }
}

std::ostream& operator<<(std::ostream& out, const Tensor& t) {
  if (!t) return out << "None";
  return out << t.dtype() << t.shape();
}

Tensor empty(const Dims& shape, DType dtype) { return empty(shape, numel(shape), dtype); }
Tensor empty(const Dims& shape, std::int64_t n, DType dtype) {
  const std::int64_t bytes = checked_mul(n, size_of(dtype));
  Tensor t(new_impl());
  t->dtype = dtype;
  t->shape = shape;
  t->strides = contiguous_strides(shape);
  t->count = n;
  t->storage = StorageRef(allocate(static_cast<std::size_t>(bytes)));
  return t;
}

Tensor full(const Dims& shape, double value, DType dtype) { return filled(shape, value, Float64, dtype); }
Tensor full_int(const Dims& shape, std::int64_t value, DType dtype) { return filled(shape, value, Int64, dtype); }

Tensor scalar(double value, DType dtype) {
  Tensor t = empty({}, dtype);
  if (dtype == Float32) {
    *t.data<float>() = static_cast<float>(value);
  } else if (dtype == Float64) {
    *t.data<double>() = value;
  } else {
    return full({}, value, dtype);
  }
  return t;
}

Tensor view(const Tensor& base, const Dims& shape, const Dims& strides, std::int64_t offset) {
  Tensor t(new_impl());
  t->dtype = base.dtype();
  t->shape = shape;
  t->strides = strides;
  t->offset = offset;
  t->count = numel(shape);
  t->contiguous = is_contiguous(shape, strides);
  t->storage = base->storage;
  return t;
}

Tensor alias(const Tensor& t) { return view(t, t.shape(), t.strides(), t->offset); }

double item(const Tensor& t) {
  if (t.size() != 1) fail<ValueError>("item: only a tensor of one element has a value, and this is ", t);
  const void* in[] = {t.bytes()};
  double v;
  k::table().cast[t.dtype()][Float64](in, &v, 1, 0, nullptr);
  return v;
}

std::int64_t item_int(const Tensor& t) {
  if (t.size() != 1) fail<ValueError>("item: only a tensor of one element has a value, and this is ", t);
  const void* in[] = {t.bytes()};
  std::int64_t v;
  k::table().cast[t.dtype()][Int64](in, &v, 1, 0, nullptr);
  return v;
}

}  // namespace steep
