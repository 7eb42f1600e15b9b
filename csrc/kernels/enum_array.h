// An array that is indexed by an enumeration, whose last value is `count`: no cast where it is used, and no index of
// another kind. Start reading at EnumArray.
#pragma once

#include <cstddef>

namespace steep::k {

// Always inlined, so that no code of one instruction set is linked into another.
template <class Id, class T> struct EnumArray {
  T at[static_cast<std::size_t>(Id::count)];

  [[gnu::always_inline]] constexpr T& operator[](Id i) { return at[static_cast<std::size_t>(i)]; }
  [[gnu::always_inline]] constexpr const T& operator[](Id i) const { return at[static_cast<std::size_t>(i)]; }
};

}  // namespace steep::k
