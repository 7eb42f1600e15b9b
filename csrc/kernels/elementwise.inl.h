// The smooth elementwise kernels, one functor for each name in kernels.def, in namespace op; arithmetic.inl.h has the
// others. f(x...) is the function and df(s) its derivative in terms of what backward keeps (x or y, as kernels.def
// says). A body serves vectors of floats, Vec<T>. The loops that run them are in loops.inl.h. Start reading at op::exp.

namespace op {

struct exp {
  template <class V> static V f(V x) { return expv(x); }
  template <class V> static V df(V y) { return y; }
};
struct expm1 {
  template <class V> static V f(V x) { return expm1v(x); }
  template <class V> static V df(V y) { return y + 1; }
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
struct atan {
  template <class V> static V f(V x) { return atanv(x); }
  template <class V> static V df(V x) { return 1 / (1 + x * x); }
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
  template <class V> static V df(V x) { return 1 / sqrtv(1 + x * x); }
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
  template <class V> static V df(V y) { return (1 - y) * (1 + y); }
};
struct sigmoid {
  template <class V> static V f(V x) { return sigmoidv(x); }
  template <class V> static V df(V y) { return y * (1 - y); }
};
struct relu {  // a NaN stays a NaN; the derivative at 0 is 0
  template <class V> static V f(V x) { return select(x <= 0, V(0), x); }
  template <class V> static V df(V x) { return select(x <= 0, V(0), V(1)); }
};
struct leaky_relu {
  template <class V> static V f(V x, V slope) { return select(x <= 0, x * slope, x); }
  template <class V> static V df(V x, V slope) { return select(x <= 0, slope, V(1)); }
};
struct elu {
  template <class V> static V f(V x, V alpha) { return select(x <= 0, alpha * expm1v(x), x); }
  template <class V> static V df(V x, V alpha) { return select(x <= 0, alpha * expv(x), V(1)); }
};
struct gelu {  // x Phi(x), Phi the normal distribution function
  template <class V> static V phi(V x) { return Elem<V>(0.5) * (1 + erfv(x * Elem<V>(0.70710678118654752))); }
  template <class V> static V f(V x) { return x * phi(x); }
  template <class V> static V df(V x) {
    const V density = Elem<V>(0.39894228040143268) * expv(Elem<V>(-0.5) * (x * x));
    return phi(x) + x * density;
  }
};
struct silu {  // x sigmoid(x)
  template <class V> static V f(V x) { return x * sigmoidv(x); }
  template <class V> static V df(V x) {
    const V s = sigmoidv(x);
    return s * (1 + x * (1 - s));
  }
};
struct hardsigmoid {  // a straight line from 0 at -3 to 1 at 3
  template <class V> static V f(V x) { return minv(maxv(x / 6 + V(0.5f), V(0)), V(1)); }
  template <class V> static V df(V x) { return select((x > -3) & (x < 3), V(1) / 6, V(0)); }
};
struct hardswish {  // x hardsigmoid(x)
  template <class V> static V f(V x) { return select(x <= -3, V(0), x * hardsigmoid::f(x)); }
  template <class V> static V df(V x) { return select(x <= -3, V(0), select(x < 3, x / 3 + V(0.5f), V(1))); }
};
struct softplus {  // log(1 + e^x)
  template <class V> static V f(V x) { return maxv(x, V(0)) + log1pv(expv(-absv(x))); }
  template <class V> static V df(V x) { return sigmoidv(x); }
};
struct erf {
  template <class V> static V f(V x) { return erfv(x); }
  template <class V> static V df(V x) { return Elem<V>(1.1283791670955126) * expv(-(x * x)); }  // 2 / sqrt(pi)
};

}  // namespace op
