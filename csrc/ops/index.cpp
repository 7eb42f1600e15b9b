// Indexing by integer tensors. Everything comes down to two primitives that are each other's adjoint: take_rows reads
// rows by number, add_rows adds rows into zeros by number, in the order given. Bounds are checked before anything is
// written. Start reading at the two computes.
#include "ops/index.h"

#include <cstring>

#include "core/iterate.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;
const Param x{"x", Kind::tensor}, indices{"indices", Kind::index};

std::int64_t row_size(T t) {
  std::int64_t n = 1;
  for (int d = 1; d < t.ndim(); ++d) n *= t.dim(d);
  return n;
}

// The index as int64 in [0, n), negative ones counted from the end.
std::vector<std::int64_t> checked(T index, std::int64_t n, const char* op) {
  const Tensor flat = contiguous(index);
  std::vector<std::int64_t> at(static_cast<std::size_t>(flat.size()));
  for (std::size_t i = 0; i < at.size(); ++i) {
    const std::int64_t v = flat.data<std::int64_t>()[i];
    if (v < -n || v >= n)
      fail<IndexError>(op, ": index ", v, " is out of range for an axis of size ", n, " (valid: ", -n, " to ", n - 1,
                       ")");
    at[i] = v < 0 ? v + n : v;
  }
  return at;
}

void infer_take(Call& c) {
  Dims shape = c.in[1].shape();
  for (int d = 1; d < c.in[0].ndim(); ++d) shape.push(c.in[0].dim(d));
  c.out = empty(shape, c.in[0].dtype());
}
void compute_take(const Call& c) {
  const Tensor from = contiguous(c.in[0]);
  const auto at = checked(c.in[1], from.dim(0), "take");
  const auto bytes = static_cast<std::size_t>(row_size(from) * size_of(from.dtype()));
  char* to = c.out.bytes();
  for (auto i : at) {
    std::memcpy(to, from.bytes() + static_cast<std::size_t>(i) * bytes, bytes);
    to += bytes;
  }
}

// Attributes: the number of rows of the result.
void infer_add_rows(Call& c) {
  Dims shape{c.attrs[0]};
  for (int d = c.in[1].ndim(); d < c.in[0].ndim(); ++d) shape.push(c.in[0].dim(d));
  c.out = empty(shape, c.in[0].dtype());
}
template <class E> void add_rows_as(const Call& c, T updates, const std::vector<std::int64_t>& at) {
  const std::int64_t n = row_size(c.out);
  E* out = c.out.data<E>();
  const E* from = updates.data<E>();
  for (auto i : at) {
    E* row = out + i * n;
    for (std::int64_t j = 0; j < n; ++j) row[j] = static_cast<E>(row[j] + from[j]);
    from += n;
  }
}
void compute_add_rows(const Call& c) {
  const Tensor updates = contiguous(c.in[0]);
  const auto at = checked(c.in[1], c.attrs[0], "scatter_add");
  std::memset(c.out.bytes(), 0, static_cast<std::size_t>(c.out.size() * size_of(c.out.dtype())));
  switch (c.out.dtype()) {
    case Float32: return add_rows_as<float>(c, updates, at);
    case Float64: return add_rows_as<double>(c, updates, at);
    case Int64: return add_rows_as<std::uint64_t>(c, updates, at);
    case Int32: return add_rows_as<std::uint32_t>(c, updates, at);
    default: return add_rows_as<std::uint8_t>(c, updates, at);
  }
}

Tensor as_index(T t, const char* op) {
  if (!is_integer(t.dtype())) fail<TypeError>(op, ": indices must be integers, and these are ", t);
  return astype(t, Int64);
}

// The same as a tensor in the shape of `index`.
Tensor wrapped(T index, std::int64_t n, const char* op) {
  const auto at = checked(index, n, op);
  const Tensor t = empty(index.shape(), Int64);
  std::copy(at.begin(), at.end(), t.data<std::int64_t>());
  return t;
}

// Row-major numbers of the elements that an index along one axis names, in the shape of `index`.
Tensor flat_positions(const Dims& shape, T index, int axis, const char* op) {
  const Dims strides = contiguous_strides(shape);
  Tensor flat = multiply(wrapped(index, shape[axis], op), full_int({}, strides[axis], Int64));
  for (int d = 0; d < shape.size(); ++d) {
    if (d == axis) continue;
    Dims column = Dims::filled(shape.size(), 1);
    column[d] = index.dim(d);
    flat = add(flat, reshape(arange(0, index.dim(d) * strides[d], strides[d], Int64), column));
  }
  return flat;
}

Tensor call_take(const Op& op, Args& a) {
  const Tensor index = as_index(a[1].tensor, op.name);
  if (!a[2].given) return take_rows(reshape(a[0].tensor, {a[0].tensor.size()}), index);
  return take(a[0].tensor, index, normalize_axis(a[2].integer, a[0].tensor.ndim(), op.name));
}
// The index broadcast against x on every axis but one.
Tensor aligned_index(const Op& op, T t, T index, int axis) {
  if (index.ndim() != t.ndim()) fail<ValueError>(op.name, ": indices ", index, " must have as many dimensions as ", t);
  Dims shape = t.shape();
  shape[axis] = index.dim(axis);
  return broadcast_to(as_index(index, op.name), shape);
}
Tensor call_take_along(const Op& op, Args& a) {
  const int axis = normalize_axis(a[2].integer, a[0].tensor.ndim(), op.name);
  return take_along_axis(a[0].tensor, aligned_index(op, a[0].tensor, a[1].tensor, axis), axis);
}
Tensor call_scatter_add(const Op& op, Args& a) {
  T t = a[0].tensor;
  const int axis = normalize_axis(a[3].integer, t.ndim(), op.name);
  const Tensor index = as_index(a[1].tensor, op.name);
  if (index.ndim() != t.ndim()) fail<ValueError>(op.name, ": indices ", index, " must have as many dimensions as ", t);
  for (int d = 0; d < t.ndim(); ++d)
    if (d != axis && index.dim(d) > t.dim(d))
      fail<IndexError>(op.name, ": indices ", index, " reach beyond ", t, " on axis ", d);
  const Tensor flat = flat_positions(t.shape(), index, axis, op.name);
  const Tensor updates = broadcast_to(astype(a[2].tensor, t.dtype()), index.shape());
  const Tensor added = add_rows(reshape(updates, {updates.size()}), reshape(flat, {flat.size()}), t.size());
  return add(t, reshape(added, t.shape()));
}
Tensor call_one_hot(const Op& op, Args& a) {
  if (a[1].integer < 1) fail<ValueError>(op.name, ": num_classes must be at least 1, and is ", a[1].integer);
  const Tensor index = wrapped(as_index(a[0].tensor, op.name), a[1].integer, op.name);
  return astype(equal(expand_dims(index, index.ndim()), arange(0, a[1].integer, 1, Int64)), a[2].dtype(Float32));
}
std::vector<Tensor> call_nonzero(const Op&, Args& a) {
  T t = a[0].tensor;
  std::vector<Tensor> axes;
  const Tensor flat = nonzero_flat(t);
  for (int d = 0; d < t.ndim(); ++d) {
    const Tensor by = full_int({}, contiguous_strides(t.shape())[d], Int64), n = full_int({}, t.dim(d), Int64);
    axes.push_back(remainder(binary(k::Kernel::floor_divide, flat, by), n));
  }
  return axes;
}

}  // namespace

Tensor take_rows(T t, T index) {
  static const Op& op = find_op("take_rows");
  return apply(op, {t, index});
}
Tensor add_rows(T updates, T index, std::int64_t rows) {
  static const Op& op = find_op("add_rows");
  return apply(op, {updates, index}, {rows});
}
Tensor take(T t, T index, int axis) {
  Tensor y = take_rows(moveaxis(t, axis, 0), index);
  for (int i = 0; i < axis; ++i) y = moveaxis(y, index.ndim() + i, i);
  return y;
}
Tensor take_along_axis(T t, T index, int axis) {
  return take_rows(reshape(t, {t.size()}), flat_positions(t.shape(), index, axis, "take_along_axis"));
}
Tensor arange(std::int64_t start, std::int64_t stop, std::int64_t step, DType dtype) {
  const bool up = step > 0, some = up ? start < stop : start > stop;  // sizes in unsigned, where they do not overflow
  const auto from = static_cast<std::uint64_t>(start), to = static_cast<std::uint64_t>(stop);
  const auto by = up ? static_cast<std::uint64_t>(step) : -static_cast<std::uint64_t>(step);
  const std::uint64_t count = some ? ((up ? to - from : from - to) - 1) / by + 1 : 0;
  if (count > INT64_MAX) fail<ValueError>("arange: ", start, " to ", stop, " has more elements than 64 bits count");
  const auto n = static_cast<std::int64_t>(count);
  const Tensor t = empty({n}, Int64);
  for (std::int64_t i = 0; i < n; ++i) t.data<std::int64_t>()[i] = start + i * step;
  return astype(t, dtype);
}
Tensor nonzero_flat(T mask) {
  const Tensor flags = contiguous(astype(mask, Bool));
  std::vector<std::int64_t> at;
  for (std::int64_t i = 0; i < flags.size(); ++i)
    if (flags.data<bool>()[i]) at.push_back(i);
  const Tensor t = empty({static_cast<std::int64_t>(at.size())}, Int64);
  std::copy(at.begin(), at.end(), t.data<std::int64_t>());
  return t;
}

Rows index_rows() {
  const Param axis{"axis", Kind::integer, "0"};
  return {
      {.name = "take_rows",
       .infer = infer_take,
       .compute = compute_take,
       .vjp = {{[](R r, T g) { return add_rows(g, r.in(1), r.shape(0)[0]); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return take_rows(t[0], r.in(1)); },
       .moves = true,
       .hidden = true},
      {.name = "add_rows",
       .infer = infer_add_rows,
       .compute = compute_add_rows,
       .vjp = {{[](R r, T g) { return take_rows(g, r.in(1)); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return add_rows(t[0], r.in(1), r.attrs()[0]); },
       .hidden = true},
      {.name = "take",
       .doc = "Elements by number along an axis; of the flattened tensor where axis is None.",
       .params = {x, indices, {"axis", Kind::optional_integer, "None"}},
       .call = call_take},
      {.name = "take_along_axis",
       .doc = "Elements by number along an axis, a different number at every other position.",
       .params = {x, indices, {"axis", Kind::integer, "-1"}},
       .call = call_take_along},
      {.name = "scatter_add",
       .doc = "x with updates added at the numbered positions of an axis, in order.",
       .params = {x, indices, {"updates", Kind::tensor}, axis},
       .call = call_scatter_add},
      {.name = "one_hot",
       .doc = "1 at each index along a new last axis, 0 elsewhere.",
       .params = {x, {"num_classes", Kind::integer}, {"dtype", Kind::dtype, "None"}},
       .call = call_one_hot},
      {.name = "nonzero",
       .doc = "The positions of the elements that are not zero, one index tensor an axis.",
       .params = {x},
       .call_many = call_nonzero},
  };
}

}  // namespace steep
