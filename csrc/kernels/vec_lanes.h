// Choosing lanes of vectors of integers: which are below those of another vector, as the bits of an integer, and a
// vector of the chosen ones. By mask registers on AVX-512, elsewhere by tables of shuffles. Included by vec.h. Start
// reading at lanes_below.

template <class T> constexpr unsigned all_lanes = (1u << lanes<T>)-1;

// How a shuffle that moves `unit` bytes at a time collects the chosen lanes of a vector, by the bits that choose them.
template <class T, int unit> struct LaneTable {
  static constexpr int pieces = kVecBytes / unit, per_lane = static_cast<int>(sizeof(T)) / unit;
  std::uint8_t of[1 << lanes<T>][pieces];

  constexpr LaneTable() : of{} {
    for (unsigned which = 0; which <= all_lanes<T>; ++which) {
      int next = 0;
      for (int i = 0; i < pieces; ++i)
        if (which >> (i / per_lane) & 1) of[which][next++] = static_cast<std::uint8_t>(i);
    }
  }
};

#if defined(__AVX512F__)

template <class T> STEEP_INLINE unsigned lanes_below(Vec<T> a, Vec<T> b) {
  if constexpr (sizeof(T) == 4) return _mm512_cmplt_epi32_mask((__m512i)a.v, (__m512i)b.v);
  else return _mm512_cmplt_epi64_mask((__m512i)a.v, (__m512i)b.v);
}
template <class T> STEEP_INLINE Vec<T> first_lanes(Vec<T> x, unsigned which) {
  if constexpr (sizeof(T) == 4)
    return (typename Vec<T>::Raw)_mm512_maskz_compress_epi32(static_cast<__mmask16>(which), (__m512i)x.v);
  else return (typename Vec<T>::Raw)_mm512_maskz_compress_epi64(static_cast<__mmask8>(which), (__m512i)x.v);
}

template <int by, class T> STEEP_INLINE Vec<T> add_where_below(Vec<T> r, Vec<T> a, Vec<T> b, unsigned among) {
  const auto one = (__m512i)Vec<T>(T(by)).v, to = (__m512i)r.v;
  if constexpr (sizeof(T) == 4) {
    const __mmask16 m = _mm512_mask_cmplt_epi32_mask(static_cast<__mmask16>(among), (__m512i)a.v, (__m512i)b.v);
    return (typename Vec<T>::Raw)_mm512_mask_add_epi32(to, m, to, one);
  } else {
    const __mmask8 m = _mm512_mask_cmplt_epi64_mask(static_cast<__mmask8>(among), (__m512i)a.v, (__m512i)b.v);
    return (typename Vec<T>::Raw)_mm512_mask_add_epi64(to, m, to, one);
  }
}

#else

#if defined(__AVX2__)
template <class T> STEEP_INLINE unsigned bits_of_mask(Vec<T> m) {
  if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm256_movemask_ps((__m256)m.v));
  else return static_cast<unsigned>(_mm256_movemask_pd((__m256d)m.v));
}
constexpr int kShuffled = 4;
STEEP_INLINE __m256i shuffle(__m256i x, const std::uint8_t* from) {
  return _mm256_permutevar8x32_epi32(x, _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
template <class T> STEEP_INLINE Vec<T> shuffle(Vec<T> x, const std::uint8_t* from) {
  return (typename Vec<T>::Raw)shuffle((__m256i)x.v, from);
}
#elif defined(__x86_64__)
template <class T> STEEP_INLINE unsigned bits_of_mask(Vec<T> m) {
  if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm_movemask_ps((__m128)m.v));
  else return static_cast<unsigned>(_mm_movemask_pd((__m128d)m.v));
}
constexpr int kShuffled = 1;
template <class T> STEEP_INLINE Vec<T> shuffle(Vec<T> x, const std::uint8_t* from) {
  return (typename Vec<T>::Raw)_mm_shuffle_epi8((__m128i)x.v, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
#else
template <class T> STEEP_INLINE unsigned bits_of_mask(Vec<T> m) {
  unsigned r = 0;
  for (int i = 0; i < lanes<T>; ++i) r |= static_cast<unsigned>(m.v[i] & 1) << i;
  return r;
}
constexpr int kShuffled = 1;
template <class T> STEEP_INLINE Vec<T> shuffle(Vec<T> x, const std::uint8_t* from) {
#if defined(__aarch64__)
  return (typename Vec<T>::Raw)vqtbl1q_u8((uint8x16_t)x.v, vld1q_u8(from));
#else
  std::uint8_t in[kVecBytes], out[kVecBytes];
  __builtin_memcpy(in, &x.v, kVecBytes);
  for (int i = 0; i < kVecBytes; ++i) out[i] = in[from[i]];
  Vec<T> r;
  __builtin_memcpy(&r.v, out, kVecBytes);
  return r;
#endif
}
#endif

template <class T> constexpr LaneTable<T, kShuffled> lane_table{};

// r, with `by` added in the lanes `among` where a is below b.
template <int by, class T> STEEP_INLINE Vec<T> add_where_below(Vec<T> r, Vec<T> a, Vec<T> b, unsigned among) {
  Vec<T> chosen;
  for (int i = 0; i < lanes<T>; ++i) chosen.v[i] = among >> i & 1 ? T(by) : T(0);
  return r + ((a < b) & chosen);
}
// Bit i of the result: whether lane i of a is below that of b.
template <class T> STEEP_INLINE unsigned lanes_below(Vec<T> a, Vec<T> b) { return bits_of_mask(a < b); }
// The lanes of x whose bit is set, in order, then lanes of no meaning.
template <class T> STEEP_INLINE Vec<T> first_lanes(Vec<T> x, unsigned which) {
  return shuffle(x, lane_table<T>.of[which]);
}

#endif
