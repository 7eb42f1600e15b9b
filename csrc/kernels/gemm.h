// The headers that gemm.inl.h needs. A file that includes gemm.inl.h inside the namespace of an instruction set
// includes this first, at global scope: the .inl.h files include nothing from outside themselves.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/scratch.h"
#include "kernels/table.h"
