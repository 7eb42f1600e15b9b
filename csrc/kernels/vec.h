// Vec<T>: one SIMD type as wide as the instruction set allows, on compiler vector extensions. Operators, comparisons
// and select come from the compiler; operations without an operator (fused multiply-add, square root, rounding) are in
// vec_isa.h, partial loads in vec_part.h, chosen lanes in vec_lanes.h. Included inside the namespace of an instruction
// set. Start reading at struct Vec.
//
// Every operation here gives the same bits on every instruction set: basic arithmetic is correctly rounded
// everywhere, fma is exact everywhere (emulated where the processor has none), and contraction is off.

#if defined(__AVX512F__)
constexpr int kVecBytes = 64;
#elif defined(__AVX2__)
constexpr int kVecBytes = 32;
#else
constexpr int kVecBytes = 16;
#endif

template <int bytes> struct Int_;
template <> struct Int_<1> {
  using type = std::int8_t;
  using utype = std::uint8_t;
};
template <> struct Int_<2> {
  using type = std::int16_t;
  using utype = std::uint16_t;
};
template <> struct Int_<4> {
  using type = std::int32_t;
  using utype = std::uint32_t;
};
template <> struct Int_<8> {
  using type = std::int64_t;
  using utype = std::uint64_t;
};
template <class T> using Int = typename Int_<sizeof(T)>::type;    // the mask and bit pattern of a T
template <class T> using UInt = typename Int_<sizeof(T)>::utype;  // the same, wrapping around

// Outside Vec, because inside it GCC takes Raw for T itself and rejects the two constructors.
template <class T> struct RawVec { typedef T type __attribute__((vector_size(kVecBytes))); };

template <class T> struct Vec {
  using Elem = T;
  using Mask = Vec<Int<T>>;  // all bits set where true
  static constexpr int n = kVecBytes / static_cast<int>(sizeof(T));
  using Raw = typename RawVec<T>::type;
  // Integers wrap around: signed ones are added as unsigned ones, for which that is defined.
  using Wrapping = typename RawVec<std::conditional_t<std::is_integral_v<T>, UInt<T>, T>>::type;
  Raw v;

  Vec() = default;
  STEEP_INLINE Vec(Raw r) : v(r) {}
  STEEP_INLINE Vec(T x) : v(x - Raw{}) {}  // x - 0 is x, even for -0

  STEEP_INLINE friend Vec operator+(Vec a, Vec b) { return (Raw)((Wrapping)a.v + (Wrapping)b.v); }
  STEEP_INLINE friend Vec operator-(Vec a, Vec b) { return (Raw)((Wrapping)a.v - (Wrapping)b.v); }
  STEEP_INLINE friend Vec operator*(Vec a, Vec b) { return (Raw)((Wrapping)a.v * (Wrapping)b.v); }
  STEEP_INLINE friend Vec operator/(Vec a, Vec b) { return a.v / b.v; }
  STEEP_INLINE friend Vec operator-(Vec a) { return (Raw)(-(Wrapping)a.v); }
  STEEP_INLINE friend Vec operator&(Vec a, Vec b) { return a.v & b.v; }
  STEEP_INLINE friend Vec operator|(Vec a, Vec b) { return a.v | b.v; }
  STEEP_INLINE friend Vec operator^(Vec a, Vec b) { return a.v ^ b.v; }
  STEEP_INLINE friend Vec operator~(Vec a) { return ~a.v; }
  STEEP_INLINE friend Vec operator<<(Vec a, int k) { return (Raw)((Wrapping)a.v << k); }
  STEEP_INLINE friend Vec operator>>(Vec a, int k) { return a.v >> k; }
  STEEP_INLINE friend Mask operator==(Vec a, Vec b) { return Mask(a.v == b.v); }
  STEEP_INLINE friend Mask operator!=(Vec a, Vec b) { return Mask(a.v != b.v); }
  STEEP_INLINE friend Mask operator<(Vec a, Vec b) { return Mask(a.v < b.v); }
  STEEP_INLINE friend Mask operator<=(Vec a, Vec b) { return Mask(a.v <= b.v); }
  STEEP_INLINE friend Mask operator>(Vec a, Vec b) { return Mask(a.v > b.v); }
  STEEP_INLINE friend Mask operator>=(Vec a, Vec b) { return Mask(a.v >= b.v); }
  STEEP_INLINE friend Vec select(Mask m, Vec a, Vec b) { return m.v ? a.v : b.v; }
};

template <class T> constexpr int lanes = Vec<T>::n;

// Kernels of a tile by its size: at[i][j] is f<i + 1, j + 1>(), null where there is none.
template <class Fn, int rows, int columns> struct TileTable {
  Fn at[rows][columns] = {};
};
template <class Fn, int rows, int columns, class F, int... i>
constexpr TileTable<Fn, rows, columns> tile_table(F f, std::integer_sequence<int, i...>) {
  TileTable<Fn, rows, columns> all;
  ((all.at[i / columns][i % columns] = f.template operator()<i / columns + 1, i % columns + 1>()), ...);
  return all;
}
template <class Fn, int rows, int columns, class F> constexpr TileTable<Fn, rows, columns> tile_table(F f) {
  return tile_table<Fn, rows, columns>(f, std::make_integer_sequence<int, rows * columns>{});
}

// f(0), f(1), .. with constant arguments, so that arrays indexed by them live in registers.
template <int i> struct Index {
  constexpr operator int() const { return i; }
};
template <class F, int... i> STEEP_INLINE void repeat_each(F& f, std::integer_sequence<int, i...>) {
  (f(Index<i>{}), ...);
}
template <int count, class F> STEEP_INLINE void repeat(F f) {
  repeat_each(f, std::make_integer_sequence<int, count>{});
}

// The same functions for one integer, so that one functor body serves integers (whose loops the compiler vectorises)
// and vectors of floats.
template <class T> STEEP_INLINE T select(bool m, T a, T b) { return m ? a : b; }

template <class V> struct ElemOf { using type = V; };
template <class T> struct ElemOf<Vec<T>> { using type = T; };
template <class V> using Elem = typename ElemOf<V>::type;
template <class V> constexpr bool is_vec = false;
template <class T> constexpr bool is_vec<Vec<T>> = true;
template <class V> constexpr bool is_real = static_cast<V>(0.5f) != V(0);  // a float, not an integer that wraps
template <class T> constexpr bool is_real<Vec<T>> = is_real<T>;
template <> inline constexpr bool is_real<bool> = false;

template <class T> STEEP_INLINE Vec<T> load(const T* p) {
  Vec<T> r;
  __builtin_memcpy(&r.v, p, kVecBytes);
  return r;
}
template <class T> STEEP_INLINE void store(T* p, Vec<T> x) { __builtin_memcpy(p, &x.v, kVecBytes); }

// The bits of a float as integers, and back.
template <class T> STEEP_INLINE Vec<Int<T>> bits(Vec<T> x) { return (typename Vec<Int<T>>::Raw)x.v; }
template <class T> STEEP_INLINE Vec<T> from_bits(Vec<Int<T>> x) { return (typename Vec<T>::Raw)x.v; }
template <class To, class From> STEEP_INLINE Vec<To> convert(Vec<From> x) {
  return __builtin_convertvector(x.v, typename Vec<To>::Raw);
}

// The lanes of a Vec<float> as doubles, in two vectors, and back.
struct Doubles {
  Vec<double> low, high;
};
typedef float HalfVec __attribute__((vector_size(kVecBytes / 2)));
template <int... i> STEEP_INLINE Doubles doubles_of(Vec<float> x, std::integer_sequence<int, i...>) {
  const HalfVec low = __builtin_shufflevector(x.v, x.v, i...),
                high = __builtin_shufflevector(x.v, x.v, (i + lanes<double>)...);
  return {__builtin_convertvector(low, Vec<double>::Raw), __builtin_convertvector(high, Vec<double>::Raw)};
}
STEEP_INLINE Doubles doubles_of(Vec<float> x) {
  return doubles_of(x, std::make_integer_sequence<int, lanes<double>>());
}
template <int... i> STEEP_INLINE Vec<float> floats_of(Doubles x, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(__builtin_convertvector(x.low.v, HalfVec), __builtin_convertvector(x.high.v, HalfVec),
                                 i...);
}
STEEP_INLINE Vec<float> floats_of(Doubles x) { return floats_of(x, std::make_integer_sequence<int, lanes<float>>()); }

template <class T> constexpr T kInf = static_cast<T>(__builtin_inf());
template <class T> constexpr T kNan = static_cast<T>(__builtin_nan(""));
template <class T> constexpr Int<T> kSignBit = static_cast<Int<T>>(UInt<T>(1) << (8 * sizeof(T) - 1));

#include "kernels/vec_isa.h"
#include "kernels/vec_part.h"
#include "kernels/vec_lanes.h"

// A function of the C library, lane by lane: for functions without vector code.
template <class T, class F> STEEP_INLINE Vec<T> per_lane(F f, Vec<T> x) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::n; ++i) r.v[i] = f(x.v[i]);
  return r;
}
template <class T, class F> STEEP_INLINE Vec<T> per_lane(F f, Vec<T> x, Vec<T> y) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::n; ++i) r.v[i] = f(x.v[i], y.v[i]);
  return r;
}

template <class T> STEEP_INLINE Vec<T> absv(Vec<T> x) { return from_bits<T>(bits(x) & ~kSignBit<T>); }
template <class T> STEEP_INLINE Vec<T> copysignv(Vec<T> x, Vec<T> sign) {
  return from_bits<T>((bits(x) & ~kSignBit<T>) | (bits(sign) & kSignBit<T>));
}
template <class T> STEEP_INLINE typename Vec<T>::Mask is_nan(Vec<T> x) { return x != x; }

// A NaN in either operand gives NaN, unlike the processor's own min and max.
template <class V> STEEP_INLINE V minv(V a, V b) {
  if constexpr (is_vec<V>) return select((a < b) | (a != a), a, b);
  else return a < b || a != a ? a : b;
}
template <class V> STEEP_INLINE V maxv(V a, V b) {
  if constexpr (is_vec<V>) return select((a > b) | (a != a), a, b);
  else return a > b || a != a ? a : b;
}

// Whether some lane of a mask is set: one instruction where there is one.
template <class T> STEEP_INLINE bool any_lane(Vec<T> mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask.v, (__m512i)mask.v) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)mask.v, (__m256i)mask.v);
#elif defined(__SSE4_1__)
  return !_mm_testz_si128((__m128i)mask.v, (__m128i)mask.v);
#else
  T r = 0;
  for (int i = 0; i < Vec<T>::n; ++i) r |= mask.v[i];
  return r != 0;
#endif
}
