// Products of bfloat16 parts by AMX's tiles. The packing, blocking and guard are those of split.inl.h; here are the
// inner loops, which hold 32 x 32 of C in four tiles and use four for A and B. Tiles are configured by every call of
// the kernel for its own thread, and released at its end. Start reading at Amx::panels.
#include "kernels/isa_headers.h"
#include "kernels/table.h"

namespace steep::k {
namespace isa_amx {
namespace {

#include "kernels/vec.h"
#include "kernels/gemm_micro.inl.h"
#include "kernels/gemm_transpose.inl.h"
#include "kernels/gemm_pack.inl.h"
#include "kernels/split_pack.inl.h"
#include "kernels/split_lanes.inl.h"
#include "kernels/split_guard.inl.h"
#include "kernels/split_plain.inl.h"
#include "kernels/split.inl.h"
#include "kernels/conv_pack.inl.h"
#include "kernels/conv_places.inl.h"
#include "kernels/conv_canvas.inl.h"
#include "kernels/split_canvas.inl.h"
#include "kernels/split_conv.inl.h"
#include "kernels/split_conv_weight.inl.h"

// What LDTILECFG reads: all eight tiles are 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The two tiles of one part of A in tiles 4 and 5, of B in 6 and 7. Macros, since tile numbers are part of the opcode.
#define STEEP_LOAD_A(p)                  \
  _tile_loadd(4, x.a.tile(t, p, 0), 64); \
  _tile_loadd(5, x.a.tile(t, p, 1), 64)
#define STEEP_LOAD_B(p)                  \
  _tile_loadd(6, x.b.tile(t, p, 0), 64); \
  _tile_loadd(7, x.b.tile(t, p, 1), 64)
#define STEEP_MULTIPLY()   \
  _tile_dpbf16ps(0, 4, 6); \
  _tile_dpbf16ps(1, 4, 7); \
  _tile_dpbf16ps(2, 5, 6); \
  _tile_dpbf16ps(3, 5, 7)

struct Amx {
  Amx() {
    static constexpr TileConfig config;  // constant memory: the intrinsic tells GCC of its first bytes alone
    _tile_loadconfig(&config);
  }
  ~Amx() { _tile_release(); }
  Amx(const Amx&) = delete;
  Amx& operator=(const Amx&) = delete;

  // What is read later, into the second-level cache. Before all else, since tiles' loads wait for one another.
  STEEP_INLINE static const std::uint32_t* prefetch(const std::uint32_t* next, std::int64_t lines) {
    for (std::int64_t i = 0; i < lines; ++i, next += split::line_words) __builtin_prefetch(next, 0, 2);
    return next;
  }

  // In the order of small_products, which changes one of the two operands at a time.
  template <class Pair> static void add_small(const Pair& x) {
    const std::uint32_t* next = x.next;
    for (std::int64_t t = 0; t < x.tiles; ++t) {
      next = prefetch(next, x.lines);
      STEEP_LOAD_A(2);
      STEEP_LOAD_B(0);
      STEEP_MULTIPLY();
      STEEP_LOAD_A(1);
      STEEP_MULTIPLY();
      STEEP_LOAD_B(1);
      STEEP_MULTIPLY();
      STEEP_LOAD_A(0);
      STEEP_MULTIPLY();
      STEEP_LOAD_B(2);
      STEEP_MULTIPLY();
    }
  }
  template <int parts, class Pair> static void add_large(const Pair& x) {
    const std::uint32_t* next = x.next;
    for (std::int64_t t = 0; t < x.tiles; ++t) {
      if constexpr (parts == 1) next = prefetch(next, x.lines);
      STEEP_LOAD_A(0);
      STEEP_LOAD_B(0);
      STEEP_MULTIPLY();
    }
  }
  // As Plain::panels.
  template <int parts, class Pair> static void panels(const Pair& x) {
    const auto row_bytes = static_cast<std::int64_t>(x.ldc * sizeof(float));
    float* below = x.c + split::tile_lanes * x.ldc;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if constexpr (parts == 3)
      if (x.small) add_small(x);
    add_large<parts>(x);
    _tile_stored(0, x.c, row_bytes);
    _tile_stored(1, x.c + split::tile_lanes, row_bytes);
    _tile_stored(2, below, row_bytes);
    _tile_stored(3, below + split::tile_lanes, row_bytes);
  }
};

}  // namespace
}  // namespace isa_amx

extern const SplitGemm split_amx;
constinit const SplitGemm split_amx = isa_amx::split::products<isa_amx::Amx>;

}  // namespace steep::k
