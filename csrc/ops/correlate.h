// Correlations, which convolutions and their gradients with respect to images are: what is read and written where, and
// the pieces that threads share. Bits do not depend on the pieces, which never cut what is summed. conv_run.cpp makes
// correlations of convolutions, kernels/conv.h says what a kernel is given. Start reading at Job, then run.
#pragma once

#include <optional>

#include "kernels/conv.h"
#include "kernels/panels.h"
#include "kernels/table.h"
#include "ops/conv.h"
#include "ops/precision.h"

namespace steep::correlate {

inline constexpr double nanoseconds = 0.0125;  // a multiplication and addition, on one core

// The windows of one dimension: what is read where, and which taps of the kernel these are.
struct Line {
  k::Window window;
  std::int64_t lowest = 0, every = 1;  // the taps are those of the kernel at `lowest`, `lowest` + `every`, ..
  std::int64_t first = 0, apart = 1;   // where output 0 lies in the result, and how far apart outputs are

  std::int64_t tap(std::int64_t i) const { return lowest + i * every; }
};
struct Windows {
  Line line[3];

  void fill(k::Window (&to)[3]) const {
    for (int d = 0; d < 3; ++d) to[d] = line[d].window;
  }
  std::int64_t total(std::int64_t k::Window::*side) const {
    return line[0].window.*side * (line[1].window.*side) * (line[2].window.*side);
  }
};

// One correlation for each image and group, from `in` to `out`.
struct Job {
  const Tensor& in;
  const char* weight;
  const Tensor &bias, &out;
  std::int64_t groups, rows, channels, taps;  // of a group
  std::int64_t out_offset;
};
k::Correlation correlation(const Geometry& g, const Windows& w, const Job& j);

// The product kernel, if it is not the kernels' own fused multiply-adds. These read the image directly, so they are
// faster than six products for which columns are written out and split: "auto" never asks for others here. What it asks
// for is parts that are read from a copy of the image (gains_by_parts), and products with the image itself.
k::Gemm product_of(const Geometry& g, DType type, std::int64_t rows, std::int64_t n, std::int64_t k);

// The kernel of a gradient with respect to the weight that is computed by parts, or null.
k::CorrelateWeight weight_parts_of(Precision precision, DType type, const k::WeightGradient& x);

// Weights that kernels rearrange are kept for the time of a convolution, where no program keeps them and they are read
// more than once: by several pieces, or by a product kernel that is called for some columns or images at a time. Memory
// for them is new at every call, so one that reads them once uses the thread's.
class KeptWeights {
 public:
  KeptWeights(const char* weight, std::int64_t bytes, bool wanted);

 private:
  std::optional<k::PanelStore> panels_;
  std::optional<k::PanelScope> scope_;
};

// How a correlation is split: images that go together, and the positions and rows of a part.
struct Parts {
  std::int64_t together, columns, tall;
};
// Into images, then positions, then rows. Small images go together, up to the number given. If their positions are
// fewer than the weights, rows come first, so that each weight is packed once.
inline constexpr std::int64_t any_number = INT64_MAX;
Parts parts_of(const Job& j, const k::Correlation& shape, std::int64_t most_together);

// Images outermost, then groups, positions and rows.
struct Pieces {
  Job job;
  k::Correlation shape;
  Parts parts;

  std::int64_t positions() const;
  std::int64_t across() const;
  std::int64_t down() const;
  bool share_weights() const;
  std::int64_t of_images() const;  // that go together
  std::int64_t count() const;
  double cost() const;  // of one, in nanoseconds
  void run(std::int64_t i, const k::Epilogue* done) const;
};
void run_pieces(const Pieces& all, const k::Epilogue* done);

// Whether the depthwise kernels are used: one channel, few rows, and a border small enough for a copy.
bool is_depthwise(std::int64_t channels, bool few_rows, const k::Window* windows);
bool is_depthwise(const Job& j, const k::Correlation& shape);

// All of it, every finished part reported to `done`.
void run(const Job& j, Precision precision, const k::Correlation& shape, const k::Epilogue* done);

}  // namespace steep::correlate
