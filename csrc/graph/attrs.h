// An op's attributes: what an application needs besides its operands. They are an immutable, counted list of 64-bit
// values, so that a recorded step is plain data that can be compared, hashed and printed. What the values are is said
// once, by a struct that the op's row names: ops make attributes from it and read them as it (AttrsRef::as); programs,
// errors and Python read them by name (attributes.h). Start reading at STEEP_ATTRIBUTES.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

namespace steep {

// How float32 products are computed: docs/precision.md, ops/precision.h.
enum class Precision : std::uint8_t { automatic, fma, split, bf16, winograd2, winograd4, count };
inline constexpr const char* precision_names[] = {"auto", "fma", "split", "bf16", "winograd2", "winograd4"};

// A set of axes, as a mask.
class Axes {
 public:
  Axes(unsigned mask = 0) : mask_(mask) {}
  operator unsigned() const { return mask_; }

 private:
  unsigned mask_;
};

// A list of integers that another object owns.
class Ints {
 public:
  Ints() = default;
  Ints(const std::int64_t* first, std::size_t n) : first_(first), n_(static_cast<int>(n)) {}
  Ints(const Dims& d) : Ints(d.begin(), static_cast<std::size_t>(d.size())) {}
  Ints(const std::vector<std::int64_t>& v) : Ints(v.data(), v.size()) {}
  int size() const { return n_; }
  std::int64_t operator[](int i) const { return first_[i]; }
  const std::int64_t* begin() const { return first_; }
  const std::int64_t* end() const { return first_ + n_; }
  Dims dims() const {
    Dims d;
    for (auto v : *this) d.push(v);
    return d;
  }

 private:
  const std::int64_t* first_ = nullptr;
  int n_ = 0;
};

// The kinds of attributes, each of which is one C++ type.
enum class AttrKind : std::uint8_t { flag, integer, real, dtype, precision, axes, integers, text };
template <class T> constexpr AttrKind attr_kind = AttrKind::integer;
template <> inline constexpr AttrKind attr_kind<bool> = AttrKind::flag;
template <> inline constexpr AttrKind attr_kind<double> = AttrKind::real;
template <> inline constexpr AttrKind attr_kind<DType> = AttrKind::dtype;
template <> inline constexpr AttrKind attr_kind<Precision> = AttrKind::precision;
template <> inline constexpr AttrKind attr_kind<Axes> = AttrKind::axes;
template <> inline constexpr AttrKind attr_kind<Ints> = AttrKind::integers;
template <> inline constexpr AttrKind attr_kind<Dims> = AttrKind::integers;  // the same, copied
template <> inline constexpr AttrKind attr_kind<std::string_view> = AttrKind::text;

// In a struct whose fields are attributes, all of them in order, with their defaults:
//   struct Reduce {
//     Axes axes;
//     bool keepdims = false;
//     STEEP_ATTRIBUTES(axes, keepdims)
//   };
#define STEEP_ATTRIBUTES(...)                        \
  static constexpr const char* names = #__VA_ARGS__; \
  auto fields() { return std::tie(__VA_ARGS__); }    \
  auto fields() const { return std::tie(__VA_ARGS__); }

struct AttrName {
  std::string_view name;
  AttrKind kind;
};
using AttrNames = std::vector<AttrName>;

// The names and kinds of a struct's fields, for the row.
template <class A> AttrNames attributes() {
  AttrNames all;
  std::string_view rest = A::names;
  const auto add = [&](AttrKind kind) {
    const std::size_t end = rest.find(',');
    all.push_back({rest.substr(0, end), kind});
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 2);  // behind ", "
  };
  std::apply([&]<class... T>(T&...) { (add(attr_kind<T>), ...); }, A().fields());
  return all;
}

// How values are stored: a number in one word, doubles by their bits; a list after its length, as is a text, eight
// characters to a word.
namespace words {

inline std::size_t of_text(std::size_t characters) { return (characters + 7) / 8; }

template <class T> std::size_t count(const T& v) {
  if constexpr (attr_kind<T> == AttrKind::integers) return 1 + static_cast<std::size_t>(v.size());
  else if constexpr (std::is_same_v<T, std::string_view>) return 1 + of_text(v.size());
  else return 1;
}

template <class T> void write(std::int64_t*& to, const T& v) {
  if constexpr (attr_kind<T> == AttrKind::integers) {
    *to++ = v.size();
    for (auto each : v) *to++ = each;
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    *to++ = static_cast<std::int64_t>(v.size());
    std::memset(to, 0, 8 * of_text(v.size()));
    std::memcpy(to, v.data(), v.size());
    to += of_text(v.size());
  } else if constexpr (std::is_same_v<T, double>) {
    *to++ = std::bit_cast<std::int64_t>(v);
  } else if constexpr (std::is_same_v<T, Axes>) {
    *to++ = unsigned{v};
  } else {
    *to++ = static_cast<std::int64_t>(v);
  }
}

template <class T> void read(const std::int64_t*& from, T& v) {
  const std::int64_t first = *from++;
  const auto n = static_cast<std::size_t>(first);
  if constexpr (std::is_same_v<T, Ints>) {
    v = {from, n};
    from += n;
  } else if constexpr (std::is_same_v<T, Dims>) {
    v = Ints(from, n).dims();
    from += n;
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    v = {reinterpret_cast<const char*>(from), n};
    from += of_text(n);
  } else if constexpr (std::is_same_v<T, double>) {
    v = std::bit_cast<double>(first);
  } else if constexpr (std::is_same_v<T, Axes>) {
    v = static_cast<unsigned>(first);
  } else {
    v = static_cast<T>(first);
  }
}

}  // namespace words

class AttrsRef {
 public:
  AttrsRef() = default;  // no attributes, or all of them the struct's defaults
  template <class A>
  requires requires { A::names; }
  AttrsRef(const A& values) {
    std::apply(
        [this](const auto&... field) {
          std::int64_t* to = allocate((words::count(field) + ...));
          (words::write(to, field), ...);
        },
        values.fields());
  }
  explicit AttrsRef(Ints all) {
    if (all.size()) std::copy(all.begin(), all.end(), allocate(static_cast<std::size_t>(all.size())));
  }
  AttrsRef(const AttrsRef& o) : p_(o.p_) {
    if (p_) ++p_->refs;
  }
  AttrsRef(AttrsRef&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  AttrsRef& operator=(AttrsRef o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~AttrsRef() {
    if (p_ && --p_->refs == 0) ::operator delete(p_);
  }

  // The attributes as the struct that the op's row names. Lists and texts live as long as these attributes.
  template <class A> A as() const {
    A values;
    if (!p_) return values;
    const std::int64_t* from = p_->values;
    std::apply([&](auto&... field) { (words::read(from, field), ...); }, values.fields());
    return values;
  }
  // As they are stored: what comparisons compare, and the parameters of loops, whose attributes are all reals.
  Ints stored() const { return p_ ? Ints(p_->values, p_->count) : Ints(); }

 private:
  struct Stored {
    std::uint32_t refs, count;
    std::int64_t values[];
  };
  std::int64_t* allocate(std::size_t n) {
    p_ = static_cast<Stored*>(::operator new(sizeof(Stored) + n * sizeof(std::int64_t)));
    p_->refs = 1;
    p_->count = static_cast<std::uint32_t>(n);
    return p_->values;
  }
  Stored* p_ = nullptr;
};

inline const double* loop_params(const AttrsRef& attrs) {
  return reinterpret_cast<const double*>(attrs.stored().begin());
}

}  // namespace steep
