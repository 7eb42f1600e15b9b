// Maps along one axis, which keep the shape: softmax, log-softmax, cumulative sums and products, and the linear
// recurrence that is their derivative. Along the last axis by rows; softmax along another by columns, without moving
// it. Start reading at along().

#include "core/iterate.h"
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/reduce.h"
#include "ops/registry.h"

namespace steep {
namespace {

using k::RowMap;
using T = const Tensor&;
using R = const Rule&;

const Param x{"x", Kind::tensor, required, "a tensor of any shape"},
    dtype_param{"dtype", Kind::dtype, "None",
                "dtype to compute in and of the result; by default x's, int64 for integers and bools", true};

// A row shifted by one, with `first` at its beginning.
Tensor delayed(T t, double first) {
  if (t.size() == 0) return t;
  Dims shape = t.shape();
  shape[t.ndim() - 1] = 1;
  return concat({full(shape, first, t.dtype()), narrow(t, t.ndim() - 1, 0, t.dim(-1) - 1)}, t.ndim() - 1);
}
Tensor recurrence(T a, T b) { return apply(find_op("recurrence_last"), {a, b}); }
// The adjoint of y[i] = b[i] + a[i] y[i - 1]: the same recurrence from the other end.
Tensor recurrence_adjoint(T a, T g) { return flip_last(recurrence(delayed(flip_last(a), 0), flip_last(g))); }
// The product of all elements before x[i], times the adjoint of all running products that contain x[i].
Tensor cumprod_rule(R r, T g) {
  const Tensor v = r.in(0);
  return mul_zero(recurrence_adjoint(v, g), delayed(cumulate("cumprod_last", v), 1));
}

// y[i] = b[i] + a[i] y[i - 1] along the last axis, y[-1] = 0. 0 times infinity or NaN is 0.
template <class E> void recurrence_rows(const E* a, const E* b, E* y, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = 0; r < rows; ++r, a += n, b += n, y += n) {
    E last = 0;
    for (std::int64_t i = 0; i < n; ++i) y[i] = last = last == 0 ? b[i] : b[i] + a[i] * last;
  }
}
void compute_recurrence(const Call& c) {
  const Tensor a = contiguous(c.in[0]), b = contiguous(c.in[1]);
  if (c.out.size() == 0) return;
  const std::int64_t n = a.dim(-1);
  parallel_for(a.size() / n, std::max<std::int64_t>(1, 8192 / n), 3.0 * static_cast<double>(n),
               [&](std::int64_t from, std::int64_t to) {
                 const auto run = [&]<class E>(E*) {
                   recurrence_rows(a.data<E>() + from * n, b.data<E>() + from * n, c.out.data<E>() + from * n,
                                   to - from, n);
                 };
                 if (a.dtype() == Float32) run(static_cast<float*>(nullptr));
                 else run(static_cast<double*>(nullptr));
               });
}

// f(offset in bytes, how many) for some columns of every matrix of the last two axes.
template <class F> void over_columns(T t, F f) {
  if (t.size() == 0) return;
  const std::int64_t n = t.dim(-2), inner = t.dim(-1), columns = t.size() / n, item = size_of(t.dtype());
  const std::int64_t grain = std::max<std::int64_t>(64, 8192 / n);
  parallel_for(columns, grain, static_cast<double>(n), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t some; b < e; b += some) {
      const std::int64_t matrix = b / inner, column = b % inner;
      some = std::min(e - b, inner - column);
      f((matrix * n * inner + column) * item, some);
    }
  });
}

template <RowMap kind> void compute_rows(const Call& c) {
  const Tensor in = contiguous(c.in[0]);
  if (in.size() == 0) return;
  const std::int64_t n = in.ndim() ? in.dim(-1) : 1, item = size_of(in.dtype());
  const auto f = k::table().row_map[kind][in.dtype()];
  if (!f) fail<TypeError>(c.op.name, ": not defined for ", in, "; use astype() first");
  const std::int64_t grain = std::max<std::int64_t>(1, 8192 / n);
  parallel_for(in.size() / n, grain, static_cast<double>(n), [&](std::int64_t b, std::int64_t e) {
    f(in.bytes() + b * n * item, c.out.bytes() + b * n * item, e - b, n);
  });
}
// The same down the columns of the last two axes.
template <RowMap kind> void compute_columns(const Call& c) {
  const Tensor in = contiguous(c.in[0]);
  const auto f = k::table().col_map[kind][in.dtype()];
  over_columns(in, [&](std::int64_t at, std::int64_t columns) {
    f(in.bytes() + at, c.out.bytes() + at, in.dim(-2), columns, in.dim(-1));
  });
}
void compute_softmax_gradient(const Call& c) {
  const Tensor g = contiguous(c.in[0]), y = contiguous(c.in[1]);
  if (g.size() == 0) return;
  const auto f = k::table().softmax_gradient[g.dtype()];
  const std::int64_t n = g.dim(-1), item = size_of(g.dtype());
  parallel_for(g.size() / n, std::max<std::int64_t>(1, 8192 / n), static_cast<double>(n),
               [&](std::int64_t b, std::int64_t e) {
                 const std::int64_t at = b * n * item;
                 f(g.bytes() + at, y.bytes() + at, c.out.bytes() + at, e - b, n);
               });
}
void compute_columns_softmax_gradient(const Call& c) {
  const Tensor g = contiguous(c.in[0]), y = contiguous(c.in[1]);
  const auto f = k::table().col_softmax_gradient[g.dtype()];
  over_columns(g, [&](std::int64_t at, std::int64_t columns) {
    f(g.bytes() + at, y.bytes() + at, c.out.bytes() + at, g.dim(-2), columns, g.dim(-1));
  });
}
void infer_like(Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); }

// A map along the last axis, applied along any: where `columns` names the map along the second last axis, and moving
// the axis would copy t, by that.
Tensor along(const char* row, T t, std::int64_t axis, const char* op, const char* columns = nullptr) {
  const Op& last = find_op(row);
  if (t.ndim() == 0) return reshape(apply(last, {reshape(t, {1})}), {});
  const int at = normalize_axis(axis, t.ndim(), op), end = t.ndim() - 1;
  if (at == end) return apply(last, {t});
  const Tensor moved = moveaxis(t, at, end);
  if (!columns || moved.contiguous()) return moveaxis(apply(last, {moved}), end, at);
  Dims shape = t.shape();
  for (int d = at + 2; d <= end; ++d) shape[at + 1] *= shape[d];
  shape.resize(at + 2);
  return reshape(apply(find_op(columns), {reshape(t, shape)}), t.shape());
}

// cumsum and cumprod: of the flattened tensor where axis is None, in dtype, with the identity before it.
Tensor running(const Op& op, const char* row, std::int64_t start, Tensor t, std::optional<std::int64_t> axis,
               std::optional<DType> dtype, bool include_initial) {
  if (dtype) t = astype(t, *dtype);
  if (!axis) t = reshape(t, {t.size()});
  Tensor y = along(row, t, axis.value_or(-1), op.name);
  if (dtype) y = astype(y, *dtype);
  if (!include_initial) return y;
  if (y.ndim() == 0) y = reshape(y, {1});
  Dims shape = y.shape();
  const int at = normalize_axis(axis.value_or(-1), y.ndim(), op.name);
  shape[at] = 1;
  return concat({full_int(shape, start, y.dtype()), y}, at);
}

Op row_map(const char* name, void (*compute)(const Call&), Vjp vjp, Promote promotes) {
  return {.name = name, .infer = infer_like, .compute = compute, .promotes = promotes, .vjp = {vjp}, .hidden = true};
}

// The rules of maps along the last axis, or the second last: `from_end` axes before the end.
template <int from_end> Tensor sum_along(T t) { return sum(t, 1u << (t.ndim() - from_end), true); }
template <int from_end> const Op& softmax_gradient_op() {
  static const Op& op = find_op(from_end == 1 ? "softmax_gradient_last" : "softmax_gradient_columns");
  return op;
}
template <int from_end> Vjp softmax_rule() {
  return {[](R r, T g) { return apply(softmax_gradient_op<from_end>(), {g, r.out()}); }, save_out};
}
template <int from_end> Vjp log_softmax_rule() {
  return {[](R r, T g) { return subtract(g, mul_zero(sum_along<from_end>(g), exp(r.out()))); }, save_out};
}
// (g, y) -> g y - y sum(g y). Symmetric as a matrix applied to g.
template <int from_end> Op softmax_gradient(void (*compute)(const Call&)) {
  const auto by_g = [](R r, T h) { return apply(softmax_gradient_op<from_end>(), {h, r.in(1)}); };
  const auto by_y = [](R r, T h) {
    const Tensor g = r.in(0), y = r.in(1), from_total = mul_zero(g, sum_along<from_end>(mul_zero(h, y)));
    return subtract(mul_zero(h, subtract(g, sum_along<from_end>(mul_zero(g, y)))), from_total);
  };
  return {.name = from_end == 1 ? "softmax_gradient_last" : "softmax_gradient_columns",
          .infer = infer_like,
          .compute = compute,
          .promotes = Promote::floating,
          .vjp = {{by_g, in1}, {by_y, in0 | in1}},
          .hidden = true};
}

}  // namespace

Tensor cumulate(const char* name, T t) { return apply(find_op(name), {t}); }
Tensor flip_last(T t) { return flip(t, 1u << (t.ndim() - 1)); }

Rows map_rows() {
  const Param axis{"axis", Kind::integer, "-1", "the axis whose elements sum to 1"},
      along_axis{"axis", Kind::optional_integer, "-1", "the axis to run along; the flattened tensor where None"},
      initial{"include_initial", Kind::flag, "False", "whether the value of no elements comes first", true};
  Op cumsum = row_map("cumsum_last", compute_rows<RowMap::cumsum>,
                      {[](R, T g) { return flip_last(cumulate("cumsum_last", flip_last(g))); }}, Promote::sum);
  cumsum.jvp = Jvp::linear;
  return {
      cumsum,
      row_map("cumprod_last", compute_rows<RowMap::cumprod>, {cumprod_rule, in0}, Promote::sum),
      {.name = "recurrence_last",
       .infer = infer_like,
       .compute = compute_recurrence,
       .vjp = {{[](R r, T g) { return mul_zero(recurrence_adjoint(r.in(0), g), delayed(r.out(), 0)); }, in0 | save_out},
               {[](R r, T g) { return recurrence_adjoint(r.in(0), g); }, in0}},
       .hidden = true},
      row_map("softmax_last", compute_rows<RowMap::softmax>, softmax_rule<1>(), Promote::floating),
      row_map("softmax_columns", compute_columns<RowMap::softmax>, softmax_rule<2>(), Promote::floating),
      softmax_gradient<1>(compute_softmax_gradient),
      softmax_gradient<2>(compute_columns_softmax_gradient),
      row_map("log_softmax_last", compute_rows<RowMap::log_softmax>, log_softmax_rule<1>(), Promote::floating),
      row_map("log_softmax_columns", compute_columns<RowMap::log_softmax>, log_softmax_rule<2>(), Promote::floating),
      {.name = "cumsum",
       .doc = "Running sum along an axis, of the flattened tensor if axis is None; include_initial puts a 0 first.",
       .returns = "A tensor of x's shape, one longer along the axis with include_initial; 1-d where axis is None.",
       .raises = "IndexError: if x has no such axis.",
       .source = "The Python array API standard, cumulative_sum.",
       .example = ">>> sp.cumsum(sp.tensor([1.0, 2.0, 3.0]))\n"
                  "tensor([1., 3., 6.], dtype=float32)",
       .params = {x, along_axis, dtype_param, initial},
       .call = [](const Op& op, T x, std::optional<std::int64_t> axis, std::optional<DType> dtype,
                  bool include_initial) { return running(op, "cumsum_last", 0, x, axis, dtype, include_initial); }},
      {.name = "cumprod",
       .doc = "Running product along an axis, of the flattened tensor if axis is None; include_initial puts a 1 first.",
       .returns = "A tensor of x's shape, one longer along the axis with include_initial; 1-d where axis is None.",
       .raises = "IndexError: if x has no such axis.",
       .source = "The Python array API standard, cumulative_prod.",
       .example = ">>> sp.cumprod(sp.tensor([1.0, 2.0, 3.0]), include_initial=True)\n"
                  "tensor([1., 1., 2., 6.], dtype=float32)",
       .params = {x, along_axis, dtype_param, initial},
       .call = [](const Op& op, T x, std::optional<std::int64_t> axis, std::optional<DType> dtype,
                  bool include_initial) { return running(op, "cumprod_last", 1, x, axis, dtype, include_initial); }},
      {.name = "softmax",
       .doc = "exp(x) / sum(exp(x)) along an axis, without overflow.",
       .returns = "A tensor of x's shape with elements in [0, 1], float.",
       .raises = "IndexError: if x has no such axis.",
       .source = "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2.3.",
       .example = ">>> sp.softmax(sp.tensor([[0.0, 0.0], [0.0, 1000.0]]))\n"
                  "tensor([[0.5, 0.5],\n"
                  "        [0. , 1. ]], dtype=float32)",
       .params = {x, axis},
       .call = [](const Op& op, T x,
                  std::int64_t axis) { return along("softmax_last", x, axis, op.name, "softmax_columns"); }},
      {.name = "log_softmax",
       .doc = "log(softmax(x)) along an axis, without overflow.",
       .returns = "A tensor of x's shape, float, whose exponentials sum to 1 along the axis.",
       .raises = "IndexError: if x has no such axis.",
       .source = "Blanchard, Higham and Higham 2021, \"Accurately computing the log-sum-exp and softmax functions\", "
                 "doi:10.1093/imanum/draa038.",
       .example = ">>> sp.log_softmax(sp.tensor([0.0, 1000.0]))\n"
                  "tensor([-1000.,     0.], dtype=float32)",
       .params = {x, axis},
       .call = [](const Op& op, T x,
                  std::int64_t axis) { return along("log_softmax_last", x, axis, op.name, "log_softmax_columns"); }},
  };
}

}  // namespace steep
