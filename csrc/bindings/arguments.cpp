// Arguments by schema: positional and named arguments are matched to an op's parameters and converted by kind.
// Defaults are Python text, parsed the same way once. Errors name the op, the parameter and what was given.
#include <pybind11/eval.h>

#include <cstring>
#include <map>

#include "bindings/python.h"

namespace steep {
namespace {

[[noreturn]] void refuse(const Op& op, const Param& p, const char* wanted, PyObject* got) {
  fail<TypeError>(op.name, ": ", p.name, " must be ", wanted, ", and got ", Py_TYPE(got)->tp_name);
}

std::int64_t whole(const Op& op, const Param& p, PyObject* o) {
  if (PyFloat_Check(o) || !PyIndex_Check(o)) refuse(op, p, "a whole number", o);
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(o));
  if (!index) throw_python_error();
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow) fail<ValueError>(op.name, ": ", p.name, " does not fit in 64 bits");
  return v;
}

// Lists may hold themselves.
struct RecursionGuard {
  RecursionGuard() {
    if (Py_EnterRecursiveCall(" in nested numbers")) throw_python_error();
  }
  ~RecursionGuard() { Py_LeaveRecursiveCall(); }
  RecursionGuard(const RecursionGuard&) = delete;
  RecursionGuard& operator=(const RecursionGuard&) = delete;
};

// One whole number; tensors and arrays of more dimensions pass for an index too, and are lists of them.
bool is_one_number(PyObject* o) {
  return is_tensor(o) ? borrow(o).ndim() == 0 : PyIndex_Check(o) && !PyObject_HasAttrString(o, "__len__");
}

// A number, or numbers nested in any way, in order.
void flatten_ints(const Op& op, const Param& p, PyObject* o, std::vector<std::int64_t>& out) {
  if (is_one_number(o)) return out.push_back(whole(op, p, o));
  if (PyUnicode_Check(o) || !PySequence_Check(o)) refuse(op, p, "a whole number or a sequence of them", o);
  const RecursionGuard deeper;
  for (py::handle each : py::reinterpret_borrow<py::object>(o)) flatten_ints(op, p, each.ptr(), out);
}

double number(const Op& op, const Param& p, PyObject* o) {
  const double v = PyFloat_AsDouble(o);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    refuse(op, p, "a number", o);
  }
  return v;
}

void convert(const Op& op, const Param& p, PyObject* o, Arg& a) {
  a.given = o != Py_None;
  switch (p.kind) {
    case Kind::index:
    case Kind::tensor: a.tensor = to_tensor(o); return;
    case Kind::optional_tensor:
      if (a.given) a.tensor = to_tensor(o);
      return;
    case Kind::tensors:
      if (is_tensor(o) || !(Py_TYPE(o)->tp_iter || PySequence_Check(o))) refuse(op, p, "a sequence of tensors", o);
      for (py::handle each : py::reinterpret_borrow<py::object>(o)) a.tensors.push_back(to_tensor(each.ptr()));
      return;
    case Kind::optional_integer:
      if (!a.given) return;
      [[fallthrough]];
    case Kind::integer: a.integer = whole(op, p, o); return;
    case Kind::axes:
      if (!a.given) return;
      [[fallthrough]];
    case Kind::ints:
      a.bare = is_one_number(o);
      flatten_ints(op, p, o, a.ints);
      return;
    case Kind::flag:
      a.integer = PyObject_IsTrue(o);
      if (a.integer < 0) throw_python_error();
      return;
    case Kind::real: a.real = number(op, p, o); return;
    case Kind::dtype:
      if (a.given) a.integer = parse_dtype(o);
      return;
    case Kind::text:
      if (!PyUnicode_Check(o)) refuse(op, p, "a string", o);
      a.text = py::cast<std::string>(py::handle(o));
  }
}

// The value of a default's text, kept for the next call.
PyObject* fallback_value(const Param& p) {
  static auto& cache = *new std::map<std::string, py::object>;
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

// x.reshape(2, 3) for x.reshape((2, 3)), einsum(text, a, b) for einsum(text, (a, b)): a second and last parameter that
// is a sequence takes all that is left.
bool spreads(const Op& op, PyObject* const* args, Py_ssize_t given) {
  if (op.params.size() != 2 || given < 2) return false;
  if (op.params[1].kind == Kind::ints) return given > 2 && PyIndex_Check(args[1]);
  return op.params[1].kind == Kind::tensors && !PyList_Check(args[1]) && !PyTuple_Check(args[1]);
}

// Python scalars among the tensors take the dtype of the tensors beside them, as operators have it.
void match_scalars(const Op& op, PyObject* const* slots, Args& out) {
  DType beside = Bool;
  bool found = false;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (slots[i] && out[i].tensor && !is_scalar(slots[i]))
      beside = promote(beside, out[i].tensor.dtype()), found = true;
  for (std::size_t i = 0; found && i < out.size(); ++i)
    if (slots[i] && out[i].tensor && is_scalar(slots[i]) && op.params[i].kind != Kind::index)
      out[i].tensor = from_scalar(slots[i], beside);
}

}  // namespace

bool parse_arguments(const Op& op, PyObject* const* args, Py_ssize_t given, PyObject* names, Args& out) {
  constexpr std::size_t most = 16;
  PyObject* slots[most] = {};
  py::object spread;
  Py_ssize_t positional = given;
  if (spreads(op, args, given)) {
    spread = py::tuple(given - 1);
    for (Py_ssize_t i = 1; i < given; ++i) PyTuple_SET_ITEM(spread.ptr(), i - 1, Py_NewRef(args[i]));
    slots[1] = spread.ptr();
    positional = 1;
  }
  if (static_cast<std::size_t>(positional) > op.params.size())
    fail<TypeError>(op.name, ": takes at most ", op.params.size(), " arguments, and got ", given, "; it takes ",
                    signature(op, false));
  for (Py_ssize_t i = 0; i < positional; ++i) slots[i] = args[i];
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
  match_scalars(op, slots, out);
  return true;
}

std::string signature(const Op& op, bool stub) {
  static constexpr const char* types[] = {
      "ArrayLike", "ArrayLike | None",           "Sequence[ArrayLike]", "ArrayLike", "int",       "int | None",
      "Ints",      "int | Sequence[int] | None", "builtins.bool",       "float",     "DTypeLike", "str"};
  std::string text = "(";
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const Param& p = op.params[i];
    text += str(i ? ", " : "", p.name);
    if (stub) text += str(": ", types[static_cast<int>(p.kind)]);
    if (stub && p.kind == Kind::dtype && p.fallback) text += " | None";
    if (p.fallback) text += str(stub ? " = " : "=", p.fallback);
  }
  return text + ")";
}

}  // namespace steep
