// Inverse trigonometric functions, hyperbolic functions and their inverses: one text for Vec<float> and Vec<double>,
// after a range reduction that differs. math.inl.h and math64.inl.h have what they are made of, and how polynomials
// were found; accuracy.def has the greatest errors. Start reading at atanv.

// pi as a sum of two numbers.
template <class T> constexpr T kPi = static_cast<T>(3.14159265358979323846L);
template <class T> constexpr T kPiLow = static_cast<T>(3.14159265358979323846264L - static_cast<long double>(kPi<T>));
template <class T> STEEP_INLINE Vec<T> from_pi(Vec<T> y) { return Vec<T>(kPi<T>) - (y - kPiLow<T>); }
template <class T> STEEP_INLINE Vec<T> from_half_pi(Vec<T> y) { return Vec<T>(kPi<T> / 2) - (y - kPiLow<T> / 2); }

// atan(q), 0 <= q <= 1. The last coefficient of the float one is such that atan(1) is the float nearest to pi / 4.
STEEP_INLINE VF atan_within(VF q) {
  const VF z = q * q;
  const VF p = horner(z, -0.333333f, 0.1999853f, -0.14264016f, 0.109508775f, -0.08399277f, 0.057880346f, -0.031095225f,
                      0.010867271f, -0.0017823755f);
  return fma(q * z, p, q);
}
STEEP_INLINE VD atan_within(VD q) {
  const VD z = q * q;
  const VD p = polynomial(z, -0.33333333333333287, 0.19999999999990617, -0.14285714285044687, 0.11111111086646061,
                          -0.09090908550190055, 0.07692299740191898, -0.06666583885264735, 0.058817162877728285,
                          -0.05259427284365239, 0.04744862527410335, -0.04286051561554737, 0.03819785271347902,
                          -0.0327537805143998, 0.026090910223653084, -0.018526893693702483, 0.011223905664043103,
                          -0.0055381916663382455, 0.0021095505385294406, -0.0005767560298617577, 0.00010011116398118416,
                          -8.252424525241917e-06);
  return fma(q * z, p, q);
}
template <class T> STEEP_INLINE Vec<T> atanv(Vec<T> x) {
  const Vec<T> a = absv(x), p = atan_within(select(a > 1, 1 / a, a));
  return copysignv(select(a > 1, from_half_pi(p), p), x);
}
// The angle of the point (x, y), the sign of a zero included.
template <class T> STEEP_INLINE Vec<T> atan2v(Vec<T> y, Vec<T> x) {
  using V = Vec<T>;
  const V a = absv(y), b = absv(x), high = select(a > b, a, b), low = select(a > b, b, a);
  const V one_of_equal = select(low == 0, V(0), V(1));  // two infinities, too
  V angle = atan_within(select(low == high, one_of_equal, low / high));
  angle = select(a > b, from_half_pi(angle), angle);
  angle = select(bits(x) < 0, from_pi(angle), angle);
  return select(is_nan(x) | is_nan(y), x + y, copysignv(angle, y));
}

// asin(s), 0 <= s <= 1/2, of s and its square
STEEP_INLINE VF asin_within(VF s, VF z) {
  const VF p = horner(z, 0.16666752f, 0.074953094f, 0.045469154f, 0.024184743f, 0.042158388f);
  return fma(s * z, p, s);
}
STEEP_INLINE VD asin_within(VD s, VD z) {
  const VD p = polynomial(z, 0.16666666666665408, 0.07500000000337144, 0.04464285682821345, 0.030381959141958712,
                          0.022371757925723053, 0.01735970671733945, 0.013885215399417268, 0.012169348702177188,
                          0.006527359089725294, 0.019530014496955236, -0.01622709362548084, 0.03191428176766423);
  return fma(s * z, p, s);
}
// asin(a) for a up to 1/2, and half of acos(a) beyond, which is the arc sine of the square root of (1 - a) / 2.
template <class T> STEEP_INLINE Vec<T> asin_or_half_acos(Vec<T> a) {
  const auto far = a > T(0.5);
  const Vec<T> square = select(far, (1 - a) * T(0.5), a * a);
  return asin_within(select(far, sqrtv(square), a), square);
}
template <class T> STEEP_INLINE Vec<T> asinv(Vec<T> x) {
  const Vec<T> a = absv(x), p = asin_or_half_acos(a);
  return copysignv(select(a > T(0.5), from_half_pi(p + p), p), x);
}
template <class T> STEEP_INLINE Vec<T> acosv(Vec<T> x) {
  const Vec<T> a = absv(x), p = asin_or_half_acos(a), twice = p + p;
  return select(a > T(0.5), select(x < 0, from_pi(twice), twice), from_half_pi(copysignv(p, x)));
}

// e^a = 4 up (1 + p) and e^-a = 4 down (1 + q), up and down powers of two: a quarter, since e^a may overflow where half
// of it does not.
template <class T> struct Exponentials { Vec<T> up, down, p, q; };
STEEP_INLINE Exponentials<float> exponentials(VF a) {
  const VF within = select(a > 89.5f, VF(89.5f), a);
  const Nearest n = nearest(within, kLog2e);
  const VF r = minus_ln2(within, n.f);
  return {pow2(n.i - 2), pow2(select(n.i > 100, VI(-102), -2 - n.i)), expm1_reduced(r), expm1_reduced(-r)};
}
STEEP_INLINE Exponentials<double> exponentials(VD a) {
  const VD within = select(a > 710.6, VD(710.6), a);
  const Nearest64 n = nearest(within, kLog2e64);
  const VD r = minus_ln2(within, n.f);
  const VL down = select(n.i > std::int64_t(1000), VL(-1002), std::int64_t(-2) - n.i);
  return {pow2(n.i - std::int64_t(2)), pow2(down), expm1_reduced(r), expm1_reduced(-r)};
}
template <class T> STEEP_INLINE Vec<T> sinhv(Vec<T> x) {
  const Vec<T> a = absv(x);
  const Exponentials<T> e = exponentials(a);
  const Vec<T> half = (e.up - e.down) + (e.up * e.p - e.down * e.q);
  return select(a < T(0x1p-30), x, copysignv(half + half, x));
}
template <class T> STEEP_INLINE Vec<T> coshv(Vec<T> x) {
  const Exponentials<T> e = exponentials(absv(x));
  const Vec<T> half = (e.up + e.down) + (e.up * e.p + e.down * e.q);
  return half + half;
}

// Beyond this asinh(x) and acosh(x) are log(2 x), and x * x may overflow.
template <class T> constexpr T kLogTwiceFrom = sizeof(T) == 4 ? T(0x1p13) : T(0x1p28);
template <class T> STEEP_INLINE Vec<T> log_twice_or_log1p(Vec<T> x, Vec<T> within) {
  const auto large = x > kLogTwiceFrom<T>;
  return log1pv(select(large, x - 1, within)) + select(large, Vec<T>(T(0.69314718055994531)), Vec<T>(0));
}
template <class T> STEEP_INLINE Vec<T> asinhv(Vec<T> x) {
  const Vec<T> a = absv(x), square = a * a;
  return copysignv(log_twice_or_log1p(a, a + square / (1 + sqrtv(1 + square))), x);
}
template <class T> STEEP_INLINE Vec<T> acoshv(Vec<T> x) {
  const Vec<T> t = x - 1, y = log_twice_or_log1p(x, t + sqrtv(t * (x + 1)));
  return select(x < 1, Vec<T>(kNan<T>), y);
}
template <class T> STEEP_INLINE Vec<T> atanhv(Vec<T> x) {
  const Vec<T> a = absv(x);
  return copysignv(log1pv((a + a) / (1 - a)) * T(0.5), x);
}
