// Arguments by schema: positional and named arguments are matched to an op's parameters and converted by kind.
// Defaults are Python text, parsed the same way once. Errors name the op, the parameter and what was given.
#include <pybind11/eval.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "bindings/python.h"

namespace steep {
namespace {

constexpr std::size_t most_params = 16;

std::string shown(PyObject* o) { return py::cast<std::string>(py::repr(py::handle(o))).substr(0, 60); }

// The number of dimensions that an array of any library says it has; -1 for what is no array.
std::int64_t dimensions(PyObject* o) {
  if (is_tensor(o)) return borrow(o).ndim();
  const py::object n = py::getattr(o, "ndim", py::none());
  return py::isinstance<py::int_>(n) ? n.cast<std::int64_t>() : -1;
}

// What was given, for messages: its type, and of arrays the dtype and the shape.
std::string told(PyObject* o) {
  const std::string type = Py_TYPE(o)->tp_name;
  if (is_tensor(o)) return str(type, " ", borrow(o));
  if (dimensions(o) < 0 || !PyObject_HasAttrString(o, "__len__")) return type;
  const py::object shape = py::getattr(o, "shape", py::none()), dtype = py::getattr(o, "dtype", py::none());
  return str(type, " ", py::str(dtype).cast<std::string>(), py::str(shape).cast<std::string>());
}

// How a common mistake is mended: a flag in the place of an integer, as in sum(x, True), and a number that is a float.
std::string mended(const Op& op, const Param& p, PyObject* o) {
  const auto flag =
      std::find_if(op.params.begin(), op.params.end(), [](const Param& q) { return q.kind == Kind::flag; });
  if (PyBool_Check(o)) return flag == op.params.end() ? "" : str("; a flag is named, as ", flag->name, "=", shown(o));
  const bool array = dimensions(o) == 0 && (is_tensor(o) || is_index(o));
  return PyFloat_Check(o) || array ? str("; pass int(", p.name, ")") : "";
}

[[noreturn]] void refuse(const Op& op, const Param& p, const char* wanted, PyObject* got) {
  fail<TypeError>(op.name, ": ", p.name, " must be ", wanted, ", and got ", told(got));
}
[[noreturn]] void refuse_integer(const Op& op, const Param& p, PyObject* got) {
  const char* wanted = p.kind == Kind::axes || p.kind == Kind::ints ? "an integer or a sequence of them" : "an integer";
  fail<TypeError>(op.name, ": ", p.name, " must be ", wanted, ", and got ", told(got), mended(op, p, got));
}

// What Python takes for an index, NumPy's integers and arrays of one among it; not True and False, as in NumPy.
std::int64_t whole(const Op& op, const Param& p, PyObject* o) {
  if (PyFloat_Check(o) || !is_index(o)) refuse_integer(op, p, o);
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(o));
  if (!index) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw_python_error();
    PyErr_Clear();
    refuse_integer(op, p, o);
  }
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow) fail<ValueError>(op.name, ": ", p.name, " does not fit in 64 bits");
  return v;
}

// A list may contain itself.
struct RecursionGuard {
  RecursionGuard() {
    if (Py_EnterRecursiveCall(" in nested numbers")) throw_python_error();
  }
  ~RecursionGuard() { Py_LeaveRecursiveCall(); }
  RecursionGuard(const RecursionGuard&) = delete;
  RecursionGuard& operator=(const RecursionGuard&) = delete;
};

// One integer; tensors and arrays of more dimensions pass for an index too, and are lists of them.
bool is_one_number(PyObject* o) {
  if (PyLong_Check(o)) return true;  // without asking for __len__, which an int answers with an exception
  if (!PyIndex_Check(o)) return false;
  return dimensions(o) == 0 || (!is_tensor(o) && !PyObject_HasAttrString(o, "__len__"));
}

// A number, or nested sequences of numbers, flattened in order.
void flatten_ints(const Op& op, const Param& p, PyObject* o, std::vector<std::int64_t>& out) {
  if (is_one_number(o)) return out.push_back(whole(op, p, o));
  if (PyUnicode_Check(o) || !PySequence_Check(o)) refuse_integer(op, p, o);
  const RecursionGuard deeper;
  for (py::handle each : py::reinterpret_borrow<py::object>(o)) flatten_ints(op, p, each.ptr(), out);
}

// The shape of rectangular nested sequences; nothing for ragged ones.
std::optional<Dims> nest_of(PyObject* o) {
  if (is_one_number(o)) return Dims{};
  std::optional<Dims> row;
  std::int64_t rows = 0;
  for (py::handle each : py::reinterpret_borrow<py::object>(o)) {
    const auto next = nest_of(each.ptr());
    if (!next || next->size() == max_dims || (rows && !(*row == *next))) return {};
    row = next;
    ++rows;
  }
  if (!row) row.emplace();
  row->insert(0, rows);
  return row;
}

double number(const Op& op, const Param& p, PyObject* o) {
  if (is_tensor(o) && borrow(o)->node && grad_enabled())
    fail<GradientError>(op.name, ": ", p.name, " is a plain number, so the gradient of ", borrow(o),
                        " would be lost; pass float(x) if that is meant");
  const double v = PyFloat_AsDouble(o);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    refuse(op, p, "a number", o);
  }
  return v;
}

bool is_cpu(PyObject* o) { return PyUnicode_Check(o) && PyUnicode_CompareWithASCIIString(o, "cpu") == 0; }

std::vector<Tensor> sequence_of_tensors(PyObject* o) {
  const py::tuple given(py::reinterpret_borrow<py::object>(o));
  std::vector<Tensor> tensors(given.size());
  to_tensors(&PyTuple_GET_ITEM(given.ptr(), 0), tensors.size(), tensors.data());
  return tensors;
}

// True, False, None for False, and numbers equal to these; any other object, such as a dtype, is an error.
bool truth(const Op& op, const Param& p, PyObject* o) {
  if (PyBool_Check(o) || o == Py_None) return o == Py_True;
  const bool number = PyLong_Check(o) || is_tensor(o) || PyObject_HasAttrString(o, "__array__");
  if (!number) refuse(op, p, "True or False", o);
  const int yes = PyObject_IsTrue(o);
  if (yes < 0) throw_python_error();
  return yes;
}

void convert(const Op& op, const Param& p, PyObject* o, Arg& a) {
  a.given = o != Py_None;
  switch (p.kind) {
    case Kind::index: a.tensor = to_tensor(o); return;
    case Kind::tensor:
    case Kind::optional_tensor: return;  // by convert_tensors
    case Kind::tensors:
      if (is_tensor(o) || !(Py_TYPE(o)->tp_iter || PySequence_Check(o))) refuse(op, p, "a sequence of tensors", o);
      a.tensors = sequence_of_tensors(o);
      return;
    case Kind::optional_integer:
      if (!a.given) return;
      [[fallthrough]];
    case Kind::integer: a.integer = whole(op, p, o); return;
    case Kind::axes:  // None where it may be left out
      if (!a.given && p.fallback) return;
      [[fallthrough]];
    case Kind::ints:
      a.bare = is_one_number(o);
      flatten_ints(op, p, o, a.ints);
      a.nest = nest_of(o);
      return;
    case Kind::flag: a.integer = truth(op, p, o); return;
    case Kind::real: a.real = number(op, p, o); return;
    case Kind::dtype:
      if (a.given) a.integer = parse_dtype(o);
      return;
    case Kind::text:
      if (!PyUnicode_Check(o)) refuse(op, p, "a string", o);
      a.text = py::cast<std::string>(py::handle(o));
      return;
    case Kind::device:
      if (a.given && !is_cpu(o)) fail<ValueError>(op.name, ": ", p.name, " must be \"cpu\" or None, and is ", shown(o));
      return;
    case Kind::object: a.object = o;
  }
}

// The value of a default's text, kept for the next call: a text is a literal, so its address names it.
PyObject* fallback_value(const Param& p) {
  static auto& cache = *new std::unordered_map<const char*, py::object>;
  auto found = cache.find(p.fallback);
  if (found == cache.end()) found = cache.emplace(p.fallback, py::eval(p.fallback)).first;
  return found->second.ptr();
}

int find_param(const Op& op, PyObject* name) {
  for (std::size_t i = 0; i < op.params.size(); ++i)
    if (PyUnicode_CompareWithASCIIString(name, op.params[i].name) == 0) return static_cast<int>(i);
  fail<TypeError>(op.name, ": has no parameter named ", py::cast<std::string>(py::handle(name)), "; it takes ",
                  signature(op, false));
}

std::size_t positional_params(const Op& op) {
  const auto named = std::find_if(op.params.begin(), op.params.end(), [](const Param& p) { return p.keyword; });
  return static_cast<std::size_t>(named - op.params.begin());
}

// x.reshape(2, 3) for x.reshape((2, 3)), zeros(2, 3) for zeros((2, 3)), einsum(text, a, b) for einsum(text, (a, b)): a
// sequence parameter that is first, or second and last, accepts its items as separate arguments.
struct Spread {
  Py_ssize_t first = 0, count = 0;
};
Spread spread_of(const Op& op, PyObject* const* args, Py_ssize_t given) {
  const auto& params = op.params;
  if (given < 2 || params.size() < 2) return {};
  if (params[0].kind == Kind::ints && params[1].kind == Kind::dtype) {
    Py_ssize_t n = 0;
    while (n < given && PyIndex_Check(args[n]) && is_one_number(args[n])) ++n;
    return n > 1 ? Spread{0, n} : Spread{};
  }
  if (positional_params(op) != 2) return {};
  const bool numbers = params[1].kind == Kind::ints && given > 2 && PyIndex_Check(args[1]);
  const bool tensors = params[1].kind == Kind::tensors && !PyList_Check(args[1]) && !PyTuple_Check(args[1]);
  return numbers || tensors ? Spread{1, given - 1} : Spread{};
}

// The tensor operands, whose dtypes are promoted together; an index takes no part in promotion.
void convert_tensors(const Op& op, PyObject* const* slots, Args& out) {
  PyObject* given[most_params];
  Tensor tensors[most_params];
  std::size_t at[most_params], count = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Kind kind = op.params[i].kind;
    const bool wanted = kind == Kind::tensor || (kind == Kind::optional_tensor && out[i].given);
    if (wanted) at[count] = i, given[count++] = slots[i] ? slots[i] : fallback_value(op.params[i]);
  }
  to_tensors(given, count, tensors);
  for (std::size_t i = 0; i < count; ++i) out[at[i]].tensor = tensors[i];
}

}  // namespace

bool parse_arguments(const Op& op, PyObject* const* args, Py_ssize_t given, PyObject* names, Args& out) {
  PyObject* slots[most_params] = {};
  py::object gathered;
  const Spread spread = spread_of(op, args, given);
  const Py_ssize_t extra = spread.count ? spread.count - 1 : 0;
  const std::size_t most = positional_params(op);
  if (static_cast<std::size_t>(given - extra) > most)
    fail<TypeError>(op.name, ": takes at most ", most, most < op.params.size() ? " positional" : "",
                    " arguments, and got ", given, "; it takes ", signature(op, false));
  for (Py_ssize_t i = 0; i < given - extra; ++i) slots[i] = args[i <= spread.first ? i : i + extra];
  if (spread.count) {
    gathered = py::tuple(spread.count);
    for (Py_ssize_t i = 0; i < spread.count; ++i)
      PyTuple_SET_ITEM(gathered.ptr(), i, Py_NewRef(args[spread.first + i]));
    slots[spread.first] = gathered.ptr();
  }
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); ++i) {
    PyObject*& slot = slots[find_param(op, PyTuple_GET_ITEM(names, i))];
    if (slot)
      fail<TypeError>(op.name, ": got ", py::cast<std::string>(py::handle(PyTuple_GET_ITEM(names, i))), " twice");
    slot = args[given + i];
  }
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const Param& p = op.params[i];
    if (!slots[i] && !p.fallback) fail<TypeError>(op.name, ": needs ", p.name, "; it takes ", signature(op, false));
    convert(op, p, slots[i] ? slots[i] : fallback_value(p), out[i]);
  }
  convert_tensors(op, slots, out);
  return true;
}

std::string signature(const Op& op, bool stub) {
  static constexpr const char* types[] = {"ArrayLike",
                                          "ArrayLike | None",
                                          "Sequence[ArrayLike]",
                                          "ArrayLike",
                                          "int",
                                          "int | None",
                                          "Ints",
                                          "int | Sequence[int] | None",
                                          "builtins.bool",
                                          "float",
                                          "DTypeLike",
                                          "str",
                                          "str | None",
                                          "Any"};
  static_assert(std::size(types) == static_cast<std::size_t>(Kind::object) + 1);
  std::string text = "(";
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const Param& p = op.params[i];
    text += str(i ? ", " : "", i == positional_params(op) ? "*, " : "", p.name);
    if (stub) text += str(": ", types[static_cast<int>(p.kind)]);
    const bool none = p.fallback && std::strcmp(p.fallback, "None") == 0;
    if (stub && none && (p.kind == Kind::dtype || p.kind == Kind::flag)) text += " | None";
    if (p.fallback) text += str(stub ? " = " : "=", p.fallback);
  }
  return text + ")";
}

}  // namespace steep
