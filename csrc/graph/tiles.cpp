// Running groups tile by tile. A tile is about a thousand elements, so that a group's working memory fits the
// first-level cache; a chunk is the unit of work of a thread, or one leaf of a reduction. Chunks have fixed boundaries,
// and no bits depend on the tiles. tiles_build.cpp makes a group; start reading at run().
#include "graph/tiles.h"

#include "core/iterate.h"
#include "core/parallel.h"
#include "graph/tiles_parts.h"
#include "kernels/scratch.h"

namespace steep {

void TileGroup::bind(const Table<BufferId, char*>& base, char* scratch) {
  scratch_ = scratch;
  const auto resolve = [&](Operand& o) {
    if (is_some(o.buffer)) o.at = base[o.buffer] + o.offset;
  };
  for (Step& s : steps_) {
    for (int i = 0; i < s.count; ++i) resolve(s.in[i]);
    resolve(s.out);
  }
  for (Gather& g : gathers_) resolve(g.from);
  for (Fold& f : folds_) {
    resolve(f.in);
    resolve(f.out);
  }
  flat_.clear();
  if (!one_tile()) return;
  for (const Step& s : steps_) {
    Flat f{s.loop, {}, address(s.out, 0, 0, scratch), s.scalars, s.params};
    for (int i = 0; i < s.count; ++i) f.in[i] = address(s.in[i], 0, 0, scratch);
    flat_.push_back(f);
  }
}

std::int64_t TileGroup::scratch_bytes() const { return one_tile() ? work_bytes_ : partial_bytes_; }

// Element i of an operand, for a tile that begins there in a chunk that began at `chunk`.
char* TileGroup::address(const Operand& o, std::int64_t i, std::int64_t chunk, char* work) const {
  switch (o.kind) {
    case Kind::memory: return o.at + i * o.item;
    case Kind::single: return o.at;
    case Kind::row: return o.at + i / row_ * o.row_step + i % row_ * o.column_step;
    case Kind::stretch: return work + o.offset + (i - chunk) * o.item;
    default: return work + o.offset;
  }
}

void TileGroup::run() const {
  if (one_tile()) return run_flat();
  const std::int64_t chunks = long_folds_ ? elements_ / length_ * pieces_ : (elements_ + chunk_ - 1) / chunk_;
  parallel_for(chunks, 1, cost_ * static_cast<double>(chunk_),
               [&](std::int64_t from, std::int64_t to) { run_chunks(from, to); });
  if (long_folds_) finish_folds();
}

void TileGroup::run_flat() const {
  for (const Gather& g : gathers_)
    gather(scratch_ + g.offset, g.from.at, g.from.item, g.shape, g.strides, 0, elements_);
  for (const Flat& f : flat_) f.loop(f.in, f.out, elements_, f.scalars, f.params);
  for (const Fold& f : folds_) f.f(address(f.in, 0, 0, scratch_), f.out.at, elements_ / length_, length_);
}

// One thread's run over some chunks, with its own working memory.
struct TileGroup::Worker {
  const TileGroup& group;
  char* work;
  bool whole_tiles = true;  // tiles begin where run() places them, so that steady operands stay valid
  bool first = true;

  void tile(std::int64_t begin, std::int64_t n, std::int64_t chunk) {
    for (const Gather& g : group.gathers_)
      if (first || !g.steady || !whole_tiles)
        gather(work + g.offset, g.from.at, g.from.item, g.shape, g.strides, begin,
               g.steady && whole_tiles ? group.tile_ : n);
    first = false;
    for (const Step& s : group.steps_) {
      const void* in[3];
      for (int i = 0; i < s.count; ++i) in[i] = group.address(s.in[i], begin, chunk, work);
      s.loop(in, group.address(s.out, begin, chunk, work), n, s.scalars, s.params);
    }
  }
  void span(std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin, n; i < end; i += n) {
      n = std::min(group.tile_, end - i);
      if (group.row_) n = std::min(n, group.row_ - i % group.row_);
      tile(i, n, begin);
    }
  }
  // Whole rows, or the part of a row that is one leaf.
  void fold(std::int64_t begin, std::int64_t end, std::int64_t chunk_number) const {
    for (const Fold& f : group.folds_) {
      const void* x = group.address(f.in, begin, begin, work);
      const std::int64_t item = size_of(f.dtype);
      if (group.long_folds_) f.f(x, group.scratch_ + f.partial + chunk_number * item, 1, end - begin);
      else f.f(x, f.out.at + begin / group.length_ * item, (end - begin) / group.length_, group.length_);
    }
  }
};

void TileGroup::run_chunks(std::int64_t from, std::int64_t to) const {
  Worker worker{*this, static_cast<char*>(k::scratch(k::Scratch::tiles, static_cast<std::size_t>(work_bytes_)))};
  for (std::int64_t c = from; c < to; ++c) {
    std::int64_t begin = c * chunk_, end = std::min(elements_, begin + chunk_);
    if (long_folds_) {
      const std::int64_t row = c / pieces_ * length_;
      begin = row + c % pieces_ * chunk_;
      end = std::min(row + length_, begin + chunk_);
    }
    worker.span(begin, end);
    worker.fold(begin, end, c);
  }
}

void TileGroup::run_part(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj, std::int64_t columns) const {
  Worker worker{*this, static_cast<char*>(k::scratch(k::Scratch::tiles, static_cast<std::size_t>(work_bytes_))), false};
  if (nj == columns) return worker.span(i * columns, (i + mi) * columns);
  for (std::int64_t row = i; row < i + mi; ++row) worker.span(row * columns + j, row * columns + j + nj);
}

// The tree over the leaves of a row, that of fold_row() in the kernels.
namespace {
char* combine(const TilePair& pair, char* leaves, std::int64_t count, std::int64_t item) {
  if (count == 1) return leaves;
  const std::int64_t left = k::fold_split(count, 1);
  char* a = combine(pair, leaves, left, item);
  pair(a, combine(pair, leaves + left * item, count - left, item));
  return a;
}
}  // namespace

void TileGroup::finish_folds() const {
  for (const Fold& f : folds_) {
    const std::int64_t item = size_of(f.dtype);
    const TilePair pair{f.f, f.kind, f.dtype};
    for (std::int64_t row = 0; row < elements_ / length_; ++row) {
      const char* whole = combine(pair, scratch_ + f.partial + row * pieces_ * item, pieces_, item);
      std::memcpy(f.out.at + row * item, whole, static_cast<std::size_t>(item));
    }
  }
}

}  // namespace steep
