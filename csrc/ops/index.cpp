// Indexing by integer tensors. Everything comes down to two primitives that are each other's adjoint: take_rows reads
// rows by index, add_rows adds rows into zeros by index, in the order given. Bounds are checked before anything is
// written. Start reading at the two computes.
#include "ops/index.h"

#include <cstring>

#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/recorder.h"
#include "ops/elementwise.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

constexpr std::int64_t stretch = 1 << 14;  // positions between two interruption points
// Rows of n elements between two.
std::int64_t stretch_of(std::int64_t n) { return std::max<std::int64_t>(1, stretch / std::max<std::int64_t>(1, n)); }
const Param x{"x", Kind::tensor}, indices{"indices", Kind::index};

std::int64_t row_size(T t) {
  std::int64_t n = 1;
  for (int d = 1; d < t.ndim(); ++d) n *= t.dim(d);
  return n;
}

// Positions along an axis of n elements, negative ones counted from its end: all are checked before any is read.
class Positions {
 public:
  Positions(T index, std::int64_t n, const char* op, std::int64_t axis = -1, bool labels = false)
      : flat_(contiguous(index)), n_(n), lowest_(labels ? 0 : -n) {
    serial_for(size(), stretch, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t i = b; i < e; ++i)
        if (at(i) < lowest_ || at(i) >= n) refuse(op, axis, at(i));
    });
  }
  std::int64_t size() const { return flat_.size(); }
  std::int64_t operator[](std::int64_t i) const { return at(i) < 0 ? at(i) + n_ : at(i); }

 private:
  std::int64_t at(std::int64_t i) const { return flat_.data<std::int64_t>()[i]; }
  [[noreturn]] void refuse(const char* op, std::int64_t axis, std::int64_t v) const {
    const std::string where = axis < 0 ? "an axis" : str("axis ", axis);
    fail<IndexError>(op, ": index ", v, " is out of range for ", where, " of size ", n_, " (valid: ", lowest_, " to ",
                     n_ - 1, ")");
  }
  Tensor flat_;
  std::int64_t n_, lowest_;
};

void infer_take(Call& c) {
  Dims shape = c.in[1].shape();
  for (int d = 1; d < c.in[0].ndim(); ++d) shape.push(c.in[0].dim(d));
  c.out = empty(shape, c.in[0].dtype());
}
void compute_take(const Call& c) {
  const Tensor from = contiguous(c.in[0]);
  const Positions at(c.in[1], from.dim(0), "take");
  const std::int64_t bytes = row_size(from) * size_of(from.dtype());
  serial_for(at.size(), stretch_of(bytes / 4), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i)
      std::memcpy(c.out.bytes() + i * bytes, from.bytes() + at[i] * bytes, static_cast<std::size_t>(bytes));
  });
}

// Attributes: the number of rows of the result.
void infer_add_rows(Call& c) {
  Dims shape{c.attrs[0]};
  for (int d = c.in[1].ndim(); d < c.in[0].ndim(); ++d) shape.push(c.in[0].dim(d));
  c.out = empty(shape, c.in[0].dtype());
}
template <class E> void add_rows_as(const Call& c, T updates, const Positions& at) {
  const std::int64_t n = row_size(c.out);
  E* out = c.out.data<E>();
  const E* from = updates.data<E>();
  serial_for(at.size(), stretch_of(n), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) {
      E* row = out + at[i] * n;
      for (std::int64_t j = 0; j < n; ++j) row[j] = static_cast<E>(row[j] + from[i * n + j]);
    }
  });
}
void compute_add_rows(const Call& c) {
  const Tensor updates = contiguous(c.in[0]);
  const Positions at(c.in[1], c.attrs[0], "scatter_add");
  serial_for(c.out.size() * size_of(c.out.dtype()), 1 << 20, [&](std::int64_t b, std::int64_t e) {
    std::memset(c.out.bytes() + b, 0, static_cast<std::size_t>(e - b));
  });
  switch (c.out.dtype()) {
    case Float32: return add_rows_as<float>(c, updates, at);
    case Float64: return add_rows_as<double>(c, updates, at);
    case Int64: return add_rows_as<std::uint64_t>(c, updates, at);
    case Int32: return add_rows_as<std::uint32_t>(c, updates, at);
    case Bool: return add_rows_as<bool>(c, updates, at);  // + of bools is or
    default: return add_rows_as<std::uint8_t>(c, updates, at);
  }
}

// out[positions] = values, by flat row-major indices; out is written in place.
template <class E> void write_at(T out, T positions, T values) {
  const Dims strides = contiguous_strides(out.shape());
  E* base = out.data<E>();
  const auto write = [&](std::int64_t i) {
    std::int64_t rest = positions.data<std::int64_t>()[i], offset = 0;
    for (int d = 0; d < out.ndim(); ++d) {
      offset += rest / strides[d] * out.strides()[d];
      rest %= strides[d];
    }
    base[offset] = values.data<E>()[i];
  };
  serial_for(positions.size(), stretch, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) write(i);
  });
}
void compute_write_elements(const Call& c) {
  const Tensor values = contiguous(c.in[0]), positions = contiguous(c.in[1]);
  switch (size_of(c.out.dtype())) {
    case 8: return write_at<std::uint64_t>(c.out, positions, values);
    case 4: return write_at<std::uint32_t>(c.out, positions, values);
    case 2: return write_at<std::uint16_t>(c.out, positions, values);
    default: return write_at<std::uint8_t>(c.out, positions, values);
  }
}

Tensor as_index(T t, const char* op) {
  if (!is_integer(t.dtype())) fail<TypeError>(op, ": indices must be integers, and these are ", t);
  return astype(t, Int64);
}

// Attributes of wrap_index: the size of the axis, its number or -1, the op named in errors, and whether negative
// indices raise, since they are labels.
void compute_wrap(const Call& c) {
  const Positions at(c.in[0], c.attrs[0], reinterpret_cast<const char*>(c.attrs[2]), c.attrs[1], c.attrs.flag(3));
  serial_for(at.size(), stretch, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) c.out.data<std::int64_t>()[i] = at[i];
  });
}

// Flat row-major indices of the elements selected by an index along one axis, in the shape of `index`.
Tensor flat_positions(const Dims& shape, T index, int axis, const char* op) {
  const Dims strides = contiguous_strides(shape);
  Tensor flat = multiply(wrap_index(index, shape[axis], op), full_int({}, strides[axis], Int64));
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
Tensor checked_labels(T labels, std::int64_t classes, const char* op) {
  return apply(find_op("wrap_index"), {as_index(labels, op)}, {classes, -1, reinterpret_cast<std::int64_t>(op), true});
}
Tensor call_one_hot(const Op& op, Args& a) {
  if (a[1].integer < 1) fail<ValueError>(op.name, ": num_classes must be at least 1, and is ", a[1].integer);
  const Tensor index = checked_labels(a[0].tensor, a[1].integer, op.name);
  return astype(equal(expand_dims(index, index.ndim()), arange(0, a[1].integer, 1, Int64)), a[2].dtype(Float32));
}
std::vector<Tensor> call_nonzero(const Op& op, Args& a) {
  T t = a[0].tensor;
  if (t.ndim() == 0) fail<ValueError>(op.name, ": ", t, " is 0-d and has no positions; reshape it to (1,)");
  std::vector<Tensor> axes;
  const Tensor flat = nonzero_flat(t);
  for (int d = 0; d < t.ndim(); ++d) {
    const Tensor by = full_int({}, contiguous_strides(t.shape())[d], Int64), n = full_int({}, t.dim(d), Int64);
    axes.push_back(remainder(binary(k::Kernel::floor_divide, flat, by), n));
  }
  return axes;
}

}  // namespace

Tensor wrap_index(T index, std::int64_t n, const char* op, int axis) {
  static const Op& row = find_op("wrap_index");
  return apply(row, {index}, {n, axis, reinterpret_cast<std::int64_t>(op), false});
}
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
  serial_for(n, stretch, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) t.data<std::int64_t>()[i] = start + i * step;
  });
  return astype(t, dtype);
}
Tensor nonzero_flat(T mask) {
  host_read(mask, "nonzero, or a mask as an index");
  const Tensor flags = contiguous(astype(mask, Bool));
  std::vector<std::int64_t> at;
  serial_for(flags.size(), stretch, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i)
      if (flags.data<bool>()[i]) at.push_back(i);
  });
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
       .any_dtype = true,
       .hidden = true},
      {.name = "add_rows",
       .infer = infer_add_rows,
       .compute = compute_add_rows,
       .vjp = {{[](R r, T g) { return take_rows(g, r.in(1)); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return add_rows(t[0], r.in(1), r.attrs()[0]); },
       .hidden = true},
      {.name = "wrap_index", .infer = infer_same, .compute = compute_wrap, .hidden = true},
      {.name = "write_elements",
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); },
       .compute = compute_write_elements,
       .hidden = true},
      {.name = "checked_labels",
       .doc = "Labels as int64; IndexError, when they are read, for one outside of 0 to num_classes - 1.",
       .params = {x, {"num_classes", Kind::integer}},
       .call = [](const Op& op, Args& a) { return checked_labels(a[0].tensor, a[1].integer, op.name); }},
      {.name = "take",
       .doc = "Elements by index along an axis; of the flattened tensor if axis is None.",
       .params = {x, indices, {"axis", Kind::optional_integer, "None"}},
       .call = call_take},
      {.name = "take_along_axis",
       .doc = "Elements by index along an axis, with a different index at every other position.",
       .params = {x, indices, {"axis", Kind::integer, "-1"}},
       .call = call_take_along},
      {.name = "scatter_add",
       .doc = "x with updates added at the indexed positions of an axis, in order.",
       .params = {x, indices, {"updates", Kind::tensor}, axis},
       .call = call_scatter_add},
      {.name = "one_hot",
       .doc = "1 at each label along a new last axis, 0 elsewhere; IndexError for one outside of 0 to num_classes - 1.",
       .params = {x, {"num_classes", Kind::integer}, {"dtype", Kind::dtype, "None"}},
       .call = call_one_hot},
      {.name = "nonzero",
       .doc = "The positions of the nonzero elements, one index tensor per axis.",
       .params = {x},
       .call_many = call_nonzero},
  };
}

}  // namespace steep
