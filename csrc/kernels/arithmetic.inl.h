// The elementwise kernels of arithmetic, comparison, bits and logic, one functor for each name in kernels.def, in
// namespace op. A body serves vectors of floats, Vec<T>, and single integers. Start reading at op::add.

namespace op {

// Integers wrap around: arithmetic runs on the unsigned type of the same width.
template <class T> STEEP_INLINE T wrapped(UInt<T> x) { return static_cast<T>(x); }

struct mul_zero {
  template <class V> static V f(V g, V d) { return select(g == 0, V(0), g * d); }
};
struct sign {
  template <class V> static V f(V x) {
    if constexpr (is_vec<V>) return select(x > 0, V(1), select(x < 0, V(-1), select(x == 0, V(0), x)));  // keeps NaN
    else return static_cast<V>((x > 0) - (x < 0));
  }
};
struct negative {
  template <class V> static V f(V x) {
    if constexpr (is_vec<V>) return -x;
    else return wrapped<V>(static_cast<UInt<V>>(UInt<V>(0) - UInt<V>(x)));
  }
};
struct abs {
  template <class V> static V f(V x) {
    if constexpr (is_vec<V>) return absv(x);
    else return x < 0 ? negative::f(x) : x;
  }
};
struct abs_f {
  template <class V> static V f(V x) { return absv(x); }
  template <class V> static V back(V g, V x, V) { return select(x == 0, V(0), mul_zero::f(g, sign::f(x))); }
};
struct square {
  template <class V> static V f(V x) {
    if constexpr (is_real<V>) return x * x;
    else return wrapped<V>(static_cast<UInt<V>>(UInt<V>(x) * UInt<V>(x)));
  }
};
struct floor {
  template <class V> static V f(V x) { return roundv<Round::down>(x); }
};
struct ceil {
  template <class V> static V f(V x) { return roundv<Round::up>(x); }
};
struct round {
  template <class V> static V f(V x) { return roundv<Round::nearest_even>(x); }
};
struct trunc {
  template <class V> static V f(V x) { return roundv<Round::to_zero>(x); }
};

struct add {
  template <class V> static V f(V a, V b) {
    if constexpr (is_real<V>) return a + b;
    else return wrapped<V>(static_cast<UInt<V>>(UInt<V>(a) + UInt<V>(b)));
  }
};
struct subtract {
  template <class V> static V f(V a, V b) {
    if constexpr (is_real<V>) return a - b;
    else return wrapped<V>(static_cast<UInt<V>>(UInt<V>(a) - UInt<V>(b)));
  }
};
struct multiply {
  template <class V> static V f(V a, V b) {
    if constexpr (is_real<V>) return a * b;
    else return wrapped<V>(static_cast<UInt<V>>(UInt<V>(a) * UInt<V>(b)));
  }
};
struct divide {
  template <class V> static V f(V a, V b) { return a / b; }
};
struct minimum {
  template <class V> static V f(V a, V b) { return minv(a, b); }
};
struct maximum {
  template <class V> static V f(V a, V b) { return maxv(a, b); }
};
struct clip_low {
  template <class V> static V f(V x, V bound) { return select((x < bound) | (bound != bound), bound, x); }
};
struct clip_high {
  template <class V> static V f(V x, V bound) { return select((x > bound) | (bound != bound), bound, x); }
};
struct mul_zero_either {
  template <class V> static V f(V a, V b) { return select((a == 0) | (b == 0), V(0), a * b); }
};

struct remainder {
  template <class T> static T one(T a, T b) {
    if (b == 0 || b == T(-1)) return 0;  // -1 as well: the lowest integer divided by -1 traps
    const T m = static_cast<T>(a % b);
    return m != 0 && (m < 0) != (b < 0) ? static_cast<T>(m + b) : m;
  }
  template <class V> static V f(V a, V b) {
    if constexpr (is_vec<V>) return remainderv(a, b);
    else if constexpr (V(-1) < V(0)) return one(a, b);
    else return b == 0 ? V(0) : static_cast<V>(a % b);
  }
};
struct floor_divide {
  template <class T> static T one(T a, T b) {
    if (b == 0) return 0;
    if (b == T(-1)) return negative::f(a);
    const T q = static_cast<T>(a / b);
    return a % b != 0 && (a < 0) != (b < 0) ? static_cast<T>(q - 1) : q;
  }
  template <class V> static V f(V a, V b) {
    if constexpr (is_vec<V>) return floor_dividev(a, b);
    else if constexpr (V(-1) < V(0)) return one(a, b);
    else return b == 0 ? V(0) : static_cast<V>(a / b);
  }
};

// Powers of x that are a few products and a root: whatever holds the exponent, a number or an array, they are these.
struct power_2 {
  static constexpr double exponent = 2;
  template <class V> static V f(V x) { return square::f(x); }
};
struct power_3 {
  static constexpr double exponent = 3;
  template <class V> static V f(V x) { return multiply::f(square::f(x), x); }
};
struct power_4 {
  static constexpr double exponent = 4;
  template <class V> static V f(V x) { return square::f(square::f(x)); }
};
struct power_half {  // by IEEE 754, 0 of -0 and infinity of -infinity
  static constexpr double exponent = 0.5;
  template <class V> static V f(V x) { return select(x == -kInf<Elem<V>>, V(kInf<Elem<V>>), sqrtv(x) + V(0)); }
};
struct power_minus_half {
  static constexpr double exponent = -0.5;
  template <class V> static V f(V x) { return 1 / power_half::f(x); }
};
struct power_minus_1 {
  static constexpr double exponent = -1;
  template <class V> static V f(V x) { return 1 / x; }
};
struct power_minus_2 {
  static constexpr double exponent = -2;
  template <class V> static V f(V x) { return square::f(1 / x); }
};
template <class... P> struct Powers {
  static constexpr double most = 4;
  // Where b is one of the exponents, that power of a; y elsewhere.
  template <class V> static V choose(V a, V b, V y) {
    ((y = select(b == Elem<V>(P::exponent), P::f(a), y)), ...);
    return y;
  }
};
using IntegerPowers = Powers<power_2, power_3, power_4>;
using RealPowers = Powers<power_2, power_3, power_4, power_half, power_minus_half, power_minus_1, power_minus_2>;

struct pow {
  template <class T> static T by_squaring(T a, T b) {
    if (b < 0) return a == 1 ? T(1) : a != T(-1) ? T(0) : b & 1 ? a : T(1);
    UInt<T> base = UInt<T>(a), result = 1;
    for (UInt<T> k = UInt<T>(b); k != 0; k = static_cast<UInt<T>>(k >> 1)) {
      if (k & 1) result = static_cast<UInt<T>>(result * base);
      base = static_cast<UInt<T>>(base * base);
    }
    return wrapped<T>(result);
  }
  template <class V> static V f(V a, V b) {
    if constexpr (is_vec<V>) {
      const V y = powv(a, b), twice = b + b;
      const auto small = (absv(b) <= Elem<V>(RealPowers::most)) & (twice == roundv<Round::nearest_even>(twice));
      return any_lane(small) ? RealPowers::choose(a, b, y) : y;
    } else {
      return by_squaring(a, b);
    }
  }
};
struct atan2 {
  template <class V> static V f(V a, V b) { return atan2v(a, b); }
};
struct hypot {
  template <class V> static V f(V a, V b) { return hypotv(a, b); }
};
struct copysign {
  template <class V> static V f(V a, V b) { return copysignv(a, b); }
};
struct nextafter {
  template <class V> static V f(V a, V b) { return nextafterv(a, b); }
};
struct logaddexp {  // of two equal infinities the difference is NaN, the answer is not
  template <class V> static V f(V a, V b) {
    const V gap = select(a == b, V(0), absv(a - b));
    return maxv(a, b) + log1pv(expv(-gap));
  }
};

struct bitwise_and {
  template <class T> static T f(T a, T b) { return static_cast<T>(a & b); }
};
struct bitwise_or {
  template <class T> static T f(T a, T b) { return static_cast<T>(a | b); }
};
struct bitwise_xor {
  template <class T> static T f(T a, T b) { return static_cast<T>(a ^ b); }
};

// A shift by the width or more, or by a negative count, shifts every bit out.
template <class T> STEEP_INLINE bool shifts_out(T count) {
  return static_cast<UInt<T>>(count) >= UInt<T>(8 * sizeof(T));
}
struct left_shift {
  template <class T> static T f(T a, T b) {
    const UInt<T> count = shifts_out(b) ? UInt<T>(0) : UInt<T>(b);
    return shifts_out(b) ? T(0) : static_cast<T>(static_cast<UInt<T>>(UInt<T>(a) << count));
  }
};
struct right_shift {
  template <class T> static T f(T a, T b) {
    const UInt<T> count = shifts_out(b) ? UInt<T>(8 * sizeof(T) - 1) : UInt<T>(b);
    return static_cast<T>(a >> count);
  }
};

struct equal {
  template <class T> static bool f(T a, T b) { return a == b; }
};
struct not_equal {
  template <class T> static bool f(T a, T b) { return a != b; }
};
struct less {
  template <class T> static bool f(T a, T b) { return a < b; }
};
struct less_equal {
  template <class T> static bool f(T a, T b) { return a <= b; }
};
struct greater {
  template <class T> static bool f(T a, T b) { return a > b; }
};
struct greater_equal {
  template <class T> static bool f(T a, T b) { return a >= b; }
};
struct isnan {
  template <class T> static bool f(T x) { return x != x; }
};
struct signbit {
  template <class T> static bool f(T x) { return __builtin_signbit(x) != 0; }
};
struct isinf {
  template <class T> static bool f(T x) { return x == kInf<T> || x == -kInf<T>; }
};
struct isfinite {
  template <class T> static bool f(T x) { return x - x == 0; }  // inf - inf is NaN
};
struct logical_not {
  static bool f(bool x) { return !x; }
};
struct logical_and {
  static bool f(bool a, bool b) { return a & b; }
};
struct logical_or {
  static bool f(bool a, bool b) { return a | b; }
};
struct logical_xor {
  static bool f(bool a, bool b) { return a != b; }
};

}  // namespace op
