// Passes over a captured program that change what is computed, never its values: dead instructions go, repeated ones
// are merged, uniform results shrink to one element, and copies that cannot be distinguished from their source are
// removed. Start reading at simplify().
#include <cstring>
#include <map>
#include <unordered_map>

#include "graph/program.h"

namespace steep {
namespace {

void remove_dead(Program& p) {
  Table<BufferId, bool> used(p.buffers.size(), false);
  const auto use = [&](const View& v) { used[v.buffer] = true; };
  for (const Result& r : p.results) use(r.view);
  for (const Slot& s : p.slots)
    if (s.set && !s.none) use(s.value);
  Table<InstructionId, bool> needed(p.code.size(), false);
  for (InstructionId i = p.code.last(); is_some(i); i = before(i)) {
    const Instruction& c = p.code[i];
    if (!used[c.out.buffer] && !p.outlives(p.buffer(c.out))) continue;
    for (const View& v : c.in) use(v);
    needed[i] = true;
  }
  Table<InstructionId, Instruction> kept;
  for (const InstructionId i : p.code.ids())
    if (needed[i]) kept.add(std::move(p.code[i]));
  p.dead += static_cast<int>(p.code.size() - kept.size());
  p.code = std::move(kept);
}

// A key of what determines an instruction's result: the op, its attributes, its operands and their state.
class Key {
 public:
  template <class T> void add(const T& v) { text_.append(reinterpret_cast<const char*>(&v), sizeof(T)); }
  void add(const Dims& d) {
    add(d.size());
    for (auto v : d) add(v);
  }
  void add(const View& v, int version) {
    add(v.buffer);
    add(version);
    add(v.dtype);
    add(v.offset);
    add(v.shape);
    add(v.strides);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string key_of(const Instruction& c, const Table<BufferId, int>& version) {
  Key key;
  key.add(reinterpret_cast<std::uintptr_t>(c.op));
  key.add(c.attrs.stored().size());
  for (auto word : c.attrs.stored()) key.add(word);
  for (const View& v : c.in) key.add(v, version[v.buffer]);
  key.add(c.out.dtype);
  key.add(c.out.shape);
  return key.take();
}

void merge_repeated(Program& p) {
  std::unordered_map<std::string, BufferId> seen;
  Table<BufferId, int> version(p.buffers.size(), 0);
  Table<BufferId, BufferId> same_as(p.buffers.size());
  for (const BufferId b : same_as.ids()) same_as[b] = b;
  const auto redirect = [&](View& v) { v.buffer = same_as[v.buffer]; };
  for (Instruction& c : p.code) {
    for (View& v : c.in) redirect(v);
    if (c.in_place) ++version[c.out.buffer];
    if (c.in_place || p.buffer(c.out).written) continue;
    const auto [at, fresh] = seen.emplace(key_of(c, version), c.out.buffer);
    if (!fresh) same_as[c.out.buffer] = at->second, ++p.repeated;
  }
  p.each_use(redirect);
}

// An alias of a buffer: every later use of it reads a part of another buffer.
struct Alias {
  BufferId buffer = BufferId::none;  // none: not an alias
  std::int64_t offset = 0;
  bool single = false;
};

void resolve(View& v, const Table<BufferId, Alias>& aliases) {
  const Alias& s = aliases[v.buffer];
  if (!is_some(s.buffer)) return;
  v.buffer = s.buffer;
  v.offset = s.single ? s.offset : v.offset + s.offset;
  if (s.single) v.strides = Dims::filled(v.shape.size(), 0);
}

// Operands of an op that is not a loop keep the layout they were recorded with: a sum over columns differs in its bits
// from one over rows.
Table<BufferId, bool> rigid_buffers(const Program& p) {
  Table<BufferId, bool> rigid(p.buffers.size(), false);
  for (const Instruction& c : p.code)
    for (const View& v : c.in)
      if (!c.loop) rigid[v.buffer] = true;
  return rigid;
}

// An elementwise result of operands that are one value each is one value: computed once, read everywhere.
bool shrink(Instruction& c, Program& p) {
  if (!c.loop || c.in_place || p.buffer(c.out).written || c.out.count() < 2) return false;
  for (const View& v : c.in)
    if (!v.single()) return false;
  for (View& v : c.in) v.shape = v.strides = {};
  c.out.shape = c.out.strides = {};
  p.buffer(c.out).bytes = static_cast<std::size_t>(size_of(c.out.dtype));
  ++p.uniform;
  return true;
}

// A copy can be an alias of its source if neither is ever written.
bool is_plain_copy(const Instruction& c, const Program& p) {
  return c.op->copies && !c.in_place && !p.buffer(c.out).written && !p.buffer(c.in[0]).written &&
         (c.in[0].contiguous() || c.in[0].single());
}

void substitute(Program& p) {
  Table<BufferId, Alias> aliases(p.buffers.size());
  const Table<BufferId, bool> rigid = rigid_buffers(p);
  for (Instruction& c : p.code) {
    for (View& v : c.in) resolve(v, aliases);
    if (rigid[c.out.buffer] && !(is_plain_copy(c, p) && c.in[0].contiguous())) continue;
    Alias& mine = aliases[c.out.buffer];
    if (shrink(c, p)) mine = {c.out.buffer, 0, true};
    else if (is_plain_copy(c, p)) mine = {c.in[0].buffer, c.in[0].offset, c.in[0].single() && c.out.count() > 1};
  }
  const auto change = [&](View& v) { resolve(v, aliases); };
  for (Instruction& c : p.code)
    if (c.in_place) change(c.out);
  for (Result& r : p.results)
    if (!r.known) change(r.view);
  for (Slot& s : p.slots)
    if (s.set && !s.none) change(s.value);
}

// What the function returned: its results, then the gradients that it set. Those that shared memory share it again;
// others must not, even if passes have found them equal.
class Ends {
 public:
  explicit Ends(const Program& p) : results_(static_cast<int>(p.results.size())) {
    for (const Result& r : p.results) recorded_.push_back(r.known ? BufferId::none : r.view.buffer);
    for (const Slot& s : p.slots) recorded_.push_back(s.set && !s.none ? s.value.buffer : BufferId::none);
  }
  // Gives each its own memory: a whole temporary that nobody else takes, or a copy.
  void own(Program& p) const {
    Table<BufferId, int> taker(p.buffers.size(), -1);
    for (const bool gradients : {true, false})  // gradients first
      each(p, gradients, [&](int i, View& v) {
        if (can_take(p, v) && taker[v.buffer] < 0) taker[v.buffer] = i;
      });
    std::map<BufferId, BufferId> copies;  // of whole buffers, by the recorded one
    for (const bool gradients : {true, false})
      each(p, gradients, [&](int i, View& v) {
        if (taker[v.buffer] == i) return;
        const BufferId recorded = recorded_[index(i)];
        if (const auto made = copies.find(recorded); made != copies.end()) v.buffer = made->second;
        const int other = taker[v.buffer];
        if (i < results_ && other >= 0 && recorded_[index(other)] == recorded) {
          p.results[i].part_of = other;
          return;
        }
        const bool whole = can_take(p, v);
        copy(p, v);
        taker.add(i);
        if (whole) copies.emplace(recorded, v.buffer);
      });
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  // The gradients, or the results.
  template <class F> void each(Program& p, bool gradients, F f) const {
    for (const int i : p.slots.ids())
      if (gradients && p.slots[i].set && !p.slots[i].none) f(results_ + i, p.slots[i].value);
    for (const int i : p.results.ids())
      if (!gradients && !p.results[i].known) f(i, p.results[i].view);
  }
  static bool can_take(const Program& p, const View& v) {
    const Buffer& b = p.buffer(v);
    return b.place == Place::temporary && v.offset == 0 && v.contiguous() &&
           static_cast<std::size_t>(v.count() * size_of(v.dtype)) == b.bytes;
  }
  static void copy(Program& p, View& v) {
    static const Op& op = find_op("copy");
    const View out = p.new_temporary(v.shape, v.dtype);
    const k::Loop loop = k::table().cast[v.dtype][v.dtype];
    p.code.add({.op = &op, .in = {v}, .out = out, .loop = loop, .number = p.next_number()});
    v = out;
  }

  int results_;
  std::vector<BufferId> recorded_;
};

}  // namespace

bool View::single() const {
  for (int d = 0; d < shape.size(); ++d)
    if (shape[d] > 1 && strides[d] != 0) return false;
  return true;
}

bool same_elements(const View& a, const View& b) {
  return a.buffer == b.buffer && a.dtype == b.dtype && a.offset == b.offset && a.count() == b.count() &&
         a.contiguous() && b.contiguous();
}

View Program::new_temporary(const Dims& shape, DType dtype) {
  View v{BufferId::none, dtype, shape, contiguous_strides(shape), 0};
  v.buffer = add_buffer(Place::temporary, static_cast<std::size_t>(checked_mul(v.count(), size_of(dtype))));
  return v;
}

void simplify(Program& p) {
  const Ends ends(p);
  remove_dead(p);
  merge_repeated(p);
  substitute(p);
  merge_repeated(p);
  remove_dead(p);
  p.dead -= p.repeated;
  ends.own(p);
}

}  // namespace steep
