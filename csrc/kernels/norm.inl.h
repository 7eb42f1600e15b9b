// Layer norm and its gradients, each in one pass over a row, which stays in the first-level cache from its mean to its
// result. Sums run by the tree of reduce.inl.h, which this file needs, so bits depend on a row's values and length
// alone. A product with a gradient of exactly 0 is 0. Start reading at norm_rows, then sum_terms.

// at(load) is a vector of terms; load(p) reads at the same offset from p as the terms have from the row's start.
template <class T, class At> STEEP_INLINE Group<T> terms(std::int64_t i, At at) {
  Group<T> g;
  for (int p = 0; p < kParts; ++p) g.part[p] = at([=](const T* x) { return load(x + i + p * Vec<T>::n); });
  return g;
}
// The first n, 0 < n < kLanes; the others are 0.
template <class T, class At> STEEP_INLINE Group<T> terms(std::int64_t i, std::int64_t n, At at) {
  Group<T> g;
  Vec<Int<T>> lane;
  for (int l = 0; l < Vec<T>::n; ++l) lane.v[l] = static_cast<Int<T>>(l);
  for (int p = 0; p < kParts; ++p, i += Vec<T>::n, n -= Vec<T>::n) {
    const std::int64_t some = n < 0 ? 0 : n < Vec<T>::n ? n : Vec<T>::n;
    const auto read = [=](const T* x) { return load_padded(x + i, some, T(0)); };
    g.part[p] = select(lane < Vec<Int<T>>(static_cast<Int<T>>(some)), at(read), Vec<T>(T(0)));
  }
  return g;
}

template <class T, class At> STEEP_INLINE T sum_leaf(std::int64_t i, std::int64_t n, At at) {
  constexpr std::int64_t lanes = kLanes<T>;
  Group<T> a = group_of(T(0)), b = a, c = a, d = a;
  for (; n >= 4 * lanes; n -= 4 * lanes, i += 4 * lanes) {
    a = fold<Sum>(a, terms<T>(i, at));
    b = fold<Sum>(b, terms<T>(i + lanes, at));
    c = fold<Sum>(c, terms<T>(i + 2 * lanes, at));
    d = fold<Sum>(d, terms<T>(i + 3 * lanes, at));
  }
  for (; n >= lanes; n -= lanes, i += lanes) {
    a = fold<Sum>(a, terms<T>(i, at));
    const Group<T> oldest = a;
    a = b;
    b = c;
    c = d;
    d = oldest;
  }
  if (n > 0) a = fold<Sum>(a, terms<T>(i, n, at));
  return fold_group<Sum>(fold<Sum>(fold<Sum>(a, b), fold<Sum>(c, d)));
}
// Terms [i, i + n), added up as fold_row does.
template <class T, class At> T sum_terms(std::int64_t i, std::int64_t n, At at) {
  constexpr std::int64_t leaf = row_leaf<T>;
  if (n <= leaf) return sum_leaf<T>(i, n, at);
  const std::int64_t left = fold_split(n, leaf);
  return sum_terms<T>(i, left, at) + sum_terms<T>(i + left, n - left, at);
}

// Sums of squares of rows and of columns.
template <class T> void row_squares(const void* x, void* out, std::int64_t rows, std::int64_t n) {
  const T* from = static_cast<const T*>(x);
  for (std::int64_t r = 0; r < rows; ++r, from += n)
    static_cast<T*>(out)[r] = sum_terms<T>(0, n, [=](auto load) { return op::square::f(load(from)); });
}
template <class T> void col_squares(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld) {
  over_strips<T>(m, [=](std::int64_t j, auto width, std::int64_t some) {
    const T* from = static_cast<const T*>(x) + j;
    const auto s = fold_columns<Sum, T, width>(0, n, [=](std::int64_t r, int i) {
      Group<T> g = load_some(from + r * ld + i * kLanes<T>, some, T(0));
      for (Vec<T>& part : g.part) part = op::square::f(part);
      return g;
    });
    for (int i = 0; i < width; ++i) store_some(static_cast<T*>(out) + j + i * kLanes<T>, s.group[i], some);
  });
}

// The mean is computed from the differences to the first element, so that equal numbers minus their mean are exactly 0.
template <class T> struct Standard { Vec<T> mean, inverse; };
template <class T> STEEP_INLINE Standard<T> standard_of(const T* x, std::int64_t n, double eps) {
  const T count = static_cast<T>(n);
  const Vec<T> first(*x);
  const Vec<T> mean = first + Vec<T>(sum_terms<T>(0, n, [=](auto load) { return load(x) - first; }) / count);
  const T squares = sum_terms<T>(0, n, [=](auto load) {
    const Vec<T> centred = load(x) - mean;
    return centred * centred;
  });
  return {mean, Vec<T>(T(1)) / sqrtv(Vec<T>(squares / count + static_cast<T>(eps)))};
}

// f(load) to every element of a row; load(p) as in terms.
template <class T, class F> STEEP_INLINE void each_vec(T* to, std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + Vec<T>::n <= n; i += Vec<T>::n) store(to + i, f([=](const T* x) { return load(x + i); }));
  if (i < n) store_part(to + i, f([=](const T* x) { return load_part(x + i, n - i); }), n - i);
}

template <class T> void norm_rows(const Norm& norm, std::int64_t from, std::int64_t to) {
  const T *weight = static_cast<const T*>(norm.weight), *bias = static_cast<const T*>(norm.bias);
  const std::int64_t n = norm.n;
  for (std::int64_t r = from; r < to; ++r) {
    const T* x = static_cast<const T*>(norm.x) + r * n;
    T* out = static_cast<T*>(norm.out) + r * n;
    const Standard<T> s = standard_of(x, n, norm.eps);
    if (weight) each_vec(out, n, [=](auto load) { return (load(x) - s.mean) * s.inverse * load(weight) + load(bias); });
    else each_vec(out, n, [=](auto load) { return (load(x) - s.mean) * s.inverse; });
  }
}

// The gradient of one row with respect to x: (d - mean of d - y * mean of d y) / sqrt(variance + eps), where d(load) is
// g * weight.
template <class T, class D> STEEP_INLINE void norm_gradient_of_row(const T* x, T* out, const Norm& norm, D d) {
  const Standard<T> s = standard_of(x, norm.n, norm.eps);
  const T count = static_cast<T>(norm.n);
  const Vec<T> mean(sum_terms<T>(0, norm.n, d) / count);
  const Vec<T> along(
      sum_terms<T>(0, norm.n, [=](auto load) { return op::mul_zero::f(d(load), (load(x) - s.mean) * s.inverse); }) /
      count);
  each_vec(out, norm.n, [=](auto load) {
    const Vec<T> y = (load(x) - s.mean) * s.inverse;
    return op::mul_zero::f((d(load) - mean) - op::mul_zero::f(along, y), s.inverse);
  });
}
template <class T> void norm_gradient(const Norm& norm, std::int64_t from, std::int64_t to) {
  const T* weight = static_cast<const T*>(norm.weight);
  for (std::int64_t r = from; r < to; ++r) {
    const T *x = static_cast<const T*>(norm.x) + r * norm.n, *g = static_cast<const T*>(norm.g) + r * norm.n;
    T* out = static_cast<T*>(norm.out) + r * norm.n;
    if (weight) norm_gradient_of_row(x, out, norm, [=](auto load) { return op::mul_zero::f(load(g), load(weight)); });
    else norm_gradient_of_row(x, out, norm, [=](auto load) { return load(g); });
  }
}

template <class T> void norm_sums(const Norm& norm, std::int64_t from, std::int64_t to) {
  const std::int64_t n = norm.n;
  T *d_weight = static_cast<T*>(norm.out), *d_bias = d_weight + n;
  for (std::int64_t r = from; r < to; ++r) {
    const T *x = static_cast<const T*>(norm.x) + r * n, *g = static_cast<const T*>(norm.g) + r * n;
    const Standard<T> s = standard_of(x, n, norm.eps);
    const bool first = r == from;
    each_vec(d_weight, n, [=](auto load) {
      const Vec<T> term = op::mul_zero::f(load(g), (load(x) - s.mean) * s.inverse);
      return first ? term : load(static_cast<const T*>(d_weight)) + term;
    });
    each_vec(d_bias, n, [=](auto load) { return first ? load(g) : load(static_cast<const T*>(d_bias)) + load(g); });
  }
}
