// One instruction set's matrix product, reached without the full table of kernels: see gemm_isa.h.
#include "gemm_isa.h"

#include "kernels/isa_headers.h"

namespace steep::k::STEEP_GEMM_ISA {

#include "kernels/vec.h"
#include "kernels/gemm_micro.inl.h"
#include "kernels/gemm_transpose.inl.h"
#include "kernels/gemm_pack.inl.h"
#include "kernels/gemm_stream.inl.h"
#include "kernels/gemm.inl.h"

#define STEEP_TEXT_OF(x) #x
#define STEEP_TEXT(x) STEEP_TEXT_OF(x)

GemmSet gemm_set() {
  return {STEEP_TEXT(STEEP_GEMM_ISA), gemm::run<float>, gemm::run<double>, gemm::run_integers<std::int32_t>,
          gemm::run_integers<std::int64_t>};
}

}  // namespace steep::k::STEEP_GEMM_ISA
