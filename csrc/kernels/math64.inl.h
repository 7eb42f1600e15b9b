// Transcendental functions of Vec<double>, defined over all doubles. Start reading at expv; math.inl.h holds the same
// functions for float, and the reasons for their steps; accuracy.def has their greatest errors.

using VD = Vec<double>;
using VL = Vec<std::int64_t>;

STEEP_INLINE VD horner(VD, double c) { return c; }
template <class... C> STEEP_INLINE VD horner(VD x, double c, C... more) { return fma(horner(x, more...), x, VD(c)); }
// The same sum with the even and the odd powers apart: for long ones, two chains that do not wait for each other.
struct EvenOdd {
  VD even, odd;
};
STEEP_INLINE EvenOdd even_odd(VD, double c) { return {c, 0.0}; }
STEEP_INLINE EvenOdd even_odd(VD, double c, double d) { return {c, d}; }
template <class... C> STEEP_INLINE EvenOdd even_odd(VD square, double c, double d, double next, C... more) {
  const EvenOdd rest = even_odd(square, next, more...);
  return {fma(rest.even, square, VD(c)), fma(rest.odd, square, VD(d))};
}
template <class... C> STEEP_INLINE VD polynomial(VD x, C... c) {
  const EvenOdd p = even_odd(x * x, c...);
  return fma(p.odd, x, p.even);
}

struct Nearest64 {
  VD f;
  VL i;
};
STEEP_INLINE Nearest64 nearest(VD x, double scale) {  // |x * scale| < 2^51
  const VD magic(6755399441055744.0), shifted = fma(x, VD(scale), magic);
  return {shifted - magic, bits(shifted) - bits(magic)};
}
STEEP_INLINE VD pow2(VL n) { return from_bits<double>((n + std::int64_t(1023)) << 52); }
// x 2^n, n an integer, |n| < 2100, rounded once where the result is denormal.
STEEP_INLINE VD scale2(VD x, VD n) {
#if defined(__AVX512F__)
  return scalef(x, n);
#else
  const VD magic(6755399441055744.0), half = (n * 0.5 + magic) - magic;
  const auto power = [=](VD k) { return pow2(bits(k + magic) - bits(magic)); };
  return x * power(half) * power(n - half);
#endif
}
// The same for 1/2 <= x < 2, where most results have the bits of x but for the exponent.
STEEP_INLINE VD scale2_near_one(VD x, Nearest64 n) {
#if !defined(__AVX512F__)
  if (!any_lane(~(absv(n.f) < 1000.0))) return from_bits<double>(bits(x) + (n.i << 52));
#endif
  return scale2(x, n.f);
}
STEEP_INLINE VD clamp(VD x, double low, double high) { return select(x < low, VD(low), select(x > high, VD(high), x)); }

constexpr double kLog2e64 = 1.4426950408889634, kLn2High64 = 0.6931471805599453, kLn2Low64 = 2.3190468138462996e-17;
STEEP_INLINE VD minus_ln2(VD x, VD n) { return fma(n, VD(-kLn2Low64), fma(n, VD(-kLn2High64), x)); }

STEEP_INLINE VD expm1_series(VD r) {  // (e^r - 1 - r) / r^2, |r| <= log(2) / 2
  return horner(r, 0.5, 0.16666666666666677, 0.041666666666666644, 0.00833333333332152, 0.0013888888888905554,
                0.00019841269886288523, 2.480158727158321e-05, 2.7557244108962735e-06, 2.755732586654171e-07,
                2.5109059551709827e-08, 2.089726416187466e-09);
}
STEEP_INLINE VD expm1_reduced(VD r) { return fma(r * r, expm1_series(r), r); }
STEEP_INLINE VD expv(VD x) {
  const auto none = x < -746.0;
  const VD within = select(none, VD(0.0), select(x > 710.0, VD(710.0), x));
  const Nearest64 n = nearest(within, kLog2e64);
  return select(none, VD(0.0), scale2_near_one(expm1_reduced(minus_ln2(within, n.f)) + 1, n));
}
STEEP_INLINE VD expm1v(VD x) {
  const VD within = clamp(x, -60.0, 710.0);
  const Nearest64 n = nearest(within, kLog2e64);
  const VD half = pow2(n.i - std::int64_t(1));
  const VD y = fma(expm1_reduced(minus_ln2(within, n.f)), half, half - 0.5);
  return select(absv(x) < 0x1p-54, x, y + y);
}
STEEP_INLINE VD tanhv(VD x) {
  const VD a = absv(x), twice = select(a > 20.0, VD(40.0), a + a);
  const Nearest64 n = nearest(twice, kLog2e64);
  const VD scale = pow2(n.i), t = fma(expm1_reduced(minus_ln2(twice, n.f)), scale, scale - 1);
  return copysignv(t / (t + 2), x);
}

// n log 2 + log(1 + f), by the series in s = f / (2 + f); f - f^2/2 is kept separate from its correction.
STEEP_INLINE VD log_sum(VD f, VD n) {
  const VD s = f / (f + 2), z = s * s, square = f * f * 0.5;
  const VD series = z * horner(z, 0.6666666666666735, 0.3999999999941019, 0.285714287433824, 0.22222198468916726,
                               0.1818356992299238, 0.15313901934617632, 0.14797495738564478);
  return fma(n, VD(kLn2High64), f - (square - fma(s, square + series, n * kLn2Low64)));
}
struct Split64 {
  VD m, n;
};
STEEP_INLINE Split64 split2(VD x) {
  const VL sqrt_half(0x3FE6A09E667F3BCD), b = bits(x) - sqrt_half;
  const VL magic = bits(VD(6755399441055744.0));
  const VL n = (b >> 52) + magic;  // an integer below 2^51 becomes a double through the same low bits
  return {from_bits<double>((b & std::int64_t(0x000FFFFFFFFFFFFF)) + sqrt_half),
          from_bits<double>(n) - 6755399441055744.0};
}
STEEP_INLINE VD log_edges(VD x, VD y) {
  y = select(x < kInf<double>, y, x);
  return select(x > 0, y, select(x == 0, VD(-kInf<double>), VD(kNan<double>)));
}
STEEP_INLINE Split64 split2_any(VD x) {  // of a denormal too
  const auto small = x < 0x1p-1022;
  const Split64 s = split2(select(small, x * 0x1p54, x));
  return {s.m, select(small, s.n - 54, s.n)};
}
STEEP_INLINE VD logv(VD x) {
  const Split64 s = split2_any(x);
  return log_edges(x, log_sum(s.m - 1, s.n));
}
// Exact at powers of 2, and log10 at powers of 10 as well.
STEEP_INLINE VD log2v(VD x) {
  const Split64 s = split2_any(x);
  const VD y = log_sum(s.m - 1, VD(0.0));
  return log_edges(x, fma(y, VD(1.4426950408889634), fma(y, VD(2.0355273740931033e-17), s.n)));
}
STEEP_INLINE VD log10v(VD x) {
  const Split64 s = split2_any(x);
  const VD y = log_sum(s.m - 1, VD(0.0)), low = fma(y, VD(1.098319650216765e-17), s.n * 3.694239077158931e-13);
  return log_edges(x, fma(s.n, VD(0.30102999566361177), fma(y, VD(0.4342944819032518), low)));
}
STEEP_INLINE VD log1pv(VD x) {
  const VD u = 1 + x, lost = select(x < 1, x - (u - 1), 1 - (u - x));
  const Split64 s = split2(u);
  const VD y = log_edges(u, log_sum(scale2(lost, -s.n) + (s.m - 1), s.n));
  return select(absv(x) < 0x1p-54, x, y);
}

// x = (quadrant) pi/2 + r + tail, where tail is the rounding error of r. The difference to the first part of pi/2 is
// exact; the product with the second part is a sum of two numbers.
struct Angle64 {
  VD r, tail;
  VL quadrant;
};
STEEP_INLINE Angle64 reduce_angle(VD x) {
  const Nearest64 n = nearest(x, 0.6366197723675814);
  const VD most = fma(n.f, VD(-1.5707963267948966), x), second(6.123233995736766e-17), more = n.f * second;
  const VD near = most - more, lost = ((most - near) - more) - fma(n.f, second, -more);
  const VD rest = fma(n.f, VD(1.4973849048591698e-33), lost), r = near + rest;
  return {r, (near - r) + rest, n.i};
}
STEEP_INLINE VD sin_of(Angle64 a, std::int64_t ahead) {
  const VL q = a.quadrant + ahead;
  const VD z = a.r * a.r;
  const VD third = horner(z, -0.16666666666666666, 0.008333333333333023, -0.0001984126984092921, 2.7557319053651315e-06,
                          -2.5052065264412375e-08, 1.605357646226825e-10, -7.353210758008664e-13);
  const VD sine = fma(a.r * z, third, a.tail) + a.r;
  const VD fourth = horner(z, 0.041666666666666595, -0.0013888888888873316, 2.480158728897328e-05,
                           -2.7557314205786997e-07, 2.0875703553008297e-09, -1.1358637943665996e-11);
  const VD half = z * 0.5, most = 1 - half;
  const VD cosine = most + (((1 - most) - half) + fma(z * z, fourth, -(a.r * a.tail)));
  const VD y = select((q & std::int64_t(1)) == std::int64_t(0), sine, cosine);
  return from_bits<double>(bits(y) ^ ((q & std::int64_t(2)) << 62));
}
// Beyond 2^20, or NaN, the C library.
template <class F> STEEP_INLINE VD or_library(VD x, VD y, F f) {
  const auto huge = ~(absv(x) < 0x1p20);
  if (any_lane(huge))
    for (int i = 0; i < VD::n; ++i)
      if (huge.v[i]) y.v[i] = f(x.v[i]);
  return y;
}
STEEP_INLINE VD sinv(VD x) {
  const VD y = select(x == 0, x, sin_of(reduce_angle(x), 0));
  return or_library(x, y, [](double a) { return __builtin_sin(a); });
}
STEEP_INLINE VD cosv(VD x) {
  return or_library(x, sin_of(reduce_angle(x), 1), [](double a) { return __builtin_cos(a); });
}
STEEP_INLINE VD tanv(VD x) {
  const Angle64 a = reduce_angle(x);
  const VD y = select(x == 0, x, sin_of(a, 0) / sin_of(a, 1));
  return or_library(x, y, [](double v) { return __builtin_tan(v); });
}

// a * a as a sum: e^-a^2 of a rounded square would be inexact.
struct Square64 {
  VD high, low;
};
STEEP_INLINE Square64 square_of(VD a) {
  const VD high = a * a;
  return {high, fma(a, a, -high)};
}
// erf: a polynomial below 1, 1 - erfc above.
STEEP_INLINE VD erf_near(VD square) {  // erf(x) / x - 1
  return polynomial(square, 0.1283791670955126, -0.376126389031841, 0.11283791670971098, -0.026866170648031096,
                    0.005223977652691327, -0.0008548328535673207, 0.00012055386186711673, -1.4926879748419986e-05,
                    1.6480956429239596e-06, -1.6554546984493045e-07, 1.5980665332512056e-08, -1.6260987984130697e-09,
                    1.3838102218460397e-10);
}
// factor * erfc(z), z >= 1/2: a polynomial in t = 3.25 / (z + 3.25) is e^z^2 erfc(z) / t. The power of two comes last,
// so that a denormal result is rounded once.
STEEP_INLINE VD erfc_tail(VD factor, VD z, Square64 square) {
  const VD t = 3.25 / (z + 3.25);
  const VD scaled = polynomial(t, 0.17359679493649177, 0.17359679502925715, 0.1653791921631546, 0.1489440564575359,
                               0.12545735144637288, 0.09726425852007203, 0.06749708246095662, 0.04031574241554487,
                               0.015834964114945137, 0.008501327087598298, -0.0215440062058114, 0.026756435697970992,
                               -0.04604985874322837, 0.012553009244018783, 0.09158353321756808, -0.2455551216531975,
                               0.3739557181749183, -0.3710962168997123, 0.24157887861517152, -0.10011528310965821,
                               0.024141816815416436, -0.0025964698125433374);
  const Nearest64 n = nearest(-square.high, kLog2e64);
  const VD all = factor * t * scaled, e = expm1_reduced(minus_ln2(-square.high, n.f) - square.low);
  return scale2(fma(all, e, all), n.f);
}
STEEP_INLINE VD erfv(VD x) {
  const VD a = select(absv(x) > 6.0, VD(6.0), absv(x)), near = fma(x, erf_near(x * x), x);
  return select(a < 1.0, near, copysignv(1 - erfc_tail(VD(1.0), a, square_of(a)), x));
}
STEEP_INLINE VD erfcv(VD x) {
  const VD a = select(absv(x) > 27.5, VD(27.5), absv(x)), near = 1 - fma(x, erf_near(x * x), x);
  const VD tail = erfc_tail(VD(1.0), a, square_of(a));
  return select(a < 0.5, near, select(x < 0, 2 - tail, tail));
}
// factor times the normal distribution function of x.
STEEP_INLINE VD times_normal_cdf(VD factor, VD x) {
  constexpr double sqrt_half = 0.70710678118654757;
  const VD size = absv(x), a = select(size > 39.0, VD(39.0), size), z = x * sqrt_half;
  const Square64 square = square_of(a);
  const VD near = 0.5 * factor * (1 + fma(z, erf_near(z * z), z));
  const VD tail = erfc_tail(0.5 * factor, a * sqrt_half, {0.5 * square.high, 0.5 * square.low});
  const VD y = select(size < sqrt_half, near, select(x < 0, tail, factor - tail));
  return select(size > 39.0, factor * select(x > 0, VD(1.0), VD(0.0)), y);
}

// 1 / (1 + e^-x) from e^-|x|, which cannot overflow: full relative accuracy down to the last denormal.
template <class V> STEEP_INLINE V sigmoidv(V x) {
  const V e = expv(-absv(x)), r = 1 / (1 + e);
  return select(x < 0, e * r, r);
}
