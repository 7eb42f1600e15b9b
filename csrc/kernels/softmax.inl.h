// The gradient of softmax along rows, in one pass over a row, which stays in the first-level cache from its sum to its
// result: gy - y * (sum of gy), where gy is g * y. Sums run by the tree of reduce.inl.h, as in norm.inl.h, which this
// file needs.

template <class T>
void softmax_gradient(const void* gradients, const void* results, void* out, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T *g = static_cast<const T*>(gradients) + r * n, *y = static_cast<const T*>(results) + r * n;
    const auto term = [=](auto load) { return op::mul_zero::f(load(g), load(y)); };
    const Vec<T> total(sum_terms<T>(0, n, term));
    each_vec(static_cast<T*>(out) + r * n, n, [=](auto load) { return term(load) - op::mul_zero::f(total, load(y)); });
  }
}
