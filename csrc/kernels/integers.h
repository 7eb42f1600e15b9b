// Arithmetic on sizes, for the kernels and those who call them. Always inlined, so that no code of one instruction set
// is linked into another.
#pragma once

#include <cstdint>

namespace steep::k {

[[gnu::always_inline]] constexpr std::int64_t least(std::int64_t x, std::int64_t y) { return x < y ? x : y; }

// x / y rounded up, y > 0.
[[gnu::always_inline]] constexpr std::int64_t ceil_div(std::int64_t x, std::int64_t y) {
  return x > 0 ? (x - 1) / y + 1 : -(-x / y);
}

// Where share i of n begins, of `shares` that are as equal as possible, the larger ones first.
[[gnu::always_inline]] constexpr std::int64_t share_start(std::int64_t n, std::int64_t shares, std::int64_t i) {
  return i * (n / shares) + least(i, n % shares);
}

}  // namespace steep::k
