// Convolution of one channel by itself: too little arithmetic for a matrix product. The plane is copied once with its
// border, split by the window's step along x so that every tap reads neighbours; then taps run over vectors of a row.
// Start reading at depthwise and depthwise_weight. Sums run over taps, or over positions in a fixed number of lanes.

namespace conv {

// A plane with its border along x: element e = x + border lies at row[e % step * lane + e / step].
template <class T> struct Bordered {
  const Window* w;
  std::int64_t border, lane, row;
  T* at;
  const T* zeros;  // a row outside the plane

  explicit Bordered(const Window* windows) : w(windows), border(0) {
    const Window& x = w[2];
    std::int64_t last = x.in;
    for (std::int64_t i = 0; i < x.taps; ++i) {
      border = border < -x.at(i) ? -x.at(i) : border;
      const std::int64_t end = (x.out - 1) * x.step + x.at(i) + 1;
      last = last < end ? end : last;
    }
    lane = ceil_div(border + last, x.step) + lanes<T>;
    row = lane * x.step;
    at = scratch_for<T>(Scratch::gemm_b, (w[0].in * w[1].in + 1) * row);
    for (std::int64_t i = 0; i < (w[0].in * w[1].in + 1) * row; ++i) at[i] = 0;
    zeros = at + w[0].in * w[1].in * row;
  }
  void read(const T* plane) const {
    const Window& x = w[2];
    for (std::int64_t y = 0; y < w[0].in * w[1].in; ++y, plane += x.in) {
      T* to = at + y * row;
      if (x.step == 1) {
        copy_row(plane, to + border, x.in);
        continue;
      }
      for (std::int64_t p = 0; p < x.step; ++p) {  // element i of this phase is p + i * step - border of the plane
        const std::int64_t first = ceil_div(border - p, x.step), end = least(lane, ceil_div(x.in + border - p, x.step));
        split(plane + p - border, x.in + border - p, first, end, to + p * lane);
      }
    }
  }
  // Every step-th element of `from`, which has `size`, from number first to end.
  void split(const T* from, std::int64_t size, std::int64_t first, std::int64_t end, T* to) const {
    std::int64_t i = within(first, end);
    const std::int64_t step = w[2].step;
    for (; step == 2 && 2 * (i + lanes<T>) <= size; i += lanes<T>)
      store(to + i,
            evens<T>(load(from + 2 * i), load(from + 2 * i + lanes<T>), std::make_integer_sequence<int, lanes<T>>{}));
    for (; i < end; ++i) to[i] = from[i * step];
  }
  // Where tap (tz, ty, tx) reads for output row (z, y), one element per position.
  const T* find(std::int64_t z, std::int64_t y, std::int64_t tz, std::int64_t ty, std::int64_t tx) const {
    const std::int64_t iz = z * w[0].step + w[0].at(tz), iy = y * w[1].step + w[1].at(ty);
    const std::int64_t e = w[2].at(tx) + border;
    const bool inside = iz >= 0 && iz < w[0].in && iy >= 0 && iy < w[1].in;
    return (inside ? at + (iz * w[1].in + iy) * row : zeros) + e % w[2].step * lane + e / w[2].step;
  }
};

// Some rows of the output, at pointers into `to`, and what each tap reads of them: `from` has the taps of a row, then
// those of the next.
template <class T> struct TapRows {
  const T* const* from;
  std::int64_t taps;
  const T* weight;
  T bias;
  T* const* to;
};

// `vecs` vectors of `rows` rows, from position x on: so many sums that their additions do not wait for one another.
template <class T, int rows, int vecs> static void sum_taps(const TapRows<T>& t, std::int64_t x, std::int64_t last) {
  Vec<T> sum[rows][vecs];
  repeat<rows * vecs>(STEEP_EACH(i) { sum[i / vecs][i % vecs] = Vec<T>(t.bias); });
  for (std::int64_t i = 0; i < t.taps; ++i) {
    const Vec<T> y(t.weight[i]);
    repeat<rows>(STEEP_EACH(r) {
      const T* from = t.from[r * t.taps + i] + x;
      repeat<vecs>(STEEP_EACH(j) { sum[r][j] = fma(y, load(from + j * lanes<T>), sum[r][j]); });
    });
  }
  with_part<T>(
      last, STEEP_EACH(part) {
        repeat<rows>(STEEP_EACH(r) {
          T* to = t.to[r] + x;
          repeat<vecs - 1>(STEEP_EACH(j) { store(to + j * lanes<T>, sum[r][j]); });
          store_part(to + (vecs - 1) * lanes<T>, sum[r][vecs - 1], part);
        });
      });
}

constexpr int most_vecs = 4, most_rows = 8;
// How many rows are summed together where each has this many vectors.
constexpr int rows_together(std::int64_t vecs) { return vecs == 1 ? most_rows : vecs == 2 ? 4 : vecs == 3 ? 2 : 1; }

template <class T> using TapSum = void (*)(const TapRows<T>&, std::int64_t x, std::int64_t last);
template <class T>
static constexpr auto tap_sums = tile_table<TapSum<T>, most_vecs, most_rows>([]<int vecs, int rows>() -> TapSum<T> {
  if constexpr (rows <= rows_together(vecs)) return sum_taps<T, rows, vecs>;
  return nullptr;
});

// `rows` rows of n positions, at most rows_together of their vectors.
template <class T> static void depthwise_rows(const TapRows<T>& t, std::int64_t rows, std::int64_t n) {
  for (std::int64_t x = 0; x < n; x += most_vecs * lanes<T>) {
    const std::int64_t vecs = least(most_vecs, ceil_div(n - x, lanes<T>));
    tap_sums<T>.at[vecs - 1][rows - 1](t, x, least(lanes<T>, n - x - (vecs - 1) * lanes<T>));
  }
}

template <class T> static void find_taps(const Bordered<T>& b, std::int64_t z, std::int64_t y, const T** from) {
  for (std::int64_t tz = 0; tz < b.w[0].taps; ++tz)
    for (std::int64_t ty = 0; ty < b.w[1].taps; ++ty)
      for (std::int64_t tx = 0; tx < b.w[2].taps; ++tx) *from++ = b.find(z, y, tz, ty, tx);
}

// The lanes of 64 bytes that a sum over positions runs in, whatever the instruction set.
template <class T> constexpr int fixed_lanes = 64 / static_cast<int>(sizeof(T));
template <class T> constexpr int fixed_vecs = 64 / kVecBytes;

// The rows of an output and what each tap reads of them: `from` has the taps of a row, then those of the next.
template <class T> struct Lines {
  std::int64_t count, taps, n;
  const T* const* from;
};

// Some rows of the gradient, `step` apart, times some taps, over one plane: sums stay in registers throughout.
template <class T, int rows, int taps>
static void sum_products(const Lines<T>& l, std::int64_t tap, const T* grad, std::int64_t step, T* sums) {
  constexpr int f = fixed_lanes<T>, vecs = fixed_vecs<T>;
  Vec<T> sum[rows][taps][vecs];
  const auto each = [&](auto g) __attribute__((always_inline)) {
    repeat<rows * taps * vecs>(STEEP_EACH(i) {
      constexpr int r = i / (taps * vecs), t = i / vecs % taps, j = i % vecs;
      g(sum[r][t][j], sums + (r * l.taps + t) * f + j * lanes<T>);
    });
  };
  each([](Vec<T>& v, T* at) { v = load(at); });
  for (std::int64_t y = 0; y < l.count; ++y, grad += l.n)
    for (std::int64_t x = 0; x < l.n; x += lanes<T> * vecs)
      repeat<vecs>(STEEP_EACH(j) {
        const std::int64_t at = x + j * lanes<T>;
        if (at >= l.n) return;
        with_part<T>(
            l.n - at, STEEP_EACH(some) {
              Vec<T> g[rows];
              repeat<rows>(STEEP_EACH(r) { g[r] = load_part(grad + r * step + at, some); });
              repeat<taps>(STEEP_EACH(t) {
                const Vec<T> v = load_part(l.from[y * l.taps + tap + t] + at, some);
                repeat<rows>(STEEP_EACH(r) { sum[r][t][j] = fma(g[r], v, sum[r][t][j]); });
              });
            });
      });
  each([](Vec<T>& v, T* at) { store(at, v); });
}

// Some rows of the gradient times every tap: eight at a time, then the rest.
template <class T, int rows> static void sum_all_taps(const Lines<T>& l, const T* grad, std::int64_t step, T* sums) {
  std::int64_t i = 0;
  for (; i + 8 <= l.taps; i += 8) sum_products<T, rows, 8>(l, i, grad, step, sums + i * fixed_lanes<T>);
  for (; i + 3 <= l.taps; i += 3) sum_products<T, rows, 3>(l, i, grad, step, sums + i * fixed_lanes<T>);
  for (; i < l.taps; ++i) sum_products<T, rows, 1>(l, i, grad, step, sums + i * fixed_lanes<T>);
}

template <class T> static T fold_lanes(T* sums) {
  for (int half = fixed_lanes<T> / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

// What every tap reads for every row of the output, row after row.
template <class T> static Lines<T> find_lines(const Bordered<T>& b) {
  const Window* w = b.w;
  const std::int64_t taps = w[0].taps * w[1].taps * w[2].taps, lines = w[0].out * w[1].out;
  auto** from =
      static_cast<const T**>(scratch(Scratch::conv_offsets, static_cast<std::size_t>(lines * taps) * sizeof(T*)));
  for (std::int64_t y = 0; y < lines; ++y) find_taps(b, y / w[1].out, y % w[1].out, from + y * taps);
  return {lines, taps, w[2].out, from};
}

// One plane to one row of x, at `out`.
template <class T>
static void depthwise_plane(const Correlation& x, const Lines<T>& l, const T* weight, T bias, T* out) {
  const std::int64_t high = x.window[1].out, *step = x.out_step;
  const bool apart = step[2] != 1;
  const std::int64_t some = rows_together(least(most_vecs, ceil_div(l.n, lanes<T>)));
  T* lines = apart ? scratch_for<T>(Scratch::gemm_c, some * l.n) : nullptr;
  for (std::int64_t i = 0; i < l.count; i += some) {
    const std::int64_t rows = least(some, l.count - i);
    T *place[most_rows], *to[most_rows];
    for (std::int64_t r = 0; r < rows; ++r) {
      place[r] = out + (i + r) / high * step[0] + (i + r) % high * step[1];
      to[r] = apart ? lines + r * l.n : place[r];
    }
    depthwise_rows(TapRows<T>{l.from + i * l.taps, l.taps, weight, bias, to}, rows, l.n);
    for (std::int64_t r = 0; apart && r < rows; ++r)
      for (std::int64_t j = 0; j < l.n; ++j) place[r][j * step[2]] = to[r][j];
  }
}

// The one channel of every image to its rows [row, row_end); positions are not split.
template <class T>
static void depthwise(const Correlation& x, std::int64_t row, std::int64_t row_end, std::int64_t, std::int64_t) {
  const Bordered<T> b(x.window);
  const Lines<T> lines = find_lines(b);
  for (std::int64_t i = 0; i < x.images; ++i) {
    b.read(static_cast<const T*>(x.image) + i * x.image_step);
    const std::int64_t first = (x.group + i) % x.groups * x.rows;
    for (std::int64_t r = row; r < row_end; ++r)
      depthwise_plane(x, lines, static_cast<const T*>(x.weight) + (first + r) * lines.taps,
                      x.bias ? static_cast<const T*>(x.bias)[first + r] : T(0),
                      static_cast<T*>(x.out) + i * x.out_image + r * x.out_row);
  }
}

// All rows of the one channel of x.
template <class T> static void depthwise_weight(const WeightGradient& x, std::int64_t, std::int64_t) {
  const Window* w = x.window;
  const std::int64_t taps = w[0].taps * w[1].taps * w[2].taps, lines = w[0].out * w[1].out,
                     positions = lines * w[2].out;
  const Bordered<T> b(w);
  T* sums = scratch_for<T>(Scratch::gemm_a, x.rows * taps * fixed_lanes<T>);
  for (std::int64_t i = 0; i < x.rows * taps * fixed_lanes<T>; ++i) sums[i] = 0;
  const Lines<T> all = find_lines(b);
  for (std::int64_t image = 0; image < x.batch; ++image) {
    b.read(static_cast<const T*>(x.image) + image * x.image_step);
    const T* grad = static_cast<const T*>(x.grad) + image * x.grad_step;
    for (std::int64_t r = 0; r < x.rows; r += 2)
      (r + 1 < x.rows ? sum_all_taps<T, 2> : sum_all_taps<T, 1>)(all, grad + r * positions, positions,
                                                                 sums + r * taps * fixed_lanes<T>);
  }
  for (std::int64_t i = 0; i < x.rows * taps; ++i) static_cast<T*>(x.out)[i] = fold_lanes(sums + i * fixed_lanes<T>);
}

}  // namespace conv
