// Batch norm and its gradient, some neighbouring channels at a time: a pass for each of their sums and one for their
// result, in the order of memory. A plane is summed by the tree of reduce.inl.h, planes in pairs, so bits depend on a
// channel's values and the shape alone. Needs norm.inl.h. A product with a gradient of exactly 0 is 0. Start reading at
// BatchBlock.

template <class T> struct BatchBlock {
  const BatchNorm& b;
  std::int64_t first, channels;  // of b's
  T* leaves;                     // [2, channels, examples]: sums of planes
  T* scales;                     // [4, channels]: what the last pass needs of each channel

  std::int64_t plane(std::int64_t e, std::int64_t c) const { return (e * b.channels + first + c) * b.n; }
  const T* x(std::int64_t e, std::int64_t c) const { return static_cast<const T*>(b.x) + plane(e, c); }
  const T* g(std::int64_t e, std::int64_t c) const { return static_cast<const T*>(b.g) + plane(e, c); }
  T* out(std::int64_t e, std::int64_t c) const { return static_cast<T*>(b.out) + plane(e, c); }
  T value(const void* of, std::int64_t c) const { return static_cast<const T*>(of)[first + c]; }
  T count() const { return static_cast<T>(b.examples * b.n); }
  T* leaf(int which, std::int64_t c) const { return leaves + (which * channels + c) * b.examples; }
  T& scale(int which, std::int64_t c) const { return scales[which * channels + c]; }
  void store(T sum, T other, std::int64_t c) const {
    static_cast<T*>(b.sums)[first + c] = sum;
    static_cast<T*>(b.sums)[b.channels + first + c] = other;
  }
  // The mean of a channel and 1 / sqrt(variance + eps), which are scales 0 and 1.
  void standardize() const {
    for (std::int64_t c = 0; c < channels; ++c) {
      const T variance = value(b.moments, b.channels + c);
      scale(0, c) = value(b.moments, c);
      scale(1, c) = (Vec<T>(T(1)) / sqrtv(Vec<T>(variance + static_cast<T>(b.eps)))).v[0];
    }
  }
  Standard<T> standard(std::int64_t c) const { return {Vec<T>(scale(0, c)), Vec<T>(scale(1, c))}; }

  template <class F> STEEP_INLINE void each_plane(F f) const {
    for (std::int64_t e = 0; e < b.examples; ++e)
      for (std::int64_t c = 0; c < channels; ++c) f(e, c);
    interruption_point();
  }
  // at(e, c) gives the terms of a plane, as in norm.inl.h.
  template <class At> STEEP_INLINE void sum_planes(int which, At at) const {
    each_plane([&](std::int64_t e, std::int64_t c) { leaf(which, c)[e] = sum_terms<T>(0, b.n, at(e, c)); });
  }
  static T pair_sum(const T* x, std::int64_t n) {
    return n == 1 ? *x : pair_sum(x, n / 2) + pair_sum(x + n / 2, n - n / 2);
  }
  T sum(int which, std::int64_t c) const { return pair_sum(leaf(which, c), b.examples); }
};

template <class T> STEEP_INLINE BatchBlock<T> block_of(const BatchNorm& b, std::int64_t from, std::int64_t to) {
  const std::int64_t channels = to - from, leaves = 2 * channels * b.examples;
  T* at = static_cast<T*>(scratch(Scratch::norm, static_cast<std::size_t>(leaves + 4 * channels) * sizeof(T)));
  return {b, from, channels, at, at + leaves};
}

// The mean from the differences to the first element, as in norm.inl.h.
template <class T> void batch_moments(const BatchNorm& b, std::int64_t from, std::int64_t to, const Epilogue*) {
  const BatchBlock<T> block = block_of<T>(b, from, to);
  block.sum_planes(0, [&](std::int64_t e, std::int64_t c) {
    return [x = block.x(e, c), first = Vec<T>(*block.x(0, c))](auto load) { return load(x) - first; };
  });
  for (std::int64_t c = 0; c < block.channels; ++c)
    block.scale(0, c) = *block.x(0, c) + block.sum(0, c) / block.count();
  block.sum_planes(0, [&](std::int64_t e, std::int64_t c) {
    return [x = block.x(e, c), mean = Vec<T>(block.scale(0, c))](auto load) {
      const Vec<T> centred = load(x) - mean;
      return centred * centred;
    };
  });
  for (std::int64_t c = 0; c < block.channels; ++c) block.store(block.scale(0, c), block.sum(0, c) / block.count(), c);
}

template <class T> void batch_norm(const BatchNorm& b, std::int64_t from, std::int64_t to, const Epilogue* done) {
  const BatchBlock<T> block = block_of<T>(b, from, to);
  block.standardize();
  for (std::int64_t e = 0; e < b.examples; ++e) {
    for (std::int64_t c = 0; c < block.channels; ++c) {
      const Standard<T> s = block.standard(c);
      const Vec<T> weight(block.value(b.weight, c)), bias(block.value(b.bias, c));
      const T* x = block.x(e, c);
      each_vec(block.out(e, c), b.n, [=](auto load) { return (load(x) - s.mean) * s.inverse * weight + bias; });
    }
    if (done) done->f(done->context, e * b.channels + block.first, block.channels, 0, b.n);
  }
  interruption_point();
}

template <class T> void batch_norm_gradient(const BatchNorm& b, std::int64_t from, std::int64_t to, const Epilogue*) {
  const BatchBlock<T> block = block_of<T>(b, from, to);
  block.standardize();
  block.each_plane([&](std::int64_t e, std::int64_t c) {
    const Standard<T> s = block.standard(c);
    const T *x = block.x(e, c), *g = block.g(e, c);
    block.leaf(0, c)[e] =
        sum_terms<T>(0, b.n, [=](auto load) { return op::mul_zero::f(load(g), (load(x) - s.mean) * s.inverse); });
    block.leaf(1, c)[e] = sum_terms<T>(0, b.n, [=](auto load) { return load(g); });
  });
  for (std::int64_t c = 0; c < block.channels; ++c) {
    const T along = block.sum(0, c), total = block.sum(1, c);
    block.store(along, total, c);
    block.scale(2, c) = along / block.count();
    block.scale(3, c) = total / block.count();
  }
  block.each_plane([&](std::int64_t e, std::int64_t c) {
    const Standard<T> s = block.standard(c);
    const Vec<T> along(block.scale(2, c)), mean(block.scale(3, c)),
        scale = s.inverse * Vec<T>(block.value(b.weight, c));
    const T *x = block.x(e, c), *g = block.g(e, c);
    each_vec(block.out(e, c), b.n, [=](auto load) {
      const Vec<T> y = (load(x) - s.mean) * s.inverse;
      return op::mul_zero::f((load(g) - mean) - op::mul_zero::f(along, y), scale);
    });
  });
}
