// einsum: operands are taken two at a time, from the left. Each pair becomes one batched matmul: letters of both that
// are still needed are batches, letters of both that are not are summed, the rest are rows or columns.
#include "ops/einsum.h"

#include <algorithm>
#include <map>

#include "ops/functions.h"

namespace steep {
namespace {

// An operand and the letter of each of its axes. Dots are replaced by capital-free placeholders '0', '1', ...
struct Term {
  Tensor t;
  std::string axes;
};

bool has(const std::string& s, char c) { return s.find(c) != std::string::npos; }
unsigned bit(const std::string& axes, char c) { return 1u << axes.find(c); }

std::vector<std::string> parts_of(const std::string& s, std::size_t count) {
  std::vector<std::string> parts{""};
  for (char c : s) {
    if (c == ',') parts.emplace_back();
    else parts.back() += c;
  }
  if (parts.size() != count)
    fail<ValueError>("einsum: \"", s, "\" names ", parts.size(), " operands, and ", count, " were given");
  return parts;
}

// The letters of one operand's axes, the dots written out as the last of '0'...'7'.
std::string letters(const std::string& part, int ndim) {
  std::string out;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '.') {
      if (part.compare(i, 3, "...") != 0) fail<ValueError>("einsum: \"", part, "\" has a dot that is no \"...\"");
      const int dots = ndim - static_cast<int>(part.size() - 3);
      for (int d = 0; d < dots; ++d) out += static_cast<char>('0' + 8 - dots + d);
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(part[i]))) {
      out += part[i];
    } else {
      fail<ValueError>("einsum: \"", part, "\" has the character '", part[i], "'; axes are letters");
    }
  }
  if (static_cast<int>(out.size()) != ndim)
    fail<ValueError>("einsum: \"", part, "\" names ", out.size(), " axes of an operand that has ", ndim);
  return out;
}

// A letter twice in one operand: its diagonal.
Term diagonal(Term x) {
  for (std::size_t i = 0; i < x.axes.size(); ++i)
    for (std::size_t j = i + 1; j < x.axes.size(); ++j) {
      if (x.axes[i] != x.axes[j]) continue;
      const int p = static_cast<int>(i), q = static_cast<int>(j);
      if (x.t.dim(p) != x.t.dim(q)) fail<ValueError>("einsum: the axes '", x.axes[i], "' of ", x.t, " differ in size");
      Dims column = Dims::filled(x.t.ndim(), 1);
      column[p] = x.t.dim(p);
      const Tensor at = reshape(arange(0, x.t.dim(p), 1, Int64), column);
      Dims wide = x.t.shape();
      wide[q] = 1;
      x.t = squeeze_axes(take_along_axis(x.t, broadcast_to(at, wide), q), 1u << q);
      x.axes.erase(j, 1);
      return diagonal(x);
    }
  return x;
}

Term sum_out(Term x, const std::string& keep) {
  unsigned axes = 0;
  std::string left;
  for (char c : x.axes) {
    if (has(keep, c)) left += c;
    else axes |= bit(x.axes, c);
  }
  return axes ? Term{sum(x.t, axes, false), left} : x;
}

// x with its axes in the order of the groups, each group one axis.
Tensor grouped(const Term& x, const std::vector<std::string>& groups) {
  Dims order, shape;
  for (const std::string& g : groups) {
    std::int64_t size = 1;
    for (char c : g) {
      order.push(static_cast<std::int64_t>(x.axes.find(c)));
      size *= x.t.dim(static_cast<int>(order.back()));
    }
    shape.push(size);
  }
  return reshape(permute_dims(x.t, order), shape);
}

Term multiply_pair(Term a, Term b, const std::string& needed) {
  a = sum_out(a, b.axes + needed);
  b = sum_out(b, a.axes + needed);
  std::string batch, inner, rows, columns;
  for (char c : a.axes) (has(b.axes, c) ? (has(needed, c) ? batch : inner) : rows) += c;
  for (char c : b.axes)
    if (!has(a.axes, c)) columns += c;
  Dims shape;
  const auto size = [&](char c) {
    return has(a.axes, c) ? a.t.dim(static_cast<int>(a.axes.find(c))) : b.t.dim(static_cast<int>(b.axes.find(c)));
  };
  const std::string axes = batch + rows + columns;
  for (char c : axes) shape.push(size(c));
  const Tensor y = matmul(grouped(a, {batch, rows, inner}), grouped(b, {batch, inner, columns}));
  return {reshape(y, shape), axes};
}

// Axes of size 1 stretch, as in broadcasting.
void stretch(std::vector<Term>& terms) {
  std::map<char, std::int64_t> sizes;
  for (const Term& x : terms)
    for (std::size_t d = 0; d < x.axes.size(); ++d) {
      std::int64_t &s = sizes.emplace(x.axes[d], 1).first->second, n = x.t.dim(static_cast<int>(d));
      if (s != 1 && n != 1 && s != n)
        fail<ValueError>("einsum: the letter '", x.axes[d], "' has sizes ", s, " and ", n);
      s = s == 1 ? n : s;
    }
  for (Term& x : terms) {
    Dims full;
    for (char c : x.axes) full.push(sizes[c]);
    x.t = broadcast_to(x.t, full);
  }
}

// Without "->": the dots, then the letters that occur once, in alphabetical order.
std::string implicit_output(const std::vector<Term>& terms) {
  std::string all, dots, once;
  for (const Term& x : terms) all += x.axes;
  std::sort(all.begin(), all.end());
  for (char c : all) {
    if (std::isdigit(static_cast<unsigned char>(c))) dots += has(dots, c) ? "" : std::string(1, c);
    else if (std::count(all.begin(), all.end(), c) == 1) once += c;
  }
  return dots + once;
}

std::string explicit_output(const std::string& text, const std::vector<Term>& terms) {
  int dots = 0;
  for (const Term& x : terms)
    dots =
        std::max(dots, static_cast<int>(std::count_if(x.axes.begin(), x.axes.end(), [](char c) { return c <= '9'; })));
  const bool has_dots = has(text, '.');
  const std::string out =
      letters(text, has_dots ? static_cast<int>(text.size()) - 3 + dots : static_cast<int>(text.size()));
  std::string all;
  for (const Term& x : terms) all += x.axes;
  for (char c : out) {
    if (!has(all, c)) fail<ValueError>("einsum: the output letter '", c, "' is in no operand");
    if (std::count(out.begin(), out.end(), c) > 1)
      fail<ValueError>("einsum: the output letter '", c, "' is there twice");
  }
  return out;
}

}  // namespace

Tensor einsum(const std::string& subscripts, const std::vector<Tensor>& operands) {
  std::string text = subscripts;
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const std::size_t arrow = text.find("->");
  const auto parts = parts_of(text.substr(0, arrow), operands.size());
  std::vector<Term> terms;
  for (std::size_t i = 0; i < parts.size(); ++i) terms.push_back({operands[i], letters(parts[i], operands[i].ndim())});
  const std::string out =
      arrow == std::string::npos ? implicit_output(terms) : explicit_output(text.substr(arrow + 2), terms);
  for (Term& x : terms) x = diagonal(x);
  stretch(terms);
  Term y = terms[0];
  for (std::size_t i = 1; i < terms.size(); ++i) {
    std::string needed = out;
    for (std::size_t j = i + 1; j < terms.size(); ++j) needed += terms[j].axes;
    y = multiply_pair(y, terms[i], needed);
  }
  y = sum_out(y, out);
  Dims order;
  for (char c : out) order.push(static_cast<std::int64_t>(y.axes.find(c)));
  return permute_dims(y.t, order);
}

}  // namespace steep
