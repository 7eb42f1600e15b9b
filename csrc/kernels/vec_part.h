// Partial vectors: loads and stores of some lanes, which the ends of rows and the borders of images need. One kind of
// Part for every instruction set: by mask registers on AVX-512, by a vector of masks on AVX2, and elsewhere by copying
// halves, quarters and so on. Included by vec.h. Start reading at load_part.

// Which lanes of a vector exist: those from lo, 0 unless it is given, to hi. The others are neither read nor written,
// and load as zero. Prepared once where it is used several times; a number of lanes converts to it.
#if defined(__AVX512F__)

template <class T> struct Part {
  using Mask = std::conditional_t<sizeof(T) == 1, __mmask64, std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>>;
  Mask mask = 0;

  Part() = default;
  STEEP_INLINE Part(std::int64_t hi) : mask(static_cast<Mask>((1ull << hi) - 1)) {}
  STEEP_INLINE Part(std::int64_t lo, std::int64_t hi)
      : mask(static_cast<Mask>(hi <= lo ? 0 : Part(hi).mask & ~Part(lo).mask)) {}
};
template <class T> STEEP_INLINE Vec<T> load_part(const T* p, std::type_identity_t<Part<T>> part) {
  if constexpr (sizeof(T) == 4) return (typename Vec<T>::Raw)_mm512_maskz_loadu_epi32(part.mask, p);
  else if constexpr (sizeof(T) == 8) return (typename Vec<T>::Raw)_mm512_maskz_loadu_epi64(part.mask, p);
  else return (typename Vec<T>::Raw)_mm512_maskz_loadu_epi8(part.mask, p);
}
template <class T> STEEP_INLINE void store_part(T* p, Vec<T> x, std::type_identity_t<Part<T>> part) {
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_epi32(p, part.mask, (__m512i)x.v);
  else if constexpr (sizeof(T) == 8) _mm512_mask_storeu_epi64(p, part.mask, (__m512i)x.v);
  else _mm512_mask_storeu_epi8(p, part.mask, (__m512i)x.v);
}

#else

// By halves: 4 elements are one move, 7 are three.
template <int bytes> STEEP_INLINE void copy_bytes(char* to, const char* from, std::int64_t n) {
  if (n & bytes) {
    __builtin_memcpy(to, from, bytes);
    to += bytes;
    from += bytes;
  }
  if constexpr (bytes > 1) copy_bytes<bytes / 2>(to, from, n);
}
template <class T> struct CountedPart {
  std::int64_t lo = 0, hi = 0;

  CountedPart() = default;
  STEEP_INLINE CountedPart(std::int64_t end) : hi(end) {}
  STEEP_INLINE CountedPart(std::int64_t begin, std::int64_t end) : lo(begin), hi(end < begin ? begin : end) {}
  STEEP_INLINE void copy(char* to, const char* from) const {
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    if (hi - lo == Vec<T>::n) __builtin_memcpy(to, from, kVecBytes);
    else copy_bytes<kVecBytes / 2>(to + lo * item, from + lo * item, (hi - lo) * item);
  }
  STEEP_INLINE Vec<T> load(const T* p) const {
    Vec<T> x(T(0));
    copy(reinterpret_cast<char*>(&x), reinterpret_cast<const char*>(p));
    return x;
  }
  STEEP_INLINE void store(T* p, Vec<T> x) const { copy(reinterpret_cast<char*>(p), reinterpret_cast<const char*>(&x)); }
};

#if defined(__AVX2__)
template <class T> struct MaskedPart {
  __m256i mask = _mm256_setzero_si256();

  MaskedPart() = default;
  STEEP_INLINE MaskedPart(std::int64_t hi) : mask(below(hi)) {}
  STEEP_INLINE MaskedPart(std::int64_t lo, std::int64_t hi) : mask(_mm256_andnot_si256(below(lo), below(hi))) {}
  STEEP_INLINE static __m256i below(std::int64_t n) {
    const auto lanes = static_cast<int>(n);
    if constexpr (sizeof(T) == 4)
      return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    else return _mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  STEEP_INLINE Vec<T> load(const T* p) const {
    if constexpr (sizeof(T) == 4)
      return (typename Vec<T>::Raw)_mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask);
    else return (typename Vec<T>::Raw)_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), mask);
  }
  STEEP_INLINE void store(T* p, Vec<T> x) const {
    if constexpr (sizeof(T) == 4) _mm256_maskstore_epi32(reinterpret_cast<int*>(p), mask, (__m256i)x.v);
    else _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), mask, (__m256i)x.v);
  }
};
template <class T> using Part = std::conditional_t<sizeof(T) >= 4, MaskedPart<T>, CountedPart<T>>;
#else
template <class T> using Part = CountedPart<T>;
#endif

template <class T> STEEP_INLINE Vec<T> load_part(const T* p, std::type_identity_t<Part<T>> part) {
  return part.load(p);
}
template <class T> STEEP_INLINE void store_part(T* p, Vec<T> x, std::type_identity_t<Part<T>> part) {
  part.store(p, x);
}

#endif
