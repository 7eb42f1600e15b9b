// Combining two partial results of a row, in place: a += b, and the same for maxima and minima by their kernel.
#pragma once

#include <cstring>

#include "core/dtype.h"

namespace steep {

struct TilePair {
  k::RowReduce f;
  k::Reduction kind;
  DType dtype;

  void operator()(char* a, const char* b) const {
    if (dtype == Float32) fold<float>(a, b);
    else fold<double>(a, b);
  }

 private:
  template <class T> void fold(char* a, const char* b) const {
    T both[2];
    std::memcpy(&both[0], a, sizeof(T));
    std::memcpy(&both[1], b, sizeof(T));
    T whole = both[0] + both[1];  // not by the kernel, which starts from +0 and would lose -0
    if (kind != k::Reduction::sum) f(both, &whole, 1, 2);
    std::memcpy(a, &whole, sizeof(T));
  }
};

}  // namespace steep
