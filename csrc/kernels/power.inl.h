// Functions of two floats: quotients rounded down and their remainders, powers, lengths, neighbours. Start reading at
// remainderv and powv.

STEEP_INLINE float c_fmod(float a, float b) { return __builtin_fmodf(a, b); }
STEEP_INLINE double c_fmod(double a, double b) { return __builtin_fmod(a, b); }

// The remainder of floats with the divisor's sign, exact except for one rounding where the signs differ.
template <class T> inline T float_remainder(T a, T b) {
  const T m = c_fmod(a, b);
  if (m == 0) return static_cast<T>(__builtin_copysign(0.0, static_cast<double>(b)));
  return (m < 0) != (b < 0) ? m + b : m;
}
// floor(a / b) of the exact quotient: the rounded quotient a / b may be the next larger integer. For zero divisors and
// infinities it is the quotient itself, as the array API specifies. Of floats too: a float32 less its remainder would
// be rounded.
inline double floor_of_quotient(double a, double b) {
  if (b == 0 || __builtin_isinf(a) || __builtin_isinf(b)) return a / b;
  const double m = c_fmod(a, b), q = (a - m) / b;
  if (q == 0 && m == 0) return a / b;
  const double exact = m != 0 && (m < 0) != (b < 0) ? q - 1 : q, whole = __builtin_floor(exact);
  return exact == 0 ? 0 : exact - whole > 0.5 ? whole + 1 : whole;
}

// a = n b + rest exactly, n the integer nearest to the quotient, or next to it, and |rest| < |b|. Where the quotient is
// large or something infinite the C library is asked (`large`).
template <class T> struct Quotient {
  Vec<T> n, rest;
  typename Vec<T>::Mask large;
};
template <class T> STEEP_INLINE Quotient<T> divide_exactly(Vec<T> a, Vec<T> b) {
  constexpr T most = sizeof(T) == 4 ? T(0x1p24) : T(0x1p53);
  const Vec<T> q = a / b, n = roundv<Round::nearest_even>(q), infinity(kInf<T>);
  return {n, fma(-n, b, a), ~((absv(q) < most) & (absv(a) < infinity) & (absv(b) < infinity))};
}
// Whether a rest other than 0 and the divisor have different signs.
template <class T> STEEP_INLINE typename Vec<T>::Mask is_below(Quotient<T> q, Vec<T> b) {
  return (q.rest != 0) & ((q.rest < 0) ^ (b < 0));
}
template <class T> STEEP_INLINE Vec<T> remainderv(Vec<T> a, Vec<T> b) {
  const Quotient<T> q = divide_exactly(a, b);
  const Vec<T> rest = select(q.rest == 0, copysignv(Vec<T>(0), b), select(is_below(q, b), q.rest + b, q.rest));
  if (!any_lane(q.large)) return rest;
  return select(q.large, per_lane([](T x, T y) { return float_remainder(x, y); }, a, b), rest);
}
template <class T> STEEP_INLINE Vec<T> floor_dividev(Vec<T> a, Vec<T> b) {
  const Quotient<T> q = divide_exactly(a, b);
  const Vec<T> down = select(is_below(q, b), q.n - 1, q.n), whole = select(a == 0, a / b, down + T(0));  // -0 becomes 0
  if (!any_lane(q.large)) return whole;
  return select(q.large, per_lane([](T x, T y) { return static_cast<T>(floor_of_quotient(x, y)); }, a, b), whole);
}

// Base 2 in doubles, to the accuracy that a float power needs: log2 of a positive number m 2^n, relative error 2^-45,
// and 2^x, |x| < 1000, relative error 2^-32.
STEEP_INLINE Vec<double> log2_enough(Vec<double> m, Vec<double> n) {
  const Vec<double> s = (m - 1) / (m + 1), z = s * s;
  return fma(s,
             polynomial(z, 2.88539008177785, 0.9617966941134476, 0.5770779423306844, 0.41220925611603454,
                        0.3199055332632052, 0.28290263509892566),
             n);
}
STEEP_INLINE Vec<double> exp2_enough(Vec<double> x) {
  const Vec<double> magic(6755399441055744.0), shifted = x + magic, r = x - (shifted - magic);
  return polynomial(r, 0.9999999999616884, 0.6931471820632407, 0.24022651202555428, 0.05550409547628433,
                    0.009618015122362553, 0.0013333121207468911, 0.00015474779426144652, 1.559378056450097e-05) *
         pow2(bits(shifted) - bits(magic));
}
// |a| to the power b; beyond 2^300 and below 2^-300 a float is infinite and 0.
STEEP_INLINE Vec<float> power_of_size(Vec<float> a, Vec<float> b) {
  const Split2 s = split2_any(a);
  const Doubles m = doubles_of(s.m), n = doubles_of(convert<float>(s.n)), exponent = doubles_of(b);
  return floats_of({exp2_enough(clamp(exponent.low * log2_enough(m.low, n.low), -300.0, 300.0)),
                    exp2_enough(clamp(exponent.high * log2_enough(m.high, n.high), -300.0, 300.0))});
}

// A sum of two doubles, the second of which is about a rounding error of the first.
struct Pair64 {
  VD high, low;
};
// log2 of m 2^n, sqrt(1/2) <= m < sqrt(2), relative error 2^-64: the series of atanh(s), s = (m - 1) / (m + 1), whose
// first two terms are pairs.
STEEP_INLINE Pair64 log2_pair(VD m, VD n) {
  constexpr double first = 2.8853900817779268, second = 0.9617966939259756;
  const VD f = m - 1, sum = m + 1, rest = m - (sum - 1), inverse = 1 / sum;
  const VD s = f * inverse, s_low = fma(-s, rest, fma(-s, sum, f)) * inverse;
  const VD z = s * s, z_low = fma(s + s, s_low, fma(s, s, -z));
  const VD q = z * polynomial(z, 0.5770780163555853, 0.4121985831111324, 0.3205988979753252, 0.2623081892525388,
                              0.22195308321368667, 0.19235933878519512, 0.16972882833987804, 0.15186263588304877,
                              0.1373995277037108, 0.12545174268599682);
  const VD t = second + q, t_low = ((second - t) + q) + fma(z_low, VD(0.5770780163555853), VD(5.0577616648125907e-17));
  const VD u = z * t, u_low = fma(z, t, -u) + fma(z, t_low, z_low * t);
  const VD v = first + u, v_low = ((first - v) + u) + (u_low + 4.0710547481862066e-17);
  const VD w = s * v, w_low = fma(s, v, -w) + fma(s, v_low, s_low * v), y = n + w;
  return {y, ((n - y) + w) + w_low};
}
STEEP_INLINE VD power_of_size(VD a, VD b) {
  constexpr double most = 1100.0;  // beyond 2^1100 and 2^-1100 the result is infinite and 0
  const Split64 s = split2_any(a);
  const Pair64 log2 = log2_pair(s.m, s.n);
  const VD y = b * log2.high, within = clamp(y, -most, most);
  const VD low = select(absv(y) < most, fma(b, log2.low, fma(b, log2.high, -y)), VD(0.0));
  const Nearest64 n = nearest(within, 1.0);
  const VD rest = within - n.f, r = rest + low, r_low = (rest - r) + low, x = r * kLn2High64;
  const VD x_low = fma(r, VD(kLn2High64), -x) + fma(r, VD(kLn2Low64), r_low * kLn2High64);
  const VD sum = 1 + x, lost = x - (sum - 1);
  return scale2_near_one(sum + fma(x * x, expm1_series(x), fma(x_low, sum, lost)), n);
}

// a to the power b, within .51 ULP as floats and .6 as doubles. Signs, and the powers of 0 and of infinity, by IEEE
// 754: 1 to any power, and any number to the power 0, is 1, NaN too.
template <class T> STEEP_INLINE Vec<T> powv(Vec<T> a, Vec<T> b) {
  using V = Vec<T>;
  const V size = absv(a), half = b * T(0.5);
  const auto integer = b == roundv<Round::nearest_even>(b), odd = integer & (half != roundv<Round::nearest_even>(half));
  const auto limit = (size == 0) | (size == kInf<T>), grows = (size > 1) ^ (b < 0);
  V y = select(limit, select(grows, V(kInf<T>), V(0)), power_of_size(size, b));
  y = select((size == 1) & (b == b), V(1), select((a == a) & (b == b), y, a + b));
  y = select((a < 0) & ~limit & ~integer, V(kNan<T>), y);
  y = from_bits<T>(bits(y) ^ (odd & bits(a) & kSignBit<T>));
  return select((b == 0) | (a == 1), V(1), y);
}

STEEP_INLINE Vec<float> hypotv(Vec<float> a, Vec<float> b) {
  const Doubles x = doubles_of(a), y = doubles_of(b);
  const Vec<float> r = floats_of({sqrtv(x.low * x.low + y.low * y.low), sqrtv(x.high * x.high + y.high * y.high)});
  return select((absv(a) == kInf<float>) | (absv(b) == kInf<float>), Vec<float>(kInf<float>), r);
}
// Scaled by a power of two where a square would overflow or be denormal.
STEEP_INLINE Vec<double> hypotv(Vec<double> a, Vec<double> b) {
  using V = Vec<double>;
  const V p = absv(a), q = absv(b), most = select(p > q, p, q);
  const auto large = most > 0x1p500, small = most < 0x1p-400;
  const V scale = select(large, V(0x1p-600), select(small, V(0x1p600), V(1.0)));
  const V back = select(large, V(0x1p600), select(small, V(0x1p-600), V(1.0)));
  const V x = p * scale, y = q * scale, r = sqrtv(x * x + y * y) * back;
  return select((p == kInf<double>) | (q == kInf<double>), V(kInf<double>), r);
}

// The bits of a float are ordered as its size is: one more is the next one away from 0.
template <class T> STEEP_INLINE Vec<T> nextafterv(Vec<T> x, Vec<T> towards) {
  using V = Vec<T>;
  using B = Vec<Int<T>>;
  const auto away = (x < towards) ^ (x < 0);
  const V step = from_bits<T>(bits(x) + select(away, B(Int<T>(1)), B(Int<T>(-1))));
  const V from_zero = copysignv(from_bits<T>(B(Int<T>(1))), towards);
  const V y = select(x == towards, towards, select(x == 0, from_zero, step));
  return select(is_nan(x) | is_nan(towards), x + towards, y);
}
