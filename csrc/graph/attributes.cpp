// Walks over stored attributes by the kinds that the op's row names.
#include "graph/attributes.h"

namespace steep {
namespace {

Attribute next_attribute(const AttrName& a, const std::int64_t*& from) {
  Ints list;
  std::string_view text;
  const std::int64_t* first = from;
  switch (a.kind) {
    case AttrKind::integers: words::read(from, list); return {a.name, a.kind, list};
    case AttrKind::text:
      words::read(from, text);
      return {a.name, a.kind, {first, static_cast<std::size_t>(from - first)}, text};
    default: ++from; return {a.name, a.kind, {first, 1}};
  }
}

std::string list_text(const std::vector<std::int64_t>& values) {
  std::string text = "(";
  for (std::size_t i = 0; i < values.size(); ++i) text += str(i ? ", " : "", values[i]);
  return text + (values.size() == 1 ? ",)" : ")");
}

}  // namespace

std::vector<std::int64_t> Attribute::integers() const {
  if (kind != AttrKind::axes) return {value.begin(), value.end()};
  std::vector<std::int64_t> axes;
  for (int d = 0; d < max_dims; ++d)
    if (word() >> d & 1) axes.push_back(d);
  return axes;
}

std::vector<Attribute> attributes_of(const Op& op, const AttrsRef& attrs) {
  std::vector<Attribute> all;
  const std::int64_t* from = attrs.stored().begin();
  for (const AttrName& a : op.attrs)
    if (from) all.push_back(next_attribute(a, from));
  return all;
}

std::string value_text(const Attribute& a) {
  switch (a.kind) {
    case AttrKind::flag: return a.word() ? "True" : "False";
    case AttrKind::integer: return str(a.word());
    case AttrKind::real: return str(a.real());
    case AttrKind::dtype: return name(static_cast<DType>(a.word()));
    case AttrKind::precision: return str('"', precision_names[a.word()], '"');
    case AttrKind::text: return str('"', a.text, '"');
    default: return list_text(a.integers());
  }
}

}  // namespace steep
