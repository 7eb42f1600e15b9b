// Running elementwise ops: shapes, the kernel of a row for a dtype, scalars, and writes in place.
#include <algorithm>

#include "core/iterate.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "graph/mode.h"
#include "ops/elementwise.h"
#include "ops/functions.h"

namespace steep {
namespace {

using K = k::Kernel;

// Bools have their own arithmetic: + is or, * is and, as in NumPy.
K bool_kernel(K kernel) {
  switch (kernel) {
    case K::add:
    case K::clip_low:
    case K::maximum: return K::logical_or;
    case K::multiply:
    case K::clip_high:
    case K::minimum: return K::logical_and;
    default: return kernel;
  }
}

k::Loop find_loop(const char* op, K kernel, DType t) {
  if (t == Bool) kernel = bool_kernel(kernel);
  const k::Loop f = k::table().loop[kernel][t];
  if (!f) fail<TypeError>(op, ": not defined for ", t, " operands; use astype() first");
  return f;
}

// The op that a kernel computes.
const Op* op_of(K kernel) {
  static const auto table = [] {
    k::EnumArray<K, const Op*> all{};
    for (const Op& op : all_ops())
      if (op.kernel != K::count) all[op.kernel] = &op;
    return all;
  }();
  return table[kernel];
}

}  // namespace

Dims broadcast_shapes(const char* op, const Tensor& a, const Tensor& b) {
  if (a.shape() == b.shape() || b.ndim() == 0) return a.shape();
  if (a.ndim() == 0) return b.shape();
  const Dims &p = a.ndim() >= b.ndim() ? a.shape() : b.shape(), &q = a.ndim() >= b.ndim() ? b.shape() : a.shape();
  Dims out = p;
  const int lead = p.size() - q.size();
  for (int d = 0; d < q.size(); ++d) {
    std::int64_t& o = out[lead + d];
    if (o == 1) o = q[d];
    else if (q[d] != 1 && q[d] != o)
      fail<ValueError>(op, ": the shapes of ", a, " and ", b, " do not broadcast: axis ", d - q.size(), " has sizes ",
                       a.ndim() >= b.ndim() ? o : q[d], " and ", a.ndim() >= b.ndim() ? q[d] : o,
                       "; reshape or expand_dims one of them");
  }
  return out;
}

namespace {
bool all_contiguous(const Call& c) {
  for (int i = 0; i < c.count; ++i)
    if (!c.in[i].contiguous()) return false;
  return true;
}
// The result, in its operands' order in memory.
Tensor empty_result(const Call& c, const Dims& shape, std::int64_t n, DType dtype) {
  if (all_contiguous(c)) return empty(shape, n, dtype);
  return empty(shape, n, shared_order(c.in, c.count, shape, n), dtype);
}
Tensor empty_like(const Call& c, DType dtype) { return empty_result(c, c.in[0].shape(), c.in[0].size(), dtype); }
Tensor empty_broadcast(const Call& c, DType dtype) {
  const Tensor &a = c.in[0], &b = c.in[1];
  if (b.ndim() == 0 || a.shape() == b.shape()) return empty_like(c, dtype);
  const Dims shape = broadcast_shapes(c.op.name, a, b);
  return empty_result(c, shape, numel(shape), dtype);
}
}  // namespace

void infer_same(Call& c) { c.out = empty_like(c, c.in[0].dtype()); }
void infer_broadcast(Call& c) { c.out = empty_broadcast(c, c.in[0].dtype()); }
void infer_bool(Call& c) { c.out = c.count == 1 ? empty_like(c, Bool) : empty_broadcast(c, Bool); }
void infer_cast(Call& c) { c.out = empty_like(c, c.attrs.as<Cast>().dtype); }
void infer_where(Call& c) {
  const Tensor values = empty(broadcast_shapes("where", c.in[1], c.in[2]), Bool);
  const Dims shape = broadcast_shapes("where", values, c.in[0]);
  c.out = empty_result(c, shape, numel(shape), c.in[1].dtype());
}

k::Loop loop_of_kernel(const Call& c) { return find_loop(c.op.name, c.op.kernel, c.in[0].dtype()); }
k::Loop loop_of_rounding(const Call& c) { return is_float(c.in[0].dtype()) ? loop_of_kernel(c) : loop_of_cast(c); }
k::Loop loop_of_where(const Call& c) { return k::table().where[c.out.dtype()]; }
k::Loop loop_of_cast(const Call& c) { return k::table().cast[c.in[0].dtype()][c.out.dtype()]; }

void compute_loop(const Call& c) { run_loop(c.op.loop(c), c.in, c.count, c.out, loop_params(c.attrs), c.op.cost); }

namespace {
template <class E> bool any_negative(const Tensor& t) {
  const E* v = t.data<E>();
  return std::any_of(v, v + t.size(), [](E each) { return each < 0; });
}
}  // namespace
void compute_power(const Call& c) {
  const DType t = c.in[0].dtype();
  if (!is_integer(t)) return compute_loop(c);
  const Tensor exponents = contiguous(c.in[1]);
  if (t == Int64 ? any_negative<std::int64_t>(exponents) : t == Int32 && any_negative<std::int32_t>(exponents))
    fail<ValueError>(c.op.name, ": ", c.in[0], " to a negative power in ", c.in[1],
                     " is no integer; use astype(float32) on one of the two first");
  run_loop(loop_of_kernel(c), c.in, c.count, c.out, nullptr, c.op.cost);
}

Tensor unary(K kernel, const Tensor& x) { return apply(*op_of(kernel), &x, 1); }
Tensor binary(K kernel, const Tensor* in) { return apply(*op_of(kernel), in, 2); }
Tensor binary(K kernel, const Tensor& a, const Tensor& b) { return apply(*op_of(kernel), {a, b}); }
Tensor ternary(K kernel, const Tensor& a, const Tensor& b, const Tensor& c) { return apply(*op_of(kernel), {a, b, c}); }
Tensor astype(const Tensor& x, DType dtype) {
  static const Op& op = find_op("astype");
  return x.dtype() == dtype ? x : apply(op, &x, 1, Cast{dtype});
}
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  static const Op& op = find_op("where");
  const DType t = promote(a.dtype(), b.dtype());
  return apply(op, {astype(condition, Bool), astype(a, t), astype(b, t)});
}
// x, but 0 where the condition holds, even if x is infinite or NaN there.
Tensor zero_where(const Tensor& condition, const Tensor& x) { return where(condition, scalar_like(0, x), x); }

Tensor scalar_like(double v, const Tensor& x) { return scalar(v, x.dtype()); }
Tensor add(const Tensor& x, double v) { return add(x, scalar_like(v, x)); }
Tensor multiply(const Tensor& x, double v) { return multiply(x, scalar_like(v, x)); }
Tensor zeros(const Dims& shape, DType dtype) { return full_int(shape, 0, dtype); }

Tensor fused_gradient(K kernel, const Tensor& g, const Tensor& saved, const AttrsRef& attrs) {
  return apply(*op_of(kernel), {g, saved}, attrs);
}

void add_into(const Tensor& target, const Tensor& value) {
  if (target.dtype() == BFloat16) return copy_strided(target, add(alias(target), alias(value)));
  static const Op& row = find_op("add");
  apply_into(row, {target, value}, target);
}

void require_fits(const char* op, const Tensor& target, const Tensor& value) {
  if (!(broadcast_shapes(op, target, value) == target.shape()))
    fail<ValueError>(op, ": ", value, " does not broadcast to the shape of ", target, ", which is written in place");
}

void assign(const char* op, const Tensor& target, const Tensor& value) {
  static const Op& row = find_op("copy");
  require_fits(op, target, value);
  before_write(op, target, &value, 1);
  const NoGrad off;
  Tensor source = astype(broadcast_to(alias(value), target.shape()), target.dtype());
  if (may_overlap(target, source)) source = copy(source);
  apply_into(row, {source}, target);
}

void update_in_place(const char* op, K kernel, const Tensor& target, const Tensor& operand) {
  require_fits(op, target, operand);
  before_write(op, target, &operand, 1);
  const DType t = promote(target.dtype(), operand.dtype());
  if (t != target.dtype() && is_float(t) && !is_float(target.dtype()))
    fail<TypeError>(op, ": a result in ", t, " cannot be written into ", target, "; use astype() first");
  const NoGrad off;
  const Op& row = *op_of(kernel);
  const Tensor in[] = {alias(target), astype(alias(operand), target.dtype())};
  if (target.dtype() == BFloat16) return apply_into(find_op("copy"), {binary(kernel, in[0], in[1])}, target);
  const bool quick = row.cost * static_cast<double>(target.size()) < least_interrupted;
  const bool direct = target.contiguous() && !may_overlap(target, in[1]) && quick;
  if (direct) return apply_into(row, {in[0], in[1]}, target);
  apply_into(find_op("copy"), {apply(row, in, 2)}, target);
}

}  // namespace steep
