// Convolution: three primitives over one, two or three spatial dimensions, each of whose gradients are the other two.
// conv reads images through a kernel, conv_input is its adjoint with respect to the image (and thus the transposed
// convolution), conv_weight its adjoint with respect to the kernel. Layouts: (N, C, spatial), kernels (O, C / groups,
// spatial).
#include "ops/conv.h"

#include <algorithm>

#include "graph/node.h"
#include "ops/functions.h"
#include "ops/precision.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

constexpr int max_spatial = 3, fixed_attrs = 3;

void require_float(const char* op, T x) {
  if (!is_float(x.dtype())) fail<TypeError>(op, ": needs floats, and got ", x, "; use astype(float32)");
}

// Both operands have the dimensions of the attributes; `layout` is the weight's, for the error.
void require_layout(const char* op, int n, T image, T weight, const char* layout) {
  require_float(op, image);
  if (image.ndim() != n + 2 || weight.ndim() != n + 2)
    fail<ValueError>(op, ": needs (N, C, ...) and a weight ", layout, " with ", n, " spatial dimensions each, and got ",
                     image, " and ", weight);
}
void require_bias(const char* op, T bias, std::int64_t outputs) {
  if (bias.ndim() != 1 || bias.dim(0) != outputs)
    fail<ValueError>(op, ": the bias ", bias, " must have shape (", outputs, ",), one for each output");
}
constexpr const char *weight_layout = "(O, C / groups, ...)", *transposed_layout = "(C, O / groups, ...)";

void infer_conv(Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  T x = c.in[0], weight = c.in[1];
  require_layout(c.op.name, g.n, x, weight, weight_layout);
  if (x.dim(1) != checked_mul(weight.dim(1), g.groups))
    fail<ValueError>(c.op.name, ": ", x, " has ", x.dim(1), " channels, and the weight ", weight,
                     " with groups=", g.groups, " reads ", weight.dim(1) * g.groups, "; weights are ", weight_layout);
  if (weight.dim(0) % g.groups)
    fail<ValueError>(c.op.name, ": the ", weight.dim(0), " outputs of the weight ", weight, " cannot be shared among ",
                     g.groups, " groups");
  if (c.count > 2) require_bias(c.op.name, c.in[2], weight.dim(0));
  Dims shape{x.dim(0), weight.dim(0)};
  for (int d = 0; d < g.n; ++d) {
    shape.push(g.outputs(d, x.dim(2 + d), weight.dim(2 + d)));
    if (shape.back() < 1)
      fail<ValueError>(c.op.name, ": the kernel of ", weight, " is longer than the padded input ", x, " in dimension ",
                       2 + d, " (padding ", g.begin[d], " + ", g.end[d], ", dilation ", g.dilation[d],
                       "); pad more or use a smaller kernel");
  }
  c.out = empty(shape, x.dtype());
}
void infer_conv_input(Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  T grad = c.in[0], weight = c.in[1];
  require_layout(c.op.name, g.n, grad, weight, transposed_layout);
  const Dims sizes = Geometry::sizes(c.attrs);
  if (grad.dim(1) != weight.dim(0) || weight.dim(0) % g.groups)
    fail<ValueError>(c.op.name, ": ", grad, " has ", grad.dim(1), " channels, and the weight ", weight, " takes ",
                     weight.dim(0), " in ", g.groups, " groups; weights are ", transposed_layout);
  Dims shape{grad.dim(0), checked_mul(weight.dim(1), g.groups)};
  for (int d = 0; d < g.n; ++d) {
    shape.push(sizes[d]);
    if (g.outputs(d, sizes[d], weight.dim(2 + d)) != grad.dim(2 + d))
      fail<ValueError>(c.op.name, ": ", grad, " is not what a convolution of size ", sizes, " gives with ", weight);
  }
  c.out = empty(shape, grad.dtype());
}
void infer_conv_weight(Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  T x = c.in[0], grad = c.in[1];
  require_layout(c.op.name, g.n, x, grad, "(N, O, ...)");
  const Dims sizes = Geometry::sizes(c.attrs);
  Dims shape{grad.dim(1), x.dim(1) / g.groups};
  for (int d = 0; d < g.n; ++d) {
    shape.push(sizes[d]);
    if (g.outputs(d, x.dim(2 + d), sizes[d]) != grad.dim(2 + d))
      fail<ValueError>(c.op.name, ": ", grad, " is not what a kernel of size ", sizes, " gives from ", x);
  }
  if (x.dim(0) != grad.dim(0) || x.dim(1) % g.groups || grad.dim(1) % g.groups)
    fail<ValueError>(c.op.name, ": ", x, " and ", grad, " do not belong together in ", g.groups, " groups");
  c.out = empty(shape, x.dtype());
}

Tensor conv_input(T grad, T weight, const Geometry& g, const Dims& sizes) {
  static const Op& op = find_op("conv_input");
  return apply(op, {grad, weight}, g.attrs(sizes));
}
Tensor conv_weight(T x, T grad, const Geometry& g, const Dims& sizes) {
  static const Op& op = find_op("conv_weight");
  return apply(op, {x, grad}, g.attrs(sizes));
}
Tensor plus(T a, T b) { return !a ? b : b ? add(a, b) : a; }

// The sum over all but the channels, over contiguous rows first.
Tensor sum_channels(T g) {
  unsigned axes = 0;
  for (int d = 2; d < g.ndim(); ++d) axes |= 1u << d;
  return sum(sum(g, axes, false), 1, false);
}
// A bias in the shape of the output.
Tensor spread_bias(T bias, const Dims& shape) {
  Dims column = Dims::filled(shape.size() - 1, 1);
  column[0] = bias.dim(0);
  return broadcast_to(reshape(bias, column), shape);
}

Geometry of(R r) { return Geometry::from(r.attrs()); }

Tensor conv_jvp(R r, const Tensor* t) {
  const Geometry g = of(r);
  Tensor y;
  if (t[0]) y = conv(t[0], r.in(1), {}, g);
  if (t[1]) y = plus(y, conv(r.in(0), t[1], {}, g));
  return r.node.input_count > 2 && t[2] ? plus(y, spread_bias(t[2], r.node.shape())) : y;
}
Tensor conv_input_jvp(R r, const Tensor* t) {
  const Dims sizes = Geometry::sizes(r.attrs());
  const Tensor y = t[0] ? conv_input(t[0], r.in(1), of(r), sizes) : Tensor();
  return t[1] ? plus(y, conv_input(r.in(0), t[1], of(r), sizes)) : y;
}
Tensor conv_weight_jvp(R r, const Tensor* t) {
  const Dims sizes = Geometry::sizes(r.attrs());
  const Tensor y = t[0] ? conv_weight(t[0], r.in(1), of(r), sizes) : Tensor();
  return t[1] ? plus(y, conv_weight(r.in(0), t[1], of(r), sizes)) : y;
}

Rows primitive_rows() {
  return {
      {.name = "conv",
       .infer = infer_conv,
       .compute = compute_conv,
       .compute_parts = compute_conv_parts,
       .part_rows = 2,
       .promotes = Promote::floating,
       .vjp = {{[](R r, T g) { return conv_input(g, r.in(1), of(r), spatial(r.shape(0))); }, in1},
               {[](R r, T g) { return conv_weight(r.in(0), g, of(r), spatial(r.shape(1))); }, in0},
               {[](R, T g) { return sum_channels(g); }}},
       .jvp = Jvp::custom,
       .jvp_rule = conv_jvp,
       .hidden = true},
      {.name = "conv_input",
       .infer = infer_conv_input,
       .compute = compute_conv_input,
       .promotes = Promote::floating,
       .vjp = {{[](R r, T g) { return conv(g, r.in(1), {}, of(r)); }, in1},
               {[](R r, T g) { return conv_weight(g, r.in(0), of(r), spatial(r.shape(1))); }, in0}},
       .jvp = Jvp::custom,
       .jvp_rule = conv_input_jvp,
       .hidden = true},
      {.name = "conv_weight",
       .infer = infer_conv_weight,
       .compute = compute_conv_weight,
       .promotes = Promote::floating,
       .vjp = {{[](R r, T g) { return conv_input(r.in(1), g, of(r), spatial(r.shape(0))); }, in1},
               {[](R r, T g) { return conv(r.in(0), g, {}, of(r)); }, in0}},
       .jvp = Jvp::custom,
       .jvp_rule = conv_weight_jvp,
       .hidden = true},
  };
}

Geometry geometry(const Op& op, int n, const Arg& stride, const Arg& dilation, const Arg& groups) {
  Geometry g;
  g.n = n;
  g.stride = each_dimension(op.name, "stride", stride.dims(), n, 1);
  g.dilation = each_dimension(op.name, "dilation", dilation.dims(), n, 1);
  g.groups = groups.integer;
  if (g.groups < 1 || g.groups > INT32_MAX) fail<ValueError>(op.name, ": groups must be at least 1, and is ", g.groups);
  return g;
}
// Padding as one number, one per dimension, or (before, after) for each dimension.
void pad(const Op& op, Geometry& g, const Arg& padding) {
  const Dims given = padding.dims();
  if (given.size() == 2 * g.n && g.n > 1) {
    for (int d = 0; d < g.n; ++d) g.begin.push(given[2 * d]), g.end.push(given[2 * d + 1]);
  } else if (g.n == 1 && given.size() == 2) {
    g.begin = {given[0]};
    g.end = {given[1]};
  } else {
    g.begin = g.end = each_dimension(op.name, "padding", padding.dims(), g.n, 0);
  }
  for (int d = 0; d < g.n; ++d)
    if (g.begin[d] < 0 || g.end[d] < 0 || g.begin[d] > INT32_MAX || g.end[d] > INT32_MAX)
      fail<ValueError>(op.name, ": padding must be at least 0 and below 2**31, and is ", given);
}
// PyTorch's unbatched form, (C, ...), is a batch of one.
Tensor batched(T x, int n) { return x.ndim() == n + 1 ? expand_dims(x, 0) : x; }

template <int n> Tensor call_conv(const Op& op, Args& a) {
  Geometry g = geometry(op, n, a[3], a[5], a[6]);
  pad(op, g, a[4]);
  T x = a[0].tensor;
  const Tensor y = conv(batched(x, n), a[1].tensor, a[2].tensor, g);
  return x.ndim() == n + 1 ? squeeze_axes(y, 1) : y;
}

// The size that PyTorch gives a transposed convolution, as the input of the convolution it is the adjoint of: one whose
// padding ends `output_padding` earlier.
template <int n> Tensor call_transpose(const Op& op, Args& a) {
  Geometry g = geometry(op, n, a[3], a[7], a[6]);
  T x = a[0].tensor, weight = a[1].tensor;
  const Dims padding = each_dimension(op.name, "padding", a[4].dims(), n, 0),
             extra = each_dimension(op.name, "output_padding", a[5].dims(), n, 0);
  const Tensor in = batched(x, n);
  require_layout(op.name, n, in, weight, transposed_layout);
  Dims sizes;
  for (int d = 0; d < n; ++d) {
    if (extra[d] >= std::max(g.stride[d], g.dilation[d]))
      fail<ValueError>(op.name, ": output_padding ", extra, " must be smaller than stride ", g.stride, " or dilation ",
                       g.dilation);
    g.begin.push(padding[d]);
    g.end.push(padding[d] - extra[d]);
    const std::int64_t reach = checked_mul(g.dilation[d], weight.dim(2 + d) - 1);
    const std::int64_t span = checked_add(checked_mul(in.dim(2 + d) - 1, g.stride[d]), reach);
    sizes.push(checked_add(span, 1 + extra[d] - 2 * padding[d]));
    if (sizes.back() < 1)
      fail<ValueError>(op.name, ": ", x, " with ", weight, " and padding ", padding, " leaves nothing in dimension ",
                       2 + d);
  }
  Tensor y = conv_input(in, weight, g, sizes);
  if (a[2].given) {
    require_bias(op.name, a[2].tensor, y.dim(1));
    Dims column = Dims::filled(n + 1, 1);
    column[0] = y.dim(1);
    y = add(y, reshape(a[2].tensor, column));
  }
  return x.ndim() == n + 1 ? squeeze_axes(y, 1) : y;
}

const Param x_param{"x", Kind::tensor}, weight_param{"weight", Kind::tensor},
    bias_param{"bias", Kind::optional_tensor, "None"}, stride_param{"stride", Kind::ints, "1"},
    padding_param{"padding", Kind::ints, "0"}, dilation_param{"dilation", Kind::ints, "1"},
    groups_param{"groups", Kind::integer, "1"};

Op forward_row(const char* name, const char* doc, Tensor (*call)(const Op&, Args&)) {
  return {.name = name,
          .doc = doc,
          .params = {x_param, weight_param, bias_param, stride_param, padding_param, dilation_param, groups_param},
          .call = call};
}
Op transpose_row(const char* name, const char* doc, Tensor (*call)(const Op&, Args&)) {
  return {.name = name,
          .doc = doc,
          .params = {x_param,
                     weight_param,
                     bias_param,
                     stride_param,
                     padding_param,
                     {"output_padding", Kind::ints, "0"},
                     groups_param,
                     dilation_param},
          .call = call};
}

}  // namespace

AttrsRef Geometry::attrs(const Dims& sizes) const {
  std::int64_t v[fixed_attrs + 5 * max_spatial] = {n, groups, static_cast<std::int64_t>(matmul_precision())};
  std::size_t count = fixed_attrs;
  for (const Dims* part : {&stride, &begin, &end, &dilation, &sizes})
    for (auto value : *part) v[count++] = value;
  return {v, count};
}
Geometry Geometry::from(const AttrsRef& a) {
  constexpr int at = fixed_attrs;
  if (a.size() < at || a[0] < 1 || a[0] > max_spatial || a.size() < at + 4 * a[0] || a[1] < 1 || a[2] < 0 || a[2] > 3)
    fail<ValueError>("conv: has 1 to ", max_spatial,
                     " spatial dimensions, groups, a precision, and a stride, padding and dilation for each dimension");
  const int n = static_cast<int>(a[0]);
  const auto part = [&](int i) { return a.dims(at + i * n, n); };
  return {n, a[1], static_cast<Precision>(a[2]), part(0), part(1), part(2), part(3)};
}
Dims Geometry::sizes(const AttrsRef& a) {
  const int n = static_cast<int>(a[0]);
  if (a.size() != fixed_attrs + 5 * n) fail<ValueError>("conv: needs the ", n, " sizes of its result");
  return a.dims(fixed_attrs + 4 * n, n);
}
std::int64_t Geometry::outputs(int d, std::int64_t in, std::int64_t taps) const {
  if (taps < 1) return 0;
  const std::int64_t reach = checked_add(checked_mul(dilation[d], taps - 1), 1);
  const std::int64_t span = checked_add(checked_add(in, begin[d]), end[d]) - reach;
  return span < 0 ? 0 : span / stride[d] + 1;
}

Dims spatial(const Dims& shape) {
  Dims s;
  for (int d = 2; d < shape.size(); ++d) s.push(shape[d]);
  return s;
}

Dims each_dimension(const char* op, const char* name, const Dims& given, int n, std::int64_t least) {
  if (given.size() != 1 && given.size() != n)
    fail<ValueError>(op, ": ", name, " needs one number or ", n, ", and got ", given);
  Dims all;
  for (int d = 0; d < n; ++d) {
    all.push(given[given.size() == 1 ? 0 : d]);
    if (all.back() < least || all.back() > INT32_MAX)
      fail<ValueError>(op, ": ", name, " must be at least ", least, " and below 2**31, and is ", given);
  }
  return all;
}

Tensor conv(T x, T weight, T bias, const Geometry& g) {
  static const Op& op = find_op("conv");
  const Tensor in[] = {x, weight, bias};
  return apply(op, in, bias ? 3 : 2, g.attrs());
}

Rows conv_rows() {
  Rows rows = primitive_rows();
  rows.push_back(
      forward_row("conv1d", "Cross-correlation of (N, C, W) with kernels (O, C / groups, K).", call_conv<1>));
  rows.push_back(
      forward_row("conv2d", "Cross-correlation of (N, C, H, W) with kernels (O, C / groups, KH, KW).", call_conv<2>));
  rows.push_back(
      forward_row("conv3d", "Cross-correlation of (N, C, D, H, W) with kernels (O, C / groups, ...).", call_conv<3>));
  rows.push_back(
      transpose_row("conv_transpose1d", "The adjoint of conv1d: kernels (C, O / groups, K).", call_transpose<1>));
  rows.push_back(
      transpose_row("conv_transpose2d", "The adjoint of conv2d: kernels (C, O / groups, KH, KW).", call_transpose<2>));
  rows.push_back(
      transpose_row("conv_transpose3d", "The adjoint of conv3d: kernels (C, O / groups, ...).", call_transpose<3>));
  return rows;
}

}  // namespace steep
