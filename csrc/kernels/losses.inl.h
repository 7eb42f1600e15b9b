// Cross-entropy of rows of logits against one label each, and its gradient, in one pass over a row that stays in cache.
// The bits are those of log_softmax and softmax in reduce.inl.h, whose order of operations this file follows.

template <class T> void row_cross_entropy(const void* x, const std::int64_t* labels, const void*, void* out,
                                          std::int64_t rows, std::int64_t n) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(out);
  for (std::int64_t r = 0; r < rows; ++r, from += n) {
    const T top = fold_row<Max>(from, n);
    const T log_total = logv(Vec<T>(sum_of_exp(from, n, Vec<T>(top)))).v[0];
    to[r] = -((from[labels[r]] - top) - log_total);
  }
}

// g[r] * (softmax(x) - 1 at the label), exactly 0 where g is.
template <class T> void row_cross_entropy_gradient(const void* x, const std::int64_t* labels, const void* g, void* out,
                                                   std::int64_t rows, std::int64_t n) {
  const T* from = static_cast<const T*>(x);
  const T* scale = static_cast<const T*>(g);
  T* to = static_cast<T*>(out);
  for (std::int64_t r = 0; r < rows; ++r, from += n, to += n) {
    const Vec<T> top(fold_row<Max>(from, n)), s(scale[r]);
    map_row(from, to, n, [=](Vec<T> v) { return expv(v - top); });
    const Vec<T> total(fold_row<Sum>(to, n));
    const T hit = op::mul_zero::f(s, (Vec<T>(to[labels[r]]) / total) - Vec<T>(1)).v[0];
    map_row(to, to, n, [=](Vec<T> v) { return op::mul_zero::f(s, v / total); });
    to[labels[r]] = hit;
  }
}
