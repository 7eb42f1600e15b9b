// Convolutions as correlations over three dimensions. The gradient with respect to the input is one correlation for
// each phase of the stride: inputs that are `stride` apart read the same taps. Kernels as large as the image are
// products of matrices. Start reading at compute_conv.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/iterate.h"
#include "core/parallel.h"
#include "kernels/integers.h"
#include "ops/correlate.h"
#include "ops/linalg.h"

namespace steep {
namespace {

using T = const Tensor&;
using namespace correlate;
using k::ceil_div;

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

// The windows of all phases: those of all dimensions together, those without inputs left out.
std::vector<Windows> phases_of(const Geometry& g, const Dims& in, const Dims& out, const Dims& taps) {
  std::vector<Windows> all{{}};
  for (int d = 0; d < g.n(); ++d) {
    const std::vector<Windows> before = std::move(all);
    all.clear();
    for (const Windows& w : before)
      for (std::int64_t phase = 0; phase < std::min(g.stride[d], in[d]); ++phase) {
        all.push_back(w);
        all.back().line[3 - g.n() + d] = backward_line(g, d, in[d], out[d], taps[d], phase);
      }
  }
  return all;
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
void transpose_taps(T weight, const Windows& w, std::int64_t groups, char* to) {
  const Dims shape = spatial(weight.shape());
  const Tensor taps = listed_taps(w, shape);
  const std::int64_t rows = weight.dim(0) / groups, channels = weight.dim(1), all = numel(shape);
  if (weight.dtype() == Float32)
    transpose_taps_as(weight.data<float>(), reinterpret_cast<float*>(to), groups, rows, channels, taps, all);
  else transpose_taps_as(weight.data<double>(), reinterpret_cast<double*>(to), groups, rows, channels, taps, all);
}
// The weights of all phases, one after the other. The memory is kept, or is the calling thread's until its next call.
struct PhaseWeights {
  std::vector<const char*> of;
  std::int64_t bytes = 0;
};
PhaseWeights phase_weights(T weight, const std::vector<Windows>& phases, std::int64_t groups) {
  PhaseWeights found;
  std::vector<std::int64_t> from;
  for (const Windows& w : phases) {
    from.push_back(found.bytes);
    found.bytes += weight.dim(0) * weight.dim(1) * w.total(&k::Window::taps) * size_of(weight.dtype());
  }
  const auto bytes = static_cast<std::size_t>(found.bytes);
  k::Panels panels(k::Scratch::conv_taps, weight.bytes(), {k::Packing::transposed_taps, {}}, bytes);
  char* at = static_cast<char*>(panels.at());
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (!panels.packed()) transpose_taps(weight, phases[i], groups, at + from[i]);
    found.of.push_back(at + from[i]);
  }
  if (!panels.packed() && panels.keep()) k::panel_stores().covering(weight.bytes())->add_source(at, bytes);
  return found;
}

// Planes [from, to) of all images, finished.
void report_planes(T out, std::int64_t from, std::int64_t to, const k::Epilogue* done) {
  if (done) done->f(done->context, from, to - from, 0, numel(spatial(out.shape())));
}
void report_all(T out, const k::Epilogue* done) {
  if (!done) return;
  const std::int64_t planes = out.dim(0) * out.dim(1);
  parallel_for(planes, 1, static_cast<double>(numel(spatial(out.shape()))),
               [&](std::int64_t from, std::int64_t to) { report_planes(out, from, to, done); });
}
// The phases of some images follow one another, so that what they read, and the lines that they share in what they
// write, are in cache; where that is too little for the threads, each phase goes by itself.
void run_together(std::vector<Pieces> phases, std::int64_t weight_bytes, const k::Epilogue* done) {
  const Job& j = phases[0].job;
  std::int64_t together = any_number;
  for (const Pieces& p : phases) together = std::min(together, p.parts.together);
  double cost = 0;
  for (Pieces& p : phases) {
    p.parts = parts_of(p.job, p.shape, together);
    p.parts.together = together;
    cost += p.cost() * static_cast<double>(p.of_images());
  }
  const std::int64_t batch = j.out.dim(0), planes = j.out.dim(1), blocks = ceil_div(batch, together);
  const KeptWeights kept(j.weight, weight_bytes, phases[0].shape.product || phases[0].shape.parts);
  const bool by_phase = threads() > 1 && blocks < 2 * threads();
  for (std::size_t i = 0; by_phase && i < phases.size(); ++i) run_pieces(phases[i], nullptr);
  if (by_phase) return report_all(j.out, done);
  parallel_for(blocks, 1, cost, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      for (const Pieces& p : phases)
        for (std::int64_t i = 0; i < p.of_images(); ++i) p.run(b * p.of_images() + i, nullptr);
      report_planes(j.out, b * together * planes, std::min(batch, (b + 1) * together) * planes, done);
    }
  });
}
void run_phases(Precision precision, std::vector<Pieces> phases, std::int64_t weight_bytes, const k::Epilogue* done) {
  const auto run_one = [&](const Pieces& p, const k::Epilogue* after) { run(p.job, precision, p.shape, after); };
  if (phases.size() == 1) return run_one(phases[0], done);
  const auto depthwise = [](const Pieces& p) { return is_depthwise(p.job, p.shape); };
  if (std::none_of(phases.begin(), phases.end(), depthwise)) return run_together(std::move(phases), weight_bytes, done);
  for (const Pieces& p : phases) run_one(p, nullptr);
  report_all(phases[0].job.out, done);
}
Pieces phase_pieces(const Geometry& g, const Windows& w, Job job, bool plain) {
  k::Correlation x = correlation(g, w, job);
  x.transposed = plain;
  for (int d = 0; d < 3; ++d) job.out_offset += w.line[d].first * (x.out_step[d] / w.line[d].apart);
  return {job, x, parts_of(job, x, any_number)};
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
  multiply_by(other ? other : k::table().gemm[a.dtype()], a, b, out, k::Into::replace, done);
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

// Rectangles of (image, channel and position), as parts of planes.
struct PlanesEpilogue {
  std::int64_t channels, positions;
  const k::Epilogue* done;

  static void run(void* context, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
    const auto& self = *static_cast<const PlanesEpilogue*>(context);
    for (std::int64_t r = i; r < i + mi; ++r)
      for (std::int64_t at = j, some; at < j + nj; at += some) {
        const std::int64_t from = at % self.positions;
        some = std::min(self.positions - from, j + nj - at);
        self.done->f(self.done->context, r * self.channels + at / self.positions, 1, from, some);
      }
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

void compute_conv_input(const Call& c) { compute_conv_input_parts(c, nullptr); }

void compute_conv_input_parts(const Call& c, const k::Epilogue* done) {
  const Geometry g = Geometry::from(c.attrs);
  const Tensor grad = contiguous(c.in[0]), weight = contiguous(c.in[1]);
  if (c.out.size() == 0) return;
  if (weight.size() == 0 || grad.size() == 0) return fill_with({}, c.out, done);
  const Dims in = spatial(c.out.shape()), out = spatial(grad.shape()), taps = spatial(weight.shape());
  if (is_whole(g, in, taps)) {
    PlanesEpilogue whole{c.out.dim(1), numel(in), done};
    const k::Epilogue after{PlanesEpilogue::run, &whole};
    return multiply_whole(g, rows_of(grad), rows_of(weight), rows_of(c.out), done ? &after : nullptr);
  }
  const std::vector<Windows> windows = phases_of(g, in, out, taps);
  const bool plain = is_plain(windows[0]);
  const PhaseWeights weights = plain ? PhaseWeights{{weight.bytes()}} : phase_weights(weight, windows, g.groups);
  const Tensor no_bias;
  std::vector<Pieces> phases;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const Job job{grad,
                  weights.of[i],
                  no_bias,
                  c.out,
                  g.groups,
                  weight.dim(1),
                  weight.dim(0) / g.groups,
                  windows[i].total(&k::Window::taps),
                  0};
    phases.push_back(phase_pieces(g, windows[i], job, plain));
  }
  run_phases(g.precision, std::move(phases), weights.bytes, done);
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
  shape.parts = weight_parts_of(g.precision, x.dtype(), shape);
  const bool alone = is_depthwise(channels, rows <= k::depthwise_weight_rows, shape.window);
  const auto f = (alone ? k::table().depthwise_weight : k::table().correlate_weight)[x.dtype()];
  const std::int64_t want = std::max<std::int64_t>(1, ceil_div(threads(), g.groups));
  const std::int64_t unit = shape.parts ? 32 : 1;  // lanes of a panel, of which rows are split, too
  const std::int64_t some = ceil_div(ceil_div(channels, want), unit) * unit, across = ceil_div(channels, some);
  std::int64_t tall = rows;
  if (shape.parts) tall = ceil_div(ceil_div(rows, ceil_div(want, across)), unit) * unit;
  if (alone) tall = ceil_div(ceil_div(rows, want), 2) * 2;  // taken in pairs
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
