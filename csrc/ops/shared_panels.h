// What pieces of a product have in common, B where each is some rows of it, is packed once, by all threads, before the
// pieces are computed. A piece would pack it by itself, so the time for it would not shrink with the number of threads.
#pragma once

#include <optional>

#include "kernels/panels.h"
#include "kernels/product.h"

namespace steep {

// Packs B for pieces like the one given, if that gains; while this lives, products on any thread find it.
class SharedPanels {
 public:
  SharedPanels(k::Gemm gemm, const k::Operands& piece, std::int64_t item);  // bytes of an element

 private:
  std::optional<k::PanelStore> panels_;
  std::optional<k::PanelScope> scope_;
};

}  // namespace steep
