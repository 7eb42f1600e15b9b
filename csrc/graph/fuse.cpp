// Grouping: in program order, an elementwise instruction joins the groups that compute its operands, if both iterate
// over the same elements in the same order and no other unit has to run in between. Start reading at fuse().
#include "graph/fuse.h"

#include <algorithm>
#include <queue>

namespace steep {
namespace {

constexpr int most_members = 512, patience = 4096;

// An instruction that must run before another. `joins`: the two may still be in one group, since each element of the
// later one needs only the same element of the earlier one.
struct Need {
  InstructionId earlier;
  bool joins;
};

struct Needs {
  Table<InstructionId, std::vector<Need>> of;
  explicit Needs(const Program& p)
      : of(p.code.size()), writer_(p.buffers.size(), InstructionId::none), readers_(p.buffers.size()) {
    for (const InstructionId i : p.code.ids()) add(p, i);
  }
  // The last one that writes it.
  InstructionId writer(BufferId b) const { return writer_[b]; }

 private:
  struct Read {
    InstructionId by;
    const View* view;
  };
  void add(const Program& p, InstructionId i) {
    const Instruction& c = p.code[i];
    auto& needs = of[i];
    for (const View& v : c.in) {
      const BufferId b = v.buffer;
      if (is_some(writer_[b])) needs.push_back({writer_[b], joins(p, writer_[b], v)});
      readers_[b].push_back({i, &v});
    }
    refuse_first(p, i);
    const BufferId b = c.out.buffer;
    if (c.in_place) {
      if (is_some(writer_[b])) needs.push_back({writer_[b], joins(p, writer_[b], c.out)});
      for (const Read& r : readers_[b])
        if (r.by != i) needs.push_back({r.by, read_in_step(p, r, c.out)});
      readers_[b].clear();
    }
    writer_[b] = i;
  }
  // Instructions that may raise (an index out of range) do so in the order of the function, and before anything that
  // outlives the call is written: an error leaves parameters unchanged.
  void refuse_first(const Program& p, InstructionId i) {
    const Instruction& c = p.code[i];
    const bool refuses = c.op->may_raise && !c.loop, lasting = c.in_place && p.buffer(c.out).place != Place::temporary;
    if (is_some(last_refusal_) && (refuses || lasting)) of[i].push_back({last_refusal_, false});
    if (refuses) last_refusal_ = i;
  }
  // A reduction reads whole tiles, after every step: its operand must not be written by a step.
  static bool read_in_step(const Program& p, const Read& r, const View& out) {
    return is_elementwise(p.code[r.by]) && same_elements(*r.view, out);
  }
  static bool joins(const Program& p, InstructionId writer, const View& v) {
    const Instruction& w = p.code[writer];
    return is_elementwise(w) && same_elements(w.out, v);
  }
  Table<BufferId, InstructionId> writer_;
  Table<BufferId, std::vector<Read>> readers_;
  InstructionId last_refusal_ = InstructionId::none;
};

class Grouping {
 public:
  // `exact`: no path between units is overlooked.
  Grouping(const Program& p, bool exact)
      : p_(p), exact_(exact), needs_(p), unit_of_(p.code.size()), place_(p.code.size()), seen_(p.code.size(), 0) {
    for (const InstructionId i : p.code.ids()) unit_of_[i] = units_.add({{i}, is_elementwise(p.code[i])});
  }
  Table<UnitId, Unit> run() {
    for (const InstructionId i : p_.code.ids())
      if (is_elementwise(at(i)) || is_fold(at(i))) join(i);
    return ordered();
  }
  bool complete() const { return placed_ == p_.code.size(); }

 private:
  const Instruction& at(InstructionId i) const { return p_.code[i]; }
  Unit& unit(UnitId u) { return units_[u]; }
  UnitId unit_of(InstructionId i) const { return unit_of_[i]; }
  const std::vector<Need>& needs(InstructionId i) const { return needs_.of[i]; }

  static std::int64_t elements(const Instruction& c) { return is_fold(c) ? c.in[0].count() : c.out.count(); }

  void join(InstructionId i) {
    for (const Need& n : needs(i)) {
      const UnitId a = unit_of(n.earlier), b = unit_of(i);
      if (a == b || !n.joins || !unit(a).group || !fits(unit(a), at(i)) || !legal(a, b)) continue;
      merge(a, b);
    }
  }
  // The same number of elements, and reductions of one length only.
  bool fits(const Unit& u, const Instruction& c) const {
    if (elements(at(u.members[0])) != elements(c) || u.members.size() >= most_members) return false;
    const std::int64_t length = is_fold(c) ? fold_length(c) : 0;
    for (const InstructionId m : u.members)
      if (length && is_fold(at(m)) && (fold_length(at(m)) != length || at(m).in[0].dtype != c.in[0].dtype))
        return false;
    return true;
  }
  bool same_folds(const Unit& a, const Unit& b) const {
    for (const InstructionId m : b.members)
      if (is_fold(at(m)) && !fits(a, at(m))) return false;
    return a.members.size() + b.members.size() <= most_members;
  }
  // No unit lies between the two, and all their dependences allow joining.
  bool legal(UnitId a, UnitId b) { return same_folds(unit(a), unit(b)) && clear(b, a) && clear(a, b); }

  bool clear(UnitId from, UnitId to) {
    ++stamp_;
    budget_ = patience;
    const InstructionId stop = unit(to).members.front();
    for (const InstructionId m : unit(from).members)
      for (const Need& n : needs(m)) {
        const UnitId u = unit_of(n.earlier);
        if (u == from) continue;
        if (u == to ? !n.joins : reaches(u, from, to, stop)) return false;
      }
    return true;
  }
  // Whether unit u depends on `to` through units other than `from`. Units that end before `to` begins are assumed not
  // to depend on it: rarely one does, through a group that spans them, and then exact_ is used.
  bool reaches(UnitId u, UnitId from, UnitId to, InstructionId stop) {
    std::vector<UnitId> open{u};
    while (!open.empty()) {
      const UnitId next = open.back();
      open.pop_back();
      if (next == to || --budget_ < 0) return true;
      int& mark = seen_[next];
      if (next == from || mark == stamp_ || (!exact_ && unit(next).members.back() < stop)) continue;
      mark = stamp_;
      for (const InstructionId m : unit(next).members)
        for (const Need& n : needs(m))
          if (unit_of(n.earlier) != next) open.push_back(unit_of(n.earlier));
    }
    return false;
  }
  void merge(UnitId a, UnitId b) {
    Unit& to = unit(b);
    for (const InstructionId m : unit(a).members) unit_of_[m] = b;
    std::vector<InstructionId> all;
    std::merge(unit(a).members.begin(), unit(a).members.end(), to.members.begin(), to.members.end(),
               std::back_inserter(all));
    to.members = std::move(all);
    to.group = true;
    unit(a).members.clear();
  }

  // Units in dependence order; of those ready, the one recorded first.
  std::vector<UnitId> sequence() {
    Table<UnitId, int> waits(units_.size(), 0);
    Table<UnitId, std::vector<UnitId>> frees(units_.size());
    for (const UnitId u : units_.ids())
      for (const InstructionId m : unit(u).members)
        for (const Need& n : needs(m))
          if (unit_of(n.earlier) != u) {
            frees[unit_of(n.earlier)].push_back(u);
            ++waits[u];
          }
    using Ready = std::pair<InstructionId, UnitId>;
    std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
    const auto offer = [&](UnitId u) { ready.emplace(unit(u).members.back(), u); };
    for (const UnitId u : units_.ids())
      if (!unit(u).members.empty() && waits[u] == 0) offer(u);
    std::vector<UnitId> order;
    while (!ready.empty()) {
      const UnitId u = ready.top().second;
      ready.pop();
      for (const UnitId next : frees[u])
        if (--waits[next] == 0) offer(next);
      placed_ += unit(u).members.size();
      order.push_back(u);
    }
    return order;
  }
  Table<UnitId, Unit> ordered() {
    std::vector<UnitId> order = sequence();
    if (!complete()) return {};
    number(order, 0, order.size());
    for (std::size_t at = 0; at < order.size(); ++at) bring_forward(order, at);
    Table<UnitId, Unit> placed;
    for (const UnitId u : order) placed.add(std::move(unit(u)));
    for (Unit& u : placed) u.finishes = product_of(placed, u);
    return placed;
  }
  void number(const std::vector<UnitId>& order, std::size_t from, std::size_t end) {
    for (std::size_t i = from; i < end; ++i) place_[order[i]] = static_cast<UnitId>(i);
  }

  // What a group needs beside a product moves ahead of that product, if it can, so that the group finishes the product:
  // the scale of a batch norm, for instance, which is computed after the convolution.
  void bring_forward(std::vector<UnitId>& order, std::size_t at) {
    constexpr std::size_t farthest = 64;
    if (!unit(order[at]).group) return;
    const std::size_t product = last_product(order, at);
    if (product + 1 >= at || at - product > farthest) return;
    std::vector<bool> after(at - product, false), wanted(at - product, false);  // needs the product; the group needs it
    const auto each_need = [&](std::size_t i, const auto& f) {
      for (const InstructionId m : unit(order[i]).members)
        for (const Need& n : needs(m)) {
          const auto place = static_cast<std::size_t>(place_[unit_of(n.earlier)]);
          if (place >= product && place < i) f(place - product);
        }
    };
    after[0] = true;
    for (std::size_t i = product + 1; i < at; ++i)
      each_need(i, [&](std::size_t n) { after[i - product] = after[i - product] || after[n]; });
    each_need(at, [&](std::size_t n) { wanted[n] = true; });
    for (std::size_t i = at - 1; i > product; --i)
      if (wanted[i - product]) each_need(i, [&](std::size_t n) { wanted[n] = true; });
    for (std::size_t i = 1; i < at - product; ++i)
      if (wanted[i] && after[i]) return;
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(product);
    std::vector<UnitId> ahead, behind;
    for (std::size_t i = 0; i < at - product; ++i) (wanted[i] && i > 0 ? ahead : behind).push_back(order[product + i]);
    std::copy(behind.begin(), behind.end(), std::copy(ahead.begin(), ahead.end(), begin));
    number(order, product, at);
  }
  // Where the last product is that the group at `at` could finish, or `at`.
  std::size_t last_product(const std::vector<UnitId>& order, std::size_t at) const {
    std::size_t found = at;
    for (const InstructionId m : units_[order[at]].members)
      for (const Need& n : needs(m)) {
        const UnitId u = unit_of(n.earlier);
        if (u == order[at] || !may_be_finished(units_[u], units_[order[at]])) continue;
        const auto place = static_cast<std::size_t>(place_[u]);
        if (found == at || place > found) found = place;
      }
    return found;
  }
  // Whether a group may run on the parts of a product as they are finished.
  bool may_be_finished(const Unit& product, const Unit& group) const {
    if (product.members.size() != 1 || product.group) return false;
    const Instruction& c = at(product.members[0]);
    return c.op->compute_parts && !c.in_place && is_finished_by(group, c);
  }

  // The unit that writes a buffer last, none where none does.
  UnitId maker(const View& v) const {
    return is_some(needs_.writer(v.buffer)) ? unit_of(needs_.writer(v.buffer)) : UnitId::none;
  }
  // Where an instruction's unit comes in the order.
  UnitId place(InstructionId i) const { return place_[unit_of(i)]; }
  // The last unit that a group depends on, if the group can finish it.
  UnitId product_of(const Table<UnitId, Unit>& order, const Unit& u) const {
    UnitId last = UnitId::none;
    for (const InstructionId m : u.members)
      for (const Need& n : needs(m))
        if (place(n.earlier) != place(m)) last = std::max(last, place(n.earlier));
    if (!is_some(last) || !u.group || !may_be_finished(order[last], u)) return UnitId::none;
    for (const Unit& other : order)
      if (other.finishes == last) return UnitId::none;
    return last;
  }
  // Parts of a product read operands that other parts have finished with: x += x @ w is added when all of it is there.
  static bool writes_operand(const Instruction& c, const Instruction& product) {
    return c.in_place &&
           std::any_of(product.in.begin(), product.in.end(), [&](const View& v) { return v.buffer == c.out.buffer; });
  }
  // With more other operands of the same shape a separate pass is faster, unless a part is all there is of a row.
  bool is_finished_by(const Unit& u, const Instruction& product) const {
    std::vector<BufferId> arrays;
    for (const InstructionId m : u.members) {
      if (is_fold(at(m)) || writes_operand(at(m), product)) return false;
      for (const View& v : at(m).in) {
        if (v.buffer == product.out.buffer && !same_elements(v, product.out)) return false;
        const bool made_here = p_.buffer(v).place == Place::temporary && maker(v) == unit_of(m);
        if (v.count() == product.out.count() && !made_here) arrays.push_back(v.buffer);
      }
    }
    std::sort(arrays.begin(), arrays.end());
    const auto others = std::unique(arrays.begin(), arrays.end()) - arrays.begin() - 1;
    const bool one_row = product.out.shape.size() > 0 && product.out.shape.back() == product.out.count();
    return others <= (one_row ? 1 : product.op->part_arrays) && at(u.members[0]).out.count() == product.out.count();
  }

  const Program& p_;
  bool exact_;
  std::size_t placed_ = 0;  // instructions of ordered units; those in a cycle are never ordered
  Needs needs_;
  Table<InstructionId, UnitId> unit_of_;
  Table<UnitId, UnitId> place_;  // in the order found so far
  Table<UnitId, Unit> units_;
  Table<UnitId, int> seen_;
  int stamp_ = 0, budget_ = 0;
};

}  // namespace

bool is_elementwise(const Instruction& c) {
  return c.loop && c.in.size() <= 3 && c.out.contiguous() && c.out.count() > 0;
}

bool is_fold(const Instruction& c) {
  if (c.op->fold == k::Reduction::count || c.in_place || !is_float(c.in[0].dtype)) return false;
  const unsigned axes = c.attrs.as<Reduce>().axes;
  const int n = c.in[0].shape.size();
  bool trailing = axes != 0;
  for (int d = 0; d + 1 < n; ++d) trailing = trailing && !((axes >> d & 1) && !(axes >> (d + 1) & 1));
  return trailing && (axes >> (n - 1) & 1) && c.in[0].contiguous() && c.in[0].count() > 0;
}

std::int64_t fold_length(const Instruction& c) { return c.in[0].count() / c.out.count(); }

Table<UnitId, Unit> fuse(const Program& p) {
  for (const bool exact : {false, true}) {
    Grouping grouping(p, exact);
    Table<UnitId, Unit> units = grouping.run();
    if (grouping.complete()) return units;
  }
  fail<CompileError>("compile: no order of the instructions respects what they need of each other; please report this");
}

}  // namespace steep
