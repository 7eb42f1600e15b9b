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

// The panels of constant operands that instructions read in the same way, in one program or several.
class ConstantPanels {
 public:
  explicit ConstantPanels(std::vector<StorageRef> sources) : sources_(std::move(sources)) {}

  // For a call that begins. Null for the first one after a change, whose panels may be needed once only: of weights
  // that an optimiser renews.
  std::shared_ptr<k::PanelStore> of_next_call();
  std::size_t bytes() const { return kept_ ? kept_->bytes() : 0; }

 private:
  bool exported() const;

  std::vector<StorageRef> sources_;
  std::shared_ptr<k::PanelStore> kept_;  // shared with the calls in progress
  std::uint64_t versions_ = 0;           // of the sources, summed, at the last call
  bool seen_ = false;                    // there was one
};

// The panels that alike instructions of one program read.
class KeptPanels {
 public:
  struct Source {
    BufferId buffer;
    std::size_t bytes;
  };
  // constants: null if an operand may change from call to call.
  KeptPanels(std::vector<Source> sources, std::shared_ptr<ConstantPanels> constants, bool read_often)
      : sources_(std::move(sources)), constants_(std::move(constants)), read_often_(read_often) {}

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

  std::vector<Source> sources_;
  std::shared_ptr<ConstantPanels> constants_;
  bool read_often_;                          // in one call
  std::shared_ptr<k::PanelStore> now_;       // of the call in progress
  bool asked_ = false;                       // whether now_ is found
  std::shared_ptr<k::PanelStore> one_call_;  // memory that of_one_call uses again
  const char* at_ = nullptr;                 // the first source when one_call_ was made
};

struct PanelPlan {
  Table<InstructionId, int> of;  // which panels, or -1
  Table<int, KeptPanels> panels;
};
PanelPlan plan_panels(const Program& p);

}  // namespace steep
