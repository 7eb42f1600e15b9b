// Convolution as an implicit matrix product: the kernels of gemm_micro.inl.h, fed with panels that are read directly
// from the image. An output element sums its channels in blocks whose size depends on the shapes alone, so its bits
// depend on nothing else. Start reading at correlate_part, then sweep_channels.

namespace conv {

constexpr std::int64_t tiles_in_cache = 8;  // of packed weights, which stay in the second-level cache

template <class T>
static Matrix<T> weights_of(const Sweep<T>& s, const Channels<T>& k, std::int64_t tile, std::int64_t end, bool packed) {
  const std::int64_t ld = s.x.channels * s.taps, depth = k.count * s.taps, top = s.top(tile);
  const Matrix<T> a{static_cast<const T*>(s.x.weight) + (s.row + top) * ld + k.first * s.taps, ld, 1};
  if (!packed) return a;
  const PanelKey key{Packing::filters, {ld, s.rows, s.tiles, tile, end, depth}};
  const T* packed_rows = panels_of(Scratch::gemm_a, a.at, key, depth * (s.top(end) - top), [&](T* to) {
    for (std::int64_t t = tile; t < end; ++t) {
      const std::int64_t at = s.top(t) - top, count = s.top(t + 1) - s.top(t);
      pack(Strip<T>{to + at * depth, count, a.at + at * ld, ld, 1, count, depth});
    }
  });
  return {packed_rows, 1, 0};
}

// Tiles [tile, end) times one panel.
template <class T> static void sweep_tiles(const Sweep<T>& s, const Channels<T>& k, std::int64_t tile, std::int64_t end,
                                           const Matrix<T>& a, const T* b, std::int64_t j, std::int64_t width) {
  const std::int64_t depth = k.count * s.taps, vecs = ceil_div(width, lanes<T>);
  for (std::int64_t t = tile; t < end; ++t) {
    const std::int64_t row = s.top(t), rows = s.top(t + 1) - row, down = row - s.top(tile);
    const bool add = k.first > 0 || s.x.bias;
    T* c = s.c + row * s.ldc + j;
    if (a.row == 1)
      tiles<T, true>.at[rows - 1][vecs - 1](
          {depth, a.at + down * depth, 1, rows, b, vecs * lanes<T>, c, s.ldc, width, add});
    else
      tiles<T, false>.at[rows - 1][vecs - 1](
          {depth, a.at + down * a.row, a.row, 1, b, vecs * lanes<T>, c, s.ldc, width, add});
  }
}

template <class T> static void sweep_channels(const Sweep<T>& s, const Channels<T>& k) {
  const std::int64_t depth = k.count * s.taps, plane = volume(s.x.window, &Window::in);
  const bool kept = s.tiles > tiles_in_cache, packed = s.count > 4 * s.width || is_kept(s.x.weight);
  const T* image = static_cast<const T*>(s.x.image) + k.first * plane;
  T* panels = scratch_for<T>(Scratch::gemm_b, depth * (kept ? ceil_div(s.count, s.width) * s.width : s.width));
  for (std::int64_t t = 0; t < s.tiles; t += tiles_in_cache) {
    const std::int64_t end = least(t + tiles_in_cache, s.tiles);
    const Matrix<T> a = weights_of(s, k, t, end, packed);
    for (std::int64_t j = 0; j < s.count; j += s.width) {
      const std::int64_t width = least(s.width, s.count - j), ld = ceil_div(width, lanes<T>) * lanes<T>;
      T* b = kept ? panels + j * depth : panels;
      if (t == 0) {
        Pieces<T> pieces(s.x.window, 0, s.from + j, width);
        pack_taps(pieces, image, k.count, b, ld, ld);
      }
      sweep_tiles(s, k, t, end, a, b, j, width);
    }
  }
}

// Channels in a block: as equal as possible, about 512 products deep. The same on every instruction set.
static inline std::int64_t block_channels(std::int64_t channels, std::int64_t taps) {
  constexpr std::int64_t most = 512;
  return ceil_div(channels, least(channels, ceil_div(channels * taps, most)));
}

static inline bool is_plain(const Correlation& x) { return is_plain(x.window) && is_flat(x); }

// The rows of the weight that a part takes.
template <class T> static Matrix<T> weight_rows(const Sweep<T>& s) {
  const std::int64_t k = s.x.channels * s.taps;
  const T* weight = static_cast<const T*>(s.x.weight);
  return s.x.transposed ? Matrix<T>{weight + s.row, 1, s.x.rows} : Matrix<T>{weight + s.row * k, k, 1};
}

// The bias is added while a rectangle of the product is still in cache.
template <class T> static void correlate_plain(const Sweep<T>& s) {
  const std::int64_t k = s.x.channels, n = volume(s.x.window, &Window::in);
  Sweep<T> part = s;
  const Epilogue done{[](void* to, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
                        add_bias(*static_cast<const Sweep<T>*>(to), i, mi, j, nj);
                      },
                      &part};
  const Matrix<T> image{static_cast<const T*>(s.x.image) + s.from, n, 1};
  product(Product<T>{s.rows, s.count, k, weight_rows(s), image, s.c, s.ldc, Into::replace, s.x.bias ? &done : nullptr});
}

template <class T> static void correlate_part(Sweep<T> s, bool flat) {
  if (!flat) s.c = scratch_for<T>(Scratch::gemm_c, s.rows * s.count), s.ldc = s.count;
  const std::int64_t most = s.taps ? block_channels(s.x.channels, s.taps) : 0;
  if (s.x.bias || s.taps * s.x.channels == 0) start(s, s.count);
  for (std::int64_t c = 0; s.taps && c < s.x.channels; c += most)
    sweep_channels(s, Channels<T>{c, least(most, s.x.channels - c)});
  if (!flat) spread_out(s);
}

}  // namespace conv
