// Attention, softmax(q k^T * scale + mask) v, some queries at a time: their scores stay in cache, and no array of
// queries by keys is ever stored. The gradient computes the scores again, and gives all three gradients in one buffer.
// Operands and results are read and written by their strides, so that heads need not be copied out of a projection.
// What depends on the sizes of blocks is fixed by the shapes alone, never by the threads. Start reading at the rows, at
// the end, then Block.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/mode.h"
#include "graph/recorder.h"
#include "kernels/integers.h"
#include "kernels/scratch.h"
#include "ops/functions.h"
#include "ops/linalg.h"
#include "ops/precision.h"
#include "ops/registry.h"

namespace steep {
namespace {

using T = const Tensor&;
using R = const Rule&;

struct Attention {
  double scale = 1;
  bool causal = false;
  Precision precision = Precision::automatic;
  STEEP_ATTRIBUTES(scale, causal, precision)
};
// The same first, so that either can be read as Attention. The step is that of projection_step(): an attribute, since
// the layout of the result must not depend on where a program places the operands.
struct AttentionGradient {
  double scale = 1;
  bool causal = false;
  Precision precision = Precision::automatic;
  std::int64_t step = 0;
  STEEP_ATTRIBUTES(scale, causal, precision, step)
};

constexpr std::int64_t block_scores = 1 << 17, fewest_queries = 16, most_queries = 128, fewest_pieces = 8;

// -- shapes -----------------------------------------------------------------------------------------------------------

Dims leading(T t) {
  Dims d = t.shape();
  d.resize(d.size() - 2);
  return d;
}
Dims batch_of(T q, T k, T v) {
  const auto as_tensor = [](const Dims& d) { return empty(d, Bool); };
  const Dims both = broadcast_shapes("attention", as_tensor(leading(q)), as_tensor(leading(k)));
  return broadcast_shapes("attention", as_tensor(both), as_tensor(leading(v)));
}
Dims matrices(Dims batch, std::int64_t rows, std::int64_t columns) {
  batch.push(rows);
  batch.push(columns);
  return batch;
}

// Whether the rows of a tensor (..., heads, tokens, size) lie in memory token after token, the heads of one together,
// as those of a projection do. What is computed from it is laid out alike, so that heads are put together without a
// copy.
bool by_tokens(T t, const Dims& batch) {
  const int n = t.ndim();
  return n == batch.size() + 2 && n > 2 && t.dim(-3) > 1 && t.dim(-2) > 1 && t.strides()[n - 3] < t.strides()[n - 2];
}
Dims swapped(Dims d) {
  const int n = d.size();
  std::swap(d[n - 3], d[n - 2]);
  return d;
}
Dims strides_like(T t, const Dims& batch, const Dims& shape) {
  return by_tokens(t, batch) ? swapped(contiguous_strides(swapped(shape))) : contiguous_strides(shape);
}

// -- one problem ------------------------------------------------------------------------------------------------------

// An operand or a result: where matrix i begins, and its strides, in bytes and elements.
struct Matrices {
  char* at = nullptr;
  Leading lead;
  std::int64_t row = 0, col = 0;

  Matrices(T t, const Dims& batch)
      : at(t.bytes()), lead(t, batch), row(t.strides()[t.ndim() - 2]), col(t.strides()[t.ndim() - 1]) {}
  char* matrix(std::int64_t i) const { return at + lead.at(i); }
};

Tensor with_unit_columns(T t) { return t.strides()[t.ndim() - 1] == 1 ? t : contiguous(t); }

// The mask over all scores: steps of 0 where it is repeated.
Tensor spread(T mask, const Dims& shape) {
  const std::int64_t step = mask.ndim() ? mask.strides()[mask.ndim() - 1] : 0;
  const Tensor m = mask.ndim() && mask.dim(-1) > 1 && step != 1 ? contiguous(mask) : mask;
  return view(m, shape, broadcast_strides(m.shape(), m.strides(), shape), m->offset);
}

struct Problem {
  Attention attrs;
  DType dtype;
  std::int64_t item, queries, keys, size, value_size, batch, blocks;
  Dims lead;
  Tensor q_rows, mask_rows, scale, never, zero;
  Matrices q, k, v;
  std::optional<Matrices> mask;

  Problem(const AttrsRef& a, T q_, T k_, T v_, const Tensor* mask_)
      : attrs(a.as<Attention>()),
        dtype(q_.dtype()),
        item(size_of(dtype)),
        queries(q_.dim(-2)),
        keys(k_.dim(-2)),
        size(q_.dim(-1)),
        value_size(v_.dim(-1)),
        lead(batch_of(q_, k_, v_)),
        q_rows(with_unit_columns(q_)),
        scale(scalar(attrs.scale, dtype)),
        never(scalar(-INFINITY, dtype)),
        zero(scalar(0, dtype)),
        q(q_rows, lead),
        k(k_, lead),
        v(v_, lead) {
    batch = numel(lead);
    blocks =
        k::ceil_div(queries, std::clamp(block_scores / std::max<std::int64_t>(1, keys), fewest_queries, most_queries));
    if (!mask_) return;
    mask_rows = spread(*mask_, matrices(lead, queries, keys));
    mask.emplace(mask_rows, lead);
  }
  std::int64_t first(std::int64_t block) const { return block * queries / blocks; }
  std::int64_t longest() const { return k::ceil_div(queries, std::max<std::int64_t>(1, blocks)); }
  // Multiplications and additions of `products` products with all scores of a block, in nanoseconds.
  double cost(int products) const {
    return 0.0125 * products * static_cast<double>(longest()) * static_cast<double>(keys) *
           static_cast<double>(size + value_size) / 2;
  }
  // Blocks have few queries, so "auto" never splits.
  k::Gemm product(std::int64_t n, std::int64_t depth) const {
    return find_gemm(dtype, attrs.precision, most_queries, n, depth);
  }
};

// Queries [from, to) of one matrix and the keys that they see, in the calling thread's working memory.
struct Block {
  const Problem& p;
  std::int64_t i, from, to, seen;
  char *queries, *scores, *spare;

  Block(const Problem& problem, std::int64_t matrix, std::int64_t block, char* memory)
      : p(problem),
        i(matrix),
        from(p.first(block)),
        to(p.first(block + 1)),
        seen(p.attrs.causal ? std::min(p.keys, to) : p.keys),
        queries(memory),
        scores(queries + line(p.longest() * p.size * p.item)),
        spare(scores + line(p.longest() * p.keys * p.item)) {}
  static std::int64_t line(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }
  static std::int64_t bytes(const Problem& p, int arrays) {
    return line(p.longest() * p.size * p.item) + arrays * line(p.longest() * p.keys * p.item);
  }

  std::int64_t rows() const { return to - from; }
  void scale_rows(const char* x, std::int64_t x_row, char* out, std::int64_t out_row) const {
    for (std::int64_t r = 0; r < rows(); ++r) {
      const void* in[] = {x + r * x_row * p.item, p.scale.bytes()};
      k::table().loop[k::Kernel::multiply][p.dtype](in, out + r * out_row * p.item, p.size, 2, nullptr);
    }
  }
  // The scaled queries, and softmax of their scores.
  void find_probabilities() const {
    scale_rows(p.q.matrix(i) + from * p.q.row * p.item, p.q.row, queries, p.size);
    p.product(seen, p.size)(rows(), seen, p.size, queries, p.size, 1, p.k.matrix(i), p.k.col, p.k.row, scores, seen,
                            k::Into::replace, nullptr);
    for (std::int64_t r = 0; r < rows(); ++r) {
      char* row = scores + r * seen * p.item;
      add_mask(r, row);
      hide(r, row, p.never);
    }
    k::table().row_map[k::RowMap::softmax][p.dtype](scores, scores, rows(), seen);
  }
  // Puts a value where query `r` of the block does not see the key.
  void hide(std::int64_t r, char* row, T value) const {
    if (p.mask && p.mask_rows.dtype() == Bool) {
      const void* in[] = {mask_row(r), row, value.bytes()};
      k::table().where[p.dtype](in, row, seen, unsigned{p.mask->col == 0} | 4, nullptr);
    }
    const std::int64_t after = from + r + 1;
    const void* in[] = {value.bytes()};
    if (p.attrs.causal && after < seen)
      k::table().cast[p.dtype][p.dtype](in, row + after * p.item, seen - after, 1, nullptr);
  }

 private:
  const char* mask_row(std::int64_t r) const {
    return p.mask->matrix(i) + (from + r) * p.mask->row * size_of(p.mask_rows.dtype());
  }
  void add_mask(std::int64_t r, char* row) const {
    if (!p.mask || p.mask_rows.dtype() == Bool) return;
    const void* in[] = {row, mask_row(r)};
    k::table().loop[k::Kernel::add][p.dtype](in, row, seen, unsigned{p.mask->col == 0} << 1, nullptr);
  }
};

char* working_memory(std::int64_t bytes) {
  return static_cast<char*>(k::scratch(k::Scratch::attention, static_cast<std::size_t>(bytes)));
}

// -- values -----------------------------------------------------------------------------------------------------------

// (q, k, v[, mask])
void infer_attention(Call& c) {
  T q = c.in[0], v = c.in[2];
  const Dims batch = batch_of(q, c.in[1], v), shape = matrices(batch, q.dim(-2), v.dim(-1));
  c.out = view(empty(shape, q.dtype()), shape, strides_like(q, batch, shape), 0);
}
void compute_attention(const Call& c) {
  if (c.out.size() == 0) return;
  const Problem p(c.attrs, c.in[0], c.in[1], c.in[2], c.count > 3 ? &c.in[3] : nullptr);
  const Matrices out(c.out, p.lead);
  parallel_for(p.batch * p.blocks, 1, p.cost(2), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const Block b(p, n / p.blocks, n % p.blocks, working_memory(Block::bytes(p, 1)));
      b.find_probabilities();
      p.product(p.value_size, b.seen)(b.rows(), p.value_size, b.seen, b.scores, b.seen, 1, p.v.matrix(b.i), p.v.row,
                                      p.v.col, out.matrix(b.i) + b.from * out.row * p.item, out.row, k::Into::replace,
                                      nullptr);
    }
  });
}

// -- gradients --------------------------------------------------------------------------------------------------------

// How far apart queries, keys and values are if they are the three parts of one projection, in this order, without
// anything else between them; otherwise 0.
std::int64_t projection_step(T q, T k, T v) {
  const bool alike = q.shape() == k.shape() && k.shape() == v.shape() && q.strides() == k.strides() &&
                     k.strides() == v.strides() && leading(q) == batch_of(q, k, v);
  const std::int64_t step = k->offset - q->offset;
  if (!alike || q->storage.get() != k->storage.get() || k->storage.get() != v->storage.get()) return 0;
  if (step <= 0 || v->offset - k->offset != step) return 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> axes{{step, 3}};  // stride and size
  for (int d = 0; d < q.ndim(); ++d)
    if (q.dim(d) > 1) axes.emplace_back(q.strides()[d], q.dim(d));
  std::sort(axes.begin(), axes.end());
  std::int64_t next = 1;
  for (const auto& [stride, size] : axes) {
    if (stride != next) return 0;
    next *= size;
  }
  return step;
}

// The three gradients in one buffer: laid out as the projection that the operands are parts of, or else one after the
// other, each like its operand.
struct Parts {
  Dims batch, shapes[3], strides[3];
  std::int64_t starts[3] = {}, total = 0;

  Parts(T q, T k, T v, std::int64_t step) : batch(batch_of(q, k, v)) {
    const Tensor* each[] = {&q, &k, &v};
    for (int i = 0; i < 3; ++i) {
      T t = *each[i];
      shapes[i] = matrices(batch, t.dim(-2), t.dim(-1));
      strides[i] = step ? t.strides() : strides_like(t, batch, shapes[i]);
      starts[i] = step ? i * step : total;
      total = checked_add(total, numel(shapes[i]));
    }
  }
  Tensor part(T all, int i) const { return view(all, shapes[i], strides[i], all->offset + starts[i]); }
};

// The sums over queries, of keys' and values' gradients: [keys, size], then [keys, value_size].
struct Sums {
  const Problem& p;
  char* at;
  bool any = false;

  char* values() const { return at + p.keys * p.size * p.item; }
  static std::int64_t bytes(const Problem& p) { return p.keys * (p.size + p.value_size) * p.item; }
  // left^T right, over the queries of a block, to the first rows.
  void add(const Block& b, char* to, std::int64_t n, const char* left, const char* right, std::int64_t row,
           std::int64_t col) const {
    p.product(n, b.rows())(b.seen, n, b.rows(), left, 1, b.seen, right, row, col, to, n,
                           any ? k::Into::add : k::Into::replace, nullptr);
    if (!any && b.seen < p.keys)
      std::memset(to + b.seen * n * p.item, 0, static_cast<std::size_t>((p.keys - b.seen) * n * p.item));
  }
  void add_up(char* to, const char* more, std::int64_t n) const {
    const void* in[] = {to, more};
    k::table().loop[k::Kernel::add][p.dtype](in, to, n, 0, nullptr);
  }
  void write(const Matrices& dk, const Matrices& dv, std::int64_t i) const {
    write(at, dk, i, p.size);
    write(values(), dv, i, p.value_size);
  }

 private:
  void write(const char* from, const Matrices& to, std::int64_t i, std::int64_t n) const {
    for (std::int64_t r = 0; r < p.keys; ++r)
      std::memcpy(to.matrix(i) + r * to.row * p.item, from + r * n * p.item, static_cast<std::size_t>(n * p.item));
  }
};

// One block's part of all gradients.
void add_block(const Block& b, const Matrices& g, const Matrices& dq, Sums& sums) {
  const Problem& p = b.p;
  const char* g_rows = g.matrix(b.i) + b.from * g.row * p.item;
  b.find_probabilities();
  sums.add(b, sums.values(), p.value_size, b.scores, g_rows, g.row, g.col);
  p.product(b.seen, p.value_size)(b.rows(), b.seen, p.value_size, g_rows, g.row, g.col, p.v.matrix(b.i), p.v.col,
                                  p.v.row, b.spare, b.seen, k::Into::replace, nullptr);
  k::table().softmax_gradient[p.dtype](b.spare, b.scores, b.spare, b.rows(), b.seen);
  if (p.mask)  // a query that sees no key has a softmax of NaN, and still no gradient
    for (std::int64_t r = 0; r < b.rows(); ++r) b.hide(r, b.spare + r * b.seen * p.item, p.zero);
  char* to = dq.matrix(b.i) + b.from * dq.row * p.item;
  p.product(p.size, b.seen)(b.rows(), p.size, b.seen, b.spare, b.seen, 1, p.k.matrix(b.i), p.k.row, p.k.col, to, dq.row,
                            k::Into::replace, nullptr);
  b.scale_rows(to, dq.row, to, dq.row);
  sums.add(b, sums.at, p.size, b.spare, b.queries, p.size, 1);
  sums.any = true;
}

// (g, q, k, v[, mask]) -> Parts. A matrix's queries are added up in order, those of few matrices in pieces first.
Parts parts_of(const Call& c) { return {c.in[1], c.in[2], c.in[3], c.attrs.as<AttentionGradient>().step}; }
void infer_gradient(Call& c) { c.out = empty({parts_of(c).total}, c.in[1].dtype()); }
void compute_gradient(const Call& c) {
  if (c.out.size() == 0) return;
  T k = c.in[2], v = c.in[3];
  const Problem p(c.attrs, c.in[1], k, v, c.count > 4 ? &c.in[4] : nullptr);
  if (p.queries == 0)
    return static_cast<void>(std::memset(c.out.bytes(), 0, static_cast<std::size_t>(c.out.size() * p.item)));
  const Parts parts = parts_of(c);
  const auto part = [&](int i) { return Matrices(parts.part(c.out, i), p.lead); };
  const Matrices g(c.in[0], p.lead), dq = part(0), dk = part(1), dv = part(2);
  const std::int64_t pieces = std::min(p.blocks, k::ceil_div(fewest_pieces, p.batch));
  const std::int64_t whole = Block::bytes(p, 2), sum = Block::line(Sums::bytes(p));
  const Tensor partial = empty({pieces > 1 ? p.batch * pieces * sum : 0}, UInt8);
  const double cost = p.cost(5) * static_cast<double>(k::ceil_div(p.blocks, pieces));
  parallel_for(p.batch * pieces, 1, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      char* memory = working_memory(whole + sum);
      Sums sums{p, pieces > 1 ? partial.bytes() + n * sum : memory + whole};
      const std::int64_t piece = n % pieces;
      for (std::int64_t b = piece * p.blocks / pieces; b < (piece + 1) * p.blocks / pieces; ++b)
        add_block(Block(p, n / pieces, b, memory), g, dq, sums);
      if (pieces == 1) sums.write(dk, dv, n);
    }
  });
  if (pieces == 1) return;
  parallel_for(p.batch, 1, 0.1 * static_cast<double>(pieces * sum), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Sums sums{p, partial.bytes() + i * pieces * sum};
      for (std::int64_t n = 1; n < pieces; ++n) sums.add_up(sums.at, sums.at + n * sum, Sums::bytes(p) / p.item);
      sums.write(dk, dv, i);
    }
  });
}

// The same composed of ops, for the gradients of gradients and of a mask that is added.
Tensor causal_mask(std::int64_t queries, std::int64_t keys) {
  return greater_equal(reshape(arange(0, queries, 1, Int64), {queries, 1}), arange(0, keys, 1, Int64));
}
Tensor hidden(Tensor scores, const Tensor& mask, bool causal, double value) {
  const Tensor v = scalar_like(value, scores);
  if (mask && mask.dtype() == Bool) scores = where(mask, scores, v);
  return causal ? where(causal_mask(scores.dim(-2), scores.dim(-1)), scores, v) : scores;
}
Tensor probabilities(T q, T k, const Tensor& mask, const Attention& a) {
  const Tensor scores = matmul(multiply(q, a.scale), transpose_last(k));
  static const Op& softmax = find_op("softmax_last");
  return apply(softmax, {hidden(mask && mask.dtype() != Bool ? add(scores, mask) : scores, mask, a.causal, -INFINITY)});
}
void composed_gradients(R r, T g, std::vector<Tensor>& grads) {
  const Attention a = r.attrs().as<Attention>();
  const Tensor q = r.in(0), k = r.in(1), v = r.in(2);
  const Tensor mask = r.node.input_count > 3 ? r.in(3) : Tensor(), y = probabilities(q, k, mask, a);
  const Tensor gy = mul_zero(matmul(g, transpose_last(v)), y);
  const Tensor scores = hidden(subtract(gy, mul_zero(sum(gy, 1u << (y.ndim() - 1), true), y)), mask, a.causal, 0);
  grads[0] = multiply(matmul(scores, k), a.scale);
  grads[1] = matmul(transpose_last(scores), multiply(q, a.scale));
  grads[2] = matmul(transpose_last(y), g);
  if (grads.size() > 3) grads[3] = scores;
}

void gradients(R r, T g, const Needed& needed, std::vector<Tensor>& grads) {
  if (grad_enabled() || (needed.size() > 3 && needed[3])) return composed_gradients(r, g, grads);
  static const Op& op = find_op("attention_gradient");
  std::vector<Tensor> in{g, r.in(0), r.in(1), r.in(2)};
  if (r.node.input_count > 3) in.push_back(r.in(3));
  const Attention a = r.attrs().as<Attention>();
  const AttentionGradient attrs{a.scale, a.causal, a.precision, projection_step(in[1], in[2], in[3])};
  const Tensor all = apply(op, in.data(), static_cast<int>(in.size()), attrs);
  const Parts parts(in[1], in[2], in[3], attrs.step);
  for (int i = 0; i < 3; ++i)
    if (needed[static_cast<std::size_t>(i)]) grads[static_cast<std::size_t>(i)] = parts.part(all, i);
}

// -- the function -----------------------------------------------------------------------------------------------------

Tensor call_attention(const Op& op, T query, T key, T value, T mask, bool causal, double factor) {
  if (query.ndim() < 2 || key.ndim() < 2 || value.ndim() < 2 || query.dim(-1) != key.dim(-1) ||
      key.dim(-2) != value.dim(-2) || query.dim(-1) == 0 || key.dim(-2) == 0)
    fail<ValueError>(op.name, ": needs query (..., L, E), key (..., S, E) and value (..., S, D), and got ", query, ", ",
                     key, " and ", value);
  DType common = to_float(promote(promote(query.dtype(), key.dtype()), value.dtype()));
  const bool added = mask && mask.dtype() != Bool;
  if (added) common = to_float(promote(common, mask.dtype()));
  const Attention a{factor != 0 ? factor : 1 / std::sqrt(static_cast<double>(query.dim(-1))), causal,
                    matmul_precision()};
  const Tensor q = astype(query, common), k = astype(key, common), v = astype(value, common);
  // For onnx.save, which writes the parts; and where a mask makes more results than there are queries.
  const Dims scores = matrices(batch_of(q, k, v), q.dim(-2), k.dim(-2));
  const bool wider = mask && broadcast_shapes(op.name, empty(scores, Bool), empty(mask.shape(), Bool)) != scores;
  if (wider || is_traced()) return matmul(probabilities(q, k, added ? astype(mask, common) : mask, a), v);
  static const Op& row = find_op("attention_blocks");
  if (!mask) return apply(row, {q, k, v}, a);
  return apply(row, {q, k, v, added ? astype(mask, common) : mask}, a);
}

}  // namespace

Rows attention_rows() {
  return {
      {.name = "attention_blocks",
       .attrs = attributes<Attention>(),
       .infer = infer_attention,
       .compute = compute_attention,
       .vjp = {{nullptr, in0 | in1 | in2 | in3}},
       .joint = gradients,
       .hidden = true},
      {.name = "attention_gradient",
       .attrs = attributes<AttentionGradient>(),
       .infer = infer_gradient,
       .compute = compute_gradient,
       .hidden = true},
      {.name = "attention",
       .doc = "softmax(query @ key.T * scale + mask) @ value; a bool mask is true where a key is seen. Scale 0: "
              "1 / sqrt(E).",
       .returns = "A tensor (..., L, D).",
       .raises = "ValueError: if the shapes do not fit, or there are no keys.",
       .source = "Vaswani et al. 2017, \"Attention is all you need\", arXiv:1706.03762, section 3.2.1.",
       .example = ">>> q = k = v = sp.tensor([[1.0, 0.0], [0.0, 1.0]])\n"
                  ">>> sp.attention(q, k, v, causal=True, scale=1.0)\n"
                  "tensor([[1.        , 0.        ],\n"
                  "        [0.26894143, 0.7310586 ]], dtype=float32)",
       .params = {{"query", Kind::tensor, required, "queries (..., L, E)"},
                  {"key", Kind::tensor, required, "keys (..., S, E)"},
                  {"value", Kind::tensor, required, "values (..., S, D), one for each key"},
                  {"mask", Kind::optional_tensor, "None",
                   "which keys a query sees, bools that broadcast to (..., L, S); floats are added to the scores"},
                  {"causal", Kind::flag, "False", "whether a query sees only the keys up to its own position"},
                  {"scale", Kind::real, "0.0", "the factor of the scores"}},
       .call = call_attention},
  };
}

}  // namespace steep
