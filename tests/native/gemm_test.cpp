// Tests of the matrix product alone: errors against long double, equal bits whatever the shape, layout, split or
// instruction set, an epilogue's rectangles, panels packed before, IEEE specials, empty sizes, untouched memory around
// C, wrapping integers. Start reading at main.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <tuple>
#include <type_traits>
#include <vector>

#include "kernels/pages.h"
#include "kernels/panels.h"
#include "tables.h"

namespace {

using std::int64_t;
using steep::k::Gemm;
using steep::k::Table;

std::mt19937_64 dice(20);
int failures = 0;
long checks = 0;

int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(dice() % (high - low + 1)); }

void expect(bool good, const char* what, const char* isa, int64_t m, int64_t n, int64_t k) {
  ++checks;
  if (good || ++failures > 20) return;
  std::printf("FAIL %s: %s, m %ld n %ld k %ld\n", isa, what, static_cast<long>(m), static_cast<long>(n),
              static_cast<long>(k));
}

// A matrix inside a larger buffer, with a layout of its own: rows, columns, or both strided, at an odd offset.
template <class T> struct Laid {
  std::vector<T> data;
  int64_t row, col, offset;

  Laid(int64_t rows, int64_t cols, int layout) {
    const int64_t step = layout < 2 ? 1 : between(2, 3), gap = between(0, 2) * between(0, 9);
    const bool down = layout % 2;
    col = down ? rows * step + gap : step;
    row = down ? step : cols * step + gap;
    offset = between(0, 5);
    data.assign(static_cast<std::size_t>(offset + (rows + 1) * (cols + 1) * step * step + (rows + cols) * gap), T(77));
  }
  T* at() { return data.data() + offset; }
  const T* at() const { return data.data() + offset; }
  T& operator()(int64_t i, int64_t j) { return at()[i * row + j * col]; }
};

template <class T> std::vector<T> values(int64_t count) {
  std::vector<T> x(static_cast<std::size_t>(count));
  for (T& v : x) {
    if constexpr (std::is_integral_v<T>) v = static_cast<T>(dice());
    else v = static_cast<T>(std::normal_distribution<double>()(dice));
  }
  return x;
}

template <class T> Laid<T> lay(const std::vector<T>& x, int64_t rows, int64_t cols, int layout) {
  Laid<T> out(rows, cols, layout);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) out(i, j) = x[static_cast<std::size_t>(i * cols + j)];
  return out;
}

template <class T> Gemm pick(const Table* s) {
  using namespace steep::k;
  return s->gemm[std::is_same_v<T, float> ? f32 : std::is_same_v<T, double> ? f64 : sizeof(T) == 4 ? i32 : i64];
}

// One product's operands, row by row, and the plainest way to compute it: every other way must give its bits.
template <class T> struct Case {
  int64_t m, n, k;
  std::vector<T> a, b;

  Case(int64_t m_, int64_t n_, int64_t k_) : m(m_), n(n_), k(k_), a(values<T>(m * k)), b(values<T>(k * n)) {}

  std::vector<T> plain(Gemm f) const {
    std::vector<T> c(static_cast<std::size_t>(m * n), T(5));
    f(m, n, k, a.data(), k, 1, b.data(), n, 1, c.data(), n, steep::k::Into::replace, nullptr);
    return c;
  }
};

// NaNs are equal whatever their payload, which no contract covers; everything else is compared as bits.
template <class T> bool same(T x, T y) { return (x != x && y != y) || std::memcmp(&x, &y, sizeof x) == 0; }
template <class T> bool same(const std::vector<T>& x, const std::vector<T>& y) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!same(x[i], y[i])) return false;
  return x.size() == y.size();
}

// |computed - exact| <= gamma(k) |A| |B|, element by element.
template <class T> bool near_exact(const Case<T>& x, const std::vector<T>& c) {
  const long double gamma = (x.k + 2) * static_cast<long double>(std::numeric_limits<T>::epsilon()) / 2;
  for (int64_t i = 0; i < x.m; ++i)
    for (int64_t j = 0; j < x.n; ++j) {
      long double sum = 0, size = 0;
      for (int64_t p = 0; p < x.k; ++p) {
        const long double term = static_cast<long double>(x.a[i * x.k + p]) * x.b[p * x.n + j];
        sum += term;
        size += std::fabs(term);
      }
      if (!(std::fabs(c[i * x.n + j] - sum) <= gamma * size)) return false;
    }
  return true;
}

// The product of a part of the rows and columns, in some layout, into the middle of a larger C.
template <class T> bool part_agrees(Gemm f, const Case<T>& x, const std::vector<T>& want, int la, int lb) {
  Laid<T> a = lay(x.a, x.m, x.k, la), b = lay(x.b, x.k, x.n, lb);
  const int64_t i0 = between(0, x.m), i1 = between(i0, x.m), j0 = between(0, x.n), j1 = between(j0, x.n);
  const int64_t ldc = x.n + between(0, 7);
  std::vector<T> c(static_cast<std::size_t>((x.m + 1) * ldc), T(-3)), expected = c;
  for (int64_t i = i0; i < i1; ++i)
    for (int64_t j = j0; j < j1; ++j) expected[i * ldc + j] = want[i * x.n + j];
  f(i1 - i0, j1 - j0, x.k, a.at() + i0 * a.row, a.row, a.col, b.at() + j0 * b.col, b.row, b.col,
    c.data() + i0 * ldc + j0, ldc, steep::k::Into::replace, nullptr);
  return same(c, expected);
}

template <class T> bool whole_agrees(Gemm f, const Case<T>& x, const std::vector<T>& want, int la, int lb) {
  Laid<T> a = lay(x.a, x.m, x.k, la), b = lay(x.b, x.k, x.n, lb);
  std::vector<T> c(want.size());
  f(x.m, x.n, x.k, a.at(), a.row, a.col, b.at(), b.row, b.col, c.data(), x.n, steep::k::Into::replace, nullptr);
  return same(c, want);
}

// Added to what C holds, as if it were added afterwards.
template <class T> bool sum_agrees(Gemm f, const Case<T>& x, const std::vector<T>& want, int la, int lb) {
  Laid<T> a = lay(x.a, x.m, x.k, la), b = lay(x.b, x.k, x.n, lb);
  std::vector<T> c(want.size()), expected(want.size());
  for (std::size_t e = 0; e < c.size(); ++e) c[e] = T(e % 7) - T(3.5), expected[e] = c[e] + want[e];
  f(x.m, x.n, x.k, a.at(), a.row, a.col, b.at(), b.row, b.col, c.data(), x.n, steep::k::Into::add, nullptr);
  return same(c, expected);
}

// Counts the visits of every element of C, and compares it with the product at each.
template <class T> struct Visits {
  const std::vector<T>& want;
  int64_t n, ldc;
  const T* c;
  std::vector<int> count = std::vector<int>(want.size(), 0);
  bool final = true;

  static void visit(void* context, int64_t i, int64_t mi, int64_t j, int64_t nj) {
    auto& v = *static_cast<Visits*>(context);
    if (mi <= 0 || nj <= 0) v.final = false;
    for (int64_t r = i; r < i + mi; ++r)
      for (int64_t e = j; e < j + nj; ++e) {
        ++v.count.at(static_cast<std::size_t>(r * v.n + e));
        v.final &= same(v.c[r * v.ldc + e], v.want[static_cast<std::size_t>(r * v.n + e)]);
      }
  }
};

template <class T> bool finishes_once(Gemm f, const Case<T>& x, const std::vector<T>& want, int la, int lb) {
  Laid<T> a = lay(x.a, x.m, x.k, la), b = lay(x.b, x.k, x.n, lb);
  const int64_t ldc = x.n + between(0, 7);
  std::vector<T> c(static_cast<std::size_t>(x.m * ldc), T(-3));
  Visits<T> visits{want, x.n, ldc, c.data()};
  const steep::k::Epilogue done{Visits<T>::visit, &visits};
  f(x.m, x.n, x.k, a.at(), a.row, a.col, b.at(), b.row, b.col, c.data(), ldc, steep::k::Into::replace, &done);
  for (int count : visits.count)
    if (count != 1) return false;
  return visits.final;
}

template <class T> void check(const std::vector<const Table*>& sets, int64_t m, int64_t n, int64_t k, bool thorough) {
  const Case<T> x(m, n, k);
  const std::vector<T> want = x.plain(pick<T>(sets[0]));
  if constexpr (std::is_floating_point_v<T>) expect(near_exact(x, want), "error", sets[0]->isa, m, n, k);
  for (const Table* s : sets) {
    expect(same(x.plain(pick<T>(s)), want), "instruction sets differ", s->isa, m, n, k);
    for (int layout = 0; layout < (thorough ? 16 : 4); ++layout) {
      const int la = thorough ? layout % 4 : layout % 2, lb = thorough ? layout / 4 : layout / 2;
      expect(whole_agrees(pick<T>(s), x, want, la, lb), "layouts differ", s->isa, m, n, k);
      expect(part_agrees(pick<T>(s), x, want, la, lb), "parts differ", s->isa, m, n, k);
      expect(finishes_once(pick<T>(s), x, want, la, lb), "epilogue", s->isa, m, n, k);
      if constexpr (std::is_floating_point_v<T>)
        if (k <= s->pieces.depth) expect(sum_agrees(pick<T>(s), x, want, la, lb), "sums differ", s->isa, m, n, k);
    }
  }
}

template <class T> void shapes(const std::vector<const Table*>& sets) {
  for (int64_t m = 0; m < 20; ++m)
    for (int64_t n = 0; n < 20; ++n) check<T>(sets, m, n, between(0, 5), true);
  for (int i = 0; i < 400; ++i) check<T>(sets, between(0, 70), between(0, 70), between(0, 70), true);
  for (int64_t m : {1, 3, 29, 150})
    for (int64_t n : {1, 2, 10, 47, 128, 150})
      for (int64_t k : {250, 255, 256, 257, 511, 512, 513, 784, 1025}) check<T>(sets, m, n, k, false);
}

// Shapes that reach every loop of blocks, too large for long double: the sets and layouts against each other.
template <class T> void large(const std::vector<const Table*>& sets) {
  const int64_t sizes[][3] = {{700, 33, 600},  {33, 2500, 300}, {300, 300, 1300}, {257, 2100, 17},
                              {1, 5000, 1100}, {5000, 1, 1100}, {1, 701, 700},    {2, 1237, 603}};
  for (const auto& [m, n, k] : sizes) {
    const Case<T> x(m, n, k);
    const std::vector<T> want = x.plain(pick<T>(sets.back()));
    for (const Table* s : sets)
      for (int layout = 0; layout < 4; ++layout) {
        expect(whole_agrees(pick<T>(s), x, want, layout % 2, layout / 2), "large", s->isa, m, n, k);
        expect(finishes_once(pick<T>(s), x, want, layout % 2, layout / 2), "large epilogue", s->isa, m, n, k);
      }
  }
}

// Strides of zero (a broadcast operand) and below zero (a reversed one).
template <class T> void odd_strides(const std::vector<const Table*>& sets) {
  for (int repeat = 0; repeat < 100; ++repeat) {
    Case<T> x(between(1, 70), between(1, 70), between(1, 70));
    for (int64_t e = x.k; e < x.m * x.k; ++e) x.a[e] = x.a[e % x.k];
    for (int64_t e = 0; e < x.k * x.n; ++e) x.b[e] = x.b[e / x.n * x.n];
    std::vector<T> reversed(x.b.rbegin(), x.b.rend()), c(static_cast<std::size_t>(x.m * x.n));
    for (const Table* s : sets) {
      const std::vector<T> want = x.plain(pick<T>(s));
      pick<T>(s)(x.m, x.n, x.k, x.a.data(), 0, 1, x.b.data(), x.n, 0, c.data(), x.n, steep::k::Into::replace, nullptr);
      expect(same(c, want), "broadcast", s->isa, x.m, x.n, x.k);
      pick<T>(s)(x.m, x.n, x.k, x.a.data(), x.k, 1, &reversed.back(), -x.n, -1, c.data(), x.n, steep::k::Into::replace,
                 nullptr);
      expect(same(c, want), "reversed", s->isa, x.m, x.n, x.k);
    }
  }
}

// The definition itself, for k within one block: fused multiply-adds from zero in order of k.
template <class T> void definition(const std::vector<const Table*>& sets) {
  for (const Table* s : sets) {
    const Case<T> x(13, 37, 200);
    const std::vector<T> c = x.plain(pick<T>(s));
    for (int64_t i = 0; i < x.m; ++i)
      for (int64_t j = 0; j < x.n; ++j) {
        T sum = 0;
        for (int64_t p = 0; p < x.k; ++p) sum = std::fma(x.a[i * x.k + p], x.b[p * x.n + j], sum);
        expect(same(sum, c[i * x.n + j]), "definition", s->isa, i, j, x.k);
      }
  }
}

// Infinities, NaNs, zeros of both signs, subnormals and values whose products overflow or vanish.
template <class T> void specials(const std::vector<const Table*>& sets) {
  using L = std::numeric_limits<T>;
  const T kinds[] = {L::infinity(),
                     -L::infinity(),
                     L::quiet_NaN(),
                     T(0),
                     -T(0),
                     L::denorm_min(),
                     -L::denorm_min(),
                     L::min(),
                     L::max(),
                     -L::max(),
                     T(1),
                     T(-1),
                     L::epsilon(),
                     1 + L::epsilon(),
                     std::sqrt(L::min()),
                     L::min() * (1 + 3 * L::epsilon()),
                     T(0.75)};
  for (int repeat = 0; repeat < 300; ++repeat) {
    Case<T> x(between(1, 20), between(1, 40), between(1, 6));
    const std::uint64_t from = repeat % 2 ? 3 : 0;  // every other time finite values only
    for (T& v : x.a) v = kinds[from + dice() % (std::size(kinds) - from)];
    for (T& v : x.b) v = kinds[from + dice() % (std::size(kinds) - from)];
    for (const Table* s : sets) {
      const std::vector<T> c = x.plain(pick<T>(s));
      for (int64_t e = 0; e < x.m * x.n; ++e) {
        T sum = 0;
        for (int64_t p = 0; p < x.k; ++p) sum = std::fma(x.a[e / x.n * x.k + p], x.b[p * x.n + e % x.n], sum);
        expect(same(sum, c[e]), "specials", s->isa, x.m, x.n, x.k);
      }
    }
  }
}

// Raw bit patterns as operands: the emulated fma of the baseline against the hardware's.
void patterns(const std::vector<const Table*>& sets) {
  for (int repeat = 0; repeat < 200; ++repeat) {
    Case<float> x(16, 64, 3);
    for (auto* v : {&x.a, &x.b})
      for (float& f : *v) {
        const std::uint32_t bits = static_cast<std::uint32_t>(dice());
        const std::uint32_t tame = repeat % 2 ? bits : (bits & 0x83ffffffu) + 0x3e000000u;  // exponents close together
        std::memcpy(&f, &tame, sizeof f);
      }
    const std::vector<float> want = x.plain(pick<float>(sets.back()));
    for (const Table* s : sets) expect(same(x.plain(pick<float>(s)), want), "patterns", s->isa, x.m, x.n, x.k);
  }
}

template <class T> void integers(const std::vector<const Table*>& sets) {
  for (int i = 0; i < 60; ++i) check<T>(sets, between(0, 30), between(0, 30), between(0, 30), true);
  for (const Table* s : sets) {
    const T most = std::numeric_limits<T>::max(), left[] = {most, 1}, right[] = {3, most};
    T c = 0;
    pick<T>(s)(1, 1, 2, left, 2, 1, right, 1, 1, &c, 1, steep::k::Into::replace, nullptr);
    expect(c == static_cast<T>(-4), "wrapping", s->isa, 1, 1, 2);
  }
}

// B packed beforehand, by units in any order, is all that a product reads of it: it may be overwritten then.
template <class T> void shared_panels(const std::vector<const Table*>& sets) {
  using namespace steep::k;
  const auto type = std::is_same_v<T, float> ? f32 : f64;
  for (const Table* s : sets)
    for (const auto& [m, n, k, down] : {std::tuple<int64_t, int64_t, int64_t, bool>{200, 601, 700, false},
                                        {333, 300, 220, true},
                                        {150, 2500, 60, false},
                                        {150, 2500, 60, true}}) {
      const std::vector<T> a = values<T>(m * k);
      std::vector<T> b = values<T>(k * n), want(static_cast<std::size_t>(m * n)), c = want;
      const int64_t row = down ? 1 : n, col = down ? k : 1;
      pick<T>(s)(m, n, k, a.data(), k, 1, b.data(), row, col, want.data(), n, Into::replace, nullptr);
      const Operands piece{m, n, k, a.data(), k, 1, b.data(), row, col};
      const SharedSize size = s->share[type].size(piece);
      expect(size.units > 1, "shared", s->isa, m, n, k);
      const Block memory(size.bytes);
      PanelStore store(memory.at(), size.bytes);
      store.add_source(b.data(), b.size() * sizeof(T));
      PanelStores stores;
      stores.add(&store);
      const PanelScope scope(stores);
      const int64_t half = size.units / 2;
      s->share[type].pack(piece, half, size.units);
      s->share[type].pack(piece, 0, half);
      std::fill(b.begin(), b.end(), T(77));
      pick<T>(s)(m, n, k, a.data(), k, 1, b.data(), row, col, c.data(), n, Into::replace, nullptr);
      expect(same(c, want), "from shared panels", s->isa, m, n, k);
    }
}

template <class T> void floats(const std::vector<const Table*>& sets) {
  shapes<T>(sets);
  large<T>(sets);
  odd_strides<T>(sets);
  definition<T>(sets);
  specials<T>(sets);
  shared_panels<T>(sets);
}

}  // namespace

int main() {
  const std::vector<const Table*> sets = usable_tables();
  floats<float>(sets);
  floats<double>(sets);
  patterns(sets);
  integers<std::int32_t>(sets);
  integers<std::int64_t>(sets);
  std::printf("%ld checks on %zu instruction sets, %d failed\n", checks, sets.size(), failures);
  return failures != 0;
}
