// Selects the kernel of a product. Start reading at find_gemm.
#include "ops/precision.h"

#include <algorithm>
#include <iterator>

#include "core/errors.h"

namespace steep {
namespace {

Precision of_process = Precision::automatic;

// A sum of fewer terms has little rounding error, and what six products omit would dominate.
constexpr std::int64_t fewest_terms = 32;

// Whether six products by AMX, splitting included, are faster than fused multiply-adds. On a Xeon with AMX, one thread,
// November 2026, a multiply-add takes 7 units of 2 ps, and 4 by six products, whose sums go on to a multiple of 32
// terms; splitting takes 200 an element. The rate of six products over that of fused multiply-adds was, with more
// weights than a cache holds (by hand; bench/modes.py prints most of these for one weight),
//     rows                        64     96    128    192    256    512   1024
//     k = n = 512               1.01   1.08   1.31   1.40   1.45   1.51   1.54
//     k = n = 1024               .97   1.07   1.40   1.44   1.54   1.57   1.58
//     the same, B transposed     .75    .96   1.26   1.35   1.43   1.46   1.56
//     k = 512, n = 64            .73           .81           .84           .92
//     k = 512, n = 128                        1.04          1.09          1.21
//     k = 33, n = 512                          .86           .99          1.01
//     k = 64, n = 512                         1.31          1.49          1.55
// and .04 with one row.
bool is_faster(std::int64_t m, std::int64_t n, std::int64_t k) {
  if (k < 2 * fewest_terms) return false;
  const std::int64_t whole = (k + 31) / 32 * 32;
  const auto rows = static_cast<double>(m), columns = static_cast<double>(n);
  const auto terms = static_cast<double>(k), padded = static_cast<double>(whole);
  return rows * columns * (7 * terms - 4 * padded) >= 200 * (rows + columns) * padded;
}
// From 256 rows and 192 columns on, not 128, so that smaller batches and layers keep their bits.
bool gains(std::int64_t m, std::int64_t n, std::int64_t k) { return m >= 256 && n >= 192 && is_faster(m, n, k); }

// AMX if available, else the same bits by plain code, as a mode requested by name guarantees.
const k::SplitGemm& products() {
  const k::SplitGemm* tiles = k::amx();
  return tiles ? *tiles : k::table().split;
}

// Whether a convolution that gains from six products gets them.
bool by_six(Precision p) { return p == Precision::split || (p == Precision::automatic && k::amx()); }

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

k::Gemm find_gemm_of_image(Precision p, std::int64_t rows, std::int64_t positions, std::int64_t channels) {
  const bool six = p == Precision::automatic && is_faster(rows, positions, channels) && k::amx();
  return six ? products().six : nullptr;
}
k::Correlate find_conv(Precision p) {
  if (p == Precision::bf16) return products().conv_of_one;
  return by_six(p) ? products().conv_of_six : nullptr;
}
k::CorrelateWeight find_conv_weight(Precision p) {
  if (p == Precision::bf16) return products().conv_weight_of_one;
  return by_six(p) ? products().conv_weight_of_six : nullptr;
}

const k::PieceSizes& piece_sizes(k::Gemm gemm) {
  const auto& plain = k::table().gemm;  // first, since asking for AMX requests it of the system
  return std::find(std::begin(plain), std::end(plain), gemm) != std::end(plain) ? k::table().pieces : products().pieces;
}

const k::SharedPacking* shared_packing(k::Gemm gemm) {
  for (const DType type : {Float32, Float64})
    if (gemm == k::table().gemm[type]) return &k::table().share[type];
  return nullptr;
}

}  // namespace steep
