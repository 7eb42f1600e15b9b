// How a correlation is scheduled over threads: by planes where it is depthwise, by tiles where the mode is Winograd's,
// and else in pieces of images, groups, positions and rows. Start reading at run.
#include "ops/correlate.h"

#include <algorithm>
#include <cstdlib>

#include "core/parallel.h"
#include "kernels/integers.h"
#include "ops/linalg.h"

namespace steep::correlate {
namespace {

using T = const Tensor&;
using k::ceil_div;

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

// What a canvas of an image holds, which is read for each of the stride's phases.
std::int64_t canvas_size(const k::Window* w) {
  std::int64_t size = w[1].step * w[2].step;
  for (int d = 1; d < 3; ++d) size *= w[d].out + ceil_div((w[d].taps - 1) * std::abs(w[d].gap), w[d].step);
  return size;
}
// Windows on planes read a canvas of parts, if it is not much larger than the image, and blocks of 32 channels are not
// mostly zeros.
bool reads_parts(DType type, std::int64_t channels, const k::Window* w) {
  constexpr std::int64_t fewest_channels = 16, most_taps = 49, most_phases = 16;
  const std::int64_t taps = volume(w, &k::Window::taps);
  if (type != Float32 || channels < fewest_channels || taps < 2 || taps > most_taps) return false;
  if (w[0].in != 1 || w[0].out != 1 || w[0].taps != 1 || w[0].first != 0) return false;
  const std::int64_t phases = w[1].step * w[2].step;
  return phases <= most_phases && canvas_size(w) <= 4 * phases * w[1].out * w[2].out;
}
// What six products by AMX work on: panels of 32 channels, positions or rows, and the positions between two rows.
double in_panels(std::int64_t n) { return static_cast<double>(ceil_div(n, 32) * 32); }
std::int64_t places(const k::Window* w) {
  return w[1].out * (w[2].out + ceil_div((w[2].taps - 1) * std::abs(w[2].gap), w[2].step));
}

// Whether they are faster than fused multiply-adds for one image, by at least a tenth, as the times of 100 random
// convolutions, fitted with an error of about 10%, have it (a Xeon with AMX, one thread, December 2026). The weight,
// which is split once for all images, counts as half of one that is split for one. The number of images has no say, so
// a batch gives the bits of its parts.
bool gains_by_parts(const Job& j, const k::Window* w) {
  constexpr double fma = 10, product = 3.8, canvas = 780, weight = 270, output = 520;  // picoseconds
  const std::int64_t positions = w[1].out * w[2].out;
  const double weights = in_panels(j.rows) * in_panels(j.channels) * static_cast<double>(j.taps);
  const double split = weights * (product * in_panels(places(w)) + weight) +
                       canvas * in_panels(j.channels) * static_cast<double>(canvas_size(w)) +
                       output * static_cast<double>(j.rows * positions);
  return fma * static_cast<double>(j.rows * j.channels * j.taps * positions) >= 1.1 * split;
}
// The same of a gradient with respect to the weight, to which what some 1,024 positions give is added at a time. Zeros
// that neighbouring rows share are counted twice, so that it gains a tenth more than this says.
bool weight_gains_by_parts(const k::WeightGradient& x) {
  constexpr double fma = 10, product = 4.2, element = 780, added = 1.2;  // picoseconds
  const k::Window* w = x.window;
  const auto taps = static_cast<double>(volume(w, &k::Window::taps)), size = static_cast<double>(places(w));
  const double weights = in_panels(x.rows) * in_panels(x.channels) * taps;
  const double split =
      weights * (product + added) * size +
      element * (in_panels(x.channels) * static_cast<double>(canvas_size(w)) + static_cast<double>(x.rows) * size);
  return fma * taps * static_cast<double>(x.rows * x.channels * w[1].out * w[2].out) >= split;
}
k::Correlate parts_of_mode(Precision precision, const Job& j, const k::Window* w) {
  if (!reads_parts(j.in.dtype(), j.channels, w) || (precision == Precision::automatic && !gains_by_parts(j, w)))
    return nullptr;
  return find_conv(precision);
}

}  // namespace

bool is_depthwise(std::int64_t channels, bool few_rows, const k::Window* windows) {
  constexpr std::int64_t longest = 4096;
  std::int64_t taps = 1;
  for (int d = 0; d < 3; ++d) taps *= windows[d].taps;
  const k::Window& x = windows[2];
  if (std::max(std::abs(x.at(0)), std::abs(x.at(x.taps - 1))) > longest) return false;
  return channels == 1 && few_rows && taps > 0 && taps <= k::depthwise_taps;
}

k::CorrelateWeight weight_parts_of(Precision precision, DType type, const k::WeightGradient& x) {
  if (!reads_parts(type, x.channels, x.window)) return nullptr;
  return precision == Precision::automatic && !weight_gains_by_parts(x) ? nullptr : find_conv_weight(precision);
}

k::Gemm product_of(const Geometry& g, DType type, std::int64_t rows, std::int64_t n, std::int64_t k) {
  if (g.precision == Precision::automatic) return nullptr;
  const k::Gemm found = find_gemm(type, g.precision, rows, n, k);
  return found == k::table().gemm[type] ? nullptr : found;
}

KeptWeights::KeptWeights(const char* weight, std::int64_t bytes, bool wanted) {
  if (!wanted || k::is_kept(weight)) return;
  panels_.emplace().add_source(weight, static_cast<std::size_t>(bytes));
  k::PanelStores stores = k::panel_stores();
  stores.add(&*panels_);
  scope_.emplace(stores);
}

Parts parts_of(const Job& j, const k::Correlation& shape, std::int64_t most_together) {
  constexpr std::int64_t most = 2048, few_rows = 64, most_copied = 1 << 20;
  const k::PieceSizes sizes = k::table().pieces;
  const std::int64_t batch = j.in.dim(0), positions = volume(shape.window, &k::Window::out), n = threads();
  const std::int64_t want = n == 1 ? 1 : 4 * n;
  const bool by_rows = j.channels * j.taps > batch * positions;
  const std::int64_t share = by_rows ? std::clamp<std::int64_t>(j.rows / few_rows, 1, n) : 1;
  const std::int64_t read = j.channels * numel(spatial(j.in.shape()));  // of an image
  const std::int64_t some = std::min({most / positions, ceil_div(most_copied, read), most_together});
  const std::int64_t together = std::clamp<std::int64_t>(some, 1, ceil_div(batch, ceil_div(want, share * j.groups)));
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

std::int64_t Pieces::positions() const { return volume(shape.window, &k::Window::out); }
std::int64_t Pieces::across() const { return ceil_div(positions(), parts.columns); }
std::int64_t Pieces::down() const { return ceil_div(job.rows, parts.tall); }
bool Pieces::share_weights() const {
  constexpr std::int64_t most_columns = 1 << 18;  // elements that a product kernel is given at a time, at least
  if (across() > 1 || parts.together < job.in.dim(0)) return true;
  return !shape.parts && (parts.together > 1 || job.channels * job.taps * positions() > most_columns);
}
std::int64_t Pieces::of_images() const { return job.groups * across() * down(); }
std::int64_t Pieces::count() const { return ceil_div(job.in.dim(0), parts.together) * of_images(); }
double Pieces::cost() const {
  const std::int64_t products = std::max<std::int64_t>(1, job.channels * job.taps);
  return nanoseconds * static_cast<double>(products) * static_cast<double>(std::min(parts.columns, positions())) *
         static_cast<double>(std::min(parts.tall, job.rows) * parts.together);
}
void Pieces::run(std::int64_t i, const k::Epilogue* done) const {
  const Job& j = job;
  const std::int64_t item = size_of(j.in.dtype()), batch = j.in.dim(0);
  const std::int64_t in = numel(spatial(j.in.shape())), out = numel(spatial(j.out.shape()));
  const std::int64_t row = i % down() * parts.tall, from = i / down() % across() * parts.columns;
  const std::int64_t which = i / down() / across(), n = which / j.groups * parts.together, g = which % j.groups;
  k::Correlation x = shape;
  x.images = std::min(parts.together, batch - n);
  x.image_step = j.groups * j.channels * in;
  x.out_image = j.groups * j.rows * out;
  x.weight = j.weight + g * j.rows * j.channels * j.taps * item;
  x.image = j.in.bytes() + (n * j.groups + g) * j.channels * in * item;
  x.bias = j.bias ? j.bias.bytes() + g * j.rows * item : nullptr;
  x.out = j.out.bytes() + ((n * j.groups + g) * j.rows * out + j.out_offset) * item;
  const std::int64_t row_end = std::min(j.rows, row + parts.tall), to = std::min(positions(), from + parts.columns);
  k::table().correlate[j.in.dtype()](x, row, row_end, from, to);
  for (std::int64_t m = 0; done && m < x.images; ++m)
    done->f(done->context, ((n + m) * j.groups + g) * j.rows + row, row_end - row, from, to - from);
}

void run_pieces(const Pieces& all, const k::Epilogue* done) {
  parallel_for(all.count(), 1, all.cost(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) all.run(i, done);
  });
}

bool is_depthwise(const Job& j, const k::Correlation& shape) {
  return is_depthwise(j.channels, j.rows <= k::depthwise_rows, shape.window);
}
void run(const Job& j, Precision precision, const k::Correlation& shape, const k::Epilogue* done) {
  if (const std::int64_t tile = winograd_tile(precision, j, shape)) return run_winograd(j, shape, tile, done);
  if (is_depthwise(j, shape)) return run_depthwise(j, shape, done);
  const Pieces all{j, shape, parts_of(j, shape, any_number)};
  const KeptWeights kept(j.weight, j.groups * j.rows * j.channels * j.taps * size_of(j.in.dtype()),
                         (shape.parts || shape.product) && all.share_weights());
  run_pieces(all, done);
}

k::Correlation correlation(const Geometry& g, const Windows& w, const Job& j) {
  k::Correlation x{};
  w.fill(x.window);
  x.product = product_of(g, j.in.dtype(), j.rows, w.total(&k::Window::out), j.channels * j.taps);
  x.parts = parts_of_mode(g.precision, j, x.window);
  if (j.in.dtype() == Float32 && g.precision == Precision::automatic && k::is_plain(x.window))
    x.product = find_gemm_of_image(g.precision, j.rows, volume(x.window, &k::Window::out), j.channels);
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

}  // namespace steep::correlate
