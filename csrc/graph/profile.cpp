// Noting what runs. Start reading at Profiler::ran.
#include "graph/profile.h"

#include <utility>

#include "core/host.h"

namespace steep {
namespace {

Layout layout_of(const Tensor& t) { return {t.dtype(), t.shape()}; }

// Of a gradient rule, the line of the op that it belongs to.
std::string line_of(const Node* rule) {
  return rule && rule->extra && !rule->extra->where.empty() ? rule->extra->where : user_line();
}

}  // namespace

void Profiler::ran(const Call& c, std::int64_t begin) {
  const std::int64_t end = now();
  Operation one{c.op.name, line_of(rule), {}, layout_of(c.out)};
  for (int i = 0; i < c.count; ++i) one.in.push_back(layout_of(c.in[i]));
  add(passes ? Event::Phase::backward : Event::Phase::forward, rule ? rule->name() : "", begin, end, {std::move(one)});
}

void Profiler::ran_step(std::vector<Operation> operations, std::int64_t begin) {
  add(Event::Phase::compiled, "", begin, now(), std::move(operations));
}

void Profiler::add(Event::Phase phase, const char* of, std::int64_t begin, std::int64_t end,
                   std::vector<Operation> operations) {
  events_.push_back({phase, of, begin, end, std::move(operations)});
  own_ += now() - end;
}

}  // namespace steep
