// Shapes and strides of up to 8 dimensions, held by value, and the one place where sizes are multiplied.
// Dims is a short list of int64; a shape's entries are >= 0, strides count elements and may be negative or 0.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "core/errors.h"

namespace steep {

inline constexpr int max_dims = 8;

class Dims {
 public:
  Dims() {}  // entries are left uninitialised: a tensor is made for every op
  Dims(std::initializer_list<std::int64_t> list) {
    for (auto v : list) push(v);
  }
  static Dims filled(int n, std::int64_t value) {
    Dims d;
    for (int i = 0; i < n; ++i) d.push(value);
    return d;
  }
  int size() const { return n_; }
  bool empty() const { return n_ == 0; }
  std::int64_t& operator[](int i) { return d_[i]; }
  std::int64_t operator[](int i) const { return d_[i]; }
  std::int64_t back() const { return d_[n_ - 1]; }
  std::int64_t& back() { return d_[n_ - 1]; }
  const std::int64_t* begin() const { return d_; }
  const std::int64_t* end() const { return d_ + n_; }
  void push(std::int64_t v) {
    if (n_ == max_dims) fail<ValueError>("a tensor has at most ", max_dims, " dimensions");
    d_[n_++] = v;
  }
  void insert(int at, std::int64_t v) {
    push(v);
    for (int i = n_ - 1; i > at; --i) d_[i] = d_[i - 1];
    d_[at] = v;
  }
  void erase(int at) {
    for (int i = at; i + 1 < n_; ++i) d_[i] = d_[i + 1];
    --n_;
  }
  void resize(int n) { n_ = static_cast<std::int8_t>(n); }
  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.n_ != b.n_) return false;
    for (int i = 0; i < a.n_; ++i)
      if (a.d_[i] != b.d_[i]) return false;
    return true;
  }

 private:
  std::int8_t n_ = 0;
  std::int64_t d_[max_dims];
};

inline std::ostream& operator<<(std::ostream& out, const Dims& d) {
  out << '(';
  for (int i = 0; i < d.size(); ++i) out << (i ? ", " : "") << d[i];
  return out << (d.size() == 1 ? ",)" : ")");
}

// Products and sums of sizes: every allocation and offset goes through these, and an overflow is a ValueError.
inline std::int64_t checked_mul(std::int64_t a, std::int64_t b) {
  std::int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) fail<ValueError>("a size of ", a, " x ", b, " overflows 64 bits");
  return r;
}
inline std::int64_t checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t r;
  if (__builtin_add_overflow(a, b, &r)) fail<ValueError>("a size of ", a, " + ", b, " overflows 64 bits");
  return r;
}
inline std::int64_t numel(const Dims& shape) {
  std::int64_t n = 1;
  bool none = false;
  for (auto d : shape) {
    if (d < 0) fail<ValueError>("a size is negative in the shape ", shape);
    none |= d == 0;
  }
  if (none) return 0;
  for (auto d : shape) n = checked_mul(n, d);
  return n;
}

// Row-major strides of a shape; a dimension of size 0 or 1 counts as 1.
inline Dims contiguous_strides(const Dims& shape) {
  Dims s;
  s.resize(shape.size());
  std::int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    s[i] = step;
    if (shape[i] > 1) step = checked_mul(step, shape[i]);
  }
  return s;
}
inline bool is_contiguous(const Dims& shape, const Dims& strides) {
  std::int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

// An axis in [-ndim, ndim) normalised to [0, ndim); `op` is named in the error.
inline int normalize_axis(std::int64_t axis, int ndim, const char* op) {
  if (axis < -ndim || axis >= ndim)
    fail<IndexError>(op, ": axis ", axis, " is out of range for a tensor of ", ndim, " dimensions (valid: ", -ndim,
                     " to ", ndim - 1, ")");
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

}  // namespace steep
