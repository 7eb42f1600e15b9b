// Best fit in order of first use: a block goes into the smallest gap that holds it, and gaps merge as blocks are freed.
#include "graph/plan.h"

#include <algorithm>
#include <map>

namespace steep {
namespace {

// Free parts of the arena by offset; the last one has no end.
class Gaps {
 public:
  std::size_t take(std::size_t bytes) {
    auto best = gaps_.end();
    for (auto g = gaps_.begin(); g != gaps_.end(); ++g)
      if (g->second >= bytes && (best == gaps_.end() || g->second < best->second)) best = g;
    if (best == gaps_.end()) return extend(bytes);
    const auto [offset, size] = *best;
    gaps_.erase(best);
    if (size > bytes) gaps_[offset + bytes] = size - bytes;
    return offset;
  }
  void give_back(std::size_t offset, std::size_t bytes) {
    auto at = gaps_.emplace(offset, bytes).first;
    const auto next = std::next(at);
    if (next != gaps_.end() && offset + bytes == next->first) {
      at->second += next->second;
      gaps_.erase(next);
    }
    if (at == gaps_.begin()) return;
    const auto before = std::prev(at);
    if (before->first + before->second != offset) return;
    before->second += at->second;
    gaps_.erase(at);
  }
  std::size_t end() const { return end_; }

 private:
  // At the end, together with a gap that reaches it.
  std::size_t extend(std::size_t bytes) {
    std::size_t from = end_;
    if (!gaps_.empty()) {
      const auto last = std::prev(gaps_.end());
      if (last->first + last->second == end_) {
        from = last->first;
        gaps_.erase(last);
      }
    }
    end_ = from + bytes;
    return from;
  }
  std::map<std::size_t, std::size_t> gaps_;
  std::size_t end_ = 0;
};

}  // namespace

Plan plan_memory(const Table<BufferId, Lifetime>& lives) {
  Plan plan{Table<BufferId, std::size_t>(lives.size(), 0), 0};
  std::vector<BufferId> births, deaths;
  for (const BufferId b : lives.ids())
    if (lives[b].bytes) births.push_back(b);
  deaths = births;
  std::sort(births.begin(), births.end(), [&](auto a, auto b) {  // of those born together the largest first
    return lives[a].first != lives[b].first ? lives[a].first < lives[b].first : lives[a].bytes > lives[b].bytes;
  });
  std::sort(deaths.begin(), deaths.end(), [&](auto a, auto b) { return lives[a].last < lives[b].last; });
  const auto size = [&](BufferId b) { return (lives[b].bytes + 63) / 64 * 64; };
  Gaps gaps;
  std::size_t dead = 0;
  for (const BufferId b : births) {
    for (; dead < deaths.size() && lives[deaths[dead]].last < lives[b].first; ++dead)
      gaps.give_back(plan.offset[deaths[dead]], size(deaths[dead]));
    plan.offset[b] = gaps.take(size(b));
  }
  plan.bytes = gaps.end();
  return plan;
}

}  // namespace steep
