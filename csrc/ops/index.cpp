// Indexing by integer tensors. Everything comes down to two primitives that are each other's adjoint: take_rows reads
// rows by index, add_rows adds rows into zeros by index, in the order given. Bounds are checked before anything is
// written. Start reading at the two computes.
#include "ops/index.h"

#include <cstring>
#include <limits>

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
const Param x{"x", Kind::tensor, required, "a tensor"};
constexpr const char* out_of_range =
    "IndexError: if x has no such axis, or an index is out of range.\n"
    "TypeError: if the indices are not integers.";

std::int64_t row_size(T t) {
  std::int64_t n = 1;
  for (int d = 1; d < t.ndim(); ++d) n *= t.dim(d);
  return n;
}

// Positions along an axis of n elements, negative ones counted from its end: all are checked before any is read.
class Positions {
 public:
  Positions(T index, std::int64_t n, std::string_view op, std::int64_t axis = -1, bool labels = false)
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
  [[noreturn]] void refuse(std::string_view op, std::int64_t axis, std::int64_t v) const {
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
template <class E> void take_elements(const Call& c, T from, const Positions& at) {
  const E* x = from.data<E>();
  E* out = c.out.data<E>();
  serial_for(at.size(), stretch, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) out[i] = x[at[i]];
  });
}
// Rows where they lie in a strided operand: of another axis than the first, say.
void take_strided(const Call& c, T from, const Positions& at) {
  const std::int64_t n = row_size(from), item = size_of(from.dtype());
  Dims shape, strides;
  for (int d = 1; d < from.ndim(); ++d) shape.push(from.dim(d)), strides.push(from.strides()[d]);
  merge_dims(shape, strides);
  serial_for(at.size(), stretch_of(n), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i)
      gather(c.out.bytes() + i * n * item, from.bytes() + at[i] * from.strides()[0] * item, item, shape, strides, 0, n);
  });
}
// Whether that is less work than a copy of the operand: unless single elements far apart are read again and again.
bool is_strided(T from, const Positions& at) {
  const bool pieces = from.ndim() > 1 && from.strides()[from.ndim() - 1] == 1;
  return !from.contiguous() && from.ndim() > 1 && row_size(from) > 0 && (pieces || 2 * at.size() < from.dim(0));
}
void compute_take(const Call& c) {
  const Positions at(c.in[1], c.in[0].dim(0), "take");
  if (is_strided(c.in[0], at)) return take_strided(c, c.in[0], at);
  const Tensor from = contiguous(c.in[0]);
  const std::int64_t bytes = row_size(from) * size_of(from.dtype());
  if (bytes == 4) return take_elements<std::uint32_t>(c, from, at);
  if (bytes == 8) return take_elements<std::uint64_t>(c, from, at);
  serial_for(at.size(), stretch_of(bytes / 4), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i)
      std::memcpy(c.out.bytes() + i * bytes, from.bytes() + at[i] * bytes, static_cast<std::size_t>(bytes));
  });
}

struct AddRows {
  std::int64_t rows = 0;  // of the result
  STEEP_ATTRIBUTES(rows)
};
void infer_add_rows(Call& c) {
  Dims shape{c.attrs.as<AddRows>().rows};
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
  const Positions at(c.in[1], c.out.dim(0), "scatter_add");
  fill_zero(c.out);
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

Tensor as_index(T t, std::string_view op) {
  if (!is_integer(t.dtype())) fail<TypeError>(op, ": indices must be integers, and these are ", t);
  return astype(t, Int64);
}

struct WrapIndex {
  std::int64_t size = 0;   // of the axis
  std::int64_t axis = -1;  // -1: not known
  std::string_view op;     // named in errors
  bool labels = false;     // none may be negative
  STEEP_ATTRIBUTES(size, axis, op, labels)
};
void compute_wrap(const Call& c) {
  const auto a = c.attrs.as<WrapIndex>();
  const Positions at(c.in[0], a.size, a.op, a.axis, a.labels);
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

Tensor call_take(const Op& op, T x, T indices, std::optional<std::int64_t> axis) {
  const Tensor index = as_index(indices, op.name);
  if (!axis) return take_rows(reshape(x, {x.size()}), index);
  return take(x, index, normalize_axis(*axis, x.ndim(), op.name));
}
// The index broadcast against x on every axis but one.
Tensor aligned_index(const Op& op, T t, T index, int axis) {
  if (index.ndim() != t.ndim()) fail<ValueError>(op.name, ": indices ", index, " must have as many dimensions as ", t);
  Dims shape = t.shape();
  shape[axis] = index.dim(axis);
  return broadcast_to(as_index(index, op.name), shape);
}
Tensor call_take_along(const Op& op, T x, T indices, std::int64_t axis) {
  const int at = normalize_axis(axis, x.ndim(), op.name);
  return take_along_axis(x, aligned_index(op, x, indices, at), at);
}
Tensor call_scatter_add(const Op& op, T t, T indices, T updates, std::int64_t axis) {
  const int at = normalize_axis(axis, t.ndim(), op.name);
  const Tensor index = as_index(indices, op.name);
  if (index.ndim() != t.ndim()) fail<ValueError>(op.name, ": indices ", index, " must have as many dimensions as ", t);
  for (int d = 0; d < t.ndim(); ++d)
    if (d != at && index.dim(d) > t.dim(d))
      fail<IndexError>(op.name, ": indices ", index, " reach beyond ", t, " on axis ", d);
  const Tensor flat = flat_positions(t.shape(), index, at, op.name);
  const Tensor values = broadcast_to(astype(updates, t.dtype()), index.shape());
  const Tensor added = add_rows(reshape(values, {values.size()}), reshape(flat, {flat.size()}), t.size());
  return add(t, reshape(added, t.shape()));
}
Tensor checked_labels(T labels, std::int64_t classes, std::string_view op) {
  return apply(find_op("wrap_index"), {as_index(labels, op)}, WrapIndex{.size = classes, .op = op, .labels = true});
}
std::int64_t count_true(const bool* flags, std::int64_t n) {
  std::int64_t count = 0;
  serial_for(n, stretch, [&](std::int64_t b, std::int64_t e) {
    std::int32_t some = 0;
    for (std::int64_t i = b; i < e; ++i) some += flags[i];
    count += some;
  });
  return count;
}
// Appends the places in [b, e) whose flag is set to the `found` of `count` listed so far. Flags that nobody can predict
// cost no branch: every place is written, and stays if its flag is set. Eight unset flags are skipped at once.
std::int64_t list_true(const bool* flags, std::int64_t b, std::int64_t e, std::int64_t* at, std::int64_t found,
                       std::int64_t count) {
  for (std::int64_t i = b; i < e && found < count;) {
    std::uint64_t eight = 1;
    if (i + 8 <= e) std::memcpy(&eight, flags + i, 8);
    const std::int64_t end = eight ? std::min(i + 8, e) : i;
    if (!eight) i += 8;
    for (; i < end && found < count; ++i) {
      at[found] = i;
      found += flags[i];
    }
  }
  return found;
}
Tensor call_one_hot(const Op& op, T x, std::int64_t num_classes, std::optional<DType> dtype) {
  if (num_classes < 1) fail<ValueError>(op.name, ": num_classes must be at least 1, and is ", num_classes);
  // Comparisons of 32 bits are twice as fast.
  const DType type = num_classes <= std::numeric_limits<std::int32_t>::max() ? Int32 : Int64;
  const Tensor index = astype(checked_labels(x, num_classes, op.name), type);
  return astype(equal(expand_dims(index, index.ndim()), arange(0, num_classes, 1, type)), dtype.value_or(Float32));
}
std::vector<Tensor> call_nonzero(const Op& op, T t) {
  if (t.ndim() == 0) fail<ValueError>(op.name, ": ", t, " is 0-d and has no positions; reshape it to (1,)");
  std::vector<Tensor> axes;
  const Tensor flat = nonzero_flat(t);
  for (int d = 0; d < t.ndim(); ++d) {
    const Tensor by = full_int({}, contiguous_strides(t.shape())[d], Int64), n = full_int({}, t.dim(d), Int64);
    const Tensor row = d + 1 < t.ndim() ? binary(k::Kernel::floor_divide, flat, by) : flat;
    axes.push_back(d > 0 ? remainder(row, n) : row);
  }
  return axes;
}

}  // namespace

Tensor wrap_index(T index, std::int64_t n, const char* op, int axis) {
  static const Op& row = find_op("wrap_index");
  return apply(row, {index}, WrapIndex{.size = n, .axis = axis, .op = op});
}
Tensor take_rows(T t, T index) {
  static const Op& op = find_op("take_rows");
  return apply(op, {t, index});
}
Tensor add_rows(T updates, T index, std::int64_t rows) {
  static const Op& op = find_op("add_rows");
  return apply(op, {updates, index}, AddRows{rows});
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
  const std::int64_t n = flags.size(), count = count_true(flags.data<bool>(), n);
  const Tensor t = empty({count}, Int64);
  std::int64_t found = 0;
  serial_for(n, stretch, [&](std::int64_t b, std::int64_t e) {
    found = list_true(flags.data<bool>(), b, e, t.data<std::int64_t>(), found, count);
  });
  return t;
}

namespace {

Rows primitive_rows() {
  return {
      {.name = "take_rows",
       .infer = infer_take,
       .compute = compute_take,
       .vjp = {{[](R r, T g) { return add_rows(g, r.in(1), r.shape(0)[0]); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return take_rows(t[0], r.in(1)); },
       .any_dtype = true,
       .hidden = true,
       .may_raise = true},
      {.name = "add_rows",
       .attrs = attributes<AddRows>(),
       .infer = infer_add_rows,
       .compute = compute_add_rows,
       .vjp = {{[](R r, T g) { return take_rows(g, r.in(1)); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return add_rows(t[0], r.in(1), r.attrs().as<AddRows>().rows); },
       .hidden = true,
       .may_raise = true},
      {.name = "wrap_index",
       .attrs = attributes<WrapIndex>(),
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); },
       .compute = compute_wrap,
       .hidden = true,
       .may_raise = true},
      {.name = "write_elements",
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); },
       .compute = compute_write_elements,
       .hidden = true},
      {.name = "_checked_labels",
       .doc = "Labels as int64; IndexError, when they are read, for one outside of 0 to num_classes - 1.",
       .params = {{"labels", Kind::tensor, required, "integers"},
                  {"num_classes", Kind::integer, required, "the number of classes"},
                  {"op", Kind::text, required, "the function that errors name"}},
       .call = [](const Op&, T labels, std::int64_t classes,
                  const std::string& op) { return checked_labels(labels, classes, op); },
       .hidden = true,
       .discrete = true},
  };
}

Rows function_rows() {
  return {
      {.name = "take",
       .doc = "Elements by index along an axis; of the flattened tensor if axis is None.",
       .returns = "A tensor with the axes of indices in place of the axis.",
       .raises = out_of_range,
       .source = array_api,
       .example = ">>> sp.take(sp.tensor([[1, 2], [3, 4]]), sp.tensor([1, 0]), axis=1)\n"
                  "tensor([[2, 1],\n"
                  "        [4, 3]], dtype=int64)",
       .params = {x,
                  {"indices", Kind::index, required, "integers of any shape; negative ones count from the end"},
                  {"axis", Kind::optional_integer, "None", "the axis to read along"}},
       .call = call_take},
      {.name = "take_along_axis",
       .doc = "Elements by index along an axis, with a different index at every other position.",
       .returns = "A tensor of the shape of indices, broadcast against x on the other axes.",
       .raises = "IndexError: if x has no such axis, or an index is out of range.\nTypeError: if the indices are not "
                 "integers.\nValueError: if they have another number of axes than x.",
       .source = array_api,
       .example = ">>> sp.take_along_axis(sp.tensor([[1, 2], [3, 4]]), sp.tensor([[1], [0]]), axis=1)\n"
                  "tensor([[2],\n"
                  "        [3]], dtype=int64)",
       .params = {x,
                  {"indices", Kind::index, required,
                   "integers with as many axes as x; negative ones count from the end"},
                  {"axis", Kind::integer, "-1", "the axis to read along"}},
       .call = call_take_along},
      {.name = "scatter_add",
       .doc = "x with updates added at the indexed positions of an axis, in order, so that equal indices accumulate.",
       .returns = "A tensor of x's shape and dtype.",
       .raises =
           "IndexError: if an index is out of range, or indices are longer than x on another axis.\nTypeError: if "
           "they are not integers.\nValueError: if they have another number of axes than x.",
       .source = "PyTorch's Tensor.scatter_add, pytorch.org/docs.",
       .example = ">>> sp.scatter_add(sp.zeros(3), sp.tensor([0, 2, 2]), sp.tensor([1.0, 2.0, 3.0]))\n"
                  "tensor([1., 0., 5.], dtype=float32)",
       .params = {x,
                  {"indices", Kind::index, required,
                   "integers with as many axes as x; negative ones count from the end"},
                  {"updates", Kind::tensor, required, "what is added; broadcast to the shape of indices"},
                  {"axis", Kind::integer, "0", "the axis that the indices are positions of"}},
       .call = call_scatter_add},
      {.name = "one_hot",
       .doc = "1 at each label along a new last axis, 0 elsewhere; IndexError for one outside of 0 to num_classes - 1.",
       .returns = "A tensor with one axis more, of size num_classes.",
       .raises = "IndexError: for a label below 0 or not below num_classes.\nTypeError: if the labels are not integers."
                 "\nValueError: if num_classes is below 1.",
       .source = "PyTorch's torch.nn.functional.one_hot, pytorch.org/docs.",
       .example = ">>> sp.one_hot(sp.tensor([1, 0]), 3)\n"
                  "tensor([[0., 1., 0.],\n"
                  "        [1., 0., 0.]], dtype=float32)",
       .params = {{"x", Kind::tensor, required, "integer labels of any shape"},
                  {"num_classes", Kind::integer, required, "the number of classes"},
                  {"dtype", Kind::dtype, "None", "dtype of the result; float32 where None"}},
       .call = call_one_hot,
       .discrete = true},
      {.name = "nonzero",
       .doc = "The positions of the nonzero elements, one index tensor per axis, in row-major order.",
       .returns = "A tuple of int64 tensors, which is an index of x.",
       .raises =
           "CompileError: inside a compiled function, since the shape depends on values.\nValueError: if x has no "
           "axes.",
       .source = array_api,
       .example = ">>> sp.nonzero(sp.tensor([[0, 3], [1, 0]]))\n"
                  "(tensor([0, 1], dtype=int64), tensor([1, 0], dtype=int64))",
       .params = {x},
       .call_many = call_nonzero,
       .discrete = true},
  };
}

}  // namespace

Rows index_rows() { return joined({primitive_rows, function_rows}); }

}  // namespace steep
