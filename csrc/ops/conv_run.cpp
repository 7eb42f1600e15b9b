// Runs convolutions: how each of the three becomes correlations over three dimensions, and how these are scheduled over
// threads. The gradient with respect to the input is one correlation for each phase of the stride: inputs that are
// `stride` apart read the same taps. Start reading at compute_conv.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>

#include "core/iterate.h"
#include "core/parallel.h"
#include "kernels/integers.h"
#include "kernels/panels.h"
#include "ops/conv.h"
#include "ops/linalg.h"
#include "ops/precision.h"

namespace steep {
namespace {

using T = const Tensor&;

constexpr double nanoseconds = 0.0125;  // a multiplication and addition, on one core

using k::ceil_div;

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

// Forward: output t reads tap i at t * stride - begin + i * dilation.
Windows forward(const Geometry& g, const Dims& in, const Dims& out, const Dims& taps) {
  Windows w;
  for (int d = 0; d < g.n(); ++d)
    w.line[3 - g.n() + d] = {{in[d], out[d], g.stride[d], taps[d], -g.begin[d], g.dilation[d]}};
  return w;
}

// Backward, the inputs phase, phase + stride, ...: input s contributes to output p through tap i if s = p * stride -
// begin + i * dilation. These p are integers for the same taps throughout the phase: for one tap in `every`, if for
// any.
Line backward_line(const Geometry& g, int d, std::int64_t in, std::int64_t out, std::int64_t taps, std::int64_t phase) {
  const std::int64_t stride = g.stride[d], dilation = g.dilation[d], every = stride / std::gcd(stride, dilation);
  const auto shifted = [&](std::int64_t i) { return phase + g.begin[d] - i * dilation; };
  std::int64_t lowest = 0;
  while (lowest < std::min(every, taps) && shifted(lowest) % stride) ++lowest;
  const bool any = lowest < std::min(every, taps);
  const k::Window window{out,
                         ceil_div(in - phase, stride),
                         1,
                         any ? ceil_div(taps - lowest, every) : 0,
                         any ? shifted(lowest) / stride : 0,
                         -every * dilation / stride};
  return {window, lowest, every, phase, stride};
}

// How many phases there are in all dimensions together, those without inputs left out, and the windows of one of them.
std::int64_t phases(const Geometry& g, const Dims& in) {
  std::int64_t n = 1;
  for (int d = 0; d < g.n(); ++d) n *= std::min(g.stride[d], in[d]);
  return n;
}
Windows backward(const Geometry& g, const Dims& in, const Dims& out, const Dims& taps, std::int64_t which) {
  Windows w;
  for (int d = g.n() - 1; d >= 0; --d) {
    const std::int64_t count = std::min(g.stride[d], in[d]);
    w.line[3 - g.n() + d] = backward_line(g, d, in[d], out[d], taps[d], which % count);
    which /= count;
  }
  return w;
}

bool is_plain(const Windows& w) {
  k::Window windows[3];
  w.fill(windows);
  return k::is_plain(windows) && w.line[0].apart == 1 && w.line[1].apart == 1 && w.line[2].apart == 1;
}

// Rows and columns exchanged within each group, for the taps of the windows: [groups, channels, rows, taps].
template <class E> void transpose_taps_as(const E* from, E* to, std::int64_t groups, std::int64_t rows,
                                          std::int64_t channels, T listed, std::int64_t all_taps) {
  const std::int64_t count = listed.size(), *taps = listed.data<std::int64_t>();
  const bool nine = count == 9 && all_taps == 9;  // in order, and by far the most frequent
  constexpr std::int64_t block = 16;              // rows, so that the lines written stay in the first-level cache
  for (std::int64_t g = 0; g < groups; ++g, from += rows * channels * all_taps, to += rows * channels * count)
    for (std::int64_t r0 = 0; r0 < rows; r0 += block)
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t r = r0; r < std::min(rows, r0 + block); ++r) {
          const E* w = from + (r * channels + c) * all_taps;
          E* t = to + (c * rows + r) * count;
          if (nine) std::memcpy(t, w, 9 * sizeof(E));
          else
            for (std::int64_t i = 0; i < count; ++i) t[i] = w[taps[i]];
        }
}
Tensor listed_taps(const Windows& w, const Dims& shape) {
  std::int64_t sides[3] = {1, 1, 1};
  for (int d = 0; d < shape.size(); ++d) sides[3 - shape.size() + d] = shape[d];
  const Tensor taps = empty({w.total(&k::Window::taps)}, Int64);
  std::int64_t* tap = taps.data<std::int64_t>();
  for (std::int64_t z = 0; z < w.line[0].window.taps; ++z)
    for (std::int64_t y = 0; y < w.line[1].window.taps; ++y)
      for (std::int64_t x = 0; x < w.line[2].window.taps; ++x)
        *tap++ = (w.line[0].tap(z) * sides[1] + w.line[1].tap(y)) * sides[2] + w.line[2].tap(x);
  return taps;
}
// The memory is kept, or is the calling thread's until its next call.
const char* transposed_weight(T weight, const Windows& w, std::int64_t groups, std::int64_t phase) {
  const Dims shape = spatial(weight.shape());
  const Tensor taps = listed_taps(w, shape);
  const std::int64_t rows = weight.dim(0) / groups, channels = weight.dim(1), all = numel(shape);
  const auto bytes = static_cast<std::size_t>(groups * channels * rows * taps.size() * size_of(weight.dtype()));
  k::Panels panels(k::Scratch::conv_taps, weight.bytes(), {k::Packing::transposed_taps, {phase}}, bytes);
  if (panels.packed()) return static_cast<const char*>(panels.at());
  if (weight.dtype() == Float32)
    transpose_taps_as(weight.data<float>(), static_cast<float*>(panels.at()), groups, rows, channels, taps, all);
  else transpose_taps_as(weight.data<double>(), static_cast<double*>(panels.at()), groups, rows, channels, taps, all);
  if (panels.keep()) k::panel_store()->add_source(panels.at(), bytes);
  return static_cast<const char*>(panels.at());
}

// Whether the depthwise kernels are used: one channel, few rows, and a border small enough for a copy.
bool is_depthwise(std::int64_t channels, bool few_rows, const k::Window* windows) {
  constexpr std::int64_t longest = 4096;
  std::int64_t taps = 1;
  for (int d = 0; d < 3; ++d) taps *= windows[d].taps;
  const k::Window& x = windows[2];
  if (std::max(std::abs(x.at(0)), std::abs(x.at(x.taps - 1))) > longest) return false;
  return channels == 1 && few_rows && taps > 0 && taps <= k::depthwise_taps;
}

// One correlation for each image and group, from `in` to `out`.
struct Job {
  T in;
  const char* weight;
  T bias, out;
  std::int64_t groups, rows, channels, taps;  // of a group
  std::int64_t out_offset;
};

// The product kernel, if it is not the kernels' own fused multiply-adds. These read the image directly, so they are
// faster than six products, for which columns are written out and split: on VGG16's layers 127 to 146 GFLOP/s against
// 103 to 167 (bench/modes.py, a Xeon with AMX, one thread, November 2026), not by enough on any. So "auto" never asks
// for others.
k::Gemm product_of(const Geometry& g, DType type, std::int64_t rows, std::int64_t n, std::int64_t k) {
  if (g.precision == Precision::automatic) return nullptr;
  const k::Gemm found = find_gemm(type, g.precision, rows, n, k);
  return found == k::table().gemm[type] ? nullptr : found;
}

// Planes, of every image and group, which are alike, so that several are given to a kernel at a time.
void run_depthwise(const Job& j, const k::Correlation& shape, const k::Epilogue* done) {
  const std::int64_t item = size_of(j.in.dtype()), planes = j.in.dim(0) * j.groups;
  const std::int64_t in = numel(spatial(j.in.shape())), out = numel(spatial(j.out.shape()));
  const std::int64_t positions = volume(shape.window, &k::Window::out);
  const std::int64_t some = std::clamp<std::int64_t>(65536 / positions, 1, ceil_div(planes, 4 * threads()));
  const double cost = 4 * nanoseconds * static_cast<double>(j.taps * positions * j.rows);
  parallel_for(planes, some, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += some) {
      k::Correlation x = shape;
      x.images = std::min(some, end - i);
      x.image_step = in;
      x.out_image = j.rows * out;
      x.group = i % j.groups;
      x.groups = j.groups;
      x.weight = j.weight;
      x.bias = j.bias ? j.bias.bytes() : nullptr;
      x.image = j.in.bytes() + i * in * item;
      x.out = j.out.bytes() + (i * j.rows * out + j.out_offset) * item;
      k::table().depthwise[j.in.dtype()](x, 0, j.rows, 0, positions);
      if (done) done->f(done->context, i * j.rows, x.images * j.rows, 0, positions);
    }
  });
}

// A product kernel is called for some columns at a time: where no program keeps the weights that it has rearranged,
// they are kept for the time of the convolution.
class KeptWeights {
 public:
  KeptWeights(const char* weight, std::int64_t bytes, bool wanted) {
    if (!wanted || k::is_kept(weight)) return;
    panels_.emplace().add_source(weight, static_cast<std::size_t>(bytes));
    scope_.emplace(&*panels_);
  }

 private:
  std::optional<k::PanelStore> panels_;
  std::optional<k::PanelScope> scope_;
};

// The side of the tiles by which Winograd's algorithm computes this in the given mode, or 0: it is for two dimensions
// of three neighbouring taps, and gains where there are enough channels and outputs. On small maps the weight, which
// tiles of 4 make four times as large, is most of what is read. The number of images has no say, so a batch gives the
// bits of its parts. By bench/modes.py, on a Xeon with AMX, one thread, November 2026.
std::int64_t winograd_tile(Precision precision, const Job& j, const k::Correlation& x) {
  constexpr std::int64_t fewest = 16, fewest_taps = 512, fewest_positions = 64, large_map = 22 * 22;
  if (precision != Precision::winograd2 && precision != Precision::winograd4) return 0;
  if (j.in.dtype() != Float32 || std::min(j.rows, j.channels) < fewest || j.rows * j.channels < fewest_taps) return 0;
  const k::Window *w = x.window, &plane = w[0];
  if (plane.in != 1 || plane.out != 1 || plane.taps != 1 || plane.first != 0) return 0;
  for (int d = 1; d < 3; ++d)
    if (w[d].taps != 3 || w[d].step != 1 || std::abs(w[d].gap) != 1) return 0;
  const std::int64_t positions = w[1].out * w[2].out;
  const bool dense = x.out_step[2] == 1 && x.out_step[1] == w[2].out;
  if (!dense || positions < fewest_positions) return 0;
  return precision == Precision::winograd4 && positions >= large_map ? 4 : 2;
}

// The weight at the points of Winograd's algorithm, group after group. The memory is kept, or is the calling thread's
// until its next call.
const float* weight_at_points(const Job& j, const k::Correlation& shape, std::int64_t tile, std::int64_t size) {
  const std::int64_t weights = j.rows * j.channels * 9, parts = threads();
  k::Panels panels(
      k::Scratch::conv_points, j.weight,
      {k::Packing::winograd, {tile, shape.window[1].gap, shape.window[2].gap, j.rows, j.channels, j.groups}},
      static_cast<std::size_t>(j.groups * size) * sizeof(float));
  auto* to = static_cast<float*>(panels.at());
  if (panels.packed()) return to;
  parallel_for(j.groups * parts, 1, 20 * nanoseconds * static_cast<double>(weights) / static_cast<double>(parts),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   k::Correlation x = shape;
                   x.weight = j.weight + i / parts * weights * static_cast<std::int64_t>(sizeof(float));
                   k::table().winograd_weight(x, tile, i % parts, parts, to + i / parts * size);
                 }
               });
  panels.keep();
  return to;
}

// Tiles of all images are alike; they are split among threads, and the rows where there are too few.
void run_winograd(const Job& j, const k::Correlation& shape, std::int64_t tile, const k::Epilogue* done) {
  const std::int64_t in = numel(spatial(j.in.shape())), out = numel(spatial(j.out.shape()));
  const std::int64_t per_image = ceil_div(shape.window[1].out, tile) * ceil_div(shape.window[2].out, tile);
  const std::int64_t total = j.in.dim(0) * per_image, want = ceil_div(threads(), j.groups);
  constexpr std::int64_t fewest = 32, numbers = 1 << 17;  // tiles times channels, so that memory stays bounded
  const std::int64_t most = std::clamp<std::int64_t>(numbers / (j.rows + j.channels), fewest, 128);
  const std::int64_t pieces = std::max(ceil_div(total, most), std::min(want, ceil_div(total, fewest)));
  const std::int64_t some = ceil_div(ceil_div(total, pieces), 16) * 16, across = ceil_div(total, some);
  const std::int64_t parts = ceil_div(want, across), size = k::table().winograd_weight(shape, tile, 0, 1, nullptr);
  const float* points = weight_at_points(j, shape, tile, size);
  const double cost = nanoseconds * static_cast<double>(j.rows * j.channels) / static_cast<double>(parts) *
                      static_cast<double>(some * (tile + 2) * (tile + 2));
  parallel_for(j.groups * across * parts, 1, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t part = i % parts, from = i / parts % across * some, g = i / parts / across;
      k::Winograd w{shape, tile, points + g * size, done, g * j.rows, j.groups * j.rows};
      w.x.images = j.in.dim(0);
      w.x.image_step = j.groups * j.channels * in;
      w.x.out_image = j.groups * j.rows * out;
      w.x.weight = j.weight + g * j.rows * j.channels * 9 * static_cast<std::int64_t>(sizeof(float));
      w.x.image = j.in.data<float>() + g * j.channels * in;
      w.x.bias = j.bias ? j.bias.data<float>() + g * j.rows : nullptr;
      w.x.out = j.out.data<float>() + g * j.rows * out;
      k::table().winograd(w, part, parts, from, std::min(total, from + some));
    }
  });
}

// How a correlation is split: images that go together, and the positions and rows of a part.
struct Parts {
  std::int64_t together, columns, tall;
};

// Into images, then positions, then rows; never into what is summed. Small images go together. If their positions are
// fewer than the weights, rows come first, so that each weight is packed once.
Parts parts_of(const Job& j, const k::Correlation& shape) {
  constexpr std::int64_t most = 2048, few_rows = 64, most_copied = 1 << 20;
  const k::PieceSizes sizes = k::table().pieces;
  const std::int64_t batch = j.in.dim(0), positions = volume(shape.window, &k::Window::out), n = threads();
  const std::int64_t want = n == 1 ? 1 : 4 * n;
  const bool by_rows = j.channels * j.taps > batch * positions;
  const std::int64_t share = by_rows ? std::clamp<std::int64_t>(j.rows / few_rows, 1, n) : 1;
  const std::int64_t read = j.channels * numel(spatial(j.in.shape()));  // of an image
  const std::int64_t together = std::clamp<std::int64_t>(std::min(most / positions, ceil_div(most_copied, read)), 1,
                                                         ceil_div(batch, ceil_div(want, share * j.groups)));
  const std::int64_t lead = ceil_div(batch, together) * j.groups;
  // Columns as wide as the second-level cache allows, narrower if there are too few other pieces to share among
  // threads.
  std::int64_t columns = std::clamp<std::int64_t>(ceil_div(lead * positions, want), 512, most);
  const std::int64_t line = shape.window[2].out;  // whole rows of the output, where a row is no longer
  const std::int64_t unit = k::is_plain(shape.window) || line > columns ? sizes.columns : line;
  columns = ceil_div(ceil_div(positions, ceil_div(positions, columns)), unit) * unit;
  const std::int64_t down = lead * ceil_div(positions, columns) < n ? n : share;
  const std::int64_t tall =
      down == 1 ? j.rows : ceil_div(std::max(sizes.rows, ceil_div(j.rows, down)), sizes.lanes) * sizes.lanes;
  return {together, columns, tall};
}

void run(const Job& j, Precision precision, const k::Correlation& shape, const k::Epilogue* done) {
  if (const std::int64_t tile = winograd_tile(precision, j, shape)) return run_winograd(j, shape, tile, done);
  const DType type = j.in.dtype();
  const std::int64_t item = size_of(type), batch = j.in.dim(0);
  const std::int64_t in = numel(spatial(j.in.shape())), out = numel(spatial(j.out.shape()));
  const std::int64_t positions = volume(shape.window, &k::Window::out);
  const std::int64_t products = std::max<std::int64_t>(1, j.channels * j.taps);
  if (is_depthwise(j.channels, j.rows <= k::depthwise_rows, shape.window)) return run_depthwise(j, shape, done);
  const Parts parts = parts_of(j, shape);
  const std::int64_t together = parts.together, columns = parts.columns, tall = parts.tall;
  const std::int64_t lead = ceil_div(batch, together) * j.groups;
  const std::int64_t across = ceil_div(positions, columns), down = ceil_div(j.rows, tall);
  const double cost = nanoseconds * static_cast<double>(products) * static_cast<double>(std::min(columns, positions)) *
                      static_cast<double>(std::min(tall, j.rows) * together);
  const KeptWeights kept(j.weight, j.groups * j.rows * j.channels * j.taps * item, shape.product != nullptr);
  parallel_for(lead * across * down, 1, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i % down * tall, from = i / down % across * columns, which = i / down / across;
      const std::int64_t n = which / j.groups * together, g = which % j.groups;
      k::Correlation x = shape;
      x.images = std::min(together, batch - n);
      x.image_step = j.groups * j.channels * in;
      x.out_image = j.groups * j.rows * out;
      x.weight = j.weight + g * j.rows * j.channels * j.taps * item;
      x.image = j.in.bytes() + (n * j.groups + g) * j.channels * in * item;
      x.bias = j.bias ? j.bias.bytes() + g * j.rows * item : nullptr;
      x.out = j.out.bytes() + ((n * j.groups + g) * j.rows * out + j.out_offset) * item;
      const std::int64_t row_end = std::min(j.rows, row + tall), to = std::min(positions, from + columns);
      k::table().correlate[type](x, row, row_end, from, to);
      for (std::int64_t m = 0; done && m < x.images; ++m)
        done->f(done->context, ((n + m) * j.groups + g) * j.rows + row, row_end - row, from, to - from);
    }
  });
}

k::Correlation correlation(const Geometry& g, const Windows& w, const Job& j) {
  k::Correlation x{};
  w.fill(x.window);
  x.product = product_of(g, j.in.dtype(), j.rows, w.total(&k::Window::out), j.channels * j.taps);
  x.rows = j.rows;
  x.channels = j.channels;
  const Dims shape = spatial(j.out.shape());
  x.out_row = numel(shape);
  std::int64_t step = 1;
  for (int d = 2; d >= 0; --d) {
    x.out_step[d] = step * w.line[d].apart;
    const int at = d - (3 - shape.size());
    if (at >= 0) step *= shape[at];
  }
  return x;
}

// Whether a kernel is as large as the image, so that it has one position: the last layer of many a trunk, the first of
// a generator. Then all three are products of matrices, over the batch: images and weights are rows.
bool is_whole(const Geometry& g, const Dims& in, const Dims& taps) {
  bool whole = g.groups == 1;
  for (int d = 0; d < g.n(); ++d)
    whole = whole && in[d] == taps[d] && (taps[d] == 1 || g.dilation[d] == 1) && g.begin[d] == 0 && g.end[d] == 0;
  return whole;
}
Tensor rows_of(T x) {
  const std::int64_t rows = x.dim(0), n = x.size() / rows;
  return view(x, {rows, n}, {n, 1}, x->offset);
}
Tensor columns_of(T x) {
  const std::int64_t rows = x.dim(0), n = x.size() / rows;
  return view(x, {n, rows}, {1, n}, x->offset);
}
void multiply_whole(const Geometry& g, T a, T b, T out, const k::Epilogue* done) {
  const k::Gemm other = product_of(g, a.dtype(), a.dim(0), b.dim(1), a.dim(1));
  multiply_by(other ? other : k::table().gemm[a.dtype()], a, b, out, done);
}

// The bias of a rectangle of (image, channel), then what follows: to it, each is a row of one position.
struct WholeEpilogue {
  T bias, out;
  const k::Epilogue* done;

  template <class E> void add(std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) const {
    for (std::int64_t r = i; r < i + mi; ++r)
      for (std::int64_t c = j; c < j + nj; ++c) out.data<E>()[r * out.dim(1) + c] += bias.data<E>()[c];
  }
  static void run(void* context, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
    const auto& self = *static_cast<const WholeEpilogue*>(context);
    if (self.bias) self.out.dtype() == Float32 ? self.add<float>(i, mi, j, nj) : self.add<double>(i, mi, j, nj);
    for (std::int64_t r = i; self.done && r < i + mi; ++r)
      self.done->f(self.done->context, r * self.out.dim(1) + j, nj, 0, 1);
  }
};

// If there are no channels or taps to sum, each output is its bias, or zero.
void fill_with(T bias, T out, const k::Epilogue* done) {
  const Tensor value = bias ? bias : full({1}, 0, out.dtype());
  Dims strides = Dims::filled(out.ndim(), 0);
  strides[1] = bias ? 1 : 0;
  copy_strided(out, view(value, out.shape(), strides, value->offset));
  if (done) done->f(done->context, 0, out.dim(0) * out.dim(1), 0, numel(spatial(out.shape())));
}

}  // namespace

void compute_conv(const Call& c) { compute_conv_parts(c, nullptr); }

void compute_conv_parts(const Call& c, const k::Epilogue* done) {
  const Geometry g = Geometry::from(c.attrs);
  const Tensor x = contiguous(c.in[0]), weight = contiguous(c.in[1]);
  const Tensor bias = c.count > 2 ? contiguous(c.in[2]) : Tensor();
  if (c.out.size() == 0) return;
  if (weight.size() == 0) return fill_with(bias, c.out, done);
  if (is_whole(g, spatial(x.shape()), spatial(weight.shape()))) {
    WholeEpilogue whole{bias, c.out, done};
    const k::Epilogue after{WholeEpilogue::run, &whole};
    return multiply_whole(g, rows_of(x), columns_of(weight), rows_of(c.out), &after);
  }
  const Windows w = forward(g, spatial(x.shape()), spatial(c.out.shape()), spatial(weight.shape()));
  const Job job{
      x, weight.bytes(), bias, c.out, g.groups, weight.dim(0) / g.groups, weight.dim(1), w.total(&k::Window::taps), 0};
  run(job, g.precision, correlation(g, w, job), done);
}

void compute_conv_input(const Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  const Tensor grad = contiguous(c.in[0]), weight = contiguous(c.in[1]);
  if (c.out.size() == 0) return;
  if (weight.size() == 0 || grad.size() == 0) return fill_with({}, c.out, nullptr);
  const Dims in = spatial(c.out.shape()), out = spatial(grad.shape()), taps = spatial(weight.shape());
  if (is_whole(g, in, taps)) return multiply_whole(g, rows_of(grad), rows_of(weight), rows_of(c.out), nullptr);
  for (std::int64_t phase = 0; phase < phases(g, in); ++phase) {
    const Windows w = backward(g, in, out, taps, phase);
    const bool plain = is_plain(w);
    const char* transposed = plain ? weight.bytes() : transposed_weight(weight, w, g.groups, phase);
    Job job{
        grad, transposed, Tensor(), c.out, g.groups, weight.dim(1), weight.dim(0) / g.groups, w.total(&k::Window::taps),
        0};
    k::Correlation x = correlation(g, w, job);
    x.transposed = plain;
    for (int d = 0; d < 3; ++d) job.out_offset += w.line[d].first * (x.out_step[d] / w.line[d].apart);
    run(job, g.precision, x, nullptr);
  }
}

void compute_conv_weight(const Call& c) {
  const Geometry g = Geometry::from(c.attrs);
  const Tensor x = contiguous(c.in[0]), grad = contiguous(c.in[1]);
  if (c.out.size() == 0) return;
  if (x.size() == 0 || grad.size() == 0) return fill_with({}, c.out, nullptr);
  if (is_whole(g, spatial(x.shape()), spatial(c.out.shape())))
    return multiply_whole(g, columns_of(grad), rows_of(x), rows_of(c.out), nullptr);
  const Windows w = forward(g, spatial(x.shape()), spatial(grad.shape()), spatial(c.out.shape()));
  const std::int64_t item = size_of(x.dtype()), rows = c.out.dim(0) / g.groups, channels = c.out.dim(1);
  const std::int64_t taps = w.total(&k::Window::taps), in = numel(spatial(x.shape()));
  const std::int64_t out = numel(spatial(grad.shape()));
  k::WeightGradient shape{};
  w.fill(shape.window);
  shape.batch = x.dim(0);
  shape.rows = rows;
  shape.channels = channels;
  shape.image_step = x.dim(1) * in;
  shape.grad_step = grad.dim(1) * out;
  shape.product = product_of(g, x.dtype(), rows, channels * taps, shape.batch * out);
  const bool alone = is_depthwise(channels, rows <= k::depthwise_weight_rows, shape.window);
  const auto f = (alone ? k::table().depthwise_weight : k::table().correlate_weight)[x.dtype()];
  const std::int64_t some = ceil_div(channels, std::max<std::int64_t>(1, ceil_div(threads(), g.groups)));
  const std::int64_t across = ceil_div(channels, some);
  const std::int64_t tall =
      alone ? ceil_div(ceil_div(rows, ceil_div(threads(), g.groups)), 2) * 2 : rows;  // taken in pairs
  const std::int64_t down = ceil_div(rows, tall);
  const double cost = nanoseconds * static_cast<double>(shape.batch) * static_cast<double>(out) *
                      static_cast<double>(std::min(tall, rows)) * static_cast<double>(some * taps);
  parallel_for(g.groups * across * down, 1, cost * (alone ? 4 : 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i % down * tall, from = i / down % across * some, group = i / down / across;
      k::WeightGradient y = shape;
      y.rows = std::min(tall, rows - row);
      y.image = x.bytes() + group * channels * in * item;
      y.grad = grad.bytes() + (group * rows + row) * out * item;
      y.out = c.out.bytes() + (group * rows + row) * channels * taps * item;
      f(y, from, std::min(channels, from + some));
    }
  });
}

}  // namespace steep
