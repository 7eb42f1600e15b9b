// Batch norm and its gradient, a channel at a time: one pass for its sums and one for its result, of a channel that
// stays in the second-level cache between them. A plane is summed by the tree of reduce.inl.h, planes in pairs, so bits
// depend on a channel's values and the shape alone. Needs norm.inl.h. A product with a gradient of exactly 0 is 0.
// Start reading at BatchChannel.

template <class T> struct BatchChannel {
  const BatchNorm& b;
  std::int64_t c;

  std::int64_t plane(std::int64_t example) const { return (example * b.channels + c) * b.n; }
  const T* x(std::int64_t example) const { return static_cast<const T*>(b.x) + plane(example); }
  const T* g(std::int64_t example) const { return static_cast<const T*>(b.g) + plane(example); }
  T* out(std::int64_t example) const { return static_cast<T*>(b.out) + plane(example); }
  T value(const void* of) const { return static_cast<const T*>(of)[c]; }
  T count() const { return static_cast<T>(b.examples * b.n); }
  Standard<T> standard() const {
    const T variance = static_cast<const T*>(b.moments)[b.channels + c];
    return {Vec<T>(value(b.moments)), Vec<T>(T(1)) / sqrtv(Vec<T>(variance + static_cast<T>(b.eps)))};
  }
  void store(T first, T second) const {
    static_cast<T*>(b.sums)[c] = first;
    static_cast<T*>(b.sums)[b.channels + c] = second;
  }
  // The sum over examples [from, to) of at(example), a term as in norm.inl.h.
  template <class At> T sum(std::int64_t from, std::int64_t to, At at) const {
    if (to - from == 1) return sum_terms<T>(0, b.n, at(from));
    const std::int64_t middle = from + (to - from) / 2;
    const T left = sum(from, middle, at);
    return left + sum(middle, to, at);
  }
  template <class At> T sum(At at) const { return sum(0, b.examples, at); }
};

// The mean from the differences to the first element, as in norm.inl.h.
template <class T> void batch_moments(const BatchNorm& b, std::int64_t from, std::int64_t to, const Epilogue*) {
  for (std::int64_t c = from; c < to; ++c) {
    const BatchChannel<T> channel{b, c};
    const Vec<T> first(*channel.x(0));
    const T moved =
        channel.sum([=](std::int64_t e) { return [=, x = channel.x(e)](auto load) { return load(x) - first; }; });
    const Vec<T> mean = first + Vec<T>(moved / channel.count());
    interruption_point();
    const T squares = channel.sum([=](std::int64_t e) {
      return [=, x = channel.x(e)](auto load) {
        const Vec<T> centred = load(x) - mean;
        return centred * centred;
      };
    });
    channel.store(mean.v[0], squares / channel.count());
    interruption_point();
  }
}

template <class T> void batch_norm(const BatchNorm& b, std::int64_t from, std::int64_t to, const Epilogue* done) {
  for (std::int64_t c = from; c < to; ++c) {
    const BatchChannel<T> channel{b, c};
    const Standard<T> s = channel.standard();
    const Vec<T> weight(channel.value(b.weight)), bias(channel.value(b.bias));
    for (std::int64_t e = 0; e < b.examples; ++e) {
      const T* x = channel.x(e);
      each_vec(channel.out(e), b.n, [=](auto load) { return (load(x) - s.mean) * s.inverse * weight + bias; });
      if (done) done->f(done->context, e * b.channels + c, 1, 0, b.n);
    }
    interruption_point();
  }
}

template <class T> void batch_norm_gradient(const BatchNorm& b, std::int64_t from, std::int64_t to, const Epilogue*) {
  for (std::int64_t c = from; c < to; ++c) {
    const BatchChannel<T> channel{b, c};
    const Standard<T> s = channel.standard();
    const Vec<T> weight(channel.value(b.weight));
    const T along = channel.sum([=](std::int64_t e) {
      return [=, x = channel.x(e), g = channel.g(e)](auto load) {
        return op::mul_zero::f(load(g), (load(x) - s.mean) * s.inverse);
      };
    });
    const T total = channel.sum([=](std::int64_t e) { return [g = channel.g(e)](auto load) { return load(g); }; });
    channel.store(along, total);
    interruption_point();
    const Vec<T> mean_along(along / channel.count()), mean(total / channel.count());
    const Vec<T> scale = s.inverse * weight;
    for (std::int64_t e = 0; e < b.examples; ++e) {
      const T *x = channel.x(e), *g = channel.g(e);
      each_vec(channel.out(e), b.n, [=](auto load) {
        const Vec<T> y = (load(x) - s.mean) * s.inverse;
        return op::mul_zero::f((load(g) - mean) - op::mul_zero::f(mean_along, y), scale);
      });
    }
    interruption_point();
  }
}
