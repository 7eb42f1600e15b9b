// Which buffers places.h finds, and what that does to their lifetimes.
#include "graph/places.h"

#include <algorithm>

namespace steep {
namespace {

// The axis along which an operand is joined, -1 if nothing is joined to it.
int joined_axis(const View& part, const View& whole) {
  for (int d = 0; d < whole.shape.size(); ++d)
    if (part.shape[d] != whole.shape[d]) return d;
  return -1;
}

// Whether operands follow one another in memory.
bool is_one_piece(const Instruction& join) {
  const int axis = joined_axis(join.in[0], join.out);
  for (int d = 0; d < axis; ++d)
    if (join.out.shape[d] != 1) return false;
  return axis >= 0 && join.out.contiguous();
}

std::size_t bytes_of(const View& v) { return static_cast<std::size_t>(v.count() * size_of(v.dtype)); }

class Finder {
 public:
  Finder(const Program& p, const Table<UnitId, Unit>& units, const Table<BufferId, Lifetime>& lives)
      : p_(p),
        units_(units),
        lives_(lives),
        places_(p.buffers.size()),
        readers_(p.buffers.size()),
        joins_(p.buffers.size(), false) {
    for (const InstructionId i : p.code.ids())
      for (const View& v : p.code[i].in) readers_[v.buffer].push_back(i);
  }
  Places find() {
    for (const Instruction& c : p_.code) place_operands(c);
    for (const Unit& u : units_) place_operand(u);
    return std::move(places_);
  }

 private:
  // A view of a whole buffer of the arena that nothing writes again.
  bool movable(const View& v) const {
    const Buffer& b = p_.buffer(v);
    return lives_[v.buffer].bytes && !b.written && v.contiguous() && v.offset == 0 && bytes_of(v) == b.bytes;
  }
  void place_operands(const Instruction& join) {
    static const Op& concat = find_op("concat");
    if (join.op != &concat || join.in_place || !movable(join.out) || !is_one_piece(join)) return;
    std::size_t offset = 0;
    for (const View& v : join.in) {
      if (movable(v) && !places_.within(v.buffer)) {
        places_.of[v.buffer] = {join.out.buffer, offset};
        joins_[join.out.buffer] = true;
      }
      offset += bytes_of(v);
    }
  }
  // The last result of a group takes the place of an operand that nobody reads afterwards: every element is read before
  // it is written.
  void place_operand(const Unit& group) {
    if (!group.group) return;
    const auto last = std::find_if(group.members.rbegin(), group.members.rend(),
                                   [&](InstructionId m) { return is_elementwise(p_.code[m]); });
    if (last == group.members.rend()) return;
    const View& to = p_.code[*last].out;
    if (!movable(to)) return;
    if (is_some(group.finishes) && gives_way(p_.code[units_[group.finishes].members[0]].out, to, group)) return;
    for (const InstructionId m : group.members)
      for (const View& v : p_.code[m].in)
        if (gives_way(v, to, group)) return;
  }
  bool gives_way(const View& v, const View& to, const Unit& group) {
    if (!may_give_way(v, to, group)) return false;
    places_.of[v.buffer] = {to.buffer, 0};
    return true;
  }
  bool may_give_way(const View& v, const View& to, const Unit& group) const {
    const std::vector<InstructionId>& readers = readers_[v.buffer];
    return movable(v) && v.buffer != to.buffer && !places_.within(v.buffer) && !joins_[v.buffer] &&
           v.dtype == to.dtype && v.count() == to.count() &&
           std::all_of(readers.begin(), readers.end(), [&](InstructionId r) {
             return std::find(group.members.begin(), group.members.end(), r) != group.members.end() &&
                    is_elementwise(p_.code[r]) && reads_in_step(p_.code[r], v);
           });
  }
  static bool reads_in_step(const Instruction& c, const View& of) {
    return std::all_of(c.in.begin(), c.in.end(),
                       [&](const View& v) { return v.buffer != of.buffer || same_elements(v, of); });
  }

  const Program& p_;
  const Table<UnitId, Unit>& units_;
  const Table<BufferId, Lifetime>& lives_;
  Places places_;
  Table<BufferId, std::vector<InstructionId>> readers_;
  Table<BufferId, bool> joins_;  // whether others lie within it, which may be read when it is not any more
};

}  // namespace

Places::Place Places::resolved(BufferId b) const {
  Place at{b, 0};
  while (within(at.whole)) at = {of[at.whole].whole, at.offset + of[at.whole].offset};
  return at;
}

void Places::offset_all(Plan& plan) const {
  for (const BufferId b : of.ids()) {
    if (!within(b)) continue;
    const Place at = resolved(b);
    plan.offset[b] = plan.offset[at.whole] + at.offset;
  }
}

Places find_places(const Program& p, const Table<UnitId, Unit>& units, Table<BufferId, Lifetime>& lives) {
  Places places = Finder(p, units, lives).find();
  for (const BufferId b : places.of.ids()) {
    if (!places.within(b)) continue;
    Lifetime& whole = lives[places.resolved(b).whole];
    whole.first = std::min(whole.first, lives[b].first);
    whole.last = std::max(whole.last, lives[b].last);
  }
  for (const BufferId b : places.of.ids())
    if (places.within(b)) lives[b].bytes = 0;
  return places;
}

}  // namespace steep
