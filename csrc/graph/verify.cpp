// Comparing programs and values. Recordings are compared before they are simplified, so that an instruction here is an
// operation there.
#include "graph/verify.h"

#include <algorithm>
#include <cstring>

#include "graph/attributes.h"
#include "graph/recorder.h"

namespace steep {
namespace {

std::string name_of(const Instruction& c) {
  return str("instruction ", static_cast<int>(c.number), ", ", c.op->name, c.where.empty() ? "" : " at ", c.where);
}

std::string_view bytes_of(const StorageRef& s) { return {s->data, s->bytes}; }

std::string value_text(const View& v, const Program& p) {
  return v.single() && v.count() > 0 ? describe(v, p) : str(v.dtype, v.shape);
}

// Views of two recordings correspond if their buffers were first used in the same order.
std::string different_views(const View& a, const View& b, const Program& p, const Program& q) {
  const Buffer &x = p.buffer(a), &y = q.buffer(b);
  const bool alike = a.dtype == b.dtype && a.shape == b.shape && a.strides == b.strides && a.offset == b.offset;
  if (!alike || x.place != y.place) return str(a.dtype, a.shape, " was ", b.dtype, b.shape);
  if (x.place == Place::constant && bytes_of(x.storage) != bytes_of(y.storage))
    return str("a constant was ", value_text(a, p), " and is ", value_text(b, q));
  const bool other = x.place == Place::captured ? x.storage->data != y.storage->data : a.buffer != b.buffer;
  return other ? "it reads another tensor" : "";
}

std::string different(const Instruction& a, const Instruction& b, const Program& p, const Program& q) {
  if (a.op != b.op || a.in.size() != b.in.size()) return str("it was ", a.op->name, " and is ", b.op->name);
  const auto before = attributes_of(*a.op, a.attrs), now = attributes_of(*b.op, b.attrs);
  if (before.size() != now.size()) return "its attributes changed";
  for (std::size_t i = 0; i < now.size(); ++i)
    if (!(before[i] == now[i]))
      return str("the attribute ", now[i].name, " was ", value_text(before[i]), " and is ", value_text(now[i]));
  for (std::size_t i = 0; i < a.in.size(); ++i) {
    const std::string text = different_views(a.in[i], b.in[i], p, q);
    if (!text.empty()) return text;
  }
  return different_views(a.out, b.out, p, q);
}

bool alike(const Slot& a, const Slot& b) {
  return a.owner.get() == b.owner.get() && a.argument == b.argument && a.set == b.set && a.none == b.none;
}

// What two recordings return and which gradients they set.
std::string different_ends(const Program& p, const Program& q) {
  if (p.results.size() != q.results.size())
    return str("it returned ", p.results.size(), " tensors, now ", q.results.size());
  for (const int i : p.results.ids()) {
    const std::string text = different_views(p.results[i].view, q.results[i].view, p, q);
    if (!text.empty()) return str("result ", i, ": ", text);
  }
  if (!std::ranges::equal(p.slots, q.slots, alike)) return "it sets other gradients";
  for (const int i : p.slots.ids()) {
    const Slot &a = p.slots[i], &b = q.slots[i];
    const std::string text = a.set && !a.none ? different_views(a.value, b.value, p, q) : "";
    if (!text.empty()) return str("gradient ", i, ": ", text);
  }
  return "";
}

// The first element that differs between two results of one shape, or -1. A uniform result may be one element.
std::int64_t first_different(const char* got, std::int64_t got_bytes, const char* wanted, std::int64_t bytes,
                             std::int64_t item) {
  for (std::int64_t at = 0; at < bytes; at += item)
    if (std::memcmp(got + (got_bytes == item ? 0 : at), wanted + at, static_cast<std::size_t>(item))) return at / item;
  return -1;
}

}  // namespace

Snapshot::Snapshot(const Program& p, const std::vector<Tensor>& arguments) {
  for (const Buffer& b : p.buffers) {
    if (!b.written) continue;
    if (b.place == Place::captured)
      memory_.push_back({"a captured tensor", b.storage, std::string(bytes_of(b.storage))});
    if (b.place != Place::argument) continue;
    const StorageRef& s = arguments[static_cast<std::size_t>(b.number)]->storage;
    memory_.push_back({str("argument ", b.number), s, std::string(bytes_of(s))});
  }
  for (const Slot& s : p.slots) {
    const Tensor owner = s.argument < 0 ? s.owner : arguments[static_cast<std::size_t>(s.argument)];
    grads_.push_back({str(".grad of ", owner), owner, Tensor::share(owner->grad)});
  }
}

void Snapshot::restore() const {
  for (const Kept& k : memory_) std::memcpy(k.storage->data, k.bytes.data(), k.bytes.size());
  for (const Grad& g : grads_) set_grad(g.owner, g.grad);
}

std::vector<std::pair<std::string, std::string>> Snapshot::now() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Kept& k : memory_) all.emplace_back(k.name, bytes_of(k.storage));
  for (const Grad& g : grads_) {
    const TensorImpl* now = g.owner->grad;
    const std::size_t bytes = now ? static_cast<std::size_t>(now->count * size_of(now->dtype)) : 0;
    all.emplace_back(g.name, now ? std::string(Tensor::share(g.owner->grad).bytes(), bytes) : "None");
  }
  return all;
}

std::string difference(const Program& recorded, const Program& again) {
  for (const InstructionId i : IdRange<InstructionId>(std::min(recorded.code.size(), again.code.size()))) {
    const std::string text = different(recorded.code[i], again.code[i], recorded, again);
    if (!text.empty()) return name_of(again.code[i]) + ": " + text;
  }
  if (recorded.code.size() != again.code.size())
    return str("there were ", recorded.code.size(), " instructions and are ", again.code.size());
  return different_ends(recorded, again);
}

std::string first_wrong(const Replay& kept, const Program& recorded) {
  const Program& p = kept.program();
  for (const Instruction& c : p.code) {
    if (c.where.empty() || p.buffer(c.out).written) continue;
    const Instruction& plain = recorded.code[c.number];
    const Buffer& wanted = recorded.buffer(plain.out);
    const auto got = static_cast<std::int64_t>(p.buffer(c.out).bytes), bytes = static_cast<std::int64_t>(wanted.bytes);
    const std::int64_t at =
        first_different(kept.address(c.out.buffer), got, wanted.storage->data, bytes, size_of(c.out.dtype));
    if (at >= 0) return str(name_of(c), ": its result ", plain.out.dtype, plain.out.shape, " differs at element ", at);
  }
  return "";
}

}  // namespace steep
