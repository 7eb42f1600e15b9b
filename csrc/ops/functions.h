// The ops as C++ functions, for gradient rules, composites and the bindings. Every one ends in apply().
// The families' rows are in the .cpp files of this folder; ops/registry.cpp lists the families.
#pragma once

#include "graph/apply.h"

namespace steep {

// elementwise.cpp
Tensor astype(const Tensor& x, DType dtype);
Tensor unary(k::Kernel kernel, const Tensor& x);
Tensor binary(k::Kernel kernel, const Tensor* in);
Tensor binary(k::Kernel kernel, const Tensor& a, const Tensor& b);
Tensor ternary(k::Kernel kernel, const Tensor& a, const Tensor& b, const Tensor& c);
#define STEEP_UNARY(name) \
  inline Tensor name(const Tensor& x) { return unary(k::Kernel::name, x); }
STEEP_UNARY(negative)
STEEP_UNARY(exp)
STEEP_UNARY(log)
STEEP_UNARY(sqrt)
STEEP_UNARY(rsqrt)
STEEP_UNARY(reciprocal)
STEEP_UNARY(square)
STEEP_UNARY(sign)
STEEP_UNARY(floor)
STEEP_UNARY(sin)
STEEP_UNARY(cos)
STEEP_UNARY(sinh)
STEEP_UNARY(cosh)
STEEP_UNARY(sigmoid)
STEEP_UNARY(isfinite)
STEEP_UNARY(isnan)
STEEP_UNARY(logical_not)
#undef STEEP_UNARY
#define STEEP_BINARY(name) \
  inline Tensor name(const Tensor& a, const Tensor& b) { return binary(k::Kernel::name, a, b); }
STEEP_BINARY(add)
STEEP_BINARY(subtract)
STEEP_BINARY(multiply)
STEEP_BINARY(divide)
STEEP_BINARY(pow)
STEEP_BINARY(mul_zero)
STEEP_BINARY(mul_zero_either)
STEEP_BINARY(minimum)
STEEP_BINARY(equal)
STEEP_BINARY(not_equal)
STEEP_BINARY(less)
STEEP_BINARY(less_equal)
STEEP_BINARY(greater)
STEEP_BINARY(greater_equal)
STEEP_BINARY(remainder)
#undef STEEP_BINARY
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor zero_where(const Tensor& condition, const Tensor& x);
Tensor add(const Tensor& x, double v);
Tensor multiply(const Tensor& x, double v);
Tensor fused_gradient(k::Kernel kernel, const Tensor& g, const Tensor& saved, const AttrsRef& attrs);
void add_into(const Tensor& target, const Tensor& value);  // target += value, contiguous and unshared
Tensor zeros(const Dims& shape, DType dtype);
Tensor scalar_like(double v, const Tensor& x);  // 0-d of x's dtype
Dims broadcast_shapes(const char* op, const Tensor& a, const Tensor& b);
// Raises unless value broadcasts to target's shape.
void require_fits(const char* op, const Tensor& target, const Tensor& value);
// target = kernel(target, operand) for += and the like; target = operand for assignment.
void update_in_place(const char* op, k::Kernel kernel, const Tensor& target, const Tensor& operand);
void assign(const char* op, const Tensor& target, const Tensor& value);

// reduce.cpp: `axes` is a bit mask of axes
unsigned all_axes(const Tensor& x);
unsigned parse_axes(const Arg& arg, const Tensor& x, const char* op);  // None: all
Tensor reduce(const char* name, const Tensor& x, unsigned axes, bool keepdims);
Tensor sum(const Tensor& x, unsigned axes, bool keepdims);
Tensor amax(const Tensor& x, unsigned axes, bool keepdims);
Tensor sum_to(const Tensor& x, const Dims& shape);
Tensor all(const Tensor& x);

// views.cpp
Tensor copy(const Tensor& x);
Tensor reshape(const Tensor& x, const Dims& shape);
Tensor permute_dims(const Tensor& x, const Dims& order);
bool is_transposed(const Node* n);  // whether it exchanges the last two axes, and no others
Tensor moveaxis(const Tensor& x, int from, int to);
Tensor transpose_last(const Tensor& x);
Tensor expand_dims(const Tensor& x, int axis);
Tensor squeeze_axes(const Tensor& x, unsigned axes);
Tensor keep_axes(const Tensor& x, unsigned axes, const Dims& full);  // undoes a reduction without keepdims
Tensor broadcast_to(const Tensor& x, const Dims& shape);
Tensor slice(const Tensor& x, const Dims& start, const Dims& step, const Dims& size);
Tensor narrow(const Tensor& x, int axis, std::int64_t start, std::int64_t size);
Tensor flip(const Tensor& x, unsigned axes);
Tensor embed(const Tensor& x, const Dims& start, const Dims& step,
             const Dims& full);  // the adjoint of slice: x placed into zeros
Tensor concat(const std::vector<Tensor>& parts, int axis);

// index.cpp
// Positions along an axis of n elements, none negative; IndexError names `op`, and the axis where one is given.
Tensor wrap_index(const Tensor& index, std::int64_t n, const char* op, int axis = -1);
Tensor take_rows(const Tensor& x, const Tensor& indices);                          // x[indices] along axis 0
Tensor add_rows(const Tensor& updates, const Tensor& indices, std::int64_t rows);  // its adjoint
Tensor take(const Tensor& x, const Tensor& indices, int axis);
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis);
Tensor arange(std::int64_t start, std::int64_t stop, std::int64_t step, DType dtype);
Tensor nonzero_flat(const Tensor& mask);  // row-major positions of the true elements

// linalg.cpp
Tensor matmul(const Tensor& a, const Tensor& b);

}  // namespace steep
