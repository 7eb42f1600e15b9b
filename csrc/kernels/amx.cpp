// Whether AMX's tiles may be used: the processor has them, the system grants them, and on this processor they give the
// bits that split.inl.h promises. Asked once, by the first product that would gain. Start reading at amx().
#include <cstring>

#include "kernels/table.h"

#if defined(STEEP_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace steep::k {

#if defined(STEEP_AMX)
extern const SplitGemm split_amx;

namespace {

// AMX-TILE and AMX-BF16 of the processor, and both halves of the tiles' state switched on by the system.
bool processor_has_tiles() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 22 & 1)) return false;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low >> 17 & 3) == 3;
}

// Linux hands the 8 KB of tiles out on request only; threads started later inherit the permission.
bool system_grants_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

// Numbers of all magnitudes that the parts meet, positive and negative.
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
  tiles(m, n, k, a, k, 1, b, n, 1, x, n, nullptr);
  plain(m, n, k, a, k, 1, b, n, 1, y, n, nullptr);
  return std::memcmp(x, y, sizeof x) == 0;
}

}  // namespace

// For split_test, which emulates the tiles, as well as for amx().
bool tiles_keep_the_promise();
bool tiles_keep_the_promise() {
  float a[17 * 70], b[70 * 33];
  fill(a, 17 * 70, 1);
  fill(b, 70 * 33, 2);
  const SplitGemm& plain = table().split;
  return same_bits(split_amx.six, plain.six, a, b) && same_bits(split_amx.one, plain.one, a, b);
}

const SplitGemm* amx() {
  static const bool usable =
      !std::strcmp(table().isa, "avx512") && processor_has_tiles() && system_grants_tiles() && tiles_keep_the_promise();
  return usable ? &split_amx : nullptr;
}
#else
const SplitGemm* amx() { return nullptr; }
#endif

}  // namespace steep::k
