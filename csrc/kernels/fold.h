// The trees by which sums and other reductions are folded, for the kernels (reduce.inl.h) and for those who fold parts
// of a row themselves. Start reading at fold_split.
#pragma once

#include <cstdint>

namespace steep::k {

constexpr std::int64_t row_leaf_bytes = 16384;  // of the elements of a row that one leaf of its tree folds
constexpr std::int64_t column_leaf = 64;        // rows in a leaf of the tree of a column

// The largest leaf * 2^k below n: where a fold of n > leaf elements splits in two.
[[gnu::always_inline]] constexpr std::int64_t fold_split(std::int64_t n, std::int64_t leaf) {
  while (2 * leaf < n) leaf *= 2;
  return leaf;
}

}  // namespace steep::k
