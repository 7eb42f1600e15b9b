// Selects the kernel of a product. Start reading at find_gemm.
#include "ops/precision.h"

#include "core/errors.h"

namespace steep {
namespace {

Precision of_process = Precision::automatic;

// The sizes from which six products by AMX, splitting included, are faster than fused multiply-adds. Splitting B takes
// as long as 100 to 130 rows gain. By bench/modes.py, on a Xeon with AMX, one thread, November 2026, the rate of six
// products over that of fused multiply-adds is
//     rows                64    128    256    512   1024
//     k = n = 512        .71   1.11   1.25   1.33   1.35
//     k = n = 1024       .74   1.09   1.24   1.34   1.42
// and .04 with one row; of k = 256, n = 256 it is 1.14, of n = 1024 1.28. From 256 rows on, not 128, so that smaller
// batches keep their bits.
bool gains(std::int64_t m, std::int64_t n, std::int64_t k) { return m >= 256 && n >= 192 && k >= 128; }

// A sum of fewer terms has little rounding error, and what six products omit would dominate.
constexpr std::int64_t fewest_terms = 32;

// AMX if available, else the same bits by plain code, as a mode requested by name guarantees.
const k::SplitGemm& products() {
  const k::SplitGemm* tiles = k::amx();
  return tiles ? *tiles : k::table().split;
}

}  // namespace

Precision matmul_precision() { return mode().precision.value_or(of_process); }
void set_matmul_precision(Precision p) { of_process = p; }

const char* name(Precision p) { return precision_names[static_cast<int>(p)]; }
Precision parse_precision(const std::string& word) {
  for (int i = 0; i < static_cast<int>(Precision::count); ++i)
    if (word == precision_names[i]) return static_cast<Precision>(i);
  fail<ValueError>("matmul_precision: \"", word,
                   "\" is none of \"auto\", \"fma\", \"split\" and \"bf16\", nor \"winograd2\" "
                   "or \"winograd4\", which some convolutions have");
}

k::Gemm find_gemm(DType type, Precision p, std::int64_t m, std::int64_t n, std::int64_t k) {
  const k::Gemm fma = k::table().gemm[type];
  if (type != Float32) return fma;
  switch (p) {
    case Precision::automatic: return gains(m, n, k) && k::amx() ? products().six : fma;
    case Precision::split: return k < fewest_terms ? fma : products().six;
    case Precision::bf16: return products().one;
    default: return fma;
  }
}

}  // namespace steep
