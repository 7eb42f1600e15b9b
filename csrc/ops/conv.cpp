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

constexpr int max_spatial = 3;

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
  require_layout(c.op.name, g.n(), x, weight, weight_layout);
  if (x.dim(1) != checked_mul(weight.dim(1), g.groups))
    fail<ValueError>(c.op.name, ": ", x, " has ", x.dim(1), " channels, and the weight ", weight,
                     " with groups=", g.groups, " reads ", weight.dim(1) * g.groups, "; weights are ", weight_layout);
  if (weight.dim(0) % g.groups)
    fail<ValueError>(c.op.name, ": the ", weight.dim(0), " outputs of the weight ", weight, " cannot be shared among ",
                     g.groups, " groups");
  if (c.count > 2) require_bias(c.op.name, c.in[2], weight.dim(0));
  Dims shape{x.dim(0), weight.dim(0)};
  for (int d = 0; d < g.n(); ++d) {
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
  require_layout(c.op.name, g.n(), grad, weight, transposed_layout);
  const Dims& sizes = g.needed_sizes();
  if (grad.dim(1) != weight.dim(0) || weight.dim(0) % g.groups)
    fail<ValueError>(c.op.name, ": ", grad, " has ", grad.dim(1), " channels, and the weight ", weight, " takes ",
                     weight.dim(0), " in ", g.groups, " groups; weights are ", transposed_layout);
  Dims shape{grad.dim(0), checked_mul(weight.dim(1), g.groups)};
  for (int d = 0; d < g.n(); ++d) {
    shape.push(sizes[d]);
    if (g.outputs(d, sizes[d], weight.dim(2 + d)) != grad.dim(2 + d))
      fail<ValueError>(c.op.name, ": ", grad, " is not what a convolution of size ", sizes, " gives with ", weight);
  }
  c.out = empty(shape, grad.dtype());
}
void infer_conv_weight(Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  T x = c.in[0], grad = c.in[1];
  require_layout(c.op.name, g.n(), x, grad, "(N, O, ...)");
  const Dims& sizes = g.needed_sizes();
  Dims shape{grad.dim(1), x.dim(1) / g.groups};
  for (int d = 0; d < g.n(); ++d) {
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
  return apply(op, {grad, weight}, g.with(sizes));
}
Tensor conv_weight(T x, T grad, const Geometry& g, const Dims& sizes) {
  static const Op& op = find_op("conv_weight");
  return apply(op, {x, grad}, g.with(sizes));
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
  const Geometry g = of(r);
  const Tensor y = t[0] ? conv_input(t[0], r.in(1), g, g.sizes) : Tensor();
  return t[1] ? plus(y, conv_input(r.in(0), t[1], g, g.sizes)) : y;
}
Tensor conv_weight_jvp(R r, const Tensor* t) {
  const Geometry g = of(r);
  const Tensor y = t[0] ? conv_weight(t[0], r.in(1), g, g.sizes) : Tensor();
  return t[1] ? plus(y, conv_weight(r.in(0), t[1], g, g.sizes)) : y;
}

Rows primitive_rows() {
  Rows rows{
      {.name = "conv",
       .infer = infer_conv,
       .compute = compute_conv,
       .compute_parts = compute_conv_parts,
       .part_rows = 2,
       .packs = in1,
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
       .compute_parts = compute_conv_input_parts,
       .part_rows = 2,
       .packs = in1,
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
  for (Op& op : rows) op.attrs = attributes<Geometry>();
  return rows;
}

Geometry geometry(const Op& op, int n, const Arg& stride, const Arg& dilation, std::int64_t groups) {
  Geometry g;
  g.stride = each_dimension(op.name, "stride", stride.dims(), n, 1);
  g.dilation = each_dimension(op.name, "dilation", dilation.dims(), n, 1);
  g.groups = groups;
  if (g.groups < 1 || g.groups > INT32_MAX) fail<ValueError>(op.name, ": groups must be at least 1, and is ", g.groups);
  return g;
}
// Padding as one number, one per dimension, or (before, after) for each dimension.
void pad(const Op& op, Geometry& g, const Arg& padding) {
  const Dims given = padding.dims();
  if (given.size() == 2 * g.n() && g.n() > 1) {
    for (int d = 0; d < g.n(); ++d) g.begin.push(given[2 * d]), g.end.push(given[2 * d + 1]);
  } else if (g.n() == 1 && given.size() == 2) {
    g.begin = {given[0]};
    g.end = {given[1]};
  } else {
    g.begin = g.end = each_dimension(op.name, "padding", padding.dims(), g.n(), 0);
  }
  for (int d = 0; d < g.n(); ++d)
    if (g.begin[d] < 0 || g.end[d] < 0 || g.begin[d] > INT32_MAX || g.end[d] > INT32_MAX)
      fail<ValueError>(op.name, ": padding must be at least 0 and below 2**31, and is ", given);
}
// PyTorch's unbatched form, (C, ...), is a batch of one.
Tensor batched(T x, int n) { return x.ndim() == n + 1 ? expand_dims(x, 0) : x; }

template <int n> Tensor call_conv(const Op& op, T x, T weight, T bias, const Arg& stride, const Arg& padding,
                                  const Arg& dilation, std::int64_t groups) {
  Geometry g = geometry(op, n, stride, dilation, groups);
  pad(op, g, padding);
  const Tensor y = conv(batched(x, n), weight, bias, g);
  return x.ndim() == n + 1 ? squeeze_axes(y, 1) : y;
}

// The size that PyTorch gives a transposed convolution, as the input of the convolution it is the adjoint of: one whose
// padding ends `output_padding` earlier.
template <int n> Tensor call_transpose(const Op& op, T x, T weight, T bias, const Arg& stride, const Arg& border,
                                       const Arg& more, std::int64_t groups, const Arg& dilation) {
  Geometry g = geometry(op, n, stride, dilation, groups);
  const Dims padding = each_dimension(op.name, "padding", border.dims(), n, 0),
             extra = each_dimension(op.name, "output_padding", more.dims(), n, 0);
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
  if (bias) {
    require_bias(op.name, bias, y.dim(1));
    Dims column = Dims::filled(n + 1, 1);
    column[0] = y.dim(1);
    y = add(y, reshape(bias, column));
  }
  return x.ndim() == n + 1 ? squeeze_axes(y, 1) : y;
}

// What the rows of one, two and three dimensions share. Their texts say (C, ...) for the spatial dimensions.
const Param x_param{"x", Kind::tensor, required, "images (N, C, ...), or one image (C, ...)"},
    bias_param{"bias", Kind::optional_tensor, "None", "one summand for each output channel (O,); 0 where None"},
    stride_param{"stride", Kind::ints, "1", "elements from one window to the next: one number, or one per dimension"},
    dilation_param{"dilation", Kind::ints, "1", "elements from one tap of the kernel to the next"},
    groups_param{
        "groups", Kind::integer, "1",
        "how many groups the channels are split into, each with its own kernels; C for a depthwise convolution"};
constexpr const char* conv_guide =
    "Dumoulin and Visin 2016, \"A guide to convolution arithmetic for deep learning\", "
    "arXiv:1603.07285; PyTorch's torch.nn.functional, pytorch.org/docs.";

Op forward_row(const char* name, const char* doc, const char* example, Function<Tensor> call) {
  return {.name = name,
          .doc = doc,
          .returns =
              "A tensor (N, O, ...), or (O, ...) for one image, with (size + padding before and after - "
              "dilation * (taps - 1) - 1) // stride + 1 elements in each dimension.",
          .raises =
              "TypeError: for integers.\nValueError: if the channels do not fit the weight and the groups, the "
              "kernel is longer than the padded input, or a number is out of range; the message names the shapes.",
          .source = conv_guide,
          .example = example,
          .params = {x_param,
                     {"weight", Kind::tensor, required, "kernels (O, C / groups, ...), one for each output channel"},
                     bias_param,
                     stride_param,
                     {"padding", Kind::ints, "0",
                      "zeros around the image: one number, one per dimension, or (before, after) for each dimension"},
                     dilation_param,
                     groups_param},
          .call = call};
}
Op transpose_row(const char* name, const char* doc, const char* example, Function<Tensor> call) {
  return {.name = name,
          .doc = doc,
          .returns =
              "A tensor (N, O, ...), or (O, ...) for one image, with (size - 1) * stride - 2 * padding + "
              "dilation * (taps - 1) + 1 + output_padding elements in each dimension.",
          .raises =
              "TypeError: for integers.\nValueError: if the channels do not fit the weight and the groups, "
              "output_padding is neither below stride nor dilation, or nothing is left.",
          .source = conv_guide,
          .example = example,
          .params = {x_param,
                     {"weight", Kind::tensor, required, "kernels (C, O / groups, ...), those of the convolution"},
                     bias_param,
                     stride_param,
                     {"padding", Kind::ints, "0", "the convolution's padding, by which the result is cut on all sides"},
                     {"output_padding", Kind::ints, "0", "elements added at the end of each dimension"},
                     groups_param,
                     dilation_param},
          .call = call};
}

}  // namespace

Geometry Geometry::with(const Dims& other) const {
  Geometry g = *this;
  g.sizes = other;
  g.precision = matmul_precision();
  return g;
}
Geometry Geometry::from(const AttrsRef& a) {
  const auto g = a.as<Geometry>();
  const int n = g.n();
  if (n < 1 || n > max_spatial || g.begin.size() != n || g.end.size() != n || g.dilation.size() != n || g.groups < 1)
    fail<ValueError>("conv: has 1 to ", max_spatial,
                     " spatial dimensions, at least one group, and a stride, padding and dilation for each dimension");
  return g;
}
const Dims& Geometry::needed_sizes() const {
  if (sizes.size() != n()) fail<ValueError>("conv: needs the ", n(), " sizes of its result");
  return sizes;
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
  return apply(op, in, bias ? 3 : 2, g.with({}));
}

Rows conv_rows() {
  Rows rows = primitive_rows();
  for (Op op : {
           forward_row("conv1d",
                       "Cross-correlation of signals (N, C, W) with kernels (O, C / groups, K): windows of the signal, "
                       "each multiplied with the kernel and summed, plus a bias.",
                       ">>> sp.conv1d(sp.tensor([[[1.0, 2.0, 3.0, 4.0]]]), sp.tensor([[[1.0, -1.0]]]), stride=2)\n"
                       "tensor([[[-1., -1.]]], dtype=float32)",
                       call_conv<1>),
           forward_row("conv2d",
                       "Cross-correlation of images (N, C, H, W) with kernels (O, C / groups, KH, KW): windows of the "
                       "image, each multiplied with the kernel and summed over channels and taps, plus a bias. The "
                       "kernel is not flipped. Differentiable with respect to x, weight and bias to any order.",
                       ">>> x = sp.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])\n"
                       ">>> sp.conv2d(x, sp.ones((1, 1, 2, 2)), sp.tensor([0.5]))\n"
                       "tensor([[[[10.5]]]], dtype=float32)\n"
                       ">>> sp.conv2d(sp.zeros((8, 3, 32, 32)), sp.zeros((16, 3, 3, 3)), stride=2, padding=1).shape\n"
                       "(8, 16, 16, 16)",
                       call_conv<2>),
           forward_row("conv3d",
                       "Cross-correlation of volumes (N, C, D, H, W) with kernels (O, C / groups, KD, KH, KW), plus a "
                       "bias.",
                       ">>> sp.conv3d(sp.zeros((1, 2, 8, 8, 8)), sp.zeros((4, 2, 3, 3, 3)), padding=1).shape\n"
                       "(1, 4, 8, 8, 8)",
                       call_conv<3>),
           transpose_row(
               "conv_transpose1d",
               "The adjoint of conv1d, kernels (C, O / groups, K): the gradient of a convolution with respect "
               "to its input. Each element adds a copy of the kernel to the result.",
               ">>> sp.conv_transpose1d(sp.tensor([[[1.0, 2.0]]]), sp.tensor([[[1.0, 1.0]]]), stride=2)\n"
               "tensor([[[1., 1., 2., 2.]]], dtype=float32)",
               call_transpose<1>),
           transpose_row(
               "conv_transpose2d",
               "The adjoint of conv2d, kernels (C, O / groups, KH, KW): the gradient of a convolution with "
               "respect to its input, used to enlarge images.",
               ">>> sp.conv_transpose2d(sp.zeros((1, 8, 7, 7)), sp.zeros((8, 3, 4, 4)), stride=2, padding=1).shape\n"
               "(1, 3, 14, 14)",
               call_transpose<2>),
           transpose_row(
               "conv_transpose3d", "The adjoint of conv3d, kernels (C, O / groups, KD, KH, KW).",
               ">>> sp.conv_transpose3d(sp.zeros((1, 4, 3, 3, 3)), sp.zeros((4, 2, 2, 2, 2)), stride=2).shape\n"
               "(1, 2, 6, 6, 6)",
               call_transpose<3>),
       })
    rows.push_back(std::move(op));
  return rows;
}

}  // namespace steep
