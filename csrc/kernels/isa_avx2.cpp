// The kernels for x86-64-v3: 256-bit vectors with fused multiply-add.
// CMakeLists.txt compiles this file with that set's flags; the code is the same for every set, in table_fill.inl.h.
#include "kernels/isa_headers.h"
#include "kernels/table.h"

namespace steep::k {
namespace isa_avx2 {
namespace {
#include "kernels/table_fill.inl.h"
}  // namespace
}  // namespace isa_avx2

extern const Table table_avx2;
constinit const Table table_avx2 = isa_avx2::make_table("avx2");

}  // namespace steep::k
