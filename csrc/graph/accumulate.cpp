// A sum that ends with a product, as gradients of a weight that is used more than once are: the product is added to the
// other addend while it is computed, in that addend's memory, where it would be written by itself, read again and
// added. No bit changes: Op::may_add says for which products. Start reading at accumulate.
#include <algorithm>
#include <optional>

#include "graph/program.h"

namespace steep {
namespace {

constexpr int farthest = 64;  // instructions by which a product moves, since its operands are kept until then

class Accumulation {
 public:
  explicit Accumulation(Program& p) : p_(p), uses_(p.buffers.size()), now_(p.buffers.size()), gone_(p.code.size()) {
    for (const BufferId b : now_.ids()) now_[b] = b;
    for (const InstructionId i : p.code.ids()) {
      for (const View& v : p.code[i].in) uses_[v.buffer].readers.push_back(i);
      uses_[p.code[i].out.buffer].writers.push_back(i);
    }
    for (const Result& r : p.results) uses_[r.view.buffer].given = true;
    for (const Slot& s : p.slots)
      if (s.set && !s.none) uses_[s.value.buffer].given = true;
  }
  void run() {
    static const Op& add = find_op("add");
    const auto change = [&](View& v) { v.buffer = now_[v.buffer]; };
    for (const InstructionId i : p_.code.ids()) {
      Instruction& c = p_.code[i];
      for (View& v : c.in) change(v);
      if (c.in_place) change(c.out);
      if (c.op == &add && c.loop && c.in.size() == 2) add_product(i);
    }
    for (Result& r : p_.results)
      if (!r.known) change(r.view);
    for (Slot& s : p_.slots)
      if (s.set && !s.none) change(s.value);
    remove_products();
  }

 private:
  struct Uses {
    std::vector<InstructionId> readers, writers;  // ascending
    bool given = false;                           // to the caller
    InstructionId last_writer() const { return writers.empty() ? InstructionId::none : writers.back(); }
  };

  bool is_whole(const View& v) const {
    return v.contiguous() && v.offset == 0 &&
           static_cast<std::size_t>(v.count() * size_of(v.dtype)) == p_.buffer(v).bytes;
  }
  bool is_own(const View& v) const { return p_.buffer(v).place == Place::temporary && !uses_[v.buffer].given; }

  // The product that an operand of the addition `at` is, if nothing else reads it and it may be computed as late as
  // the sum is put somewhere.
  std::optional<InstructionId> product(const View& v, InstructionId at, InstructionId put) const {
    const Uses& uses = uses_[v.buffer];
    if (!is_own(v) || uses.writers.size() != 1 || uses.readers.size() != 1) return {};
    const InstructionId made = uses.writers[0];
    const Instruction& c = p_.code[made];
    const bool near = static_cast<int>(put) - static_cast<int>(made) <= farthest;
    if (!c.op->may_add || c.in_place || !near || made > at || !same_elements(c.out, v)) return {};
    const bool may_add = c.op->may_add(c.in[0].shape, c.in[1].shape, c.out.dtype);
    if (!may_add || is_written(c.in[0].buffer, made, put) || is_written(c.in[1].buffer, made, put)) return {};
    return made;
  }
  // Whether nobody needs the addend once it is in the sum.
  bool takes(const View& addend, const Instruction& c, InstructionId at) const {
    const Uses& uses = uses_[addend.buffer];
    return is_own(addend) && is_whole(addend) && is_whole(c.out) && p_.buffer(c.out).place == Place::temporary &&
           addend.dtype == c.out.dtype && addend.shape == c.out.shape && !uses.writers.empty() &&
           uses.writers.back() < at && uses.readers.back() == at;
  }
  // The instruction that puts the sum into the addend's memory, as x += y and x[...] = x + y say: the addition itself,
  // a copy that is all that reads it, or where it may be put there because nobody needs the addend.
  std::optional<InstructionId> put_back(const View& addend, InstructionId at) const {
    const Instruction& c = p_.code[at];
    if (c.in_place) return same_elements(addend, c.out) ? std::optional(at) : std::nullopt;
    if (takes(addend, c, at)) return at;
    const Uses& uses = uses_[c.out.buffer];
    if (!is_own(c.out) || uses.writers.size() != 1 || uses.readers.size() != 1) return {};
    const InstructionId put = uses.readers[0];
    const Instruction& copy = p_.code[put];
    if (!copy.op->copies || !copy.in_place || !same_elements(copy.in[0], c.out) || !same_elements(copy.out, addend))
      return {};
    return is_written(addend.buffer, at, put) ? std::nullopt : std::optional(put);
  }
  bool is_written(BufferId b, InstructionId from, InstructionId to) const {
    const auto& writers = uses_[b].writers;
    return std::any_of(writers.begin(), writers.end(), [&](InstructionId w) { return w > from && w < to; });
  }
  void add_product(InstructionId at) {
    const Instruction& c = p_.code[at];
    const bool second_is_later = uses_[c.in[1].buffer].last_writer() > uses_[c.in[0].buffer].last_writer();
    for (const std::size_t i : {std::size_t{second_is_later}, std::size_t{!second_is_later}}) {
      const View &term = c.in[i], &addend = c.in[1 - i];
      const std::optional<InstructionId> put = put_back(addend, at);
      if (!put) continue;
      const std::optional<InstructionId> made = product(term, at, *put);
      if (!made || p_.code[*made].in[0].buffer == addend.buffer || p_.code[*made].in[1].buffer == addend.buffer)
        continue;
      return fold(*made, addend, at, *put);
    }
  }
  // The product is added where the sum is put, and nothing else is left of the three.
  void fold(InstructionId product, View sum, InstructionId addition, InstructionId put) {
    const Instruction& made = p_.code[product];
    const View before = p_.code[addition].out;
    sum.shape = before.shape;
    sum.strides = before.strides;
    gone_[product] = true;
    if (put != addition) gone_[addition] = true;
    Instruction& c = p_.code[put];
    c.op = &find_op(made.op->adding);
    c.attrs = made.attrs;
    c.in = {made.in[0], made.in[1], sum};
    c.out = sum;
    c.in_place = true;
    c.loop = nullptr;
    p_.buffer(sum).written = true;
    for (const View& v : c.in) {  // read here now, not before
      std::vector<InstructionId>& readers = uses_[v.buffer].readers;
      readers.insert(std::upper_bound(readers.begin(), readers.end(), put), put);
    }
    if (before.buffer != sum.buffer && put == addition) rename(before.buffer, sum.buffer);
  }
  void rename(BufferId before, BufferId now) {
    now_[before] = now;
    Uses &from = uses_[before], &to = uses_[now];
    to.readers.insert(to.readers.end(), from.readers.begin(), from.readers.end());
    to.writers.insert(to.writers.end(), from.writers.begin(), from.writers.end());
    to.given = from.given;
  }
  void remove_products() {
    Table<InstructionId, Instruction> kept;
    for (const InstructionId i : p_.code.ids())
      if (!gone_[i]) kept.add(std::move(p_.code[i]));
    p_.code = std::move(kept);
  }

  Program& p_;
  Table<BufferId, Uses> uses_;
  Table<BufferId, BufferId> now_;  // the buffer that holds what was to be in this one
  Table<InstructionId, bool> gone_;
};

}  // namespace

void accumulate(Program& p) { Accumulation(p).run(); }

}  // namespace steep
