// The part of a correlation that a kernel is asked for, its biases, and where its results go. Start reading at Sweep,
// then spread_out.

namespace conv {

// A part of a correlation.
template <class T> struct Sweep {
  const Correlation& x;
  std::int64_t taps, row, rows, from, count;  // the part: rows [row, row + rows), positions [from, from + count)
  std::int64_t tiles, width;
  T* c;
  std::int64_t ldc;

  std::int64_t top(std::int64_t tile) const { return share_start(rows, tiles, tile); }
};

template <class T> struct Channels { std::int64_t first, count; };

// Every row of C begins with its bias.
template <class T> static void start(const Sweep<T>& s, std::int64_t columns) {
  for (std::int64_t i = 0; i < s.rows; ++i) {
    const T value = s.x.bias ? static_cast<const T*>(s.x.bias)[s.row + i] : T(0);
    for (std::int64_t j = 0; j < columns; ++j) s.c[i * s.ldc + j] = value;
  }
}

// Where a position lies in the output of an image.
static inline std::int64_t place_in(const Correlation& x, const Place& p) {
  return p.z * x.out_step[0] + p.y * x.out_step[1] + p.x * x.out_step[2];
}

// A row into outputs `step` apart. Rows are too short for a library call.
template <class T> static void copy_row(const T* from, T* to, std::int64_t n, std::int64_t step = 1) {
  std::int64_t j = 0;
  if (step == 1) {
    for (; j + lanes<T> <= n; j += lanes<T>) store(to + j, load(from + j));
    if (j < n) store_part(to + j, load_part(from + j, Part<T>(n - j)), Part<T>(n - j));
  } else if (step == 2) {
    for (; j + lanes<T> <= n; j += lanes<T>) store_apart(to + 2 * j, load(from + j), lanes<T>);
    if (j < n) store_apart(to + 2 * j, load_part(from + j, Part<T>(n - j)), n - j);
  } else {
    for (; j < n; ++j) to[j * step] = from[j];
  }
}

// Copies rows of positions into outputs with gaps, or of several images.
template <class T> static void spread_out(const Sweep<T>& s) {
  const std::int64_t* step = s.x.out_step;
  for (std::int64_t i = 0; i < s.rows; ++i) {
    T* to = static_cast<T*>(s.x.out) + (s.row + i) * s.x.out_row;
    Place p = place_of(s.x.window, s.from);
    for (std::int64_t j = 0, some; j < s.count; j += some, next_row(s.x.window, p)) {
      some = least(s.x.window[2].out - p.x, s.count - j);
      copy_row(s.c + i * s.ldc + j, to + p.image * s.x.out_image + place_in(s.x, p), some, step[2]);
    }
  }
}

static inline bool is_flat(const Correlation& x) {
  const Window* w = x.window;
  return x.out_step[2] == 1 && x.out_step[1] == w[2].out && x.out_step[0] == w[1].out * w[2].out;
}

// Rows [i, i + mi) of a part get their biases, in columns [j, j + nj).
template <class T>
static void add_bias(const Sweep<T>& s, std::int64_t i, std::int64_t mi, std::int64_t j, std::int64_t nj) {
  for (std::int64_t r = i; r < i + mi; ++r) {
    const T bias = static_cast<const T*>(s.x.bias)[s.row + r];
    for (T *c = s.c + r * s.ldc + j, *end = c + nj; c < end; ++c) *c += bias;
  }
}

}  // namespace conv
