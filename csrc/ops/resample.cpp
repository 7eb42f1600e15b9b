// Resampling images: interpolate() on a regular grid, one axis after another, and grid_sample() at any coordinates.
// Both gather neighbours and weight them, in ops, so that gradients reach the image, and the grid of grid_sample.
#include <algorithm>
#include <cmath>

#include "ops/conv.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;

Tensor as_float(T x) { return astype(x, to_float(x.dtype())); }

// ---- on a regular grid ----

struct Axis {
  std::int64_t in, out;
  double scale;  // inputs per output, if the caller gave a factor; else 0
  bool corners;

  // The input coordinate of output i.
  double source(std::int64_t i) const {
    const double step = scale > 0 ? scale : static_cast<double>(in) / static_cast<double>(out);
    if (corners)
      return out > 1 ? static_cast<double>(i) * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
    return (static_cast<double>(i) + 0.5) * step - 0.5;
  }
  std::int64_t nearest(std::int64_t i) const {
    const std::int64_t at = scale > 0 ? static_cast<std::int64_t>(static_cast<double>(i) * scale) : i * in / out;
    return std::min(at, in - 1);
  }
};

// The weights of `taps` neighbours for a coordinate `t` beyond one of them.
double weight_of(int tap, int taps, double t) {
  if (taps == 2) return tap == 0 ? 1 - t : t;
  constexpr double a = -0.75;  // Keys' cubic, as in PyTorch and OpenCV
  const double x = std::abs(t - (tap - 1));
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((x - 5) * x + 8) * x * a - 4 * a;
}

// Neighbours `first`, `first` + 1, ... of every output, from each other by `taps`, clamped to the edge.
Tensor weighted(T x, int d, const Axis& axis, int taps) {
  Dims along = Dims::filled(x.ndim() - d, 1);
  along[0] = axis.out;
  Tensor y;
  for (int tap = 0; tap < taps; ++tap) {
    const Tensor index = empty({axis.out}, Int64), weight = empty({axis.out}, Float64);
    for (std::int64_t i = 0; i < axis.out; ++i) {
      const double at = taps == 2 ? std::max(0.0, axis.source(i)) : axis.source(i), whole = std::floor(at);
      const auto first = static_cast<std::int64_t>(whole) - (taps - 2) / 2;
      index.data<std::int64_t>()[i] = std::clamp<std::int64_t>(first + tap, 0, axis.in - 1);
      weight.data<double>()[i] = weight_of(tap, taps, at - whole);
    }
    const Tensor part = multiply(take(x, index, d), reshape(astype(weight, x.dtype()), along));
    y = y ? add(y, part) : part;
  }
  return y;
}
Tensor nearest(T x, int d, const Axis& axis) {
  const Tensor index = empty({axis.out}, Int64);
  for (std::int64_t i = 0; i < axis.out; ++i) index.data<std::int64_t>()[i] = axis.nearest(i);
  return take(x, index, d);
}

Dims wanted_sizes(const Op& op, T x, const Arg& size, double factor) {
  const int n = x.ndim() - 2;
  if (size.given) return each_dimension(op.name, "size", size.dims(), n, 1);
  if (!(factor > 0) || factor > 1e6)
    fail<ValueError>(op.name, ": needs a size or a positive scale_factor, and got ", factor);
  Dims sizes;
  for (int d = 0; d < n; ++d) sizes.push(static_cast<std::int64_t>(static_cast<double>(x.dim(2 + d)) * factor));
  return each_dimension(op.name, "size", sizes, n, 1);
}
Tensor call_interpolate(const Op& op, T given, const Arg& size, const std::string& mode, bool corners, double factor) {
  Tensor x = as_float(given);
  const bool near = mode == "nearest", linear = mode == "linear" || mode == "bilinear", cubic = mode == "cubic";
  if (!near && !linear && !cubic)
    fail<ValueError>(op.name, ": mode \"", mode, "\" is none of \"nearest\", \"linear\", \"bilinear\", \"cubic\"");
  if (x.ndim() < 3 || x.size() == 0)
    fail<ValueError>(op.name, ": needs (N, C, ...) with spatial dimensions and elements, and got ", x);
  const Dims sizes = wanted_sizes(op, x, size, factor);
  for (int d = 2; d < x.ndim(); ++d) {
    const Axis axis{x.dim(d), sizes[d - 2], size.given ? 0 : 1 / factor, corners};
    if (axis.in == axis.out) continue;
    x = near ? nearest(x, d, axis) : weighted(x, d, axis, linear ? 2 : 4);
  }
  return x;
}

// ---- at any coordinates ----

Tensor maximum(T a, T b) { return binary(k::Kernel::maximum, a, b); }
Tensor clamped(T x, double low, double high) { return minimum(maximum(x, scalar_like(low, x)), scalar_like(high, x)); }

// Folded back and forth between low and low + span.
Tensor reflected(T x, double low, double span) {
  if (span <= 0) return multiply(x, 0.0);
  const Tensor away = unary(k::Kernel::abs, add(x, -low)), width = scalar_like(span, x);
  const Tensor rest = remainder(away, width), flips = floor(divide(away, width));
  const Tensor odd = equal(remainder(flips, scalar_like(2, x)), scalar_like(1, x));
  return add(where(odd, subtract(width, rest), rest), low);
}

enum class Border { zeros, border, reflection };

// From [-1, 1] to coordinates among n elements.
Tensor places(T grid, std::int64_t n, bool corners, Border border) {
  const double size = static_cast<double>(n);
  const Tensor x = corners ? multiply(add(grid, 1), (size - 1) / 2) : add(multiply(add(grid, 1), size / 2), -0.5);
  if (border == Border::zeros) return x;
  if (border == Border::border) return clamped(x, 0, size - 1);
  const Tensor folded = corners ? reflected(x, 0, size - 1) : reflected(x, -0.5, size);
  return clamped(folded, 0, size - 1);
}

struct Sampler {
  Tensor image;
  std::int64_t height, width;

  // Pixels at integer coordinates (N, Ho, Wo); 0 outside the image.
  Tensor at(T y, T x) const {
    const auto inside = [](T v, std::int64_t n) {
      return binary(k::Kernel::logical_and, greater_equal(v, scalar_like(0, v)),
                    greater(scalar_like(static_cast<double>(n), v), v));
    };
    const Tensor seen = binary(k::Kernel::logical_and, inside(y, height), inside(x, width));
    const auto whole = [&](T v) { return astype(where(seen, v, scalar_like(0, v)), Int64); };
    const Tensor flat = add(multiply(whole(y), full_int({}, width, Int64)), whole(x));
    Dims shape = flat.shape();
    shape.insert(1, image.dim(1));
    const Tensor pixels = take_planes(image, broadcast_to(expand_dims(flat, 1), shape));
    return where(expand_dims(seen, 1), pixels, scalar_like(0, image));
  }
  Tensor bilinear(T y, T x) const {
    const Tensor y0 = floor(alias(y)), x0 = floor(alias(x)), y1 = add(y0, 1), x1 = add(x0, 1);
    const Tensor up = subtract(y, y0), left = subtract(x, x0);
    const auto term = [&](T row, T column, T weight) { return multiply(at(row, column), expand_dims(weight, 1)); };
    const Tensor one = scalar_like(1, x), down = subtract(one, up), right = subtract(one, left);
    const Tensor top = add(term(y0, x0, multiply(down, right)), term(y0, x1, multiply(down, left)));
    return add(top, add(term(y1, x0, multiply(up, right)), term(y1, x1, multiply(up, left))));
  }
};

Tensor call_grid_sample(const Op& op, T given, T coordinates, const std::string& mode, const std::string& border,
                        bool corners) {
  const Tensor x = as_float(given), grid = astype(coordinates, x.dtype());
  if (x.ndim() != 4 || grid.ndim() != 4 || grid.dim(3) != 2 || grid.dim(0) != x.dim(0) || x.size() == 0)
    fail<ValueError>(op.name, ": needs an image (N, C, H, W) and a grid (N, Ho, Wo, 2) of (x, y), and got ", x, " and ",
                     grid);
  if (mode != "bilinear" && mode != "nearest")
    fail<ValueError>(op.name, ": mode \"", mode, "\" is neither \"bilinear\" nor \"nearest\"");
  if (border != "zeros" && border != "border" && border != "reflection")
    fail<ValueError>(op.name, ": padding_mode \"", border, "\" is none of \"zeros\", \"border\", \"reflection\"");
  const Border how = border == "zeros" ? Border::zeros : border == "border" ? Border::border : Border::reflection;
  const auto along = [&](int i, std::int64_t n) {
    return places(squeeze_axes(narrow(grid, 3, i, 1), 8), n, corners, how);
  };
  const Tensor px = along(0, x.dim(3)), py = along(1, x.dim(2));
  const Sampler sampler{x, x.dim(2), x.dim(3)};
  if (mode == "bilinear") return sampler.bilinear(py, px);
  return sampler.at(unary(k::Kernel::round, py), unary(k::Kernel::round, px));
}

}  // namespace

Rows resample_rows() {
  const Param corners{"align_corners", Kind::flag, "False",
                      "whether the centres of the corner pixels stay in place, or the edges of the image"};
  return {
      {.name = "interpolate",
       .doc = "(N, C, ...) resized: mode \"nearest\", \"linear\" or \"cubic\", along every spatial dimension.",
       .returns = "A tensor (N, C, ...) of the new sizes, float.",
       .raises = "ValueError: without a size or a positive scale_factor, for another mode, or an empty x.",
       .source = "PyTorch's torch.nn.functional.interpolate, pytorch.org/docs; Keys 1981, \"Cubic convolution "
                 "interpolation for digital image processing\", with a = -0.75.",
       .example = ">>> sp.interpolate(sp.tensor([[[0.0, 1.0]]]), 4, mode=\"linear\")\n"
                  "tensor([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)",
       .params = {{"x", Kind::tensor, required, "images (N, C, ...)"},
                  {"size", Kind::axes, "None", "the new spatial sizes: one number, or one per dimension"},
                  {"mode", Kind::text, "\"nearest\"",
                   "\"nearest\", \"linear\" (\"bilinear\" is the same) or \"cubic\""},
                  corners,
                  {"scale_factor", Kind::real, "0.0", "the factor of every size, where no size is given"}},
       .call = call_interpolate},
      {.name = "grid_sample",
       .doc = "(N, C, H, W) at the coordinates (x, y) of a grid (N, Ho, Wo, 2), -1 and 1 being the edges. "
              "Differentiable with respect to both.",
       .returns = "A tensor (N, C, Ho, Wo).",
       .raises = "ValueError: if the shapes do not fit, or for another mode.",
       .source = "Jaderberg et al. 2015, \"Spatial transformer networks\", arXiv:1506.02025; PyTorch's "
                 "torch.nn.functional.grid_sample, pytorch.org/docs.",
       .example = ">>> x = sp.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])\n"
                  ">>> sp.grid_sample(x, sp.tensor([[[[0.0, 0.0], [-0.5, 0.5]]]]))\n"
                  "tensor([[[[2.5, 3. ]]]], dtype=float32)",
       .params = {{"x", Kind::tensor, required, "images (N, C, H, W)"},
                  {"grid", Kind::tensor, required, "coordinates (N, Ho, Wo, 2), x then y, in [-1, 1] inside the image"},
                  {"mode", Kind::text, "\"bilinear\"", "\"bilinear\" or \"nearest\""},
                  {"padding_mode", Kind::text, "\"zeros\"",
                   "what is outside: \"zeros\", \"border\" repeats the edge, \"reflection\" mirrors at it"},
                  corners},
       .call = call_grid_sample},
  };
}

}  // namespace steep
