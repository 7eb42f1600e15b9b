// How accurate a kernel is. The bounds are in accuracy.def, one line per kernel.
#pragma once

#include "kernels/table.h"

namespace steep::k {

// The greatest error in units in the last place, 0 where nothing is stated.
struct Accuracy {
  double f32 = 0, f64 = 0;
};
constexpr Accuracy accuracy(Kernel kernel) {
  switch (kernel) {
#define ACCURACY(name, single, twice) \
  case Kernel::name:                  \
    return {single, twice};
#include "kernels/accuracy.def"
#undef ACCURACY
    default: return {};
  }
}

}  // namespace steep::k
