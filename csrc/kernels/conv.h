// The arguments of the convolution kernels: sliding windows over contiguous memory, in three dimensions (a signal of
// one or two has leading dimensions of size 1). The forward pass and the gradient with respect to the input are both
// correlations with a list of taps; csrc/ops/conv_run.cpp says which. Start reading at Window.
#pragma once

#include <cstdint>

#include "kernels/product.h"

namespace steep::k {

// One dimension: output t reads, by tap i, the input at t * step + at(i), or zero where that lies outside [0, in).
struct Window {
  std::int64_t in = 1, out = 1, step = 1, taps = 1;
  std::int64_t first = 0, gap = 1;  // of the taps

  std::int64_t at(std::int64_t i) const { return first + i * gap; }
};

// The product of one side of all three: their inputs, outputs or taps.
inline std::int64_t volume(const Window* w, std::int64_t Window::*side) {
  return w[0].*side * (w[1].*side) * (w[2].*side);
}

// Windows of one tap with stride 1 and no border: the image is read without packing.
inline bool is_plain(const Window* w) {
  for (int d = 0; d < 3; ++d)
    if (w[d].taps != 1 || w[d].step != 1 || w[d].first != 0 || w[d].in != w[d].out) return false;
  return true;
}

struct Correlation;
// The part with rows [row, row_end) at positions [from, to), counted row-major over the windows' outputs.
using Correlate = void (*)(const Correlation&, std::int64_t row, std::int64_t row_end, std::int64_t from,
                           std::int64_t to);

// out[r, t] = bias[r] + sum over channels c and taps i of weight[r, c, i] * image[c, t * step + at(i)].
struct Correlation {
  Window window[3];
  std::int64_t rows, channels;
  const void* weight;       // [rows, channels, taps] contiguous
  bool transposed = false;  // then it is [channels, rows], which only plain windows take
  const void* image;        // [channels, in, in, in] contiguous
  const void* bias;         // one per row, or null for none
  void* out;
  std::int64_t out_row, out_step[3];   // strides of out, in elements
  std::int64_t images = 1;             // this many images, which share packed weights
  std::int64_t group = 0, groups = 1;  // of depthwise: image i has the weight and bias of group (group + i) % groups
  std::int64_t image_step, out_image;  // from one to the next, in elements
  Gemm product;                        // the product kernel, or null for fused multiply-adds
  Correlate parts;                     // by bfloat16 parts without one, or null
};

// The same by Winograd's minimal filtering: windows of two dimensions with three taps each, next to one another, and
// outputs without gaps. Tiles of `tile` x `tile` outputs, 2 or 4, are counted row-major over all images; rows are
// computed in `parts` that are as equal as possible. WinogradWeight transforms a part of x.weight, unless `points` is
// null, and returns how many elements all of it has then.
struct Winograd {
  Correlation x;
  std::int64_t tile;
  const float* points;               // the weight, transformed
  const Epilogue* done = nullptr;    // for rectangles of rows and positions
  std::int64_t first_row, row_step;  // which row that of image 0 is to it, and how many there are from image to image
};
using WinogradTiles = void (*)(const Winograd&, std::int64_t part, std::int64_t parts, std::int64_t from,
                               std::int64_t to);
using WinogradWeight = std::int64_t (*)(const Correlation&, std::int64_t tile, std::int64_t part, std::int64_t parts,
                                        float* points);

// What the depthwise kernels are made for: beyond this the general ones are as fast.
constexpr std::int64_t depthwise_taps = 128, depthwise_rows = 2, depthwise_weight_rows = 16;

struct WeightGradient;
// The part of channels [from, to). The order of the sum depends on the shapes alone.
using CorrelateWeight = void (*)(const WeightGradient&, std::int64_t from, std::int64_t to);

// out[r, c, i] = sum over images n and positions t of grad[n, r, t] * image[n, c, t * step + at(i)].
struct WeightGradient {
  Window window[3];
  std::int64_t batch, rows, channels;
  const void *image, *grad;            // an image's channels and a gradient's rows are contiguous
  std::int64_t image_step, grad_step;  // from one of the batch to the next, in elements
  void* out;                           // [rows, channels, taps] contiguous
  Gemm product;                        // as above
  CorrelateWeight parts;               // as above
};

// Planes [from, to) of an image that has `planes`, each in * in * in, to the largest elements of their windows, or the
// flat positions of those as int64: the first among equals, a NaN above all, -inf and -1 where a window holds nothing.
// The positions of one plane must fit in 31 bits.
struct Pooling {
  Window window[3];
  std::int64_t planes;
  const void* image;
  void* out;
};
using PoolMax = void (*)(const Pooling&, std::int64_t from, std::int64_t to);

}  // namespace steep::k
