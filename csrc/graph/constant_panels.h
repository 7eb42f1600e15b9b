// The constant operands of an instruction, packed once for all calls of a program: weights of a network that is looked
// through, attacked or climbed, and not trained. They are constant as long as nothing has written into their memory and
// nobody outside of steep could. Start reading at of_this_call.
#pragma once

#include <memory>
#include <vector>

#include "graph/program.h"
#include "kernels/panels.h"

namespace steep {

class ConstantPanels {
 public:
  // An operand that the kernel packs; one that may change from call to call is left out.
  void add(const Buffer& b);
  // Null for the first call after a change, whose panels may be needed once only: of weights that an optimiser renews.
  k::PanelStore* of_this_call();
  std::size_t bytes() const { return kept_ ? kept_->bytes() : 0; }

 private:
  std::vector<StorageRef> sources_;
  std::unique_ptr<k::PanelStore> kept_;
  std::uint64_t versions_ = 0;  // of the sources, summed, at the last call
  bool seen_ = false;           // there was one
};

}  // namespace steep
