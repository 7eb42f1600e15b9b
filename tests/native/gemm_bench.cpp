// GFLOP/s of the matrix product on one thread, beside this core's peak of fused multiply-adds. Start reading at main.
// Layouts: nn both by rows, nt B transposed (x W^T), tn A transposed (a weight's gradient), tt both.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tables.h"

namespace {

using Clock = std::chrono::steady_clock;
using steep::k::Gemm;
using steep::k::Table;

struct Shape {
  long m, n, k;
};
constexpr Shape shapes[] = {{2, 2, 1},        {4, 4, 4},       {16, 16, 16},       {64, 64, 64},       {128, 128, 128},
                            {256, 256, 256},  {512, 512, 512}, {1024, 1024, 1024}, {2048, 2048, 2048}, {32, 128, 784},
                            {784, 128, 32},   {32, 784, 128},  {8, 512, 512},      {32, 10, 128},      {128, 10, 32},
                            {64, 1024, 784},  {1, 1024, 1024}, {1024, 1, 1024},    {512, 512, 1},      {64, 3136, 576},
                            {1000, 1000, 64}, {16, 12544, 27}};
constexpr const char* layouts[] = {"nn", "nt", "tn", "tt"};

template <class F> double best_seconds(F f, double budget) {
  double best = 1e30;
  long calls = 1;
  for (const auto end = Clock::now() + std::chrono::duration<double>(budget); Clock::now() < end;) {
    const auto start = Clock::now();
    for (long i = 0; i < calls; ++i) f();
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    if (took / calls < best) best = took / calls;
    if (took < 1e-4) calls *= 2;
  }
  return best;
}

// Aligned as the storage of tensors is.
struct Free {
  void operator()(void* p) const { std::free(p); }
};
template <class T> using Aligned = std::unique_ptr<T[], Free>;

template <class T> Aligned<T> filled(long count) {
  const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  Aligned<T> x(static_cast<T*>(std::aligned_alloc(64, bytes)));
  for (long i = 0; i < count; ++i) x[i] = static_cast<T>(std::rand() % 100) / 100;
  return x;
}

template <class T> double seconds(Gemm f, const Shape& s, bool ta, bool tb, double budget) {
  const Aligned<T> a = filled<T>(s.m * s.k), b = filled<T>(s.k * s.n), c = filled<T>(s.m * s.n);
  return best_seconds(
      [&] {
        f(s.m, s.n, s.k, a.get(), ta ? 1 : s.k, ta ? s.m : 1, b.get(), tb ? 1 : s.n, tb ? s.k : 1, c.get(), s.n,
          steep::k::Into::replace, nullptr);
      },
      budget);
}

template <class T> void report(const Table* set, const char* type, Gemm f, double budget) {
  std::printf("%s %s, GFLOP/s (and nanoseconds, for nn)\n%18s", set->isa, type, "m x n x k");
  for (const char* l : layouts) std::printf("%9s", l);
  std::printf("\n");
  for (const Shape& s : shapes) {
    std::printf("%6ld%6ld%6ld", s.m, s.n, s.k);
    double first = 0;
    for (int l = 0; l < 4; ++l) {
      const double took = seconds<T>(f, s, l / 2, l % 2, budget);
      if (l == 0) first = took;
      std::printf("%9.1f", 2e-9 * s.m * s.n * s.k / took);
    }
    std::printf("%12.0f ns\n", first * 1e9);
    std::fflush(stdout);
  }
}

}  // namespace

// gemm_bench [instruction set, or all] [f32, f64 or both] [seconds per measurement]
int main(int argc, char** argv) {
  const char* isa = argc > 1 ? argv[1] : usable_tables().back()->isa;
  const char* type = argc > 2 ? argv[2] : "both";
  const double budget = argc > 3 ? std::atof(argv[3]) : 0.1;
  for (const Table* s : usable_tables()) {
    if (std::strcmp(isa, "all") && std::strcmp(isa, s->isa)) continue;
    if (std::strcmp(type, "f64")) report<float>(s, "float32", s->gemm[steep::k::f32], budget);
    if (std::strcmp(type, "f32")) report<double>(s, "float64", s->gemm[steep::k::f64], budget);
  }
}
