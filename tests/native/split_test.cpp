// Products of bfloat16 parts: the tiles of AMX (emulated where the processor has none), and the plain code of every
// instruction set, give one another's bits; their error is below that of fused multiply-adds; special values take the
// bits of fused multiply-adds; and rows and columns do not depend on their neighbours. Start reading at main.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <cpuid.h>

#include "amx_emulator.h"
#include "kernels/cpu.h"
#include "tables.h"

namespace steep::k {
extern const SplitGemm split_amx;
bool tiles_match_plain_code();  // amx.cpp
}  // namespace steep::k

namespace {

using namespace steep::k;
using Numbers = std::vector<float>;

int failures = 0;
void check(bool ok, const std::string& what) {
  if (ok) return;
  ++failures;
  std::printf("FAILED %s\n", what.c_str());
}

struct Set {
  const char* name;
  const SplitGemm* split;
};
std::vector<Set> sets() {
  std::vector<Set> all;
  for (const Table* t : usable_tables()) all.push_back({t->isa, &t->split});
  if (!std::strcmp(all.back().name, "avx512")) all.push_back({"amx", &split_amx});
  return all;
}

bool same(const Numbers& x, const Numbers& y) { return std::memcmp(x.data(), y.data(), x.size() * 4) == 0; }
// As same, but one NaN is like another.
bool alike(float x, float y) { return std::memcmp(&x, &y, 4) == 0 || (std::isnan(x) && std::isnan(y)); }

struct Problem {
  std::int64_t m, n, k;
  Numbers a, b;  // A as [m, k], B as [k, n]

  Numbers run(Gemm f, bool transpose_a = false, bool transpose_b = false) const {
    Numbers c(static_cast<std::size_t>(m * n), -7.0f);
    run_into(c, f, Into::replace, transpose_a, transpose_b);
    return c;
  }
  // Whether adding it to numbers gives the bits of adding it afterwards.
  bool adds(Gemm f, bool transpose_a = false, bool transpose_b = false) const {
    Numbers expected = run(f, transpose_a, transpose_b), sum(expected.size());
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] = static_cast<float>(i % 11) - 4.7f;
      expected[i] = sum[i] + expected[i];
    }
    run_into(sum, f, Into::add, transpose_a, transpose_b);
    return std::equal(sum.begin(), sum.end(), expected.begin(), alike);
  }
  void run_into(Numbers& c, Gemm f, Into into, bool transpose_a, bool transpose_b) const {
    const Numbers ta = transpose_a ? transposed(a, m, k) : a, tb = transpose_b ? transposed(b, k, n) : b;
    f(m, n, k, ta.data(), transpose_a ? 1 : k, transpose_a ? m : 1, tb.data(), transpose_b ? 1 : n, transpose_b ? k : 1,
      c.data(), n, into, nullptr);
  }
  Numbers fma() const { return run(table().gemm[f32]); }
  std::vector<double> exact() const {
    std::vector<double> c(static_cast<std::size_t>(m * n));
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t p = 0; p < k; ++p)
        for (std::int64_t j = 0; j < n; ++j)
          c[static_cast<std::size_t>(i * n + j)] +=
              static_cast<double>(a[static_cast<std::size_t>(i * k + p)]) * b[static_cast<std::size_t>(p * n + j)];
    return c;
  }

 private:
  static Numbers transposed(const Numbers& x, std::int64_t rows, std::int64_t columns) {
    Numbers y(x.size());
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        y[static_cast<std::size_t>(j * rows + i)] = x[static_cast<std::size_t>(i * columns + j)];
    return y;
  }
};

using Draw = std::function<float(std::mt19937&)>;
float normal(std::mt19937& r) { return std::normal_distribution<float>()(r); }
// Signed powers of two, each with a random fraction, over a range of exponents.
Draw wide(int low, int high) {
  return
      [=](std::mt19937& r) { return normal(r) * std::ldexp(1.0f, std::uniform_int_distribution<int>(low, high)(r)); };
}
Problem problem(std::int64_t m, std::int64_t n, std::int64_t k, const Draw& draw = normal) {
  std::mt19937 r(static_cast<unsigned>(m * 31 + n * 7 + k));
  Problem p{m, n, k, Numbers(static_cast<std::size_t>(m * k)), Numbers(static_cast<std::size_t>(k * n))};
  for (float& x : p.a) x = draw(r);
  for (float& x : p.b) x = draw(r);
  return p;
}

std::string shape(const Problem& p) {
  return std::to_string(p.m) + " x " + std::to_string(p.k) + " x " + std::to_string(p.n);
}

void check_sets_agree(const Problem& p) {
  const SplitGemm& first = isa_table("baseline").split;
  const Numbers six = p.run(first.six), one = p.run(first.one);
  for (const Set& s : sets())
    for (int layout = 0; layout < 4; ++layout) {
      const std::string who = std::string(s.name) + " " + shape(p) + " layout " + std::to_string(layout);
      check(same(p.run(s.split->six, layout & 1, layout & 2), six), who + ": six products");
      check(same(p.run(s.split->one, layout & 1, layout & 2), one), who + ": one product");
      if (p.k > s.split->pieces.depth) continue;
      check(p.adds(s.split->six, layout & 1, layout & 2), who + ": six products, added");
      check(p.adds(s.split->one, layout & 1, layout & 2), who + ": one product, added");
    }
}

struct Error {
  double rms = 0, max = 0;
};
// Of every element, as a part of the sum of its terms' magnitudes.
Error error(const Numbers& x, const std::vector<double>& exact, const std::vector<double>& scale) {
  Error e;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = std::fabs(x[i] - exact[i]) / scale[i];
    e.rms += d * d;
    e.max = std::max(e.max, d);
  }
  e.rms = std::sqrt(e.rms / static_cast<double>(x.size()));
  return e;
}
std::vector<double> scale_of(Problem p) {
  for (float& x : p.a) x = std::fabs(x);
  for (float& x : p.b) x = std::fabs(x);
  return p.exact();
}

void check_error(const char* name, const Problem& p) {
  const auto exact = p.exact(), scale = scale_of(p);
  const Error fma = error(p.fma(), exact, scale), six = error(p.run(table().split.six), exact, scale),
              one = error(p.run(table().split.one), exact, scale);
  std::printf("%-10s %-18s rms, max  fma %.1e %.1e  six %.1e %.1e  one %.1e %.1e\n", name, shape(p).c_str(), fma.rms,
              fma.max, six.rms, six.max, one.rms, one.max);
  check(six.rms <= fma.rms && six.max <= fma.max, std::string(name) + " error of six products");
  check(one.max <= 0x1p-7, std::string(name) + " error of one product");
}

// The second half of the terms takes away the first, but for a small part.
Problem cancelling(std::int64_t n) {
  Problem p = problem(n, n, n);
  const std::int64_t half = n / 2;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t q = 0; q < half; ++q) {
      p.a[static_cast<std::size_t>(i * n + half + q)] = -p.a[static_cast<std::size_t>(i * n + q)];
      p.b[static_cast<std::size_t>((half + q) * n + i)] = p.b[static_cast<std::size_t>(q * n + i)] * 1.0001f;
    }
  return p;
}

void check_errors() {
  for (std::int64_t n : {64, 256, 512}) {
    check_error("normal", problem(n, n, n));
    check_error("wide", problem(n, n, n, wide(-30, 30)));
    check_error("cancelling", cancelling(n));
  }
}

// A row with the value and a column with it: their elements are those of fused multiply-adds, the others unchanged.
void check_special(const Set& s, float value) {
  const Problem plain = problem(40, 50, 70);
  Problem p = plain;
  p.a[5 * 70 + 3] = value;
  p.b[3 * 50 + 7] = value;
  const Numbers clean = plain.run(s.split->six), fma = p.fma();
  for (const Gemm f : {s.split->six, s.split->one}) {
    const Numbers got = p.run(f), before = plain.run(f);
    check(p.adds(f) && plain.adds(f), std::string(s.name) + " special, added " + std::to_string(value));
    for (std::size_t i = 0; i < got.size(); ++i) {
      const bool touched = i / 50 == 5 || i % 50 == 7;
      check(alike(got[i], touched ? fma[i] : before[i]), std::string(s.name) + " special " + std::to_string(value));
    }
  }
}

// All of A so small that products of parts underflow: every element is that of fused multiply-adds.
void check_tiny(const Set& s, int exponent) {
  Problem p = problem(40, 50, 70);
  for (float& x : p.a) x *= std::ldexp(1.0f, exponent);
  check(p.adds(s.split->six), std::string(s.name) + " tiny, added 2^" + std::to_string(exponent));
  check(same(p.run(s.split->six), p.fma()), std::string(s.name) + " tiny 2^" + std::to_string(exponent));
}

void check_specials() {
  const float inf = std::numeric_limits<float>::infinity();
  for (const Set& s : sets()) {
    for (float value : {inf, -inf, std::numeric_limits<float>::quiet_NaN(), 3.4e38f, -3.4e38f, 1e16f})
      check_special(s, value);
    for (int exponent : {-149, -140, -126, -110, -100}) check_tiny(s, exponent);
    Problem tall = problem(600, 40, 33);  // of three blocks of rows, of which one is added after the others
    tall.a[300 * 33 + 2] = inf;
    check(tall.adds(s.split->six) && tall.adds(s.split->one), std::string(s.name) + " one block waits");
    Problem zeros = problem(40, 50, 70);
    for (std::int64_t i = 0; i < 70; ++i) zeros.a[static_cast<std::size_t>(9 * 70 + i)] = i % 2 ? -0.0f : 0.0f;
    const Numbers c = zeros.run(s.split->six);
    for (std::size_t j = 0; j < 50; ++j) check(alike(c[9 * 50 + j], 0.0f), "a row of zeros");
  }
}

// Numbers that are bfloat16s already, on one side or on both: small products are left out, and nothing else changes.
void check_widened() {
  for (int which = 1; which < 4; ++which) {
    Problem p = problem(70, 40, 90);
    const auto cut = [](Numbers& x) {
      for (float& v : x) v = std::ldexp(std::round(std::ldexp(v, 4)), -4);
    };
    if (which & 1) cut(p.a);
    if (which & 2) cut(p.b);
    check_sets_agree(p);
    if (which == 3) check(same(p.run(table().split.six), p.run(table().split.one)), "six products of bfloat16s");
  }
}

// Rows [from, to) and columns [left, right) alone have the bits that they have in the whole.
void check_parts(const Set& s, const Problem& p, std::int64_t from, std::int64_t to, std::int64_t left,
                 std::int64_t right) {
  const Numbers whole = p.run(s.split->six);
  Numbers part(static_cast<std::size_t>((to - from) * (right - left)));
  s.split->six(to - from, right - left, p.k, p.a.data() + from * p.k, p.k, 1, p.b.data() + left, p.n, 1, part.data(),
               right - left, Into::replace, nullptr);
  for (std::int64_t i = from; i < to; ++i)
    for (std::int64_t j = left; j < right; ++j)
      check(alike(part[static_cast<std::size_t>((i - from) * (right - left) + j - left)],
                  whole[static_cast<std::size_t>(i * p.n + j)]),
            std::string(s.name) + " part of " + shape(p));
}

void check_neighbours() {
  for (const Set& s : sets()) {
    Problem p = problem(97, 75, 200, wide(-60, 20));
    p.a[6 * 200 + 1] = std::numeric_limits<float>::infinity();
    p.b[2 * 75 + 9] = 1e30f;
    check_parts(s, p, 0, 1, 0, 75);
    check_parts(s, p, 5, 38, 8, 10);
    check_parts(s, p, 50, 97, 33, 75);
  }
}

// A convolution on planes, of a few images. The part is all there is, or one row and some positions of it.
struct Convolution {
  std::int64_t images, channels, rows;
  Window y, x;
  Numbers image, weight, bias;

  Convolution(std::int64_t n, std::int64_t c, std::int64_t r, Window tall, Window broad, const Draw& draw = normal)
      : images(n),
        channels(c),
        rows(r),
        y(tall),
        x(broad),
        image(problem(n * c * y.in * x.in, 1, 1, draw).a),
        weight(problem(r * c * y.taps * x.taps, 1, 1, draw).a),
        bias(problem(r, 1, 1, draw).a) {}
  std::int64_t positions() const { return y.out * x.out; }
  Numbers run(Correlate f) const {
    Numbers out(static_cast<std::size_t>(images * rows * positions()), -7.0f);
    f(correlation(out.data()), 0, rows, 0, positions());
    return out;
  }
  // Of what is in the image, weighted by what is in another; channels up to `cut` and those from there on apart.
  Numbers weight_gradient(CorrelateWeight f, std::int64_t cut) const {
    const Numbers grad = problem(images * rows * positions(), 1, 1).a;
    Numbers out(weight.size(), -7.0f);
    WeightGradient w{};
    w.window[1] = y, w.window[2] = x;
    w.batch = images, w.rows = rows, w.channels = channels, w.image = image.data(), w.grad = grad.data();
    w.image_step = channels * y.in * x.in, w.grad_step = rows * positions(), w.out = out.data();
    f(w, 0, cut);
    f(w, cut, channels);
    return out;
  }
  Correlation correlation(float* out) const {
    Correlation c{};
    c.window[1] = y, c.window[2] = x;
    c.rows = rows, c.channels = channels, c.weight = weight.data(), c.image = image.data(), c.bias = bias.data();
    c.images = images, c.image_step = channels * y.in * x.in, c.out_image = rows * positions();
    c.out = out, c.out_row = positions(), c.out_step[1] = x.out, c.out_step[2] = 1;
    return c;
  }
};

bool all_alike(const Numbers& x, const Numbers& y) { return std::equal(x.begin(), x.end(), y.begin(), alike); }

// All sets give the same bits, and some channels those of all.
void check_weight_gradient(const Convolution& c, const std::string& name) {
  const SplitGemm& first = isa_table("baseline").split;
  const std::int64_t half = c.channels / 2;
  const Numbers six = c.weight_gradient(first.conv_weight_of_six, c.channels),
                one = c.weight_gradient(first.conv_weight_of_one, c.channels);
  for (const Set& s : sets()) {
    const std::string who = std::string(s.name) + " gradient of a weight, ";
    check(all_alike(c.weight_gradient(s.split->conv_weight_of_six, c.channels), six), who + "six products, " + name);
    check(all_alike(c.weight_gradient(s.split->conv_weight_of_six, half), six), who + "in two, " + name);
    check(all_alike(c.weight_gradient(s.split->conv_weight_of_one, c.channels), one), who + "one product, " + name);
  }
}

// All sets give the same bits, and a part those of the whole.
void check_convolution(const Convolution& c, const std::string& name) {
  const SplitGemm& first = isa_table("baseline").split;
  const Numbers six = c.run(first.conv_of_six), one = c.run(first.conv_of_one);
  for (const Set& s : sets()) {
    check(all_alike(c.run(s.split->conv_of_six), six), std::string(s.name) + " convolution of six products, " + name);
    check(all_alike(c.run(s.split->conv_of_one), one), std::string(s.name) + " convolution of one product, " + name);
    Numbers part = six;
    const std::int64_t row = c.rows / 2, from = c.positions() / 3, to = c.positions() * 2 / 3 + 1;
    for (std::int64_t n = 0; n < c.images; ++n)
      for (std::int64_t i = from; i < to; ++i)
        part[static_cast<std::size_t>((n * c.rows + row) * c.positions() + i)] = -7.0f;
    s.split->conv_of_six(c.correlation(part.data()), row, row + 1, from, to);
    check(all_alike(part, six), std::string(s.name) + " part of a convolution, " + name);
  }
  check_weight_gradient(c, name);
}

void check_convolutions() {
  const Window three{19, 19, 1, 3, -1, 1}, broad{23, 23, 1, 3, -1, 1};
  check_convolution({3, 70, 33, three, broad}, "3 x 3");
  check_convolution({2, 40, 65, {19, 10, 2, 3, -1, 1}, {23, 12, 2, 3, -1, 1}}, "stride 2");
  check_convolution({5, 200, 7, {5, 5, 1, 3, 1, -1}, {4, 4, 1, 3, 1, -1}}, "taps in reverse");
  check_convolution({1, 16, 40, {1, 1, 1, 1, 0, 1}, {70, 62, 1, 5, 0, 2}}, "a line, dilated");
  check_convolution({2, 33, 8, {9, 4, 3, 2, 0, 1}, {9, 3, 3, 4, -1, 1}}, "stride 3");
  Convolution c{2, 40, 9, three, broad, wide(-80, 40)};
  check_convolution(c, "magnitudes of all sizes");
  c.image[700] = std::numeric_limits<float>::infinity();
  c.weight[5] = 1e30f;
  check_convolution(c, "infinite and large values");
}

// Whether it runs some of their instructions without leave, so that not all of them trap.
bool processor_runs_tiles() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1);
}

}  // namespace

int main() {
  // Where the processor has tiles it runs their instructions itself, as it should; elsewhere they are emulated. The
  // code around them is AVX-512: without it there is nothing to run, and the other sets are checked alone.
  const bool real = amx() != nullptr, runs = missing_for_avx512() == nullptr;
  if (!real && runs && processor_runs_tiles()) {
    std::printf("skipped: %s\n", amx_missing());
    return 0;
  }
  if (!real && runs) amx_emulator::install();
  for (const auto& [m, n, k] : std::initializer_list<std::array<std::int64_t, 3>>{{1, 1, 1},
                                                                                  {16, 16, 32},
                                                                                  {17, 33, 70},
                                                                                  {32, 32, 64},
                                                                                  {33, 1, 31},
                                                                                  {1, 40, 129},
                                                                                  {70, 65, 600},
                                                                                  {300, 40, 33}})
    check_sets_agree(problem(m, n, k));
  check_sets_agree(problem(40, 50, 70, wide(-80, 40)));
  check_sets_agree(problem(40, 50, 70, wide(-140, 0)));
  check_sets_agree(problem(2, 1060, 40));
  if (runs) check(tiles_match_plain_code(), "the check that amx() makes");
  check_widened();
  check_specials();
  check_neighbours();
  check_convolutions();
  check_errors();
  if (!runs) std::printf("no tiles: %s", missing_for_avx512());
  else std::printf(real ? "tiles of the processor" : "%ld tile products were emulated", amx_emulator::products());
  std::printf("; %d failures\n", failures);
  return failures != 0;
}
