// Reductions over any set of axes. Which kernel one runs is in reduce_run.cpp; maps along an axis, which keep its
// shape, are in row_maps.cpp.

#include <cmath>

#include "core/iterate.h"
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/reduce.h"
#include "ops/registry.h"

namespace steep {
namespace {

using k::Reduction;
using T = const Tensor&;
using R = const Rule&;

const Param x{"x", Kind::tensor, required, "a tensor of any shape"},
    axes_param{"axis", Kind::axes, "None", "the axis to reduce, or several of them; all where None"},
    keep_param{"keepdims", Kind::flag, "False", "whether reduced axes stay, with size 1"},
    dtype_param{"dtype", Kind::dtype, "None",
                "dtype to compute in and of the result; by default x's, int64 for "
                "integers and bools",
                true};
constexpr const char* reduced = "A tensor without the reduced axes, or with size 1 there if keepdims.";
constexpr const char* bad_axis = "IndexError: if x has no such axis.\nValueError: if an axis is given twice.";
constexpr const char* bad_axis_or_empty =
    "IndexError: if x has no such axis.\nValueError: if an axis is given twice, or nothing is left to reduce.";

Dims reduced_shape(const Dims& shape, unsigned axes, bool keepdims) {
  Dims out;
  for (int d = 0; d < shape.size(); ++d)
    if (!(axes >> d & 1)) out.push(shape[d]);
    else if (keepdims) out.push(1);
  return out;
}

std::int64_t reduced_count(const Dims& shape, unsigned axes) {
  std::int64_t n = 1;
  for (int d = 0; d < shape.size(); ++d)
    if (axes >> d & 1) n *= shape[d];
  return n;
}

template <Reduction kind> void compute_reduce(const Call& c) { run_reduction(c, kind, c.attrs.as<Reduce>().axes); }

template <DType (*type)(DType)> void infer_reduce(Call& c) {
  const auto a = c.attrs.as<Reduce>();
  c.out = empty(reduced_shape(c.in[0].shape(), a.axes, a.keepdims), type(c.in[0].dtype()));
}
DType same_type(DType t) { return t; }
DType bool_type(DType) { return Bool; }
DType index_type(DType) { return Int64; }

// max, min, argmax and argmin of no elements are undefined.
void refuse_empty(const Op& op, T t, unsigned axes) {
  if (reduced_count(t.shape(), axes) == 0 && numel(reduced_shape(t.shape(), axes, false)) > 0)
    fail<ValueError>(op.name, ": ", t, " has no elements along the reduced axes, and ", op.name,
                     " of nothing is undefined");
}

Tensor call_reduce(const Op& op, T x, const Arg& axis, bool keepdims) {
  return apply(op, {x}, Reduce{parse_axes(axis, x, op.name), keepdims});
}
// Cast to the accumulation dtype first, if one is given.
Tensor call_total(const Op& op, T x, const Arg& axis, bool keepdims, std::optional<DType> dtype) {
  if (!dtype) return call_reduce(op, x, axis, keepdims);
  return astype(call_reduce(op, astype(x, *dtype), axis, keepdims), *dtype);
}
Tensor call_extreme(const Op& op, T x, const Arg& axis, bool keepdims) {
  refuse_empty(op, x, parse_axes(axis, x, op.name));
  return call_reduce(op, x, axis, keepdims);
}
Tensor call_logical(const Op& op, T x, const Arg& axis, bool keepdims) {
  return call_reduce(op, astype(x, Bool), axis, keepdims);
}

// The reduced tensor `y` (or its gradient) with the axes put back, so that it broadcasts against the operand.
Tensor restored(R r, T y) {
  const auto a = r.attrs().as<Reduce>();
  return a.keepdims ? y : keep_axes(y, a.axes, r.shape(0));
}
Tensor sum_rule(R r, T g) { return broadcast_to(restored(r, g), r.shape(0)); }
Tensor extreme_rule(R r, T g) {
  const Tensor v = r.in(0), hit = equal(v, restored(r, r.out()));
  const Tensor ties = sum(astype(hit, v.dtype()), r.attrs().as<Reduce>().axes, true);
  return where(hit, mul_zero(restored(r, g), reciprocal(ties)), scalar_like(0, g));
}

// Each element's product of all others in its row, without dividing: the product of those before times that of those
// after.
Tensor products_of_others(T rows) {
  const std::int64_t n = rows.dim(1);
  const Tensor one = full({rows.dim(0), 1}, 1, rows.dtype());
  const auto before = [&](T t) { return cumulate("cumprod_last", concat({one, narrow(t, 1, 0, n - 1)}, 1)); };
  return multiply(before(rows), flip_last(before(flip_last(rows))));
}
Tensor prod_rule(R r, T g) {
  const unsigned axes = r.attrs().as<Reduce>().axes;
  const Tensor v = r.in(0);
  const std::int64_t n = reduced_count(v.shape(), axes);
  if (v.size() == 0) return zeros(v.shape(), v.dtype());
  Dims order, moved, back = Dims::filled(v.ndim(), 0);
  for (int pass = 0; pass < 2; ++pass)
    for (int d = 0; d < v.ndim(); ++d)
      if ((axes >> d & 1) == static_cast<unsigned>(pass)) order.push(d), moved.push(v.dim(d));
  for (int d = 0; d < order.size(); ++d) back[static_cast<int>(order[d])] = d;
  const Tensor rows = reshape(permute_dims(v, order), {v.size() / n, n});
  return mul_zero(restored(r, g), permute_dims(reshape(products_of_others(rows), moved), back));
}

Op reduction(const char* name, const char* doc, const char* example, void (*infer)(Call&), void (*compute)(const Call&),
             std::vector<Vjp> vjp, Promote promotes, Function<Tensor> call = call_reduce) {
  return {.name = name,
          .doc = doc,
          .returns = reduced,
          .raises = bad_axis,
          .source = array_api,
          .example = example,
          .params = {x, axes_param, keep_param},
          .attrs = attributes<Reduce>(),
          .call = call,
          .infer = infer,
          .compute = compute,
          .promotes = promotes,
          .vjp = std::move(vjp)};
}
std::int64_t count_of(T t, const Arg& axes, const char* op) {
  return reduced_count(t.shape(), parse_axes(axes, t, op));
}

Tensor mean(const Op& op, T x, const Arg& axis, bool keepdims) {
  const Tensor t = astype(x, to_float(x.dtype()));
  const double n = static_cast<double>(count_of(t, axis, op.name));
  return divide(sum(t, parse_axes(axis, t, op.name), keepdims), scalar_like(n, t));
}
Tensor variance(const Op& op, T x, const Arg& axis, double correction, bool keepdims) {
  const Tensor t = astype(x, to_float(x.dtype()));
  const unsigned axes = parse_axes(axis, t, op.name);
  const double n = static_cast<double>(reduced_count(t.shape(), axes));
  const Tensor centred = subtract(t, divide(sum(t, axes, true), scalar_like(n, t)));
  // The rounding error of the mean is corrected, so that equal numbers have variance 0.
  const Tensor left = alias(divide(sum(alias(centred), axes, true), scalar_like(n, t)));
  return divide(sum(square(subtract(centred, left)), axes, keepdims), scalar_like(std::max(n - correction, 0.0), t));
}
// The p-th root with the subgradient 0 at 0, where the root of a sum of powers has a corner.
Tensor root(T t, double p = 2) {
  if (p < 0) return pow(t, scalar_like(1 / p, t));
  const Tensor zero = scalar_like(0, t), flat = equal(t, zero), safe = where(flat, scalar_like(1, t), t);
  return where(flat, zero, p == 2 ? sqrt(safe) : pow(safe, scalar_like(1 / p, t)));
}
Tensor logsumexp(const Op& op, T x, const Arg& axis, bool keepdims) {
  refuse_empty(op, x, parse_axes(axis, x, op.name));
  const Tensor t = astype(x, to_float(x.dtype()));
  const unsigned axes = parse_axes(axis, t, op.name);
  const Tensor top = alias(amax(alias(t), axes, true));
  const Tensor shift = where(isfinite(top), top, scalar_like(0, t));
  const Tensor y = add(log(sum(exp(subtract(t, shift)), axes, true)), shift);
  return keepdims ? y : squeeze_axes(y, axes);
}
// The Euclidean norm; its gradient, the direction of t, is 0 at 0.
void compute_euclidean(const Call& c) { run_euclidean_norm(c, c.attrs.as<Reduce>().axes); }
Tensor euclidean_rule(R r, T g) {
  const Tensor y = restored(r, r.out()), zero = scalar_like(0, y), none = equal(y, zero);
  return zero_where(none, mul_zero(restored(r, g), divide(r.in(0), where(none, scalar_like(1, y), y))));
}
// 1 where the largest magnitude is `top`, or a power of two that keeps squares from overflowing or underflowing.
Tensor scale_of_squares(T top) {
  const bool wide = top.dtype() == Float64;
  const auto power = [&](int single, int twice) { return scalar_like(std::ldexp(1.0, wide ? twice : single), top); };
  const Tensor large = greater(top, power(60, 500)), small = less(top, power(-40, -400));
  return where(large, power(-80, -700), where(small, power(100, 800), scalar_like(1, top)));
}
// The largest magnitude, 1 if it is 0 or not finite.
Tensor scale_of_powers(T top) {
  const Tensor usable = binary(k::Kernel::logical_and, isfinite(top), greater(top, scalar_like(0, top)));
  return where(usable, top, scalar_like(1, top));
}
// |t|^p, with the derivative 0 at 0 also where p < 1.
Tensor power_of_size(T size, double p) {
  const Tensor exponent = scalar_like(p, size);
  if (p < 0 || p >= 1) return pow(size, exponent);
  const Tensor none = equal(size, scalar_like(0, size));
  return zero_where(none, pow(where(none, scalar_like(1, size), size), exponent));
}
// (sum |t|^p)^(1/p), of t scaled so that powers neither overflow nor underflow.
Tensor power_norm(T t, double p, unsigned axes, bool keep) {
  const Tensor top = alias(reduce(p > 0 ? "max" : "min", unary(k::Kernel::abs, alias(t)), axes, true));
  const Tensor scale = scale_of_squares(top), near = multiply(t, scale), unit = scale_of_powers(multiply(top, scale));
  const Tensor powers = power_of_size(divide(unary(k::Kernel::abs, near), unit), p);
  const Tensor y = divide(multiply(root(sum(powers, axes, true), p), unit), scale);
  return keep ? y : squeeze_axes(y, axes);
}
Tensor norm(const Op& op, T x, double p, const Arg& axis, bool keep) {
  const Tensor t = astype(x, to_float(x.dtype()));
  const unsigned axes = parse_axes(axis, t, op.name);
  const bool nothing = reduced_count(t.shape(), axes) == 0;
  if (p == 0) return sum(astype(not_equal(t, scalar_like(0, t)), t.dtype()), axes, keep);
  if (p < 0) refuse_empty(op, t, axes);
  if (p == 2 && !nothing) return apply(find_op("euclidean_norm"), {t}, Reduce{axes, keep});
  const Tensor size = unary(k::Kernel::abs, t);
  if (p == 1 || nothing) return sum(size, axes, keep);
  if (std::isinf(p)) return reduce(p > 0 ? "max" : "min", size, axes, keep);
  return power_norm(t, p, axes, keep);
}
Tensor argextreme(const Op& op, T t, std::optional<std::int64_t> axis, bool keepdims) {
  const unsigned axes = axis ? 1u << normalize_axis(*axis, t.ndim(), op.name) : all_axes(t);
  refuse_empty(op, t, axes);
  return apply(op, {t}, Reduce{axes, keepdims});
}

Rows plain_rows() {
  const char* ties = "shared equally by ties";
  Op max = reduction("max", "The largest element over the axes; NaN if there is one.",
                     ">>> sp.max(sp.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)\n"
                     "tensor([5., 3.], dtype=float32)",
                     infer_reduce<same_type>, compute_reduce<Reduction::max>, {{extreme_rule, in0 | save_out}},
                     Promote::none, call_extreme);
  Op min = reduction("min", "The smallest element over the axes; NaN if there is one.",
                     ">>> sp.min(sp.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)\n"
                     "tensor([1., 2.], dtype=float32)",
                     infer_reduce<same_type>, compute_reduce<Reduction::min>, {{extreme_rule, in0 | save_out}},
                     Promote::none, call_extreme);
  max.subgradient = min.subgradient = ties;
  Op sum = reduction("sum", "Sum over the axes; integers and bools are accumulated in int64, or in dtype if given.",
                     ">>> sp.sum(sp.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)\n"
                     "tensor([4., 6.], dtype=float32)",
                     infer_reduce<same_type>, compute_reduce<Reduction::sum>, {{sum_rule}}, Promote::sum, call_total);
  sum.jvp = Jvp::linear;
  sum.fold = Reduction::sum;
  max.fold = Reduction::max;
  min.fold = Reduction::min;
  Op prod = reduction(
      "prod",
      "Product over the axes; integers and bools as in sum(). Gradients are exact with zeros among the factors.",
      ">>> sp.prod(sp.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1, keepdims=True)\n"
      "tensor([[ 2.],\n"
      "        [12.]], dtype=float32)",
      infer_reduce<same_type>, compute_reduce<Reduction::prod>, {{prod_rule, in0}}, Promote::sum, call_total);
  sum.params.push_back(dtype_param);
  prod.params.push_back(dtype_param);
  Op argmax = reduction("argmax", "Position of the first largest element along an axis, or of all.",
                        ">>> sp.argmax(sp.tensor([[1, 5], [3, 2]]), axis=1)\n"
                        "tensor([1, 0], dtype=int64)",
                        infer_reduce<index_type>, compute_reduce<Reduction::argmax>, {}, Promote::none, argextreme);
  Op argmin = reduction("argmin", "Position of the first smallest element along an axis, or of all.",
                        ">>> sp.argmin(sp.tensor([[1, 5], [3, 2]]), axis=1)\n"
                        "tensor([0, 1], dtype=int64)",
                        infer_reduce<index_type>, compute_reduce<Reduction::argmin>, {}, Promote::none, argextreme);
  argmax.params[1] = argmin.params[1] = {"axis", Kind::optional_integer, "None",
                                         "the axis to search along; all elements, in row-major order, where None"};
  for (Op* op : {&max, &min, &argmax, &argmin}) op->raises = bad_axis_or_empty;
  return {sum,
          prod,
          max,
          min,
          argmax,
          argmin,
          reduction("any", "Whether any element over the axes is true.",
                    ">>> sp.any(sp.tensor([[0, 1], [0, 0]]), axis=1)\n"
                    "tensor([ True, False], dtype=bool)",
                    infer_reduce<bool_type>, compute_reduce<Reduction::any>, {}, Promote::none, call_logical),
          reduction("all", "Whether all elements over the axes are true.",
                    ">>> sp.all(sp.tensor([[1, 1], [0, 1]]), axis=1)\n"
                    "tensor([ True, False], dtype=bool)",
                    infer_reduce<bool_type>, compute_reduce<Reduction::all>, {}, Promote::none, call_logical)};
}

Rows composite_rows() {
  const Param correction{"correction", Kind::real, "0.0",
                         "what is subtracted from the number n of elements in the "
                         "divisor: 1 for the unbiased estimate"};
  return {
      {.name = "mean",
       .doc = "Arithmetic mean over the axes; integers become float32.",
       .returns = reduced,
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.mean(sp.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)\n"
                  "tensor([1.5, 3.5], dtype=float32)",
       .params = {x, axes_param, keep_param},
       .call = mean},
      {.name = "var",
       .doc = "Variance over the axes; the divisor is n - correction.",
       .returns = reduced,
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.var(sp.tensor([1.0, 2.0, 3.0, 4.0]), correction=1)\n"
                  "tensor(1.6666666, dtype=float32)",
       .params = {x, axes_param, correction, keep_param},
       .call = variance},
      {.name = "std",
       .doc = "Standard deviation over the axes; the divisor is n - correction.",
       .returns = reduced,
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.std(sp.tensor([1.0, 3.0]))\n"
                  "tensor(1., dtype=float32)",
       .params = {x, axes_param, correction, keep_param},
       .call = [](const Op& op, T x, const Arg& axis, double correction,
                  bool keepdims) { return root(variance(op, x, axis, correction, keepdims)); },
       .subgradient = "0 where all are equal"},
      {.name = "logsumexp",
       .doc = "log(sum(exp(x))) over the axes, without overflow.",
       .returns = reduced,
       .raises = bad_axis_or_empty,
       .source = "SciPy's scipy.special.logsumexp; Blanchard, Higham and Higham 2021, \"Accurately computing the "
                 "log-sum-exp and softmax functions\", doi:10.1093/imanum/draa038.",
       .example = ">>> sp.logsumexp(sp.tensor([1000.0, 1000.0]))\n"
                  "tensor(1000.6932, dtype=float32)",
       .params = {x, axes_param, keep_param},
       .call = logsumexp},
      {.name = "norm",
       .doc = "The vector p-norm (ord = 1, 2, inf, any p) over the axes: the p-th root of the sum of |x|^p, without "
              "overflow on the way; the largest magnitude for inf, the number of nonzero elements for 0.",
       .returns = reduced,
       .raises = bad_axis,
       .source = "The Python array API standard, linalg.vector_norm.",
       .example = ">>> sp.norm(sp.tensor([[3.0, 4.0], [6.0, 8.0]]), axis=1)\n"
                  "tensor([ 5., 10.], dtype=float32)",
       .params = {x,
                  {"ord", Kind::real, "2.0", "the exponent p; inf and -inf for the largest and smallest magnitude"},
                  axes_param,
                  keep_param},
       .call = norm,
       .subgradient = "0 at 0"},
      {.name = "euclidean_norm",
       .attrs = attributes<Reduce>(),
       .infer = infer_reduce<same_type>,
       .compute = compute_euclidean,
       .promotes = Promote::floating,
       .vjp = {{euclidean_rule, in0 | save_out}},
       .hidden = true},
      {.name = "count_nonzero",
       .doc = "Number of nonzero elements over the axes, int64.",
       .returns = reduced,
       .raises = bad_axis,
       .source = array_api,
       .example = ">>> sp.count_nonzero(sp.tensor([[0, 3], [1, 2]]), axis=0)\n"
                  "tensor([1, 2], dtype=int64)",
       .params = {x, axes_param, keep_param},
       .call = [](const Op& op, T x, const Arg& axis,
                  bool keepdims) { return sum(astype(x, Bool), parse_axes(axis, x, op.name), keepdims); },
       .discrete = true},
  };
}

}  // namespace

unsigned all_axes(T t) { return (1u << t.ndim()) - 1; }

unsigned parse_axes(const Arg& arg, T t, const char* op) {
  if (!arg.given) return all_axes(t);
  unsigned mask = 0;
  for (auto a : arg.ints) {
    const unsigned bit = 1u << normalize_axis(a, t.ndim(), op);
    if (mask & bit) fail<ValueError>(op, ": axis ", a, " is given twice");
    mask |= bit;
  }
  return mask;
}

Tensor reduce(const char* name, T t, unsigned axes, bool keepdims) {
  return apply(find_op(name), {t}, Reduce{axes, keepdims});
}
Tensor sum(T t, unsigned axes, bool keepdims) {
  static const Op& op = find_op("sum");
  return apply(op, &t, 1, Reduce{axes, keepdims});
}
Tensor amax(T t, unsigned axes, bool keepdims) { return reduce("max", t, axes, keepdims); }
Tensor all(T t) { return reduce("all", astype(t, Bool), all_axes(t), false); }

Tensor sum_to(T t, const Dims& shape) {
  const int lead = t.ndim() - shape.size();
  unsigned axes = 0;
  for (int d = 0; d < t.ndim(); ++d)
    if (d < lead || (shape[d - lead] == 1 && t.dim(d) != 1)) axes |= 1u << d;
  const Tensor s = axes ? sum(t, axes, true) : t;
  return lead ? reshape(s, shape) : s;
}

Rows reduce_rows() {
  Rows all;
  for (auto part : {plain_rows, composite_rows})
    for (Op& op : part()) all.push_back(std::move(op));
  return all;
}

}  // namespace steep
