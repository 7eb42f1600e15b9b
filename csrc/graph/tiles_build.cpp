// Making a group: where every step reads and writes, which working memory can be used again, how long a tile is.
// Start reading at Builder::build.
#include <algorithm>
#include <map>

#include "core/iterate.h"
#include "graph/tiles.h"
#include "kernels/integers.h"

namespace steep {
namespace {
constexpr std::int64_t usual_tile = 1024, one_tile_limit = 2048, chunk_tiles = 8;
}

class TileGroup::Builder {
 public:
  Builder(TileGroup& group, const Program& p, const Unit& unit, const Table<BufferId, bool>& escapes)
      : g_(group), p_(p), unit_(unit), escapes_(escapes) {}

  void build() {
    measure();
    find_last_uses();
    for (std::size_t at = 0; at < unit_.members.size(); ++at) {
      const Instruction& c = instruction(unit_.members[at]);
      if (is_fold(c)) continue;
      add_step(c, at);
    }
    for (const InstructionId m : unit_.members)
      if (is_fold(instruction(m))) add_fold(instruction(m));
  }

 private:
  const Instruction& instruction(InstructionId i) const { return p_.code[i]; }

  // The number of elements and their division: reductions determine chunks, repeated rows determine tiles.
  void measure() {
    DType folded = Float32;
    std::int64_t period = 0;
    for (const InstructionId m : unit_.members) {
      const Instruction& c = instruction(m);
      if (is_fold(c)) {
        g_.length_ = fold_length(c);
        folded = c.in[0].dtype;
        g_.elements_ = c.in[0].count();
      } else {
        g_.elements_ = c.out.count();
        for (const View& v : c.in) period = std::max(period, period_of(v, c.out));
      }
      g_.cost_ += is_fold(c) ? 0.05 : 0.7 * static_cast<double>(c.op->cost);  // most of it in cache
    }
    const std::int64_t leaf = fold_leaf(folded);
    g_.long_folds_ = g_.length_ > leaf;
    g_.tile_ = usual_tile;
    if (g_.elements_ <= one_tile_limit && !g_.long_folds_) g_.tile_ = g_.elements_;
    else if ((g_.row_ = row_length()) > 0) g_.tile_ = std::min(g_.row_, 2 * usual_tile);
    else if (period > 0 && period <= usual_tile) g_.tile_ = usual_tile / period * period;
    g_.chunk_ = chunk_tiles * g_.tile_;
    if (g_.long_folds_) {
      g_.chunk_ = leaf;
      g_.pieces_ = k::ceil_div(g_.length_, leaf);
    } else if (g_.length_ > 0) {
      g_.chunk_ = std::max<std::int64_t>(1, leaf / g_.length_) * g_.length_;
    }
  }

  // An operand over rows of the result's elements: one value per row, or one repeated row.
  struct Rows {
    std::int64_t length, row_step, column_step;  // elements
  };
  static Rows rows_of(const View& v, const View& out) {
    Dims shape = out.shape, strides = broadcast_strides(v.shape, v.strides, out.shape);
    merge_dims(shape, strides);
    if (shape.size() != 2 || strides[1] > 1 || strides[1] < 0) return {0, 0, 0};
    return {shape[1], strides[0], strides[1]};
  }
  bool in_step(const View& v) const { return v.single() || (v.contiguous() && v.count() == g_.elements_); }
  // The length of rows, if every operand that is broadcast has rows of that length that fill a tile, and copying them
  // into tiles would be expensive: one value per row, or rows longer than a tile.
  std::int64_t row_length() const {
    std::int64_t length = 0;
    bool gains = false;
    for (const InstructionId m : unit_.members) {
      const Instruction& c = instruction(m);
      if (is_fold(c)) continue;
      for (const View& v : c.in) {
        if (in_step(v)) continue;
        const Rows r = rows_of(v, c.out);
        if (r.length < 64 || (length && r.length != length)) return 0;
        length = r.length;
        gains = gains || r.column_step == 0 || r.length > usual_tile;
      }
    }
    return gains ? length : 0;
  }

  // The length of a repeated row, 0 if there is none.
  static std::int64_t period_of(const View& v, const View& out) {
    Dims shape = out.shape, strides = broadcast_strides(v.shape, v.strides, out.shape);
    merge_dims(shape, strides);
    return shape.size() == 2 && strides[0] == 0 && strides[1] == 1 ? shape[1] : 0;
  }

  void find_last_uses() {
    for (std::size_t at = 0; at < unit_.members.size(); ++at) {
      const Instruction& c = instruction(unit_.members[at]);
      for (const View& v : c.in) {
        last_use_[v.buffer] = at;
        if (is_fold(c)) stretched_.push_back(v.buffer);
      }
    }
  }
  bool is_stretched(BufferId buffer) const {
    return std::find(stretched_.begin(), stretched_.end(), buffer) != stretched_.end();
  }
  // Exists in working memory only.
  bool is_local(const View& v) const { return p_.buffer(v).place == Place::temporary && !escapes_[v.buffer]; }

  std::int64_t new_scratch(std::int64_t bytes) {
    const std::int64_t at = g_.work_bytes_;
    g_.work_bytes_ += (bytes + 63) / 64 * 64;
    return at;
  }

  Operand memory(const View& v, Kind kind) const {
    const std::int64_t item = size_of(v.dtype);
    return {kind, v.buffer, v.offset * item, item};
  }
  Operand input(const View& v, const View& out) {
    const auto local = local_.find(v.buffer);
    if (local != local_.end()) return local->second;
    if (g_.elements_ > 1 && v.single()) return memory(v, Kind::single);
    if (v.contiguous() && v.count() == g_.elements_) return memory(v, Kind::memory);
    return g_.row_ ? by_rows(v, out) : gathered(v, out);
  }
  Operand by_rows(const View& v, const View& out) const {
    const Rows r = rows_of(v, out);
    Operand o = memory(v, Kind::row);
    o.row_step = r.row_step * o.item;
    o.column_step = r.column_step * o.item;
    return o;
  }
  Operand gathered(const View& v, const View& out) {
    Gather g{memory(v, Kind::memory), out.shape, broadcast_strides(v.shape, v.strides, out.shape), 0, false};
    merge_dims(g.shape, g.strides);
    const std::int64_t period = period_of(v, out);
    const bool whole_tiles = g_.length_ == 0 || (!g_.long_folds_ && g_.chunk_ % g_.tile_ == 0);
    g.steady = period > 0 && g_.tile_ % period == 0 && whole_tiles;
    g.offset = new_scratch(g_.tile_ * g.from.item);
    const Operand copy{Kind::gathered, BufferId::none, g.offset, g.from.item};
    g_.gathers_.push_back(g);
    return copy;
  }
  Operand output(const View& v) {
    if (!is_local(v)) return memory(v, Kind::memory);
    const std::int64_t item = size_of(v.dtype);
    if (is_stretched(v.buffer))
      return {Kind::stretch, BufferId::none, new_scratch(std::max(g_.chunk_, g_.tile_) * item), item};
    auto& free = free_[item];
    if (free.empty()) return {Kind::tile, BufferId::none, new_scratch(g_.tile_ * item), item};
    const Operand o{Kind::tile, BufferId::none, free.back(), item};
    free.pop_back();
    return o;
  }

  void add_step(const Instruction& c, std::size_t at) {
    Step s{c.loop, loop_params(c.attrs), 0, static_cast<int>(c.in.size()), {}, {}};
    g_.attrs_.push_back(c.attrs);
    for (int i = 0; i < s.count; ++i) {
      const View& v = c.in[static_cast<std::size_t>(i)];
      s.in[i] = input(v, c.out);
      const bool one_a_row = s.in[i].kind == Kind::row && s.in[i].column_step == 0;
      s.scalars |= unsigned{s.in[i].kind == Kind::single || one_a_row} << i;
    }
    for (const View& v : c.in) release(v.buffer, at);
    s.out = output(c.out);
    if (is_local(c.out)) local_[c.out.buffer] = s.out;
    if (last_use_.find(c.out.buffer) == last_use_.end()) release(c.out.buffer, at);
    g_.steps_.push_back(s);
  }
  // Working memory is free again after its last reader; the result of that step may be written there.
  void release(BufferId buffer, std::size_t at) {
    const auto local = local_.find(buffer);
    if (local == local_.end() || local->second.kind != Kind::tile) return;
    const auto last = last_use_.find(buffer);
    if (last != last_use_.end() && last->second != at) return;
    free_[local->second.item].push_back(local->second.offset);
    local_.erase(local);
  }

  void add_fold(const Instruction& c) {
    const View& v = c.in[0];
    Fold f{k::table().row_reduce[c.op->fold][v.dtype],
           c.op->fold,
           v.dtype,
           input(v, v),
           memory(c.out, Kind::memory),
           g_.partial_bytes_};
    if (g_.long_folds_) g_.partial_bytes_ += (g_.elements_ / g_.length_ * g_.pieces_ * size_of(v.dtype) + 63) / 64 * 64;
    g_.folds_.push_back(f);
  }

  TileGroup& g_;
  const Program& p_;
  const Unit& unit_;
  const Table<BufferId, bool>& escapes_;
  std::map<BufferId, std::size_t> last_use_;
  std::map<BufferId, Operand> local_;
  std::map<std::int64_t, std::vector<std::int64_t>> free_;
  std::vector<BufferId> stretched_;
};

TileGroup::TileGroup(const Program& p, const Unit& unit, const Table<BufferId, bool>& escapes) {
  Builder(*this, p, unit, escapes).build();
}

}  // namespace steep
