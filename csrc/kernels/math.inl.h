// Transcendental functions of a Vec. For now every one asks the C library lane by lane.
// Start reading at STEEP_LIBM.

#define STEEP_LIBM(name)                                                                 \
  STEEP_INLINE Vec<float> name##v(Vec<float> x) { return per_lane([](float a) { return __builtin_##name##f(a); }, x); } \
  STEEP_INLINE Vec<double> name##v(Vec<double> x) { return per_lane([](double a) { return __builtin_##name(a); }, x); }
STEEP_LIBM(exp)
STEEP_LIBM(expm1)
STEEP_LIBM(log)
STEEP_LIBM(log1p)
STEEP_LIBM(log2)
STEEP_LIBM(log10)
STEEP_LIBM(sin)
STEEP_LIBM(cos)
STEEP_LIBM(tan)
STEEP_LIBM(asin)
STEEP_LIBM(acos)
STEEP_LIBM(atan)
STEEP_LIBM(sinh)
STEEP_LIBM(cosh)
STEEP_LIBM(asinh)
STEEP_LIBM(acosh)
STEEP_LIBM(atanh)
STEEP_LIBM(tanh)
STEEP_LIBM(erf)
#undef STEEP_LIBM

// 1 / (1 + e^-x) from e^-|x|, which cannot overflow: full relative accuracy down to the last denormal.
template <class V> STEEP_INLINE V sigmoidv(V x) {
  const V e = expv(-absv(x)), r = 1 / (1 + e);
  return select(x < 0, e * r, r);
}
