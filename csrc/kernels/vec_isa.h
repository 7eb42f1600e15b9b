// What compiler vector extensions have no operator for, one block per instruction set: fma, square root, rounding,
// partial loads and stores. Included by vec.h. On x86-64-v2, which has no fused multiply-add, float fma is emulated
// exactly through double and round-to-odd, so that every instruction set gives the same bits.

enum class Round { nearest_even, down, up, to_zero };

#if defined(__AVX512F__)

STEEP_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>::Raw)_mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v);
}
STEEP_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>::Raw)_mm512_fmadd_pd((__m512d)a.v, (__m512d)b.v, (__m512d)c.v);
}
STEEP_INLINE Vec<float> sqrtv(Vec<float> x) { return (Vec<float>::Raw)_mm512_sqrt_ps((__m512)x.v); }
STEEP_INLINE Vec<double> sqrtv(Vec<double> x) { return (Vec<double>::Raw)_mm512_sqrt_pd((__m512d)x.v); }
template <Round r> STEEP_INLINE Vec<float> roundv(Vec<float> x) {
  return (Vec<float>::Raw)_mm512_roundscale_ps((__m512)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
template <Round r> STEEP_INLINE Vec<double> roundv(Vec<double> x) {
  return (Vec<double>::Raw)_mm512_roundscale_pd((__m512d)x.v, static_cast<int>(r) | _MM_FROUND_NO_EXC);
}
STEEP_INLINE Vec<std::uint64_t> mul_low32(Vec<std::uint64_t> a, Vec<std::uint64_t> b) {
  return (Vec<std::uint64_t>::Raw)_mm512_mul_epu32((__m512i)a.v, (__m512i)b.v);
}

template <class T> STEEP_INLINE Vec<T> load_part(const T* p, std::int64_t n) {
  if constexpr (sizeof(T) == 4)
    return (typename Vec<T>::Raw)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
  else if constexpr (sizeof(T) == 8)
    return (typename Vec<T>::Raw)_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p);
  else
    return (typename Vec<T>::Raw)_mm512_maskz_loadu_epi8(static_cast<__mmask64>((1ull << n) - 1), p);
}
template <class T> STEEP_INLINE void store_part(T* p, Vec<T> x, std::int64_t n) {
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), (__m512i)x.v);
  else if constexpr (sizeof(T) == 8)
    _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), (__m512i)x.v);
  else
    _mm512_mask_storeu_epi8(p, static_cast<__mmask64>((1ull << n) - 1), (__m512i)x.v);
}

#else  // every set below AVX-512 moves partial vectors by halves: 4 elements are one move, 7 are three

template <int bytes> STEEP_INLINE void copy_part(char* to, const char* from, std::int64_t n) {
  if (n & bytes) {
    __builtin_memcpy(to, from, bytes);
    to += bytes;
    from += bytes;
  }
  if constexpr (bytes > 1) copy_part<bytes / 2>(to, from, n);
}
template <class T> STEEP_INLINE Vec<T> load_part(const T* p, std::int64_t n) {
  Vec<T> r(T(0));
  copy_part<kVecBytes / 2>(reinterpret_cast<char*>(&r), reinterpret_cast<const char*>(p),
                           n * static_cast<std::int64_t>(sizeof(T)));
  return r;
}
template <class T> STEEP_INLINE void store_part(T* p, Vec<T> x, std::int64_t n) {
  copy_part<kVecBytes / 2>(reinterpret_cast<char*>(p), reinterpret_cast<const char*>(&x),
                           n * static_cast<std::int64_t>(sizeof(T)));
}

#endif

#if defined(__AVX2__) && !defined(__AVX512F__)

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

#elif defined(__x86_64__) && !defined(__AVX2__)

// a * b + c rounded once. The product is exact in double; the sum is rounded to odd (the error of the addition says
// which way), and a sum rounded to odd with two spare bits rounds to float as the exact sum would.
STEEP_INLINE Vec<double> fma_to_odd(Vec<double> a, Vec<double> b, Vec<double> c) {
  const Vec<double> p = a * b, s = p + c, t = s - p;
  const Vec<double> error = (p - (s - t)) + (c - t);
  const auto inexact = (error < 0.0) | (error > 0.0);  // false for NaN: s is inf or NaN and stays
  const auto odd = bits(s) & std::int64_t(1);
  const auto away = ~(bits(error) ^ bits(s)) & kSignBit<double>;  // error and sum of one sign: step away from zero
  const auto step = select(away == std::int64_t(0), Vec<std::int64_t>(-1), Vec<std::int64_t>(1));
  return select(inexact & (odd == std::int64_t(0)), from_bits<double>(Vec<std::int64_t>(bits(s).v + step.v)), s);
}
STEEP_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  const __m128 x = (__m128)a.v, y = (__m128)b.v, z = (__m128)c.v;
  using D = Vec<double>::Raw;
  const auto half = [](__m128 f) { return Vec<double>((D)_mm_cvtps_pd(f)); };
  const auto high = [](__m128 f) { return _mm_movehl_ps(f, f); };
  const auto lo = fma_to_odd(half(x), half(y), half(z)), hi = fma_to_odd(half(high(x)), half(high(y)), half(high(z)));
  return (Vec<float>::Raw)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)lo.v), _mm_cvtpd_ps((__m128d)hi.v));
}
STEEP_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>::Raw{__builtin_fma(a.v[0], b.v[0], c.v[0]), __builtin_fma(a.v[1], b.v[1], c.v[1])};
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

#elif !defined(__x86_64__)

// NEON, and any other processor: plain loops over builtins, which aarch64 compiles to its vector instructions.
template <class T> STEEP_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::n; ++i) {
    if constexpr (sizeof(T) == 4) r.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
    else r.v[i] = __builtin_fma(a.v[i], b.v[i], c.v[i]);
  }
  return r;
}
template <class T> STEEP_INLINE Vec<T> sqrtv(Vec<T> x) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::n; ++i) r.v[i] = static_cast<T>(__builtin_sqrt(x.v[i]));
  return r;
}
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

#endif
