// When panels are kept, and when they are given up.
#include "graph/constant_panels.h"

#include <algorithm>

namespace steep {

void ConstantPanels::add(const Buffer& b) {
  const bool constant = b.place == Place::constant || (b.place == Place::captured && !b.written);
  if (constant && b.storage && !b.storage->release) sources_.push_back(b.storage);
}

k::PanelStore* ConstantPanels::of_this_call() {
  if (sources_.empty()) return nullptr;
  std::uint64_t versions = 0;
  for (const StorageRef& s : sources_) versions += s->version;
  const bool exported =
      std::any_of(sources_.begin(), sources_.end(), [](const StorageRef& s) { return s->exports > 0; });
  if (exported || !seen_ || versions != versions_) {
    kept_.reset();
    seen_ = !exported;
    versions_ = versions;
    return nullptr;
  }
  if (!kept_) {
    kept_ = std::make_unique<k::PanelStore>();
    for (const StorageRef& s : sources_) kept_->add_source(s->data, s->bytes);
  }
  return kept_.get();
}

}  // namespace steep
