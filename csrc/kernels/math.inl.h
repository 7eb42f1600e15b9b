// Transcendental functions of Vec<float>: vector code, the same bits on every instruction set, defined over all floats:
// infinities, NaN, denormals, huge arguments. math64.inl.h has those of Vec<double>, inverse.inl.h what is written once
// for both, power.inl.h those of two operands; accuracy.def the greatest errors. Start reading at expv.
//
// Polynomials are minimax in relative error on the interval named, coefficients rounded one at a time, the remaining
// ones refitted.

using VF = Vec<float>;
using VI = Vec<std::int32_t>;

// c0 + x (c1 + x (c2 + ...)), each step fused.
STEEP_INLINE VF horner(VF, float c) { return c; }
template <class... C> STEEP_INLINE VF horner(VF x, float c, C... more) { return fma(horner(x, more...), x, VF(c)); }

// The integer nearest to x * scale, |x * scale| < 2^22, as a float and as an integer: adding 1.5 * 2^23 rounds to an
// integer, which is then in the low bits.
struct Nearest {
  VF f;
  VI i;
};
STEEP_INLINE Nearest nearest(VF x, float scale) {
  const VF shifted = fma(x, VF(scale), VF(12582912.0f));
  return {shifted - 12582912.0f, bits(shifted) - 0x4B400000};
}

STEEP_INLINE VF pow2(VI n) { return from_bits<float>((n + 127) << 23); }  // -126 <= n <= 127
// x 2^n, n an integer, rounded once where the result is denormal.
STEEP_INLINE VF scale2(VF x, Nearest n) {
#if defined(__AVX512F__)
  return scalef(x, n.f);
#else
  const VI half = n.i >> 1;
  return x * pow2(half) * pow2(n.i - half);
#endif
}
// Keeps a NaN.
STEEP_INLINE VF clamp(VF x, float low, float high) { return select(x < low, VF(low), select(x > high, VF(high), x)); }

// x = n log 2 + r, |r| <= log(2) / 2
constexpr float kLog2e = 1.44269504f, kLn2High = 0.693145752f, kLn2Low = 1.42860677e-6f;
STEEP_INLINE VF minus_ln2(VF x, VF n) { return fma(n, VF(-kLn2Low), fma(n, VF(-kLn2High), x)); }

// e^x, -150 log 2 <= x <= 129 log 2
STEEP_INLINE VF exp_within(VF x) {
  const Nearest n = nearest(x, kLog2e);
  const VF r = minus_ln2(x, n.f);
  const VF q = horner(r, 0.49999994f, 0.166665211f, 0.0416682884f, 0.00836870354f, 0.00138189388f);
  return scale2(fma(r * r, q, r) + 1, n);
}
// Below -104 the result is 0, and is not computed: a processor takes 150 cycles for a denormal one, and a mask before
// softmax is full of -infinity.
STEEP_INLINE VF expv(VF x) {
  const auto none = x < -104.0f;
  return select(none, VF(0.0f), exp_within(select(none, VF(0.0f), select(x > 89.0f, VF(89.0f), x))));
}

// e^r - 1, |r| <= log(2) / 2
STEEP_INLINE VF expm1_reduced(VF r) {
  const VF q = horner(r, 0.5f, 0.166666657f, 0.0416664928f, 0.00833354332f, 0.00139323657f, 0.000197643531f);
  return fma(r * r, q, r);
}
STEEP_INLINE VF expm1v(VF x) {
  const VF within = clamp(x, -30.0f, 89.0f);
  const Nearest n = nearest(within, kLog2e);
  const VF half = pow2(n.i - 1);  // 2^n itself may overflow where the result does not
  const VF y = fma(expm1_reduced(minus_ln2(within, n.f)), half, half - 0.5f);
  return select(absv(x) < 0x1p-25f, x, y + y);
}

// (e^2x - 1) / (e^2x + 1) of |x|; beyond 10 the answer is 1.
STEEP_INLINE VF tanhv(VF x) {
  const VF a = absv(x), twice = select(a > 10.0f, VF(20.0f), a + a);
  const Nearest n = nearest(twice, kLog2e);
  const VF scale = pow2(n.i), t = fma(expm1_reduced(minus_ln2(twice, n.f)), scale, scale - 1);
  return copysignv(t / (t + 2), x);
}

// log(1 + f), sqrt(1/2) - 1 <= f <= sqrt(2) - 1
STEEP_INLINE VF log_reduced(VF f) {
  const VF p = horner(f, 0.333333313f, -0.250008255f, 0.200012505f, -0.1662319f, 0.142011762f, -0.13161464f,
                      0.127662078f, -0.0763644949f);
  return fma(f * f, fma(f, p, VF(-0.5f)), f);
}
// A positive normal x = 2^n m with sqrt(1/2) <= m < sqrt(2).
struct Split2 {
  VF m;
  VI n;
};
STEEP_INLINE Split2 split2(VF x) {
  constexpr std::int32_t sqrt_half = 0x3F3504F3;
  const VI b = bits(x) - sqrt_half;
  return {from_bits<float>((b & 0x007FFFFF) + sqrt_half), b >> 23};
}
// The same for a denormal too: it is scaled up first.
STEEP_INLINE Split2 split2_any(VF x) {
  const auto small = x < 0x1p-126f;
  Split2 s = split2(select(small, x * 0x1p25f, x));
  s.n = s.n - (small & 25);
  return s;
}
// The logarithm at 0, below 0, at infinity and NaN; `y` everywhere else.
STEEP_INLINE VF log_edges(VF x, VF y) {
  y = select(x < kInf<float>, y, x);
  return select(x > 0, y, select(x == 0, VF(-kInf<float>), VF(kNan<float>)));
}
STEEP_INLINE VF plus_n_ln2(VF y, VF n) { return fma(n, VF(kLn2High), fma(n, VF(kLn2Low), y)); }
STEEP_INLINE VF logv(VF x) {
  const Split2 s = split2_any(x);
  return log_edges(x, plus_n_ln2(log_reduced(s.m - 1), convert<float>(s.n)));
}
STEEP_INLINE VF log2v(VF x) {
  const Split2 s = split2_any(x);
  const VF y = log_reduced(s.m - 1);
  return log_edges(x, fma(y, VF(1.44269502f), fma(y, VF(1.92596303e-8f), convert<float>(s.n))));
}
STEEP_INLINE VF log10v(VF x) {
  const Split2 s = split2_any(x);
  const VF y = log_reduced(s.m - 1), n = convert<float>(s.n);
  const VF low = fma(y, VF(-1.010305e-08f), n * 4.60503907e-06f);
  return log_edges(x, fma(n, VF(0.301025391f), fma(y, VF(0.434294492f), low)));
}
// 1 + x loses the low bits of x, which are added back to the reduced argument.
STEEP_INLINE VF log1pv(VF x) {
  const VF u = 1 + x, lost = select(x < 1, x - (u - 1), 1 - (u - x));
  const Split2 s = split2(u);
  const VF f = fma(lost, pow2(select(s.n > 126, VI(-126), -s.n)), s.m - 1);
  const VF y = log_edges(u, plus_n_ln2(log_reduced(f), convert<float>(s.n)));
  return select(absv(x) < 0x1p-25f, x, y);
}

// erf: a polynomial below 1, 1 - exp(-a p(a)) above, 1 beyond 4.
STEEP_INLINE VF erf_near(VF square) {  // erf(x) / x - 1
  return horner(square, 0.128379166f, -0.37612626f, 0.112835787f, -0.0268533472f, 0.0051871622f, -0.00079978531f,
                7.80690316e-05f);
}
STEEP_INLINE VF erfv(VF x) {
  const VF a = select(absv(x) > 4.0f, VF(4.0f), absv(x)), near = erf_near(x * x);
  const VF far = horner(a, 1.12848544f, 0.635813951f, 0.105138369f, -0.0228122305f, 0.00319110765f, -0.000211133869f);
  return select(a < 1.0f, fma(x, near, x), copysignv(1 - exp_within(-(a * far)), x));
}

// factor * erfc(z), z >= 1/2, where z^2 = high + low: e^-z^2 of a rounded square would be inexact. A polynomial in 2.5
// / (z + 2.5) is e^z^2 erfc(z). The smallest number comes last, so that it is rounded once where it is denormal.
STEEP_INLINE VF erfc_tail(VF factor, VF z, VF high, VF low) {
  const VF t = 2.5f / (z + 2.5f);
  const VF scaled = horner(t, 0.225680202f, 0.225548744f, 0.209196001f, 0.160610572f, 0.168160066f, -0.0590766184f,
                           0.231644869f, -0.222371861f, 0.0606203713f);
  const VF all = factor * t * scaled;
  return fma(all, -low, all) * exp_within(clamp(-high, -104.0f, 0.0f));
}
STEEP_INLINE VF erfcv(VF x) {
  const VF a = select(absv(x) > 12.0f, VF(12.0f), absv(x)), square = a * a;
  const VF near = 1 - fma(x, erf_near(x * x), x), tail = erfc_tail(VF(1.0f), a, square, fma(a, a, -square));
  return select(a < 0.5f, near, select(x < 0, 2 - tail, tail));
}
// factor times the normal distribution function of x: from erf close to 0, from the tail elsewhere.
STEEP_INLINE VF times_normal_cdf(VF factor, VF x) {
  constexpr float sqrt_half = 0.70710678f;
  const VF size = absv(x), a = select(size > 16.0f, VF(16.0f), size), square = a * a, z = x * sqrt_half;
  const VF near = 0.5f * factor * (1 + fma(z, erf_near(z * z), z));
  const VF tail = erfc_tail(0.5f * factor, a * sqrt_half, 0.5f * square, 0.5f * fma(a, a, -square));
  const VF y = select(size < sqrt_half, near, select(x < 0, tail, factor - tail));
  return select(x > 16.0f, factor, y);
}
// x = (quadrant) pi/2 + r, |r| <= pi/4
struct Angle {
  VF r;
  VI quadrant;
};
// For |x| >= 2^16, with all the bits of 2/pi that matter to this x: x is m 2^e, and bits of 2/pi whose product with m
// 2^e is a multiple of the period are left out; the next 96 bits are enough.
inline float reduce_huge(float x, std::int32_t& quadrant) {
  static constexpr std::uint32_t two_over_pi[] = {0,          0xA2F9836E, 0x4E441529, 0xFC2757D1,
                                                  0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB};
  const std::int32_t b = __builtin_bit_cast(std::int32_t, x);
  const int from = 32 + (b >> 23 & 255) - 152;  // where the 96 bits start: 23 <= from
  if (from > 134) return x - x;                 // infinity or NaN
  const std::uint32_t* w = two_over_pi + from / 32;
  const auto word = [=](int i) { return (std::uint64_t(w[i]) << 32 | w[i + 1]) << from % 32 >> 32; };
  const auto window = static_cast<unsigned __int128>(word(0)) << 64 | word(1) << 32 | word(2);
  const std::uint64_t m = (b & 0x007FFFFF) | 0x00800000;
  const std::uint64_t angle_bits = static_cast<std::uint64_t>(window * m >> 32);  // a full circle is 2^64
  const std::uint64_t q = (angle_bits + (std::uint64_t(1) << 61)) >> 62;
  const auto rest = static_cast<std::int64_t>(angle_bits - (q << 62));
  const double r = static_cast<double>(rest) * 3.4061215800865546e-19;  // pi/2 / 2^62
  quadrant = static_cast<std::int32_t>(b < 0 ? -q : q);
  return static_cast<float>(b < 0 ? -r : r);
}
STEEP_INLINE Angle reduce_angle(VF x) {
  const Nearest n = nearest(x, 0.636619747f);
  VF r = fma(n.f, VF(-1.57079637f), x);  // exact
  r = fma(n.f, VF(4.37113883e-8f), r);
  r = fma(n.f, VF(1.71512451e-15f), r);
  Angle a{r, n.i};
  const auto huge = ~(absv(x) < 65536.0f);
  if (any_lane(huge))
    for (int i = 0; i < VF::n; ++i)
      if (huge.v[i]) {
        std::int32_t q = 0;
        a.r.v[i] = reduce_huge(x.v[i], q);
        a.quadrant.v[i] = q;
      }
  return a;
}
STEEP_INLINE VF sin_reduced(VF r) {  // |r| <= pi/4
  const VF s = r * r;
  return fma(r * s, horner(s, -0.166666538f, 0.00833210628f, -0.000195078464f), r);
}
STEEP_INLINE VF cos_reduced(VF r) {
  const VF s = r * r;
  return fma(s * s, horner(s, 0.0416666456f, -0.00138872978f, 2.44300882e-05f), fma(s, VF(-0.5f), VF(1.0f)));
}
// The sine of an angle `ahead` quadrants further on: odd quadrants take the cosine, the third and fourth change sign.
STEEP_INLINE VF sin_of(Angle a, std::int32_t ahead) {
  const VI q = a.quadrant + ahead;
  const VF y = select((q & 1) == 0, sin_reduced(a.r), cos_reduced(a.r));
  return from_bits<float>(bits(y) ^ ((q & 2) << 30));
}
STEEP_INLINE VF sinv(VF x) { return select(x == 0, x, sin_of(reduce_angle(x), 0)); }
STEEP_INLINE VF cosv(VF x) { return sin_of(reduce_angle(x), 1); }
STEEP_INLINE VF tanv(VF x) {
  const Angle a = reduce_angle(x);
  const VF s = sin_reduced(a.r), c = cos_reduced(a.r);
  const auto even = (a.quadrant & 1) == 0;
  return select(x == 0, x, select(even, s, -c) / select(even, c, s));
}
