// The kernels for x86-64-v2 (SSE4.2), or the default of a processor without a file of its own. CMakeLists.txt compiles
// this file with that set's flags; the code is the same for every set, in table_fill.inl.h.
#include "kernels/isa_headers.h"
#include "kernels/table.h"

namespace steep::k {
namespace isa_baseline {
namespace {
#include "kernels/table_fill.inl.h"
}  // namespace
}  // namespace isa_baseline

extern const Table table_baseline;
constinit const Table table_baseline = isa_baseline::make_table("baseline");

}  // namespace steep::k
