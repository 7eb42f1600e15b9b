// How a step becomes instructions. Storages made while recording, and not by an instruction, hold what does not depend
// on anything a later call could change: they become constants of the program.
#include "graph/recorder.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/host.h"
#include "core/layout.h"
#include "graph/mode.h"

namespace steep {
namespace {

std::atomic<std::uint32_t> last_epoch{0};

// Whether every element of a constant is the same; `item` bytes per element.
bool all_equal(const char* p, std::size_t bytes, std::size_t item) {
  return bytes >= 2 * item && bytes % item == 0 && std::memcmp(p, p + item, bytes - item) == 0;
}

const Op& copy_op() {
  static const Op& op = find_op("copy");
  return op;
}

StorageRef copy_of(const Storage& s) {
  StorageRef copy(allocate(s.bytes));
  std::memcpy(copy->data, s.data, s.bytes);
  return copy;
}

Tensor flat_bytes(StorageRef storage) {
  Tensor t(new_impl());
  t->dtype = UInt8;
  t->count = static_cast<std::int64_t>(storage->bytes);
  t->shape = t->strides = {t->count};
  t->strides[0] = 1;
  t->storage = std::move(storage);
  return t;
}

}  // namespace

Recorder::Recorder(const std::vector<Tensor>& arguments, bool trace, bool keep)
    : arguments_(arguments),
      epoch_(++last_epoch),
      epoch_before_(std::exchange(allocation_scope().epoch, epoch_)),
      trace_(trace),
      keep_(keep) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    enter(arguments[i], Place::argument, static_cast<int>(i));
    program_.arguments.add(view_of(arguments[i]));
  }
}
Recorder::~Recorder() { stop(); }

// At once, not when the recorder dies: a traceback may keep it until another recording is on its way.
void Recorder::stop() {
  if (allocation_scope().epoch == epoch_) allocation_scope().epoch = epoch_before_;
}

BufferId Recorder::new_buffer(const Tensor& t, Place place) {
  const BufferId b = program_.add_buffer(place, t->storage->bytes);
  program_.buffers.back().storage = t->storage;
  base_.add(0);
  uniform_.add(false);
  at_[t->storage.get()] = b;
  if (place == Place::temporary && !keep_) note_temporary(b);
  return b;
}

// Now and then, when as much has been made as was held, so that the time stays in proportion.
void Recorder::note_temporary(BufferId b) {
  constexpr std::size_t least = std::size_t{16} << 20;
  temporaries_.push_back(b);
  noted_bytes_ += program_.buffers[b].bytes;
  if (noted_bytes_ > std::max(least, held_bytes_)) release_unused();
}
// Gives back the memory of temporaries to which only this recorder refers: no later call can name them.
void Recorder::release_unused() {
  noted_bytes_ = held_bytes_ = 0;
  std::erase_if(temporaries_, [this](BufferId b) {
    Buffer& buffer = program_.buffers[b];
    if (buffer.storage->refs > 1) {
      held_bytes_ += buffer.bytes;
      return false;
    }
    at_.erase(buffer.storage.get());
    buffer.storage = {};
    return true;
  });
}

// An argument or a gradient is another tensor at the next call: its views count from its own first element.
void Recorder::enter(const Tensor& t, Place place, int number) {
  if (at_.contains(t->storage.get())) return;
  const BufferId b = new_buffer(t, place);
  program_.buffers[b].number = number;
  base_[b] = t->offset * size_of(t.dtype());
}

bool Recorder::born_here(const Tensor& t) const { return t->storage->born == epoch_; }

BufferId Recorder::known_buffer(const Tensor& t) const {
  const auto found = at_.find(t->storage.get());
  return found == at_.end() ? BufferId::none : found->second;
}

// Equal numbers share a buffer, so that equal instructions can be seen to be equal.
BufferId Recorder::merged_constant(const Tensor& t, BufferId made) {
  if (t->storage->bytes > 8 || t->storage->bytes != static_cast<std::size_t>(size_of(t.dtype()))) return made;
  std::uint64_t bits = 0;
  std::memcpy(&bits, t->storage->data, t->storage->bytes);
  for (const auto& [value, buffer] : scalars_)
    if (value == bits && program_.buffers[buffer].bytes == t->storage->bytes) return buffer;
  scalars_.emplace_back(bits, made);
  return made;
}

BufferId Recorder::buffer_of(const Tensor& t) {
  const BufferId known = known_buffer(t);
  if (is_some(known)) return known;
  const bool constant = born_here(t);
  const BufferId made = new_buffer(t, constant ? Place::constant : Place::captured);
  if (!constant) return made;
  uniform_.back() = all_equal(t->storage->data, t->storage->bytes, static_cast<std::size_t>(size_of(t.dtype())));
  return made;
}

View Recorder::view_of(const Tensor& t) {
  const BufferId b = buffer_of(t);
  View v{b, t.dtype(), t.shape(), t.strides(), t->offset - base_[b] / size_of(t.dtype())};
  if (program_.buffers[b].place != Place::constant) return v;
  if (uniform_[b]) {
    v.strides = Dims::filled(t.ndim(), 0);
    v.offset = 0;
  }
  v.buffer = merged_constant(t, b);
  return v;
}

bool Recorder::is_constant(const Tensor& t) {
  const BufferId b = known_buffer(t);
  return !is_some(b) ? born_here(t) : program_.buffers[b].place == Place::constant;
}

// Elementwise instructions see their operands in the order in which the result lies in memory: to passes they are
// contiguous.
void Recorder::push(const Call& c, bool in_place) {
  const MemoryOrder order = c.op.loop ? dense_order(c.out) : MemoryOrder();
  const auto seen = [&](const Tensor& t) { return view_of(order.empty() ? t : in_order(t, order)); };
  Instruction i{.op = &c.op, .attrs = c.attrs, .in_place = in_place};
  for (int k = 0; k < c.count; ++k) i.in.push_back(seen(c.in[k]));
  i.out = seen(c.out);
  if (c.op.loop) i.loop = c.op.loop(c);
  i.number = program_.next_number();
  i.where = user_line();
  if (in_place) program_.buffer(i.out).written = true;
  program_.code.add(std::move(i));
}

void Recorder::trace(const Call& c, bool in_place) {
  if (trace_) traced_.push_back({&c.op, c.attrs, {c.in, c.in + c.count}, c.out, in_place});
}

void Recorder::give(const Tensor& t) { enter(t, Place::argument, static_cast<int>(arguments_.size())); }

void Recorder::computed(const Call& c) {
  trace(c, false);
  if (!c.op.compute) return;  // a view: its storage is known
  bool constant = true;
  for (int i = 0; i < c.count; ++i) constant = constant && is_constant(c.in[i]);
  if (constant) return;
  new_buffer(c.out, Place::temporary);
  push(c, false);
}

void Recorder::keep(const Tensor& t) {
  const Storage* s = t->storage.get();
  if (born_here(t) || bytes_before_.contains(s)) return;
  bytes_before_.try_emplace(s, t->storage, copy_of(*s));
}

void Recorder::undo() {
  for (const auto& [storage, before] : bytes_before_)
    std::memcpy(before.first->data, before.second->data, before.second->bytes);
  for (const auto& [owner, grad] : grads_before_) set_grad(owner, grad);
}

// A constant that is about to be written becomes a temporary with the constant's value: every call starts from it.
void Recorder::will_write(const Call& c) {
  keep(c.out);
  if (!is_constant(c.out)) return;
  const BufferId before = known_buffer(c.out);
  const bool whole = c.op.loop && c.out.contiguous() &&  // ops without a loop may write some elements only
                     static_cast<std::size_t>(c.out.size() * size_of(c.out.dtype())) == c.out->storage->bytes;
  bool fresh = !is_some(before) && whole;
  for (int i = 0; i < c.count; ++i) fresh = fresh && c.in[i]->storage.get() != c.out->storage.get();
  if (fresh) return;
  const BufferId constant = buffer_of(c.out);
  const StorageRef kept = copy_of(*c.out->storage.get());
  const Tensor value = flat_bytes(kept), target = flat_bytes(c.out->storage);
  program_.buffers[constant].storage = kept;
  at_[kept.get()] = constant;
  uniform_[constant] = false;  // its elements are equal, its bytes need not be
  new_buffer(target, Place::temporary);
  push({copy_op(), &value, 1, {}, target}, false);
}

void Recorder::written(const Call& c) {
  trace(c, true);
  const bool fresh = is_constant(c.out);
  if (fresh) new_buffer(c.out, Place::temporary);
  push(c, !fresh);
}

Slot& Recorder::slot_of(const Tensor& owner) {
  for (Slot& s : program_.slots) {
    const Tensor& o = s.argument < 0 ? s.owner : arguments_[static_cast<std::size_t>(s.argument)];
    if (o.get() == owner.get()) return s;
  }
  Slot s{.owner = owner};
  for (std::size_t i = 0; i < arguments_.size(); ++i)
    if (arguments_[i].get() == owner.get()) s = {.argument = static_cast<int>(i)};
  grads_before_.emplace_back(owner, Tensor::share(owner->grad));
  return program_.slots[program_.slots.add(s)];
}

void Recorder::grad_read(const Tensor& owner) {
  Slot& s = slot_of(owner);
  if (s.read || s.set) return;
  s.read = true;
  s.present = owner->grad != nullptr;
  if (!s.present) return;
  const Tensor g = Tensor::share(owner->grad);
  enter(g, Place::gradient, static_cast<int>(&s - &program_.slots[0]));
  s.before = view_of(g);
}

void Recorder::grad_set(const Tensor& owner, const Tensor& g) {
  Slot& s = slot_of(owner);
  s.set = true;
  s.none = !g;
  if (g) s.value = view_of(g);
}

void Recorder::host_read(const Tensor& t, const char* what) {
  if (is_constant(t)) return;
  const std::string line = user_line();
  fail<CompileError>(what, ": the value of ", t, " is asked for inside a compiled function",
                     line.empty() ? "" : ", at ", line,
                     "; it may be another one at the next call. Use where() or other ops, return the tensor, or "
                     "compute this outside");
}

Program Recorder::finish(const std::vector<Tensor>& outputs) {
  for (const Tensor& t : outputs) {
    Result r{.view = view_of(t)};
    const Place place = program_.buffer(r.view).place;
    r.known = place == Place::captured || place == Place::argument;
    if (place == Place::captured) r.tensor = t;
    program_.results.add(std::move(r));
  }
  return std::move(program_);
}

Tensor grad_of(const Tensor& owner) {
  if (mode().recorder) mode().recorder->grad_read(owner);
  return Tensor::share(owner->grad);
}
void set_grad(const Tensor& owner, const Tensor& g) {
  if (mode().recorder) mode().recorder->grad_set(owner, g);
  const Tensor before(owner->grad);
  owner->grad = Tensor(g).release();
}
bool is_traced() { return mode().recorder && mode().recorder->traces(); }
void host_read(const Tensor& t, const char* what) {
  if (mode().recorder) mode().recorder->host_read(t, what);
}

}  // namespace steep
