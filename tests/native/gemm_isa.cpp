// One instruction set's matrix product, reached without the full table of kernels: see gemm_isa.h.
#include "gemm_isa.h"

#include "kernels/interrupt.h"
#include "kernels/gemm.h"

namespace steep::k::STEEP_GEMM_ISA {

#include "kernels/gemm.inl.h"

#define STEEP_TEXT_OF(x) #x
#define STEEP_TEXT(x) STEEP_TEXT_OF(x)

GemmSet gemm_set() {
  return {STEEP_TEXT(STEEP_GEMM_ISA), gemm<float>, gemm<double>, gemm_plain<std::int32_t>, gemm_plain<std::int64_t>};
}

}  // namespace steep::k::STEEP_GEMM_ISA
