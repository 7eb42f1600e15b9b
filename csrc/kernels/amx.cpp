// Whether AMX's tiles may be used: the processor has them, the system grants them, and on this processor they give the
// same bits as split.inl.h. Checked once, by the first product that would use them. Start reading at amx().
#include <cstring>

#include "kernels/table.h"

#if defined(STEEP_AMX)
#include <cerrno>

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace steep::k {

#if defined(STEEP_AMX)
extern const SplitGemm split_amx;

namespace {

// Each returns the reason why not, or null.

// AMX-TILE and AMX-BF16 of the processor, and both parts of the tile state enabled by the system.
const char* processor_lacks() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 22 & 1)) return "the processor has none";
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return "the operating system keeps no registers of its";
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low >> 17 & 3) == 3 ? nullptr : "the operating system does not switch it on";
}

// Linux hands the 8 KB of tiles out on request only; threads started later inherit the permission. It requires every
// signal stack to be large enough for them.
const char* system_refuses() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long request_permission = 0x1023, tile_data = 18;
  if (syscall(SYS_arch_prctl, request_permission, tile_data) == 0) return nullptr;
  if (errno == ENOSPC)
    return "a thread's alternate signal stack (sigaltstack) is too small to hold its registers; make it at least "
           "getauxval(AT_MINSIGSTKSZ) + 8192 bytes, 64 KB say, before the first large product";
  return "the operating system refuses it (arch_prctl)";
#else
  return "steep knows how to ask Linux for it, and no other system";
#endif
}

// Numbers of all magnitudes that occur in the parts, positive and negative.
void fill(float* x, int count, unsigned seed) {
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    const unsigned bits = (seed & 0x807fffffu) | (120u + (seed >> 23) % 16u) << 23;
    std::memcpy(x + i, &bits, sizeof bits);
  }
}

bool same_bits(Gemm tiles, Gemm plain, const float* a, const float* b) {
  constexpr int m = 17, n = 33, k = 70;
  float x[m * n], y[m * n];
  tiles(m, n, k, a, k, 1, b, n, 1, x, n, Into::replace, nullptr);
  plain(m, n, k, a, k, 1, b, n, 1, y, n, Into::replace, nullptr);
  return std::memcmp(x, y, sizeof x) == 0;
}

}  // namespace

// For split_test, which emulates the tiles, as well as for amx().
bool tiles_match_plain_code();
bool tiles_match_plain_code() {
  float a[17 * 70], b[70 * 33];
  fill(a, 17 * 70, 1);
  fill(b, 70 * 33, 2);
  const SplitGemm& plain = table().split;
  return same_bits(split_amx.six, plain.six, a, b) && same_bits(split_amx.one, plain.one, a, b);
}

const char* amx_missing() {
  static const char* const why = [] {
    const char* missing = processor_lacks();
    if (!missing && std::strcmp(table().isa, "avx512")) missing = "the instruction set in use is below avx512";
    if (!missing) missing = system_refuses();
    if (!missing && !tiles_match_plain_code()) missing = "its products do not have the expected bits";
    return missing;
  }();
  return why;
}
const SplitGemm* amx() { return amx_missing() ? nullptr : &split_amx; }
#else
const char* amx_missing() { return "this build has no code for it"; }
const SplitGemm* amx() { return nullptr; }
#endif

}  // namespace steep::k
