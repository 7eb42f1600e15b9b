// Which instruction sets this processor and its operating system support. Checked once, when table() is first called.
// Each function returns the name of the first missing feature, or null.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace steep::k {

#if defined(__x86_64__)
#define STEEP_NEED(feature) \
  if (!__builtin_cpu_supports(feature)) return feature
// What x86-64-v3 also holds and clang's __builtin_cpu_supports does not know: a bit of ECX of a leaf of CPUID. A
// processor without lzcnt runs it as another instruction, so a virtual machine that hides it is to be believed.
inline bool has_bit(unsigned leaf, unsigned bit) {
  unsigned a, b, c, d;
  return __get_cpuid(leaf, &a, &b, &c, &d) && (c >> bit & 1);
}
inline const char* missing_for_baseline() {
  STEEP_NEED("sse3");
  STEEP_NEED("ssse3");
  STEEP_NEED("sse4.1");
  STEEP_NEED("sse4.2");
  STEEP_NEED("popcnt");
  return nullptr;
}
inline const char* missing_for_avx2() {
  STEEP_NEED("avx2");
  STEEP_NEED("fma");
  STEEP_NEED("bmi");
  STEEP_NEED("bmi2");
  if (!has_bit(1, 22)) return "movbe";
  if (!has_bit(1, 29)) return "f16c";
  if (!has_bit(0x80000001, 5)) return "lzcnt";
  return missing_for_baseline();
}
inline const char* missing_for_avx512() {
  STEEP_NEED("avx512f");
  STEEP_NEED("avx512bw");
  STEEP_NEED("avx512cd");
  STEEP_NEED("avx512dq");
  STEEP_NEED("avx512vl");
  return missing_for_avx2();
}
#undef STEEP_NEED
#else
inline const char* missing_for_baseline() { return nullptr; }
inline const char* missing_for_neon() { return nullptr; }  // part of every 64-bit ARM
#endif

}  // namespace steep::k
