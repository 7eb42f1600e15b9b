// The exceptions of the core and the one way to throw them: fail<ValueError>("reshape: ...", shape, ...).
// Each type becomes the Python exception of the same name in bindings/errors.cpp. Messages name the op, the
// operands with shape and dtype, and the fix.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace steep {

struct ValueError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct IndexError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct GradientError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct CompileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// A Python exception is already set (KeyboardInterrupt, or one raised by a callback).
struct PythonError : std::runtime_error {
  PythonError() : std::runtime_error("a Python exception is set") {}
};

template <class... Parts> std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class Error, class... Parts> [[noreturn, gnu::cold, gnu::noinline]] void fail(const Parts&... parts) {
  throw Error(str(parts...));
}

}  // namespace steep
