// The memory of shared panels is the calling thread's, and kept for the next product. Start reading at SharedPanels.
#include "ops/shared_panels.h"

#include "core/parallel.h"
#include "kernels/integers.h"
#include "ops/precision.h"

namespace steep {
namespace {

constexpr std::size_t most_bytes = 1 << 25;  // of panels, which a thread keeps
constexpr double nanoseconds = 0.4;          // for an element

// From the first to the last element of B.
std::size_t spanned(const k::Operands& x, std::int64_t item) {
  return static_cast<std::size_t>(((x.n - 1) * x.b_col + (x.k - 1) * x.b_row + 1) * item);
}

}  // namespace

SharedPanels::SharedPanels(k::Gemm gemm, const k::Operands& piece, std::int64_t item) {
  const k::SharedPacking* packing = shared_packing(gemm);
  if (!packing || piece.b_row < 0 || piece.b_col < 0 || k::is_kept(piece.b)) return;
  const auto *b = static_cast<const char*>(piece.b), *a = static_cast<const char*>(piece.a);
  const std::size_t bytes = spanned(piece, item);
  if (a >= b && a < b + bytes) return;  // A would be looked for among the panels, too
  const k::SharedSize size = packing->size(piece);
  if (size.units == 0 || size.bytes > most_bytes) return;
  panels_.emplace(k::scratch(k::Scratch::shared, size.bytes), size.bytes);
  panels_->add_source(b, bytes);
  k::PanelStores stores = k::panel_stores();
  stores.add(&*panels_);
  scope_.emplace(stores);
  const double cost = nanoseconds * static_cast<double>(piece.n * piece.k) / static_cast<double>(size.units);
  parallel_for(size.units, k::ceil_div(size.units, threads()), cost,
               [&](std::int64_t from, std::int64_t to) { packing->pack(piece, from, to); });
}

}  // namespace steep
