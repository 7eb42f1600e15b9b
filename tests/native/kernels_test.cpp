// Tests of the kernels without Python: accuracy over all exponents of float32, the same bits on every instruction
// set and at every position, special values, reductions, random numbers, sorting, memory. Prints the greatest error
// measured. Start reading at main. Exit status is the number of failed checks, at most 100.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "fixed_inputs.h"
#include "kernels/accuracy.h"
#include "kernels/pages.h"

namespace {

int failures = 0;
void check(bool ok, const std::string& what) {
  if (ok) return;
  if (++failures <= 40) std::printf("FAILED %s\n", what.c_str());
}

template <class... A> std::string text(const A&... parts) {
  std::ostringstream s;
  ((s << parts << ' '), ...);
  return s.str();
}

const char* name_of(Kernel kernel) { return kKernelName[static_cast<int>(kernel)]; }
Loop loop(const Table& t, Kernel kernel, Type type) { return t.loop.at[static_cast<int>(kernel)][type]; }

// ---- accuracy

// Distance in units of the last place of the float nearest to the exact value. Both infinite, or both NaN: 0.
double ulps(float got, double exact) {
  const float rounded = static_cast<float>(exact);
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : 1e30;
  if (got == rounded) return 0.5;
  if (std::isinf(got) && std::fabs(exact) > 3.4028235e38) return 0.5;
  if (std::isinf(got) || std::isinf(rounded)) return std::isinf(got) && std::isinf(rounded) ? 1e30 : 1;
  int e;
  std::frexp(std::fabs(exact), &e);
  const double ulp = std::ldexp(1.0, std::max(e - 24, -149));
  return std::fabs(static_cast<double>(got) - exact) / ulp;
}

// The functions that accuracy.def states bounds of.
struct Exact {
  Kernel kernel;
  std::function<double(double)> of;
};
const Exact kExact[] = {
    {Kernel::exp, [](double x) { return std::exp(x); }},
    {Kernel::expm1, [](double x) { return std::expm1(x); }},
    {Kernel::log, [](double x) { return std::log(x); }},
    {Kernel::log1p, [](double x) { return std::log1p(x); }},
    {Kernel::log2, [](double x) { return std::log2(x); }},
    {Kernel::log10, [](double x) { return std::log10(x); }},
    {Kernel::sin, [](double x) { return std::sin(x); }},
    {Kernel::cos, [](double x) { return std::cos(x); }},
    {Kernel::tan, [](double x) { return std::tan(x); }},
    {Kernel::tanh, [](double x) { return std::tanh(x); }},
    {Kernel::asin, [](double x) { return std::asin(x); }},
    {Kernel::acos, [](double x) { return std::acos(x); }},
    {Kernel::atan, [](double x) { return std::atan(x); }},
    {Kernel::sinh, [](double x) { return std::sinh(x); }},
    {Kernel::cosh, [](double x) { return std::cosh(x); }},
    {Kernel::asinh, [](double x) { return std::asinh(x); }},
    {Kernel::acosh, [](double x) { return std::acosh(x); }},
    {Kernel::atanh, [](double x) { return std::atanh(x); }},
    {Kernel::sigmoid, [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }},
    {Kernel::erf, [](double x) { return std::erf(x); }},
    {Kernel::erfc, [](double x) { return std::erfc(x); }},
    {Kernel::softplus, [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }},
    {Kernel::gelu, [](double x) { return x * 0.5 * std::erfc(x * -0.70710678118654752); }},
};

// Every `stride`-th bit pattern: a prime, so that every exponent and all low bits are met.
void sweep(const Table& t, const Exact& exact, std::uint32_t stride) {
  const Loop f = loop(t, exact.kernel, f32);
  double worst = 0;
  float at = 0;
  std::vector<float> x(4096), y(4096);
  for (std::uint64_t first = 0; first < 0x100000000ull; first += 4096ull * stride) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::uint32_t b = static_cast<std::uint32_t>(first + i * stride);
      std::memcpy(&x[i], &b, 4);
    }
    const void* in[] = {x.data()};
    f(in, y.data(), 4096, 0, nullptr);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double u = ulps(y[i], exact.of(static_cast<double>(x[i])));
      if (u > worst) worst = u, at = x[i];
    }
  }
  std::printf("  %-8s %.3f ULP, at %.9g\n", name_of(exact.kernel), worst, static_cast<double>(at));
  check(worst <= accuracy(exact.kernel).f32, text(name_of(exact.kernel), "is less accurate than stated"));
}

// The same for float64, against long double, over random bit patterns and over ordinary values alternately.
double ulps64(double got, long double exact) {
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : 1e30;
  if (got == static_cast<double>(exact)) return 0.5;
  if (std::isinf(got) || std::fabs(exact) > 1.7976931348623157e308L) return 1;
  int e;
  std::frexp(std::fabs(exact), &e);
  const long double ulp = std::ldexp(1.0L, std::max(e - 53, -1074));
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / ulp);
}
struct Exact64 {
  Kernel kernel;
  std::function<long double(long double)> of;
};
const Exact64 kExact64[] = {
    {Kernel::exp, [](long double x) { return std::exp(x); }},
    {Kernel::expm1, [](long double x) { return std::expm1(x); }},
    {Kernel::log, [](long double x) { return std::log(x); }},
    {Kernel::log1p, [](long double x) { return std::log1p(x); }},
    {Kernel::sin, [](long double x) { return std::sin(x); }},
    {Kernel::cos, [](long double x) { return std::cos(x); }},
    {Kernel::tan, [](long double x) { return std::tan(x); }},
    {Kernel::tanh, [](long double x) { return std::tanh(x); }},
    {Kernel::log2, [](long double x) { return std::log2(x); }},
    {Kernel::log10, [](long double x) { return std::log10(x); }},
    {Kernel::asin, [](long double x) { return std::asin(x); }},
    {Kernel::acos, [](long double x) { return std::acos(x); }},
    {Kernel::atan, [](long double x) { return std::atan(x); }},
    {Kernel::sinh, [](long double x) { return std::sinh(x); }},
    {Kernel::cosh, [](long double x) { return std::cosh(x); }},
    {Kernel::asinh, [](long double x) { return std::asinh(x); }},
    {Kernel::acosh, [](long double x) { return std::acosh(x); }},
    {Kernel::atanh, [](long double x) { return std::atanh(x); }},
    {Kernel::erf, [](long double x) { return std::erf(x); }},
    {Kernel::erfc, [](long double x) { return std::erfc(x); }},
    {Kernel::gelu, [](long double x) { return x * 0.5L * std::erfc(x * -0.70710678118654752440L); }},
    {Kernel::sigmoid, [](long double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }},
};
void sample64(const Table& t, const Exact64& exact) {
  const Loop f = loop(t, exact.kernel, f64);
  double worst = 0, at = 0;
  std::uint64_t state = 1;
  for (int i = 0; i < 400000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const std::uint64_t b = state ^ state >> 33;
    double x, y;
    std::memcpy(&x, &b, 8);
    const double scale[] = {0, 0x1p-63, 0x1p-60, 0x1p-53};
    if (i % 4) x = static_cast<double>(static_cast<std::int64_t>(b)) * scale[i % 4];
    const void* in[] = {&x};
    f(in, &y, 1, 0, nullptr);
    const double u = ulps64(y, exact.of(static_cast<long double>(x)));
    if (u > worst) worst = u, at = x;
  }
  std::printf("  %-8s %.3f ULP in float64, at %.17g\n", name_of(exact.kernel), worst, at);
  check(worst <= accuracy(exact.kernel).f64, text(name_of(exact.kernel), "in float64 is less accurate than stated"));
}

// Every bound that is stated is checked.
void check_accuracy(const Table& t, std::uint32_t stride) {
  std::ptrdiff_t stated = 0, stated64 = 0;
  for (int i = 0; i < kKernels; ++i) {
    const Accuracy bound = accuracy(static_cast<Kernel>(i));
    stated += bound.f32 > 0;
    stated64 += bound.f64 > 0;
  }
  check(stated == std::ssize(kExact) && stated64 == std::ssize(kExact64), "a bound is stated and not checked");
  for (const Exact& exact : kExact) sweep(t, exact, stride);
  for (const Exact64& exact : kExact64) sample64(t, exact);
}

// ---- the same bits

// Equal bits, or both NaN.
bool same(const unsigned char* a, const unsigned char* b, std::size_t n, Type type) {
  for (std::size_t i = 0; i < n; ++i, a += kSize[type], b += kSize[type]) {
    if (!std::memcmp(a, b, kSize[type])) continue;
    float f[2];
    double d[2];
    if (type == f32) {
      std::memcpy(f, a, 4);
      std::memcpy(f + 1, b, 4);
      if (f[0] != f[0] && f[1] != f[1]) continue;
    }
    if (type == f64) {
      std::memcpy(d, a, 8);
      std::memcpy(d + 1, b, 8);
      if (d[0] != d[0] && d[1] != d[1]) continue;
    }
    return false;
  }
  return true;
}

// Runs one loop in every way it may be called and compares with itself one element at a time on the first set.
struct LoopCase {
  std::string name;
  std::vector<Type> in;
  Type out;
};
void check_loop(const LoopCase& c, const std::vector<Loop>& sets) {
  const double params[] = {0.1};
  const std::size_t most = 333, arity = c.in.size();
  std::vector<Bytes> x;
  for (std::size_t k = 0; k < arity; ++k) x.push_back(values(c.in[k], most, 7 * k + 1));
  for (unsigned mask = 0; mask < 1u << arity; ++mask) {
    Bytes want(most * kSize[c.out]);
    for (std::size_t i = 0; i < most; ++i) {
      const void* in[3] = {};
      for (std::size_t k = 0; k < arity; ++k) in[k] = x[k].data() + (mask >> k & 1 ? 0 : i * kSize[c.in[k]]);
      sets[0](in, want.data() + i * kSize[c.out], 1, mask, params);
    }
    for (std::size_t s = 0; s < sets.size(); ++s)
      for (std::size_t n : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 333}) {
        Bytes got(most * kSize[c.out] + 1, 0xA5);
        const void* in[3] = {};
        for (std::size_t k = 0; k < arity; ++k) in[k] = x[k].data();
        sets[s](in, got.data(), static_cast<std::int64_t>(n), mask, params);
        const std::string what = text(c.name, "set", s, "n", n, "mask", mask);
        check(same(got.data(), want.data(), n, c.out), what);
        check(got[n * kSize[c.out]] == 0xA5, what + " writes beyond its end");
        if (c.in[0] != c.out || mask & 1) continue;
        Bytes place = x[0];
        in[0] = place.data();
        sets[s](in, place.data(), static_cast<std::int64_t>(n), mask, params);
        check(same(place.data(), want.data(), n, c.out), what + " in place");
      }
  }
}

std::vector<Loop> across(const std::vector<const Table*>& tables, const std::function<Loop(const Table&)>& get) {
  std::vector<Loop> all;
  for (const Table* t : tables) all.push_back(get(*t));
  return all;
}
void check_loops(const std::vector<const Table*>& tables) {
  for (int k = 0; k < kKernels; ++k)
    for (int type = 0; type < type_count; ++type) {
      const auto sets = across(tables, [=](const Table& t) { return t.loop.at[k][type]; });
      if (!sets[0]) continue;
      const int arity = arity_of(k);
      const Type in = static_cast<Type>(type);
      check_loop({std::string(kKernelName[k]) + " " + kTypeName[type], std::vector<Type>(std::abs(arity), in),
                  arity < 0 ? b8 : in},
                 sets);
    }
  for (int a = 0; a < type_count; ++a) {
    const Type from = static_cast<Type>(a);
    check_loop({std::string("where ") + kTypeName[a], {b8, from, from}, from},
               across(tables, [=](const Table& t) { return t.where[a]; }));
    for (int b = 0; b < type_count; ++b)
      check_loop({std::string("cast ") + kTypeName[a] + " " + kTypeName[b], {from}, static_cast<Type>(b)},
                 across(tables, [=](const Table& t) { return t.cast[a][b]; }));
  }
}

// ---- reductions

void check_reduction(int r, Type type, const std::vector<const Table*>& tables) {
  const Type out = result_type(r, type);
  for (std::size_t n : {0, 1, 3, 10, 15, 16, 17, 40, 63, 64, 65, 130, 1000, 4097, 20000})
    for (std::size_t m : {1, 5, 16, 19, 70}) {
      if (n * m > 200000) continue;
      const auto ni = static_cast<std::int64_t>(n), mi = static_cast<std::int64_t>(m);
      const Bytes x = plain_values(type, n * m, n + m);
      Bytes rows0(m * kSize[out]), cols0(m * kSize[out]), one(kSize[out]);
      for (const Table* t : tables) {
        const std::string what = text("reduction", r, kTypeName[type], t->isa, "n", n, "m", m);
        Bytes rows(m * kSize[out]), cols(m * kSize[out]);
        t->row_reduce.at[r][type](x.data(), rows.data(), mi, ni);
        t->col_reduce.at[r][type](x.data(), cols.data(), ni, mi, mi);
        if (t == tables[0]) rows0 = rows, cols0 = cols;
        check(same(rows.data(), rows0.data(), m, out), what + " rows");
        check(same(cols.data(), cols0.data(), m, out), what + " columns");
        t->row_reduce.at[r][type](x.data() + (m - 1) * n * kSize[type], one.data(), 1, ni);
        check(same(one.data(), rows0.data() + (m - 1) * kSize[out], 1, out), what + " last row alone");
        t->col_reduce.at[r][type](x.data() + (m - 1) * kSize[type], one.data(), ni, 1, mi);
        check(same(one.data(), cols0.data() + (m - 1) * kSize[out], 1, out), what + " last column alone");
      }
    }
}

void check_row_maps(const std::vector<const Table*>& tables) {
  for (int map = 0; map < static_cast<int>(RowMap::count); ++map)
    for (Type type : {u8, i32, i64, f32, f64})
      for (std::size_t n : {0, 1, 2, 9, 16, 33, 1000, 9000}) {
        if (!tables[0]->row_map.at[map][type]) continue;
        const Bytes x = plain_values(type, 3 * n, n);
        Bytes first(3 * n * kSize[type]);
        for (const Table* t : tables) {
          Bytes y(3 * n * kSize[type]), place = x;
          t->row_map.at[map][type](x.data(), y.data(), 3, static_cast<std::int64_t>(n));
          t->row_map.at[map][type](place.data(), place.data(), 3, static_cast<std::int64_t>(n));
          if (t == tables[0]) first = y;
          const std::string what = text("row map", map, kTypeName[type], "n", n);
          check(same(y.data(), first.data(), 3 * n, type), what);
          check(same(place.data(), first.data(), 3 * n, type), what + " in place");
        }
      }
}

template <class T> T row(const Table& t, Reduction r, Type type, const std::vector<float>& x) {
  T out;
  t.row_reduce[r][type](x.data(), &out, 1, static_cast<std::int64_t>(x.size()));
  return out;
}
void check_reduction_values(const Table& t) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  check(row<float>(t, Reduction::sum, f32, {}) == 0, "empty sum");
  check(row<float>(t, Reduction::prod, f32, {}) == 1, "empty product");
  check(row<float>(t, Reduction::max, f32, {}) == -inf, "empty max");
  check(std::isnan(row<float>(t, Reduction::max, f32, {1, nan, 2})), "max of NaN");
  check(row<std::int64_t>(t, Reduction::argmax, f32, {1, 3, 3, 2}) == 1, "first of equal maxima");
  check(row<std::int64_t>(t, Reduction::argmin, f32, {1, nan, 0, nan}) == 1, "first NaN");
  check(row<std::int64_t>(t, Reduction::argmax, f32, {-inf, -inf}) == 0, "argmax of -inf");
  std::vector<float> x(10000000, 0.1f);
  const double total = static_cast<double>(row<float>(t, Reduction::sum, f32, x));
  const double error = std::fabs(total / (1e7 * static_cast<double>(0.1f)) - 1);
  std::printf("  relative error of a sum of 1e7 copies of 0.1: %.2g\n", error);
  check(error < 1e-6, "sum of 1e7 values");
}

// ---- random numbers and single values

void check_random(const std::vector<const Table*>& tables) {
  std::uint64_t known[2];
  tables[0]->bits(known, 2, 0, 0);
  check(known[0] == 0x6627e8d5e169c58dull && known[1] == 0xbc57ac4c9b00dbd8ull, "Philox of key 0 and counter 0");
  for (int kind = 0; kind < 5; ++kind) {
    const Type type = kind == 0 ? i64 : kind % 2 ? f32 : f64;
    const auto fill = [&](const Table* t) {
      return kind == 0 ? t->bits : kind < 3 ? t->uniform[type] : t->normal[type];
    };
    Bytes all(5000 * kSize[type]);
    fill(tables[0])(all.data(), 5000, 99, 4294967295ull * 4 - 100);
    for (const Table* t : tables)
      for (std::size_t from : {0, 1, 2, 3, 5, 257, 1000})
        for (std::size_t n : {1, 4, 10, 300, 4000}) {
          Bytes part(n * kSize[type]);
          fill(t)(part.data(), static_cast<std::int64_t>(n), 99, 4294967295ull * 4 - 100 + from);
          check(same(part.data(), all.data() + from * kSize[type], n, type), text("random", kind, t->isa));
        }
  }
  std::vector<float> x(1000000);
  tables.back()->normal[f32](x.data(), 1000000, 1, 0);
  double m = 0, v = 0, k = 0;
  for (float f : x) m += static_cast<double>(f), v += static_cast<double>(f) * static_cast<double>(f);
  for (float f : x) k += std::pow(static_cast<double>(f), 4);
  std::printf("  1e6 normal numbers: mean %.4f variance %.4f fourth moment %.3f\n", m / 1e6, v / 1e6, k / 1e6);
  check(std::fabs(m / 1e6) < 0.004 && std::fabs(v / 1e6 - 1) < 0.006 && std::fabs(k / 1e6 - 3) < 0.05, "moments");
}

// ---- memory

// Blocks of many sizes, taken and given back in no order: aligned, and none overlaps another.
void check_memory() {
  struct Held {
    Block block;
    unsigned char mark;
  };
  std::vector<Held> held;
  std::uint64_t random = 7;
  const auto draw = [&](std::uint64_t below) { return ((random = random * 6364136223846793005u + 1) >> 33) % below; };
  const auto is_intact = [](const Held& h) {
    const auto* at = static_cast<const unsigned char*>(h.block.at());
    return at[0] == h.mark && at[h.block.bytes() / 2] == h.mark && at[h.block.bytes() - 1] == h.mark;
  };
  for (int i = 0; i < 3000; ++i) {
    if (held.size() < 40 && draw(3) > 0) {
      const std::size_t bytes = 1 + draw(std::size_t{1} << (6 + draw(18)));
      held.push_back({Block(bytes), static_cast<unsigned char>(i)});
      check(reinterpret_cast<std::uintptr_t>(held.back().block.at()) % 64 == 0, "aligned memory");
      std::memset(held.back().block.at(), held.back().mark, bytes);
    } else if (!held.empty()) {
      std::swap(held[draw(held.size())], held.back());
      check(is_intact(held.back()), text("memory of a block, step", i));
      held.pop_back();
    }
  }
}

// ---- sorting

template <class K> void check_sorting(const Table& t, Type type) {
  std::vector<K> random(6000 * 2);
  t.bits(random.data(), static_cast<std::int64_t>(random.size() * sizeof(K) / 8), 3, 0);
  for (std::size_t n = 1; n < 6000; n += n < 80 ? 1 : 1973)
    for (K range : {std::numeric_limits<K>::max(), K{100}, K{1}}) {
      std::vector<K> keys(n), positions(n), spare(n), spare_positions(n);
      for (std::size_t i = 0; i < n; ++i) {
        keys[i] = range == K{1} ? std::numeric_limits<K>::max() : static_cast<K>(random[i] % range);
        positions[i] = static_cast<K>(i);
      }
      std::vector<K> order = positions, alone = keys;
      std::stable_sort(order.begin(), order.end(),
                       [&](K a, K b) { return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)]; });
      t.sort_rows[type](
          {keys.data(), positions.data(), spare.data(), spare_positions.data(), 1, static_cast<std::int64_t>(n)});
      check(positions == order, text("sorted positions", t.isa, type, n, range));
      t.sort_rows[type]({alone.data(), nullptr, spare.data(), nullptr, 1, static_cast<std::int64_t>(n)});
      check(alone == keys && std::is_sorted(keys.begin(), keys.end()), text("sorted keys", t.isa, type, n, range));
    }
}

// ---- square roots, rounded correctly on every instruction set

template <class T> void check_roots(const Table& t, Type type, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  const void* in[] = {x.data()};
  loop(t, Kernel::sqrt, type)(in, y.data(), static_cast<std::int64_t>(x.size()), 0, nullptr);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T right = std::sqrt(x[i]);
    wrong += std::isnan(right) ? !std::isnan(y[i]) : y[i] != right || std::signbit(y[i]) != std::signbit(right);
  }
  check(wrong == 0, text("square roots", t.isa, type, wrong, "of", x.size()));
}
// The doubles a in [1, 4) whose roots are closest to half way between two doubles: a is t * t - c over a power of two,
// where t, of 54 bits, is such a half-way point and c is small. Roots t of t * t = c are found bit by bit, modulo 2^k.
std::vector<double> delicate_squares() {
  using Wide = unsigned __int128;
  std::vector<double> found;
  for (int k = 54; k <= 55; ++k)
    for (std::int64_t c = -1023; c <= 1024; c += 8) {  // odd squares are 1 modulo 8
      std::uint64_t root = 1;
      for (int j = 3; j < k; ++j)
        if ((Wide(root) * root - Wide(c)) >> j & 1) root += std::uint64_t(1) << (j - 1);
      const std::uint64_t period = std::uint64_t(1) << k, limit = std::uint64_t(1) << 54;
      for (const std::uint64_t first : {root, period - root, (root + period / 2) % period, period / 2 - root}) {
        const std::uint64_t half_way = first % period;
        const Wide a = (Wide(half_way) * half_way - Wide(c)) >> k;
        if (half_way >= limit || half_way < limit / 2 || a >> 52 != 1) continue;
        found.push_back(std::ldexp(static_cast<double>(a), k % 2 - 52));
      }
    }
  return found;
}
template <class T> std::vector<T> edges_of_roots() {
  using L = std::numeric_limits<T>;
  std::vector<T> x = {0, -T(0), L::infinity(), -L::infinity(), L::quiet_NaN(), -1, L::min(), L::denorm_min(), L::max()};
  for (const int e : {100, 504})
    for (int sign : {-1, 1})
      for (int step : {-1, 0, 1})
        if (e < L::max_exponent) x.push_back(std::ldexp(1 + T(step) * L::epsilon(), sign * e));
  for (std::size_t i = x.size(); i-- > 0;) x.insert(x.end(), {x[i], 0, 2, 3});  // among others, and zeros
  return x;
}
void check_square_roots(const Table& t) {
  std::vector<float> x(1 << 20);
  for (std::uint32_t bits = 0x3F800000; bits < 0x40800000;) {  // every float in [1, 4)
    for (float& v : x) v = std::bit_cast<float>(bits++);
    check_roots(t, f32, x);
  }
  check_roots(t, f32, edges_of_roots<float>());
  check_roots(t, f64, edges_of_roots<double>());
  const auto delicate = delicate_squares();
  check(delicate.size() > 200, "doubles with delicate roots are found");
  check_roots(t, f64, delicate);
}

template <class T> T one(const Table& t, const char* named, Type type, T a, T b = T()) {
  T out;
  const void* in[] = {&a, &b};
  const double params[] = {0.5};
  for (int i = 0; i < kKernels; ++i)
    if (!std::strcmp(kKernelName[i], named)) t.loop.at[i][type](in, &out, 1, 0, params);
  return out;
}
template <class To, class From> To cast(const Table& t, Type from, Type to, From x) {
  To out;
  const void* in[] = {&x};
  t.cast[from][to](in, &out, 1, 0, nullptr);
  return out;
}
void check_values(const Table& t) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::int32_t low = std::numeric_limits<std::int32_t>::min();
  check(one<float>(t, "log_df", f32, 0, 0) == 0, "mul_zero: 0 * inf is 0");
  check(one<float>(t, "sqrt_df", f32, 0, nan) == 0, "mul_zero: 0 * NaN is 0");
  check(one<float>(t, "relu_df", f32, 3, 0) == 0, "relu'(0)");
  check(one<float>(t, "leaky_relu_df", f32, 3, 0) == 1.5f, "leaky_relu'(0)");
  check(one<float>(t, "abs_f_df", f32, 3, 0) == 0, "abs'(0)");
  check(std::isnan(one<float>(t, "relu", f32, nan)), "relu of NaN");
  float ten = 1;
  for (int i = 0; i <= 10; ++i, ten *= 10)
    check(one<float>(t, "log10", f32, ten) == static_cast<float>(i), "log10 of a power of ten");
  check(std::signbit(one<float>(t, "tanh", f32, -0.0f)), "tanh of -0");
  check(std::isnan(one<float>(t, "maximum", f32, 1, nan)) && std::isnan(one<float>(t, "minimum", f32, nan, 1)),
        "NaN wins");
  check(one<float>(t, "round", f32, 2.5f) == 2 && one<float>(t, "round", f32, -1.5f) == -2, "half to even");
  check(one<float>(t, "floor_divide", f32, -7, 2) == -4 && one<float>(t, "remainder", f32, -7, 2) == 1,
        "floor of -7/2");
  check(one<float>(t, "remainder", f32, 7, -2) == -1, "7 % -2");
  check(one<float>(t, "logaddexp", f32, -inf, -inf) == -inf, "logaddexp of -inf");
  check(one<std::int32_t>(t, "floor_divide", i32, low, -1) == low, "lowest / -1 wraps");
  check(one<std::int32_t>(t, "remainder", i32, low, -1) == 0, "lowest % -1");
  check(one<std::int32_t>(t, "floor_divide", i32, 5, 0) == 0 && one<std::int32_t>(t, "remainder", i32, 5, 0) == 0,
        "by zero");
  check(one<std::int32_t>(t, "floor_divide", i32, -7, 2) == -4 && one<std::int32_t>(t, "remainder", i32, -7, 2) == 1,
        "-7 // 2");
  check(one<std::int32_t>(t, "pow", i32, -3, 3) == -27 && one<std::int32_t>(t, "pow", i32, 2, -1) == 0,
        "integer powers");
  check(one<std::int32_t>(t, "pow", i32, -1, -3) == -1, "(-1) ** -3");
  check(one<std::int32_t>(t, "left_shift", i32, 1, 40) == 0 && one<std::int32_t>(t, "right_shift", i32, -8, 99) == -1,
        "shifts");
  check(cast<std::int32_t>(t, f32, i32, nan) == low && cast<std::int32_t>(t, f32, i32, -2147483648.0f) == low,
        "cast to int32");
  check(cast<std::int32_t>(t, f64, i32, -2147483648.5) == low &&
            cast<std::int32_t>(t, f64, i32, 2147483647.9) == 2147483647,
        "cast of doubles");
  check(cast<std::uint8_t>(t, f32, u8, -1.0f) == 255 && cast<std::uint8_t>(t, f32, u8, 300.0f) == 44, "cast to uint8");
  check(cast<bool>(t, f32, b8, nan) && cast<bool>(t, f32, b8, 0.25f) && !cast<bool>(t, f32, b8, -0.0f), "cast to bool");
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint32_t stride = argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 1009;
  const auto tables = usable_tables();
  std::printf("usable: %s, chosen: %s\n", isas_usable(), table().isa);
  check_accuracy(*tables.back(), stride);
  check_loops(tables);
  for (int r = 0; r < static_cast<int>(Reduction::count); ++r)
    for (int type = 0; type < type_count; ++type)
      if (tables[0]->row_reduce.at[r][type]) check_reduction(r, static_cast<Type>(type), tables);
  check_row_maps(tables);
  for (const Table* t : tables) check_reduction_values(*t);
  check_random(tables);
  check_memory();
  for (const Table* t : tables) {
    check_sorting<std::int32_t>(*t, i32);
    check_sorting<std::int64_t>(*t, i64);
    check_square_roots(*t);
    check_values(*t);
  }
  std::printf(failures ? "%d checks failed\n" : "all checks passed\n", failures);
  return failures < 100 ? failures : 100;
}
