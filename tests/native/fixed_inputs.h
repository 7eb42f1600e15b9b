// What the native programs that compare kernels share: the names and arities of the kernels, and values that are the
// same wherever the program runs. Start reading at values.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tables.h"

using namespace steep::k;

inline const std::size_t kSize[type_count] = {1, 1, 4, 8, 2, 4, 8};
inline const char* const kTypeName[type_count] = {"bool", "uint8", "int32", "int64", "bfloat16", "float32", "float64"};

inline const char* const kKernelName[] = {
#define KERNEL(name) #name,
#include "kernels/kernels.def"
};
constexpr int kKernels = static_cast<int>(Kernel::count);

inline int arity_of(int kernel) {
  static const int arity[] = {
#define FLOAT1(name) 1,
#define FLOAT1_DF(name) 1, 2,
#define NUM1(name) 1,
#define FLOAT2(name) 2,
#define FLOAT3(name) 3,
#define NUM2(name) 2,
#define INT2(name) 2,
#define CMP1(name) -1,
#define CMP2(name) -2,
#define BOOL1(name) 1,
#define BOOL2(name) 2,
#include "kernels/kernels.def"
  };
  return arity[kernel];  // negative: writes bool
}

struct Rng {  // splitmix64
  std::uint64_t s;
  std::uint64_t next() {
    std::uint64_t z = s += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
  }
};

using Bytes = std::vector<unsigned char>;

template <class F> void put_float(void* p, Rng& rng) {
  static const F special[] = {0,
                              -F(0),
                              1,
                              -1,
                              F(0.5),
                              2,
                              -3,
                              std::numeric_limits<F>::infinity(),
                              -std::numeric_limits<F>::infinity(),
                              std::numeric_limits<F>::quiet_NaN(),
                              std::numeric_limits<F>::denorm_min(),
                              std::numeric_limits<F>::max(),
                              100,
                              -100};
  const std::uint64_t r = rng.next();
  F value;
  if (r % 4 == 0) value = special[(r >> 8) % (sizeof special / sizeof *special)];
  else if (r % 4 == 1) std::memcpy(&value, &r, sizeof value);                                         // any bits
  else value = static_cast<F>(static_cast<double>(static_cast<std::int64_t>(rng.next())) * 0x1p-60);  // within 8
  if (value != value) value = std::numeric_limits<F>::quiet_NaN();
  std::memcpy(p, &value, sizeof value);
}

inline Bytes values(Type type, std::size_t n, std::uint64_t seed) {
  Rng rng{seed};
  Bytes b(n * kSize[type] + 64);
  for (std::size_t i = 0; i < n; ++i) {
    unsigned char* p = b.data() + i * kSize[type];
    if (type == f32) {
      put_float<float>(p, rng);
    } else if (type == f64) {
      put_float<double>(p, rng);
    } else {
      const std::uint64_t r = rng.next(), kind = rng.next() % 4;
      std::uint64_t v = kind == 0 ? r : kind == 1 ? 0 - r % 9 : r % 9;
      if (kind == 3 && r % 5 == 0) v = std::uint64_t(1) << (8 * kSize[type] - 1);  // the lowest
      if (type == b8) v &= 1;
      std::memcpy(p, &v, kSize[type]);
    }
  }
  return b;
}

inline Type result_type(int r, Type type) {
  const auto kind = static_cast<Reduction>(r);
  return kind == Reduction::argmax || kind == Reduction::argmin ? i64 : type;
}
// Finite floats, so that an order of summation shows in the bits; every third set of values has a NaN.
inline Bytes plain_values(Type type, std::size_t n, std::uint64_t seed) {
  Bytes b = values(type, n, seed);
  Rng rng{seed};
  for (std::size_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(static_cast<std::int64_t>(rng.next())) * 0x1p-62;
    const float f = static_cast<float>(d);
    if (type == f32) std::memcpy(b.data() + 4 * i, &f, 4);
    if (type == f64) std::memcpy(b.data() + 8 * i, &d, 8);
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (seed % 3 == 0 && type == f32 && n > 2) std::memcpy(b.data() + n / 2 * 4, &nan, 4);
  return b;
}
