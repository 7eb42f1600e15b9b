// The loops that run the functors of elementwise.inl.h over arrays, and where and cast. Floats go through Vec<T>: a
// partial vector at the end runs the SAME code as a full one, so the bits of an element never depend on its position.
// Integers, bools and comparisons are plain loops, which are exact and vectorised by the compiler. Start reading at
// loop1.

template <class F, class V> STEEP_INLINE V call1(V x, V p) {
  if constexpr (requires { F::f(x, p); }) return F::f(x, p);
  else return F::f(x);
}
// The chain rule applied to a derivative, as a functor of two operands.
template <class F> struct Chained {
  template <class V> static V f(V g, V s, V p) {
    if constexpr (requires { F::back(g, s, p); }) return F::back(g, s, p);
    else if constexpr (requires { F::df(s, p); }) return op::mul_zero::f(g, F::df(s, p));
    else return op::mul_zero::f(g, F::df(s));
  }
};
template <class F, class V> STEEP_INLINE V call2(V a, V b, V p) {
  if constexpr (requires { F::f(a, b, p); }) return F::f(a, b, p);
  else return F::f(a, b);
}

// The body of every plain loop: out[i] = g(i), where an operand may be `out` itself but never a shifted overlap.
template <class R, class G> STEEP_INLINE void each(R* out, std::int64_t n, G g) {
  STEEP_IVDEP
  for (std::int64_t i = 0; i < n; ++i) out[i] = g(i);
}

template <class F, class T>
void loop1(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double* params) {
  using V = Vec<T>;
  const T* x = static_cast<const T*>(in[0]);
  T* y = static_cast<T*>(out);
  const V p(params ? static_cast<T>(*params) : T(0));
  if (scalars & 1) {
    const T value = call1<F>(V(*x), p).v[0];
    return each(y, n, [=](std::int64_t) { return value; });
  }
  std::int64_t i = 0;
#pragma GCC unroll 4
  for (; i + V::n <= n; i += V::n) store(y + i, call1<F>(load(x + i), p));
  if (i < n) store_part(y + i, call1<F>(load_part(x + i, n - i), p), n - i);
}

template <class F, class T, class R>
void plain1(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double*) {
  const T* x = static_cast<const T*>(in[0]);
  R* y = static_cast<R*>(out);
  if (scalars & 1) {
    const R value = F::f(*x);
    return each(y, n, [=](std::int64_t) { return value; });
  }
  each(y, n, [=](std::int64_t i) { return static_cast<R>(F::f(x[i])); });
}

// The loop over one operand that gives what F gives where its second operand is this number; null where there is none.
template <class F, class T> STEEP_INLINE Loop loop_for_second(T) { return nullptr; }
template <class T, class... P> STEEP_INLINE Loop loop_of_power(op::Powers<P...>, T exponent) {
  Loop found = nullptr;
  const auto look = [&](double one, Loop loop) {
    if (static_cast<double>(exponent) == one) found = loop;
  };
  if constexpr (is_real<T>) (look(P::exponent, &loop1<P, T>), ...);
  else (look(P::exponent, &plain1<P, T, T>), ...);
  return found;
}
template <class F, class T>
requires std::is_same_v<F, op::pow> STEEP_INLINE Loop loop_for_second(T exponent) {
  if constexpr (is_real<T>) return loop_of_power(op::RealPowers(), exponent);
  else return loop_of_power(op::IntegerPowers(), exponent);
}

// A scalar operand becomes a vector of copies that the loop reads repeatedly: one body for every mask. The copies stand
// apart from where the loop reads, because what has an address is written back to memory at every step.
template <class T> struct Copies { alignas(kVecBytes) T values[Vec<T>::n]; };
template <class T> struct Operand {
  const T* at;
  std::int64_t step;

  STEEP_INLINE Operand(const void* p, bool scalar, Copies<T>& copies) : at(static_cast<const T*>(p)), step(Vec<T>::n) {
    if (!scalar) return;
    store(copies.values, Vec<T>(*at));
    at = copies.values;
    step = 0;
  }
  STEEP_INLINE Vec<T> next() {
    const Vec<T> x = load(at);
    at += step;
    return x;
  }
  STEEP_INLINE Vec<T> last(std::int64_t n) const { return load_part(at, n); }
};

template <class F, class T>
void loop2(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double* params) {
  using V = Vec<T>;
  if (scalars & 2)
    if (const Loop one = loop_for_second<F>(*static_cast<const T*>(in[1])))
      return one(in, out, n, scalars & 1, nullptr);
  Copies<T> copies[2];
  Operand<T> a(in[0], scalars & 1, copies[0]), b(in[1], scalars & 2, copies[1]);
  T* y = static_cast<T*>(out);
  const V p(params ? static_cast<T>(*params) : T(0));
#pragma GCC unroll 4
  for (; n >= V::n; n -= V::n, y += V::n) {
    const V x = a.next();
    store(y, call2<F>(x, b.next(), p));
  }
  if (n > 0) store_part(y, call2<F>(a.last(n), b.last(n), p), n);
}

// The third operand is a function, called where it is needed.
template <class F, class T>
void loop3(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double*) {
  using V = Vec<T>;
  Copies<T> copies[3];
  Operand<T> a(in[0], scalars & 1, copies[0]), b(in[1], scalars & 2, copies[1]), c(in[2], scalars & 4, copies[2]);
  T* y = static_cast<T*>(out);
  for (; n >= V::n; n -= V::n, y += V::n) {
    const V p = a.next(), q = b.next();
    const T* at = c.at;
    store(y, F::f(p, q, [=] { return load(at); }));
    c.at += c.step;
  }
  if (n > 0) store_part(y, F::f(a.last(n), b.last(n), [&] { return c.last(n); }), n);
}

template <class F, class T, class R>
void plain2(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double*) {
  const T* a = static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  R* y = static_cast<R*>(out);
  if (n <= 0) return;
  const T a0 = *a, b0 = *b;  // before the first write, which may overwrite them
  if constexpr (std::is_same_v<T, R>)
    if (scalars & 2)
      if (const Loop one = loop_for_second<F>(b0)) return one(in, out, n, scalars & 1, nullptr);
  switch (scalars & 3) {
    case 0: return each(y, n, [=](std::int64_t i) { return static_cast<R>(F::f(a[i], b[i])); });
    case 1: return each(y, n, [=](std::int64_t i) { return static_cast<R>(F::f(a0, b[i])); });
    case 2: return each(y, n, [=](std::int64_t i) { return static_cast<R>(F::f(a[i], b0)); });
    default: return each(y, n, [=, value = static_cast<R>(F::f(a0, b0))](std::int64_t) { return value; });
  }
}

// c ? a : b on the bits of the elements: a branch on memory would keep the compiler from vectorising.
template <class U> STEEP_INLINE U pick(std::uint8_t c, U a, U b) {
  const U mask = static_cast<U>(U(0) - U(c));
  return static_cast<U>((a & mask) | (b & ~mask));
}
template <class T> void where_loop(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double*) {
  using U = UInt<T>;
  const std::uint8_t* c = static_cast<const std::uint8_t*>(in[0]);  // 0 or 1
  const U* a = static_cast<const U*>(in[1]);
  const U* b = static_cast<const U*>(in[2]);
  U* y = static_cast<U*>(out);
  if (n <= 0) return;
  const U a0 = *a, b0 = *b;
  if (scalars & 1) {
    const U* from = *c ? a : b;
    const U value = *from;
    if (scalars & (*c ? 2 : 4)) return each(y, n, [=](std::int64_t) { return value; });
    return each(y, n, [=](std::int64_t i) { return from[i]; });
  }
  switch (scalars >> 1 & 3) {
    case 0: return each(y, n, [=](std::int64_t i) { return pick(c[i], a[i], b[i]); });
    case 1: return each(y, n, [=](std::int64_t i) { return pick(c[i], a0, b[i]); });
    case 2: return each(y, n, [=](std::int64_t i) { return pick(c[i], a[i], b0); });
    default: return each(y, n, [=](std::int64_t i) { return pick(c[i], a0, b0); });
  }
}

// Float to integer towards zero. NaN and values out of range give the lowest int32 or int64, as on x86; uint8 takes the
// low byte of the int32, as NumPy does on x86.
template <class To, class From> STEEP_INLINE To float_to_int(From x) {
  constexpr From limit = static_cast<From>(UInt<To>(1) << (8 * sizeof(To) - 1));  // exact: a power of two
  constexpr To lowest = static_cast<To>(UInt<To>(1) << (8 * sizeof(To) - 1));
  const bool fits = x < limit && x > (sizeof(From) > sizeof(To) ? -limit - 1 : -limit);
  const To r = static_cast<To>(fits ? x : From(0));
  return fits ? r : lowest;  // -limit itself is the lowest as well
}
template <class To, class From> STEEP_INLINE To cast_number(From x) {
  if constexpr (sizeof(To) == 1 && To(2) == To(1)) return x != 0;  // to bool
  else if constexpr (!is_real<From> || is_real<To>) return static_cast<To>(x);
  else if constexpr (sizeof(To) == 1) return static_cast<To>(float_to_int<std::int32_t>(x));
  else return float_to_int<To>(x);
}

// The upper half of a float32's bits. Arithmetic is done in float32.
struct bfloat16 {
  std::uint16_t bits;
};
template <class T> constexpr bool is_bfloat16 = false;
template <> inline constexpr bool is_bfloat16<bfloat16> = true;

STEEP_INLINE float widened(bfloat16 x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16); }
// To nearest, ties to even. NaN stays NaN, with its sign and the upper bits of its payload, made quiet.
STEEP_INLINE bfloat16 narrowed(float x) {
  const auto b = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t nearest = b + 0x7fff + (b >> 16 & 1), quiet = b | 0x400000;
  return {static_cast<std::uint16_t>((x != x ? quiet : nearest) >> 16)};
}
// Rounded to odd first, so that the second rounding gives what a single rounding would.
STEEP_INLINE bfloat16 narrowed(double x) {
  const float f = static_cast<float>(x);
  auto b = __builtin_bit_cast(std::uint32_t, f);
  const double error = __builtin_fabs(x) - __builtin_fabs(static_cast<double>(f));
  if (!(b & 1)) b += error > 0 ? 1u : error < 0 ? ~0u : 0u;
  return narrowed(__builtin_bit_cast(float, b));
}
// The same through double: bits of an int64 beyond 53 are folded into the last one.
STEEP_INLINE bfloat16 narrowed(std::int64_t x) {
  const bool fits = x < (1ll << 53) && x > -(1ll << 53);
  return narrowed(static_cast<double>(fits ? x : (x & ~0x7ffll) | ((x & 0x7ff) != 0) << 11));
}

template <class To, class From> STEEP_INLINE To cast_one(From x) {
  if constexpr (is_bfloat16<From> && is_bfloat16<To>) return x;
  else if constexpr (is_bfloat16<From>) return cast_one<To>(widened(x));
  else if constexpr (is_bfloat16<To> && sizeof(From) == 1) return narrowed(static_cast<float>(x));
  else if constexpr (is_bfloat16<To> && !is_real<From>) return narrowed(static_cast<std::int64_t>(x));
  else if constexpr (is_bfloat16<To>) return narrowed(x);
  else return cast_number<To>(x);
}
template <class From, class To>
void cast_loop(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double*) {
  const From* x = static_cast<const From*>(in[0]);
  To* y = static_cast<To*>(out);
  if (scalars & 1) {
    const To value = cast_one<To>(*x);
    return each(y, n, [=](std::int64_t) { return value; });
  }
  each(y, n, [=](std::int64_t i) { return cast_one<To>(x[i]); });
}
