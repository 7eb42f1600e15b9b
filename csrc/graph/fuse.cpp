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
  int earlier;
  bool joins;
};

struct Needs {
  std::vector<std::vector<Need>> of;  // by instruction
  explicit Needs(const Program& p) : of(p.code.size()), writer_(p.buffers.size(), -1), readers_(p.buffers.size()) {
    for (std::size_t i = 0; i < p.code.size(); ++i) add(p, static_cast<int>(i));
  }
  int writer(int buffer) const { return writer_[static_cast<std::size_t>(buffer)]; }

 private:
  struct Read {
    int by;
    const View* view;
  };
  void add(const Program& p, int i) {
    const Instruction& c = p.code[static_cast<std::size_t>(i)];
    auto& needs = of[static_cast<std::size_t>(i)];
    for (const View& v : c.in) {
      const auto b = static_cast<std::size_t>(v.buffer);
      if (writer_[b] >= 0) needs.push_back({writer_[b], joins(p, writer_[b], v)});
      readers_[b].push_back({i, &v});
    }
    refuse_first(p, i);
    const auto b = static_cast<std::size_t>(c.out.buffer);
    if (c.in_place) {
      if (writer_[b] >= 0) needs.push_back({writer_[b], joins(p, writer_[b], c.out)});
      for (const Read& r : readers_[b])
        if (r.by != i) needs.push_back({r.by, read_in_step(p, r, c.out)});
      readers_[b].clear();
    }
    writer_[b] = i;
  }
  // Instructions that may raise (an index out of range) do so in the order of the function, and before anything that
  // outlives the call is written: an error leaves parameters unchanged.
  void refuse_first(const Program& p, int i) {
    const Instruction& c = p.code[static_cast<std::size_t>(i)];
    const bool refuses = c.op->may_raise && !c.loop, lasting = c.in_place && p.buffer(c.out).place != Place::temporary;
    if (last_refusal_ >= 0 && (refuses || lasting)) of[static_cast<std::size_t>(i)].push_back({last_refusal_, false});
    if (refuses) last_refusal_ = i;
  }
  // A reduction reads whole tiles, after every step: its operand must not be written by a step.
  static bool read_in_step(const Program& p, const Read& r, const View& out) {
    return is_elementwise(p.code[static_cast<std::size_t>(r.by)]) && same_elements(*r.view, out);
  }
  static bool joins(const Program& p, int writer, const View& v) {
    const Instruction& w = p.code[static_cast<std::size_t>(writer)];
    return is_elementwise(w) && same_elements(w.out, v);
  }
  std::vector<int> writer_;
  std::vector<std::vector<Read>> readers_;
  int last_refusal_ = -1;
};

class Grouping {
 public:
  // `exact`: no path between units is overlooked.
  Grouping(const Program& p, bool exact)
      : p_(p), exact_(exact), needs_(p), unit_of_(p.code.size()), place_(p.code.size(), -1), seen_(p.code.size(), 0) {
    for (std::size_t i = 0; i < p.code.size(); ++i) {
      unit_of_[i] = static_cast<int>(i);
      units_.push_back({{static_cast<int>(i)}, is_elementwise(p.code[i])});
    }
  }
  std::vector<Unit> run() {
    for (std::size_t i = 0; i < p_.code.size(); ++i)
      if (is_elementwise(p_.code[i]) || is_fold(p_.code[i])) join(static_cast<int>(i));
    return ordered();
  }
  bool complete() const { return placed_ == p_.code.size(); }

 private:
  const Instruction& at(int i) const { return p_.code[static_cast<std::size_t>(i)]; }
  Unit& unit(int u) { return units_[static_cast<std::size_t>(u)]; }
  int unit_of(int i) const { return unit_of_[static_cast<std::size_t>(i)]; }
  const std::vector<Need>& needs(int i) const { return needs_.of[static_cast<std::size_t>(i)]; }

  static std::int64_t elements(const Instruction& c) { return is_fold(c) ? c.in[0].count() : c.out.count(); }

  void join(int i) {
    for (const Need& n : needs(i)) {
      const int a = unit_of(n.earlier), b = unit_of(i);
      if (a == b || !n.joins || !unit(a).group || !fits(unit(a), at(i)) || !legal(a, b)) continue;
      merge(a, b);
    }
  }
  // The same number of elements, and reductions of one length only.
  bool fits(const Unit& u, const Instruction& c) const {
    if (elements(at(u.members[0])) != elements(c) || u.members.size() >= most_members) return false;
    const std::int64_t length = is_fold(c) ? fold_length(c) : 0;
    for (int m : u.members)
      if (length && is_fold(at(m)) && (fold_length(at(m)) != length || at(m).in[0].dtype != c.in[0].dtype))
        return false;
    return true;
  }
  bool same_folds(const Unit& a, const Unit& b) const {
    for (int m : b.members)
      if (is_fold(at(m)) && !fits(a, at(m))) return false;
    return a.members.size() + b.members.size() <= most_members;
  }
  // No unit lies between the two, and all their dependences allow joining.
  bool legal(int a, int b) { return same_folds(unit(a), unit(b)) && clear(b, a) && clear(a, b); }

  bool clear(int from, int to) {
    ++stamp_;
    budget_ = patience;
    const int stop = unit(to).members.front();
    for (int m : unit(from).members)
      for (const Need& n : needs(m)) {
        const int u = unit_of(n.earlier);
        if (u == from) continue;
        if (u == to ? !n.joins : reaches(u, from, to, stop)) return false;
      }
    return true;
  }
  // Whether unit u depends on `to` through units other than `from`. Units that end before `to` begins are assumed not
  // to depend on it: rarely one does, through a group that spans them, and then exact_ is used.
  bool reaches(int u, int from, int to, int stop) {
    std::vector<int> open{u};
    while (!open.empty()) {
      const int next = open.back();
      open.pop_back();
      if (next == to || --budget_ < 0) return true;
      auto& mark = seen_[static_cast<std::size_t>(next)];
      if (next == from || mark == stamp_ || (!exact_ && unit(next).members.back() < stop)) continue;
      mark = stamp_;
      for (int m : unit(next).members)
        for (const Need& n : needs(m))
          if (unit_of(n.earlier) != next) open.push_back(unit_of(n.earlier));
    }
    return false;
  }
  void merge(int a, int b) {
    Unit& to = unit(b);
    for (int m : unit(a).members) unit_of_[static_cast<std::size_t>(m)] = b;
    std::vector<int> all;
    std::merge(unit(a).members.begin(), unit(a).members.end(), to.members.begin(), to.members.end(),
               std::back_inserter(all));
    to.members = std::move(all);
    to.group = true;
    unit(a).members.clear();
  }

  // Units in dependence order; of those ready, the one recorded first.
  std::vector<Unit> ordered() {
    std::vector<int> waits(units_.size(), 0);
    std::vector<std::vector<int>> frees(units_.size());
    for (std::size_t u = 0; u < units_.size(); ++u)
      for (int m : units_[u].members)
        for (const Need& n : needs(m))
          if (unit_of(n.earlier) != static_cast<int>(u)) {
            frees[static_cast<std::size_t>(unit_of(n.earlier))].push_back(static_cast<int>(u));
            ++waits[u];
          }
    using Ready = std::pair<int, int>;
    std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
    const auto offer = [&](int u) { ready.emplace(unit(u).members.back(), u); };
    for (std::size_t u = 0; u < units_.size(); ++u)
      if (!units_[u].members.empty() && waits[u] == 0) offer(static_cast<int>(u));
    std::vector<Unit> order;
    while (!ready.empty()) {
      const int u = ready.top().second;
      ready.pop();
      for (int next : frees[static_cast<std::size_t>(u)])
        if (--waits[static_cast<std::size_t>(next)] == 0) offer(next);
      place_[static_cast<std::size_t>(u)] = static_cast<int>(order.size());
      placed_ += unit(u).members.size();
      order.push_back(std::move(unit(u)));
    }
    if (!complete()) return order;
    for (Unit& u : order) u.finishes = product_of(order, u);
    return order;
  }

  // The unit that writes a buffer last, -1 where none does.
  int maker(const View& v) const { return needs_.writer(v.buffer) < 0 ? -1 : unit_of(needs_.writer(v.buffer)); }
  int place(int instruction) const { return place_[static_cast<std::size_t>(unit_of(instruction))]; }
  // The last unit that a group depends on, if that is a product which it needs elementwise.
  int product_of(const std::vector<Unit>& order, const Unit& u) const {
    int last = -1;
    for (int m : u.members)
      for (const Need& n : needs(m))
        if (place(n.earlier) != place(m)) last = std::max(last, place(n.earlier));
    if (last < 0 || !u.group || order[static_cast<std::size_t>(last)].members.size() != 1) return -1;
    const int product = order[static_cast<std::size_t>(last)].members[0];
    if (!at(product).op->compute_parts || at(product).in_place || !is_finished_by(u, at(product))) return -1;
    for (const Unit& other : order)
      if (other.finishes == last) return -1;
    return last;
  }
  // Parts are short rows: with more than one other operand of the same shape, a separate pass is faster.
  bool is_finished_by(const Unit& u, const Instruction& product) const {
    std::vector<int> arrays;
    for (int m : u.members) {
      if (is_fold(at(m))) return false;
      for (const View& v : at(m).in) {
        if (v.buffer == product.out.buffer && !same_elements(v, product.out)) return false;
        const bool made_here = p_.buffer(v).place == Place::temporary && maker(v) == unit_of(m);
        if (v.count() == product.out.count() && !made_here) arrays.push_back(v.buffer);
      }
    }
    std::sort(arrays.begin(), arrays.end());
    const auto others = std::unique(arrays.begin(), arrays.end()) - arrays.begin() - 1;
    return others <= 1 && at(u.members[0]).out.count() == product.out.count();
  }

  const Program& p_;
  bool exact_;
  std::size_t placed_ = 0;  // instructions of ordered units; those in a cycle are never ordered
  Needs needs_;
  std::vector<int> unit_of_;
  std::vector<int> place_;  // of a unit in the final order
  std::vector<Unit> units_;
  std::vector<int> seen_;
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

std::vector<Unit> fuse(const Program& p) {
  for (const bool exact : {false, true}) {
    Grouping grouping(p, exact);
    std::vector<Unit> units = grouping.run();
    if (grouping.complete()) return units;
  }
  fail<CompileError>("compile: no order of the instructions respects what they need of each other; please report this");
}

}  // namespace steep
