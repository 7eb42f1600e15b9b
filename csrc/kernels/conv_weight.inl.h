// The gradient of a convolution with respect to its weight: a matrix product over the positions of the whole batch, in
// blocks whose size depends on their number alone. Start reading at weight_block.

namespace conv {

// out[r, c, i] of some channels. The matrix of the convolution has a row for each (channel, tap) and a column for each
// position of the batch; times the transposed gradient, it gives the transpose of the result.
template <class T> struct WeightSweep {
  const WeightGradient& x;
  std::int64_t taps, first, channels, positions;  // channels [first, first + channels); of one image
  T* c;                                           // [channels * taps, rows], or null: into the output
};

// Positions [q, q + depth) of the batch, of rows [j, j + count) of the gradient: [depth, ld].
template <class T> static void transpose_gradient(const WeightSweep<T>& s, std::int64_t q, std::int64_t depth,
                                                  std::int64_t j, std::int64_t count, T* to) {
  const std::int64_t ld = ceil_div(count, lanes<T>) * lanes<T>;
  for (std::int64_t done = 0; done < depth;) {
    const std::int64_t image = (q + done) / s.positions, at = (q + done) % s.positions;
    const std::int64_t some = least(depth - done, s.positions - at);
    const T* from = static_cast<const T*>(s.x.grad) + image * s.x.grad_step + j * s.positions + at;
    pack(Strip<T>{to + done * ld, ld, from, s.positions, 1, count, some});
    done += some;
  }
}

template <class T> struct WeightBlock {
  std::int64_t q, depth, ld, width;
  const T* b;  // the gradient's panels, each `width` columns and `depth` rows
};

// Rows of some channels against all panels of the gradient.
template <class T> static void sweep_taps(const WeightSweep<T>& s, const WeightBlock<T>& k, const T* a,
                                          std::int64_t row, std::int64_t rows) {
  const std::int64_t tiles_here = ceil_div(rows, tile_rows);
  for (std::int64_t j = 0; j < s.x.rows; j += k.width) {
    const std::int64_t width = least(k.width, s.x.rows - j), vecs = ceil_div(width, lanes<T>);
    for (std::int64_t t = 0; t < tiles_here; ++t) {
      const std::int64_t top = share_start(rows, tiles_here, t), high = share_start(rows, tiles_here, t + 1) - top;
      T* c = s.c + (row + top) * s.x.rows + j;
      tiles<T, false>.at[high - 1][vecs - 1](
          {k.depth, a + top * k.ld, k.ld, 1, k.b + j * k.depth, vecs * lanes<T>, c, s.x.rows, width, k.q > 0, true});
    }
  }
}

template <class T> static void weight_block(const WeightSweep<T>& s, std::int64_t q, std::int64_t depth) {
  const std::int64_t plane = volume(s.x.window, &Window::in), width = 2 * lanes<T>;
  T* b = scratch_for<T>(Scratch::gemm_b, depth * ceil_div(s.x.rows, width) * width);
  for (std::int64_t j = 0; j < s.x.rows; j += width)
    transpose_gradient(s, q, depth, j, least(width, s.x.rows - j), b + j * depth);
  const std::int64_t ld = ceil_div(depth, 16) * 16 + 16;  // rows that do not share a set of the first-level cache
  const std::int64_t group = least(s.channels, ceil_div(tiles_in_cache * tile_rows, s.taps));
  const WeightBlock<T> block{q, depth, ld, width, b};
  T* a = scratch_for<T>(Scratch::gemm_a, group * s.taps * ld);
  Pieces<T> pieces(s.x.window, s.x.image_step, q, depth);
  for (std::int64_t c = 0; c < s.channels; c += group) {
    const std::int64_t some = least(group, s.channels - c);
    pack_taps(pieces, static_cast<const T*>(s.x.image) + (s.first + c) * plane, some, a, ld, ld);
    sweep_taps(s, block, a, c * s.taps, some * s.taps);
    interruption_point();
  }
}

}  // namespace conv
