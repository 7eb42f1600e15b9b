// Prints a hash of what every family of kernels gives on fixed inputs, a line each, for the instruction set in use. Two
// builds, or two instruction sets (STEEP_ISA), have the same bits where their lines are equal; `make aarch64` compares
// NEON with AVX2 so. One NaN is like another.
#include <cstdio>
#include <string>
#include <vector>

#include "fixed_inputs.h"

namespace {

// FNV-1a over the elements, NaNs made one.
class Hash {
 public:
  void add(const Bytes& x, Type type) {
    for (std::size_t i = 0; i + kSize[type] <= x.size(); i += kSize[type]) add_element(x.data() + i, type);
  }
  unsigned long long value() const { return h_; }

 private:
  void add_element(const unsigned char* p, Type type) {
    unsigned char e[8] = {};
    std::memcpy(e, p, kSize[type]);
    if (is_nan(e, type)) std::memset(e, 0xff, sizeof e);
    for (std::size_t i = 0; i < kSize[type]; ++i) h_ = (h_ ^ e[i]) * 0x100000001B3ull;
  }
  static bool is_nan(const unsigned char* e, Type type) {
    float f = 0;
    double d = 0;
    if (type == f32) std::memcpy(&f, e, 4);
    if (type == f64) std::memcpy(&d, e, 8);
    if (type == bf16) std::memcpy(reinterpret_cast<char*>(&f) + 2, e, 2);
    return f != f || d != d;
  }
  unsigned long long h_ = 0xCBF29CE484222325ull;
};

void line(const std::string& name, const Bytes& x, Type type) {
  Hash h;
  h.add(x, type);
  std::printf("%s %s %016llx\n", name.c_str(), kTypeName[type], h.value());
}
Bytes room(std::int64_t n, Type type) { return Bytes(static_cast<std::size_t>(n) * kSize[type]); }

void loops(const Table& t) {
  constexpr std::int64_t n = 4099;
  const double params[] = {0.1};
  for (int type = 0; type < type_count; ++type) {
    const Type in = static_cast<Type>(type);
    const Bytes x[] = {values(in, n, 1), values(in, n, 2), values(in, n, 3)}, condition = values(b8, n, 4);
    const void* operands[] = {x[0].data(), x[1].data(), x[2].data()};
    for (int k = 0; k < kKernels; ++k) {
      if (!t.loop.at[k][type]) continue;
      const Type out = arity_of(k) < 0 ? b8 : in;
      Bytes y = room(n, out);
      t.loop.at[k][type](operands, y.data(), n, 0, params);
      line("loop " + std::string(kKernelName[k]), y, out);
    }
    const void* three[] = {condition.data(), x[0].data(), x[1].data()};
    Bytes y = room(n, in);
    t.where[type](three, y.data(), n, 0, params);
    line("where", y, in);
    for (int to = 0; to < type_count; ++to) {
      Bytes z = room(n, static_cast<Type>(to));
      t.cast[type][to](operands, z.data(), n, 0, params);
      line(std::string("cast ") + kTypeName[type], z, static_cast<Type>(to));
    }
  }
}

void reductions(const Table& t) {
  for (int type = 0; type < type_count; ++type) {
    const Type in = static_cast<Type>(type);
    const Bytes x = plain_values(in, 21 * 1003, 1);
    for (int r = 0; r < static_cast<int>(Reduction::count); ++r) {
      if (!t.row_reduce.at[r][type]) continue;
      Bytes rows = room(21, result_type(r, in)), columns = room(1003, result_type(r, in));
      t.row_reduce.at[r][type](x.data(), rows.data(), 21, 1003);
      t.col_reduce.at[r][type](x.data(), columns.data(), 21, 1003, 1003);
      line("rows of reduction " + std::to_string(r), rows, result_type(r, in));
      line("columns of reduction " + std::to_string(r), columns, result_type(r, in));
    }
    for (int map = 0; map < static_cast<int>(RowMap::count); ++map) {
      if (!t.row_map.at[map][type]) continue;
      Bytes y = room(21 * 1003, in);
      t.row_map.at[map][type](x.data(), y.data(), 21, 1003);
      line("row map " + std::to_string(map), y, in);
    }
  }
}

void losses_and_norms(const Table& t, Type type) {
  constexpr std::int64_t rows = 9, n = 103;
  const Bytes x = plain_values(type, rows * n, 1), g = plain_values(type, rows * n, 2), w = plain_values(type, n, 4);
  std::int64_t labels[rows];
  for (std::int64_t i = 0; i < rows; ++i) labels[i] = i * 37 % n;
  Bytes losses = room(rows, type), gradients = room(rows * n, type), sums = room(2 * n, type);
  t.cross_entropy[type](x.data(), labels, nullptr, losses.data(), rows, n);
  line("cross_entropy", losses, type);
  t.cross_entropy_gradient[type](x.data(), labels, g.data(), gradients.data(), rows, n);
  line("cross_entropy gradient", gradients, type);
  const auto norm = [&](NormLoop f, Bytes& out, const char* name) {
    f(Norm{x.data(), g.data(), w.data(), w.data(), out.data(), n, 1e-5}, 0, rows);
    line(name, out, type);
  };
  norm(t.norm[type], gradients, "norm");
  norm(t.norm_gradient[type], gradients, "norm gradient");
  norm(t.norm_sums[type], sums, "norm sums");
}

void products(const Table& t) {
  constexpr std::int64_t m = 37, n = 53, k = 700;
  const auto product = [](Gemm f, Type type, const char* name) {
    if (!f) return;
    const Bytes a = plain_values(type, m * k, 1), b = plain_values(type, k * n, 2);
    Bytes c = room(m * n, type);
    f(m, n, k, a.data(), k, 1, b.data(), n, 1, c.data(), n, steep::k::Into::replace, nullptr);
    line(name, c, type);
  };
  for (int type = 0; type < type_count; ++type) product(t.gemm[type], static_cast<Type>(type), "gemm");
  product(t.split.six, f32, "gemm of six parts");
  product(t.split.one, f32, "gemm of one part");
}

void draws(const Table& t) {
  constexpr std::int64_t n = 5001;
  const auto draw = [](Random f, Type type, const char* name) {
    Bytes x = room(n, type);
    f(x.data(), n, 99, 5);
    line(name, x, type);
  };
  draw(t.bits, i64, "bits");
  for (const Type type : {f32, f64}) {
    draw(t.uniform[type], type, "uniform");
    draw(t.normal[type], type, "normal");
  }
}

// 3 x 3 taps with a border of 1, over images of 19 x 23.
void convolutions(const Table& t, Type type, std::int64_t step) {
  constexpr std::int64_t rows = 7, channels = 5, images = 3, in = 19 * 23;
  const Window y{19, (19 - 1) / step + 1, step, 3, -1, 1}, x{23, (23 - 1) / step + 1, step, 3, -1, 1};
  const std::int64_t out = y.out * x.out;
  const Bytes image = plain_values(type, images * channels * in, 1),
              weight = plain_values(type, rows * channels * 9, 2), bias = plain_values(type, rows, 4),
              grad = plain_values(type, images * rows * out, 5);
  const std::string which = " of step " + std::to_string(step);
  Correlation c{};
  c.window[1] = y, c.window[2] = x;
  c.rows = rows, c.channels = channels, c.weight = weight.data(), c.image = image.data(), c.bias = bias.data();
  c.out_row = out, c.out_step[1] = x.out, c.out_step[2] = 1;
  Bytes result = room(rows * out, type);
  c.out = result.data();
  t.correlate[type](c, 0, rows, 0, out);
  line("correlate" + which, result, type);
  if (type == f32) {
    t.split.conv_of_six(c, 0, rows, 0, out);
    line("correlate by six parts" + which, result, type);
    t.split.conv_of_one(c, 0, rows, 0, out);
    line("correlate by one part" + which, result, type);
  }
  Bytes planes = room(channels * out, type);
  c.rows = c.channels = 1, c.out = planes.data();
  c.images = c.groups = channels, c.image_step = in, c.out_image = out;
  t.depthwise[type](c, 0, 1, 0, out);
  line("depthwise" + which, planes, type);

  WeightGradient w{};
  w.window[1] = y, w.window[2] = x;
  w.batch = images, w.rows = rows, w.channels = channels, w.image = image.data(), w.grad = grad.data();
  w.image_step = channels * in, w.grad_step = rows * out;
  Bytes kernel = room(rows * channels * 9, type);
  w.out = kernel.data();
  t.correlate_weight[type](w, 0, channels);
  line("correlate_weight" + which, kernel, type);
  if (type == f32) {
    t.split.conv_weight_of_six(w, 0, channels);
    line("correlate_weight by six parts" + which, kernel, type);
    t.split.conv_weight_of_one(w, 0, channels);
    line("correlate_weight by one part" + which, kernel, type);
  }
  Bytes one = room(rows * 9, type);
  w.channels = 1, w.out = one.data();
  t.depthwise_weight[type](w, 0, 1);
  line("depthwise_weight" + which, one, type);

  Pooling p{};
  p.window[1] = y, p.window[2] = x, p.image = image.data();
  Bytes places = room(channels * out, i64);
  p.out = places.data();
  t.pool_positions[type](p, 0, channels);
  line(std::string("pool_positions ") + kTypeName[type] + which, places, i64);
  p.out = planes.data();
  t.pool_max[type](p, 0, channels);
  line("pool_max" + which, planes, type);
}

// Several images of few positions: 4 x 5, by 5 x 5 taps with a border of 2, and by one tap.
void small_images(const Table& t, Type type, std::int64_t taps) {
  constexpr std::int64_t rows = 23, channels = 19, images = 17, out = 20;
  const Bytes image = plain_values(type, images * channels * out, 1),
              weight = plain_values(type, rows * channels * taps * taps, 2), bias = plain_values(type, rows, 4);
  Correlation c{};
  c.window[1] = {4, 4, 1, taps, -taps / 2, 1}, c.window[2] = {5, 5, 1, taps, -taps / 2, 1};
  c.rows = rows, c.channels = channels, c.weight = weight.data(), c.image = image.data(), c.bias = bias.data();
  c.images = images, c.image_step = channels * out, c.out_image = rows * out;
  c.out_row = out, c.out_step[0] = out, c.out_step[1] = 5, c.out_step[2] = 1;
  Bytes result = room(images * rows * out, type);
  c.out = result.data();
  t.correlate[type](c, 0, rows, 0, out);
  line("correlate of small images by " + std::to_string(taps) + " taps", result, type);
}

// 3 x 3 taps with a border of 1 by Winograd's algorithm, over images of 9 x 21.
void winograd(const Table& t, std::int64_t tile) {
  constexpr std::int64_t rows = 23, channels = 19, images = 2, in = 9 * 21;
  const Bytes image = plain_values(f32, images * channels * in, 1), weight = plain_values(f32, rows * channels * 9, 2),
              bias = plain_values(f32, rows, 4);
  Winograd w{};
  w.x.window[1] = {9, 9, 1, 3, -1, 1}, w.x.window[2] = {21, 21, 1, 3, -1, 1};
  w.x.rows = rows, w.x.channels = channels, w.x.weight = weight.data(), w.x.image = image.data();
  w.x.bias = bias.data(), w.x.out_row = in, w.x.out_step[1] = 21, w.x.out_step[2] = 1;
  w.x.images = images, w.x.image_step = channels * in, w.x.out_image = rows * in;
  Bytes result = room(images * rows * in, f32);
  w.x.out = result.data();
  w.tile = tile;
  std::vector<float> points(static_cast<std::size_t>(t.winograd_weight(w.x, tile, 0, 1, nullptr)));
  t.winograd_weight(w.x, tile, 0, 1, points.data());
  w.points = points.data();
  t.winograd(w, 0, 1, 0, images * ((9 + tile - 1) / tile) * ((21 + tile - 1) / tile));
  line("winograd by tiles of " + std::to_string(tile), result, f32);
}

}  // namespace

int main() {
  const Table& t = table();
  std::fprintf(stderr, "hashes of %s\n", t.isa);
  loops(t);
  reductions(t);
  products(t);
  draws(t);
  winograd(t, 2);
  winograd(t, 4);
  for (const Type type : {f32, f64}) {
    losses_and_norms(t, type);
    convolutions(t, type, 1);
    convolutions(t, type, 2);
    small_images(t, type, 1);
    small_images(t, type, 5);
  }
}
