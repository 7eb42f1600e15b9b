// The kernels for 64-bit ARM: 128-bit vectors.
// CMakeLists.txt compiles this file with that set's flags; the code is the same for every set, in table_fill.inl.h.
#include "kernels/isa_headers.h"
#include "kernels/table.h"

namespace steep::k {
namespace isa_neon {
namespace {
#include "kernels/table_fill.inl.h"
}  // namespace
}  // namespace isa_neon

extern const Table table_neon;
constinit const Table table_neon = isa_neon::make_table("neon");

}  // namespace steep::k
