// An op's attributes: an immutable, counted list of 64-bit values, so that a recorded step is plain data that can be
// compared, hashed and printed. Doubles are stored by their bits. No attributes: a null reference.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <new>

#include "core/shape.h"

namespace steep {

struct Attrs {
  std::uint32_t refs, count;
  std::int64_t values[];
};

class AttrsRef {
 public:
  AttrsRef() = default;
  AttrsRef(std::initializer_list<std::int64_t> v) : AttrsRef(v.begin(), v.size()) {}
  AttrsRef(const std::int64_t* v, std::size_t n) {
    if (n == 0) return;
    p_ = static_cast<Attrs*>(::operator new(sizeof(Attrs) + n * sizeof(std::int64_t)));
    p_->refs = 1;
    p_->count = static_cast<std::uint32_t>(n);
    std::memcpy(p_->values, v, n * sizeof(std::int64_t));
  }
  explicit AttrsRef(const Dims& d) : AttrsRef(d.begin(), static_cast<std::size_t>(d.size())) {}
  AttrsRef(const AttrsRef& o) : p_(o.p_) {
    if (p_) ++p_->refs;
  }
  AttrsRef(AttrsRef&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  AttrsRef& operator=(AttrsRef o) noexcept {
    Attrs* t = p_;
    p_ = o.p_;
    o.p_ = t;
    return *this;
  }
  ~AttrsRef() {
    if (p_ && --p_->refs == 0) ::operator delete(p_);
  }
  int size() const { return p_ ? static_cast<int>(p_->count) : 0; }
  std::int64_t operator[](int i) const { return p_->values[i]; }
  double real(int i) const { return std::bit_cast<double>(p_->values[i]); }
  bool flag(int i) const { return p_->values[i] != 0; }
  const std::int64_t* data() const { return p_ ? p_->values : nullptr; }
  // Values [from, from + n) as dimensions.
  Dims dims(int from, int n) const {
    Dims d;
    for (int i = 0; i < n; ++i) d.push(p_->values[from + i]);
    return d;
  }
  Dims dims() const { return dims(0, size()); }

 private:
  Attrs* p_ = nullptr;
};

inline std::int64_t bits(double v) { return std::bit_cast<std::int64_t>(v); }

}  // namespace steep
