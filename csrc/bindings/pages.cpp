// What help() shows of a function: its row as a page. tools/generate.py makes docs/ops.md from the same parts. Start
// reading at page().
#include <sstream>

#include "bindings/python.h"

namespace steep {
namespace {

constexpr std::size_t width = 100;  // columns

// Words in lines of the width; all but the first are indented by `hang` more.
std::string filled(const std::string& text, std::size_t indent, std::size_t hang) {
  std::istringstream words(text);
  std::string all(indent, ' '), word;
  std::size_t column = indent;
  const char* between = "";
  for (; words >> word; between = " ") {
    if (*between && column + 1 + word.size() > width) {
      all += '\n' + std::string(indent + hang, ' ');
      column = indent + hang;
      between = "";
    }
    all += between + word;
    column += word.size() + (*between ? 1 : 0);
  }
  return all;
}

// A section of what may be several lines, each filled.
std::string section(const char* title, const std::string& text, std::size_t hang) {
  std::string all = text.empty() ? "" : str("\n\n", title, ":");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) all += '\n' + filled(line, 4, hang);
  return all;
}

// The lines as they are.
std::string example_text(const Op& op) {
  std::string all = *op.example ? "\n\nExample:" : "";
  std::istringstream lines(op.example);
  for (std::string line; std::getline(lines, line);) all += "\n    " + line;
  return all;
}

std::string params_text(const Op& op) {
  std::string text;
  for (const Param& p : op.params) text += str(text.empty() ? "" : "\n", p.name, ": ", p.doc, '.');
  return text;
}

std::string accuracy_text(const Op& op) {
  if (op.ulp.f32 == 0) return "";
  const std::string wide = op.ulp.f64 > 0 ? str(", ", op.ulp.f64, " in float64") : "";
  return str("\n\n", "At most ", op.ulp.f32, " ULP in float32", wide, ".");
}

}  // namespace

const char* gradient_of(const Op& op) {
  if (!op.vjp.empty()) return "its own rule";
  return op.infer || op.discrete ? "none" : "of the ops it is made of";
}

const char* subgradient_of(const Op& op) { return op.flat ? "zero everywhere" : op.subgradient; }

std::string page(const Op& op) {
  std::string text = str(op.name, signature(op, false), "\n\n", filled(op.doc, 0, 0), accuracy_text(op));
  if (*subgradient_of(op)) text += str("\n\nSubgradient: ", subgradient_of(op), ".");
  text += section("Args", params_text(op), 4) + section("Returns", op.returns, 0) + section("Raises", op.raises, 4);
  return text + section("References", op.source, 0) + example_text(op);
}

}  // namespace steep
