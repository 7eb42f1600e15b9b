// The headers the per-instruction-set sources rely on, included once outside any namespace: the .inl.h files and
// vec.h are included INSIDE the namespace of an instruction set, so that no symbol of one
// set can be linked into another. Nothing here instantiates a template of the standard library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns of its own _mm512_undefined_ps()
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/fold.h"
#include "kernels/integers.h"
#include "kernels/interrupt.h"
#include "kernels/panels.h"
#include "kernels/scratch.h"
#include "kernels/table.h"

#define STEEP_INLINE inline __attribute__((always_inline))
#define STEEP_EACH(i) [&](auto i) __attribute__((always_inline))  // the function that repeat() calls
#if defined(__clang__)
#define STEEP_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define STEEP_IVDEP _Pragma("GCC ivdep")
#endif
