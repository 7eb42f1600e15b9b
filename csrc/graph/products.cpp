// What products.h promises, made of concat and matmul.
#include "graph/products.h"

#include "ops/functions.h"

namespace steep {
namespace {

Tensor rows_of(const std::vector<ProductGradient>& all, Tensor ProductGradient::*of, bool transposed) {
  std::vector<Tensor> rows;
  for (const ProductGradient& p : all)
    if (p.transposed == transposed) rows.push_back(p.*of);
  return rows.size() > 1 ? concat(rows, 0) : rows.empty() ? Tensor() : rows[0];
}

}  // namespace

bool is_small_product(const Tensor& x, const Tensor& g) {
  const std::int64_t m = x.dim(0), k = x.dim(1), n = g.dim(1);
  return m > 0 && 2 * m * (k + n) < 3 * k * n;
}

Tensor sum_products(const std::vector<ProductGradient>& all) {
  Tensor sum;
  for (const bool transposed : {false, true}) {
    const Tensor x = rows_of(all, &ProductGradient::x, transposed), g = rows_of(all, &ProductGradient::g, transposed);
    if (!x) continue;
    const Tensor one = transposed ? matmul(transpose_last(g), x) : matmul(transpose_last(x), g);
    sum = sum ? add(sum, one) : one;
  }
  return sum;
}

}  // namespace steep
