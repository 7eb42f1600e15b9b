// Which instruction sets this processor and its operating system support. Checked once, when table() is first called.
// Each function returns the name of the first missing feature, or null.
#pragma once

namespace steep::k {

#if defined(__x86_64__)
#define STEEP_NEED(feature) \
  if (!__builtin_cpu_supports(feature)) return feature
inline const char* missing_for_baseline() {
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
