// Orders of dimensions: found by their strides, sizes of 1 set aside, which have none.
#include "core/layout.h"

#include <algorithm>

namespace steep {
namespace {

bool is_row_major(const MemoryOrder& order) { return std::is_sorted(order.begin(), order.end()); }

// Whether t has a place in memory for every element, and so an order.
bool has_order(const Tensor& t) {
  for (int d = 0; d < t.ndim(); ++d)
    if (t.dim(d) > 1 && t.strides()[d] <= 0) return false;
  return true;
}

// Dimensions of size 1 stay where they are, between dimensions that are in row-major order around them.
MemoryOrder order_of(const Tensor& t) {
  MemoryOrder order;
  for (int d = 0; d < t.ndim(); ++d) {
    int at = order.size();
    if (t.dim(d) > 1)
      for (int before = at; before-- > 0;) {
        const int other = static_cast<int>(order[before]);
        if (t.dim(other) == 1) continue;
        if (t.strides()[other] >= t.strides()[d]) break;
        at = before;
      }
    order.insert(at, d);
  }
  return order;
}

bool is_in(const Tensor& t, const MemoryOrder& order) {
  std::int64_t last = -1;
  for (const auto d : order) {
    const int axis = static_cast<int>(d);
    if (t.dim(axis) == 1) continue;
    if (last >= 0 && t.strides()[axis] > last) return false;
    last = t.strides()[axis];
  }
  return true;
}

}  // namespace

MemoryOrder shared_order(const Tensor* in, int count, const Dims& shape, std::int64_t n) {
  MemoryOrder order;
  for (int k = 0; k < count; ++k) {
    const Tensor& t = in[k];
    if (n < 2 || t.size() != n || t.ndim() != shape.size() || !has_order(t)) continue;
    if (order.empty()) order = order_of(t);
    if (is_row_major(order) || !is_in(t, order)) return {};
  }
  return order;
}

MemoryOrder dense_order(const Tensor& t) {
  if (t.contiguous() || !has_order(t)) return {};
  const MemoryOrder order = order_of(t);
  return in_order(t, order).contiguous() ? order : MemoryOrder();
}

Tensor in_order(const Tensor& t, const MemoryOrder& order) {
  if (t.size() == 1) return t;
  const int lead = order.size() - t.ndim();
  Dims shape, strides;
  for (const auto d : order) {
    const int axis = static_cast<int>(d) - lead;
    shape.push(axis < 0 ? 1 : t.dim(axis));
    strides.push(axis < 0 ? 0 : t.strides()[axis]);
  }
  return view(t, shape, strides, t->offset);
}

Tensor empty(const Dims& shape, std::int64_t n, const MemoryOrder& order, DType dtype) {
  Tensor t = empty(shape, n, dtype);
  if (order.empty()) return t;
  std::int64_t step = 1;
  for (int i = order.size() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]);
    t->strides[axis] = step;
    step *= shape[axis];
  }
  t->contiguous = is_contiguous(shape, t->strides);
  return t;
}

}  // namespace steep
