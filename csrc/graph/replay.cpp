// Preparing and running a program. Every buffer has an address; those of arguments and results may change from call to
// call, and their readers are updated.
#include "graph/replay.h"

#include <algorithm>
#include <optional>

#include "core/host.h"
#include "core/parallel.h"
#include "graph/places.h"
#include "graph/profile.h"
#include "graph/recorder.h"

namespace steep {
namespace {

bool planned(const Buffer& b) { return b.place == Place::temporary; }
bool may_move(const Buffer& b) { return b.place == Place::argument || b.place == Place::gradient; }

bool same_layout(const View& v, const Tensor& t) {
  return v.dtype == t.dtype() && v.shape == t.shape() && v.strides == t.strides();
}

// Elements per row, in the op's part_rows convention.
std::int64_t columns_of(const Op& op, const Dims& shape) {
  std::int64_t n = 1;
  for (int d = op.part_rows < 0 ? shape.size() + op.part_rows : op.part_rows; d < shape.size(); ++d) n *= shape[d];
  return n;
}

struct ReserveScope {
  explicit ReserveScope(Reserve& r) {
    r.used = 0;
    allocation_scope().reserve = &r;
  }
  ~ReserveScope() { allocation_scope().reserve = nullptr; }
};

}  // namespace

struct Replay::Call {
  const Op* op;
  AttrsRef attrs;
  std::vector<Tensor> in;
  Tensor out;
  std::vector<int> panels;  // which of panels_
};

Replay::Replay(Program p, bool keep)
    : program_(std::move(p)),
      headers_(program_.buffers.size()),
      base_(program_.buffers.size(), nullptr),
      moved_(program_.buffers.size(), true) {
  units_ = fuse(program_);
  Table<BufferId, Lifetime> lives(program_.buffers.size());
  Table<BufferId, bool> escapes(program_.buffers.size(), false);
  find_lifetimes(lives, escapes);
  Places places(lives.size());
  if (keep) keep_all(lives, escapes);
  else places = find_places(program_, units_, lives);
  plan_ = plan_memory(lives);
  places.offset_all(plan_);
  arena_ = keep ? std::make_shared<Arena>(plan_.bytes) : find_arena(plan_.bytes);
  for (const Result& r : program_.results) owned_results_.add({.view = r.view});
  for (const Slot& s : program_.slots) owned_grads_.add({.view = s.value});
  place_buffers();
  panels_ = plan_panels(program_);
  make_steps(escapes);
}

Replay::~Replay() = default;

// A temporary escapes if a unit other than its own reads it; those that are returned are not planned.
void Replay::find_lifetimes(Table<BufferId, Lifetime>& lives, Table<BufferId, bool>& escapes) const {
  Table<BufferId, UnitId> maker(lives.size(), UnitId::none);
  const auto touch = [&](const View& v, UnitId unit) {
    const BufferId b = v.buffer;
    if (!planned(program_.buffers[b])) return;
    Lifetime& life = lives[b];
    if (!is_some(life.first)) life.first = unit;
    life.last = std::max(life.last, unit);
    if (!is_some(maker[b])) maker[b] = unit;
    if (maker[b] != unit || !units_[unit].group) escapes[b] = true;
    life.bytes = std::max<std::size_t>(1, program_.buffers[b].bytes);
  };
  // What a group writes while it finishes a product must not overlap memory still in use.
  const auto stretch = [&](const View& v, UnitId unit) {
    Lifetime& life = lives[v.buffer];
    if (life.first > unit) life.first = unit;
  };
  for (const UnitId u : units_.ids())
    for (const InstructionId m : units_[u].members) {
      const Instruction& c = program_.code[m];
      for (const View& v : c.in) touch(v, u);
      touch(c.out, u);
      if (is_some(units_[u].finishes)) stretch(c.out, units_[u].finishes);
      if (is_fold(c)) escapes[c.out.buffer] = true;
      if (c.in_place) escapes[c.out.buffer] = true;
    }
  const auto give_away = [&](const View& v) {
    escapes[v.buffer] = true;
    lives[v.buffer].bytes = 0;
  };
  for (const Result& r : program_.results)
    if (!r.known) give_away(r.view);
  for (const Slot& s : program_.slots)
    if (s.set && !s.none) give_away(s.value);
  for (const BufferId b : lives.ids())
    if (!escapes[b]) lives[b].bytes = 0;
}

void Replay::keep_all(Table<BufferId, Lifetime>& lives, Table<BufferId, bool>& escapes) const {
  Table<BufferId, bool> given(lives.size(), false);
  for (const Result& r : program_.results) given[r.view.buffer] = true;
  for (const Slot& s : program_.slots)
    if (s.set && !s.none) given[s.value.buffer] = true;
  for (const BufferId b : lives.ids()) {
    if (!is_some(lives[b].first) || given[b]) continue;
    lives[b] = {std::max<std::size_t>(1, program_.buffers[b].bytes), UnitId{}, units_.last()};
    escapes[b] = true;
  }
}

void Replay::place_buffers() {
  for (const BufferId b : base_.ids()) {
    const Buffer& buffer = program_.buffers[b];
    if (planned(buffer)) base_[b] = arena_->at() + plan_.offset[b];
    else if (buffer.storage) base_[b] = buffer.storage->data;
    headers_[b] = Storage{};
    headers_[b].refs = 1;
    headers_[b].bytes = buffer.bytes;
    headers_[b].data = base_[b];
  }
}

Tensor Replay::over(const View& v) {
  Tensor t(new_impl());
  t->dtype = v.dtype;
  t->shape = v.shape;
  t->strides = v.strides;
  t->offset = v.offset;
  t->count = v.count();
  t->contiguous = v.contiguous();
  Storage* header = &headers_[v.buffer];
  ++header->refs;
  t->storage = StorageRef(header);
  return t;
}

void Replay::add_call(InstructionId i) {
  const Instruction& c = program_.code[i];
  Call call{c.op, c.attrs, {}, over(c.out), panels_.of[i]};
  for (const View& v : c.in) call.in.push_back(over(v));
  steps_.push_back({-1, calls_.add(std::move(call))});
}

Table<BufferId, bool> Replay::moving_buffers() const {
  Table<BufferId, bool> moving(program_.buffers.size(), false);
  for (const BufferId b : moving.ids()) moving[b] = may_move(program_.buffers[b]);
  for (const auto* all : {&owned_results_, &owned_grads_})
    for (const Own& o : *all)
      if (is_some(o.view.buffer)) moving[o.view.buffer] = true;
  return moving;
}

void Replay::add_group(const Unit& unit, const Table<BufferId, bool>& escapes, const Table<BufferId, bool>& moving) {
  groups_.add({program_, unit, escapes});
  std::vector<BufferId>& touched = touched_[touched_.add({})];
  const auto note = [&](const View& v) {
    if (moving[v.buffer]) touched.push_back(v.buffer);
  };
  for (const InstructionId m : unit.members) {
    const Instruction& c = program_.code[m];
    for (const View& v : c.in) note(v);
    note(c.out);
  }
}

// Whether it writes memory that others see before the program has ended.
bool Replay::writes_outside(const Unit& unit) const {
  return std::any_of(unit.members.begin(), unit.members.end(), [&](InstructionId m) {
    const Buffer& b = program_.buffer(program_.code[m].out);
    return b.written && (b.place == Place::captured || b.place == Place::argument);
  });
}

void Replay::make_steps(const Table<BufferId, bool>& escapes) {
  const Table<BufferId, bool> moving = moving_buffers();
  Table<UnitId, std::size_t> step_of(units_.size(), 0);
  std::int64_t scratch = 0;
  for (const UnitId u : units_.ids()) {
    const Unit& unit = units_[u];
    step_of[u] = steps_.size();
    const bool writes = writes_outside(unit);
    if (!unit.group) {
      add_call(unit.members[0]);
      steps_.back().writes = writes;
      steps_.back().units = {u};
      continue;
    }
    add_group(unit, escapes, moving);
    scratch = std::max(scratch, groups_.back().scratch_bytes());
    const bool alone = !is_some(unit.finishes);
    if (alone) steps_.emplace_back();
    Step& step = alone ? steps_.back() : steps_[step_of[unit.finishes]];
    step.group = groups_.last();
    step.writes |= writes;
    step.units.push_back(u);
  }
  scratch_ = k::Block(static_cast<std::size_t>(scratch));
}

const Tensor& Replay::owner_of(const Slot& s, const Tensor* arguments) const {
  return s.argument < 0 ? s.owner : arguments[s.argument];
}

// Arguments that shared memory must share it again; memory that is written must not be shared with another argument.
bool Replay::same_sharing(const Tensor* arguments, int count) const {
  for (int i = 0; i < count; ++i) {
    const View& v = program_.arguments[i];
    const Tensor& base = arguments[program_.buffer(v).number];
    if (arguments[i].bytes() - base.bytes() != v.offset * size_of(v.dtype)) return false;
  }
  for (const Buffer& b : program_.buffers) {
    if (!b.written || (b.place != Place::captured && b.place != Place::argument)) continue;
    const Storage* written = b.storage ? b.storage.get() : arguments[b.number]->storage.get();
    for (int i = 0; i < count; ++i) {
      const bool mine = program_.buffer(program_.arguments[i]).number == b.number;
      if (arguments[i]->storage.get() == written && !(b.place == Place::argument && mine)) return false;
    }
  }
  return true;
}

bool Replay::accepts(const Tensor* arguments, int count) const {
  if (count != static_cast<int>(program_.arguments.size())) return false;
  for (int i = 0; i < count; ++i)
    if (!same_layout(program_.arguments[i], arguments[i])) return false;
  if (!same_sharing(arguments, count)) return false;
  for (const Slot& s : program_.slots) {
    if (!s.read) continue;
    const TensorImpl* g = owner_of(s, arguments)->grad;
    if (s.present != (g != nullptr)) return false;
    if (g && !same_layout(s.before, Tensor::share(const_cast<TensorImpl*>(g)))) return false;
  }
  return true;
}

void Replay::move_to(BufferId b, char* at) {
  if (base_[b] == at) return;
  base_[b] = headers_[b].data = at;
  moved_[b] = any_moved_ = true;
}

void Replay::check_writable(const Tensor* arguments) const {
  for (const Buffer& b : program_.buffers) {
    if (!b.written || b.place != Place::argument) continue;
    if (arguments[b.number]->storage->readonly)
      fail<ValueError>("compile: the memory behind ", arguments[b.number],
                       " is read-only, and the function writes into it; pass a copy");
  }
}

// Another arena if a program runs in this one: another thread's, since a long op lets other threads run.
void Replay::bind_arena() {
  if (!arena_->in_use()) return;
  arena_ = find_arena(plan_.bytes);
  for (const BufferId b : program_.buffers.ids())
    if (planned(program_.buffers[b])) move_to(b, arena_->at() + plan_.offset[b]);
  first_ = true;  // groups, too, are to read the new addresses
}

void Replay::bind_arguments(const Tensor* arguments) {
  for (const BufferId b : program_.buffers.ids()) {
    const Buffer& buffer = program_.buffers[b];
    if (buffer.place == Place::argument) {
      move_to(b, arguments[buffer.number].bytes());
    } else if (buffer.place == Place::gradient) {
      const Slot& s = program_.slots[buffer.number];
      move_to(b, Tensor::share(owner_of(s, arguments)->grad).bytes());
    }
  }
}

// A tensor is reused if only the program and `holders` others reference it.
void Replay::renew(Own& own, std::uint32_t holders) {
  const auto is_free = [](const Tensor& t, std::uint32_t others) {
    return t && t->refs == 1 + others && t->storage->refs == 1 && t->storage->exports == 0 && t->storage->saves == 0 &&
           !t->node && !t->grad;
  };
  if (!is_free(own.tensor, holders)) {
    std::swap(own.tensor, own.spare);
    if (!is_free(own.tensor, 0)) own.tensor = empty(own.view.shape, own.view.dtype);
    own.tensor->detached_by = own.detached_by;
  }
  move_to(own.view.buffer, own.tensor.bytes());
}

void Replay::bind_results(const Tensor* arguments) {
  for (const int i : program_.results.ids())
    if (!program_.results[i].known && program_.results[i].part_of < 0) renew(owned_results_[i], 0);
  for (const int i : program_.slots.ids()) {
    const Slot& s = program_.slots[i];
    if (!s.set || s.none) continue;
    Own& own = owned_grads_[i];
    renew(own, own.tensor && owner_of(s, arguments)->grad == own.tensor.get() && !s.read);
  }
}

void Replay::rebind() {
  if (!any_moved_) return;
  for (const int g : groups_.ids()) {
    const auto& touched = touched_[g];
    const bool moved = std::any_of(touched.begin(), touched.end(), [&](BufferId b) { return moved_[b]; });
    if (first_ || moved) groups_[g].bind(base_, static_cast<char*>(scratch_.at()));
  }
  std::fill(moved_.begin(), moved_.end(), false);
  any_moved_ = first_ = false;
}

void Replay::run_call(const Step& s) {
  Call& c = calls_[s.call];
  const ReserveScope scope(reserve_);
  k::PanelStores stores;
  for (const int p : c.panels)
    if (k::PanelStore* store = panels_.panels[p].of_this_call(base_)) stores.add(store);
  const k::PanelScope kept(stores);
  const steep::Call call{*c.op, c.in.data(), static_cast<int>(c.in.size()), c.attrs, c.out};
  if (s.group < 0) return c.op->compute(call);
  struct Finish {
    const TileGroup& group;
    std::int64_t columns;
  } finish{group(s), columns_of(*c.op, c.out.shape())};
  const k::Epilogue done{[](void* to, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
                           const auto& f = *static_cast<const Finish*>(to);
                           f.group.run_part(i, mi, j, nj, f.columns);
                         },
                         &finish};
  c.op->compute_parts(call, &done);
}

void Replay::run_step(const Step& s) {
  k::interruption_point();
  std::optional<Uninterrupted> whole;
  if (s.writes) whole.emplace();
  if (s.call < 0) group(s).run();
  else run_call(s);
}

// For a profile.
std::vector<Operation> Replay::operations_of(const Step& s) const {
  std::vector<Operation> all;
  for (const UnitId u : s.units)
    for (const InstructionId m : units_[u].members) {
      const Instruction& c = program_.code[m];
      all.push_back({c.op->name, c.where, {}, {c.out.dtype, c.out.shape}});
      for (const View& v : c.in) all.back().in.push_back({v.dtype, v.shape});
    }
  return all;
}

void Replay::run_steps() {
  Profiler* profiler = mode().profiler;
  Scope<Profiler*> untimed(mode().profiler, nullptr);  // what a step is made of
  for (const Step& s : steps_) {
    const std::int64_t begin = profiler ? profiler->now() : 0;
    run_step(s);
    if (profiler) profiler->ran_step(operations_of(s), begin);
  }
}

void Replay::run(const Tensor* arguments, std::vector<Tensor>& results) {
  if (host_hooks().poll) host_hooks().poll();
  check_writable(arguments);
  bind_arena();
  const ArenaUse use(arena_);
  bind_arguments(arguments);
  bind_results(arguments);
  rebind();
  reserve_.wanted = 0;
  for (KeptPanels& p : panels_.panels) p.begin_call();
  run_steps();
  for (KeptPanels& p : panels_.panels) p.end_call();
  deliver(arguments, results);
  if (reserve_.wanted <= reserve_.bytes) return;
  const std::size_t wanted = reserve_.wanted;
  reserve_ = {};
  { const k::Block given_back = std::move(reserved_); }
  reserved_ = k::Block(wanted);
  reserve_ = {static_cast<char*>(reserved_.at()), wanted, 0, 0};
}

void Replay::deliver(const Tensor* arguments, std::vector<Tensor>& results) {
  for (const Buffer& b : program_.buffers) {
    if (!b.written || (b.place != Place::captured && b.place != Place::argument)) continue;
    Storage* s = b.place == Place::captured ? b.storage.get() : arguments[b.number]->storage.get();
    ++s->version;
    s->writer = "compile";
  }
  for (const int i : program_.slots.ids()) {
    const Slot& s = program_.slots[i];
    if (s.set) set_grad(owner_of(s, arguments), s.none ? Tensor() : owned_grads_[i].tensor);
  }
  for (const int i : program_.results.ids()) {
    const Result& r = program_.results[i];
    if (r.part_of >= 0) {
      const int count = static_cast<int>(program_.results.size());
      const Own& own = r.part_of < count ? owned_results_[r.part_of] : owned_grads_[r.part_of - count];
      results.push_back(r.view == own.view ? own.tensor
                                           : view(own.tensor, r.view.shape, r.view.strides, r.view.offset));
    } else if (!r.known) {
      results.push_back(owned_results_[i].tensor);
    } else if (r.tensor) {
      results.push_back(r.tensor);
    } else {
      const Tensor& a = arguments[program_.buffer(r.view).number];
      results.push_back(r.view == program_.arguments[program_.buffer(r.view).number]
                            ? a
                            : view(a, r.view.shape, r.view.strides, a->offset + r.view.offset));
    }
  }
}

std::uint64_t Replay::versions() const {
  std::uint64_t sum = 0;
  for (const Buffer& b : program_.buffers)
    if (b.place == Place::captured) sum += b.storage->version;
  return sum;
}

std::size_t Replay::panel_bytes() const {
  std::size_t total = 0;
  for (const KeptPanels& p : panels_.panels) total += p.bytes();
  return total;
}

std::size_t Replay::temporary_bytes() const {
  std::size_t total = 0;
  for (const Buffer& b : program_.buffers)
    if (planned(b)) total += b.bytes;
  return total;
}

}  // namespace steep
