// What slices.h promises, made of concat, zeros and embed. The one dimension in which the slices differ is cut into
// intervals, in order; between two of them the gradient is zero.
#include "graph/slices.h"

#include <algorithm>

#include "ops/functions.h"

namespace steep {
namespace {

// The intervals of one axis, sorted; parts have the same extent in every other dimension, with steps of one.
struct Intervals {
  std::vector<SliceGradient>& parts;
  int axis = -1;

  Slice at(std::size_t i) const { return parts[i].slice.as<Slice>(); }
  std::int64_t start(std::size_t i) const { return at(i).start[axis]; }
  std::int64_t size(std::size_t i) const { return at(i).size[axis]; }
  std::int64_t end(std::size_t i) const { return start(i) + size(i); }
};

bool has_unit_steps(const Slice& s) {
  for (int d = 0; d < s.step.size(); ++d)
    if (s.size[d] == 0 || (s.size[d] > 1 && s.step[d] != 1)) return false;
  return true;
}

// The dimension in which some of the slices differ, -1 if there is no such dimension or more than one.
int varying_axis(const std::vector<SliceGradient>& parts) {
  const auto first = parts[0].slice.as<Slice>();
  int axis = -1;
  for (const SliceGradient& p : parts) {
    const auto s = p.slice.as<Slice>();
    if (!has_unit_steps(s)) return -1;
    for (int d = 0; d < s.start.size(); ++d) {
      if (s.start[d] == first.start[d] && s.size[d] == first.size[d]) continue;
      if (axis >= 0 && axis != d) return -1;
      axis = d;
    }
  }
  return axis;
}

bool sort_apart(const Intervals& x) {
  std::sort(x.parts.begin(), x.parts.end(), [&](const SliceGradient& a, const SliceGradient& b) {
    return a.slice.as<Slice>().start[x.axis] < b.slice.as<Slice>().start[x.axis];
  });
  for (std::size_t i = 1; i < x.parts.size(); ++i)
    if (x.end(i - 1) > x.start(i)) return false;
  return true;
}

// How far apart neighbours along the axis are, if all parts are without a graph and lie in one buffer as slices of one
// tensor do; 0 if not.
std::int64_t common_step(const Intervals& x) {
  const Tensor& first = x.parts[0].g;
  const int axis = x.axis;
  const std::int64_t apart = x.parts[1].g->offset - first->offset, positions = x.start(1) - x.start(0);
  const std::int64_t step = first.dim(axis) > 1 ? first.strides()[axis] : apart / positions;
  for (std::size_t i = 0; i < x.parts.size(); ++i) {
    const Tensor& g = x.parts[i].g;
    if (g->node || g->storage.get() != first->storage.get()) return 0;
    if (g->offset - first->offset != (x.start(i) - x.start(0)) * step) return 0;
    if (i > 0 && x.start(i) != x.end(i - 1)) return 0;
    for (int d = 0; d < g.ndim(); ++d) {
      const std::int64_t expected = d == axis ? step : first.strides()[d];
      if (g.dim(d) > 1 && g.strides()[d] != expected) return 0;
    }
  }
  return step;
}

Tensor as_view(const Intervals& x, std::int64_t step) {
  const Tensor& first = x.parts[0].g;
  Dims shape = first.shape(), strides = first.strides();
  shape[x.axis] = x.end(x.parts.size() - 1) - x.start(0);
  strides[x.axis] = step;
  return view(first, shape, strides, first->offset);
}

// From the beginning of the first interval to the end of the last.
Tensor concatenated(const Intervals& x) {
  std::vector<Tensor> all;
  for (std::size_t i = 0; i < x.parts.size(); ++i) {
    const std::int64_t gap = i ? x.start(i) - x.end(i - 1) : 0;
    if (gap) {
      Dims shape = x.parts[0].g.shape();
      shape[x.axis] = gap;
      all.push_back(zeros(shape, x.parts[0].g.dtype()));
    }
    all.push_back(x.parts[i].g);
  }
  return concat(all, x.axis);
}

}  // namespace

Tensor join_slices(std::vector<SliceGradient>& parts, const Dims& shape) {
  const Intervals x{parts, varying_axis(parts)};
  if (x.axis < 0 || !sort_apart(x)) return {};
  const std::int64_t step = common_step(x);
  const Tensor joined = step ? as_view(x, step) : concatenated(x);
  return joined.shape() == shape ? joined : embed(joined, x.at(0).start.dims(), Dims::filled(shape.size(), 1), shape);
}

}  // namespace steep
