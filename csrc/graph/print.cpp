// A program as text: one instruction per line with its operands, the user's source line, and its group.
#include <iomanip>
#include <sstream>
#include <string_view>
#include <utility>

#include "graph/attributes.h"
#include "graph/replay.h"

namespace steep {
namespace {

// a0: an argument, c: a captured tensor, g: a .grad, t: a temporary; numbers are those of the buffers.
std::string buffer_name(const Program& p, BufferId b) {
  static constexpr char letters[] = {'t', 'k', 'c', 'a', 'g'};
  static_assert(std::size(letters) == static_cast<std::size_t>(Place::gradient) + 1);
  const Buffer& buffer = p.buffers[b];
  return str(letters[static_cast<int>(buffer.place)], buffer.number >= 0 ? buffer.number : static_cast<int>(b));
}

std::string number_text(const Program& p, const View& v) {
  const char* at = p.buffer(v).storage->data + v.offset * size_of(v.dtype);
  const void* in[] = {at};
  double value;
  k::table().cast[v.dtype][Float64](in, &value, 1, 0, nullptr);
  return str(std::setprecision(7), value);
}

std::string bytes_text(std::size_t n) {
  if (n < 10240) return str(n, " bytes");
  if (n < std::size_t{10} << 20) return str((n + 512) / 1024, " KiB");
  return str((n + (1 << 19)) >> 20, " MiB");
}

void print_instruction(std::ostream& out, const Program& p, const Instruction& c, const char* indent) {
  std::ostringstream line;
  line << indent << describe(c.out, p) << (c.in_place ? " <- " : " = ") << c.op->name << '(';
  const char* between = "";
  for (const View& v : c.in) line << std::exchange(between, ", ") << describe(v, p);
  for (const Attribute& a : attributes_of(*c.op, c.attrs))
    line << std::exchange(between, ", ") << a.name << '=' << value_text(a);
  line << ')';
  const std::string text = line.str();
  out << std::left << std::setw(60) << text << "  " << c.out.dtype << c.out.shape;
  if (!c.where.empty()) out << "  " << std::string_view(c.where).substr(c.where.find_last_of('/') + 1);
  out << '\n';
}

}  // namespace

std::string describe(const View& v, const Program& p) {
  const Buffer& b = p.buffer(v);
  if (b.place == Place::constant && v.single()) return number_text(p, v);
  std::string name = buffer_name(p, v.buffer);
  if (v.single() && v.count() > 1) return name + "[...]";
  return v.contiguous() && v.offset == 0 ? name
                                         : str(name, "{", v.strides, v.offset ? str(" from ", v.offset) : "", "}");
}

std::string Replay::text() const {
  std::ostringstream out;
  const Program& p = program_;
  out << p.code.size() << " instructions (" << p.recorded << " recorded, " << p.dead << " dead, " << p.repeated
      << " repeated, " << p.uniform << " of one value) in " << units_.size() << " units, " << groups_.size()
      << " fused groups; arena " << bytes_text(plan_.bytes) << " for " << bytes_text(temporary_bytes())
      << " of temporaries\n";
  for (const View& v : p.arguments)
    out << "  argument " << buffer_name(p, v.buffer) << "  " << v.dtype << v.shape
        << (p.buffer(v).written ? "  written in place" : "") << '\n';
  for (const BufferId b : p.buffers.ids())
    if (p.buffers[b].place == Place::captured)
      out << "  captured " << buffer_name(p, b) << "  " << bytes_text(p.buffers[b].bytes)
          << (p.buffers[b].written ? "  written in place" : "") << '\n';
  int number = 0, group = 0;
  for (const Unit& u : units_) {
    out << std::right << std::setw(4) << number++ << ' ';
    if (u.group) {
      const TileGroup& g = groups_[group++];
      if (u.members.size() > 1)
        out << "group of " << u.members.size() << " over " << g.elements() << " elements, tiles of " << g.tile();
      if (u.members.size() > 1 && is_some(u.finishes)) out << ", ";
      if (is_some(u.finishes)) out << "part by part with " << static_cast<int>(u.finishes);
      if (u.members.size() > 1) out << '\n';
    }
    for (const InstructionId m : u.members)
      print_instruction(out, p, p.code[m], u.members.size() > 1 ? "       " : is_some(u.finishes) ? ": " : " ");
  }
  for (const Slot& s : p.slots)
    if (s.set) out << "  .grad " << (s.none ? "None" : describe(s.value, p)) << '\n';
  for (const Result& r : p.results) out << "  result " << describe(r.view, p) << '\n';
  return out.str();
}

}  // namespace steep
