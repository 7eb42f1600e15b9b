// Iteration over strided memory. Dimensions that can be merged are merged first; what remains is an odometer over the
// outer positions around a fast inner loop. Operands that are not contiguous are gathered 512 elements at a time.
#include "core/iterate.h"

#include <algorithm>
#include <cstring>

#include "core/layout.h"
#include "core/parallel.h"

namespace steep {
namespace {

constexpr int max_operands = 3;
constexpr std::int64_t tile = 512;

// Up to three operands over one shape, innermost dimension last, sizes of 1 dropped and mergeable neighbours merged.
struct Walk {
  int ndim = 0, operands;
  std::int64_t shape[max_dims];
  std::int64_t strides[max_operands][max_dims];

  Walk(const Dims& full, const Dims* s, int n) : operands(n) {
    for (int d = 0; d < full.size(); ++d)
      if (full[d] != 1) push(full, s, d);
    if (ndim == 0) push_unit();
  }

 private:
  void push(const Dims& full, const Dims* s, int d) {
    bool merge = ndim > 0;
    for (int k = 0; k < operands && merge; ++k) merge = strides[k][ndim - 1] == s[k][d] * full[d];
    if (merge) {
      shape[ndim - 1] *= full[d];
    } else {
      shape[ndim++] = full[d];
    }
    for (int k = 0; k < operands; ++k) strides[k][ndim - 1] = s[k][d];
  }
  void push_unit() {
    shape[ndim++] = 1;
    for (int k = 0; k < operands; ++k) strides[k][0] = 1;
  }
};

// Calls f(offsets) for every position of the dimensions before the last `inner`, offsets in elements, one per operand.
template <class F> void odometer(const Walk& w, int inner, F&& f) {
  std::int64_t at[max_dims] = {}, offset[max_operands] = {};
  const int outer = w.ndim - inner;
  for (;;) {
    f(offset);
    int d = outer - 1;
    for (; d >= 0; --d) {
      for (int k = 0; k < w.operands; ++k) offset[k] += w.strides[k][d];
      if (++at[d] < w.shape[d]) break;
      for (int k = 0; k < w.operands; ++k) offset[k] -= w.strides[k][d] * w.shape[d];
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

template <class T> void copy_line(T* dst, std::int64_t ds, const T* src, std::int64_t ss, std::int64_t n) {
  serial_for(n, 1 << 18, [=](std::int64_t b, std::int64_t e) {
    if (ds == 1 && ss == 1) std::memcpy(dst + b, src + b, static_cast<std::size_t>(e - b) * sizeof(T));
    else
      for (std::int64_t i = b; i < e; ++i) dst[i * ds] = src[i * ss];
  });
}

// A plane that is contiguous in the source down, in the result across: by the kernel, some rows of the result at a
// time.
template <class T>
void transpose_plane(T* dst, const T* src, const std::int64_t* n, std::int64_t ld, std::int64_t step) {
  constexpr std::int64_t block = 1 << 16, lanes = 16;
  const k::Transpose transpose = k::table().transpose[sizeof(T) == 4 ? k::f32 : k::f64];
  const std::int64_t most = std::max<std::int64_t>(lanes, block / n[1] / lanes * lanes);
  for (std::int64_t i = 0; i < n[0]; i += most) {
    if (i > 0) k::interruption_point();
    transpose(src + i, step, dst + i * ld, ld, n[1], std::min(most, n[0] - i));
  }
}
// Every element of a line `times` times in a row: dst[i * times + j] = src[i].
template <int times, class T> void repeat_elements(T* dst, const T* src, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    for (int j = 0; j < times; ++j) dst[i * times + j] = src[i];
}
template <class T> void repeat_elements(T* dst, const T* src, std::int64_t n, std::int64_t times) {
  serial_for(n, std::max<std::int64_t>(1, (1 << 16) / times), [=](std::int64_t b, std::int64_t e) {
    T* to = dst + b * times;
    if (times == 2) return repeat_elements<2>(to, src + b, e - b);
    if (times == 3) return repeat_elements<3>(to, src + b, e - b);
    if (times == 4) return repeat_elements<4>(to, src + b, e - b);
    for (; b < e; ++b, to += times) std::fill_n(to, times, src[b]);
  });
}
// The last two dimensions in squares of 16, so that a transposition stays within a few cache lines.
template <class T>
void copy_plane(T* dst, const T* src, const std::int64_t* n, const std::int64_t* ds, const std::int64_t* ss) {
  constexpr std::int64_t edge = 16;
  if (ss[1] == 0 && ds[1] == 1 && ds[0] == n[1]) return repeat_elements(dst, src, n[0], n[1]);
  if constexpr (sizeof(T) >= 4)
    if (ds[1] == 1) return transpose_plane(dst, src, n, ds[0], ss[1]);
  for (std::int64_t i = 0; i < n[0]; i += edge) {
    if (i % 1024 == 1024 - edge) k::interruption_point();
    for (std::int64_t j = 0; j < n[1]; j += edge)
      for (std::int64_t ii = i; ii < std::min(i + edge, n[0]); ++ii)
        copy_line(dst + ii * ds[0] + j * ds[1], ds[1], src + ii * ss[0] + j * ss[1], ss[1], std::min(edge, n[1] - j));
  }
}

// Puts the dimension along which the source is contiguous before the last, which then is copied with it as a plane.
void pair_planes(Walk& w) {
  const int last = w.ndim - 1;
  const auto near = [&](int d) { return w.strides[1][d] == 1 && w.shape[d] > 1; };
  if (near(last)) return;
  for (int d = 0; d < last - 1; ++d)
    if (near(d)) {
      std::swap(w.shape[d], w.shape[last - 1]);
      for (auto& strides : w.strides) std::swap(strides[d], strides[last - 1]);
      return;
    }
}

template <class T> void copy_walk(Walk w, T* dst, const T* src) {
  pair_planes(w);
  const int last = w.ndim - 1;
  const std::int64_t *d = w.strides[0], *s = w.strides[1];
  const bool planes = w.ndim >= 2 && s[last] != 1 && s[last - 1] == 1;
  const std::int64_t each = planes ? w.shape[last] * w.shape[last - 1] : w.shape[last];
  std::int64_t copied = 0;  // since the last interruption point
  odometer(w, planes ? 2 : 1, [&](const std::int64_t* at) {
    if ((copied += each) > 1 << 16) copied = 0, k::interruption_point();
    if (planes) copy_plane(dst + at[0], src + at[1], w.shape + last - 1, d + last - 1, s + last - 1);
    else copy_line(dst + at[0], d[last], src + at[1], s[last], w.shape[last]);
  });
}

using U8 = std::uint8_t;
void copy_typed(const Walk& w, std::int64_t item, char* dst, const char* src) {
  if (item == 1) return copy_walk(w, reinterpret_cast<U8*>(dst), reinterpret_cast<const U8*>(src));
  if (item == 2)
    return copy_walk(w, reinterpret_cast<std::uint16_t*>(dst), reinterpret_cast<const std::uint16_t*>(src));
  if (item == 4)
    return copy_walk(w, reinterpret_cast<std::uint32_t*>(dst), reinterpret_cast<const std::uint32_t*>(src));
  copy_walk(w, reinterpret_cast<std::uint64_t*>(dst), reinterpret_cast<const std::uint64_t*>(src));
}

// The dimension along which a copy is shared among threads: the first that has enough for them, or the longest.
int widest(const Walk& w) {
  constexpr std::int64_t enough = 16;
  int longest = 0;
  for (int d = 0; d < w.ndim; ++d) {
    if (w.shape[d] >= enough) return d;
    if (w.shape[d] > w.shape[longest]) longest = d;
  }
  return longest;
}

template <class T> void copy_as(char* to, const char* from, std::int64_t n, std::int64_t stride) {
  if (stride == 0) std::fill_n(reinterpret_cast<T*>(to), n, *reinterpret_cast<const T*>(from));
  else copy_line(reinterpret_cast<T*>(to), 1, reinterpret_cast<const T*>(from), stride, n);
}
void copy_out(char* to, const char* from, std::int64_t item, std::int64_t n, std::int64_t stride) {
  if (item == 2) return copy_as<std::uint16_t>(to, from, n, stride);
  if (item == 4) return copy_as<std::uint32_t>(to, from, n, stride);
  if (item == 8) return copy_as<std::uint64_t>(to, from, n, stride);
  copy_as<U8>(to, from, n, stride);
}

}  // namespace

void gather(char* to, const char* base, std::int64_t item, const Dims& shape, const Dims& strides, std::int64_t begin,
            std::int64_t n) {
  const int last = shape.size() - 1;
  std::int64_t at[max_dims], rest = begin, offset = 0;
  for (int d = last; d >= 0; --d) {
    at[d] = rest % shape[d];
    rest /= shape[d];
    offset += at[d] * strides[d];
  }
  while (n > 0) {
    const std::int64_t line = std::min(n, shape[last] - at[last]);
    copy_out(to, base + offset * item, item, line, strides[last]);
    to += line * item;
    n -= line;
    offset += line * strides[last];
    at[last] += line;
    for (int d = last; d > 0 && at[d] == shape[d]; --d) {
      offset += strides[d - 1] - strides[d] * shape[d];
      at[d] = 0;
      ++at[d - 1];
    }
  }
}

void merge_dims(Dims& shape, Dims& strides) {
  const Walk w(shape, &strides, 1);
  shape = strides = {};
  for (int d = 0; d < w.ndim; ++d) {
    shape.push(w.shape[d]);
    strides.push(w.strides[0][d]);
  }
}

Dims broadcast_strides(const Dims& shape, const Dims& strides, const Dims& wide) {
  Dims s = Dims::filled(wide.size(), 0);
  const int lead = wide.size() - shape.size();
  for (int d = 0; d < shape.size(); ++d) s[lead + d] = shape[d] == 1 ? 0 : strides[d];
  return s;
}

namespace {

// Whether an operand is one row of memory for every row of the result.
bool is_repeated(const Dims& strides) {
  for (int d = 0; d + 1 < strides.size(); ++d)
    if (strides[d] != 0) return false;
  return strides.back() == 1;
}

// One operand of a tiled run: read in place when it is linear, one value or a whole row, gathered otherwise; once for
// all tiles where it is one row for every row, and tiles are whole rows.
struct Operand {
  const char* base;
  std::int64_t item;
  enum { linear, single, row, repeated, strided } kind;
  Dims strides;
  alignas(64) char buffer[tile * 8];

  void init(const Tensor& t, const Tensor& out, const Dims& shape, const Dims& merged_strides, bool whole_rows,
            std::int64_t unit) {
    base = t.bytes();
    item = size_of(t.dtype());
    strides = merged_strides;
    if (t.size() == 1) {
      kind = single;
    } else if (t.contiguous() && t.size() == out.size()) {
      kind = linear;
    } else {
      kind = whole_rows ? row : is_repeated(strides) && unit % shape.back() == 0 ? repeated : strided;
    }
    if (kind == repeated) gather(buffer, base, item, shape, strides, 0, std::min(unit, out.size()));
  }
  bool is_single() const { return kind == single || (kind == row && strides.back() == 0); }
  const void* read(const Dims& shape, std::int64_t begin, std::int64_t n) {
    if (kind == single) return base;
    if (kind == linear) return base + begin * item;
    if (kind == row) return base + offset_of(shape, begin) * item;
    if (kind == strided) gather(buffer, base, item, shape, strides, begin, n);
    return buffer;
  }

 private:
  std::int64_t offset_of(const Dims& shape, std::int64_t index) const {
    std::int64_t offset = 0;
    for (int d = shape.size() - 1; d >= 0; --d) {
      offset += index % shape[d] * strides[d];
      index /= shape[d];
    }
    return offset;
  }
};

// Merged dimensions shared by all operands of a run, kept as Dims so that Operand can index them.
struct Merged {
  Dims shape, strides[max_operands];
  Merged(const Tensor* in, int count, const Dims& full) {
    Dims s[max_operands];
    for (int k = 0; k < count; ++k) s[k] = broadcast_strides(in[k].shape(), in[k].strides(), full);
    const Walk w(full, s, count);
    for (int d = 0; d < w.ndim; ++d) {
      shape.push(w.shape[d]);
      for (int k = 0; k < count; ++k) strides[k].push(w.strides[k][d]);
    }
  }
};

// Whether neighbours in t's order lie far apart in memory, and t is large enough that a copy, which reads it in
// squares, pays.
bool is_scattered(const Tensor& t, const Tensor& out) {
  if (t.size() != out.size() || t.size() < 4096 || t.contiguous()) return false;
  for (int d = t.ndim() - 1; d >= 0; --d)
    if (t.dim(d) > 1) return std::abs(t.strides()[d]) > 1;
  return false;
}

bool linear_or_single(const Tensor& t, const Tensor& out) {
  return t.size() == 1 || (t.contiguous() && t.size() == out.size());
}

bool all_linear(const Tensor* in, int count, const Tensor& out) {
  for (int k = 0; k < count; ++k)
    if (!linear_or_single(in[k], out)) return false;
  return true;
}

// Elements of a block of some microseconds.
std::int64_t block_of(double cost) { return std::int64_t{1} << (cost < 0.3 ? 15 : 13); }

// Every operand is linear or a single value: no odometer is needed, and small results need one call of the loop.
void run_linear(k::Loop loop, const Tensor* in, int count, const Tensor& out, const double* params, double cost) {
  const void* base[max_operands];
  unsigned scalars = 0;
  for (int k = 0; k < count; ++k) {
    base[k] = in[k].bytes();
    scalars |= unsigned{in[k].size() == 1 && out.size() != 1} << k;
  }
  const std::int64_t n = out.size(), grain = block_of(cost);
  if (stays_here(n, grain, cost)) return loop(base, out.bytes(), n, scalars, params);
  parallel_for(n, grain, cost, [&](std::int64_t b, std::int64_t e) {
    const void* p[max_operands];
    for (int k = 0; k < count; ++k) {
      const std::int64_t item = scalars >> k & 1 ? 0 : size_of(in[k].dtype());
      p[k] = static_cast<const char*>(base[k]) + b * item;
    }
    loop(p, out.bytes() + b * size_of(out.dtype()), e - b, scalars, params);
  });
}

// Rows of a long unit-stride inner dimension are read in place, unless several fit into a tile and none has to be
// gathered for it; anything else is gathered tile by tile.
void run_tiled(k::Loop loop, const Tensor* in, int count, const Tensor& out, const double* params, double cost) {
  const Merged merged(in, count, out.shape());
  const std::int64_t out_item = size_of(out.dtype()), inner = merged.shape.back();
  bool rows = inner >= 64, in_tiles = inner <= tile / 2;
  for (int k = 0; k < count; ++k) {
    rows = rows && (merged.strides[k].back() == 1 || merged.strides[k].back() == 0);
    in_tiles = in_tiles && (linear_or_single(in[k], out) || is_repeated(merged.strides[k]));
  }
  rows = rows && !in_tiles;
  const std::int64_t whole = inner < tile ? tile / inner * inner : tile;  // of rows
  const std::int64_t unit = rows ? std::min(inner, block_of(cost)) : whole;
  cost += rows ? 0.1 : 0.4;
  const std::int64_t grain = std::max<std::int64_t>(unit, block_of(cost) / unit * unit);
  parallel_for(out.size(), grain, cost, [&](std::int64_t b, std::int64_t e) {
    Operand ops[max_operands];
    unsigned scalars = 0;
    for (int k = 0; k < count; ++k) {
      ops[k].init(in[k], out, merged.shape, merged.strides[k], rows, unit);
      scalars |= unsigned{ops[k].is_single()} << k;
    }
    for (std::int64_t i = b, n; i < e; i += n) {
      const void* p[max_operands];
      n = std::min(unit, e - i);
      if (rows) n = std::min(n, inner - i % inner);
      for (int k = 0; k < count; ++k) p[k] = ops[k].read(merged.shape, i, n);
      loop(p, out.bytes() + i * out_item, n, scalars, params);
    }
  });
}

[[gnu::noinline]] void run_strided(k::Loop loop, const Tensor* given, int count, const Tensor& out,
                                   const double* params, double cost) {
  Tensor in[max_operands];
  for (int k = 0; k < count; ++k) in[k] = is_scattered(given[k], out) ? copied(given[k]) : given[k];
  if (all_linear(in, count, out)) run_linear(loop, in, count, out, params, cost);
  else run_tiled(loop, in, count, out, params, cost);
}

// The bytes that t's elements lie in, whoever owns them: two tensors may share memory without sharing a Storage.
std::pair<std::uintptr_t, std::uintptr_t> extent(const Tensor& t) {
  const auto item = size_of(t.dtype());
  std::int64_t low = 0, high = item;
  for (int d = 0; d < t.ndim(); ++d) {
    const std::int64_t span = (t.dim(d) - 1) * t.strides()[d] * item;
    (span < 0 ? low : high) += span;
  }
  const auto at = reinterpret_cast<std::uintptr_t>(t.bytes());
  return {at + static_cast<std::uintptr_t>(low), at + static_cast<std::uintptr_t>(high)};
}

}  // namespace

void copy_strided(const Tensor& dst, const Tensor& src) {
  constexpr double cost = 0.2;  // nanoseconds per element
  constexpr std::int64_t block = 1 << 15;
  const Dims s[] = {dst.strides(), src.strides()};
  if (dst.size() == 0) return;
  const Walk w(dst.shape(), s, 2);
  const std::int64_t item = size_of(dst.dtype());
  const int d = widest(w);
  const std::int64_t n = w.shape[d], each = dst.size() / n;
  parallel_for(n, std::max<std::int64_t>(1, block / each), cost * static_cast<double>(each),
               [&](std::int64_t b, std::int64_t e) {
                 Walk some = w;
                 some.shape[d] = e - b;
                 copy_typed(some, item, dst.bytes() + b * w.strides[0][d] * item,
                            src.bytes() + b * w.strides[1][d] * item);
               });
}

void fill_zero(const Tensor& t) {
  constexpr double cost = 0.03;  // nanoseconds per byte
  parallel_for(t.size() * size_of(t.dtype()), 1 << 18, cost,
               [&](std::int64_t b, std::int64_t e) { std::memset(t.bytes() + b, 0, static_cast<std::size_t>(e - b)); });
}

Tensor contiguous(const Tensor& t) { return t.contiguous() ? t : copied(t); }
Tensor copied(const Tensor& t) {
  Tensor out = empty(t.shape(), t.dtype());
  copy_strided(out, t);
  return out;
}

namespace {
// The same over the dimensions as they lie in the memory of the result.
[[gnu::noinline]] void run_in_order(k::Loop loop, const Tensor* given, int count, const Tensor& out,
                                    const double* params, double cost) {
  const MemoryOrder order = dense_order(out);
  Tensor in[max_operands];
  for (int k = 0; k < count; ++k) in[k] = in_order(given[k], order);
  run_loop(loop, in, count, in_order(out, order), params, cost);
}
}  // namespace

void run_loop(k::Loop loop, const Tensor* in, int count, const Tensor& out, const double* params, double cost) {
  if (out.size() == 0) return;
  if (!out.contiguous()) return run_in_order(loop, in, count, out, params, cost);
  if (all_linear(in, count, out)) run_linear(loop, in, count, out, params, cost);
  else run_strided(loop, in, count, out, params, cost);
}

bool may_overlap(const Tensor& dst, const Tensor& src) {
  if (dst.size() == 0 || src.size() == 0) return false;
  const auto [low, high] = extent(dst);
  const auto [from, to] = extent(src);
  if (high <= from || to <= low) return false;
  return !(dst.bytes() == src.bytes() && dst.strides() == src.strides() && dst.shape() == src.shape());
}

}  // namespace steep
