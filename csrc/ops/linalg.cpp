// Products: matmul is the primitive (batched, broadcast, any strides), the rest are made of it. Work is split over
// batches, rows or columns and never over the summed index, so the bits do not depend on the threads.
#include <algorithm>
#include <cstring>
#include <optional>

#include "core/iterate.h"
#include "core/parallel.h"
#include "kernels/integers.h"
#include "ops/einsum.h"
#include "ops/functions.h"
#include "ops/linalg.h"
#include "ops/precision.h"
#include "ops/registry.h"
#include "ops/shared_panels.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

// Attributes of matmul.
struct Matmul {
  Precision precision = Precision::automatic;
  STEEP_ATTRIBUTES(precision)
};

// Leading dimensions of both, broadcast.
Dims batch_shape(T a, T b) {
  const auto lead = [](T t) {
    Dims d = t.shape();
    d.resize(t.ndim() - 2);
    return empty(d, Bool);
  };
  return broadcast_shapes("matmul", lead(a), lead(b));
}

void infer_matmul(Call& c) {
  T a = c.in[0], b = c.in[1];
  Dims shape = a.ndim() == 2 && b.ndim() == 2 ? Dims{} : batch_shape(a, b);
  shape.push(a.dim(-2));
  shape.push(b.dim(-1));
  c.out = empty(shape, a.dtype());
}

constexpr double nanoseconds = 0.0125;  // a multiplication and addition, on one core
constexpr double patience = 60e6;       // nanoseconds that one piece may take
using k::ceil_div;

// Where one product of a batch has its operands and its result, and its first row in the batch's rows.
struct Matrices {
  const char *a, *b;
  char* c;
  std::int64_t row;
};

// Calls the caller's epilogue for a piece, in rows and columns of the whole result.
struct Piece {
  const k::Epilogue* done;
  std::int64_t row, column;

  static void finish(void* context, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
    const Piece& p = *static_cast<const Piece*>(context);
    p.done->f(p.done->context, p.row + i, mi, p.column + j, nj);
  }
};

// The number of pieces of each product of a batch: the fewest that keep all threads busy to the end.
std::int64_t pieces_of_each(std::int64_t batch) {
  const std::int64_t n = threads();
  std::int64_t pieces = 1;
  while (pieces < n && batch * pieces % n && batch * pieces < 8 * n) ++pieces;
  return pieces;
}

struct Product {
  k::Gemm gemm;
  std::int64_t m, n, k, item;
  std::int64_t a_row, a_col, b_row, b_col;
  k::Into into;
  const k::Epilogue* done;

  // Rows [i, i + mi) and columns [j, j + nj) of the product `one`.
  void run(const Matrices& one, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) const {
    Piece piece{done, one.row + i, j};
    const k::Epilogue placed{Piece::finish, &piece};
    gemm(mi, nj, k, one.a + i * a_row * item, a_row, a_col, one.b + j * b_col * item, b_row, b_col,
         one.c + (i * n + j) * item, n, into, done ? &placed : nullptr);
  }
  // The first of pieces of so many rows.
  k::Operands first_rows(const Matrices& one, std::int64_t rows) const {
    return {rows, n, k, one.a, a_row, a_col, one.b, b_row, b_col};
  }
  // Whether pieces are some rows of the result each: of its longer side, or where a B that is kept packed spares them
  // packing all of A. Pieces of few, very long rows gained nothing (256 x 4096, by hand).
  bool is_split_by_rows(const Matrices& one, const k::PieceSizes& sizes) const {
    return m >= n || (4 * m >= n && m / threads() >= sizes.kept_rows && k::is_kept(one.b));
  }
  // A batch of products over the threads, of which at(i) is one. If there are few, each is split along one side, in
  // pieces that are multiples of the kernel's panels. Either side is split further if a piece would take so long that
  // Ctrl-C had to wait for it.
  template <class At> void split(std::int64_t batch, At&& at) const {
    const double element = nanoseconds * static_cast<double>(std::max<std::int64_t>(1, k));
    const double total = element * static_cast<double>(batch) * static_cast<double>(m) * static_cast<double>(n);
    if (total < least_shared) {
      for (std::int64_t i = 0; i < batch; ++i) run(at(i), 0, m, 0, n);
      return;
    }
    const k::PieceSizes& sizes = piece_sizes(gemm);
    const bool by_rows = is_split_by_rows(at(0), sizes);
    const std::int64_t side = by_rows ? m : n, across = by_rows ? n : m, unit = by_rows ? sizes.rows : sizes.columns;
    const std::int64_t share = ceil_div(side, pieces_of_each(batch));
    const auto within_patience = [](double one, std::int64_t of) {
      return std::max(of, static_cast<std::int64_t>(patience / one) / of * of);
    };
    const std::int64_t grain =
        std::min(ceil_div(share, unit) * unit, within_patience(element * static_cast<double>(sizes.length), unit));
    const std::int64_t longest = within_patience(element * static_cast<double>(grain), sizes.length);
    const std::int64_t strips = ceil_div(side, grain);
    const std::int64_t each = strips * ceil_div(across, longest), pieces = batch * each;
    std::optional<SharedPanels> shared;
    if (batch == 1 && by_rows && strips > 1 && each == strips) shared.emplace(gemm, first_rows(at(0), grain), item);
    parallel_for(pieces, 1, total / static_cast<double>(pieces), [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t p = from; p < to; ++p) {
        const std::int64_t s = p % strips * grain, ns = std::min(grain, side - s);
        const std::int64_t o = p % each / strips * longest, no = std::min(longest, across - o);
        if (by_rows) run(at(p / each), s, ns, o, no);
        else run(at(p / each), o, no, s, ns);
      }
    });
  }
};

// A batch of matrices against one shared right-hand matrix is one tall product, if the rows are evenly spaced.
bool is_tall(T a, T b) {
  if (b.ndim() != 2 || a.ndim() < 3 || a.size() == 0) return false;
  // What the rows so far span, since the stride of a dimension of size 1 is arbitrary.
  std::int64_t span = a.strides()[a.ndim() - 2] * a.dim(-2);
  for (int d = a.ndim() - 3; d >= 0; --d) {
    if (a.dim(d) != 1 && a.strides()[d] != span) return false;
    span *= a.dim(d);
  }
  return true;
}

void compute_matmul_parts(const Call& c, const k::Epilogue* done) { multiply(c, k::Into::replace, done); }
void compute_matmul(const Call& c) { compute_matmul_parts(c, nullptr); }

// Whether adding a product as it is computed has the bits of adding it afterwards: of floats, over one block of k.
bool is_one_block(std::int64_t k, DType type) { return is_float(type) && k <= k::table().pieces.depth; }

// And whether it gains: a result that stays in cache costs little to read again.
bool may_be_added(const Dims& a, const Dims& b, DType type) {
  constexpr std::int64_t fewest_elements = 1 << 16;
  const std::int64_t rows = numel(a) / std::max<std::int64_t>(1, a.back());
  return is_one_block(a.back(), type) && rows * b.back() >= fewest_elements;
}

// The product of the first two operands, added to the third.
void infer_matmul_add(Call& c) {
  infer_matmul(c);
  T sum = c.in[2];
  if (!(sum.shape() == c.out.shape()) || !is_one_block(c.in[0].dim(-1), sum.dtype()))
    fail<ValueError>("matmul_add: ", c.in[0], " @ ", c.in[1], " cannot be added to ", sum);
}
void compute_matmul_add(const Call& c) {
  T sum = c.in[2];
  if (sum.bytes() != c.out.bytes()) copy_strided(c.out, sum);
  multiply(c, k::Into::add, nullptr);
}

// x y, the gradient with respect to factor i, in the orientation of what the factor is a view of: that of a weight used
// transposed, as in x @ weight.T, then lies in memory as the weight does, and nothing has to be copied.
Tensor gradient_like(R r, int i, T x, T y) {
  if (!is_transposed(r.node.inputs()[i])) return matmul(x, y);
  return transpose_last(matmul(transpose_last(y), transpose_last(x)));
}

// The rows of all matrices of a batch as one matrix.
Tensor stacked_rows(T x) {
  Dims lead = x.shape();
  lead.resize(lead.size() - 1);
  return reshape(x, {numel(lead), x.dim(-1)});
}

Tensor left_gradient(R r, T g) { return gradient_like(r, 0, g, transpose_last(r.in(1))); }

// Of a matrix shared by a batch: one product over all its rows, where a product for each would have to be added up.
Tensor right_gradient(R r, T g) {
  const Tensor a = r.in(0);
  const bool shared = r.shape(1).size() == 2 && a.ndim() > 2 && a.size() > 0;
  return shared ? gradient_like(r, 1, transpose_last(stacked_rows(a)), stacked_rows(g))
                : gradient_like(r, 1, transpose_last(a), g);
}

Tensor matmul_jvp(R r, const Tensor* t) {
  Tensor y;
  if (t[0]) y = matmul(t[0], r.in(1));
  if (!t[1]) return y;
  const Tensor z = matmul(r.in(0), t[1]);
  return y ? add(y, z) : z;
}

void require_axes(T t, const char* op) {
  if (t.ndim() == 0) fail<ValueError>(op, ": ", t, " is 0-d; use * for products by a scalar");
}

Tensor outer(const Op& op, T p, T q) {
  if (p.ndim() != 1 || q.ndim() != 1) fail<ValueError>(op.name, ": both must be 1-d, and these are ", p, " and ", q);
  return multiply(reshape(p, {p.size(), 1}), reshape(q, {1, q.size()}));
}
Tensor vecdot(const Op& op, Tensor p, Tensor q, std::int64_t axis) {
  require_axes(p, op.name);
  require_axes(q, op.name);
  p = moveaxis(p, normalize_axis(axis, p.ndim(), op.name), p.ndim() - 1);
  q = moveaxis(q, normalize_axis(axis, q.ndim(), op.name), q.ndim() - 1);
  if (p.dim(-1) != q.dim(-1)) fail<ValueError>(op.name, ": ", p, " and ", q, " differ in the summed axis");
  const Tensor y = multiply(p, q);
  return astype(sum(y, 1u << (y.ndim() - 1), false), y.dtype());  // also for integers, as in matmul
}
void require_each_once(const Dims& axes, const char* op) {
  unsigned seen = 0;
  for (auto axis : axes) {
    if (seen >> axis & 1) fail<ValueError>(op, ": axis ", axis, " is summed twice, in ", axes);
    seen |= 1u << axis;
  }
}
// Sums over the axes named for both: each becomes a matrix, kept axes outside, summed axes inside.
Tensor tensordot(const Op& op, T p, T q, const Arg& axes) {
  const Dims ax = axes.dims();
  Dims pa, qa;
  if (axes.bare && ax[0] < 0) fail<ValueError>(op.name, ": axes is ", ax[0], "; it counts the summed axes from 0 up");
  if (!axes.bare && ax.size() % 2)
    fail<ValueError>(op.name, ": axes ", ax, " are not pairs; give (axes of x1, axes of x2) of one length");
  if (axes.bare) {  // one number: the last n of x1 and the first n of x2
    for (std::int64_t i = 0; i < ax[0]; ++i)
      pa.push(normalize_axis(i - ax[0], p.ndim(), op.name)), qa.push(normalize_axis(i, q.ndim(), op.name));
  } else {
    const int n = ax.size() / 2;
    for (int i = 0; i < n; ++i) {
      pa.push(normalize_axis(ax[i], p.ndim(), op.name));
      qa.push(normalize_axis(ax[n + i], q.ndim(), op.name));
    }
  }
  require_each_once(pa, op.name);
  require_each_once(qa, op.name);
  Dims po, qo = qa, shape;
  std::int64_t inner = 1;
  for (int d = 0; d < p.ndim(); ++d)
    if (std::find(pa.begin(), pa.end(), d) == pa.end()) po.push(d), shape.push(p.dim(d));
  for (int i = 0; i < pa.size(); ++i) {
    if (p.dim(static_cast<int>(pa[i])) != q.dim(static_cast<int>(qa[i])))
      fail<ValueError>(op.name, ": ", p, " and ", q, " differ in the summed axes ", pa, " and ", qa);
    po.push(pa[i]);
    inner *= p.dim(static_cast<int>(pa[i]));
  }
  std::int64_t outer_p = 1, outer_q = 1;
  for (auto s : shape) outer_p *= s;
  for (int d = 0; d < q.ndim(); ++d)
    if (std::find(qa.begin(), qa.end(), d) == qa.end()) qo.push(d), shape.push(q.dim(d)), outer_q *= q.dim(d);
  return reshape(matmul(reshape(permute_dims(p, po), {outer_p, inner}), reshape(permute_dims(q, qo), {inner, outer_q})),
                 shape);
}
Tensor trace(const Op& op, T t) {
  if (t.ndim() < 2) fail<ValueError>(op.name, ": ", t, " has fewer than two dimensions");
  const Tensor i = reshape(arange(0, t.dim(-2), 1, Int64), {t.dim(-2), 1}), j = arange(0, t.dim(-1), 1, Int64);
  return sum(where(equal(i, j), t, scalar_like(0, t)), 3u << (t.ndim() - 2), false);
}

}  // namespace

void multiply(const Call& c, k::Into into, const k::Epilogue* done) {
  T a = c.in[0], b = c.in[1];
  const std::int64_t m = is_tall(a, b) ? a.size() / std::max<std::int64_t>(1, a.dim(-1)) : a.dim(-2);
  const k::Gemm gemm = find_gemm(a.dtype(), c.attrs.as<Matmul>().precision, m, b.dim(-1), a.dim(-1));
  if (!gemm) fail<TypeError>("matmul: not defined for ", a, " and ", b, "; use astype() first");
  multiply_by(gemm, a, b, c.out, into, done);
}

void multiply_by(k::Gemm gemm, Tensor a, const Tensor& b, Tensor out, k::Into into, const k::Epilogue* done) {
  if (out.size() == 0) return;
  if (is_tall(a, b)) {
    const std::int64_t rows = out.size() / b.dim(1);
    const int last = a.ndim() - 1;
    a = view(a, {rows, a.dim(-1)}, {a.strides()[last - 1], a.strides()[last]}, a->offset);
    out = view(out, {rows, b.dim(1)}, {b.dim(1), 1}, out->offset);
  }
  const auto stride = [](T t, int d) { return t.strides()[d + t.ndim()]; };
  const Product p{gemm,          a.dim(-2),     b.dim(-1), a.dim(-1), size_of(a.dtype()), stride(a, -2), stride(a, -1),
                  stride(b, -2), stride(b, -1), into,      done};
  Dims batch = out.shape();
  batch.resize(batch.size() - 2);
  const Leading in_a(a, batch), in_b(b, batch);
  p.split(numel(batch), [&](std::int64_t i) {
    return Matrices{a.bytes() + in_a.at(i), b.bytes() + in_b.at(i), out.bytes() + i * p.m * p.n * p.item, i * p.m};
  });
}

Tensor matmul(T a, T b) {
  static const Op& op = find_op("matmul");
  require_axes(a, "matmul");
  require_axes(b, "matmul");
  const bool row = a.ndim() == 1, column = b.ndim() == 1;
  if (a.dim(-1) != b.dim(column ? -1 : -2))
    fail<ValueError>("matmul: ", a, " @ ", b, ": the inner sizes ", a.dim(-1), " and ", b.dim(column ? -1 : -2),
                     " differ; transpose one with .mT or check the order");
  const Precision precision = matmul_precision();  // an attribute, so that a compiled step keeps it
  const AttrsRef attrs = precision == Precision::automatic ? AttrsRef() : AttrsRef(Matmul{precision});
  Tensor y = apply(op, {row ? expand_dims(a, 0) : a, column ? expand_dims(b, 1) : b}, attrs);
  if (column) y = squeeze_axes(y, 1u << (y.ndim() - 1));
  return row ? squeeze_axes(y, 1u << (y.ndim() - (column ? 1 : 2))) : y;
}

namespace {

const Param x1{"x1", Kind::tensor, required, "a tensor"}, x2{"x2", Kind::tensor, required, "a tensor"};
const auto vector = [](const char* name) { return Param{name, Kind::tensor, required, "a vector"}; };

Rows product_rows() {
  return {
      {.name = "matmul",
       .doc = "Matrix product of the last two axes, batched over the others; 1-d operands are vectors. How float32 "
              "products are computed: "
              "set_matmul_precision().",
       .returns = "A tensor (..., M, N), without the axes that a vector lacks.",
       .raises = "TypeError: for bools and uint8.\nValueError: if the inner sizes differ, the leading axes do not "
                 "broadcast, or an operand has no axes.",
       .source = array_api,
       .example = ">>> sp.matmul(sp.tensor([[1.0, 2.0], [3.0, 4.0]]), sp.tensor([1.0, 1.0]))\n"
                  "tensor([3., 7.], dtype=float32)",
       .params = {{"x1", Kind::tensor, required, "matrices (..., M, K), or a vector (K,)"},
                  {"x2", Kind::tensor, required, "matrices (..., K, N), or a vector (K,); leading axes broadcast"}},
       .attrs = attributes<Matmul>(),
       .call = [](const Op&, T x1, T x2) { return matmul(x1, x2); },
       .infer = infer_matmul,
       .compute = compute_matmul,
       .compute_parts = compute_matmul_parts,
       .part_arrays = 0,  // parts are short rows, a page apart
       .adding = "matmul_add",
       .may_add = may_be_added,
       .packs = in0 | in1,
       .promotes = Promote::common,
       .vjp = {{left_gradient, in1}, {right_gradient, in0}},
       .jvp = Jvp::custom,
       .jvp_rule = matmul_jvp},
      {.name = "matmul_add",
       .attrs = attributes<Matmul>(),
       .infer = infer_matmul_add,
       .compute = compute_matmul_add,
       .packs = in0 | in1,
       .promotes = Promote::common,
       .hidden = true},
      {.name = "outer",
       .doc = "x1[i] * x2[j] of two vectors.",
       .returns = "A matrix (M, N).",
       .raises = "ValueError: if an operand is not 1-d.",
       .source = "The Python array API standard, linalg.outer.",
       .example = ">>> sp.outer(sp.tensor([1.0, 2.0]), sp.tensor([3.0, 4.0]))\n"
                  "tensor([[3., 4.],\n"
                  "        [6., 8.]], dtype=float32)",
       .params = {vector("x1"), vector("x2")},
       .call = outer},
      {.name = "vecdot",
       .doc = "Sum of products along an axis.",
       .returns = "A tensor of the broadcast shape, without the axis.",
       .raises =
           "IndexError: if an operand has no such axis.\nValueError: if the sizes of the axis differ, or the others "
           "do not broadcast.",
       .source = array_api,
       .example = ">>> sp.vecdot(sp.tensor([[1.0, 2.0], [3.0, 4.0]]), sp.tensor([1.0, 1.0]))\n"
                  "tensor([3., 7.], dtype=float32)",
       .params = {x1, x2, {"axis", Kind::integer, "-1", "the axis to sum over, of both operands"}},
       .call = vecdot},
      {.name = "tensordot",
       .doc = "Sum of products over the given axes: a number, or (axes of x1, axes of x2).",
       .returns = "A tensor with the other axes of x1, then those of x2.",
       .raises =
           "IndexError: if an operand has no such axis.\nValueError: if the sizes of paired axes differ, or an axis "
           "is given twice.",
       .source = array_api,
       .example = ">>> sp.tensordot(sp.ones((2, 3, 4)), sp.ones((4, 3, 5)), ([1, 2], [1, 0])).shape\n"
                  "(2, 5)",
       .params = {x1,
                  x2,
                  {"axes", Kind::ints, "2", "n for the last n axes of x1 and the first n of x2, or two lists of axes"}},
       .call = tensordot},
  };
}

Rows trace_rows() {
  return {
      {.name = "trace",
       .doc = "Sum of the diagonal of the last two axes.",
       .returns = "A tensor without the last two axes; int64 for integers.",
       .raises = "ValueError: if x has fewer than two axes.",
       .source = "The Python array API standard, linalg.trace.",
       .example = ">>> sp.trace(sp.tensor([[1.0, 2.0], [3.0, 4.0]]))\n"
                  "tensor(5., dtype=float32)",
       .params = {{"x", Kind::tensor, required, "matrices (..., M, N)"}},
       .call = trace},
      {.name = "einsum",
       .doc =
           "Einstein summation: \"ij,jk->ik\", with ... and repeated letters. Every letter names an axis; axes of one "
           "letter have one size (or 1, which is repeated), and letters that are not in the result are summed over. "
           "A letter twice in one operand is its diagonal; \"...\" stands for all other axes, which broadcast. "
           "Without \"->\" the result has the letters that occur once, in alphabetical order. Operands are taken two "
           "at a time from the left, each pair as one batched matmul.",
       .returns = "A tensor with the axes named after \"->\".",
       .raises =
           "ValueError: if the letters do not fit the operands or their sizes differ, if a letter of the result is "
           "in no operand or there twice, or for a character that is no letter.",
       .source = "NumPy's numpy.einsum, numpy.org/doc/stable.",
       .example = ">>> a, b = sp.tensor([[1.0, 2.0], [3.0, 4.0]]), sp.tensor([1.0, 1.0])\n"
                  ">>> sp.einsum(\"ij,j->i\", a, b)  # matrix times vector\n"
                  "tensor([3., 7.], dtype=float32)\n"
                  ">>> sp.einsum(\"ii\", a)  # trace\n"
                  "tensor(5., dtype=float32)\n"
                  ">>> sp.einsum(\"...ij->...ji\", sp.zeros((5, 2, 3))).shape  # transposed\n"
                  "(5, 3, 2)",
       .params = {{"subscripts", Kind::text, required, "the letters of each operand's axes, and of the result's"},
                  {"operands", Kind::tensors, required, "the tensors, one by one or as a sequence"}},
       .call = [](const Op&, const std::string& subscripts,
                  const std::vector<Tensor>& operands) { return einsum(subscripts, operands); }},
  };
}

}  // namespace

Rows linalg_rows() { return joined({product_rows, trace_rows}); }

}  // namespace steep
