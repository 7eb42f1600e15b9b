// What the sorting kernels are given: integer keys whose order is that of the elements, and positions beside them where
// those are asked for. sort.inl.h holds the kernels, ops/ordering.cpp calls them. Start reading at Sorting.
#pragma once

#include <cstdint>

namespace steep::k {

// `rows` rows of n keys each, sorted in place, ascending; the positions beside them, null if there are none, are moved
// along. Equal keys keep their order. All are of one integer type; the spare arrays hold n elements.
struct Sorting {
  void *keys, *positions, *spare_keys, *spare_positions;
  std::int64_t rows, n;
};
using SortRows = void (*)(const Sorting& s);

// For every key, how many of the splitters, which are in order, are not above it.
inline constexpr int splitter_count = 15;
using FindBuckets = void (*)(const void* keys, const void* splitters, std::uint8_t* buckets, std::int64_t n);

// From n elements, n < 2^31, to int32 or, for types of 64 bits, int64 keys: in the order of the elements or, if
// `descending`, in the opposite one. Zeros of either sign have the same key; that of NaN is the largest either way. The
// result says whether there were NaN or negative zeros, which the way back does not restore.
using KeysOf = bool (*)(const void* x, void* keys, std::int64_t n, bool descending);
using ElementsOf = void (*)(const void* keys, void* x, std::int64_t n, bool descending);

}  // namespace steep::k
