// The kernels as one struct of function pointers, filled once per instruction set and chosen once per process. Kernels
// are pure loops over raw pointers: they do not depend on tensors, tapes, threads or Python. Start reading at Table;
// the list of elementwise kernels is kernels.def.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch_norm.h"
#include "kernels/conv.h"
#include "kernels/enum_array.h"
#include "kernels/group_norm.h"
#include "kernels/norm.h"
#include "kernels/product.h"
#include "kernels/sort.h"

namespace steep::k {

// Element types, in promotion order. core/dtype.h uses the same values.
enum Type : std::uint8_t { b8, u8, i32, i64, bf16, f32, f64, type_count };  // bf16 is moved and cast only

// An elementwise loop over n contiguous elements. Bit i of `scalars` means that operand i is a single value. `out` may
// be the same pointer as an operand, never a shifted overlap. `params` are the op's constants.
using Loop = void (*)(const void* const* in, void* out, std::int64_t n, unsigned scalars, const double* params);

enum class Kernel : std::uint16_t {
#define KERNEL(name) name,
#include "kernels/kernels.def"
  count
};

// Reductions. Rows: x is [rows, n] contiguous, one result per row. Columns: x is [n, m] with `ld` elements from row to
// row, one result per column. The order of summation depends on n alone, never on rows, m or the instruction set.
enum class Reduction : std::uint8_t { sum, prod, max, min, any, all, argmax, argmin, squares, count };
using RowReduce = void (*)(const void* x, void* out, std::int64_t rows, std::int64_t n);
using ColReduce = void (*)(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld);

// x is [rows, n] contiguous, out alike: softmax, log_softmax, cumulative sum and product along the row. Columns: x and
// out are [n, m] with `ld` elements from row to row, and maps run down the columns; of softmax and log_softmax.
enum class RowMap : std::uint8_t { softmax, log_softmax, cumsum, cumprod, count };
using RowLoop = void (*)(const void* x, void* out, std::int64_t rows, std::int64_t n);
using ColLoop = void (*)(const void* x, void* out, std::int64_t n, std::int64_t m, std::int64_t ld);

// The gradient of softmax along rows: g and y, its result, are [rows, n] contiguous, out alike; out may be g. And down
// columns.
using RowGradient = void (*)(const void* g, const void* y, void* out, std::int64_t rows, std::int64_t n);
using ColGradient = void (*)(const void* g, const void* y, void* out, std::int64_t n, std::int64_t m, std::int64_t ld);

// A transposed copy: to[p * ld + i] = from[i * step + p], i < count, p < depth. Moves bits: those of float32 and
// float64 serve every type of their size.
using Transpose = void (*)(const void* from, std::int64_t step, void* to, std::int64_t ld, std::int64_t count,
                           std::int64_t depth);

// Pieces of a product that are multiples of these waste nothing of the inner kernels' tiles: of plain products two
// tiles high, and wide enough for two panels of any type. A piece along whose other side there are at least `length`
// repays its packing. `lanes` of a vector of float32; `depth`: up to so many steps of k are one block. From `kept_rows`
// rows on, a piece reads all of a B that is kept packed faster than part of B and all of A.
struct PieceSizes {
  std::int64_t rows, columns, length, lanes, depth, kept_rows;
};

// float32 products of bfloat16 parts, each with the bits of AMX on every instruction set; see split.inl.h.
struct SplitGemm {
  Gemm six;  // of the three parts of every float32: an error below that of fused multiply-adds
  Gemm one;  // of float32 rounded to bfloat16
  Correlate conv_of_six, conv_of_one;  // of the same parts, for windows on planes
  CorrelateWeight conv_weight_of_six, conv_weight_of_one;
  PieceSizes pieces;
};

// Philox 4x32-10. Element i of a stream is a function of (key, start + i) alone.
// uniform: [0, 1), 24 random bits in float32 and 53 in float64. normal: Box-Muller. bits: 64 random bits (out is
// int64).
using Random = void (*)(void* out, std::int64_t n, std::uint64_t key, std::uint64_t start);

// x is [rows, n] of logits with one label per row, each in [0, n). out: one loss per row; or, for the gradient, [rows,
// n], the gradient of the losses weighted by g (null otherwise).
using LabelLoss = void (*)(const void* x, const std::int64_t* labels, const void* g, void* out, std::int64_t rows,
                           std::int64_t n);

struct Table {
  const char* isa;
  EnumArray<Kernel, Loop[type_count]> loop;                // null if a type has no such kernel
  Loop where[type_count];                                  // in: bool, a, b
  Loop cast[type_count][type_count];                       // [from][to]
  EnumArray<Reduction, RowReduce[type_count]> row_reduce;  // argmax, argmin write int64
  EnumArray<Reduction, ColReduce[type_count]> col_reduce;  // any, all take and write bool
  EnumArray<RowMap, RowLoop[type_count]> row_map;
  EnumArray<RowMap, ColLoop[type_count]> col_map;
  RowGradient softmax_gradient[type_count];  // floats, as are the following
  ColGradient col_softmax_gradient[type_count];
  LabelLoss cross_entropy[type_count], cross_entropy_gradient[type_count];  // floats
  BatchNormLoop batch_moments[type_count], batch_norm[type_count], batch_norm_gradient[type_count];
  GroupNormLoop group_norm[type_count], group_norm_gradient[type_count];
  NormLoop norm[type_count], norm_gradient[type_count], norm_sums[type_count];  // floats
  Transpose transpose[type_count];                                              // float32 and float64
  Gemm gemm[type_count];            // the same; int32 and int64 by plain loops
  SharedPacking share[type_count];  // float32 and float64
  SplitGemm split;
  PieceSizes pieces;
  Random uniform[type_count], normal[type_count], bits;
  Correlate correlate[type_count], depthwise[type_count];  // float32 and float64, as are the following
  CorrelateWeight correlate_weight[type_count], depthwise_weight[type_count];
  WinogradTiles winograd;  // float32 only, as is the next
  WinogradWeight winograd_weight;
  PoolMax pool_max[type_count], pool_positions[type_count];
  KeysOf keys_of[type_count];  // all types but bfloat16, as is the next
  ElementsOf elements_of[type_count];
  SortRows sort_rows[type_count];  // int32 and int64, as is the next
  FindBuckets find_buckets[type_count];
};

// The table of the best instruction set this processor has, or of STEEP_ISA. Throws std::runtime_error with a message
// that names the missing feature when the processor has none of them, or STEEP_ISA names one it lacks.
const Table& table();

// Every instruction set built in, and whether this processor has it, separated by spaces: "baseline avx2 avx512".
const char* isas_built();
const char* isas_usable();
const char* isa_missing(const char* isa);  // the first feature that this processor lacks for it, or null
const Table& isa_table(const char* isa);   // throws std::runtime_error that names it, if there is one

// The same by AMX's tiles, or null: where the processor lacks them, the system refuses them, STEEP_ISA asks for less
// than AVX-512, or their bits are not those of the table's products. Checked once, at first use (amx.cpp).
const SplitGemm* amx();
const char* amx_missing();  // the reason why there are none, or null

}  // namespace steep::k
