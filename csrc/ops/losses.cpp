// Cross-entropy against labels as two primitives, each of which is the derivative of the other: the losses, and their
// gradient with respect to the logits. Each is one pass over the rows; composed of log_softmax, indexing and their
// rules it would be seven.
#include "core/iterate.h"
#include "core/parallel.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

void check_labels(const Call& c, T labels) {
  const std::int64_t classes = c.in[0].dim(-1);
  for (std::int64_t i = 0; i < labels.size(); ++i) {
    const std::int64_t label = labels.data<std::int64_t>()[i];
    if (label < 0 || label >= classes)
      fail<IndexError>("cross_entropy: label ", label, " is none of the ", classes, " classes, 0 to ", classes - 1);
  }
}

void run_rows(const Call& c, k::LabelLoss f, T g) {
  const Tensor x = contiguous(c.in[0]), labels = contiguous(c.in[1]);
  if (!f) fail<TypeError>(c.op.name, ": not defined for ", x, "; use astype() first");
  check_labels(c, labels);
  if (x.size() == 0) return;
  const std::int64_t n = x.dim(-1), item = size_of(x.dtype()), out_item = c.out.size() / labels.size() * item;
  parallel_for(labels.size(), std::max<std::int64_t>(1, 8192 / n), static_cast<double>(n),
               [&](std::int64_t b, std::int64_t e) {
                 f(x.bytes() + b * n * item, labels.data<std::int64_t>() + b, g ? g.bytes() + b * item : nullptr,
                   c.out.bytes() + b * out_item, e - b, n);
               });
}
void compute_losses(const Call& c) { run_rows(c, k::table().cross_entropy[c.out.dtype()], {}); }
void compute_gradient(const Call& c) {
  run_rows(c, k::table().cross_entropy_gradient[c.out.dtype()], contiguous(c.in[2]));
}

Tensor loss_gradient(T x, T labels, T g) {
  static const Op& op = find_op("cross_entropy_gradient");
  return apply(op, {x, labels, g});
}
Tensor softmax(T x) {
  static const Op& op = find_op("softmax_last");
  return apply(op, {x});
}
unsigned last_axis(T t) { return 1u << (t.ndim() - 1); }

// The gradient is g (p - one_hot), so its derivative with respect to the logits along h is that of g p.
Tensor gradient_wrt_logits(R r, T h) {
  const Tensor p = softmax(r.in(0)), gh = mul_zero(h, expand_dims(r.in(2), h.ndim() - 1)), part = mul_zero(gh, p);
  return subtract(part, mul_zero(sum(part, last_axis(part), true), p));
}
Tensor gradient_wrt_weight(R r, T h) {
  const Tensor one = full(r.in(1).shape(), 1, h.dtype());
  return sum(mul_zero(h, loss_gradient(r.in(0), r.in(1), one)), last_axis(h), false);
}

Tensor call_cross_entropy(const Op& op, T logits, T labels, std::int64_t axis) {
  Tensor x = astype(logits, to_float(logits.dtype()));
  if (x.ndim() == 0) fail<ValueError>(op.name, ": ", x, " has no axis of classes");
  const int at = normalize_axis(axis, x.ndim(), op.name);
  x = moveaxis(x, at, x.ndim() - 1);
  Dims expected = x.shape();
  expected.resize(x.ndim() - 1);
  if (!is_integer(labels.dtype())) fail<TypeError>(op.name, ": labels must be integers, and these are ", labels);
  if (!(labels.shape() == expected))
    fail<ValueError>(op.name, ": logits ", logits, " with classes along axis ", at, " need labels of shape ", expected,
                     ", got ", labels.shape());
  return apply(find_op("cross_entropy_last"), {x, astype(labels, Int64)});
}

}  // namespace

Rows loss_rows() {
  return {
      {.name = "cross_entropy_last",
       .infer =
           [](Call& c) {
             Dims shape = c.in[0].shape();
             shape.resize(shape.size() - 1);
             c.out = empty(shape, c.in[0].dtype());
           },
       .compute = compute_losses,
       .vjp = {{[](R r, T g) { return loss_gradient(r.in(0), r.in(1), g); }, in0 | in1},
               {[](R, T) { return Tensor(); }}},
       .hidden = true,
       .may_raise = true},
      {.name = "cross_entropy_gradient",
       .infer = [](Call& c) { c.out = empty(c.in[0].shape(), c.in[0].dtype()); },
       .compute = compute_gradient,
       .vjp = {{gradient_wrt_logits, in0 | in1 | in2},
               {[](R, T) { return Tensor(); }},
               {gradient_wrt_weight, in0 | in1}},
       .hidden = true,
       .may_raise = true},
      {.name = "label_cross_entropy",
       .doc =
           "-log(softmax(x))[label] along an axis, one label for every other position. nn.cross_entropy is its mean.",
       .returns = "A tensor of losses, of the shape of labels.",
       .raises = "IndexError: for a label that is none of the classes.\nTypeError: if the labels are not integers."
                 "\nValueError: if their shape is not that of x without the axis.",
       .source = "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2.3.",
       .example = ">>> sp.label_cross_entropy(sp.tensor([[0.0, 0.0], [0.0, 1000.0]]), sp.tensor([0, 1]))\n"
                  "tensor([ 0.6931472, -0.       ], dtype=float32)",
       .params = {{"x", Kind::tensor, required, "logits, scores before softmax, with the classes along an axis"},
                  {"labels", Kind::index, required, "integers from 0 to the number of classes - 1"},
                  {"axis", Kind::integer, "-1", "the axis of the classes"}},
       .call = call_cross_entropy},
  };
}

}  // namespace steep
