// Group norm and its gradient, a group at a time: the sums of all gradients are those over the planes of its channels,
// weighted where a weight is owed, so one pass finds them all and another writes the gradient with respect to x. A
// plane is summed by the tree of reduce.inl.h, planes in pairs. Needs norm.inl.h. A product with a gradient of exactly
// 0 is 0. Start reading at GroupRow.

template <class T> struct GroupRow {
  const GroupNorm& b;
  std::int64_t row;

  std::int64_t size() const { return b.channels * b.n; }
  const T* x() const { return static_cast<const T*>(b.x) + row * size(); }
  const T* g() const { return static_cast<const T*>(b.g) + row * size(); }
  T* out() const { return static_cast<T*>(b.out) + row * size(); }
  T value(const void* of, std::int64_t channel) const {
    return static_cast<const T*>(of)[row % b.groups * b.channels + channel];
  }
};

template <class T> void group_norm(const GroupNorm& b, std::int64_t from, std::int64_t to, const Epilogue* done) {
  for (std::int64_t r = from; r < to; ++r) {
    const GroupRow<T> row{b, r};
    const Standard<T> s = standard_of(row.x(), row.size(), b.eps);
    for (std::int64_t c = 0; c < b.channels; ++c) {
      const Vec<T> weight(row.value(b.weight, c)), bias(row.value(b.bias, c));
      const T* x = row.x() + c * b.n;
      each_vec(row.out() + c * b.n, b.n, [=](auto load) { return (load(x) - s.mean) * s.inverse * weight + bias; });
    }
    if (done) done->f(done->context, r * b.channels, b.channels, 0, b.n);
    interruption_point();
  }
}

// The sums over channels [from, to) of a row of weight * g * y and of weight * g; those of each plane go into `sums`.
template <class T> struct GroupSums { T along, total; };
template <class T>
GroupSums<T> group_sums(const GroupRow<T>& row, const Standard<T>& s, std::int64_t from, std::int64_t to) {
  const GroupNorm& b = row.b;
  if (to - from > 1) {
    const std::int64_t middle = from + (to - from) / 2;
    const GroupSums<T> left = group_sums(row, s, from, middle), right = group_sums(row, s, middle, to);
    return {left.along + right.along, left.total + right.total};
  }
  const T *x = row.x() + from * b.n, *g = row.g() + from * b.n;
  const T along =
      sum_terms<T>(0, b.n, [=](auto load) { return op::mul_zero::f(load(g), (load(x) - s.mean) * s.inverse); });
  const T total = sum_terms<T>(0, b.n, [=](auto load) { return load(g); });
  T* sums = static_cast<T*>(b.sums) + row.row * b.channels + from;
  sums[0] = along;
  sums[b.examples * b.groups * b.channels] = total;
  const Vec<T> weight(row.value(b.weight, from));
  return {op::mul_zero::f(Vec<T>(along), weight).v[0], op::mul_zero::f(Vec<T>(total), weight).v[0]};
}
template <class T> void group_norm_gradient(const GroupNorm& b, std::int64_t from, std::int64_t to, const Epilogue*) {
  for (std::int64_t r = from; r < to; ++r) {
    const GroupRow<T> row{b, r};
    const Standard<T> s = standard_of(row.x(), row.size(), b.eps);
    const GroupSums<T> sums = group_sums(row, s, 0, b.channels);
    const T count = static_cast<T>(row.size());
    const Vec<T> along(sums.along / count), mean(sums.total / count);
    for (std::int64_t c = 0; c < b.channels; ++c) {
      const Vec<T> weight(row.value(b.weight, c));
      const T *x = row.x() + c * b.n, *g = row.g() + c * b.n;
      each_vec(row.out() + c * b.n, b.n, [=](auto load) {
        const Vec<T> y = (load(x) - s.mean) * s.inverse;
        return op::mul_zero::f((op::mul_zero::f(load(g), weight) - mean) - op::mul_zero::f(along, y), s.inverse);
      });
    }
    interruption_point();
  }
}
