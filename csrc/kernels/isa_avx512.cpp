// The kernels for x86-64-v4: 512-bit vectors, masked loads and stores.
// CMakeLists.txt compiles this file with that set's flags; the code is the same for every set, in table_fill.inl.h.
#include "kernels/isa_headers.h"
#include "kernels/table.h"

namespace steep::k {
namespace isa_avx512 {
namespace {
#include "kernels/table_fill.inl.h"
}  // namespace
}  // namespace isa_avx512

extern const Table table_avx512;
constinit const Table table_avx512 = isa_avx512::make_table("avx512");

}  // namespace steep::k
