// Attributes as Python reads and writes them: a dict by name, of ints, bools, floats, tuples of ints and strings.
#include "graph/attributes.h"

#include <pybind11/stl.h>

#include "bindings/python.h"
#include "ops/precision.h"

namespace steep {
namespace {

py::object value_of(const Attribute& a) {
  switch (a.kind) {
    case AttrKind::flag: return py::bool_(a.word() != 0);
    case AttrKind::integer: return py::int_(a.word());
    case AttrKind::real: return py::float_(a.real());
    case AttrKind::dtype: return py::str(name(static_cast<DType>(a.word())));
    case AttrKind::precision: return py::str(precision_names[a.word()]);
    case AttrKind::text: return py::str(a.text.data(), a.text.size());
    default: return py::tuple(py::cast(a.integers()));
  }
}

using Words = std::vector<std::int64_t>;

template <class T> void add(Words& to, const T& v) {
  const std::size_t before = to.size();
  to.resize(before + words::count(v));
  std::int64_t* at = to.data() + before;
  words::write(at, v);
}

void add_parsed(Words& to, AttrKind kind, py::handle v) {
  const auto items = [&] { return py::cast<std::vector<std::int64_t>>(v); };
  switch (kind) {
    case AttrKind::flag: return add(to, py::cast<bool>(v));
    case AttrKind::integer: return add(to, py::cast<std::int64_t>(v));
    case AttrKind::real: return add(to, py::cast<double>(v));
    case AttrKind::dtype: return add(to, parse_dtype(v.ptr()));
    case AttrKind::precision: return add(to, parse_precision(py::cast<std::string>(v)));
    case AttrKind::text: return add(to, std::string_view(py::cast<std::string>(v)));
    case AttrKind::integers: return add(to, Ints(items()));
    case AttrKind::axes:
      unsigned mask = 0;
      for (auto d : items()) mask |= 1u << normalize_axis(d, max_dims, "axes");
      return add(to, Axes(mask));
  }
}

}  // namespace

py::dict attributes_dict(const Op& op, const AttrsRef& attrs) {
  py::dict all;
  for (const Attribute& a : attributes_of(op, attrs)) all[py::str(a.name.data(), a.name.size())] = value_of(a);
  return all;
}

AttrsRef parse_attributes(const Op& op, const py::dict& given) {
  Words all;
  for (const AttrName& a : op.attrs) {
    const py::str key(a.name.data(), a.name.size());
    if (!given.contains(key)) fail<TypeError>(op.name, ": needs the attribute ", a.name);
    add_parsed(all, a.kind, given[key]);
  }
  if (given.size() > op.attrs.size()) fail<TypeError>(op.name, ": has ", op.attrs.size(), " attributes");
  return AttrsRef(Ints(all));
}

}  // namespace steep
