// Pooling. Max pooling finds positions (the switches) and gathers at them, so that its gradient is scattered to the
// same switches without a second search; unpooling is the adjoint of the gather. Averages are a convolution of each
// channel with equal weights. Start reading at the rows.
#include <algorithm>
#include <cstring>
#include <limits>

#include "core/iterate.h"
#include "core/parallel.h"
#include "ops/conv.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

// ---- positions of the largest ----

// Attributes: a geometry whose `sizes` are those of the window.
void infer_positions(Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  T x = c.in[0];
  const Dims window = Geometry::sizes(c.attrs);
  if (!is_float(x.dtype())) fail<TypeError>(c.op.name, ": needs floats, and got ", x, "; use astype(float32)");
  Dims shape{x.dim(0), x.dim(1)};
  for (int d = 0; d < g.n; ++d) shape.push(g.outputs(d, x.dim(2 + d), window[d]));
  if (numel(spatial(x.shape())) > INT32_MAX) fail<ValueError>(c.op.name, ": ", x, " has planes of over 2**31 elements");
  c.out = empty(shape, Int64);
}
void compute_positions(const Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  const Tensor x = contiguous(c.in[0]);
  const Dims window = Geometry::sizes(c.attrs), in = spatial(x.shape()), out = spatial(c.out.shape());
  k::Pooling p{};
  for (int d = 0; d < g.n; ++d)
    p.window[3 - g.n + d] = {in[d], out[d], g.stride[d], window[d], -g.begin[d], g.dilation[d]};
  p.image = x.bytes();
  p.out = c.out.data<std::int64_t>();
  if (c.out.size() == 0) return;
  const auto f = k::table().pool_max[x.dtype()];
  const double cost = 0.3 * static_cast<double>(numel(out)) * static_cast<double>(numel(window));
  parallel_for(x.dim(0) * x.dim(1), 1, cost, [&](std::int64_t from, std::int64_t to) { f(p, from, to); });
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

template <class E> void take_as(const Call& c, T x, T at) {
  const std::int64_t in = numel(spatial(x.shape())), out = numel(spatial(c.out.shape()));
  const E* from = x.data<E>();
  const std::int64_t* position = at.data<std::int64_t>();
  E* to = c.out.data<E>();
  parallel_for(x.dim(0) * x.dim(1), 1, static_cast<double>(out), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t i = n * out; i < (n + 1) * out; ++i) {
        const std::int64_t p = position[i];
        if (p < -1 || p >= in) refuse_position(c.op.name, p, in);
        to[i] = p < 0 ? -std::numeric_limits<E>::infinity() : from[n * in + p];
      }
  });
}
void infer_take_planes(Call& c) {
  require_planes(c);
  c.out = empty(c.in[1].shape(), c.in[0].dtype());
}
void compute_take_planes(const Call& c) {
  const Tensor x = contiguous(c.in[0]), at = contiguous(c.in[1]);
  if (c.out.size() == 0) return;
  if (x.dtype() == Float32) take_as<float>(c, x, at);
  else take_as<double>(c, x, at);
}

template <class E> void put_as(const Call& c, T x, T at) {
  const std::int64_t in = numel(spatial(x.shape())), out = numel(spatial(c.out.shape()));
  const E* from = x.data<E>();
  const std::int64_t* position = at.data<std::int64_t>();
  E* to = c.out.data<E>();
  const double cost = static_cast<double>(in) + 0.2 * static_cast<double>(out);
  parallel_for(x.dim(0) * x.dim(1), 1, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      std::memset(to + n * out, 0, static_cast<std::size_t>(out) * sizeof(E));
      for (std::int64_t i = n * in; i < (n + 1) * in; ++i) {
        const std::int64_t p = position[i];
        if (p < -1 || p >= out) refuse_position(c.op.name, p, out);
        if (p >= 0) to[n * out + p] += from[i];
      }
    }
  });
}
// Attributes: the spatial sizes of the result.
void infer_put_planes(Call& c) {
  require_planes(c);
  if (c.in[0].shape() != c.in[1].shape())
    fail<ValueError>(c.op.name, ": ", c.in[0], " and positions ", c.in[1], " must have one shape");
  Dims shape{c.in[0].dim(0), c.in[0].dim(1)};
  for (auto s : c.attrs.dims()) shape.push(s);
  c.out = empty(shape, c.in[0].dtype());
}
void compute_put_planes(const Call& c) {
  const Tensor x = contiguous(c.in[0]), at = contiguous(c.in[1]);
  if (x.dtype() == Float32) put_as<float>(c, x, at);
  else put_as<double>(c, x, at);
}

Tensor put_planes(T x, T at, const Dims& sizes) {
  static const Op& op = find_op("put_planes");
  return apply(op, {x, at}, AttrsRef(sizes));
}

Rows primitive_rows() {
  return {
      {.name = "largest_positions", .infer = infer_positions, .compute = compute_positions, .hidden = true},
      {.name = "take_planes",
       .infer = infer_take_planes,
       .compute = compute_take_planes,
       .vjp = {{[](R r, T g) { return put_planes(g, r.in(1), spatial(r.shape(0))); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return take_planes(t[0], r.in(1)); },
       .hidden = true},
      {.name = "put_planes",
       .infer = infer_put_planes,
       .compute = compute_put_planes,
       .vjp = {{[](R r, T g) { return take_planes(g, r.in(1)); }, in1}},
       .jvp = Jvp::custom,
       .jvp_rule = [](R r, const Tensor* t) { return put_planes(t[0], r.in(1), r.attrs().dims()); },
       .hidden = true},
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
  p.g.n = n;
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

Tensor positions(T x, const Pool& p) {
  static const Op& op = find_op("largest_positions");
  const Tensor constant = alias(x);
  return apply(op, {constant}, p.g.attrs(p.window));
}

template <int n> Tensor call_max_pool(const Op& op, Args& a) {
  const Tensor x = batched(as_float(a[0].tensor), n);
  const Pool p = parse_pool(op, n, x, a[1], a[2], a[3], &a[4], a[5].flag());
  return unbatched(take_planes(x, positions(x, p)), a[0].tensor, n);
}
Tensor call_max_pool_indices(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  if (x.ndim() < 3 || x.ndim() > 5)
    fail<ValueError>(op.name, ": needs (N, C, ...) with 1 to 3 spatial dimensions, and got ", x);
  return positions(x, parse_pool(op, x.ndim() - 2, x, a[1], a[2], a[3], &a[4], a[5].flag()));
}
Tensor call_unpool(const Op& op, Args& a) {
  T at = a[1].tensor;
  const Tensor x = as_float(a[0].tensor);
  if (x.ndim() != 4 || x.shape() != at.shape() || !is_integer(at.dtype()))
    fail<ValueError>(op.name, ": needs (N, C, H, W) and integer positions of its shape, and got ", x, " and ", at);
  const Dims window = each_dimension(op.name, "kernel_size", a[2].dims(), 2, 1);
  const Dims stride = a[3].given ? each_dimension(op.name, "stride", a[3].dims(), 2, 1) : window;
  const Dims padding = each_dimension(op.name, "padding", a[4].dims(), 2, 0);
  Dims sizes;
  for (int d = 0; d < 2; ++d) sizes.push(checked_mul(x.dim(2 + d) - 1, stride[d]) - 2 * padding[d] + window[d]);
  if (a[5].given) sizes = each_dimension(op.name, "output_size", a[5].dims(), 2, 1);
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
  for (int d = 0; d < p.g.n; ++d) kernel.push(p.window[d]), planes.push(shape[2 + d]);
  bool uniform = true;
  for (int d = 0; d < p.g.n; ++d) uniform = uniform && p.g.end[d] == p.padding[d] && (borders || p.padding[d] == 0);
  const double weight = uniform ? 1 / static_cast<double>(numel(p.window)) : 1;
  const Tensor y = conv(reshape(x, planes), full(kernel, weight, x.dtype()), {}, p.g);
  Dims out{shape[0], shape[1]};
  for (auto s : spatial(y.shape())) out.push(s);
  Tensor z = reshape(y, out);
  for (int d = 0; d < p.g.n && !uniform; ++d) {
    Dims along = Dims::filled(p.g.n, 1);
    along[d] = out[2 + d];
    z = multiply(z, reciprocal(reshape(counts(p, d, shape[2 + d], borders, x), along)));
  }
  return z;
}
template <int n> Tensor call_avg_pool(const Op& op, Args& a) {
  const Tensor x = batched(as_float(a[0].tensor), n);
  const Pool p = parse_pool(op, n, x, a[1], a[2], a[3], nullptr, a[4].flag());
  return unbatched(average(x, p, a[5].flag()), a[0].tensor, n);
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
template <int n> Tensor call_adaptive(const Op& op, Args& a) {
  Tensor x = batched(as_float(a[0].tensor), n);
  const Dims sizes = each_dimension(op.name, "output_size", a[1].dims(), n, 1);
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
  return unbatched(x, a[0].tensor, n);
}

unsigned spatial_axes(const Op& op, T x) {
  if (x.ndim() < 3) fail<ValueError>(op.name, ": needs (N, C, ...) with at least one spatial dimension, and got ", x);
  unsigned axes = 0;
  for (int d = 2; d < x.ndim(); ++d) axes |= 1u << d;
  return axes;
}
Tensor call_global_average(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  const double n = static_cast<double>(numel(spatial(x.shape())));
  return divide(sum(x, spatial_axes(op, x), true), scalar_like(n, x));
}
Tensor argmax_last(T x) {
  static const Op& op = find_op("argmax");
  return apply(op, {x}, {1u << (x.ndim() - 1), true});
}
Tensor call_global_max(const Op& op, Args& a) {
  const Tensor x = as_float(a[0].tensor);
  spatial_axes(op, x);
  const std::int64_t n = numel(spatial(x.shape()));
  if (n == 0) fail<ValueError>(op.name, ": ", x, " has no elements along its spatial dimensions");
  const Tensor line = reshape(x, {x.dim(0), x.dim(1), n}), at = argmax_last(alias(line));
  const Tensor y = take_planes(line, at);
  Dims shape{x.dim(0), x.dim(1)};
  while (shape.size() < x.ndim()) shape.push(1);
  return reshape(y, shape);
}

const Param x_param{"x", Kind::tensor}, kernel_param{"kernel_size", Kind::ints},
    stride_param{"stride", Kind::axes, "None"}, padding_param{"padding", Kind::ints, "0"},
    ceil_param{"ceil_mode", Kind::flag, "False"}, size_param{"output_size", Kind::ints};

using CallFn = Tensor (*)(const Op&, Args&);
Op max_row(const char* name, const char* doc, CallFn call) {
  return {.name = name,
          .doc = doc,
          .params = {x_param, kernel_param, stride_param, padding_param, {"dilation", Kind::ints, "1"}, ceil_param},
          .call = call,
          .subgradient = "to the first of equals"};
}
Op average_row(const char* name, const char* doc, CallFn call) {
  return {
      .name = name,
      .doc = doc,
      .params =
          {x_param, kernel_param, stride_param, padding_param, ceil_param, {"count_include_pad", Kind::flag, "True"}},
      .call = call};
}

Rows composite_rows() {
  const char *largest = "The largest element of every window; stride None: the window's size.",
             *mean = "The mean of every window; stride None: the window's size.",
             *adaptive = "Means of windows that divide the input into output_size parts.";
  return {
      max_row("max_pool1d", largest, call_max_pool<1>),
      max_row("max_pool2d", largest, call_max_pool<2>),
      max_row("max_pool3d", largest, call_max_pool<3>),
      max_row("max_pool_indices", "Flat spatial positions of what max_pool takes from (N, C, ...): its switches.",
              call_max_pool_indices),
      {.name = "max_unpool2d",
       .doc = "Each element at its position in a plane of zeros; elements at the same position are added.",
       .params = {x_param,
                  {"indices", Kind::index},
                  kernel_param,
                  stride_param,
                  padding_param,
                  {"output_size", Kind::axes, "None"}},
       .call = call_unpool},
      average_row("avg_pool1d", mean, call_avg_pool<1>),
      average_row("avg_pool2d", mean, call_avg_pool<2>),
      average_row("avg_pool3d", mean, call_avg_pool<3>),
      {.name = "adaptive_avg_pool1d", .doc = adaptive, .params = {x_param, size_param}, .call = call_adaptive<1>},
      {.name = "adaptive_avg_pool2d", .doc = adaptive, .params = {x_param, size_param}, .call = call_adaptive<2>},
      {.name = "adaptive_avg_pool3d", .doc = adaptive, .params = {x_param, size_param}, .call = call_adaptive<3>},
      {.name = "global_avg_pool",
       .doc = "The mean over all spatial dimensions, which stay as size 1.",
       .params = {x_param},
       .call = call_global_average},
      {.name = "global_max_pool",
       .doc = "The largest element over all spatial dimensions, which stay as size 1.",
       .params = {x_param},
       .call = call_global_max,
       .subgradient = "to the first of equals"},
  };
}

}  // namespace

Tensor take_planes(T x, T at) {
  static const Op& op = find_op("take_planes");
  return apply(op, {x, at});
}

Rows pool_rows() {
  Rows all = primitive_rows();
  for (Op& op : composite_rows()) all.push_back(std::move(op));
  return all;
}

}  // namespace steep
