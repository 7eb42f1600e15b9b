// Pooling. Max pooling finds the largest elements; its gradient finds their positions (the switches) and is scattered
// to them; unpooling is the adjoint of the gather at positions. Averages are a convolution of each channel with equal
// weights. Start reading at the rows.
#include <algorithm>
#include <cstring>
#include <limits>

#include "core/iterate.h"
#include "core/parallel.h"
#include "kernels/integers.h"
#include "ops/conv.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

// ---- the largest of every window, and their positions ----

// The `sizes` are those of the window.
void infer_windows(Call& c, DType dtype) {
  const Geometry g = Geometry::from(c.attrs);
  T x = c.in[0];
  const Dims& window = g.needed_sizes();
  if (!is_float(x.dtype())) fail<TypeError>(c.op.name, ": needs floats, and got ", x, "; use astype(float32)");
  Dims shape{x.dim(0), x.dim(1)};
  for (int d = 0; d < g.n(); ++d) shape.push(g.outputs(d, x.dim(2 + d), window[d]));
  if (numel(spatial(x.shape())) > INT32_MAX) fail<ValueError>(c.op.name, ": ", x, " has planes of over 2**31 elements");
  c.out = empty(shape, dtype);
}
void infer_largest(Call& c) { infer_windows(c, c.in[0].dtype()); }
void infer_positions(Call& c) { infer_windows(c, Int64); }

// `cost` is that of a window's result per element it holds.
void pool(const Call& c, k::PoolMax f, double cost) {
  const Geometry g = Geometry::from(c.attrs);
  const Tensor x = contiguous(c.in[0]);
  const Dims window = g.needed_sizes(), in = spatial(x.shape()), out = spatial(c.out.shape());
  k::Pooling p{};
  for (int d = 0; d < g.n(); ++d)
    p.window[3 - g.n() + d] = {in[d], out[d], g.stride[d], window[d], -g.begin[d], g.dilation[d]};
  p.planes = x.dim(0) * x.dim(1);
  p.image = x.bytes();
  p.out = c.out.bytes();
  if (c.out.size() == 0) return;
  const double plane = cost * static_cast<double>(numel(out)) * static_cast<double>(numel(window));
  constexpr std::int64_t block = 1 << 13;  // elements
  const std::int64_t together = k::ceil_div(block, std::max<std::int64_t>(1, numel(in)));
  parallel_for(p.planes, together, plane, [&](std::int64_t from, std::int64_t to) { f(p, from, to); });
}
void compute_largest(const Call& c) { pool(c, k::table().pool_max[c.in[0].dtype()], 0.1); }
void compute_positions(const Call& c) { pool(c, k::table().pool_positions[c.in[0].dtype()], 0.2); }

Tensor positions(T x, const AttrsRef& windows) {
  static const Op& op = find_op("largest_positions");
  const Tensor constant = alias(x);
  return apply(op, {constant}, windows);
}

// ---- gather and scatter by position within each plane ----

[[noreturn]] void refuse_position(const char* op, std::int64_t at, std::int64_t n) {
  fail<IndexError>(op, ": position ", at, " is outside a plane of ", n, " elements");
}
void require_planes(const Call& c) {
  T x = c.in[0], at = c.in[1];
  const bool fits = x.ndim() > 2 && at.ndim() == x.ndim() && at.dim(0) == x.dim(0) && at.dim(1) == x.dim(1);
  if (!fits || at.dtype() != Int64)
    fail<ValueError>(c.op.name, ": ", x, " and positions ", at, " must agree in (N, C), the positions int64");
}

// Positions by plane, each in one piece of memory; channels that share theirs, as those of a resampled image do, are
// not copied.
class Positions {
 public:
  explicit Positions(T given) : at_(has_planes_in_one_piece(given) ? given : contiguous(given)) {}
  const std::int64_t* plane(std::int64_t n) const {
    const std::int64_t channels = at_.dim(1);
    return at_.data<std::int64_t>() + n / channels * at_->strides[0] + n % channels * at_->strides[1];
  }

 private:
  static bool has_planes_in_one_piece(T t) {
    std::int64_t step = 1;
    for (int d = t.ndim() - 1; d >= 2; step *= t.dim(d--))
      if (t.dim(d) != 1 && t->strides[d] != step) return false;
    return true;
  }
  Tensor at_;
};

template <class E> void take_as(const Call& c, T x, const Positions& at) {
  const std::int64_t in = numel(spatial(x.shape())), out = numel(spatial(c.out.shape()));
  parallel_for(x.dim(0) * x.dim(1), 1, static_cast<double>(out), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int64_t* position = at.plane(n);
      const E* from = x.data<E>() + n * in;
      E* to = c.out.data<E>() + n * out;
      for (std::int64_t i = 0; i < out; ++i) {
        const std::int64_t p = position[i];
        if (p < -1 || p >= in) refuse_position(c.op.name, p, in);
        to[i] = p < 0 ? -std::numeric_limits<E>::infinity() : from[p];
      }
    }
  });
}
void infer_take_planes(Call& c) {
  require_planes(c);
  c.out = empty(c.in[1].shape(), c.in[0].dtype());
}
void compute_take_planes(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const Positions at(c.in[1]);
  if (c.out.size() == 0) return;
  if (x.dtype() == Float32) take_as<float>(c, x, at);
  else take_as<double>(c, x, at);
}

template <class E> void put_as(const Call& c, T x, const Positions& at) {
  const std::int64_t in = numel(spatial(x.shape())), out = numel(spatial(c.out.shape()));
  const double cost = static_cast<double>(in) + 0.2 * static_cast<double>(out);
  parallel_for(x.dim(0) * x.dim(1), 1, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int64_t* position = at.plane(n);
      const E* from = x.data<E>() + n * in;
      E* to = c.out.data<E>() + n * out;
      std::memset(to, 0, static_cast<std::size_t>(out) * sizeof(E));
      for (std::int64_t i = 0; i < in; ++i) {
        const std::int64_t p = position[i];
        if (p < -1 || p >= out) refuse_position(c.op.name, p, out);
        if (p >= 0) to[p] += from[i];
      }
    }
  });
}
struct PutPlanes {
  Ints sizes;  // spatial, of the result
  STEEP_ATTRIBUTES(sizes)
};
void infer_put_planes(Call& c) {
  require_planes(c);
  if (c.in[0].shape() != c.in[1].shape())
    fail<ValueError>(c.op.name, ": ", c.in[0], " and positions ", c.in[1], " must have one shape");
  Dims shape{c.in[0].dim(0), c.in[0].dim(1)};
  for (auto s : c.attrs.as<PutPlanes>().sizes) shape.push(s);
  c.out = empty(shape, c.in[0].dtype());
}
void compute_put_planes(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const Positions at(c.in[1]);
  if (x.dtype() == Float32) put_as<float>(c, x, at);
  else put_as<double>(c, x, at);
}

Tensor put_planes(T x, T at, const Dims& sizes) {
  static const Op& op = find_op("put_planes");
  return apply(op, {x, at}, PutPlanes{sizes});
}

Rows primitive_rows() {
  return {
      {.name = "largest",
       .attrs = attributes<Geometry>(),
       .infer = infer_largest,
       .compute = compute_largest,
       .vjp = {{[](R r, T g) { return put_planes(g, positions(r.in(0), r.attrs()), spatial(r.shape(0))); }, in0}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return take_planes(t[0], positions(r.in(0), r.attrs())); },
       .hidden = true,
       .subgradient = "to the first of equals"},
      {.name = "largest_positions",
       .attrs = attributes<Geometry>(),
       .infer = infer_positions,
       .compute = compute_positions,
       .hidden = true},
      {.name = "take_planes",
       .infer = infer_take_planes,
       .compute = compute_take_planes,
       .vjp = {{[](R r, T g) { return put_planes(g, r.in(1), spatial(r.shape(0))); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return take_planes(t[0], r.in(1)); },
       .hidden = true,
       .may_raise = true},
      {.name = "put_planes",
       .attrs = attributes<PutPlanes>(),
       .infer = infer_put_planes,
       .compute = compute_put_planes,
       .vjp = {{[](R r, T g) { return take_planes(g, r.in(1)); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r,
                      const Tensor* t) { return put_planes(t[0], r.in(1), r.attrs().as<PutPlanes>().sizes.dims()); },
       .hidden = true,
       .may_raise = true},
  };
}

// ---- windows as Python gives them ----

struct Pool {
  Geometry g;
  Dims window, padding;  // as given; g.end also includes what ceil_mode adds
};

constexpr std::int64_t longest = 1 << 20;  // of a window's sides, whose taps are listed

// Parameters kernel_size, stride, padding, dilation (null: 1), ceil_mode.
Pool parse_pool(const Op& op, int n, T x, const Arg& kernel, const Arg& stride, const Arg& padding, const Arg* dilation,
                bool ceil_mode) {
  Pool p;
  p.window = each_dimension(op.name, "kernel_size", kernel.dims(), n, 1);
  p.g.stride = stride.given ? each_dimension(op.name, "stride", stride.dims(), n, 1) : p.window;
  p.padding = each_dimension(op.name, "padding", padding.dims(), n, 0);
  p.g.dilation = dilation ? each_dimension(op.name, "dilation", dilation->dims(), n, 1) : Dims::filled(n, 1);
  p.g.begin = p.g.end = p.padding;
  if (x.ndim() != n + 2) fail<ValueError>(op.name, ": needs (N, C, ...) with ", n, " spatial dimensions, and got ", x);
  for (int d = 0; d < n; ++d) {
    const std::int64_t reach = checked_mul(p.g.dilation[d], p.window[d] - 1) + 1, in = x.dim(2 + d);
    if (p.window[d] > longest)
      fail<ValueError>(op.name, ": a window of ", p.window, " is longer than ", longest, "; use a global pool");
    if (2 * p.padding[d] > reach)
      fail<ValueError>(op.name, ": padding ", p.padding, " is more than half of the window ", p.window,
                       "; pad() the input instead");
    const std::int64_t span = in + 2 * p.padding[d] - reach + p.g.stride[d] - 1;  // for what ceil_mode adds
    if (ceil_mode && span >= 0) {
      std::int64_t out = span / p.g.stride[d] + 1;
      if ((out - 1) * p.g.stride[d] >= in + p.padding[d]) --out;  // the last window would start in the border
      p.g.end[d] = std::max(p.padding[d], (out - 1) * p.g.stride[d] + reach - in - p.padding[d]);
    }
    if (p.g.outputs(d, in, p.window[d]) < 1)
      fail<ValueError>(op.name, ": the window ", p.window, " is larger than the padded input ", x, " in dimension ",
                       2 + d, "; pad more or use a smaller window");
  }
  return p;
}

Tensor as_float(T x) { return astype(x, to_float(x.dtype())); }
Tensor batched(T x, int n) { return x.ndim() == n + 1 ? expand_dims(x, 0) : x; }
Tensor unbatched(T y, T x, int n) { return x.ndim() == n + 1 ? squeeze_axes(y, 1) : y; }

Tensor largest(T x, const Pool& p) {
  static const Op& op = find_op("largest");
  return apply(op, {x}, p.g.with(p.window));
}

template <int n> Tensor call_max_pool(const Op& op, T given, const Arg& kernel, const Arg& stride, const Arg& padding,
                                      const Arg& dilation, bool ceil_mode) {
  const Tensor x = batched(as_float(given), n);
  const Pool p = parse_pool(op, n, x, kernel, stride, padding, &dilation, ceil_mode);
  return unbatched(largest(x, p), given, n);
}
Tensor call_max_pool_indices(const Op& op, T given, const Arg& kernel, const Arg& stride, const Arg& padding,
                             const Arg& dilation, bool ceil_mode) {
  const Tensor x = as_float(given);
  if (x.ndim() < 3 || x.ndim() > 5)
    fail<ValueError>(op.name, ": needs (N, C, ...) with 1 to 3 spatial dimensions, and got ", x);
  const Pool p = parse_pool(op, x.ndim() - 2, x, kernel, stride, padding, &dilation, ceil_mode);
  return positions(x, AttrsRef(p.g.with(p.window)));
}
Tensor call_unpool(const Op& op, T given, T at, const Arg& kernel, const Arg& strides, const Arg& border,
                   const Arg& output_size) {
  const Tensor x = as_float(given);
  if (x.ndim() != 4 || x.shape() != at.shape() || !is_integer(at.dtype()))
    fail<ValueError>(op.name, ": needs (N, C, H, W) and integer positions of its shape, and got ", x, " and ", at);
  const Dims window = each_dimension(op.name, "kernel_size", kernel.dims(), 2, 1);
  const Dims stride = strides.given ? each_dimension(op.name, "stride", strides.dims(), 2, 1) : window;
  const Dims padding = each_dimension(op.name, "padding", border.dims(), 2, 0);
  Dims sizes;
  for (int d = 0; d < 2; ++d) sizes.push(checked_mul(x.dim(2 + d) - 1, stride[d]) - 2 * padding[d] + window[d]);
  if (output_size.given) sizes = each_dimension(op.name, "output_size", output_size.dims(), 2, 1);
  return put_planes(x, astype(at, Int64), sizes);
}

// ---- averages ----

// The number of elements averaged for each output of a dimension.
Tensor counts(const Pool& p, int d, std::int64_t in, bool borders, T x) {
  const std::int64_t out = p.g.outputs(d, in, p.window[d]);
  const Tensor t = empty({out}, Int64);
  for (std::int64_t i = 0; i < out; ++i) {
    const std::int64_t from = i * p.g.stride[d] - p.padding[d];
    const std::int64_t to = std::min(from + p.window[d], in + p.padding[d]);
    const std::int64_t inside = std::min(to, in) - std::max<std::int64_t>(from, 0);
    t.data<std::int64_t>()[i] = std::max<std::int64_t>(1, borders ? to - from : inside);
  }
  return astype(t, x.dtype());
}
Tensor average(T x, const Pool& p, bool borders) {
  const Dims shape = x.shape();
  Dims kernel{1, 1}, planes{checked_mul(shape[0], shape[1]), 1};
  for (int d = 0; d < p.g.n(); ++d) kernel.push(p.window[d]), planes.push(shape[2 + d]);
  bool uniform = true;
  for (int d = 0; d < p.g.n(); ++d) uniform = uniform && p.g.end[d] == p.padding[d] && (borders || p.padding[d] == 0);
  const double weight = uniform ? 1 / static_cast<double>(numel(p.window)) : 1;
  const Tensor y = conv(reshape(x, planes), full(kernel, weight, x.dtype()), {}, p.g);
  Dims out{shape[0], shape[1]};
  for (auto s : spatial(y.shape())) out.push(s);
  Tensor z = reshape(y, out);
  for (int d = 0; d < p.g.n() && !uniform; ++d) {
    Dims along = Dims::filled(p.g.n(), 1);
    along[d] = out[2 + d];
    z = multiply(z, reciprocal(reshape(counts(p, d, shape[2 + d], borders, x), along)));
  }
  return z;
}
template <int n> Tensor call_avg_pool(const Op& op, T given, const Arg& kernel, const Arg& stride, const Arg& padding,
                                      bool ceil_mode, bool count_include_pad) {
  const Tensor x = batched(as_float(given), n);
  const Pool p = parse_pool(op, n, x, kernel, stride, padding, nullptr, ceil_mode);
  return unbatched(average(x, p, count_include_pad), given, n);
}

// Row i averages what PyTorch's bin i holds, from floor(i * in / out) to ceil((i + 1) * in / out).
Tensor bins(std::int64_t in, std::int64_t out, DType dtype) {
  const Tensor t = full({out, in}, 0, Float64);
  for (std::int64_t i = 0; i < out; ++i) {
    const std::int64_t from = i * in / out, to = ((i + 1) * in + out - 1) / out;
    for (std::int64_t j = from; j < to; ++j) t.data<double>()[i * in + j] = 1 / static_cast<double>(to - from);
  }
  return astype(t, dtype);
}
template <int n> Tensor call_adaptive(const Op& op, T given, const Arg& output_size) {
  Tensor x = batched(as_float(given), n);
  const Dims sizes = each_dimension(op.name, "output_size", output_size.dims(), n, 1);
  if (x.ndim() != n + 2 || numel(x.shape()) == 0)
    fail<ValueError>(op.name, ": needs (N, C, ...) with ", n, " spatial dimensions and elements, and got ", x);
  for (int d = 0; d < n; ++d) {
    if (x.dim(2 + d) == sizes[d]) continue;
    if (checked_mul(sizes[d], x.dim(2 + d)) > INT32_MAX)
      fail<ValueError>(op.name, ": output_size ", sizes, " is too large for ", x);
    const Tensor last = moveaxis(x, 2 + d, n + 1);
    const Tensor y = sizes[d] == 1
                         ? divide(sum(last, 1u << (n + 1), true), scalar_like(static_cast<double>(x.dim(2 + d)), x))
                         : matmul(last, transpose_last(bins(x.dim(2 + d), sizes[d], x.dtype())));
    x = moveaxis(y, n + 1, 2 + d);
  }
  return unbatched(x, given, n);
}

unsigned spatial_axes(const Op& op, T x) {
  if (x.ndim() < 3) fail<ValueError>(op.name, ": needs (N, C, ...) with at least one spatial dimension, and got ", x);
  unsigned axes = 0;
  for (int d = 2; d < x.ndim(); ++d) axes |= 1u << d;
  return axes;
}
Tensor call_global_average(const Op& op, T given) {
  const Tensor x = as_float(given);
  const double n = static_cast<double>(numel(spatial(x.shape())));
  return divide(sum(x, spatial_axes(op, x), true), scalar_like(n, x));
}
Tensor argmax_last(T x) {
  static const Op& op = find_op("argmax");
  return apply(op, {x}, Reduce{1u << (x.ndim() - 1), true});
}
Tensor call_global_max(const Op& op, T given) {
  const Tensor x = as_float(given);
  spatial_axes(op, x);
  const std::int64_t n = numel(spatial(x.shape()));
  if (n == 0) fail<ValueError>(op.name, ": ", x, " has no elements along its spatial dimensions");
  const Tensor line = reshape(x, {x.dim(0), x.dim(1), n}), at = argmax_last(alias(line));
  const Tensor y = take_planes(line, at);
  Dims shape{x.dim(0), x.dim(1)};
  while (shape.size() < x.ndim()) shape.push(1);
  return reshape(y, shape);
}

const Param x_param{"x", Kind::tensor, required, "images (N, C, ...), or one image (C, ...)"},
    planes_param{"x", Kind::tensor, required, "images (N, C, ...)"},
    kernel_param{"kernel_size", Kind::ints, required, "the window's size: one number, or one per dimension"},
    stride_param{"stride", Kind::axes, "None", "elements from one window to the next; the window's size where None"},
    padding_param{"padding", Kind::ints, "0", "elements around the image, at most half of the window"},
    ceil_param{"ceil_mode", Kind::flag, "False", "whether a last window that is cut off by the end counts"},
    size_param{"output_size", Kind::ints, required, "the sizes of the result: one number, or one per dimension"};
constexpr const char* bad_window =
    "ValueError: if a window is longer than the padded input, the padding more than half of "
    "it, or x has another number of dimensions.";
constexpr const char* bad_planes = "ValueError: if x has no spatial dimensions.";
constexpr const char* torch_pool = "PyTorch's function of this name in torch.nn.functional, pytorch.org/docs.";

Op max_row(const char* name, const char* doc, const char* example, Function<Tensor> call) {
  return {.name = name,
          .doc = doc,
          .returns =
              "A tensor (N, C, ...), or (C, ...) for one image, with (size + 2 * padding - dilation * "
              "(kernel_size - 1) - 1) // stride + 1 elements in each dimension.",
          .raises = bad_window,
          .source = torch_pool,
          .example = example,
          .params = {x_param,
                     kernel_param,
                     stride_param,
                     {"padding", Kind::ints, "0",
                      "elements around the image that are never the largest, at most half of "
                      "the window"},
                     {"dilation", Kind::ints, "1", "elements from one position of the window to the next"},
                     ceil_param},
          .call = call,
          .subgradient = "to the first of equals"};
}
Op average_row(const char* name, const char* example, Function<Tensor> call) {
  return {.name = name,
          .doc = "The mean of every window; stride None: the window's size.",
          .returns =
              "A tensor (N, C, ...), or (C, ...) for one image, with (size + 2 * padding - kernel_size) // stride + "
              "1 elements in each dimension.",
          .raises = bad_window,
          .source = torch_pool,
          .example = example,
          .params = {x_param,
                     kernel_param,
                     stride_param,
                     padding_param,
                     ceil_param,
                     {"count_include_pad", Kind::flag, "True", "whether padding counts as zeros in the mean"}},
          .call = call};
}
Op adaptive_row(const char* name, const char* example, Function<Tensor> call) {
  return {.name = name,
          .doc =
              "Means of windows that divide the input into output_size parts: from floor(i * size / parts) to "
              "ceil((i + 1) * size / parts).",
          .returns = "A tensor (N, C, ...), or (C, ...) for one image, of output_size.",
          .raises = "ValueError: if a size is below 1, or x is empty or has another number of dimensions.",
          .source = torch_pool,
          .example = example,
          .params = {x_param, size_param},
          .call = call};
}

Rows max_rows() {
  const char* largest = "The largest element of every window; stride None: the window's size.";
  Op indices =
      max_row("max_pool_indices",
              "Flat spatial positions of what max_pool takes from (N, C, ...): its switches. The first of equals.",
              ">>> sp.max_pool_indices(sp.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)\n"
              "tensor([[[1, 2]]], dtype=int64)",
              call_max_pool_indices);
  indices.params[0] = planes_param;
  indices.returns = "An int64 tensor (N, C, ...), -1 where a window holds nothing but padding.";
  indices.source = "Zeiler and Fergus 2014, \"Visualizing and understanding convolutional networks\", arXiv:1311.2901.";
  indices.subgradient = "";
  indices.discrete = true;
  return {
      max_row("max_pool1d", largest,
              ">>> sp.max_pool1d(sp.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)\n"
              "tensor([[[3., 2.]]], dtype=float32)",
              call_max_pool<1>),
      max_row("max_pool2d", largest,
              ">>> sp.max_pool2d(sp.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)\n"
              "tensor([[[[4.]]]], dtype=float32)\n"
              ">>> sp.max_pool2d(sp.zeros((8, 16, 32, 32)), 3, stride=2, padding=1).shape\n"
              "(8, 16, 16, 16)",
              call_max_pool<2>),
      max_row("max_pool3d", largest,
              ">>> sp.max_pool3d(sp.zeros((1, 2, 8, 8, 8)), (2, 4, 4)).shape\n"
              "(1, 2, 4, 2, 2)",
              call_max_pool<3>),
      indices,
      {.name = "max_unpool2d",
       .doc = "Each element at its position in a plane of zeros; elements at the same position are added.",
       .returns = "A tensor (N, C, H, W): the input's size of the pooling that these windows describe, or output_size.",
       .raises = "IndexError: for a position outside of the plane.\nValueError: if the shapes differ or are not 4-d.",
       .source = torch_pool,
       .example = ">>> x = sp.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])\n"
                  ">>> sp.max_unpool2d(sp.max_pool2d(x, 2), sp.max_pool_indices(x, 2), 2)\n"
                  "tensor([[[[0., 0.],\n"
                  "          [4., 0.]]]], dtype=float32)",
       .params = {{"x", Kind::tensor, required, "pooled images (N, C, H, W)"},
                  {"indices", Kind::index, required, "the position of each element, as max_pool_indices gives them"},
                  kernel_param,
                  stride_param,
                  padding_param,
                  {"output_size", Kind::axes, "None", "(H, W) of the result, where the pooling left a rest"}},
       .call = call_unpool},
  };
}

Rows average_rows() {
  return {
      average_row("avg_pool1d",
                  ">>> sp.avg_pool1d(sp.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)\n"
                  "tensor([[[2., 1.]]], dtype=float32)",
                  call_avg_pool<1>),
      average_row("avg_pool2d",
                  ">>> sp.avg_pool2d(sp.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)\n"
                  "tensor([[[[2.5]]]], dtype=float32)",
                  call_avg_pool<2>),
      average_row("avg_pool3d",
                  ">>> sp.avg_pool3d(sp.zeros((1, 2, 8, 8, 8)), 2).shape\n"
                  "(1, 2, 4, 4, 4)",
                  call_avg_pool<3>),
      adaptive_row("adaptive_avg_pool1d",
                   ">>> sp.adaptive_avg_pool1d(sp.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)\n"
                   "tensor([[[2., 1.]]], dtype=float32)",
                   call_adaptive<1>),
      adaptive_row("adaptive_avg_pool2d",
                   ">>> sp.adaptive_avg_pool2d(sp.ones((1, 3, 7, 5)), (1, 1)).shape\n"
                   "(1, 3, 1, 1)",
                   call_adaptive<2>),
      adaptive_row("adaptive_avg_pool3d",
                   ">>> sp.adaptive_avg_pool3d(sp.ones((1, 3, 7, 5, 6)), 2).shape\n"
                   "(1, 3, 2, 2, 2)",
                   call_adaptive<3>),
      {.name = "global_avg_pool",
       .doc = "The mean over all spatial dimensions, which stay as size 1.",
       .returns = "A tensor (N, C, 1, ...).",
       .raises = bad_planes,
       .source = "Lin, Chen and Yan 2013, \"Network in network\", arXiv:1312.4400, section 3.2.",
       .example = ">>> sp.global_avg_pool(sp.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]))\n"
                  "tensor([[[[2.5]]]], dtype=float32)",
       .params = {planes_param},
       .call = call_global_average},
      {.name = "global_max_pool",
       .doc = "The largest element over all spatial dimensions, which stay as size 1.",
       .returns = "A tensor (N, C, 1, ...).",
       .raises = "ValueError: if x has no spatial dimensions, or no elements along them.",
       .source = "The ONNX operator GlobalMaxPool, onnx.ai.",
       .example = ">>> sp.global_max_pool(sp.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]))\n"
                  "tensor([[[[4.]]]], dtype=float32)",
       .params = {planes_param},
       .call = call_global_max,
       .subgradient = "to the first of equals"},
  };
}

}  // namespace

Tensor take_planes(T x, T at) {
  static const Op& op = find_op("take_planes");
  return apply(op, {x, at});
}

Rows pool_rows() { return joined({primitive_rows, max_rows, average_rows}); }

}  // namespace steep
