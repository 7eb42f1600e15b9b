// The smooth elementwise kernels, one functor for each name in kernels.def, in namespace op; arithmetic.inl.h has the
// others. f(x...) is the function and df(s) its derivative in terms of what backward keeps (x or y, as kernels.def
// says). Functions that are constant on an interval have back(g, s) instead, the gradient itself: 0 there even where g
// is infinite. A body serves vectors of floats, Vec<T>. The loops are in loops.inl.h. Start reading at op::exp.

namespace op {

struct exp {
  template <class V> static V f(V x) { return expv(x); }
  template <class V> static V df(V y) { return y; }
};
struct expm1 {
  template <class V> static V f(V x) { return expm1v(x); }
  template <class V> static V df(V x) { return expv(x); }  // y + 1 loses all digits where y is close to -1
};
struct log {
  template <class V> static V f(V x) { return logv(x); }
  template <class V> static V df(V x) { return 1 / x; }
};
struct log1p {
  template <class V> static V f(V x) { return log1pv(x); }
  template <class V> static V df(V x) { return 1 / (1 + x); }
};
struct log2 {
  template <class V> static V f(V x) { return log2v(x); }
  template <class V> static V df(V x) { return Elem<V>(1.4426950408889634) / x; }  // 1 / ln 2
};
struct log10 {
  template <class V> static V f(V x) { return log10v(x); }
  template <class V> static V df(V x) { return Elem<V>(0.43429448190325183) / x; }  // 1 / ln 10
};
struct sqrt {
  template <class V> static V f(V x) { return sqrtv(x); }
  template <class V> static V df(V y) { return Elem<V>(0.5) / y; }
};
struct rsqrt {
  template <class V> static V f(V x) { return 1 / sqrtv(x); }
  template <class V> static V df(V y) { return Elem<V>(-0.5) * (y * y * y); }
};
struct reciprocal {
  template <class V> static V f(V x) { return 1 / x; }
  template <class V> static V df(V y) { return -(y * y); }
};
struct sin {
  template <class V> static V f(V x) { return sinv(x); }
  template <class V> static V df(V x) { return cosv(x); }
};
struct cos {
  template <class V> static V f(V x) { return cosv(x); }
  template <class V> static V df(V x) { return -sinv(x); }
};
struct tan {
  template <class V> static V f(V x) { return tanv(x); }
  template <class V> static V df(V y) { return 1 + y * y; }
};
struct asin {
  template <class V> static V f(V x) { return asinv(x); }
  template <class V> static V df(V x) { return 1 / sqrtv((1 - x) * (1 + x)); }
};
struct acos {
  template <class V> static V f(V x) { return acosv(x); }
  template <class V> static V df(V x) { return -1 / sqrtv((1 - x) * (1 + x)); }
};
// Beyond this 1 + x * x is x * x in every type, and x * x may overflow.
constexpr float kLarge = 1e10f;
struct atan {
  template <class V> static V f(V x) { return atanv(x); }
  template <class V> static V df(V x) {
    const V y = 1 / x;
    return select(absv(x) > kLarge, y * y, 1 / (1 + x * x));
  }
};
struct sinh {
  template <class V> static V f(V x) { return sinhv(x); }
  template <class V> static V df(V x) { return coshv(x); }
};
struct cosh {
  template <class V> static V f(V x) { return coshv(x); }
  template <class V> static V df(V x) { return sinhv(x); }
};
struct asinh {
  template <class V> static V f(V x) { return asinhv(x); }
  template <class V> static V df(V x) { return 1 / select(absv(x) > kLarge, absv(x), sqrtv(1 + x * x)); }
};
struct acosh {
  template <class V> static V f(V x) { return acoshv(x); }
  template <class V> static V df(V x) { return 1 / (sqrtv(x - 1) * sqrtv(x + 1)); }
};
struct atanh {
  template <class V> static V f(V x) { return atanhv(x); }
  template <class V> static V df(V x) { return 1 / ((1 - x) * (1 + x)); }
};
struct tanh {
  template <class V> static V f(V x) { return tanhv(x); }
};
struct sigmoid {
  template <class V> static V f(V x) { return sigmoidv(x); }
};
// Their derivatives are polynomials of y. Close to 1 a rounded y has lost the digits of 1 - y: they are computed from
// x, by an exponential, only if some lane needs it. 4 e / (1 + e)^2 is the derivative of tanh at x where e = exp(-2
// |x|), and a quarter of it that of sigmoid where e = exp(-|x|).
constexpr float kCloseToOne = 0.9998f;  // float32 has 1 - y to 1 part in 1000 up to here
struct tanh_gradient {
  template <class V, class X> static V f(V g, V y, X x) {
    const auto close = absv(y) > kCloseToOne;
    V d = (1 - y) * (1 + y);
    if (any_lane(close)) {
      const V e = expv(-2 * absv(x())), below = 1 + e;
      d = select(close, 4 * e / (below * below), d);
    }
    return mul_zero::f(g, d);
  }
};
struct sigmoid_gradient {
  template <class V, class X> static V f(V g, V y, X x) {
    const auto close = y > kCloseToOne;
    V d = y * (1 - y);
    if (any_lane(close)) {
      const V e = expv(-absv(x())), below = 1 + e;
      d = select(close, e / (below * below), d);
    }
    return mul_zero::f(g, d);
  }
};
struct relu {  // a NaN stays a NaN; the derivative at 0 is 0
  template <class V> static V f(V x) { return select(x <= 0, V(0), x); }
  template <class V> static V back(V g, V y, V) { return select(y <= 0, V(0), g); }
};
struct leaky_relu {
  template <class V> static V f(V x, V negative_slope) { return select(x <= 0, x * negative_slope, x); }
  template <class V> static V back(V g, V x, V negative_slope) {
    return select(x <= 0, select(negative_slope == 0, V(0), g * negative_slope), g);
  }
};
struct elu {
  template <class V> static V f(V x, V alpha) { return select(x <= 0, alpha * expm1v(x), x); }
  template <class V> static V back(V g, V x, V alpha) {
    return select(x <= 0, select(alpha == 0, V(0), mul_zero::f(g, alpha * expv(x))), g);
  }
};
struct gelu {  // x Phi(x), Phi the normal distribution function
  template <class V> static V f(V x) { return times_normal_cdf(x, x); }
  template <class V> static V df(V x) {
    const V density = Elem<V>(0.39894228040143268) * expv(Elem<V>(-0.5) * (x * x));
    return times_normal_cdf(V(1), x) + x * density;
  }
};
struct silu {  // x sigmoid(x)
  template <class V> static V f(V x) { return x * sigmoidv(x); }
  template <class V> static V df(V x) {
    const V s = sigmoidv(x);
    return s * (1 + x * (1 - s));
  }
};
struct hardsigmoid {  // linear from 0 at -3 to 1 at 3
  template <class V> static V f(V x) { return minv(maxv(x / 6 + V(0.5f), V(0)), V(1)); }
  template <class V> static V back(V g, V x, V) { return select((x <= -3) | (x >= 3), V(0), g * (V(1) / 6)); }
};
struct hardswish {  // x hardsigmoid(x)
  template <class V> static V f(V x) { return select(x <= -3, V(0), x * hardsigmoid::f(x)); }
  template <class V> static V back(V g, V x, V) {
    return select(x <= -3, V(0), select(x < 3, mul_zero::f(g, x / 3 + V(0.5f)), g));
  }
};
struct softplus {  // log(1 + e^x)
  template <class V> static V f(V x) { return maxv(x, V(0)) + log1pv(expv(-absv(x))); }
  template <class V> static V df(V x) { return sigmoidv(x); }
};
struct erf {
  template <class V> static V f(V x) { return erfv(x); }
  template <class V> static V df(V x) { return Elem<V>(1.1283791670955126) * expv(-(x * x)); }  // 2 / sqrt(pi)
};
struct erfc {
  template <class V> static V f(V x) { return erfcv(x); }
  template <class V> static V df(V x) { return -erf::df(x); }
};

}  // namespace op
