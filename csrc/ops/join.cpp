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
const Param x{"x", Kind::tensor, required, "a tensor"};

struct Concat {
  int axis = 0;
  Ints sizes;  // of every part, along the axis
  STEEP_ATTRIBUTES(axis, sizes)
};
void infer_concat(Call& c) {
  const int axis = c.attrs.as<Concat>().axis;
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
  const int axis = c.attrs.as<Concat>().axis;
  std::int64_t at = 0;
  for (int i = 0; i < c.count; ++i) {
    const std::int64_t n = c.in[i].dim(axis);
    Dims shape = c.out.shape();
    shape[axis] = n;
    const Tensor place = view(c.out, shape, c.out.strides(), c.out->offset + at * c.out.strides()[axis]);
    at += n;
    if (place.bytes() == c.in[i].bytes()) continue;  // computed in place, by a program: graph/places.h
    copy_strided(place, c.in[i]);
  }
}
Tensor concat_rule(R r, T g) {
  const auto a = r.attrs().as<Concat>();
  std::int64_t at = 0;
  for (int i = 0; i < r.index; ++i) at += a.sizes[i];
  return narrow(g, a.axis, at, a.sizes[r.index]);
}
Tensor concat_jvp(R r, const Tensor* tangents) {
  const auto a = r.attrs().as<Concat>();
  std::vector<Tensor> parts;
  for (int i = 0; i < r.node.input_count; ++i) {
    Dims shape = r.node.shape();
    shape[a.axis] = a.sizes[i];
    parts.push_back(tangents[i] ? tangents[i] : zeros(shape, r.node.dtype));
  }
  return concat(parts, a.axis);
}

void require_some(const std::vector<Tensor>& parts, const char* op) {
  if (parts.empty()) fail<ValueError>(op, ": needs at least one tensor");
}
Tensor call_concat(const Op& op, std::vector<Tensor> arrays, std::optional<std::int64_t> axis) {
  require_some(arrays, op.name);
  if (!axis) {
    for (Tensor& t : arrays) t = reshape(t, {t.size()});
    return concat(arrays, 0);
  }
  if (arrays[0].ndim() == 0) fail<ValueError>(op.name, ": 0-d tensors cannot be joined; use stack()");
  return concat(arrays, normalize_axis(*axis, arrays[0].ndim(), op.name));
}
Tensor call_stack(const Op& op, std::vector<Tensor> arrays, std::int64_t axis) {
  require_some(arrays, op.name);
  const int at = normalize_axis(axis, arrays[0].ndim() + 1, op.name);
  const Tensor first = arrays[0];
  for (Tensor& t : arrays) {
    if (!(t.shape() == first.shape()))
      fail<ValueError>(op.name, ": all tensors must have one shape, and these have ", first, " and ", t);
    t = expand_dims(t, std::min(at, t.ndim()));
  }
  return concat(arrays, at);
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

std::vector<Tensor> call_split(const Op& op, T t, const Arg& given, std::int64_t along) {
  const int axis = normalize_axis(along, t.ndim(), op.name);
  const std::int64_t n = t.dim(axis);
  std::vector<std::int64_t> at;
  if (given.bare) {  // one number: that many equal parts
    const std::int64_t parts = given.ints[0];
    if (parts < 1 || n % parts)
      fail<ValueError>(op.name, ": axis ", axis, " of ", t, " has size ", n, ", which ", parts, " parts do not divide");
    require_results(op, t, parts);
    for (std::int64_t i = 1; i <= parts; ++i) at.push_back(i * (n / parts));
  } else {
    for (auto v : given.ints) at.push_back(std::clamp<std::int64_t>(v < 0 ? v + n : v, 0, n));
    at.push_back(n);
  }
  return split_at(t, axis, at);
}
std::vector<Tensor> call_unstack(const Op& op, T t, std::int64_t along) {
  const int axis = normalize_axis(along, t.ndim(), op.name);
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
Tensor call_roll(const Op& op, Tensor t, const Arg& shift, const Arg& axes) {
  if (!axes.given) {
    if (shift.ints.size() != 1) fail<ValueError>(op.name, ": without an axis, shift is one number");
    return reshape(roll_axis(reshape(t, {t.size()}), shift.ints[0], 0), t.shape());
  }
  const std::size_t shifts = shift.ints.size();
  if (shifts != 1 && shifts != axes.ints.size())
    fail<ValueError>(op.name, ": ", shifts, " shifts for ", axes.ints.size(), " axes");
  for (std::size_t i = 0; i < axes.ints.size(); ++i)
    t = roll_axis(t, shift.ints[shifts == 1 ? 0 : i], normalize_axis(axes.ints[i], t.ndim(), op.name));
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
Tensor call_pad(const Op& op, Tensor t, const Arg& width, const std::string& mode, double value) {
  const auto w = pad_widths(op, width, t);
  Dims before, full;
  for (int d = 0; d < t.ndim(); ++d) {
    const std::int64_t first = w[static_cast<std::size_t>(2 * d)], last = w[static_cast<std::size_t>(2 * d + 1)];
    if (first < 0 || last < 0) fail<ValueError>(op.name, ": pad_width is negative on axis ", d, "; slice instead");
    before.push(first);
    full.push(checked_add(t.dim(d), checked_add(first, last)));
  }
  if (mode == "constant") return pad_constant(t, before, full, value);
  if (mode != "edge" && mode != "reflect" && mode != "wrap")
    fail<ValueError>(op.name, ": mode \"", mode, "\" is none of \"constant\", \"reflect\", \"edge\", \"wrap\"");
  for (int d = 0; d < t.ndim(); ++d) {
    if (full[d] == t.dim(d)) continue;
    if (t.dim(d) == 0) fail<ValueError>(op.name, ": axis ", d, " of ", t, " is empty and has no edge");
    t = take(t, border_index(before[d], full[d] - before[d] - t.dim(d), t.dim(d), mode), d);
  }
  return t;
}

Tensor call_tile(const Op& op, Tensor t, const Arg& repetitions) {
  Dims reps = repetitions.dims();
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
// Position i counts[i] times, for every i; one count is everybody's.
Tensor repeated_positions(const Op& op, T counts, std::int64_t n) {
  const auto* times = counts.data<std::int64_t>();
  const std::int64_t step = counts.size() == 1 ? 0 : 1;
  std::int64_t total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (i % (1 << 14) == 0) k::interruption_point();
    if (times[i * step] < 0) fail<ValueError>(op.name, ": a repetition is negative: ", times[i * step]);
    total = checked_add(total, times[i * step]);
  }
  const Tensor index = empty({total}, Int64);
  auto* to = index.data<std::int64_t>();
  constexpr std::int64_t stretch = 1 << 14;
  std::int64_t since = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (i % stretch == 0) k::interruption_point();
    for (std::int64_t left = times[i * step], some; left > 0; left -= some) {
      to = std::fill_n(to, some = std::min(left, stretch), i);
      if ((since += some) >= stretch) since = 0, k::interruption_point();
    }
  }
  return index;
}
Tensor call_repeat(const Op& op, Tensor t, T repeats, std::optional<std::int64_t> along) {
  if (!along) t = reshape(t, {t.size()});
  const int axis = along ? normalize_axis(*along, t.ndim(), op.name) : 0;
  const std::int64_t n = t.dim(axis);
  host_read(repeats, op.name);
  const Tensor counts = contiguous(astype(repeats, Int64));
  if (counts.size() != 1 && counts.size() != n)
    fail<ValueError>(op.name, ": ", counts.size(), " repeats for an axis of size ", n);
  if (counts.size() != 1) return take(t, repeated_positions(op, counts, n), axis);
  const std::int64_t times = *counts.data<std::int64_t>();
  if (times < 0) fail<ValueError>(op.name, ": a repetition is negative: ", times);
  Dims wide, shape = t.shape();
  for (int d = 0; d < t.ndim(); ++d) {
    wide.push(t.dim(d));
    if (d == axis) wide.push(times);
  }
  shape[axis] = checked_mul(n, times);
  return reshape(broadcast_to(expand_dims(t, axis + 1), wide), shape);
}
// x on one side of a diagonal, 0 on the other.
template <bool lower> Tensor triangle(const Op& op, T t, std::int64_t k) {
  if (t.ndim() < 2) fail<ValueError>(op.name, ": ", t, " has fewer than two dimensions");
  const Tensor row = reshape(arange(0, t.dim(-2), 1, Int64), {t.dim(-2), 1});
  const Tensor diagonal = subtract(reshape(arange(0, t.dim(-1), 1, Int64), {1, t.dim(-1)}), full_int({}, k, Int64));
  return where(lower ? greater_equal(row, diagonal) : greater_equal(diagonal, row), t, scalar_like(0, t));
}

}  // namespace

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  static const Op& op = find_op("concat");
  std::vector<std::int64_t> sizes;
  for (T t : parts) {
    if (t.ndim() <= axis) fail<ValueError>("concat: ", t, " has no axis ", axis);
    sizes.push_back(t.dim(axis));
  }
  return apply(op, parts.data(), static_cast<int>(parts.size()), Concat{axis, sizes});
}

namespace {

const Param k{"k", Kind::integer, "0", "the last diagonal that is kept: 0 the main one, above it if positive"};
constexpr const char* bad_axis = "IndexError: if x has no such axis.";
constexpr const char* bad_matrix = "ValueError: if x has fewer than two axes.";

Rows joining_rows() {
  return {
      {.name = "concat",
       .doc = "Tensors joined along an existing axis; flattened first where axis is None.",
       .returns = "A tensor of the operands' common dtype.",
       .raises =
           "IndexError: if there is no such axis.\nValueError: if there are no tensors, or they differ in another "
           "axis.",
       .source = array_api,
       .example = ">>> sp.concat([sp.tensor([1, 2]), sp.tensor([3])])\n"
                  "tensor([1, 2, 3], dtype=int64)",
       .params = {{"arrays", Kind::tensors, required, "tensors that agree in all other axes"},
                  {"axis", Kind::optional_integer, "0", "the axis to join along"}},
       .attrs = attributes<Concat>(),
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
       .returns = "A tensor with one axis more.",
       .raises =
           "IndexError: if the result has no such axis.\nValueError: if there are no tensors, or their shapes differ.",
       .source = array_api,
       .example = ">>> sp.stack([sp.tensor([1, 2]), sp.tensor([3, 4])], axis=1)\n"
                  "tensor([[1, 3],\n"
                  "        [2, 4]], dtype=int64)",
       .params = {{"arrays", Kind::tensors, required, "tensors of one shape"},
                  {"axis", Kind::integer, "0", "the position of the new axis in the result"}},
       .call = call_stack},
      {.name = "split",
       .doc = "Views of equal parts along an axis, or split at the given positions.",
       .returns = "A tuple of tensors.",
       .raises =
           "IndexError: if x has no such axis.\nValueError: if the axis cannot be divided into so many equal parts.",
       .source = like_numpy,
       .example = ">>> sp.split(sp.arange(5), [2, 3])\n"
                  "(tensor([0, 1], dtype=int64), tensor([2], dtype=int64), tensor([3, 4], dtype=int64))",
       .params = {x,
                  {"indices_or_sections", Kind::ints, required,
                   "the number of equal parts, or a list of the positions where a part ends and the next begins"},
                  {"axis", Kind::integer, "0", "the axis to split"}},
       .call_many = call_split},
      {.name = "unstack",
       .doc = "The slices along an axis, without it; views.",
       .returns = "A tuple of as many tensors as the axis is long.",
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.unstack(sp.tensor([[1, 2], [3, 4]]))\n"
                  "(tensor([1, 2], dtype=int64), tensor([3, 4], dtype=int64))",
       .params = {x, {"axis", Kind::integer, "0", "the axis to take apart"}},
       .call_many = call_unstack},
  };
}

Rows moving_rows() {
  return {
      {.name = "roll",
       .doc = "Circular shift of the elements along the axes: those that leave at one end come in at the other.",
       .returns = "A tensor of x's shape.",
       .raises = "IndexError: if x has no such axis.\nValueError: if there are not as many shifts as axes.",
       .source = array_api,
       .example = ">>> sp.roll(sp.arange(5), 2)\n"
                  "tensor([3, 4, 0, 1, 2], dtype=int64)",
       .params = {x,
                  {"shift", Kind::ints, required,
                   "places to move by, towards the end if positive; one, or one per axis"},
                  {"axis", Kind::axes, "None", "the axes to shift along; the flattened tensor where None"}},
       .call = call_roll},
      {.name = "pad",
       .doc = "x with a border: mode \"constant\", \"reflect\", \"edge\" or \"wrap\"; pad_width as in NumPy.",
       .returns = "A larger tensor with x inside.",
       .raises =
           "ValueError: for a negative width, a width that fits no axis, another mode, or an empty axis without an "
           "edge.",
       .source = like_numpy,
       .example = ">>> sp.pad(sp.tensor([1, 2, 3]), (1, 2), mode=\"reflect\")\n"
                  "tensor([2, 1, 2, 3, 2, 1], dtype=int64)",
       .params = {x,
                  {"pad_width", Kind::ints, required,
                   "elements to add: one number, one pair (before, after) for all axes, or a pair for each"},
                  {"mode", Kind::text, "\"constant\"",
                   "what the border holds: \"constant\", \"edge\" repeats the last element, \"reflect\" mirrors at it, "
                   "\"wrap\" continues at the other end"},
                  {"constant_values", Kind::real, "0.0", "the number of a constant border"}},
       .call = call_pad},
      {.name = "tile",
       .doc = "The whole tensor repeated along each axis.",
       .returns = "A tensor whose sizes are those of x times the repetitions.",
       .raises = "ValueError: for a negative number of repetitions.",
       .source = array_api,
       .example = ">>> sp.tile(sp.tensor([1, 2]), 2)\n"
                  "tensor([1, 2, 1, 2], dtype=int64)",
       .params = {x,
                  {"repetitions", Kind::ints, required, "how often along each axis, the last ones if there are fewer"}},
       .call = call_tile},
      {.name = "repeat",
       .doc = "Each element repeated along an axis; of the flattened tensor where axis is None.",
       .returns = "A tensor that is longer along the axis.",
       .raises =
           "IndexError: if x has no such axis.\nValueError: for a negative number, or another number of repeats than "
           "elements.",
       .source = array_api,
       .example = ">>> sp.repeat(sp.tensor([1, 2]), sp.tensor([1, 3]))\n"
                  "tensor([1, 2, 2, 2], dtype=int64)",
       .params = {x,
                  {"repeats", Kind::index, required, "how often each element occurs: one number, or one for each"},
                  {"axis", Kind::optional_integer, "None", "the axis to repeat along"}},
       .call = call_repeat},
      {.name = "tril",
       .doc = "The lower triangle of the last two axes, zeros above diagonal k.",
       .returns = "A tensor of x's shape.",
       .raises = bad_matrix,
       .source = array_api,
       .example = ">>> sp.tril(sp.tensor([[1, 2], [3, 4]]))\n"
                  "tensor([[1, 0],\n"
                  "        [3, 4]], dtype=int64)",
       .params = {x, k},
       .call = triangle<true>},
      {.name = "triu",
       .doc = "The upper triangle of the last two axes, zeros below diagonal k.",
       .returns = "A tensor of x's shape.",
       .raises = bad_matrix,
       .source = array_api,
       .example = ">>> sp.triu(sp.tensor([[1, 2], [3, 4]]), k=1)\n"
                  "tensor([[0, 2],\n"
                  "        [0, 0]], dtype=int64)",
       .params = {x,
                  {"k", Kind::integer, "0", "the first diagonal that is kept: 0 the main one, above it if positive"}},
       .call = triangle<false>},
  };
}

}  // namespace

Rows join_rows() { return joined({joining_rows, moving_rows}); }

}  // namespace steep
