// The C++ function behind a Python one. Its parameters, after the row itself, are the row's, in the row's order; each
// is taken from the parsed argument by its type, and registration refuses a function that does not fit its row. Start
// reading at Function.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace steep {

struct Op;

// The public signature: parameters as data, from which arguments are parsed, and signatures and pages are printed.
enum class Kind : std::uint8_t {
  tensor,
  optional_tensor,
  tensors,
  index,  // a tensor of positions or a condition: it takes no part in dtype promotion
  integer,
  optional_integer,
  ints,
  axes,
  flag,
  real,
  dtype,
  text,
  device,  // "cpu" or None, the only device
  object   // any Python object, parsed by the function itself
};
inline constexpr const char* required = nullptr;
struct Param {
  const char* name;
  Kind kind;
  const char* fallback = required;  // the default as Python text
  const char* doc = "";             // what it is, its shape and unit
  bool keyword = false;             // keyword-only, as are those that follow it
};

// A parsed argument. `given` is false for None.
struct Arg {
  bool given = false;
  Tensor tensor;
  std::vector<Tensor> tensors;
  std::int64_t integer = 0;
  double real = 0;
  std::vector<std::int64_t> ints;  // of Kind::ints and axes; `bare` where a single number was given
  bool bare = false;
  std::optional<Dims> nest;  // the shape of the nested numbers, if they were rectangular
  std::string text;
  void* object = nullptr;  // borrowed, of Kind::object
  Dims dims() const {
    Dims d;
    for (auto v : ints) d.push(v);
    return d;
  }
};
using Args = std::vector<Arg>;

struct Unused {};  // the type of a parameter that only its parsing checks

// How a parameter of this type is taken from an argument, and from which kinds. None is a null tensor, or no value.
template <class P> struct Taken;
template <> struct Taken<Tensor> {
  static constexpr bool is(Kind k) { return k == Kind::tensor || k == Kind::optional_tensor || k == Kind::index; }
  static const Tensor& from(const Arg& a) { return a.tensor; }
};
template <> struct Taken<std::vector<Tensor>> {
  static constexpr bool is(Kind k) { return k == Kind::tensors; }
  static const std::vector<Tensor>& from(const Arg& a) { return a.tensors; }
};
template <> struct Taken<std::int64_t> {
  static constexpr bool is(Kind k) { return k == Kind::integer; }
  static std::int64_t from(const Arg& a) { return a.integer; }
};
template <> struct Taken<std::optional<std::int64_t>> {
  static constexpr bool is(Kind k) { return k == Kind::optional_integer; }
  static std::optional<std::int64_t> from(const Arg& a) { return a.given ? std::optional(a.integer) : std::nullopt; }
};
template <> struct Taken<bool> {
  static constexpr bool is(Kind k) { return k == Kind::flag; }
  static bool from(const Arg& a) { return a.integer != 0; }
};
template <> struct Taken<std::optional<bool>> {
  static constexpr bool is(Kind k) { return k == Kind::flag; }
  static std::optional<bool> from(const Arg& a) { return a.given ? std::optional(a.integer != 0) : std::nullopt; }
};
template <> struct Taken<double> {
  static constexpr bool is(Kind k) { return k == Kind::real; }
  static double from(const Arg& a) { return a.real; }
};
template <> struct Taken<std::optional<DType>> {
  static constexpr bool is(Kind k) { return k == Kind::dtype; }
  static std::optional<DType> from(const Arg& a) {
    return a.given ? std::optional(static_cast<DType>(a.integer)) : std::nullopt;
  }
};
template <> struct Taken<std::string> {
  static constexpr bool is(Kind k) { return k == Kind::text; }
  static const std::string& from(const Arg& a) { return a.text; }
};
template <> struct Taken<Arg> {  // a list, with how it was written
  static constexpr bool is(Kind k) { return k == Kind::ints || k == Kind::axes; }
  static const Arg& from(const Arg& a) { return a; }
};
template <> struct Taken<Unused> {
  static constexpr bool is(Kind) { return true; }
  static Unused from(const Arg&) { return {}; }
};

template <class R> class Function {
 public:
  Function() = default;
  template <class... P> Function(R (*f)(const Op&, P...))
      : f_(reinterpret_cast<Any>(f)),
        run_([](Any any, const Op& op, const Args& a) -> R {
          return take(reinterpret_cast<R (*)(const Op&, P...)>(any), op, a, std::index_sequence_for<P...>());
        }),
        fits_([](const std::vector<Param>& params) {
          std::size_t i = 0;
          return params.size() == sizeof...(P) && (Taken<std::remove_cvref_t<P>>::is(params[i++].kind) && ...);
        }) {}
  template <class F>
  requires std::is_class_v<F> && requires(F f) { +f; }  // a lambda without captures
  Function(F f) : Function(+f) {}

  explicit operator bool() const { return f_; }
  R operator()(const Op& op, const Args& a) const { return run_(f_, op, a); }
  bool fits(const std::vector<Param>& params) const { return !f_ || fits_(params); }

 private:
  using Any = void (*)();
  template <class... P, std::size_t... i>
  static R take(R (*f)(const Op&, P...), const Op& op, const Args& a, std::index_sequence<i...>) {
    return f(op, Taken<std::remove_cvref_t<P>>::from(a[i])...);
  }
  Any f_ = nullptr;
  R (*run_)(Any, const Op&, const Args&) = nullptr;
  bool (*fits_)(const std::vector<Param>&) = nullptr;
};

}  // namespace steep
