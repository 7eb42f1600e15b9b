// Which of its ways a convolution takes: a plain product, tiles of images (conv_images.inl.h), a canvas with output
// channels (conv_channels.inl.h) or positions (conv_flat.inl.h) in the lanes of vectors, panels read from the image
// (conv_sweep.inl.h), or a product kernel that is given (conv_columns.inl.h). Start reading at correlate (forward and
// input gradient) and correlate_weight.

namespace conv {

// The images of a part side by side in one matrix, where one alone would be a narrow one.
template <class T> static bool is_narrow(const Sweep<T>& s) {
  constexpr std::int64_t narrow = 64;
  return s.x.images > 1 && s.count < narrow && s.count == volume(s.x.window, &Window::out);
}

// Whether positions [from, to) lie in several planes of an output with large ones, which make a canvas each.
static inline bool has_large_planes(const Window* w, std::int64_t from, std::int64_t to) {
  const std::int64_t plane = w[1].out * w[2].out;
  return plane >= 512 && from / plane != (to - 1) / plane;
}

// The code paths with a canvas or tiles of images take all images at once; of the others, some do.
template <class T> static void correlate(const Correlation& x, std::int64_t row, std::int64_t row_end,
                                         std::int64_t from, std::int64_t to) {
  const std::int64_t rows = row_end - row, count = to - from;
  if (rows <= 0 || count <= 0) return;
  if (x.parts) return x.parts(x, row, row_end, from, to);
  const std::int64_t n = ceil_div(rows, tile_rows), width = widest(static_cast<int>(ceil_div(rows, n))) * lanes<T>;
  T* c = static_cast<T*>(x.out) + row * x.out_row + from;
  Correlation one = x;
  const Sweep<T> s{one, volume(x.window, &Window::taps), row, rows, from, count, n, width, c, x.out_row};
  const bool plain = is_plain(x);
  if ((x.product || plain) && is_narrow(s)) return correlate_columns(s, x.images);
  if (!x.product && !plain && is_image_path(s) && correlate_images(s)) return;
  if (!x.product && !plain && has_canvas(x.window) && has_large_planes(x.window, from, to)) {
    const std::int64_t plane = x.window[1].out * x.window[2].out, end = least(to, (from / plane + 1) * plane);
    correlate<T>(x, row, row_end, from, end);
    return correlate<T>(x, row, row_end, end, to);
  }
  if (!x.product && !plain && is_channel_path(s)) return correlate_channels(s);
  if (!x.product && !plain && is_flat_path(s)) return correlate_flat(s);
  for (std::int64_t i = 0; i < x.images; ++i) {
    interruption_point();
    one.image = static_cast<const T*>(x.image) + i * x.image_step;
    one.out = static_cast<T*>(x.out) + i * x.out_image;
    Sweep<T> image = s;
    image.c = c + i * x.out_image;
    if (x.product) correlate_columns(image, 1);
    else if (plain) correlate_plain(image);
    else correlate_part(image, is_flat(x));
  }
}

template <class T> static void correlate_weight(const WeightGradient& x, std::int64_t from, std::int64_t to) {
  const std::int64_t taps = volume(x.window, &Window::taps), positions = volume(x.window, &Window::out);
  const std::int64_t rows = (to - from) * taps, total = positions * x.batch, all = x.channels * taps;
  if (rows <= 0 || x.rows <= 0) return;
  if (x.parts && total) return x.parts(x, from, to);
  if (x.product && total) return weight_columns(WeightSweep<T>{x, taps, from, to - from, positions, nullptr}, total);
  WeightSweep<T> s{x, taps, from, to - from, positions, nullptr};
  const bool pairs = is_pair_path(s);
  const std::int64_t depth = total ? block_depth(total) : 1;
  const bool direct = total && pairs && (depth >= total || rows * x.rows > most_transposed_sums);
  if (!direct) s.c = scratch_for<T>(Scratch::gemm_c, rows * x.rows);
  for (std::int64_t i = 0; total == 0 && i < rows * x.rows; ++i) s.c[i] = 0;
  for (std::int64_t q = 0; q < total; q += depth)
    (pairs ? weight_canvas_block<T> : weight_block<T>)(s, q, least(depth, total - q));
  if (direct) return;
  T* out = static_cast<T*>(x.out) + from * taps;
  pack(Strip<T>{out, all, s.c, x.rows, 1, rows, x.rows, true});
}

}  // namespace conv
