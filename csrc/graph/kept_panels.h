// Operands that kernels pack once and read often. Weights of a network that is looked through, attacked or climbed, and
// not trained, are packed for all calls of all programs that read them alike: they are constant as long as nothing has
// written into their memory and nobody outside of steep could. What several alike instructions read, as every step of a
// recurrent layer its weight, is packed for one call. Start reading at plan_panels.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph/program.h"
#include "kernels/panels.h"

namespace steep {

// The panels of a constant operand that instructions read in the same way, in one program or several.
class ConstantPanels {
 public:
  explicit ConstantPanels(StorageRef source) : source_(std::move(source)) {}

  // For a call that begins. Null for the first one after a change, whose panels may be needed once only, as those of
  // weights that an optimiser renews; but not if the values before were read by several calls, as by those of shards.
  std::shared_ptr<k::PanelStore> of_next_call();
  std::size_t bytes() const { return kept_ ? kept_->bytes() : 0; }

 private:
  void begin_version();

  StorageRef source_;
  std::shared_ptr<k::PanelStore> kept_;       // shared with the calls in progress
  std::uint64_t version_ = 0;                 // of the source, at the last call
  std::size_t calls_ = 0, calls_before_ = 0;  // that read this version, and the one before
};

// The panels of an operand that alike instructions of one program read.
class KeptPanels {
 public:
  // constant: null if the operand may change from call to call.
  KeptPanels(BufferId source, std::size_t bytes, std::shared_ptr<ConstantPanels> constant, bool read_often)
      : source_(source), bytes_(bytes), constant_(std::move(constant)), read_often_(read_often) {}

  void begin_call() { end_call(); }
  void end_call() {
    now_ = nullptr;
    asked_ = false;
  }
  // The same for all instructions of a call. `base`: where the buffers are in this one.
  k::PanelStore* of_this_call(const Table<BufferId, char*>& base);
  std::size_t bytes() const;

 private:
  std::shared_ptr<k::PanelStore> of_one_call(const Table<BufferId, char*>& base);

  BufferId source_;
  std::size_t bytes_;
  std::shared_ptr<ConstantPanels> constant_;
  bool read_often_;                          // in one call
  std::shared_ptr<k::PanelStore> now_;       // of the call in progress
  bool asked_ = false;                       // whether now_ is found
  std::shared_ptr<k::PanelStore> one_call_;  // memory that of_one_call uses again
  const char* at_ = nullptr;                 // the source when one_call_ was made
};

struct PanelPlan {
  Table<InstructionId, std::vector<int>> of;  // which panels
  Table<int, KeptPanels> panels;
};
PanelPlan plan_panels(const Program& p);

}  // namespace steep
