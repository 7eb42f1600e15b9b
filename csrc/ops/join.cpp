// Putting tensors together and repeating them: concat is the only primitive, the rest are made of it, of views and of
// take. Start reading at the rows.
#include <algorithm>

#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/node.h"
#include "graph/recorder.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;
const Param x{"x", Kind::tensor};

// Attributes: axis, then the size of every part along it.
void infer_concat(Call& c) {
  const int axis = static_cast<int>(c.attrs[0]);
  Dims shape = c.in[0].shape();
  for (int i = 1; i < c.count; ++i) {
    shape[axis] = checked_add(shape[axis], c.in[i].dim(axis));
    bool same = c.in[i].ndim() == shape.size();
    for (int d = 0; same && d < shape.size(); ++d) same = d == axis || c.in[i].dim(d) == shape[d];
    if (!same)
      fail<ValueError>("concat: ", c.in[0], " and ", c.in[i], " differ in an axis other than the joined one, ", axis);
  }
  c.out = empty(shape, c.in[0].dtype());
}
void compute_concat(const Call& c) {
  const int axis = static_cast<int>(c.attrs[0]);
  std::int64_t at = 0;
  for (int i = 0; i < c.count; ++i) {
    const std::int64_t n = c.in[i].dim(axis);
    Dims shape = c.out.shape();
    shape[axis] = n;
    copy_strided(view(c.out, shape, c.out.strides(), at * c.out.strides()[axis]), c.in[i]);
    at += n;
  }
}
Tensor concat_rule(R r, T g) {
  std::int64_t at = 0;
  for (int i = 0; i < r.index; ++i) at += r.attrs()[1 + i];
  return narrow(g, static_cast<int>(r.attrs()[0]), at, r.attrs()[1 + r.index]);
}
Tensor concat_jvp(R r, const Tensor* tangents) {
  const int axis = static_cast<int>(r.attrs()[0]);
  std::vector<Tensor> parts;
  for (int i = 0; i < r.node.input_count; ++i) {
    Dims shape = r.node.shape();
    shape[axis] = r.attrs()[1 + i];
    parts.push_back(tangents[i] ? tangents[i] : zeros(shape, r.node.dtype));
  }
  return concat(parts, axis);
}

void require_some(const std::vector<Tensor>& parts, const char* op) {
  if (parts.empty()) fail<ValueError>(op, ": needs at least one tensor");
}
Tensor call_concat(const Op& op, Args& a) {
  require_some(a[0].tensors, op.name);
  if (!a[1].given) {
    for (Tensor& t : a[0].tensors) t = reshape(t, {t.size()});
    return concat(a[0].tensors, 0);
  }
  if (a[0].tensors[0].ndim() == 0) fail<ValueError>(op.name, ": 0-d tensors cannot be joined; use stack()");
  return concat(a[0].tensors, normalize_axis(a[1].integer, a[0].tensors[0].ndim(), op.name));
}
Tensor call_stack(const Op& op, Args& a) {
  require_some(a[0].tensors, op.name);
  const int axis = normalize_axis(a[1].integer, a[0].tensors[0].ndim() + 1, op.name);
  const Tensor first = a[0].tensors[0];
  for (Tensor& t : a[0].tensors) {
    if (!(t.shape() == first.shape()))
      fail<ValueError>(op.name, ": all tensors must have one shape, and these have ", first, " and ", t);
    t = expand_dims(t, std::min(axis, t.ndim()));
  }
  return concat(a[0].tensors, axis);
}

std::vector<Tensor> split_at(T t, int axis, const std::vector<std::int64_t>& at) {
  std::vector<Tensor> parts;
  std::int64_t from = 0;
  for (auto to : at) {
    parts.push_back(narrow(t, axis, std::min(from, t.dim(axis)), std::max<std::int64_t>(0, to - from)));
    from = to;
  }
  return parts;
}
// An axis may be arbitrarily long if another one is empty.
void require_results(const Op& op, T t, std::int64_t count) {
  constexpr std::int64_t most = 1 << 24;
  if (count > most) fail<ValueError>(op.name, ": ", count, " parts of ", t, "; at most ", most, " results can be made");
}

std::vector<Tensor> call_split(const Op& op, Args& a) {
  T t = a[0].tensor;
  const int axis = normalize_axis(a[2].integer, t.ndim(), op.name);
  const std::int64_t n = t.dim(axis);
  std::vector<std::int64_t> at;
  if (a[1].bare) {  // one number: that many equal parts
    const std::int64_t parts = a[1].ints[0];
    if (parts < 1 || n % parts)
      fail<ValueError>(op.name, ": axis ", axis, " of ", t, " has size ", n, ", which ", parts, " parts do not divide");
    require_results(op, t, parts);
    for (std::int64_t i = 1; i <= parts; ++i) at.push_back(i * (n / parts));
  } else {
    for (auto v : a[1].ints) at.push_back(std::clamp<std::int64_t>(v < 0 ? v + n : v, 0, n));
    at.push_back(n);
  }
  return split_at(t, axis, at);
}
std::vector<Tensor> call_unstack(const Op& op, Args& a) {
  T t = a[0].tensor;
  const int axis = normalize_axis(a[1].integer, t.ndim(), op.name);
  std::vector<Tensor> parts;
  require_results(op, t, t.dim(axis));
  for (std::int64_t i = 0; i < t.dim(axis); ++i) parts.push_back(squeeze_axes(narrow(t, axis, i, 1), 1u << axis));
  return parts;
}

Tensor roll_axis(T t, std::int64_t shift, int axis) {
  const std::int64_t n = t.dim(axis);
  const std::int64_t s = n ? ((shift % n) + n) % n : 0;
  return s ? concat({narrow(t, axis, n - s, s), narrow(t, axis, 0, n - s)}, axis) : t;
}
Tensor call_roll(const Op& op, Args& a) {
  Tensor t = a[0].tensor;
  if (!a[2].given) {
    if (a[1].ints.size() != 1) fail<ValueError>(op.name, ": without an axis, shift is one number");
    return reshape(roll_axis(reshape(t, {t.size()}), a[1].ints[0], 0), t.shape());
  }
  const std::size_t shifts = a[1].ints.size();
  if (shifts != 1 && shifts != a[2].ints.size())
    fail<ValueError>(op.name, ": ", shifts, " shifts for ", a[2].ints.size(), " axes");
  for (std::size_t i = 0; i < a[2].ints.size(); ++i)
    t = roll_axis(t, a[1].ints[shifts == 1 ? 0 : i], normalize_axis(a[2].ints[i], t.ndim(), op.name));
  return t;
}

// Where each padded position reads from: clamped to the edge, reflected without repeating it, or wrapped around.
Tensor border_index(std::int64_t before, std::int64_t after, std::int64_t n, const std::string& mode) {
  const Tensor index = empty({before + n + after}, Int64);
  const std::int64_t period = std::max<std::int64_t>(1, 2 * (n - 1));
  for (std::int64_t i = 0; i < index.size(); ++i) {
    if (i % (1 << 14) == 0) k::interruption_point();
    std::int64_t at = i - before;
    if (mode == "wrap") at = ((at % n) + n) % n;
    if (mode == "reflect") {
      at = ((at % period) + period) % period;
      at = std::min(at, period - at);
    }
    index.data<std::int64_t>()[i] = std::clamp<std::int64_t>(at, 0, n - 1);
  }
  return index;
}
Tensor pad_constant(T t, const Dims& before, const Dims& full, double value) {
  const Tensor padded = embed(t, before, Dims::filled(t.ndim(), 1), full);
  if (value == 0) return padded;
  const Tensor inside = embed(full_int(t.shape(), 1, Bool), before, Dims::filled(t.ndim(), 1), full);
  return where(inside, padded, scalar_like(value, t));
}
// (before, after) of every axis: pad_width broadcast to (ndim, 2), as in NumPy, or all of them in one flat list.
std::vector<std::int64_t> pad_widths(const Op& op, const Arg& width, T t) {
  const std::vector<std::int64_t>& w = width.ints;
  const auto axes = static_cast<std::size_t>(t.ndim());
  const Dims s = width.nest.value_or(Dims{0, 0, 0});
  const std::int64_t rows = s.size() == 2 ? s[0] : 1, columns = s.empty() ? 1 : s.back();
  const bool flat = s.size() == 1 && w.size() == 2 * axes;
  if (flat || t.ndim() == 0) return t.ndim() ? w : std::vector<std::int64_t>{};
  if (s.size() > 2 || (rows != 1 && rows != t.ndim()) || (columns != 1 && columns != 2))
    fail<ValueError>(op.name, ": pad_width needs (before, after) for each of the ", t.ndim(), " axes of ", t,
                     ", one pair for all, or one number");
  std::vector<std::int64_t> all;
  for (std::size_t d = 0; d < axes; ++d)
    for (std::int64_t side = 0; side < 2; ++side)
      all.push_back(w[static_cast<std::size_t>((rows == 1 ? 0 : static_cast<std::int64_t>(d)) * columns +
                                               (columns == 1 ? 0 : side))]);
  return all;
}
Tensor call_pad(const Op& op, Args& a) {
  Tensor t = a[0].tensor;
  const auto w = pad_widths(op, a[1], t);
  Dims before, full;
  for (int d = 0; d < t.ndim(); ++d) {
    const std::int64_t first = w[static_cast<std::size_t>(2 * d)], last = w[static_cast<std::size_t>(2 * d + 1)];
    if (first < 0 || last < 0) fail<ValueError>(op.name, ": pad_width is negative on axis ", d, "; slice instead");
    before.push(first);
    full.push(checked_add(t.dim(d), checked_add(first, last)));
  }
  if (a[2].text == "constant") return pad_constant(t, before, full, a[3].real);
  if (a[2].text != "edge" && a[2].text != "reflect" && a[2].text != "wrap")
    fail<ValueError>(op.name, ": mode \"", a[2].text, "\" is none of \"constant\", \"reflect\", \"edge\", \"wrap\"");
  for (int d = 0; d < t.ndim(); ++d) {
    if (full[d] == t.dim(d)) continue;
    if (t.dim(d) == 0) fail<ValueError>(op.name, ": axis ", d, " of ", t, " is empty and has no edge");
    t = take(t, border_index(before[d], full[d] - before[d] - t.dim(d), t.dim(d), a[2].text), d);
  }
  return t;
}

Tensor call_tile(const Op& op, Args& a) {
  Tensor t = a[0].tensor;
  Dims reps = a[1].dims();
  while (reps.size() < t.ndim()) reps.insert(0, 1);
  while (t.ndim() < reps.size()) t = expand_dims(t, 0);
  for (int d = 0; d < t.ndim(); ++d) {
    if (reps[d] < 0) fail<ValueError>(op.name, ": a repetition is negative: ", reps);
    Dims wide = t.shape(), flat = t.shape();
    wide.insert(d, reps[d]);
    flat[d] = checked_mul(flat[d], reps[d]);
    if (reps[d] != 1) t = reshape(broadcast_to(expand_dims(t, d), wide), flat);
  }
  return t;
}
Tensor call_repeat(const Op& op, Args& a) {
  Tensor t = a[0].tensor;
  if (!a[2].given) t = reshape(t, {t.size()});
  const int axis = a[2].given ? normalize_axis(a[2].integer, t.ndim(), op.name) : 0;
  const std::int64_t n = t.dim(axis);
  host_read(a[1].tensor, op.name);
  const Tensor counts = contiguous(astype(a[1].tensor, Int64));
  if (counts.size() != 1 && counts.size() != n)
    fail<ValueError>(op.name, ": ", counts.size(), " repeats for an axis of size ", n);
  std::vector<std::int64_t> at;
  for (std::int64_t i = 0; i < n; ++i) {
    if (i % (1 << 14) == 0) k::interruption_point();
    const std::int64_t times = counts.data<std::int64_t>()[counts.size() == 1 ? 0 : i];
    if (times < 0) fail<ValueError>(op.name, ": a repetition is negative: ", times);
    at.insert(at.end(), static_cast<std::size_t>(times), i);
  }
  const Tensor index = empty({static_cast<std::int64_t>(at.size())}, Int64);
  std::copy(at.begin(), at.end(), index.data<std::int64_t>());
  return take(t, index, axis);
}
// x on one side of a diagonal, 0 on the other.
Tensor triangle(const Op& op, Args& a, bool lower) {
  T t = a[0].tensor;
  if (t.ndim() < 2) fail<ValueError>(op.name, ": ", t, " has fewer than two dimensions");
  const Tensor row = reshape(arange(0, t.dim(-2), 1, Int64), {t.dim(-2), 1});
  const Tensor diagonal =
      subtract(reshape(arange(0, t.dim(-1), 1, Int64), {1, t.dim(-1)}), full_int({}, a[1].integer, Int64));
  return where(lower ? greater_equal(row, diagonal) : greater_equal(diagonal, row), t, scalar_like(0, t));
}

}  // namespace

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  static const Op& op = find_op("concat");
  std::vector<std::int64_t> attrs{axis};
  for (T t : parts) {
    if (t.ndim() <= axis) fail<ValueError>("concat: ", t, " has no axis ", axis);
    attrs.push_back(t.dim(axis));
  }
  return apply(op, parts.data(), static_cast<int>(parts.size()), AttrsRef(attrs.data(), attrs.size()));
}

Rows join_rows() {
  const Param axis{"axis", Kind::integer, "0"}, tensors{"arrays", Kind::tensors};
  const Param k{"k", Kind::integer, "0"}, optional_axis{"axis", Kind::optional_integer, "None"};
  return {
      {.name = "concat",
       .doc = "Tensors joined along an existing axis; flattened first where axis is None.",
       .params = {tensors, {"axis", Kind::optional_integer, "0"}},
       .call = call_concat,
       .infer = infer_concat,
       .compute = compute_concat,
       .promotes = Promote::common,
       .vjp = {{concat_rule}},
       .jvp = Jvp::custom,
       .jvp_rule = concat_jvp,
       .any_dtype = true},
      {.name = "stack",
       .doc = "Tensors of one shape joined along a new axis.",
       .params = {tensors, axis},
       .call = call_stack},
      {.name = "split",
       .doc = "Views of equal parts along an axis, or split at the given positions.",
       .params = {x, {"indices_or_sections", Kind::ints}, axis},
       .call_many = call_split},
      {.name = "unstack",
       .doc = "The slices along an axis, without it.",
       .params = {x, axis},
       .call_many = call_unstack},
      {.name = "roll",
       .doc = "Circular shift of the elements along the axes.",
       .params = {x, {"shift", Kind::ints}, {"axis", Kind::axes, "None"}},
       .call = call_roll},
      {.name = "pad",
       .doc = "x with a border: mode \"constant\", \"reflect\", \"edge\" or \"wrap\"; pad_width as in NumPy.",
       .params =
           {x, {"pad_width", Kind::ints}, {"mode", Kind::text, "\"constant\""}, {"constant_values", Kind::real, "0.0"}},
       .call = call_pad},
      {.name = "tile",
       .doc = "The whole tensor repeated along each axis.",
       .params = {x, {"repetitions", Kind::ints}},
       .call = call_tile},
      {.name = "repeat",
       .doc = "Each element repeated along an axis; of the flattened tensor where axis is None.",
       .params = {x, {"repeats", Kind::index}, optional_axis},
       .call = call_repeat},
      {.name = "tril",
       .doc = "The lower triangle of the last two axes, zeros above diagonal k.",
       .params = {x, k},
       .call = [](const Op& op, Args& a) { return triangle(op, a, true); }},
      {.name = "triu",
       .doc = "The upper triangle of the last two axes, zeros below diagonal k.",
       .params = {x, k},
       .call = [](const Op& op, Args& a) { return triangle(op, a, false); }},
  };
}

}  // namespace steep
