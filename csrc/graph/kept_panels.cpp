// Which instructions share panels, when these are kept, and when they are given up.
#include "graph/kept_panels.h"

#include <algorithm>
#include <map>

namespace steep {
namespace {

// From how many alike instructions on an operand is packed for one call: kept panels are written to memory, where those
// of one product stay in cache.
constexpr std::size_t often = 3;

bool is_constant(const Buffer& b) {
  const bool unwritten = b.place == Place::constant || (b.place == Place::captured && !b.written);
  return unwritten && b.storage && !b.storage->release;
}

// What has to be equal for two instructions to share the panels of operand i: the memory, and all that a layout depends
// on.
using Likeness = std::vector<std::int64_t>;
Likeness likeness_of(const Instruction& c, std::size_t i) {
  Likeness all{reinterpret_cast<std::intptr_t>(c.op), static_cast<std::int64_t>(i),
               static_cast<std::int64_t>(c.in[i].buffer), c.in[i].offset};
  const auto add = [&](const View& v) {
    all.push_back(static_cast<std::int64_t>(v.dtype));
    all.insert(all.end(), v.shape.begin(), v.shape.end());
    all.insert(all.end(), v.strides.begin(), v.strides.end());
  };
  for (const View& v : c.in) add(v);
  add(c.out);
  for (const std::int64_t word : c.attrs.stored()) all.push_back(word);
  return all;
}

class Planner {
 public:
  explicit Planner(const Program& p) : p_(p), writers_(p.buffers.size()) {
    for (const InstructionId i : p.code.ids()) {
      const Instruction& c = p.code[i];
      writers_[c.out.buffer].push_back(i);
      each_packed(c, [&](std::size_t operand) { alike_[likeness_of(c, operand)].push_back(i); });
    }
  }
  PanelPlan plan() {
    PanelPlan found{Table<InstructionId, int>(p_.code.size(), -1), {}};
    std::map<Likeness, int> numbers;
    for (const InstructionId i : p_.code.ids()) {
      const std::vector<std::size_t> operands = kept_operands(i);
      if (operands.empty()) continue;
      Likeness name;
      for (const std::size_t o : operands) {
        const Likeness one = likeness_of(p_.code[i], o);
        name.insert(name.end(), one.begin(), one.end());
      }
      const auto [at, is_new] = numbers.try_emplace(name, -1);
      if (is_new) at->second = found.panels.add(panels_of(i, operands));
      found.of[i] = at->second;
    }
    return found;
  }

 private:
  // Masks name three operands; a concatenation has any number.
  template <class F> static void each_packed(const Instruction& c, F f) {
    for (std::size_t i = 0; i < std::min<std::size_t>(3, c.in.size()); ++i)
      if (!c.loop && (c.op->packs >> i & 1)) f(i);
  }
  bool constant(const View& v) const { return is_constant(p_.buffer(v)); }
  // Read by some alike instructions, and not written from the first to the last of them.
  bool read_often(InstructionId i, std::size_t operand) const {
    const Instruction& c = p_.code[i];
    const std::vector<InstructionId>& readers = alike_.at(likeness_of(c, operand));
    if (readers.size() < often) return false;
    const std::vector<InstructionId>& writers = writers_[c.in[operand].buffer];
    return std::none_of(writers.begin(), writers.end(),
                        [&](InstructionId w) { return w > readers.front() && w < readers.back(); });
  }
  // All that are constant, else those that are read often.
  std::vector<std::size_t> kept_operands(InstructionId i) const {
    std::vector<std::size_t> constants, others;
    each_packed(p_.code[i], [&](std::size_t o) {
      if (constant(p_.code[i].in[o])) constants.push_back(o);
      else if (read_often(i, o)) others.push_back(o);
    });
    return constants.empty() ? others : constants;
  }
  KeptPanels panels_of(InstructionId i, const std::vector<std::size_t>& operands) const {
    std::vector<KeptPanels::Source> sources;
    bool all_often = true;
    for (const std::size_t o : operands) {
      const View& v = p_.code[i].in[o];
      const Buffer& b = p_.buffer(v);
      sources.push_back({v.buffer, constant(v) ? b.storage : StorageRef(), b.bytes});
      all_often = all_often && read_often(i, o);
    }
    return {std::move(sources), all_often};
  }

  const Program& p_;
  Table<BufferId, std::vector<InstructionId>> writers_;
  std::map<Likeness, std::vector<InstructionId>> alike_;
};

}  // namespace

bool KeptPanels::is_constant() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const Source& s) { return s.constant.get() != nullptr; });
}

k::PanelStore* KeptPanels::of_this_call(const Table<BufferId, char*>& base) {
  if (asked_) return now_;
  asked_ = true;
  now_ = is_constant() ? of_constants() : nullptr;
  if (!now_ && read_often_) now_ = of_one_call(base);
  return now_;
}

// Null for the first call after a change, whose panels may be needed once only: of weights that an optimiser renews.
k::PanelStore* KeptPanels::of_constants() {
  std::uint64_t versions = 0;
  for (const Source& s : sources_) versions += s.constant->version;
  const bool exported =
      std::any_of(sources_.begin(), sources_.end(), [](const Source& s) { return s.constant->exports > 0; });
  if (exported || !seen_ || versions != versions_) {
    kept_.reset();
    seen_ = !exported;
    versions_ = versions;
    return nullptr;
  }
  if (!kept_) {
    kept_ = std::make_unique<k::PanelStore>();
    for (const Source& s : sources_) kept_->add_source(s.constant->data, s.constant->bytes);
  }
  return kept_.get();
}

// Memory is kept from call to call, what it holds is not.
k::PanelStore* KeptPanels::of_one_call(const Table<BufferId, char*>& base) {
  const char* at = base[sources_[0].buffer];
  if (kept_ && at_ == at && sources_.size() == 1) {
    kept_->forget();
    return kept_.get();
  }
  kept_ = std::make_unique<k::PanelStore>();
  for (const Source& s : sources_) kept_->add_source(base[s.buffer], s.bytes);
  at_ = at;
  return kept_.get();
}

PanelPlan plan_panels(const Program& p) { return Planner(p).plan(); }

}  // namespace steep
