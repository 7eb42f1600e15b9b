// The matrix product of every instruction set, side by side in one process, for gemm_test and gemm_bench. gemm_isa.cpp
// is compiled once per set, with STEEP_GEMM_ISA naming it; sets() lists those this processor can run.
#pragma once

#include <vector>

#include "kernels/table.h"

namespace steep::k {

struct GemmSet {
  const char* name;
  Gemm f32, f64, i32, i64;
};

namespace baseline {
GemmSet gemm_set();
}
namespace avx2 {
GemmSet gemm_set();
}
namespace avx512 {
GemmSet gemm_set();
}

inline std::vector<GemmSet> sets() {
  std::vector<GemmSet> all{baseline::gemm_set()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(avx2::gemm_set());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) all.push_back(avx512::gemm_set());
#endif
  return all;
}

}  // namespace steep::k
