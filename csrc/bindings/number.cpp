// Operators: +, -, *, @, comparisons and in-place writes, as CPython number slots. The other operand may be a Python
// scalar, which takes the tensor's dtype, or an array.
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "bindings/python.h"
#include "graph/recorder.h"
#include "ops/functions.h"

namespace steep {
namespace {

using K = k::Kernel;

// Python's floats as tensors. Loops write the same few numbers again and again, and a graph keeps each of them: equal
// ones share a tensor, unless a rule of the user's wrote to it. Guarded by the interpreter's lock, and never freed.
Tensor shared_float(double value, DType dtype) {
  struct Known {
    std::uint64_t bits = 0;
    DType dtype = Bool;
    TensorImpl* tensor = nullptr;
    char written[8] = {};
  };
  static Known known[16];
  const auto bits = std::bit_cast<std::uint64_t>(value);
  Known& k = known[(bits * 0x9e3779b97f4a7c15u >> 60) ^ static_cast<std::uint64_t>(dtype & 15)];
  const auto size = static_cast<std::size_t>(size_of(dtype));
  if (k.tensor && k.bits == bits && k.dtype == dtype && !std::memcmp(k.tensor->storage->data, k.written, size))
    return Tensor::share(k.tensor);
  const Tensor before(std::exchange(k.tensor, scalar(value, dtype).release()));
  k.bits = bits, k.dtype = dtype;
  std::memcpy(k.written, k.tensor->storage->data, size);
  return Tensor::share(k.tensor);
}

// Whether `o` can be the other operand of an operator; if not, Python tries the other type.
bool operand(PyObject* o, DType beside, Tensor& out) {
  if (is_tensor(o)) return out = borrow(o), true;
  // A recording tells its constants from others' tensors by their age.
  if (PyFloat_CheckExact(o) && is_float(beside) && !is_recording())
    return out = shared_float(PyFloat_AS_DOUBLE(o), beside), true;
  if (is_scalar(o)) return out = from_scalar(o, beside), true;
  if (!PyObject_CheckBuffer(o) && !PyList_Check(o) && !PyObject_HasAttrString(o, "__array__")) return false;
  return out = to_tensor(o, beside), true;
}

template <class F> PyObject* two(PyObject* a, PyObject* b, F&& f) {
  return guarded([&]() -> PyObject* {
    if (is_tensor(a) && is_tensor(b)) {
      const Tensor in[] = {borrow(a), borrow(b)};
      return wrap(f(in));
    }
    Tensor in[2];
    const DType beside = is_tensor(a) ? borrow(a).dtype() : borrow(b).dtype();
    if (!operand(a, beside, in[0]) || !operand(b, beside, in[1])) return Py_NewRef(Py_NotImplemented);
    return wrap(f(in));
  });
}
template <K kernel> PyObject* infix(PyObject* a, PyObject* b) {
  return two(a, b, [](const Tensor* in) { return binary(kernel, in); });
}
PyObject* infix_matmul(PyObject* a, PyObject* b) {
  return two(a, b, [](const Tensor* in) { return matmul(in[0], in[1]); });
}
template <K kernel> PyObject* prefix(PyObject* a) {
  return guarded([&] { return wrap(unary(kernel, borrow(a))); });
}
PyObject* positive(PyObject* a) { return Py_NewRef(a); }
PyObject* invert(PyObject* a) {
  return guarded([&] {
    const Tensor t = borrow(a);
    return wrap(t.dtype() == Bool ? logical_not(t) : binary(K::bitwise_xor, t, full_int({}, -1, t.dtype())));
  });
}
// x ** 2 is the square, whose derivative is not a power.
PyObject* power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) return PyErr_SetString(PyExc_TypeError, "pow: a third argument is not supported"), nullptr;
  if (is_tensor(a) && is_scalar(b) && !PyBool_Check(b) && borrow(a).dtype() != Bool &&
      (PyLong_Check(b) || is_float(borrow(a).dtype())) && PyFloat_AsDouble(b) == 2)
    return prefix<K::square>(a);
  PyErr_Clear();
  return infix<K::pow>(a, b);
}
PyObject* divide_modulo(PyObject* a, PyObject* b) {
  PyObject* q = infix<K::floor_divide>(a, b);
  PyObject* r = q ? infix<K::remainder>(a, b) : nullptr;
  return r ? Py_BuildValue("(NN)", q, r) : (Py_XDECREF(q), nullptr);
}

template <K kernel> PyObject* in_place(PyObject* a, PyObject* b) {
  static constexpr const char* names[] = {"+=", "-=", "*=", "/=", "//=", "%=", "**="};
  constexpr int at = kernel == K::add            ? 0
                     : kernel == K::subtract     ? 1
                     : kernel == K::multiply     ? 2
                     : kernel == K::divide       ? 3
                     : kernel == K::floor_divide ? 4
                     : kernel == K::remainder    ? 5
                                                 : 6;
  return guarded([&]() -> PyObject* {
    const Tensor x = borrow(a);
    Tensor y;
    if (!operand(b, x.dtype(), y)) return Py_NewRef(Py_NotImplemented);
    update_in_place(names[at], kernel, x, y);
    return Py_NewRef(a);
  });
}
PyObject* in_place_power(PyObject* a, PyObject* b, PyObject*) { return in_place<K::pow>(a, b); }

int truth(PyObject* a) {
  return guarded_int([&] {
    const Tensor t = borrow(a);
    if (t.size() != 1)
      fail<ValueError>("bool: the truth of ", t, " is ambiguous; use .any(), .all(), or compare one element");
    host_read(t, "bool");
    return item(t) != 0;
  });
}
PyObject* as_float(PyObject* a) {
  return guarded([&] {
    const Tensor t = borrow(a);
    host_read(t, "float");
    return PyFloat_FromDouble(item(t));
  });
}
PyObject* as_int(PyObject* a) {
  return guarded([&]() -> PyObject* {
    const Tensor t = borrow(a);
    host_read(t, "int");
    return is_float(t.dtype()) ? PyLong_FromDouble(item(t)) : PyLong_FromLongLong(item_int(t));
  });
}
PyObject* as_index(PyObject* a) {
  return guarded([&] {
    const Tensor t = borrow(a);
    if (!is_integer(t.dtype()) || t.ndim() != 0)
      fail<TypeError>("index: only a 0-d integer tensor is an index, and this is ", t);
    host_read(t, "index");
    return PyLong_FromLongLong(item_int(t));
  });
}

}  // namespace

PyObject* rich_compare(PyObject* a, PyObject* b, int op) {
  switch (op) {
    case Py_LT: return infix<K::less>(a, b);
    case Py_LE: return infix<K::less_equal>(a, b);
    case Py_EQ: return infix<K::equal>(a, b);
    case Py_NE: return infix<K::not_equal>(a, b);
    case Py_GT: return infix<K::greater>(a, b);
    default: return infix<K::greater_equal>(a, b);
  }
}

PyNumberMethods number_methods = {
    .nb_add = infix<K::add>,
    .nb_subtract = infix<K::subtract>,
    .nb_multiply = infix<K::multiply>,
    .nb_remainder = infix<K::remainder>,
    .nb_divmod = divide_modulo,
    .nb_power = power,
    .nb_negative = prefix<K::negative>,
    .nb_positive = positive,
    .nb_absolute = prefix<K::abs>,
    .nb_bool = truth,
    .nb_invert = invert,
    .nb_lshift = infix<K::left_shift>,
    .nb_rshift = infix<K::right_shift>,
    .nb_and = infix<K::bitwise_and>,
    .nb_xor = infix<K::bitwise_xor>,
    .nb_or = infix<K::bitwise_or>,
    .nb_int = as_int,
    .nb_float = as_float,
    .nb_inplace_add = in_place<K::add>,
    .nb_inplace_subtract = in_place<K::subtract>,
    .nb_inplace_multiply = in_place<K::multiply>,
    .nb_inplace_remainder = in_place<K::remainder>,
    .nb_inplace_power = in_place_power,
    .nb_floor_divide = infix<K::floor_divide>,
    .nb_true_divide = infix<K::divide>,
    .nb_inplace_floor_divide = in_place<K::floor_divide>,
    .nb_inplace_true_divide = in_place<K::divide>,
    .nb_index = as_index,
    .nb_matrix_multiply = infix_matmul,
};

}  // namespace steep
