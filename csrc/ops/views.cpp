// Ops that return a view of the same memory: reshape, permute, broadcast, slice. A reshape that cannot be a view
// copies. embed() is the adjoint of slice(): a tensor placed into zeros.
#include <algorithm>

#include "core/iterate.h"
#include "ops/elementwise.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "graph/slices.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;
const Param x{"x", Kind::tensor, required, "a tensor"};
constexpr const char* bad_axis = "IndexError: if x has no such axis.";

// Attributes of reshape and broadcast_to, permute_dims, and embed, whose shape is that of the result.
struct Shape {
  Ints shape;
  STEEP_ATTRIBUTES(shape)
};
struct Order {
  Ints axes;
  STEEP_ATTRIBUTES(axes)
};
struct Embed {
  Ints start, step, shape;
  STEEP_ATTRIBUTES(start, step, shape)
};

// Strides that walk t's elements in the new shape without moving them, or false.
bool view_strides(T t, const Dims& shape, Dims& strides) {
  strides = contiguous_strides(shape);
  if (t.contiguous() || t.size() == 0) return true;
  int from = 0, to = 0;
  while (from < t.ndim() && to < shape.size()) {
    const int first_from = from, first_to = to;
    std::int64_t have = t.dim(from++), want = shape[to++];
    while (have != want) (have < want) ? have *= t.dim(from++) : want *= shape[to++];
    std::int64_t step = t.strides()[from - 1], next = step * t.dim(from - 1);
    for (int d = from - 1; d-- > first_from;) {
      if (t.dim(d) == 1) continue;  // its stride is arbitrary
      if (t.strides()[d] != next) return false;
      next *= t.dim(d);
    }
    for (int d = to; d-- > first_to;) {
      strides[d] = step;
      step *= shape[d];
    }
  }
  return true;
}

void infer_reshape(Call& c) {
  const Dims shape = c.attrs.as<Shape>().shape.dims();
  Dims strides;
  const bool fits = view_strides(c.in[0], shape, strides);
  if (!fits) fail<ValueError>("reshape: ", c.in[0], " cannot be a view of shape ", shape, "; copy it first");
  c.out = view(c.in[0], shape, strides, c.in[0]->offset);
}

void infer_permute(Call& c) {
  Dims shape, strides;
  for (auto axis : c.attrs.as<Order>().axes) {
    shape.push(c.in[0].dim(static_cast<int>(axis)));
    strides.push(c.in[0].strides()[static_cast<int>(axis)]);
  }
  c.out = view(c.in[0], shape, strides, c.in[0]->offset);
}

void infer_broadcast_to(Call& c) {
  T t = c.in[0];
  const Dims shape = c.attrs.as<Shape>().shape.dims();
  const int lead = shape.size() - t.ndim();
  Dims strides = Dims::filled(shape.size(), 0);
  bool fits = lead >= 0;
  for (int d = 0; fits && d < t.ndim(); ++d) {
    fits = t.dim(d) == shape[lead + d] || t.dim(d) == 1;
    strides[lead + d] = t.dim(d) == 1 && shape[lead + d] != 1 ? 0 : t.strides()[d];
  }
  if (!fits) fail<ValueError>("broadcast_to: ", t, " does not broadcast to ", shape, "; each size must match or be 1");
  c.out = view(t, shape, strides, t->offset);
}

Tensor slice_view(T t, Ints start, Ints step, const Dims& size) {
  Dims strides;
  std::int64_t offset = t->offset;
  for (int d = 0; d < t.ndim(); ++d) {
    if (size[d] > 0) offset += start[d] * t.strides()[d];
    strides.push(size[d] > 1 ? step[d] * t.strides()[d] : t.strides()[d]);
  }
  return view(t, size, strides, offset);
}
void infer_slice(Call& c) {
  const auto a = c.attrs.as<Slice>();
  c.out = slice_view(c.in[0], a.start, a.step, a.size.dims());
}
void infer_embed(Call& c) { c.out = empty(c.attrs.as<Embed>().shape.dims(), c.in[0].dtype()); }
void compute_embed(const Call& c) {
  const auto a = c.attrs.as<Embed>();
  fill_zero(c.out);
  copy_strided(slice_view(c.out, a.start, a.step, c.in[0].shape()), c.in[0]);
}
Tensor slice_rule(R r, T g) {
  const auto a = r.attrs().as<Slice>();
  return embed(g, a.start.dims(), a.step.dims(), r.shape(0));
}
Tensor embed_rule(R r, T g) {
  const auto a = r.attrs().as<Embed>();
  return slice(g, a.start.dims(), a.step.dims(), r.shape(0));
}

Tensor permute_rule(R r, T g) {
  const Ints order = r.attrs().as<Order>().axes;
  Dims back = Dims::filled(order.size(), 0);
  for (int i = 0; i < order.size(); ++i) back[static_cast<int>(order[i])] = i;
  return permute_dims(g, back);
}

// A requested shape with its -1 replaced.
Dims resolve(T t, Dims shape) {
  int unknown = -1;
  std::int64_t known = 1;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] >= 0) known = checked_mul(known, shape[d]);
    else if (shape[d] == -1 && unknown < 0) unknown = d;
    else fail<ValueError>("reshape: ", shape, " has a size below 0; one -1 stands for the size that fits");
  }
  if (unknown >= 0 && known > 0 && t.size() % known == 0) shape[unknown] = t.size() / known;
  if ((unknown >= 0 && shape[unknown] < 0) || numel(shape) != t.size())
    fail<ValueError>("reshape: ", t, " has ", t.size(), " elements and cannot take the shape ", shape);
  return shape;
}

Tensor call_reshape(const Op& op, T t, const Arg& shape, std::optional<bool> copied) {
  const Tensor y = reshape(t, resolve(t, shape.dims()));
  const bool shared = y->storage.get() == t->storage.get();
  if (copied && !*copied && !shared)
    fail<ValueError>(op.name, ": ", t, " with strides ", t.strides(), " has no view of shape ", y.shape(),
                     "; leave out copy=False");
  return copied.value_or(false) && shared ? copy(y) : y;
}
Tensor call_permute(const Op& op, T t, const Arg& axes) {
  Dims order;
  unsigned seen = 0;
  for (auto v : axes.ints) {
    order.push(normalize_axis(v, t.ndim(), op.name));
    seen |= 1u << order.back();
  }
  if (order.size() != t.ndim() || seen != all_axes(t))
    fail<ValueError>(op.name, ": the axes ", axes.dims(), " must name each of the ", t.ndim(), " axes of ", t, " once");
  return permute_dims(t, order);
}
Tensor call_squeeze(const Op& op, T t, const Arg& axis) {
  unsigned axes = 0;
  if (axis.given) axes = parse_axes(axis, t, op.name);
  for (int d = 0; d < t.ndim(); ++d) {
    if (!axis.given && t.dim(d) == 1) axes |= 1u << d;
    if (axes >> d & 1 && t.dim(d) != 1)
      fail<ValueError>(op.name, ": axis ", d, " of ", t, " has size ", t.dim(d), ", and only size 1 can be squeezed");
  }
  return squeeze_axes(t, axes);
}
Tensor call_expand(const Op& op, Tensor t, const Arg& axis) {
  const int ndim = t.ndim() + static_cast<int>(axis.ints.size());
  if (ndim > max_dims) fail<ValueError>(op.name, ": a tensor has at most ", max_dims, " dimensions");
  Dims at;
  for (auto v : axis.ints) at.push(normalize_axis(v, ndim, op.name));
  for (int d = 0; d < ndim; ++d)
    if (std::find(at.begin(), at.end(), d) != at.end()) t = expand_dims(t, d);
  if (t.ndim() != ndim) fail<ValueError>(op.name, ": the axes ", axis.dims(), " name one axis twice");
  return t;
}
// The named axes go to the given positions, the others fill the remaining positions in order.
Tensor call_moveaxis(const Op& op, T t, const Arg& source, const Arg& destination) {
  const auto &from = source.ints, &to = destination.ints;
  if (from.size() != to.size())
    fail<ValueError>(op.name, ": ", from.size(), " axes for ", to.size(), " places; name a place for each axis");
  const unsigned moved = parse_axes(source, t, op.name), taken = parse_axes(destination, t, op.name);
  Dims order = Dims::filled(t.ndim(), -1);
  for (std::size_t i = 0; i < from.size(); ++i)
    order[normalize_axis(to[i], t.ndim(), op.name)] = normalize_axis(from[i], t.ndim(), op.name);
  for (int d = 0, place = 0; d < t.ndim(); ++d) {
    if (moved >> d & 1) continue;
    while (taken >> place & 1) ++place;
    order[place++] = d;
  }
  return permute_dims(t, order);
}
Tensor call_swapaxes(const Op& op, T t, std::int64_t axis1, std::int64_t axis2) {
  Dims order;
  for (int d = 0; d < t.ndim(); ++d) order.push(d);
  std::swap(order[normalize_axis(axis1, t.ndim(), op.name)], order[normalize_axis(axis2, t.ndim(), op.name)]);
  return permute_dims(t, order);
}
Tensor call_transpose(const Op& op, T x) {
  if (x.ndim() < 2) fail<ValueError>(op.name, ": ", x, " has fewer than two dimensions");
  return transpose_last(x);
}

Rows primitive_rows() {
  Rows rows{
      {.name = "reshape",
       .doc = "The same elements in another shape, in row-major order; one -1 is inferred. A view where it can be: "
              "copy=True always copies, copy=False raises ValueError where it must.",
       .returns = "A tensor of the given shape.",
       .raises = "ValueError: if the number of elements differs, or there is no view and copy=False.",
       .source = array_api,
       .example = ">>> sp.reshape(sp.arange(6), (2, -1))\n"
                  "tensor([[0, 1, 2],\n"
                  "        [3, 4, 5]], dtype=int64)",
       .params = {x,
                  {"shape", Kind::ints, required, "the new sizes; -1, once, for what fits"},
                  {"copy", Kind::flag, "None", "True to copy always, False never, None where there is no view", true}},
       .attrs = attributes<Shape>(),
       .call = call_reshape,
       .infer = infer_reshape,
       .vjp = {{[](R r, T g) { return reshape(g, r.shape(0)); }}},
       // A tangent may lie in memory in another order than the operand, and then has to be copied.
       .jvp_rule = [](R r, const Tensor* t) { return reshape(t[0], r.attrs().as<Shape>().shape.dims()); }},
      {.name = "permute_dims",
       .doc = "The axes in another order; a view.",
       .returns = "A tensor whose axis i is axis axes[i] of x.",
       .raises = "IndexError: if x has no such axis.\nValueError: if the axes do not name each axis of x once.",
       .source = array_api,
       .example = ">>> sp.permute_dims(sp.zeros((2, 3, 4)), (2, 0, 1)).shape\n"
                  "(4, 2, 3)",
       .params = {x, {"axes", Kind::ints, required, "the axis of x for each axis of the result"}},
       .attrs = attributes<Order>(),
       .call = call_permute,
       .infer = infer_permute,
       .vjp = {{permute_rule}}},
      {.name = "broadcast_to",
       .doc = "Repeated along axes of size 1, without a copy; a view.",
       .returns = "A tensor of the given shape; its repeated elements share memory.",
       .raises = "ValueError: if a size of x is neither 1 nor that of the shape.",
       .source = array_api,
       .example = ">>> sp.broadcast_to(sp.tensor([1, 2]), (2, 2))\n"
                  "tensor([[1, 2],\n"
                  "        [1, 2]], dtype=int64)",
       .params = {x, {"shape", Kind::ints, required, "the shape; axes that x lacks come first"}},
       .attrs = attributes<Shape>(),
       .call = [](const Op&, T x, const Arg& shape) { return broadcast_to(x, shape.dims()); },
       .infer = infer_broadcast_to,
       .vjp = {{[](R, T g) { return g; }}}},
      {.name = "copy",
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); },
       .compute = [](const Call& c) { copy_strided(c.out, c.in[0]); },
       .vjp = {{[](R, T g) { return g; }}},
       .loop = loop_of_cast,
       .any_dtype = true,
       .hidden = true,
       .copies = true},
      {.name = "slice", .attrs = attributes<Slice>(), .infer = infer_slice, .vjp = {{slice_rule}}, .hidden = true},
      {.name = "embed",
       .attrs = attributes<Embed>(),
       .infer = infer_embed,
       .compute = compute_embed,
       .vjp = {{embed_rule}},
       .any_dtype = true,
       .hidden = true},
  };
  for (Op& op : rows) op.jvp = op.jvp_rule ? Jvp::custom : Jvp::linear;
  return rows;
}

Rows axis_rows() {
  return {
      {.name = "squeeze",
       .doc = "Without the given axes of size 1 (all of them by default); a view.",
       .returns = "A tensor with fewer axes.",
       .raises = "IndexError: if x has no such axis.\nValueError: if the axis has another size than 1.",
       .source = array_api,
       .example = ">>> sp.squeeze(sp.zeros((1, 3, 1)), axis=0).shape\n"
                  "(3, 1)",
       .params = {x, {"axis", Kind::axes, "None", "the axes to remove; all of size 1 where None"}},
       .call = call_squeeze},
      {.name = "expand_dims",
       .doc = "With a new axis of size 1 at each given position; a view.",
       .returns = "A tensor with more axes.",
       .raises =
           "IndexError: if the result has no such axis.\nValueError: if an axis is given twice, or there are more "
           "than 8.",
       .source = array_api,
       .example = ">>> sp.expand_dims(sp.zeros((2, 3)), axis=(0, -1)).shape\n"
                  "(1, 2, 3, 1)",
       .params = {x, {"axis", Kind::ints, "0", "positions of the new axes in the result, negative ones from its end"}},
       .call = call_expand},
      {.name = "moveaxis",
       .doc = "One axis, or several, moved; the others keep their order. A view.",
       .returns = "A tensor with the same axes in another order.",
       .raises = "IndexError: if x has no such axis.\nValueError: if an axis is given twice, or there are not as many "
                 "destinations as sources.",
       .source = array_api,
       .example = ">>> sp.moveaxis(sp.zeros((2, 3, 4)), 0, -1).shape\n"
                  "(3, 4, 2)",
       .params = {x,
                  {"source", Kind::axes, required, "the axes to move"},
                  {"destination", Kind::axes, required, "where each goes, as a position in the result"}},
       .call = call_moveaxis},
      {.name = "swapaxes",
       .doc = "Two axes exchanged; a view.",
       .returns = "A tensor with the two axes exchanged.",
       .raises = bad_axis,
       .source = like_numpy,
       .example = ">>> sp.swapaxes(sp.zeros((2, 3, 4)), 0, 2).shape\n"
                  "(4, 3, 2)",
       .params = {x,
                  {"axis1", Kind::integer, required, "an axis"},
                  {"axis2", Kind::integer, required, "the axis to exchange it with"}},
       .call = call_swapaxes},
      {.name = "matrix_transpose",
       .doc = "The last two axes exchanged; a view.",
       .returns = "A tensor of matrices, each transposed.",
       .raises = "ValueError: if x has fewer than two axes.",
       .source = array_api,
       .example = ">>> sp.matrix_transpose(sp.tensor([[1, 2], [3, 4]]))\n"
                  "tensor([[1, 3],\n"
                  "        [2, 4]], dtype=int64)",
       .params = {x},
       .call = call_transpose},
  };
}

Rows flip_rows() {
  return {
      {.name = "flip",
       .doc = "The order of elements reversed along the axes (all by default); a view.",
       .returns = "A tensor of x's shape.",
       .raises = "IndexError: if x has no such axis.\nValueError: if an axis is given twice.",
       .source = array_api,
       .example = ">>> sp.flip(sp.tensor([[1, 2], [3, 4]]), axis=1)\n"
                  "tensor([[2, 1],\n"
                  "        [4, 3]], dtype=int64)",
       .params = {x, {"axis", Kind::axes, "None", "the axes to reverse; all where None"}},
       .call = [](const Op& op, T x, const Arg& axis) { return flip(x, parse_axes(axis, x, op.name)); }},
      {.name = "flatten",
       .doc = "All axes from start_axis on flattened into one; a view where it can be.",
       .returns = "A tensor with start_axis + 1 axes.",
       .raises = bad_axis,
       .source = like_torch,
       .example = ">>> sp.flatten(sp.zeros((2, 3, 4)), start_axis=1).shape\n"
                  "(2, 12)",
       .params = {x, {"start_axis", Kind::integer, "0", "the first axis to flatten: 1 keeps a batch"}},
       .call =
           [](const Op& op, T t, std::int64_t start_axis) {
             if (t.ndim() == 0) return reshape(t, {1});
             Dims shape = t.shape();
             shape.resize(normalize_axis(start_axis, t.ndim(), op.name));
             std::int64_t rest = 1;
             for (int d = shape.size(); d < t.ndim(); ++d) rest *= t.dim(d);
             shape.push(rest);
             return reshape(t, shape);
           }},
  };
}

}  // namespace

Tensor reshape(T t, const Dims& shape) {
  static const Op& op = find_op("reshape");
  Dims strides;
  if (t.shape() == shape) return t;
  return apply(op, {view_strides(t, shape, strides) ? t : copy(t)}, Shape{shape});
}
Tensor copy(T t) {
  static const Op& op = find_op("copy");
  return apply(op, &t, 1);
}
Tensor permute_dims(T t, const Dims& order) {
  static const Op& op = find_op("permute_dims");
  return apply(op, &t, 1, Order{order});
}
Tensor moveaxis(T t, int from, int to) {
  Dims order;
  for (int d = 0; d < t.ndim(); ++d)
    if (d != from) order.push(d);
  order.insert(to, from);
  return permute_dims(t, order);
}
bool is_transposed(const Node* n) {
  static const Op& permute = find_op("permute_dims");
  if (!n || n->op != &permute || n->ndim < 2) return false;
  const int last = n->ndim - 1;
  const Ints order = n->attrs.as<Order>().axes;
  for (int d = 0; d < last - 1; ++d)
    if (order[d] != d) return false;
  return order[last] == last - 1;
}
Tensor transpose_last(T t) { return moveaxis(t, t.ndim() - 1, t.ndim() - 2); }
Tensor expand_dims(T t, int axis) {
  Dims shape = t.shape();
  shape.insert(axis, 1);
  return reshape(t, shape);
}
Tensor squeeze_axes(T t, unsigned axes) {
  Dims shape;
  for (int d = 0; d < t.ndim(); ++d)
    if (!(axes >> d & 1)) shape.push(t.dim(d));
  return reshape(t, shape);
}
Tensor keep_axes(T t, unsigned axes, const Dims& full) {
  Dims shape;
  for (int d = 0; d < full.size(); ++d) shape.push(axes >> d & 1 ? 1 : full[d]);
  return reshape(t, shape);
}
Tensor broadcast_to(T t, const Dims& shape) {
  static const Op& op = find_op("broadcast_to");
  return t.shape() == shape ? t : apply(op, &t, 1, Shape{shape});
}
Tensor slice(T t, const Dims& start, const Dims& step, const Dims& size) {
  static const Op& op = find_op("slice");
  return apply(op, &t, 1, Slice{start, step, size});
}
Tensor embed(T t, const Dims& start, const Dims& step, const Dims& full) {
  static const Op& op = find_op("embed");
  return apply(op, &t, 1, Embed{start, step, full});
}
Tensor narrow(T t, int axis, std::int64_t start, std::int64_t size) {
  Dims from = Dims::filled(t.ndim(), 0), sizes = t.shape();
  from[axis] = start;
  sizes[axis] = size;
  return slice(t, from, Dims::filled(t.ndim(), 1), sizes);
}
Tensor flip(T t, unsigned axes) {
  Dims start = Dims::filled(t.ndim(), 0), step = Dims::filled(t.ndim(), 1);
  for (int d = 0; d < t.ndim(); ++d)
    if (axes >> d & 1) start[d] = t.dim(d) - 1, step[d] = -1;
  return slice(t, start, step, t.shape());
}

Rows view_rows() { return joined({primitive_rows, axis_rows, flip_rows}); }

}  // namespace steep
