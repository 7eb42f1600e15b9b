// Operands that kernels pack once and read often. Weights of a network that is looked through, attacked or climbed, and
// not trained, are packed for all calls of a program: they are constant as long as nothing has written into their
// memory and nobody outside of steep could. What several alike instructions read, as every step of a recurrent layer
// its weight, is packed for one call. Start reading at plan_panels.
#pragma once

#include <memory>
#include <vector>

#include "graph/program.h"
#include "kernels/panels.h"

namespace steep {

// The panels of instructions that read the same operands in the same way.
class KeptPanels {
 public:
  struct Source {
    BufferId buffer;
    StorageRef constant;  // null: it may change from call to call
    std::size_t bytes;
  };
  KeptPanels(std::vector<Source> sources, bool read_often) : sources_(std::move(sources)), read_often_(read_often) {}

  void begin_call() { asked_ = false; }
  // The same for all instructions of a call. `base`: where the buffers are in this one.
  k::PanelStore* of_this_call(const Table<BufferId, char*>& base);
  std::size_t bytes() const { return kept_ ? kept_->bytes() : 0; }

 private:
  bool is_constant() const;
  k::PanelStore* of_constants();
  k::PanelStore* of_one_call(const Table<BufferId, char*>& base);

  std::vector<Source> sources_;
  bool read_often_;  // in one call
  std::unique_ptr<k::PanelStore> kept_;
  const char* at_ = nullptr;  // the first source when kept_ was made
  k::PanelStore* now_ = nullptr;
  bool asked_ = false;
  std::uint64_t versions_ = 0;  // of constant sources, summed, at the last call
  bool seen_ = false;           // there was one
};

struct PanelPlan {
  Table<InstructionId, int> of;  // which panels, or -1
  Table<int, KeptPanels> panels;
};
PanelPlan plan_panels(const Program& p);

}  // namespace steep
