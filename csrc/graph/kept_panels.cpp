// Which instructions share panels, when these are kept, and when they are given up.
#include "graph/kept_panels.h"

#include <algorithm>
#include <map>
#include <utility>

namespace steep {
namespace {

// From how many alike instructions on an operand is packed for one call, and from how many calls on it is packed at the
// first: kept panels are written to memory, where those of one product stay in cache.
constexpr std::size_t often = 3;

bool is_constant(const Buffer& b) {
  const bool unwritten = b.place == Place::constant || (b.place == Place::captured && !b.written);
  return unwritten && b.storage && !b.storage->release;
}

// What has to be equal for two instructions to share the panels of operand i: the memory, and all that a layout depends
// on. Memory that outlives the program is known by its address, other programs' instructions may share its panels.
using Likeness = std::vector<std::int64_t>;
Likeness likeness_of(const Program& p, const Instruction& c, std::size_t i) {
  const Buffer& memory = p.buffer(c.in[i]);
  Likeness all{reinterpret_cast<std::intptr_t>(c.op), static_cast<std::int64_t>(i),
               is_constant(memory) ? reinterpret_cast<std::intptr_t>(memory.storage.get())
                                   : static_cast<std::int64_t>(c.in[i].buffer),
               c.in[i].offset};
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

// The panels of constants that any program reads, for as long as one has them. Whoever plans, runs or drops a program
// holds the interpreter lock.
using AllConstants = std::map<Likeness, std::weak_ptr<ConstantPanels>>;
AllConstants& all_constants() {
  static auto& all = *new AllConstants;
  return all;
}
std::shared_ptr<ConstantPanels> constant_panels(const Likeness& of, const StorageRef& source) {
  std::weak_ptr<ConstantPanels>& entry = all_constants()[of];
  std::shared_ptr<ConstantPanels> found = entry.lock();
  if (!found) entry = found = std::make_shared<ConstantPanels>(source);
  return found;
}

class Planner {
 public:
  explicit Planner(const Program& p) : p_(p), writers_(p.buffers.size()) {
    for (const InstructionId i : p.code.ids()) {
      const Instruction& c = p.code[i];
      writers_[c.out.buffer].push_back(i);
      each_packed(c, [&](std::size_t operand) { alike_[likeness_of(p, c, operand)].push_back(i); });
    }
  }
  PanelPlan plan() {
    std::erase_if(all_constants(), [](const auto& entry) { return entry.second.expired(); });
    PanelPlan found{Table<InstructionId, std::vector<int>>(p_.code.size(), {}), {}};
    std::map<Likeness, int> numbers;
    for (const InstructionId i : p_.code.ids())
      for (const std::size_t o : kept_operands(i)) {
        const auto [at, is_new] = numbers.try_emplace(likeness_of(p_, p_.code[i], o), -1);
        if (is_new) at->second = found.panels.add(panels_of(i, o));
        found.of[i].push_back(at->second);
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
    const std::vector<InstructionId>& readers = alike_.at(likeness_of(p_, c, operand));
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
  KeptPanels panels_of(InstructionId i, std::size_t operand) const {
    const View& v = p_.code[i].in[operand];
    const Buffer& b = p_.buffer(v);
    return {v.buffer, b.bytes, constant(v) ? constant_panels(likeness_of(p_, p_.code[i], operand), b.storage) : nullptr,
            read_often(i, operand)};
  }

  const Program& p_;
  Table<BufferId, std::vector<InstructionId>> writers_;
  std::map<Likeness, std::vector<InstructionId>> alike_;
};

}  // namespace

std::shared_ptr<k::PanelStore> ConstantPanels::of_next_call() {
  if (source_->exports > 0) {
    kept_.reset();
    calls_ = calls_before_ = 0;
    return nullptr;
  }
  if (source_->version != version_) begin_version();
  if (++calls_ == 1 && calls_before_ < often) return nullptr;
  if (!kept_) {
    kept_ = std::make_shared<k::PanelStore>();
    kept_->add_source(source_->data, source_->bytes);
  }
  return kept_;
}

// The same memory serves again, unless the last version was read once only or a call in progress still reads it.
void ConstantPanels::begin_version() {
  if (calls_ > 1 && kept_.use_count() == 1) kept_->forget();
  else kept_.reset();
  version_ = source_->version;
  calls_before_ = std::exchange(calls_, 0);
}

std::size_t KeptPanels::bytes() const {
  return (constant_ ? constant_->bytes() : 0) + (one_call_ ? one_call_->bytes() : 0);
}

k::PanelStore* KeptPanels::of_this_call(const Table<BufferId, char*>& base) {
  if (asked_) return now_.get();
  asked_ = true;
  now_ = constant_ ? constant_->of_next_call() : nullptr;
  if (now_) one_call_.reset();
  else if (read_often_) now_ = of_one_call(base);
  return now_.get();
}

// Memory is kept from call to call, what it holds is not.
std::shared_ptr<k::PanelStore> KeptPanels::of_one_call(const Table<BufferId, char*>& base) {
  const char* at = base[source_];
  if (one_call_ && at_ == at) {
    one_call_->forget();
    return one_call_;
  }
  one_call_ = std::make_shared<k::PanelStore>();
  one_call_->add_source(at, bytes_);
  at_ = at;
  return one_call_;
}

PanelPlan plan_panels(const Program& p) { return Planner(p).plan(); }

}  // namespace steep
