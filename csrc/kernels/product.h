// The interface of a matrix product: the function, and the epilogue it calls while its result is in cache. Start
// reading at Gemm; table.h has the kernels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace steep::k {

// What to do to a product while it is still in cache (a bias, an activation): f is called for rectangles of C, rows [i,
// i + mi) and columns [j, j + nj), once their elements are final. The rectangles cover C exactly once, in unspecified
// order and size, and f may change C there. A product shared by threads calls f on all of them.
struct Epilogue {
  void (*f)(void* context, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj);
  void* context;
};

// Whether a product replaces what C holds, or is added to it, with the bits of adding it afterwards. The latter is for
// floats, where k is a single block (PieceSizes::depth).
enum class Into : std::uint8_t { replace, add };

// C[m, n] (row stride ldc, unit column stride) = A[m, k] B[k, n] with any strides in elements; single-threaded.
// Every element is a chain of fused multiply-adds over k in blocks whose size depends on k alone. `done` may be null.
using Gemm = void (*)(std::int64_t m, std::int64_t n, std::int64_t k, const void* a, std::int64_t a_row,
                      std::int64_t a_col, const void* b, std::int64_t b_row, std::int64_t b_col, void* c,
                      std::int64_t ldc, Into into, const Epilogue* done);

// The operands of a piece of a product.
struct Operands {
  std::int64_t m, n, k;
  const void* a;
  std::int64_t a_row, a_col;
  const void* b;
  std::int64_t b_row, b_col;
};

// Packing B for pieces that are some rows of C each. Any thread may pack any units, into the store that covers B;
// afterwards the pieces find it packed, where each would pack all of it.
struct SharedSize {
  std::int64_t units;  // 0 where a piece would not pack it, or where sharing does not gain
  std::size_t bytes;
};
struct SharedPacking {
  SharedSize (*size)(const Operands& piece);
  void (*pack)(const Operands& piece, std::int64_t from, std::int64_t to);
};

}  // namespace steep::k
