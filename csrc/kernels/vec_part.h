// Partial vectors: loads and stores of some lanes, which the ends of rows and the borders of images need. By mask
// registers on AVX-512, elsewhere by moves of halves, quarters and so on. Loops that would use many of them ask
// with_part for whole vectors where they can, or prepare a PreparedPart. Included by vec.h. Start reading at load_part.

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

template <class T> constexpr bool masks_are_free = true;

// The first n lanes from or to p[0], p[2], p[4] and so on. What lies between is neither read nor written.
template <class T> STEEP_INLINE Part<T> every_other(std::int64_t n) {
  Part<T> part(n <= 0 ? 0 : n >= lanes<T> / 2 ? lanes<T> : 2 * n);
  part.mask = static_cast<typename Part<T>::Mask>(part.mask & 0x5555);
  return part;
}
template <class T, int... l>
STEEP_INLINE void store_apart(T* p, Vec<T> x, std::int64_t n, std::integer_sequence<int, l...>) {
  const Vec<T> low = __builtin_shufflevector(x.v, x.v, (l / 2)...);
  const Vec<T> high = __builtin_shufflevector(x.v, x.v, (l / 2 + lanes<T> / 2)...);
  store_part(p, low, every_other<T>(n));
  store_part(p + lanes<T>, high, every_other<T>(n - lanes<T> / 2));
}
template <class T, int... l>
STEEP_INLINE Vec<T> load_apart(const T* p, std::int64_t n, std::integer_sequence<int, l...>) {
  const Vec<T> low = load_part(p, every_other<T>(n));
  const Vec<T> high = load_part(p + lanes<T>, every_other<T>(n - lanes<T> / 2));
  return __builtin_shufflevector(low.v, high.v, (2 * l)...);
}
template <class T> STEEP_INLINE void store_apart(T* p, Vec<T> x, std::int64_t n) {
  store_apart(p, x, n, std::make_integer_sequence<int, lanes<T>>{});
}
template <class T> STEEP_INLINE Vec<T> load_apart(const T* p, std::int64_t n) {
  return load_apart(p, n, std::make_integer_sequence<int, lanes<T>>{});
}

#else

template <class T> constexpr bool masks_are_free = false;

// The first n lanes from or to p[0], p[2], p[4] and so on. What lies between is neither read nor written.
template <class T> STEEP_INLINE void store_apart(T* p, Vec<T> x, std::int64_t n) {
  T value[lanes<T>];
  store(value, x);
  for (std::int64_t i = 0; i < n && i < lanes<T>; ++i) p[2 * i] = value[i];
}
template <class T> STEEP_INLINE Vec<T> load_apart(const T* p, std::int64_t n) {
  T value[lanes<T>] = {};
  for (std::int64_t i = 0; i < n && i < lanes<T>; ++i) value[i] = p[2 * i];
  return load(value);
}

// The first n elements of 16 bytes, zeros beyond them. By moves of 16, 8 and 4 bytes between memory and a register:
// masked moves of AVX2 take ten times as long on some processors (AMD's Zen, measured), and an array on the stack would
// be read before what was written to it has arrived.
template <class T> struct Raw16 { typedef T type __attribute__((vector_size(16))); };
typedef std::int64_t Raw64s __attribute__((vector_size(16)));
template <class T> STEEP_INLINE typename Raw16<T>::type load_first(const T* p, std::int64_t n) {
  using Raw = typename Raw16<T>::type;
  constexpr auto all = static_cast<std::int64_t>(16 / sizeof(T));
  Raw x = {};
  if (n >= all) {
    __builtin_memcpy(&x, p, 16);
  } else if constexpr (all == 2) {
    if (n == 1) x[0] = p[0];
  } else if (n == 1) {
    x[0] = p[0];
  } else if (n >= 2) {
    Raw64s pair = {};
    std::int64_t two;
    __builtin_memcpy(&two, p, 8);
    pair[0] = two;
    x = (Raw)pair;
    if (n == 3) x[2] = p[2];
  }
  return x;
}
template <class T> STEEP_INLINE void store_first(T* p, typename Raw16<T>::type x, std::int64_t n) {
  constexpr auto all = static_cast<std::int64_t>(16 / sizeof(T));
  if (n >= all) {
    __builtin_memcpy(p, &x, 16);
  } else if constexpr (all == 2) {
    if (n == 1) p[0] = x[0];
  } else if (n == 1) {
    p[0] = x[0];
  } else if (n >= 2) {
    const std::int64_t two = ((Raw64s)x)[0];
    __builtin_memcpy(p, &two, 8);
    if (n == 3) p[2] = x[2];
  }
}

// The same for a vector.
template <class T, int... l>
STEEP_INLINE Vec<T> load_first_lanes(const T* p, std::int64_t n, std::integer_sequence<int, l...>) {
  constexpr int half = static_cast<int>(16 / sizeof(T));
  if constexpr (kVecBytes == 16) return load_first(p, n);
  else {
    const auto low = load_first(p, n);
    if (n <= half) return __builtin_shufflevector(low, typename Raw16<T>::type{}, l...);
    return __builtin_shufflevector(low, load_first(p + half, n - half), l...);
  }
}
template <class T, int... l>
STEEP_INLINE void store_first_lanes(T* p, Vec<T> x, std::int64_t n, std::integer_sequence<int, l...>) {
  constexpr int half = static_cast<int>(16 / sizeof(T));
  if constexpr (kVecBytes == 16) store_first(p, x.v, n);
  else {
    store_first(p, __builtin_shufflevector(x.v, x.v, l...), n);
    if (n > half) store_first(p + half, __builtin_shufflevector(x.v, x.v, (half + l)...), n - half);
  }
}

// In memory, by halves: 4 elements are one move, 7 are three.
template <int bytes> STEEP_INLINE void copy_bytes(char* to, const char* from, std::int64_t n) {
  if (n & bytes) {
    __builtin_memcpy(to, from, bytes);
    to += bytes;
    from += bytes;
  }
  if constexpr (bytes > 1) copy_bytes<bytes / 2>(to, from, n);
}

template <class T> struct Part {
  std::int64_t lo = 0, hi = 0;

  Part() = default;
  STEEP_INLINE Part(std::int64_t end) : hi(end) {}
  STEEP_INLINE Part(std::int64_t begin, std::int64_t end) : lo(begin), hi(end < begin ? begin : end) {}
  STEEP_INLINE bool all() const { return hi - lo >= Vec<T>::n; }
  STEEP_INLINE void copy(char* to, const char* from) const {
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    copy_bytes<kVecBytes / 2>(to + lo * item, from + lo * item, (hi - lo) * item);
  }
};
template <class T> STEEP_INLINE Vec<T> load_part(const T* p, std::type_identity_t<Part<T>> part) {
  if (part.all()) return load(p);
  if constexpr (sizeof(T) >= 4)
    if (part.lo == 0) return load_first_lanes(p, part.hi, std::make_integer_sequence<int, lanes<T>>{});
  Vec<T> x(T(0));
  part.copy(reinterpret_cast<char*>(&x), reinterpret_cast<const char*>(p));
  return x;
}
template <class T> STEEP_INLINE void store_part(T* p, Vec<T> x, std::type_identity_t<Part<T>> part) {
  if (part.all()) return store(p, x);
  if constexpr (sizeof(T) >= 4)
    if (part.lo == 0)
      return store_first_lanes(p, x, part.hi, std::make_integer_sequence<int, static_cast<int>(16 / sizeof(T))>{});
  part.copy(reinterpret_cast<char*>(p), reinterpret_cast<const char*>(&x));
}

#endif

// Every lane, known when compiled. with_part(n, f) calls f with it, or with the Part of n lanes where n is less than a
// vector: a loop in f then has whole loads where it can.
struct Whole {};
template <class T> STEEP_INLINE Vec<T> load_part(const T* p, Whole) { return load(p); }
template <class T> STEEP_INLINE void store_part(T* p, Vec<T> x, Whole) { store(p, x); }
template <class T, class F> STEEP_INLINE void with_part(std::int64_t n, F f) {
  if constexpr (masks_are_free<T>) f(Part<T>(least(n, lanes<T>)));
  else if (n >= lanes<T>) f(Whole{});
  else f(Part<T>(n));
}

// A part prepared for many loads from memory that may be read around it as well: a whole vector is loaded and masked,
// unless it would leave that memory.
template <class T> struct Readable {
  const T *begin, *end;

  bool holds(const T* p) const { return p >= begin && p + lanes<T> <= end; }
};
template <class T, bool = masks_are_free<T>> struct PreparedPart {
  Part<T> part;

  STEEP_INLINE Vec<T> load_in(const Readable<T>&, const T* p) const { return load_part(p, part); }
};
template <class T> struct PreparedPart<T, false> {
  Part<T> part;
  Vec<Int<T>> mask;

  PreparedPart() = default;
  PreparedPart(Part<T> p) : part(p) {
    const auto lo = static_cast<Int<T>>(p.lo), hi = static_cast<Int<T>>(p.hi);
    for (int i = 0; i < lanes<T>; ++i) mask.v[i] = i >= lo && i < hi ? Int<T>(-1) : Int<T>(0);
  }
  STEEP_INLINE Vec<T> load_in(const Readable<T>& memory, const T* p) const {
    if (part.all()) return load(p);
    if (memory.holds(p)) return from_bits<T>(bits(load(p)) & mask);
    return load_part(p, part);
  }
};
