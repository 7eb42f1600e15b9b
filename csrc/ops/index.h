// NumPy's indexing, x[key], as data: the key's parts in order. getitem and setitem (ops/getitem.cpp) interpret it; the
// bindings convert Python's key to it.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace steep {

struct IndexPart {
  enum { integer, slice, ellipsis, new_axis, tensor } kind;
  std::int64_t start = 0, stop = 0, step = 1;  // integer: start; slice: as given
  bool has_start = false, has_stop = false;
  Tensor index;  // integers, or a bool mask
};

Tensor getitem(const Tensor& x, const std::vector<IndexPart>& key);
void setitem(const Tensor& x, const std::vector<IndexPart>& key, const Tensor& value);

}  // namespace steep
