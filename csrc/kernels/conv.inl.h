// Convolution as an implicit matrix product: the kernels of gemm_micro.inl.h, fed with panels that are read directly
// from the image. Start reading at correlate (forward and input gradient) and correlate_weight. An output element sums
// its channels in blocks whose size depends on the shapes alone, so its bits depend on nothing else.

namespace gemm_parts {

#define STEEP_INLINE [[gnu::always_inline]] static inline
#define STEEP_EACH(i) [&](auto i) __attribute__((always_inline))

#include "kernels/conv_pack.inl.h"

static inline std::int64_t volume(const Window* w, std::int64_t Window::*side) {
  return w[0].*side * (w[1].*side) * (w[2].*side);
}

constexpr std::size_t slot_reads = 3, slot_offsets = 7;  // of scratch
constexpr std::int64_t tiles_in_cache = 8;               // of packed weights, which stay in the second-level cache

// One block of channels of a correlation's part, and the panels of B its first rows packed.
template <class T> struct Sweep {
  const Correlation& x;
  std::int64_t taps, row, rows, from, count;  // the part: rows [row, row + rows), positions [from, from + count)
  std::int64_t tiles, width;
  T* c;
  std::int64_t ldc;

  std::int64_t top(std::int64_t tile) const { return tile * (rows / tiles) + least(tile, rows % tiles); }
};

template <class T> struct Channels { std::int64_t first, count; };

template <class T>
static Matrix<T> weights_of(const Sweep<T>& s, const Channels<T>& k, std::int64_t tile, std::int64_t end, bool packed) {
  const std::int64_t ld = s.x.channels * s.taps, depth = k.count * s.taps, top = s.top(tile);
  const Matrix<T> a{static_cast<const T*>(s.x.weight) + (s.row + top) * ld + k.first * s.taps, ld, 1};
  if (!packed) return a;
  T* to = scratch_for<T>(slot_a, depth * (s.top(end) - top));
  for (std::int64_t t = tile; t < end; ++t) {
    const std::int64_t at = s.top(t) - top, count = s.top(t + 1) - s.top(t);
    pack(Strip<T>{to + at * depth, count, a.at + at * ld, ld, 1, count, depth});
  }
  return {to, 1, 0};
}

// Tiles [tile, end) times one panel.
template <class T> static void sweep_tiles(const Sweep<T>& s, const Channels<T>& k, std::int64_t tile, std::int64_t end,
                                           const Matrix<T>& a, const T* b, std::int64_t j, std::int64_t width) {
  const std::int64_t depth = k.count * s.taps, vecs = parts(width, lanes<T>);
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
  const bool kept = s.tiles > tiles_in_cache, packed = s.count > 4 * s.width;
  const T* image = static_cast<const T*>(s.x.image) + k.first * plane;
  T* panels = scratch_for<T>(slot_b, depth * (kept ? parts(s.count, s.width) * s.width : s.width));
  for (std::int64_t t = 0; t < s.tiles; t += tiles_in_cache) {
    const std::int64_t end = least(t + tiles_in_cache, s.tiles);
    const Matrix<T> a = weights_of(s, k, t, end, packed);
    for (std::int64_t j = 0; j < s.count; j += s.width) {
      const std::int64_t width = least(s.width, s.count - j), ld = parts(width, lanes<T>) * lanes<T>;
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
  return parts(channels, least(channels, parts(channels * taps, most)));
}

// Every row of C begins with its bias.
template <class T> static void start(const Sweep<T>& s, std::int64_t columns) {
  for (std::int64_t i = 0; i < s.rows; ++i) {
    const T value = s.x.bias ? static_cast<const T*>(s.x.bias)[s.row + i] : T(0);
    for (std::int64_t j = 0; j < columns; ++j) s.c[i * s.ldc + j] = value;
  }
}

#include "kernels/conv_flat.inl.h"

// Copies rows of positions into an output with gaps.
template <class T> static void spread_out(const Sweep<T>& s) {
  const std::int64_t* step = s.x.out_step;
  for (std::int64_t i = 0; i < s.rows; ++i) {
    T* to = static_cast<T*>(s.x.out) + (s.row + i) * s.x.out_row;
    Place p = place_of(s.x.window, s.from);
    for (std::int64_t j = 0; j < s.count; next_row(s.x.window, p)) {
      T* at = to + p.z * step[0] + p.y * step[1];
      for (; p.x < s.x.window[2].out && j < s.count; ++p.x, ++j) at[p.x * step[2]] = s.c[i * s.ldc + j];
    }
  }
}

static inline bool is_flat(const Correlation& x) {
  const Window* w = x.window;
  return x.out_step[2] == 1 && x.out_step[1] == w[2].out && x.out_step[0] == w[1].out * w[2].out;
}

static inline bool is_plain(const Correlation& x) { return is_plain(x.window) && is_flat(x); }

// The rows of the weight that a part takes.
template <class T> static Matrix<T> weight_rows(const Sweep<T>& s) {
  const std::int64_t k = s.x.channels * s.taps;
  const T* weight = static_cast<const T*>(s.x.weight);
  return s.x.transposed ? Matrix<T>{weight + s.row, 1, s.x.rows} : Matrix<T>{weight + s.row * k, k, 1};
}

// Rows [i, i + mi) of a part get their biases, in columns [j, j + nj).
template <class T>
static void add_bias(const Sweep<T>& s, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
  for (std::int64_t r = i; r < i + mi; ++r) {
    const T bias = static_cast<const T*>(s.x.bias)[s.row + r];
    for (T *c = s.c + r * s.ldc + j, *end = c + nj; c < end; ++c) *c += bias;
  }
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
  product(Product<T>{s.rows, s.count, k, weight_rows(s), image, s.c, s.ldc, s.x.bias ? &done : nullptr});
}

template <class T> static void correlate_part(Sweep<T> s, bool flat) {
  if (!flat) s.c = scratch_for<T>(slot_c, s.rows * s.count), s.ldc = s.count;
  const std::int64_t most = s.taps ? block_channels(s.x.channels, s.taps) : 0;
  if (s.x.bias || s.taps * s.x.channels == 0) start(s, s.count);
  for (std::int64_t c = 0; s.taps && c < s.x.channels; c += most)
    sweep_channels(s, Channels<T>{c, least(most, s.x.channels - c)});
  if (!flat) spread_out(s);
}

// out[r, c, i] of some channels. The matrix of the convolution has a row for each (channel, tap) and a column for each
// position of the batch; times the transposed gradient, it gives the transpose of the result.
template <class T> struct WeightSweep {
  const WeightGradient& x;
  std::int64_t taps, first, channels, positions;  // channels [first, first + channels); of one image
  T* c;                                           // [channels * taps, rows]
};

// Positions [q, q + depth) of the batch, of rows [j, j + count) of the gradient: [depth, ld].
template <class T> static void transpose_gradient(const WeightSweep<T>& s, std::int64_t q, std::int64_t depth,
                                                  std::int64_t j, std::int64_t count, T* to) {
  const std::int64_t ld = parts(count, lanes<T>) * lanes<T>;
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
  const std::int64_t tiles_here = parts(rows, tile_rows);
  for (std::int64_t j = 0; j < s.x.rows; j += k.width) {
    const std::int64_t width = least(k.width, s.x.rows - j), vecs = parts(width, lanes<T>);
    for (std::int64_t t = 0; t < tiles_here; ++t) {
      const std::int64_t top = t * (rows / tiles_here) + least(t, rows % tiles_here);
      const std::int64_t high = rows / tiles_here + (t < rows % tiles_here ? 1 : 0);
      T* c = s.c + (row + top) * s.x.rows + j;
      tiles<T, false>.at[high - 1][vecs - 1](
          {k.depth, a + top * k.ld, k.ld, 1, k.b + j * k.depth, vecs * lanes<T>, c, s.x.rows, width, k.q > 0});
    }
  }
}

template <class T> static void weight_block(const WeightSweep<T>& s, std::int64_t q, std::int64_t depth) {
  const std::int64_t plane = volume(s.x.window, &Window::in), width = 2 * lanes<T>;
  T* b = scratch_for<T>(slot_b, depth * parts(s.x.rows, width) * width);
  for (std::int64_t j = 0; j < s.x.rows; j += width)
    transpose_gradient(s, q, depth, j, least(width, s.x.rows - j), b + j * depth);
  const std::int64_t ld = parts(depth, 16) * 16 + 16;  // rows that do not share a set of the first-level cache
  const std::int64_t group = least(s.channels, parts(tiles_in_cache * tile_rows, s.taps));
  const WeightBlock<T> block{q, depth, ld, width, b};
  T* a = scratch_for<T>(slot_a, group * s.taps * ld);
  Pieces<T> pieces(s.x.window, s.x.image_step, q, depth);
  for (std::int64_t c = 0; c < s.channels; c += group) {
    const std::int64_t some = least(group, s.channels - c);
    pack_taps(pieces, static_cast<const T*>(s.x.image) + (s.first + c) * plane, some, a, ld, ld);
    sweep_taps(s, block, a, c * s.taps, some * s.taps);
    interruption_point();
  }
}

#include "kernels/conv_columns.inl.h"

}  // namespace gemm_parts

// The flat code path takes all images at once; the other two share nothing between images.
template <class T> static void correlate(const Correlation& x, std::int64_t row, std::int64_t row_end,
                                         std::int64_t from, std::int64_t to) {
  using namespace gemm_parts;
  const std::int64_t rows = row_end - row, count = to - from;
  if (rows <= 0 || count <= 0) return;
  const std::int64_t n = parts(rows, tile_rows), width = widest(static_cast<int>(parts(rows, n))) * lanes<T>;
  T* c = static_cast<T*>(x.out) + row * x.out_row + from;
  Correlation one = x;
  const Sweep<T> s{one, volume(x.window, &Window::taps), row, rows, from, count, n, width, c, x.out_row};
  const bool plain = is_plain(x);
  if (!x.product && !plain && is_flat_path(s)) return correlate_flat(s);
  for (std::int64_t i = 0; i < x.images; ++i) {
    interruption_point();
    one.image = static_cast<const T*>(x.image) + i * x.image_step;
    one.out = static_cast<T*>(x.out) + i * x.out_image;
    Sweep<T> image = s;
    image.c = c + i * x.out_image;
    if (x.product) correlate_columns(image);
    else if (plain) correlate_plain(image);
    else correlate_part(image, is_flat(x));
  }
}

template <class T> static void correlate_weight(const WeightGradient& x, std::int64_t from, std::int64_t to) {
  using namespace gemm_parts;
  const std::int64_t taps = volume(x.window, &Window::taps), positions = volume(x.window, &Window::out);
  const std::int64_t rows = (to - from) * taps, total = positions * x.batch, all = x.channels * taps;
  if (rows <= 0 || x.rows <= 0) return;
  if (x.product && total) return weight_columns(WeightSweep<T>{x, taps, from, to - from, positions, nullptr}, total);
  WeightSweep<T> s{x, taps, from, to - from, positions, scratch_for<T>(slot_c, rows * x.rows)};
  for (std::int64_t i = 0; total == 0 && i < rows * x.rows; ++i) s.c[i] = 0;
  const std::int64_t depth = total ? block_depth(total) : 1;
  for (std::int64_t q = 0; q < total; q += depth) weight_block(s, q, least(depth, total - q));
  T* out = static_cast<T*>(x.out) + from * taps;
  gemm_parts::pack(gemm_parts::Strip<T>{out, all, s.c, x.rows, 1, rows, x.rows, true});
}

#undef STEEP_INLINE
#undef STEEP_EACH
