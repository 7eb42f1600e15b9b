// The transforms of Winograd's minimal filtering, F(m, 3): m neighbouring outputs of three taps from m + 2 products.
// Inputs and taps are evaluated, as polynomials, at m + 1 points and at infinity; the products of these values
// determine the outputs. With the points 5/8 and 3/2 for m = 4 the rounding error is less than half of that of the
// usual 1 and 2 (docs/precision.md). After Lavin and Gray 2016, "Fast algorithms for convolutional neural networks",
// arXiv:1509.09308. Start reading at Points.

namespace winograd {

// In place, at x[0], x[step], ..: inputs to their values at 0, a, -a, then b, -b for m = 4, and infinity; and products
// to outputs. taps_at: values of three taps, scaled so that the outputs need no divisions.
template <int m> struct Points;

template <> struct Points<2> {  // a = 1
  template <class V> STEEP_INLINE static void of_inputs(V* x, int step) {
    const V x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step];
    x[0] = x0 - x2;
    x[step] = x2 + x1;
    x[2 * step] = x2 - x1;
    x[3 * step] = x3 - x1;
  }
  template <class V> STEEP_INLINE static void to_outputs(V* x, int step) {
    const V plus = x[step], minus = x[2 * step];
    x[0] = x[0] + (plus + minus);
    x[step] = (plus - minus) + x[3 * step];
  }
  template <class V> STEEP_INLINE static void of_taps(const V* g, int step, V* to) {
    const V even = (g[0] + g[2 * step]) * V(0.5), odd = g[step] * V(0.5);
    to[0] = g[0];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = g[2 * step];
  }
};

template <> struct Points<4> {
  static constexpr float a = 0.625f, b = 1.5f, aa = a * a, bb = b * b;  // which are exact

  template <class V> STEEP_INLINE static void of_inputs(V* x, int step) {
    const V x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], sum = -(aa + bb), product = aa * bb;
    x[0] = fma(x[0], product, fma(x2, sum, x4));
    x[5 * step] = fma(x1, product, fma(x3, sum, x[5 * step]));
    const V even_a = fma(x2, V(-bb), x4), odd_a = V(a) * fma(x1, V(-bb), x3);
    const V even_b = fma(x2, V(-aa), x4), odd_b = V(b) * fma(x1, V(-aa), x3);
    x[step] = even_a + odd_a;
    x[2 * step] = even_a - odd_a;
    x[3 * step] = even_b + odd_b;
    x[4 * step] = even_b - odd_b;
  }
  template <class V> STEEP_INLINE static void to_outputs(V* x, int step) {
    const V sum_a = x[step] + x[2 * step], difference_a = x[step] - x[2 * step];
    const V sum_b = x[3 * step] + x[4 * step], difference_b = x[3 * step] - x[4 * step];
    x[0] = x[0] + (sum_a + sum_b);
    x[step] = fma(difference_b, V(b), V(a) * difference_a);
    x[2 * step] = fma(sum_b, V(bb), V(aa) * sum_a);
    x[3 * step] = fma(difference_b, V(bb * b), fma(difference_a, V(aa * a), x[5 * step]));
  }
  template <class V> STEEP_INLINE static void of_taps(const V* g, int step, V* to) {
    constexpr double at_a = 1 / (2.0 * aa * (aa - bb)), at_b = 1 / (2.0 * bb * (bb - aa));
    const V even_a = (g[0] + V(aa) * g[2 * step]) * V(at_a), odd_a = g[step] * V(a * at_a);
    const V even_b = (g[0] + V(bb) * g[2 * step]) * V(at_b), odd_b = g[step] * V(b * at_b);
    to[0] = g[0] * V(1.0 / (aa * bb));
    to[1] = even_a + odd_a;
    to[2] = even_a - odd_a;
    to[3] = even_b + odd_b;
    to[4] = even_b - odd_b;
    to[5] = g[2 * step];
  }
};

// In two dimensions: (m + 2)^2 inputs to values; values to m x m outputs, the first m of the first m rows of m + 2.
template <int m, class V> STEEP_INLINE void values_of_inputs(V* x) {
  constexpr int side = m + 2;
  for (int i = 0; i < side; ++i) Points<m>::of_inputs(x + i, side);
  for (int i = 0; i < side; ++i) Points<m>::of_inputs(x + i * side, 1);
}
template <int m, class V> STEEP_INLINE void outputs_of_values(V* x) {
  constexpr int side = m + 2;
  for (int i = 0; i < side; ++i) Points<m>::to_outputs(x + i, side);
  for (int i = 0; i < m; ++i) Points<m>::to_outputs(x + i * side, 1);
}
template <int m, class V> STEEP_INLINE void values_of_taps(const V* taps, V* to) {
  constexpr int side = m + 2;
  V columns[3 * side];
  for (int i = 0; i < 3; ++i) Points<m>::of_taps(taps + i, 3, columns + i * side);
  for (int i = 0; i < side; ++i) Points<m>::of_taps(columns + i, side, to + i * side);
}

// The elements of two vectors alternately, and back: at even places in the first, at odd ones in the second.
template <int... l> STEEP_INLINE void interleave(Vec<float>& x, Vec<float>& y, std::integer_sequence<int, l...>) {
  constexpr int n = lanes<float>;
  const Vec<float> low = __builtin_shufflevector(x.v, y.v, (l / 2 + l % 2 * n)...);
  y = __builtin_shufflevector(x.v, y.v, (n / 2 + l / 2 + l % 2 * n)...);
  x = low;
}
template <int... l> STEEP_INLINE void separate(Vec<float>& x, Vec<float>& y, std::integer_sequence<int, l...>) {
  const Vec<float> even = __builtin_shufflevector(x.v, y.v, (2 * l)...);
  y = __builtin_shufflevector(x.v, y.v, (2 * l + 1)...);
  x = even;
}
using Lanes = std::make_integer_sequence<int, lanes<float>>;

// m vectors of neighbours in memory as places 0, 1, .. of a vector of tiles, and back.
template <int m> STEEP_INLINE void places_of(Vec<float>* x) {
  separate(x[0], x[1], Lanes{});
  if constexpr (m == 4) {
    separate(x[2], x[3], Lanes{});
    separate(x[0], x[2], Lanes{});
    separate(x[1], x[3], Lanes{});
  }
}
template <int m> STEEP_INLINE void neighbours_of(Vec<float>* x) {
  if constexpr (m == 4) {
    interleave(x[0], x[2], Lanes{});
    interleave(x[1], x[3], Lanes{});
    interleave(x[2], x[3], Lanes{});
  }
  interleave(x[0], x[1], Lanes{});
}

// Lanes 1, 2, .. of x, then lane 0 of y.
template <int... l> STEEP_INLINE Vec<float> next_lanes(Vec<float> x, Vec<float> y, std::integer_sequence<int, l...>) {
  return __builtin_shufflevector(x.v, y.v, (1 + l)...);
}

}  // namespace winograd
