// x[key] with NumPy's semantics: integers, slices, None and ... give a view; integer tensors and bool masks read rows.
// make_plan() turns a key into a slice and, for each axis of it, the index tensor that reads it.
#include <algorithm>

#include "core/iterate.h"
#include "graph/mode.h"
#include "graph/recorder.h"
#include "ops/functions.h"
#include "ops/index.h"

namespace steep {
namespace {

using T = const Tensor&;

int axes_read(const IndexPart& p) {
  if (p.kind == IndexPart::ellipsis || p.kind == IndexPart::new_axis) return 0;
  return p.kind == IndexPart::tensor && p.index.dtype() == Bool ? p.index.ndim() : 1;
}

std::int64_t bound(std::int64_t v, std::int64_t n, std::int64_t low, std::int64_t high) {
  return std::clamp(v < 0 ? v + n : v, low, high);
}

// A basic index of one axis: start, step, count.
void read_slice(const IndexPart& p, std::int64_t n, Dims& start, Dims& step, Dims& size) {
  const std::int64_t low = p.step > 0 ? 0 : -1, high = p.step > 0 ? n : n - 1;
  const std::int64_t from = p.has_start ? bound(p.start, n, low, high) : (p.step > 0 ? 0 : n - 1);
  const std::int64_t to = p.has_stop ? bound(p.stop, n, low, high) : (p.step > 0 ? n : -1);
  const std::int64_t span = p.step > 0 ? to - from : from - to, by = p.step > 0 ? p.step : -p.step;
  start.push(from);
  size.push(span > 0 ? (span - 1) / by + 1 : 0);
  step.push(size.back() > 1 ? p.step : 1);  // a step that is not used may be too large to multiply
}
void read_integer(const IndexPart& p, std::int64_t n, int axis, Dims& start, Dims& step, Dims& size) {
  if (p.start < -n || p.start >= n)
    fail<IndexError>("getitem: index ", p.start, " is out of range for axis ", axis, " of size ", n);
  start.push(p.start < 0 ? p.start + n : p.start);
  step.push(1);
  size.push(1);
}

// A mask as one index tensor for each of its axes.
std::vector<Tensor> mask_indices(T mask, T x, int axis) {
  for (int d = 0; d < mask.ndim(); ++d)
    if (mask.dim(d) != x.dim(axis + d))
      fail<IndexError>("getitem: the mask ", mask, " does not match axis ", axis + d, " of ", x);
  std::vector<Tensor> at;
  const Tensor flat = nonzero_flat(mask);
  for (int d = 0; d < mask.ndim(); ++d) {
    const Tensor by = full_int({}, contiguous_strides(mask.shape())[d], Int64), n = full_int({}, mask.dim(d), Int64);
    at.push_back(remainder(binary(k::Kernel::floor_divide, flat, by), n));
  }
  return at;
}

// The parts with ... written out as full slices, and full slices to the end.
std::vector<IndexPart> expanded(T x, const std::vector<IndexPart>& key) {
  int read = 0, dots = 0;
  for (const IndexPart& p : key) {
    read += axes_read(p);
    dots += p.kind == IndexPart::ellipsis;
  }
  if (dots > 1) fail<IndexError>("getitem: a key has at most one ...");
  if (read > x.ndim()) fail<IndexError>("getitem: ", read, " indices for ", x, ", which has ", x.ndim(), " axes");
  std::vector<IndexPart> full;
  const auto fill = [&] {
    full.insert(full.end(), static_cast<std::size_t>(x.ndim() - read), {.kind = IndexPart::slice});
  };
  for (const IndexPart& p : key) {
    if (p.kind == IndexPart::ellipsis) fill();
    else full.push_back(p);
  }
  if (!dots) fill();
  return full;
}

// The role of each axis of the sliced tensor: dropped, kept, read by an index, or a new one before it.
struct Plan {
  Dims start, step, size, shape;
  std::vector<Tensor> at;
  bool adjacent = true;  // the indices are adjacent in the key
  void keep(std::int64_t n, Tensor index = {}) {
    shape.push(n);
    at.push_back(std::move(index));
  }
};

// A single bool is a mask of no axes: a new axis of size 1, read once or not at all.
void plan_tensor(Plan& plan, const IndexPart& p, T x, int axis) {
  std::vector<Tensor> at{p.index};
  if (p.index.dtype() == Bool && p.index.ndim() == 0) host_read(p.index, "a mask as an index");
  if (p.index.dtype() == Bool && p.index.ndim() == 0) return plan.keep(1, zeros({*p.index.data<bool>()}, Int64));
  if (p.index.dtype() == Bool) at = mask_indices(p.index, x, axis);
  else if (!is_integer(p.index.dtype()))
    fail<IndexError>("getitem: an index must be integers or a bool mask, and this is ", p.index);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const std::int64_t n = x.dim(axis + static_cast<int>(i));
    read_slice({.kind = IndexPart::slice}, n, plan.start, plan.step, plan.size);
    plan.keep(n, astype(at[i], Int64));
  }
}

bool side_by_side(const std::vector<IndexPart>& key) {
  int runs = 0;
  bool before = false;
  for (const IndexPart& p : key) {
    const bool reads = p.kind == IndexPart::tensor || p.kind == IndexPart::integer;
    runs += reads && !before;
    before = reads;
  }
  return runs <= 1;
}

// Beside an index tensor an integer is an index tensor too, of no dimensions: that decides where the axes go.
Plan make_plan(T x, const std::vector<IndexPart>& key) {
  Plan plan;
  plan.adjacent = side_by_side(key);
  int axis = 0;
  const bool reads = std::any_of(key.begin(), key.end(), [](auto& p) { return p.kind == IndexPart::tensor; });
  for (const IndexPart& p : expanded(x, key)) {
    if (p.kind == IndexPart::new_axis) plan.keep(1);
    if (p.kind == IndexPart::tensor) {
      plan_tensor(plan, p, x, axis);
    } else if (p.kind == IndexPart::integer) {
      read_integer(p, x.dim(axis), axis, plan.start, plan.step, plan.size);
      if (reads) plan.keep(1, zeros({}, Int64));
    } else if (p.kind == IndexPart::slice) {
      read_slice(p, x.dim(axis), plan.start, plan.step, plan.size);
      plan.keep(plan.size.back());
    }
    axis += axes_read(p);
  }
  return plan;
}

// The plain slice is skipped if it selects everything.
Tensor sliced(T x, const Plan& plan) {
  bool whole = plan.size == x.shape();
  for (auto s : plan.step) whole = whole && s == 1;
  return whole ? x : slice(x, plan.start, plan.step, plan.size);
}

bool advanced(const Plan& plan) {
  return std::any_of(plan.at.begin(), plan.at.end(), [](T t) { return static_cast<bool>(t); });
}

// The indexed axes of `base` in front and merged into one; `index` names rows of it, in the indices' common shape.
struct Gathered {
  Tensor rows, index;
  Dims order;  // of base's axes in rows before merging
  int first = -1;
};

Dims common_shape(const std::vector<Tensor>& at) {
  Tensor wide;
  for (T t : at)
    if (t) wide = wide ? empty(broadcast_shapes("getitem", wide, t), Bool) : empty(t.shape(), Bool);
  return wide.shape();
}

Gathered gather(T base, const std::vector<Tensor>& at) {
  Gathered g;
  const Dims shape = common_shape(at);
  std::int64_t merged = 1;
  for (int d = 0; d < base.ndim(); ++d) {
    T index = at[static_cast<std::size_t>(d)];
    if (!index) continue;
    if (g.first < 0) g.first = d;
    const Tensor position = wrap_index(index, base.dim(d), "getitem", d);
    g.index = g.index ? add(multiply(g.index, full_int({}, base.dim(d), Int64)), position) : position;
    merged = checked_mul(merged, base.dim(d));
    g.order.push(d);
  }
  Dims rows{merged};
  for (int d = 0; d < base.ndim(); ++d)
    if (!at[static_cast<std::size_t>(d)]) g.order.push(d), rows.push(base.dim(d));
  g.index = broadcast_to(g.index, shape);
  g.rows = reshape(permute_dims(base, g.order), rows);
  return g;
}

// Where the common index axes go: in place of the indexed ones if those are adjacent, in front otherwise.
Tensor placed(Tensor y, const Gathered& g, bool adjacent) {
  if (!adjacent) return y;
  const int n = g.index.ndim();
  for (int i = 0; i < g.first; ++i) y = moveaxis(y, n + i, i);
  return y;
}

// The flat indices of x, so that a write can use the same index as a read.
Tensor numbered(T x) { return reshape(arange(0, x.size(), 1, Int64), x.shape()); }

void write_elements(T x, T positions, T value) {
  static const Op& row = find_op("write_elements");
  require_fits("setitem", positions, value);
  before_write("setitem", x, &value, 1);
  const NoGrad off;
  Tensor source = astype(broadcast_to(alias(value), positions.shape()), x.dtype());
  if (source->storage.get() == x->storage.get()) source = copy(source);
  apply_into(row, {source, positions}, x);
}

// NumPy lets the value have leading axes of size 1 that the target lacks.
Tensor without_leading_ones(Tensor value, int ndim) {
  while (value.ndim() > ndim && value.dim(0) == 1) value = squeeze_axes(value, 1);
  return value;
}

}  // namespace

Tensor getitem(T x, const std::vector<IndexPart>& key) {
  const Plan plan = make_plan(x, key);
  const Tensor base = reshape(sliced(x, plan), plan.shape);
  if (!advanced(plan)) return base.get() == x.get() ? slice(x, plan.start, plan.step, plan.size) : base;
  const Gathered g = gather(base, plan.at);
  return placed(take_rows(g.rows, g.index), g, plan.adjacent);
}

void setitem(T x, const std::vector<IndexPart>& key, T value) {
  const Plan plan = make_plan(x, key);
  if (advanced(plan)) {
    const Tensor positions = getitem(numbered(x), key);
    return write_elements(x, positions, without_leading_ones(value, positions.ndim()));
  }
  before_write("setitem", x, &value, 1);
  const NoGrad off;
  const Tensor target = reshape(sliced(alias(x), plan), plan.shape);
  assign("setitem", target, without_leading_ones(alias(value), target.ndim()));
}

}  // namespace steep
