// Ops that return a view of the same memory: reshape, permute, broadcast, slice. A reshape that cannot be a view
// copies. embed() is the adjoint of slice(): a tensor placed into zeros.
#include <algorithm>
#include <cstring>

#include "core/iterate.h"
#include "ops/elementwise.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;
const Param x{"x", Kind::tensor};

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
  const Dims shape = c.attrs.dims();
  Dims strides;
  const bool fits = view_strides(c.in[0], shape, strides);
  if (!fits) fail<ValueError>("reshape: ", c.in[0], " cannot be a view of shape ", shape, "; copy it first");
  c.out = view(c.in[0], shape, strides, c.in[0]->offset);
}

void infer_permute(Call& c) {
  Dims shape, strides;
  for (int i = 0; i < c.attrs.size(); ++i) {
    shape.push(c.in[0].dim(static_cast<int>(c.attrs[i])));
    strides.push(c.in[0].strides()[static_cast<int>(c.attrs[i])]);
  }
  c.out = view(c.in[0], shape, strides, c.in[0]->offset);
}

void infer_broadcast_to(Call& c) {
  T t = c.in[0];
  const Dims shape = c.attrs.dims();
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

// Attributes of slice: ndim starts, ndim steps, ndim sizes. Of embed: ndim starts, ndim steps, ndim full sizes.
void infer_slice(Call& c) {
  T t = c.in[0];
  const int n = t.ndim();
  Dims shape = c.attrs.dims(2 * n, n), strides;
  std::int64_t offset = t->offset;
  for (int d = 0; d < n; ++d) {
    if (shape[d] > 0) offset += c.attrs[d] * t.strides()[d];
    strides.push(shape[d] > 1 ? c.attrs[n + d] * t.strides()[d] : t.strides()[d]);
  }
  c.out = view(t, shape, strides, offset);
}
AttrsRef three(const Dims& a, const Dims& b, const Dims& c) {
  std::int64_t v[3 * max_dims];
  std::copy(a.begin(), a.end(), v);
  std::copy(b.begin(), b.end(), v + a.size());
  std::copy(c.begin(), c.end(), v + 2 * a.size());
  return {v, static_cast<std::size_t>(3 * a.size())};
}
void infer_embed(Call& c) {
  const int n = c.in[0].ndim();
  c.out = empty(c.attrs.dims(2 * n, n), c.in[0].dtype());
}
void compute_embed(const Call& c) {
  const int n = c.in[0].ndim();
  std::memset(c.out.bytes(), 0, static_cast<std::size_t>(c.out.size() * size_of(c.out.dtype())));
  const AttrsRef where = three(c.attrs.dims(0, n), c.attrs.dims(n, n), c.in[0].shape());
  Call part{c.op, &c.out, 1, where, {}};
  infer_slice(part);
  copy_strided(part.out, c.in[0]);
}

Dims inverse(const AttrsRef& order) {
  Dims back = Dims::filled(order.size(), 0);
  for (int i = 0; i < order.size(); ++i) back[static_cast<int>(order[i])] = i;
  return back;
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

Tensor call_reshape(const Op& op, Args& a) {
  T t = a[0].tensor;
  const Tensor y = reshape(t, resolve(t, a[1].dims()));
  const bool shared = y->storage.get() == t->storage.get();
  if (a[2].given && !a[2].flag() && !shared)
    fail<ValueError>(op.name, ": ", t, " with strides ", t.strides(), " has no view of shape ", y.shape(),
                     "; leave out copy=False");
  return a[2].flag() && shared ? copy(y) : y;
}
Tensor call_permute(const Op& op, Args& a) {
  T t = a[0].tensor;
  Dims order;
  unsigned seen = 0;
  for (auto v : a[1].ints) {
    order.push(normalize_axis(v, t.ndim(), op.name));
    seen |= 1u << order.back();
  }
  if (order.size() != t.ndim() || seen != all_axes(t))
    fail<ValueError>(op.name, ": the axes ", a[1].dims(), " must name each of the ", t.ndim(), " axes of ", t, " once");
  return permute_dims(t, order);
}
Tensor call_squeeze(const Op& op, Args& a) {
  T t = a[0].tensor;
  unsigned axes = 0;
  if (a[1].given) axes = parse_axes(a[1], t, op.name);
  for (int d = 0; d < t.ndim(); ++d) {
    if (!a[1].given && t.dim(d) == 1) axes |= 1u << d;
    if (axes >> d & 1 && t.dim(d) != 1)
      fail<ValueError>(op.name, ": axis ", d, " of ", t, " has size ", t.dim(d), ", and only size 1 can be squeezed");
  }
  return squeeze_axes(t, axes);
}
Tensor call_expand(const Op& op, Args& a) {
  Tensor t = a[0].tensor;
  const int ndim = t.ndim() + static_cast<int>(a[1].ints.size());
  if (ndim > max_dims) fail<ValueError>(op.name, ": a tensor has at most ", max_dims, " dimensions");
  Dims at;
  for (auto v : a[1].ints) at.push(normalize_axis(v, ndim, op.name));
  for (int d = 0; d < ndim; ++d)
    if (std::find(at.begin(), at.end(), d) != at.end()) t = expand_dims(t, d);
  if (t.ndim() != ndim) fail<ValueError>(op.name, ": the axes ", a[1].dims(), " name one axis twice");
  return t;
}
// The named axes go to the given positions, the others fill the remaining positions in order.
Tensor call_moveaxis(const Op& op, Args& a) {
  T t = a[0].tensor;
  const auto &from = a[1].ints, &to = a[2].ints;
  if (from.size() != to.size())
    fail<ValueError>(op.name, ": ", from.size(), " axes for ", to.size(), " places; name a place for each axis");
  const unsigned moved = parse_axes(a[1], t, op.name), taken = parse_axes(a[2], t, op.name);
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
Tensor call_swapaxes(const Op& op, Args& a) {
  T t = a[0].tensor;
  Dims order;
  for (int d = 0; d < t.ndim(); ++d) order.push(d);
  std::swap(order[normalize_axis(a[1].integer, t.ndim(), op.name)],
            order[normalize_axis(a[2].integer, t.ndim(), op.name)]);
  return permute_dims(t, order);
}
Tensor call_transpose(const Op& op, Args& a) {
  if (a[0].tensor.ndim() < 2) fail<ValueError>(op.name, ": ", a[0].tensor, " has fewer than two dimensions");
  return transpose_last(a[0].tensor);
}

Rows primitive_rows() {
  Rows rows{
      {.name = "reshape",
       .doc = "The same elements in another shape, in row-major order; one -1 is inferred. A view where it can be: "
              "copy=True always copies, copy=False raises ValueError where it must.",
       .params = {x, {"shape", Kind::ints}, {"copy", Kind::flag, "None", true}},
       .call = call_reshape,
       .infer = infer_reshape,
       .vjp = {{[](R r, T g) { return reshape(g, r.shape(0)); }}}},
      {.name = "permute_dims",
       .doc = "The axes in another order; a view.",
       .params = {x, {"axes", Kind::ints}},
       .call = call_permute,
       .infer = infer_permute,
       .vjp = {{[](R r, T g) { return permute_dims(g, inverse(r.attrs())); }}}},
      {.name = "broadcast_to",
       .doc = "Repeated along axes of size 1, without a copy; a view.",
       .params = {x, {"shape", Kind::ints}},
       .call = [](const Op&, Args& a) { return broadcast_to(a[0].tensor, a[1].dims()); },
       .infer = infer_broadcast_to,
       .vjp = {{[](R, T g) { return g; }}}},
      {.name = "copy",
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); },
       .compute = [](const Call& c) { copy_strided(c.out, c.in[0]); },
       .vjp = {{[](R, T g) { return g; }}},
       .loop = loop_of_cast,
       .any_dtype = true,
       .hidden = true},
      {.name = "slice",
       .infer = infer_slice,
       .vjp = {{[](R r, T g) {
         const int n = g.ndim();
         return embed(g, r.attrs().dims(0, n), r.attrs().dims(n, n), r.shape(0));
       }}},
       .hidden = true},
      {.name = "embed",
       .infer = infer_embed,
       .compute = compute_embed,
       .vjp = {{[](R r, T g) {
         const int n = g.ndim();
         return slice(g, r.attrs().dims(0, n), r.attrs().dims(n, n), r.shape(0));
       }}},
       .any_dtype = true,
       .hidden = true},
  };
  for (Op& op : rows) op.jvp = Jvp::linear;
  return rows;
}

Rows composite_rows() {
  return {
      {.name = "squeeze",
       .doc = "Without the given axes of size 1 (all of them by default).",
       .params = {x, {"axis", Kind::axes, "None"}},
       .call = call_squeeze},
      {.name = "expand_dims",
       .doc = "With a new axis of size 1 at each given position.",
       .params = {x, {"axis", Kind::ints, "0"}},
       .call = call_expand},
      {.name = "moveaxis",
       .doc = "One axis, or several, moved; the others keep their order.",
       .params = {x, {"source", Kind::axes}, {"destination", Kind::axes}},
       .call = call_moveaxis},
      {.name = "swapaxes",
       .doc = "Two axes exchanged.",
       .params = {x, {"axis1", Kind::integer}, {"axis2", Kind::integer}},
       .call = call_swapaxes},
      {.name = "matrix_transpose", .doc = "The last two axes exchanged.", .params = {x}, .call = call_transpose},
      {.name = "flip",
       .doc = "The order of elements reversed along the axes (all by default).",
       .params = {x, {"axis", Kind::axes, "None"}},
       .call = [](const Op& op, Args& a) { return flip(a[0].tensor, parse_axes(a[1], a[0].tensor, op.name)); }},
      {.name = "flatten",
       .doc = "All axes from start_axis on flattened into one.",
       .params = {x, {"start_axis", Kind::integer, "0"}},
       .call =
           [](const Op& op, Args& a) {
             T t = a[0].tensor;
             if (t.ndim() == 0) return reshape(t, {1});
             Dims shape = t.shape();
             shape.resize(normalize_axis(a[1].integer, t.ndim(), op.name));
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
  return apply(op, {view_strides(t, shape, strides) ? t : copy(t)}, AttrsRef(shape));
}
Tensor copy(T t) {
  static const Op& op = find_op("copy");
  return apply(op, &t, 1);
}
Tensor permute_dims(T t, const Dims& order) {
  static const Op& op = find_op("permute_dims");
  return apply(op, &t, 1, AttrsRef(order));
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
  for (int d = 0; d < last - 1; ++d)
    if (n->attrs[d] != d) return false;
  return n->attrs[last] == last - 1;
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
  return t.shape() == shape ? t : apply(op, &t, 1, AttrsRef(shape));
}
Tensor slice(T t, const Dims& start, const Dims& step, const Dims& size) {
  static const Op& op = find_op("slice");
  return apply(op, &t, 1, three(start, step, size));
}
Tensor embed(T t, const Dims& start, const Dims& step, const Dims& full) {
  static const Op& op = find_op("embed");
  return apply(op, &t, 1, three(start, step, full));
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

Rows view_rows() {
  Rows all = primitive_rows();
  for (Op& op : composite_rows()) all.push_back(std::move(op));
  return all;
}

}  // namespace steep
