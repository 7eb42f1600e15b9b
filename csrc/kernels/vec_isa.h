// Operations that compiler vector extensions lack, one block per instruction set: fma, square root, rounding; and some
// that GCC does not recognise, the smaller of two integers. Included by vec.h. On x86-64-v2, which has no fused
// multiply-add, it is emulated exactly: sums of floats in double, and those of doubles in parts, are rounded to odd
// before they are rounded to nearest. So every instruction set gives the same bits.

enum class Round { nearest_even, down, up, to_zero };

#if defined(__AVX512F__)

STEEP_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>::Raw)_mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v);
}
STEEP_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>::Raw)_mm512_fmadd_pd((__m512d)a.v, (__m512d)b.v, (__m512d)c.v);
}
// Square roots, rounded as the instruction rounds them, which takes twice as long: 1 / sqrt(x) to 14 bits, refined, and
// a last step by the exact remainder x - s * s. tests/native/kernels_test.cpp has every float, and the doubles whose
// roots are closest to half way between two doubles. Zeros stay themselves; lanes out of range leave it to the
// instruction.
STEEP_INLINE Vec<float> sqrtv(Vec<float> x) {
  const __m512 a = (__m512)x.v, half = _mm512_set1_ps(0.5f);
  const __mmask16 some = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512i place = _mm512_sub_epi32((__m512i)a, _mm512_set1_epi32(0x0D800000));  // 2^-100
  if (_mm512_mask_cmpgt_epu32_mask(some, place, _mm512_set1_epi32(0x64000000)))       // 2^100
    return (Vec<float>::Raw)_mm512_sqrt_ps(a);
  const __m512 y = _mm512_maskz_rsqrt14_ps(some, a);
  __m512 s = _mm512_mul_ps(a, y), h = _mm512_mul_ps(half, y);
  const __m512 r = _mm512_fnmadd_ps(s, h, half);
  s = _mm512_fmadd_ps(s, r, s);
  h = _mm512_fmadd_ps(h, r, h);
  return (Vec<float>::Raw)_mm512_fmadd_ps(_mm512_fnmadd_ps(s, s, a), h, s);
}
STEEP_INLINE Vec<double> sqrtv(Vec<double> x) {
  const __m512d a = (__m512d)x.v, half = _mm512_set1_pd(0.5);
  const __mmask8 some = _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_NEQ_UQ);
  const __m512i place = _mm512_sub_epi64((__m512i)a, _mm512_set1_epi64(0x2070000000000000));  // 2^-504
  if (_mm512_mask_cmpgt_epu64_mask(some, place, _mm512_set1_epi64(0x3F00000000000000)))       // 2^504
    return (Vec<double>::Raw)_mm512_sqrt_pd(a);
  const __m512d y = _mm512_maskz_rsqrt14_pd(some, a);
  __m512d s = _mm512_mul_pd(a, y), h = _mm512_mul_pd(half, y);
  for (int step = 0; step < 2; ++step) {
    const __m512d r = _mm512_fnmadd_pd(s, h, half);
    s = _mm512_fmadd_pd(s, r, s);
    h = _mm512_fmadd_pd(h, r, h);
  }
  return (Vec<double>::Raw)_mm512_fmadd_pd(_mm512_fnmadd_pd(s, s, a), h, s);
}
// With a mask of all lanes: without one, GCC 12 sees an uninitialised vector (its bug 105593).
template <Round r> STEEP_INLINE Vec<float> roundv(Vec<float> x) {
  return (Vec<float>::Raw)_mm512_maskz_roundscale_ps(0xFFFF, (__m512)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
template <Round r> STEEP_INLINE Vec<double> roundv(Vec<double> x) {
  return (Vec<double>::Raw)_mm512_maskz_roundscale_pd(0xFF, (__m512d)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
STEEP_INLINE Vec<float> scalef(Vec<float> x, Vec<float> n) {
  return (Vec<float>::Raw)_mm512_maskz_scalef_ps(0xFFFF, (__m512)x.v, (__m512)n.v);
}
STEEP_INLINE Vec<double> scalef(Vec<double> x, Vec<double> n) {
  return (Vec<double>::Raw)_mm512_maskz_scalef_pd(0xFF, (__m512d)x.v, (__m512d)n.v);
}
STEEP_INLINE Vec<std::uint64_t> mul_low32(Vec<std::uint64_t> a, Vec<std::uint64_t> b) {
  return (Vec<std::uint64_t>::Raw)_mm512_mul_epu32((__m512i)a.v, (__m512i)b.v);
}
STEEP_INLINE Vec<std::uint32_t> smaller(Vec<std::uint32_t> a, Vec<std::uint32_t> b) {
  return (Vec<std::uint32_t>::Raw)_mm512_maskz_min_epu32(0xFFFF, (__m512i)a.v, (__m512i)b.v);
}
STEEP_INLINE Vec<std::uint32_t> larger(Vec<std::uint32_t> a, Vec<std::uint32_t> b) {
  return (Vec<std::uint32_t>::Raw)_mm512_maskz_max_epu32(0xFFFF, (__m512i)a.v, (__m512i)b.v);
}

#elif defined(__AVX2__)

STEEP_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>::Raw)_mm256_fmadd_ps((__m256)a.v, (__m256)b.v, (__m256)c.v);
}
STEEP_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>::Raw)_mm256_fmadd_pd((__m256d)a.v, (__m256d)b.v, (__m256d)c.v);
}
STEEP_INLINE Vec<float> sqrtv(Vec<float> x) { return (Vec<float>::Raw)_mm256_sqrt_ps((__m256)x.v); }
STEEP_INLINE Vec<double> sqrtv(Vec<double> x) { return (Vec<double>::Raw)_mm256_sqrt_pd((__m256d)x.v); }
template <Round r> STEEP_INLINE Vec<float> roundv(Vec<float> x) {
  return (Vec<float>::Raw)_mm256_round_ps((__m256)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
template <Round r> STEEP_INLINE Vec<double> roundv(Vec<double> x) {
  return (Vec<double>::Raw)_mm256_round_pd((__m256d)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
STEEP_INLINE Vec<std::uint64_t> mul_low32(Vec<std::uint64_t> a, Vec<std::uint64_t> b) {
  return (Vec<std::uint64_t>::Raw)_mm256_mul_epu32((__m256i)a.v, (__m256i)b.v);
}
STEEP_INLINE Vec<std::uint32_t> smaller(Vec<std::uint32_t> a, Vec<std::uint32_t> b) {
  return (Vec<std::uint32_t>::Raw)_mm256_min_epu32((__m256i)a.v, (__m256i)b.v);
}
STEEP_INLINE Vec<std::uint32_t> larger(Vec<std::uint32_t> a, Vec<std::uint32_t> b) {
  return (Vec<std::uint32_t>::Raw)_mm256_max_epu32((__m256i)a.v, (__m256i)b.v);
}

#elif defined(__x86_64__)

// The error of s = a + b rounded.
STEEP_INLINE Vec<double> sum_error(Vec<double> a, Vec<double> b, Vec<double> s) {
  const Vec<double> t = s - a;
  return (a - (s - t)) + (b - t);
}
// s = p + c rounded to odd: the error of the addition says which way.
STEEP_INLINE Vec<double> sum_to_odd(Vec<double> p, Vec<double> c, Vec<double> s) {
  const Vec<double> error = sum_error(p, c, s);
  const auto inexact = (error < 0.0) | (error > 0.0);  // false for NaN: s is inf or NaN and stays
  const auto odd = bits(s) & std::int64_t(1);
  const auto away = ~(bits(error) ^ bits(s)) & kSignBit<double>;  // error and sum of one sign: step away from zero
  const auto step = select(away == std::int64_t(0), Vec<std::int64_t>(-1), Vec<std::int64_t>(1));
  return select(inexact & (odd == std::int64_t(0)), from_bits<double>(bits(s) + step), s);
}
// a * b + c of floats rounded once: the product is exact in double, and a sum rounded to odd with spare bits rounds to
// float as the exact sum would. Rounding s, the sum rounded to nearest, once more goes wrong only half way between two
// floats, or in the denormals.
STEEP_INLINE Vec<std::int64_t> is_delicate(Vec<double> s) {
  const auto half_way = (bits(s) & std::int64_t(0x1FFFFFFF)) == std::int64_t(0x10000000);
  const auto a = from_bits<double>(bits(s) & ~kSignBit<double>);
  return half_way | ((a < 0x1p-126) & (a != 0.0));
}
STEEP_INLINE Vec<float> narrow(Vec<double> lo, Vec<double> hi) {
  return (Vec<float>::Raw)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)lo.v), _mm_cvtpd_ps((__m128d)hi.v));
}
STEEP_INLINE Vec<double> low_half(Vec<float> x) { return (Vec<double>::Raw)_mm_cvtps_pd((__m128)x.v); }
STEEP_INLINE Vec<double> high_half(Vec<float> x) {
  return (Vec<double>::Raw)_mm_cvtps_pd(_mm_movehl_ps((__m128)x.v, (__m128)x.v));
}
__attribute__((noinline)) Vec<float> narrow_with_care(Vec<double> p0, Vec<double> p1, Vec<float> c) {
  const Vec<double> c0 = low_half(c), c1 = high_half(c);
  return narrow(sum_to_odd(p0, c0, p0 + c0), sum_to_odd(p1, c1, p1 + c1));
}
STEEP_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  const Vec<double> p0 = low_half(a) * low_half(b), p1 = high_half(a) * high_half(b);
  const Vec<double> s0 = p0 + low_half(c), s1 = p1 + high_half(c);
  const bool care = _mm_movemask_pd((__m128d)(is_delicate(s0) | is_delicate(s1)).v);
  return __builtin_expect(care, false) ? narrow_with_care(p0, p1, c) : narrow(s0, s1);
}
// Two numbers of 26 bits whose sum is x.
struct Halves {
  Vec<double> high, low;
};
STEEP_INLINE Halves halves_of(Vec<double> x) {
  const Vec<double> c = x * 134217729.0, high = c - (c - x);
  return {high, x - high};
}
STEEP_INLINE Vec<double> product_error(Vec<double> a, Vec<double> b, Vec<double> p) {
  const Halves x = halves_of(a), y = halves_of(b);
  return ((x.high * y.high - p + x.high * y.low) + x.low * y.high) + x.low * y.low;
}
// a * b + c of doubles rounded once (Boldo and Melquiond 2008, "Emulation of a FMA and correctly rounded sums: proved
// algorithms using rounding to odd"): product and sums are split into what is rounded and the error, and the two small
// parts are added with rounding to odd. Where a part might overflow or be denormal the C library is asked. Not inlined:
// it is some fifty instructions.
__attribute__((noinline)) Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  const auto size = [](Vec<double> x) { return from_bits<double>(bits(x) & ~kSignBit<double>); };
  const Vec<double> p = a * b, x = size(a), y = size(b);
  const auto fits = [](Vec<double> v) { return ((v > 0x1p-450) & (v < 0x1p450)) | (v == 0.0); };
  const auto safe = fits(x) & fits(y) & (size(c) < 0x1p1000);
  if (_mm_movemask_pd((__m128d)safe.v) != 3)
    return Vec<double>::Raw{__builtin_fma(a.v[0], b.v[0], c.v[0]), __builtin_fma(a.v[1], b.v[1], c.v[1])};
  const Vec<double> low = product_error(a, b, p), t = c + low, s = p + t;
  const Vec<double> t_error = sum_error(c, low, t), s_error = sum_error(p, t, s);
  const Vec<double> sum = s + sum_to_odd(t_error, s_error, t_error + s_error);
  return select(sum == 0.0, p + c, sum);  // for the sign of a zero
}
STEEP_INLINE Vec<float> sqrtv(Vec<float> x) { return (Vec<float>::Raw)_mm_sqrt_ps((__m128)x.v); }
STEEP_INLINE Vec<double> sqrtv(Vec<double> x) { return (Vec<double>::Raw)_mm_sqrt_pd((__m128d)x.v); }
template <Round r> STEEP_INLINE Vec<float> roundv(Vec<float> x) {
  return (Vec<float>::Raw)_mm_round_ps((__m128)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
template <Round r> STEEP_INLINE Vec<double> roundv(Vec<double> x) {
  return (Vec<double>::Raw)_mm_round_pd((__m128d)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
STEEP_INLINE Vec<std::uint64_t> mul_low32(Vec<std::uint64_t> a, Vec<std::uint64_t> b) {
  return (Vec<std::uint64_t>::Raw)_mm_mul_epu32((__m128i)a.v, (__m128i)b.v);
}
STEEP_INLINE Vec<std::uint32_t> smaller(Vec<std::uint32_t> a, Vec<std::uint32_t> b) {
  return (Vec<std::uint32_t>::Raw)_mm_min_epu32((__m128i)a.v, (__m128i)b.v);
}
STEEP_INLINE Vec<std::uint32_t> larger(Vec<std::uint32_t> a, Vec<std::uint32_t> b) {
  return (Vec<std::uint32_t>::Raw)_mm_max_epu32((__m128i)a.v, (__m128i)b.v);
}

#else

// NEON, and any other processor: plain loops over builtins, which aarch64 compiles to its vector instructions.
template <class T> STEEP_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::n; ++i) {
    if constexpr (sizeof(T) == 4) r.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
    else r.v[i] = __builtin_fma(a.v[i], b.v[i], c.v[i]);
  }
  return r;
}
#if defined(__aarch64__)  // the builtin would call the library because of errno
STEEP_INLINE Vec<float> sqrtv(Vec<float> x) { return (Vec<float>::Raw)vsqrtq_f32((float32x4_t)x.v); }
STEEP_INLINE Vec<double> sqrtv(Vec<double> x) { return (Vec<double>::Raw)vsqrtq_f64((float64x2_t)x.v); }
#else
template <class T> STEEP_INLINE Vec<T> sqrtv(Vec<T> x) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::n; ++i) r.v[i] = static_cast<T>(__builtin_sqrt(x.v[i]));
  return r;
}
#endif
template <Round r> STEEP_INLINE double round_one(double x) {
  if constexpr (r == Round::nearest_even) return __builtin_nearbyint(x);
  else if constexpr (r == Round::down) return __builtin_floor(x);
  else if constexpr (r == Round::up) return __builtin_ceil(x);
  else return __builtin_trunc(x);
}
template <Round r, class T> STEEP_INLINE Vec<T> roundv(Vec<T> x) {
  Vec<T> y;
  for (int i = 0; i < Vec<T>::n; ++i) y.v[i] = static_cast<T>(round_one<r>(x.v[i]));
  return y;
}
STEEP_INLINE Vec<std::uint64_t> mul_low32(Vec<std::uint64_t> a, Vec<std::uint64_t> b) {
  return Vec<std::uint64_t>((a.v & 0xffffffffull) * (b.v & 0xffffffffull));
}
STEEP_INLINE Vec<std::uint32_t> smaller(Vec<std::uint32_t> a, Vec<std::uint32_t> b) { return a.v < b.v ? a.v : b.v; }
STEEP_INLINE Vec<std::uint32_t> larger(Vec<std::uint32_t> a, Vec<std::uint32_t> b) { return a.v > b.v ? a.v : b.v; }

#endif
