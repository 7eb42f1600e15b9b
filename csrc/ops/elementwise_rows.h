// What the files of elementwise rows share: how the rows of a kind are made. Gradient rules are written in ops;
// mul_zero(g, d) is g * d that is exactly 0 where g is 0, so that a branch not taken by where() propagates no NaN.
// Where a function is constant, a rule selects 0 by a condition instead of multiplying by a derivative of 0: the
// incoming gradient may be infinite. Start at smooth().
#pragma once

#include "ops/elementwise.h"
#include "ops/functions.h"

namespace steep::elementwise {

using K = k::Kernel;
using T = const Tensor&;
using R = const Rule&;

inline const Param x{"x", Kind::tensor, required, "a tensor, or numbers that become one"};
inline const std::vector<Param> two = {
    {"x1", Kind::tensor, required, "a tensor, or numbers that become one"},
    {"x2", Kind::tensor, required, "the same, of a shape that broadcasts with that of x1"}};

// The text of a row's page.
struct Text {
  const char *doc = "", *example = "", *source = array_api;
};

inline Tensor zero_rule(R r, T) { return zeros(r.shape(0), r.dtype(0)); }
inline Tensor one_minus(T a) { return subtract(scalar_like(1, a), a); }

// A differentiable function of one float operand.
inline Op smooth(const char* name, const Text& text, K kernel, Vjp vjp, float cost = 0.4f) {
  return {.name = name,
          .doc = text.doc,
          .returns = "A float tensor of x's shape; integers become float32.",
          .source = text.source,
          .example = text.example,
          .params = {x},
          .infer = infer_same,
          .compute = compute_loop,
          .promotes = Promote::floating,
          .vjp = {vjp},
          .jvp = Jvp::diagonal,
          .kernel = kernel,
          .loop = loop_of_kernel,
          .cost = cost,
          .ulp = k::accuracy(kernel)};
}
// One of any numbers.
inline Op number(const char* name, const Text& text, K kernel, Vjp vjp) {
  Op op = smooth(name, text, kernel, vjp, 0.1f);
  op.promotes = Promote::none;
  op.returns = "A tensor of x's shape and dtype.";
  return op;
}
// One whose derivative is 0 wherever it exists.
inline Op step(const char* name, const Text& text, K kernel) {
  Op op = number(name, text, kernel, {zero_rule});
  op.flat = true;
  return op;
}
inline Op pair(const char* name, const Text& text, K kernel, std::vector<Vjp> vjp, Promote promotes = Promote::common) {
  return {.name = name,
          .doc = text.doc,
          .returns = promotes == Promote::floating ? "A float tensor of the broadcast shape; integers become float32."
                                                   : "A tensor of the broadcast shape, in the operands' common dtype.",
          .raises = "ValueError: if the shapes do not broadcast.",
          .source = text.source,
          .example = text.example,
          .params = two,
          .infer = infer_broadcast,
          .compute = compute_loop,
          .promotes = promotes,
          .vjp = std::move(vjp),
          .jvp = Jvp::diagonal,
          .kernel = kernel,
          .loop = loop_of_kernel};
}
inline Op subgradient(Op op, const char* text) {
  op.subgradient = text;
  return op;
}

// In elementwise_pairs.cpp.
Rows number_rows();
Rows pair_rows();
Rows integer_rows();
Rows bool_rows();
Rows other_rows();
Rows clip_rows();

}  // namespace steep::elementwise
