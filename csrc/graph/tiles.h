// A group of elementwise instructions over the same elements, run a tile at a time: every step reads and writes a tile
// that stays in the first-level cache, and only results needed elsewhere are written to memory. Sums, maxima and minima
// of trailing axes that end a group are reduced from the tiles, in the same order as by their kernel alone. Start at
// TileGroup::run.
#pragma once

#include "graph/fuse.h"

namespace steep {

class TileGroup {
 public:
  // `escapes`: by buffer, whether a temporary is needed outside of this unit.
  TileGroup(const Program& p, const Unit& unit, const Table<BufferId, bool>& escapes);

  // The addresses of all buffers, and memory for what is local to the group: scratch_bytes() bytes, kept until the next
  // bind.
  void bind(const Table<BufferId, char*>& base, char* scratch);
  std::int64_t scratch_bytes() const;
  void run() const;
  // The part of rows [i, i + mi) and columns [j, j + nj), of elements seen as rows of `columns`; for groups without
  // folds, from any thread.
  void run_part(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj, std::int64_t columns) const;
  bool has_folds() const { return length_ > 0; }

  std::int64_t elements() const { return elements_; }
  std::int64_t tile() const { return tile_; }

 private:
  enum class Kind : std::uint8_t { memory, single, row, tile, stretch, gathered };
  // Where a step reads or writes its elements. row: memory that is read repeatedly, or one value per row, by groups
  // whose tiles end at row ends. tile: in the thread's working memory; stretch: likewise, as long as a leaf of a
  // reduction.
  struct Operand {
    Kind kind = Kind::memory;
    BufferId buffer = BufferId::none;
    std::int64_t offset = 0;  // bytes, in the buffer or in the working memory
    std::int64_t item = 0;
    char* at = nullptr;                          // in memory, once bound
    std::int64_t row_step = 0, column_step = 0;  // bytes, of Kind::row
  };
  struct Step {
    k::Loop loop;
    const double* params;
    unsigned scalars;
    int count;
    Operand in[3], out;
  };
  struct Gather {
    Operand from;
    Dims shape, strides;
    std::int64_t offset;  // of the copy in the working memory
    bool steady;          // the same for every tile
  };
  struct Fold {
    k::RowReduce f;
    k::Reduction kind;
    DType dtype;
    Operand in, out;
    std::int64_t partial;  // offset of the leaves' results in scratch, where rows are longer than a leaf
  };
  // A step whose addresses never change between binds: groups of one tile.
  struct Flat {
    k::Loop loop;
    const void* in[3];
    void* out;
    unsigned scalars;
    const double* params;
  };
  struct Worker;  // one thread's run over some chunks
  class Builder;

  bool one_tile() const { return elements_ <= tile_ && !long_folds_; }
  void run_flat() const;
  void run_chunks(std::int64_t from, std::int64_t to) const;
  void finish_folds() const;
  char* address(const Operand& o, std::int64_t i, std::int64_t chunk, char* work) const;

  std::int64_t elements_ = 0, tile_ = 0, chunk_ = 0, length_ = 0, pieces_ = 1, row_ = 0, work_bytes_ = 0,
               partial_bytes_ = 0;
  bool long_folds_ = false;
  double cost_ = 0;
  std::vector<Step> steps_;
  std::vector<Gather> gathers_;
  std::vector<Fold> folds_;
  std::vector<Flat> flat_;
  std::vector<AttrsRef> attrs_;
  char* scratch_ = nullptr;
};

}  // namespace steep
