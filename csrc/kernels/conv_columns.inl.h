// Convolution by a given product kernel, such as that of bfloat16 parts: the matrix of the convolution is written out,
// one stretch at a time. The products of parts copy and split their operands anyway, so the stretch costs one more pass
// through the second-level cache, and their packing is not repeated here. Start reading at correlate_columns and
// weight_columns.

namespace conv {

constexpr std::int64_t most_columns = 1 << 18;      // elements of a stretch, 1 MiB of floats
constexpr std::int64_t most_weight_columns = 1024;  // of the weight's gradient at a time

// Positions [from, from + count), which continue over all images: rows (channel, tap) `ld` apart.
template <class T>
static void read_columns(const Sweep<T>& s, std::int64_t from, std::int64_t count, T* to, std::int64_t ld) {
  for (std::int64_t j = 0; j < count; j += most_pieces / 2) {
    Pieces<T> pieces(s.x.window, s.x.image_step, from + j, least(most_pieces / 2, count - j));
    pack_taps(pieces, static_cast<const T*>(s.x.image), s.x.channels, to + j, ld, ld - j);
  }
}

// `images` at once: all of them, or one.
template <class T> static void correlate_columns(Sweep<T> s, std::int64_t images) {
  const std::int64_t k = s.x.channels * s.taps, plane = volume(s.x.window, &Window::in);
  const Gemm product = s.x.product ? s.x.product : run<T>;
  s.count *= images;
  const std::int64_t some = k ? least(s.count, least(most_columns, most_columns / k / 64 * 64 + 64)) : s.count;
  const bool plain = images == 1 && is_plain(s.x), flat = images == 1 && is_flat(s.x);
  T* columns = scratch_for<T>(Scratch::conv_columns, (plain ? 0 : k * some) + (flat ? 0 : s.rows * s.count));
  if (!flat) s.c = columns + (plain ? 0 : k * some), s.ldc = s.count;
  const Matrix<T> weight = weight_rows(s);
  for (std::int64_t j = 0; j < s.count; j += some) {
    const std::int64_t width = least(some, s.count - j);
    const T* image = static_cast<const T*>(s.x.image) + s.from + j;
    if (!plain) read_columns(s, s.from + j, width, columns, some);
    product(s.rows, width, k, weight.at, weight.row, weight.col, plain ? image : columns, plain ? plane : some, 1,
            s.c + j, s.ldc, Into::replace, nullptr);
    interruption_point();
  }
  if (s.x.bias) add_bias(s, 0, s.rows, 0, s.count);
  if (!flat) spread_out(s);
}

// The memory of one block of positions: rows of the gradient, and of the matrix.
template <class T> struct WeightColumns {
  std::int64_t depth, ld, width;
  T *grad, *columns;
};

template <class T> static void copy_gradient(const WeightSweep<T>& s, std::int64_t q, const WeightColumns<T>& k) {
  for (std::int64_t done = 0; done < k.depth;) {
    const std::int64_t image = (q + done) / s.positions, at = (q + done) % s.positions;
    const std::int64_t some = least(k.depth - done, s.positions - at);
    const T* from = static_cast<const T*>(s.x.grad) + image * s.x.grad_step + at;
    pack(Strip<T>{k.grad + done, k.ld, from, 1, s.positions, some, s.x.rows, true});
    done += some;
  }
}

// Positions [q, q + depth) of the batch: the first block is stored, later ones are added to it.
template <class T>
static void weight_columns_block(const WeightSweep<T>& s, std::int64_t q, const WeightColumns<T>& k) {
  const std::int64_t plane = volume(s.x.window, &Window::in), all = s.x.channels * s.taps, group = k.width / s.taps;
  copy_gradient(s, q, k);
  Pieces<T> pieces(s.x.window, s.x.image_step, q, k.depth);
  for (std::int64_t c = 0; c < s.channels; c += group) {
    const std::int64_t some = least(group, s.channels - c), width = some * s.taps;
    pack_taps(pieces, static_cast<const T*>(s.x.image) + (s.first + c) * plane, some, k.columns, k.ld, k.ld);
    T* out = static_cast<T*>(s.x.out) + (s.first + c) * s.taps;
    s.x.product(s.x.rows, width, k.depth, k.grad, k.ld, 1, k.columns, 1, k.ld, out, all, q ? Into::add : Into::replace,
                nullptr);
  }
}

template <class T> static void weight_columns(const WeightSweep<T>& s, std::int64_t total) {
  const std::int64_t depth = block_depth(total), ld = ceil_div(depth, 16) * 16 + 16;
  const std::int64_t width = s.taps * least(s.channels, ceil_div(most_weight_columns, s.taps));
  T* at = scratch_for<T>(Scratch::conv_columns, (s.x.rows + width) * ld);
  for (std::int64_t q = 0; q < total; q += depth)
    weight_columns_block(s, q, WeightColumns<T>{least(depth, total - q), ld, width, at, at + s.x.rows * ld});
}

}  // namespace conv
