// The gradient of softmax along rows, and softmax, log-softmax and that gradient down columns, some columns at a time:
// in the first-level cache from their sum to their result. Sums run by the trees of reduce.inl.h and norm.inl.h, which
// this file needs. Start reading at col_softmax.

// gy - y * (sum of gy), where gy is g * y.
template <class T>
void softmax_gradient(const void* gradients, const void* results, void* out, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T *g = static_cast<const T*>(gradients) + r * n, *y = static_cast<const T*>(results) + r * n;
    const auto term = [=](auto load) { return op::mul_zero::f(load(g), load(y)); };
    const Vec<T> total(sum_terms<T>(0, n, term));
    each_vec(static_cast<T*>(out) + r * n, n, [=](auto load) { return term(load) - op::mul_zero::f(total, load(y)); });
  }
}

template <class T, class G> STEEP_INLINE Group<T> each_part(Group<T> a, Group<T> b, G g) {
  for (int i = 0; i < kParts; ++i) a.part[i] = g(a.part[i], b.part[i]);
  return a;
}
template <class T> STEEP_INLINE Vec<T> exp_below(Vec<T> x, Vec<T> top) { return expv(x - top); }

// m columns of n rows of x and of out, `ld` elements from row to row.
template <class T> void col_softmax(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld) {
  over_strips<T>(m, [=](std::int64_t j, auto width, std::int64_t some) {
    const auto at = [=](std::int64_t r, int i) { return r * ld + j + i * kLanes<T>; };
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(out);
    const auto read = [=](std::int64_t r, int i) { return load_some(from + at(r, i), some, T(0)); };
    const auto top = fold_columns<Max, T, width>(0, n, read);
    const auto total = fold_columns<Sum, T, width>(0, n, [=, &top](std::int64_t r, int i) {
      const Group<T> e = each_part(read(r, i), top.group[i], exp_below<T>);
      store_some(to + at(r, i), e, some);
      return e;
    });
    for (std::int64_t r = 0; r < n; ++r) {
      if (r % 4096 == 4095) interruption_point();
      for (int i = 0; i < width; ++i) {
        const Group<T> e = load_some(to + at(r, i), some, T(0));
        store_some(to + at(r, i), each_part(e, total.group[i], op::divide::f<Vec<T>>), some);
      }
    }
  });
}
template <class T> void col_log_softmax(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld) {
  over_strips<T>(m, [=](std::int64_t j, auto width, std::int64_t some) {
    const auto at = [=](std::int64_t r, int i) { return r * ld + j + i * kLanes<T>; };
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(out);
    const auto read = [=](std::int64_t r, int i) { return load_some(from + at(r, i), some, T(0)); };
    const auto top = fold_columns<Max, T, width>(0, n, read);
    auto total = fold_columns<Sum, T, width>(
        0, n, [=, &top](std::int64_t r, int i) { return each_part(read(r, i), top.group[i], exp_below<T>); });
    for (int i = 0; i < width; ++i)
      for (Vec<T>& part : total.group[i].part) part = logv(part);
    for (std::int64_t r = 0; r < n; ++r) {
      if (r % 4096 == 4095) interruption_point();
      for (int i = 0; i < width; ++i) {
        const Group<T> below = each_part(read(r, i), top.group[i], op::subtract::f<Vec<T>>);
        store_some(to + at(r, i), each_part(below, total.group[i], op::subtract::f<Vec<T>>), some);
      }
    }
  });
}
template <class T> void col_softmax_gradient(const void* gradients, const void* results, void* out, std::int64_t n,
                                             std::int64_t m, std::int64_t ld) {
  over_strips<T>(m, [=](std::int64_t j, auto width, std::int64_t some) {
    const auto at = [=](std::int64_t r, int i) { return r * ld + j + i * kLanes<T>; };
    const T *g = static_cast<const T*>(gradients), *y = static_cast<const T*>(results);
    const auto result = [=](std::int64_t r, int i) { return load_some(y + at(r, i), some, T(0)); };
    const auto term = [=](std::int64_t r, int i) {
      return each_part(load_some(g + at(r, i), some, T(0)), result(r, i), op::mul_zero::f<Vec<T>>);
    };
    const auto total = fold_columns<Sum, T, width>(0, n, term);
    for (std::int64_t r = 0; r < n; ++r) {
      if (r % 4096 == 4095) interruption_point();
      for (int i = 0; i < width; ++i) {
        const Group<T> part = each_part(total.group[i], result(r, i), op::mul_zero::f<Vec<T>>);
        store_some(static_cast<T*>(out) + at(r, i), each_part(term(r, i), part, op::subtract::f<Vec<T>>), some);
      }
    }
  });
}
