// Attributes by name, for what knows no op's struct: programs as text, messages, Python. Start reading at
// attributes_of.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "graph/op.h"

namespace steep {

// An attribute of one application. Its value is one word, the items of a list, or the words of a text.
struct Attribute {
  std::string_view name;
  AttrKind kind;
  Ints value;
  std::string_view text = {};

  std::int64_t word() const { return value[0]; }
  double real() const { return std::bit_cast<double>(value[0]); }
  std::vector<std::int64_t> integers() const;  // of axes and lists
  friend bool operator==(const Attribute& a, const Attribute& b) {
    return std::equal(a.value.begin(), a.value.end(), b.value.begin(), b.value.end());
  }
};

// In the order of the row; none where all have their defaults.
std::vector<Attribute> attributes_of(const Op& op, const AttrsRef& attrs);

// The value alone, as in Python: (0, 1), True, 0.01, float32, "auto".
std::string value_text(const Attribute& a);

}  // namespace steep
