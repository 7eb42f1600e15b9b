// Element types: their names, sizes, classes, and the promotion of two of them to one.
// The order is the order of promotion, and the values are those of kernels/table.h.
#pragma once

#include <cstdint>
#include <ostream>

#include "kernels/table.h"

namespace steep {

using DType = k::Type;
inline constexpr DType Bool = k::b8, UInt8 = k::u8, Int32 = k::i32, Int64 = k::i64, BFloat16 = k::bf16,
                       Float32 = k::f32, Float64 = k::f64;

struct DTypeInfo {
  const char* name;
  std::uint8_t size;
  char kind;           // NumPy's: b, u, i, f
  const char* format;  // the buffer protocol's, which has none for bfloat16
};
inline constexpr DTypeInfo dtype_info[] = {{"bool", 1, 'b', "?"},   {"uint8", 1, 'u', "B"},   {"int32", 4, 'i', "i"},
                                           {"int64", 8, 'i', "l"},  {"bfloat16", 2, 'f', ""}, {"float32", 4, 'f', "f"},
                                           {"float64", 8, 'f', "d"}};

constexpr const char* name(DType t) { return dtype_info[t].name; }
constexpr std::int64_t size_of(DType t) { return dtype_info[t].size; }
constexpr bool is_float(DType t) { return t >= k::bf16; }
constexpr bool is_integer(DType t) { return t >= k::u8 && t <= k::i64; }

// The wider of the two in the order bool < uint8 < int32 < int64 < bfloat16 < float32 < float64 (docs/dtypes.md has the
// table): an integer meeting a float takes the float's type, so int64 + float32 stays float32.
constexpr DType promote(DType a, DType b) { return a > b ? a : b; }

// The dtype in which an op defined only on floats computes: integers and bools become float32.
constexpr DType to_float(DType t) { return is_float(t) ? t : Float32; }

// The type of a sum, product or cumulative sum: small integers and bools are accumulated in int64.
constexpr DType to_sum(DType t) { return is_float(t) ? t : Int64; }

inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name(t); }

}  // namespace steep
