// How float32 products are computed: by fused multiply-adds, or through bfloat16 parts. docs/precision.md specifies
// each. Start reading at find_gemm.
#pragma once

#include <string>

#include "graph/mode.h"

namespace steep {

// The mode of the enclosing block, or else of the process.
Precision matmul_precision();
void set_matmul_precision(Precision p);

// One of precision_names, and back; ValueError for any other word.
const char* name(Precision p);
Precision parse_precision(const std::string& word);

// The kernel for a product of this type with m rows and n columns, summed over k; null where there is none. Only
// "auto" asks for m and n, so in the other modes a batch gives the bits of its parts. bfloat16 operands come to it as
// float32.
k::Gemm find_gemm(DType type, Precision p, std::int64_t m, std::int64_t n, std::int64_t k);

// What "auto" asks for where a convolution is a product of the weight with an image; null if fused multiply-adds, or in
// another mode.
k::Gemm find_gemm_of_image(Precision p, std::int64_t rows, std::int64_t positions, std::int64_t channels);

// The kernel for a convolution that reads a canvas of parts; null where there is none. Whether it gains is for the
// caller to say, whom "auto" asks (correlate.cpp).
k::Correlate find_conv(Precision p);
k::CorrelateWeight find_conv_weight(Precision p);

// How to divide a product by that kernel, and how its pieces share what they pack: null where they do not.
const k::PieceSizes& piece_sizes(k::Gemm gemm);
const k::SharedPacking* shared_packing(k::Gemm gemm);

}  // namespace steep
