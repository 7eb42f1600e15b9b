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
// a - n b, which is representable.
STEEP_INLINE Vec<float> rest_of(Vec<float> a, Vec<float> n, Vec<float> b) { return fma(-n, b, a); }
STEEP_INLINE Vec<double> rest_of(Vec<double> a, Vec<double> n, Vec<double> b) {
  const Vec<double> c = b * 134217729.0, high = c - (c - b);  // 26 bits, times 25 of n
  return (a - n * high) - n * (b - high);
}
template <class T> STEEP_INLINE Quotient<T> divide_exactly(Vec<T> a, Vec<T> b) {
  constexpr T most = sizeof(T) == 4 ? T(0x1p22) : T(0x1p25), high = sizeof(T) == 4 ? kInf<T> : T(0x1p990);
  const Vec<T> q = a / b, n = roundv<Round::nearest_even>(q);
  return {n, rest_of(a, n, b), ~((absv(q) < most) & (absv(a) < high) & (absv(b) < high))};
}
// Whether a rest other than 0 and the divisor have different signs.
template <class T> STEEP_INLINE typename Vec<T>::Mask is_below(Quotient<T> q, Vec<T> b) {
  return (q.rest != 0) & ((q.rest < 0) ^ (b < 0));
}
template <class T> STEEP_INLINE Vec<T> remainderv(Vec<T> a, Vec<T> b) {
  const Quotient<T> q = divide_exactly(a, b);
  if (any_lane(q.large)) return per_lane([](T x, T y) { return float_remainder(x, y); }, a, b);
  return select(q.rest == 0, copysignv(Vec<T>(0), b), select(is_below(q, b), q.rest + b, q.rest));
}
template <class T> STEEP_INLINE Vec<T> floor_dividev(Vec<T> a, Vec<T> b) {
  const Quotient<T> q = divide_exactly(a, b);
  if (any_lane(q.large)) return per_lane([](T x, T y) { return static_cast<T>(floor_of_quotient(x, y)); }, a, b);
  const Vec<T> down = select(is_below(q, b), q.n - 1, q.n);
  return select(a == 0, a / b, down + T(0));  // -0 becomes 0
}

// Base 2 in doubles, to the accuracy that a float power needs: log2 of a positive number m 2^n, relative error 2^-45,
// and 2^x, |x| < 1000, relative error 2^-32.
STEEP_INLINE Vec<double> log2_enough(Vec<double> m, Vec<double> n) {
  const Vec<double> s = (m - 1) / (m + 1), z = s * s;
  return s * polynomial(z, 2.88539008177785, 0.9617966941134476, 0.5770779423306844, 0.41220925611603454,
                        0.3199055332632052, 0.28290263509892566) +
         n;
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
// a to the power b, within .51 ULP. Signs, and the powers of 0 and of infinity, by IEEE 754: 1 to any power, and any
// number to the power 0, is 1, NaN too.
STEEP_INLINE Vec<float> powv(Vec<float> a, Vec<float> b) {
  using V = Vec<float>;
  const V size = absv(a), half = b * 0.5f;
  const auto integer = b == roundv<Round::nearest_even>(b), odd = integer & (half != roundv<Round::nearest_even>(half));
  const auto limit = (size == 0) | (size == kInf<float>), grows = (size > 1) ^ (b < 0);
  V y = select(limit, select(grows, V(kInf<float>), V(0)), power_of_size(size, b));
  y = select((size == 1) & (b == b), V(1), select((a == a) & (b == b), y, a + b));
  y = select((a < 0) & ~limit & ~integer, V(kNan<float>), y);
  y = from_bits<float>(bits(y) ^ (odd & bits(a) & kSignBit<float>));
  return select((b == 0) | (a == 1), V(1), y);
}
STEEP_INLINE Vec<double> powv(Vec<double> a, Vec<double> b) {
  return per_lane([](double x, double y) { return __builtin_pow(x, y); }, a, b);
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
