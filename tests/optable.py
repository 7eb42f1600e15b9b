"""THE op table of tests: every op of the core's registry, hidden ones included, and Python's operators, as data.

A row says what NumPy would answer (a reference that never calls steep), calls to try, and what to expect of dtypes,
derivatives and accuracy. tests/ops/test_ops.py derives its checks from these rows, and the fuzzer its calls. A
registered op without a row fails a test. Operands are written A(shape, values): `values` names a row of VALUES. Start
at ROWS.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import references as ref
import steep as sp

FLOATS, INTS = ("float32", "float64"), ("uint8", "int32", "int64")
NUMBERS, ALL = INTS + FLOATS, ("bool",) + INTS + FLOATS

# Where operands come from: (random generator, shape) -> float64 values, cast to the dtype under test.
VALUES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "any": lambda r, s: r.uniform(-2, 2, s),
    "positive": lambda r, s: r.uniform(0.5, 3, s),
    "nonzero": lambda r, s: r.uniform(0.5, 2, s) * r.choice([-1, 1], s),
    "unit": lambda r, s: r.uniform(-0.8, 0.8, s),
    "above_one": lambda r, s: r.uniform(1.3, 4, s),
    "off_integer": lambda r, s: r.integers(-3, 3, s) + r.uniform(0.2, 0.8, s),
    "off_half": lambda r, s: r.integers(-3, 3, s) + r.uniform(0.6, 1.4, s),
    "distinct": lambda r, s: r.permutation(math.prod(s)).reshape(s) * 0.37 - 1,
    "whole": lambda r, s: r.integers(0, 5, s).astype(float),
    "small": lambda r, s: r.integers(0, 4, s).astype(float),
    "factors": lambda r, s: r.integers(1, 3, s).astype(float),
    "ties": lambda r, s: r.integers(0, 2, s).astype(float),
    "grid": lambda r, s: r.uniform(-1.4, 1.4, s),
    "tied_nan": lambda r, s: np.where(r.random(s) < 0.3, np.nan, r.integers(0, 3, s)),
}


@dataclass(frozen=True)
class A:
    """An operand; `dtype` fixes its dtype whatever the dtype under test (indices, masks)."""

    shape: tuple[int, ...]
    values: str = ""
    dtype: str | None = None
    high: int = 0  # of indices: drawn from [-high, high)


def ints(shape: tuple[int, ...], high: int) -> A:
    return A(shape, "index", "int64", high)


def labels(shape: tuple[int, ...], high: int) -> A:
    """Indices, none of them negative."""
    return A(shape, "label", "int64", high)


def mask(*shape: int) -> A:
    return A(shape, "ties", "bool")


@dataclass(frozen=True)
class Case:
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    grad: bool = True  # differentiable at these operands
    dtypes: tuple[str, ...] | None = None


def C(*args: Any, grad: bool = True, dtypes: tuple[str, ...] | None = None, **kwargs: Any) -> Case:
    return Case(args, kwargs, grad, dtypes)


@dataclass(frozen=True)
class Row:
    name: str
    reference: Callable[..., Any]
    cases: tuple[Case, ...]
    dtypes: tuple[str, ...] = FLOATS
    values: str = "any"
    differentiable: bool = True
    out: str = "same"  # result dtype: same (of the first operand), float, sum, or the dtype's name
    exact: bool = False  # bit for bit
    rtol: tuple[float, float] = (2e-6, 1e-14)  # float32, float64; scaled by the largest operand of a sum
    atol: tuple[float, float] = (2e-7, 1e-15)
    elementwise: bool = False
    specials: bool = True  # NumPy agrees at NaN, inf, huge and tiny values
    big: tuple[Case, ...] = ()  # large enough for threads
    call: Callable[..., Any] | None = None
    grad_rtol: float | None = None

    @property
    def function(self) -> Callable[..., Any]:
        return self.call or getattr(sp, self.name)


def draw(a: A, row: Row, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """The NumPy operand that `a` stands for."""
    if a.values in ("index", "label"):
        return rng.integers(0 if a.values == "label" else -a.high, a.high, a.shape).astype("int64")
    values = VALUES[a.values or row.values](rng, a.shape)
    kind = a.dtype or dtype
    if kind == "uint8":
        values = np.abs(values) % 7
    if kind == "bool":
        return np.asarray(values > np.mean(values) if values.size else values, dtype=bool)
    return np.asarray(values).astype(kind)


def operands(case: Case, row: Row, dtype: str, seed: int = 0) -> tuple[Any, ...]:
    """The arguments of a case with arrays in place of A(...), in lists too."""
    rng = np.random.default_rng([seed, len(row.name), sum(map(ord, row.name))])

    def fill(v: Any) -> Any:
        if isinstance(v, A):
            return draw(v, row, dtype, rng)
        return [fill(each) for each in v] if isinstance(v, list) else v

    return tuple(fill(v) for v in case.args)


def expected_dtype(row: Row, dtype: str) -> str:
    if row.out == "float":
        return dtype if dtype in FLOATS else "float32"
    if row.out == "sum":
        return dtype if dtype in FLOATS else "int64"
    return dtype if row.out == "same" else row.out


def hidden(name: str, attrs: Callable[..., dict[str, Any]] = lambda *a: {}) -> Callable[..., Any]:
    """Calls a row that is not exported: tensors first, then what becomes its attributes, by name."""

    def call(*args: Any) -> Any:
        tensors = [sp.asarray(a) for a in args if isinstance(a, sp.Tensor | np.ndarray)]
        return sp._core._call_hidden(name, tensors, **attrs(*args))

    return call


# ---- shapes that most rows share ----

M, CUBE = A((3, 4)), A((2, 3, 4))


def gradient_of(name: str) -> Callable[..., Any]:
    """The op (g, y, x) behind the gradient of ``name``, as a function of g and x."""

    def call(g: Any, x: Any) -> Any:
        x = sp.asarray(x)
        return sp._core._call_hidden(f"{name}_gradient", [sp.asarray(g), getattr(sp, name)(x), x])

    return call


SAME = (C(A((3, 5)), A((3, 5))), C(A(()), A(())), C(A((0, 2)), A((0, 2))), C(A((33,)), A((33,))))
UNARY = (C(A((3, 5))), C(A(())), C(A((0, 2))), C(A((1,))), C(A((33,))))
PAIRS = (
    C(A((3, 4)), A((3, 4))), C(A((3, 4)), A((4,))), C(A((3, 1)), A((1, 4))), C(A(()), A((2, 3))), C(A((19,)), A(())),
    C(A((0, 4)), A((4,))), C(A((2, 1, 3)), A((5, 1))),
)  # fmt: skip
AXES = (
    C(CUBE), C(CUBE, axis=0), C(CUBE, axis=-1), C(CUBE, axis=1, keepdims=True), C(CUBE, axis=(0, 2)),
    C(CUBE, axis=(0, 1), keepdims=True), C(A(())), C(A((1, 1)), axis=0), C(A((37,)), keepdims=True),
    C(CUBE, axis=()),
)  # fmt: skip
EMPTY_AXES = (C(A((0,))), C(A((3, 0)), axis=1), C(A((0, 3)), axis=1, keepdims=True), C(A((2, 0, 3)), axis=(0, 2)))
ONE_AXIS = (C(CUBE), C(CUBE, axis=0), C(CUBE, axis=1), C(A((7,))), C(A((2, 1))))
BIG_MAPS = (C(A((300, 701))), C(A((300, 701)), axis=0))
BIG_AXES = (C(A((300, 701))), C(A((300, 701)), axis=0), C(A((300, 701)), axis=1), C(A((64, 100, 33)), axis=(0, 2)))


def f(name: str, reference: Any, values: str = "any", **more: Any) -> Row:
    """A float function of one operand; integers are taken as float32."""
    defaults = {"cases": UNARY, "dtypes": ALL, "out": "float", "elementwise": True}
    return Row(name, reference, values=values, **{**defaults, **more})


def step(name: str, reference: Any, values: str = "off_integer", **more: Any) -> Row:
    return Row(
        name, reference, UNARY, **{"dtypes": NUMBERS, "exact": True, "elementwise": True, "values": values, **more}
    )


def pair(name: str, reference: Any, values: str = "any", **more: Any) -> Row:
    return Row(name, reference, PAIRS, **{"dtypes": NUMBERS, "values": values, "elementwise": True, **more})


def compare(name: str, reference: Any, **more: Any) -> Row:
    return pair(
        name, reference, "ties", **{"dtypes": ALL, "out": "bool", "differentiable": False, "exact": True, **more}
    )


def bits(name: str, reference: Any, **more: Any) -> Row:
    return pair(name, reference, "small", dtypes=INTS, differentiable=False, exact=True, **more)


def view(name: str, reference: Any, *cases: Case, **more: Any) -> Row:
    return Row(name, reference, cases, **{"dtypes": ALL, "exact": True, **more})


def reduction(name: str, reference: Any, cases: tuple[Case, ...] = AXES + EMPTY_AXES, **more: Any) -> Row:
    return Row(name, reference, cases, **{"dtypes": NUMBERS, "big": BIG_AXES, **more})


FLOAT_ROWS = (
    f("exp", np.exp), f("expm1", np.expm1), f("log", np.log, "positive"), f("log1p", np.log1p, "unit"),
    f("log2", np.log2, "positive"), f("log10", np.log10, "positive"), f("sqrt", np.sqrt, "positive"),
    f("rsqrt", lambda x: 1 / np.sqrt(x), "positive"), f("reciprocal", lambda x: 1 / x, "nonzero"),
    # sin and cos of huge arguments: NumPy reduces them exactly, steep's stated range ends at 1e5 in float32
    f("sin", np.sin, specials=False), f("cos", np.cos, specials=False), f("tan", np.tan, "unit", specials=False),
    f("asin", np.arcsin, "unit"), f("acos", np.arccos, "unit"), f("atan", np.arctan), f("sinh", np.sinh),
    f("cosh", np.cosh), f("asinh", np.arcsinh), f("acosh", np.arccosh, "above_one"), f("atanh", np.arctanh, "unit"),
    f("tanh", np.tanh), f("sigmoid", ref.logistic), f("erf", ref.each(ref.erf)), f("erfc", ref.each(ref.erfc)),
    f("softplus",
        lambda x: np.logaddexp(x, 0)),
    f("gelu", ref.gelu), f("silu", ref.silu), f("relu", lambda x: np.maximum(x, 0), "nonzero"),
    f("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    f("hardswish", lambda x: np.where(x <= -3, 0, x * np.clip(x / 6 + 0.5, 0, 1))),
    f("leaky_relu", lambda x, negative_slope=0.01: np.where(x > 0, x, x * negative_slope), "nonzero",
      cases=(*UNARY, C(M, 0.3), C(M, negative_slope=-0.5))),
    f("elu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), "nonzero",
      cases=(*UNARY, C(M, 0.3), C(M, alpha=2))),
)  # fmt: skip

NUMBER_ROWS = (
    step("negative", np.negative, "any"), step("square", np.square, "any"), step("abs", np.abs, "nonzero"),
    step("sign", np.sign, "nonzero"), step("floor", np.floor), step("ceil", np.ceil),
    step("round", np.round, "off_half"), step("trunc", np.trunc),
    view("astype", lambda x, dtype: x.astype(dtype), C(M, "float64"), C(M, dtype="float32", grad=False),
         C(CUBE, "float32", grad=False), out="any"),
    view("astype", lambda x, dtype: x.astype(dtype), C(A((3, 4), "whole"), "int32"), C(M, "bool"), C(A((9,),
        "whole"), "uint8"),
         C(A((0,)), "int64"), differentiable=False, out="any"),
)  # fmt: skip
PAIR_ROWS = (
    pair("add", np.add, dtypes=ALL), pair("subtract", np.subtract), pair("multiply", np.multiply, dtypes=ALL),
    pair("divide", np.divide, "nonzero", dtypes=FLOATS), pair("pow", np.power, "factors"),
    Row("pow", np.power, (C(A((3, 4), "positive"), A((4,))), C(A((4,), "any"), A((4,), "factors", "int64"))),
        specials=False),
    pair("minimum", np.minimum), pair("maximum", np.maximum),
    Row("floor_divide", np.floor_divide, (C(A((3, 4), "off_integer"), A((4,), "factors")), C(A((5,),
        "off_integer"), A((), "factors"))),
        dtypes=NUMBERS, exact=True, specials=False),
    Row("remainder", np.remainder, (C(A((3, 4), "off_integer"), A((4,), "factors")), C(A((5,), "off_integer"),
        A((), "factors"))),
        dtypes=NUMBERS, specials=False),
    Row("remainder", np.remainder, (C(A((30,), "any"), A((30,), "nonzero"), grad=False),), dtypes=FLOATS),
    pair("atan2", np.arctan2, "nonzero", dtypes=FLOATS), pair("logaddexp", np.logaddexp, dtypes=FLOATS),
    pair("hypot", np.hypot, "nonzero", dtypes=FLOATS), pair("copysign", np.copysign, "nonzero", dtypes=FLOATS),
    pair("nextafter", np.nextafter, dtypes=("float64",), differentiable=False, exact=True, specials=False),
)  # fmt: skip

BIT_ROWS = (
    bits("bitwise_and", np.bitwise_and), bits("bitwise_or", np.bitwise_or), bits("bitwise_xor", np.bitwise_xor),
    bits("bitwise_left_shift", np.left_shift), bits("bitwise_right_shift", np.right_shift),
    view("bitwise_invert", np.invert, *UNARY, dtypes=("bool",) + INTS, differentiable=False),
)  # fmt: skip

BOOL_ROWS = (
    compare("equal", np.equal), compare("not_equal", np.not_equal), compare("less", np.less),
    compare("less_equal", np.less_equal), compare("greater", np.greater), compare("greater_equal", np.greater_equal),
    compare("logical_and", np.logical_and), compare("logical_or", np.logical_or),
    compare("logical_xor", np.logical_xor), step("logical_not", np.logical_not, "ties", out="bool", dtypes=ALL,
        differentiable=False),
    step("isnan", np.isnan, out="bool", dtypes=ALL, differentiable=False),
    step("signbit", np.signbit, out="bool", dtypes=FLOATS, differentiable=False),
    step("isinf", np.isinf, out="bool", dtypes=ALL, differentiable=False),
    step("isfinite", np.isfinite, out="bool", dtypes=ALL, differentiable=False),
)  # fmt: skip

BOUNDS = (C(A((3, 4), "distinct"), A((4,), "ties")), C(A((3, 4), "distinct"), A((), "ties")))
OTHER_ROWS = (
    view("where", np.where, C(mask(3, 4), M, A((4,))), C(mask(4), A((3, 1)), A(())), C(mask(), M, M), C(mask(0,
        2), A((2,)), A((1, 2)))),
    view("clip", np.clip, C(A((3, 4), "distinct"), 0, 1), C(A((3, 4), "distinct"), A((4,), "ties"), None),
         C(A((9,), "distinct"), None, 1), C(A((9,), "distinct"), min=0), dtypes=NUMBERS),
    Row("mul_zero", np.multiply, PAIRS, FLOATS, "nonzero", call=hidden("mul_zero")),
    Row("mul_zero_either", np.multiply, PAIRS, FLOATS, "nonzero", call=hidden("mul_zero_either")),
    Row("clip_low", np.maximum, BOUNDS, NUMBERS, "distinct", exact=True, call=hidden("clip_low")),
    Row("clip_high", np.minimum, BOUNDS, NUMBERS, "distinct", exact=True, call=hidden("clip_high")),
    Row("tanh_gradient", lambda g, x: g / np.cosh(x) ** 2, SAME, FLOATS, call=gradient_of("tanh"), specials=False),
    Row("sigmoid_gradient", lambda g, x: g / (2 * np.cosh(x / 2)) ** 2, SAME, FLOATS, call=gradient_of("sigmoid"),
        specials=False),
)  # fmt: skip

sums = {"out": "sum", "atol": (1e-6, 2e-15)}
REDUCE_ROWS = (
    reduction("sum", lambda x, **k: np.sum(x, **k), dtypes=ALL, **sums),
    reduction("prod", lambda x, **k: np.prod(x, **k), dtypes=ALL, values="nonzero", rtol=(3e-6, 3e-14), **sums),
    reduction("prod", lambda x, **k: np.prod(x, **k), (C(A((3, 5), "small"), axis=1), C(A((2, 6), "ties"),
        axis=0)), **sums),
    reduction("max", np.max, AXES, values="distinct", exact=True),
    reduction("min", np.min, AXES, values="distinct", exact=True),
    reduction("argmax", np.argmax, (C(CUBE), *ONE_AXIS[1:], C(A((3, 4)), axis=1, keepdims=True), C(A((50,),
        "ties"))), out="int64",
              exact=True, differentiable=False, big=BIG_MAPS),
    reduction("argmin", np.argmin, (C(CUBE), *ONE_AXIS[1:], C(A((3, 4)), axis=1, keepdims=True), C(A((50,),
        "ties"))), out="int64",
              exact=True, differentiable=False, big=BIG_MAPS),
    reduction("any", np.any, values="ties", dtypes=ALL, out="bool", exact=True, differentiable=False),
    reduction("all", np.all, values="ties", dtypes=ALL, out="bool", exact=True, differentiable=False),
    reduction("mean", np.mean, AXES, dtypes=ALL, out="float", atol=(1e-6, 2e-15)),
    reduction("var", lambda x, axis=None, correction=0, keepdims=False: np.var(x, axis=axis, ddof=correction,
        keepdims=keepdims),
              (*AXES[:6], C(CUBE, axis=1, correction=1), C(CUBE, correction=1.0)), out="float", rtol=(4e-6, 4e-14)),
    reduction("std", lambda x, axis=None, correction=0, keepdims=False: np.std(x, axis=axis, ddof=correction,
        keepdims=keepdims),
              (*AXES[:6], C(CUBE, axis=1, correction=1), C(CUBE, correction=1.0)), out="float", rtol=(4e-6, 4e-14)),
    reduction("logsumexp", ref.logsumexp, AXES, out="float", atol=(1e-6, 2e-15)),
    reduction("norm", ref.norm, (*AXES[:7], C(CUBE, 1.0), C(CUBE, 3, 0), C(CUBE, 1.5, (0, 1)), C(CUBE,
        ord=np.inf), C(CUBE, -np.inf, 1),
              C(CUBE, 0)), values="distinct", out="float", rtol=(4e-6, 3e-14), big=(C(A((300, 701))), C(A((300,
              701)), 3.0, 1))),
    Row("euclidean_norm", lambda x, *_: ref.norm(x, axis=-1), (C(CUBE, 0),), values="distinct", rtol=(4e-6, 3e-14),
        call=hidden("euclidean_norm", lambda x, keep: {"axes": (x.ndim - 1,), "keepdims": keep})),
    reduction("count_nonzero", lambda x, **k: np.asarray(np.count_nonzero(x, **k)), values="ties", dtypes=ALL,
        out="int64",
              differentiable=False, exact=True),
)  # fmt: skip

COLUMNS = (C(CUBE), C(A((3, 70, 5))), C(A((2, 3, 0))))
MAP_ROWS = (
    Row("cumsum", lambda x, axis=-1: np.cumsum(x, axis=axis), ONE_AXIS, ALL, big=BIG_MAPS, **sums),
    Row("cumprod", lambda x, axis=-1: np.cumprod(x, axis=axis), ONE_AXIS, ALL, big=(C(A((900, 33))),),
        rtol=(3e-6, 3e-14), **sums),
    Row("cumprod", lambda x, axis=-1: np.cumprod(x, axis=axis), (C(A((3, 6), "small")),), NUMBERS, **sums),
    Row("softmax", ref.softmax, (*ONE_AXIS, C(A(()))), ALL, out="float", big=BIG_MAPS, rtol=(4e-6, 1e-14)),
    Row("log_softmax", ref.log_softmax, (*ONE_AXIS, C(A(()))), ALL, out="float", big=BIG_MAPS, rtol=(4e-6,
        1e-14), atol=(1e-6, 4e-15)),
    Row("cumsum_last", lambda x: np.cumsum(x, -1), (C(CUBE),), call=hidden("cumsum_last"), **sums),
    Row("recurrence_last", ref.recurrence, (C(CUBE, CUBE), C(A((5,)), A((5,))), C(A((0, 3)), A((0, 3))),
        C(A((2, 0)), A((2, 0))), C(A((3, 1)), A((3, 1)))), specials=False,
        call=hidden("recurrence_last")),
    Row("cumprod_last", lambda x: np.cumprod(x, -1), (C(CUBE),), call=hidden("cumprod_last"), **sums),
    Row("softmax_last", ref.softmax, (C(CUBE),), call=hidden("softmax_last")),
    Row("log_softmax_last", ref.log_softmax, (C(CUBE),), call=hidden("log_softmax_last"), atol=(1e-6, 4e-15)),
    Row("softmax_columns", lambda x: ref.softmax(x, -2), COLUMNS, call=hidden("softmax_columns"), rtol=(4e-6, 1e-14)),
    Row("log_softmax_columns", lambda x: ref.log_softmax(x, -2), COLUMNS,
        call=hidden("log_softmax_columns"), rtol=(4e-6, 1e-14), atol=(1e-6, 4e-15)),
    Row("softmax_gradient_last", lambda g, y: ref.softmax_gradient(g, y, -1), (C(CUBE, CUBE), C(A((0, 3)), A((0, 3)))),
        call=hidden("softmax_gradient_last"), atol=(1e-6, 4e-15), specials=False),
    Row("softmax_gradient_columns", lambda g, y: ref.softmax_gradient(g, y, -2), (C(CUBE, CUBE), C(A((3, 70, 5)),
        A((3, 70, 5)))), call=hidden("softmax_gradient_columns"), atol=(1e-5, 2e-14), specials=False),
)  # fmt: skip

VIEW_ROWS = (
    view("reshape", np.reshape, C(CUBE, (6, 4)), C(CUBE, (-1,)), C(A((6,)), (2, -1, 1)), C(A(()), (1, 1)),
        C(A((0, 3)), (3, 0)),
         C(A((1,)), ())),
    view("permute_dims", np.transpose, C(CUBE, (2, 0, 1)), C(CUBE, (-1, 1, 0)), C(A(()), ())),
    view("broadcast_to", np.broadcast_to, C(A((3, 1)), (2, 3, 4)), C(A(()), (2, 2)), C(A((1,)), (0,)), C(M, (3, 4))),
    view("squeeze", np.squeeze, C(A((1, 3, 1))), C(A((1, 3, 1)), axis=0), C(A((1, 3, 1)), axis=(0, -1)), C(M)),
    view("expand_dims", np.expand_dims, C(M, 0), C(M, -1), C(M, (0, 2)), C(A(()), 0)),
    view("moveaxis", np.moveaxis, C(CUBE, 0, -1), C(CUBE, 2, 0), C(CUBE, -2, 1)),
    view("swapaxes", np.swapaxes, C(CUBE, 0, 2), C(CUBE, -1, 1)),
    view("matrix_transpose", lambda x: np.swapaxes(x, -1, -2), C(CUBE), C(M), C(A((0, 2)))),
    view("flip", np.flip, C(CUBE), C(CUBE, 1), C(CUBE, axis=(0, 2)), C(A((0,))), C(A(()))),
    view("flatten", lambda x, start_axis=0: x.reshape(*x.shape[:start_axis], -1), C(CUBE), C(CUBE, 1), C(CUBE,
        start_axis=2), C(A(()))),
    Row("copy", np.copy, (C(CUBE), C(A(()))), ALL, exact=True, call=hidden("copy")),
    Row("slice", lambda x, start, step, size: x[tuple(slice(a, a + b * n, b) for a, b, n in zip(start, step,
        size, strict=True))],
        (C(A((5, 6)), (1, 0), (2, 1), (2, 4)), C(A((5, 6)), (0, 2), (1, 3), (5, 0))), ALL, exact=True,
        call=hidden("slice", lambda x, start, step, size: {"start": start, "step": step, "size": size})),
    Row("embed", ref.embed, (C(A((2, 3)), (1, 0), (2, 1), (5, 4)), C(A((0, 3)), (0, 0), (1, 2), (2, 6))), ALL,
        exact=True,
        call=hidden("embed", lambda x, start, step, shape: {"start": start, "step": step, "shape": shape})),
)  # fmt: skip

JOIN_ROWS = (
    view("concat", np.concatenate, C([M, A((2, 4))]), C([M, A((3, 1)), M], axis=1), C([M, A((2,))], axis=None),
        C([CUBE], -1),
         C([A((0, 4)), M]), big=(C([A((500, 300)), A((500, 300))], axis=1),)),
    view("stack", np.stack, C([M, M]), C([M, M, M], axis=1), C([M, M], -1), C([A(()), A(())])),
    view("split", np.split, C(A((6, 2)), 3), C(A((6, 2)), [2, 5]), C(A((2, 4)), 2, axis=1), C(A((5,)), [1, -1,
        9]), C(A((5,)), []), C(A((6,)), ints((0,), 1)), C(A((5,)), np.array([2, 4]))),
    view("unstack", ref.unstack, C(CUBE), C(CUBE, axis=1), C(CUBE, -1)),
    view("roll", np.roll, C(CUBE, 5), C(CUBE, -1, 1), C(CUBE, (1, 2), (0, 2)), C(A((0,)), 3), C(CUBE, 1, axis=(0, 1))),
    view("pad", ref.pad, C(M, 2), C(M, (1, 0)), C(M, ((1, 2), (0, 3))), C(M, ((1, 2), (0, 3)), "edge"), C(M,
        ((2, 1), (0, 3)), mode="reflect"),
         C(M, 1, constant_values=3), C(A((2,)), (5, 4), "reflect"), C(A((1,)), (2, 2), "reflect"),
         C(M, ((1, 5), (0, 3)), "wrap"), dtypes=NUMBERS),
    view("tile", np.tile, C(M, 2), C(M, (2, 1)), C(M, (2, 1, 3)), C(A(()), 3), C(M, (0, 1)), C(CUBE, (2,))),
    view("repeat", np.repeat, C(M, 2), C(M, 2, 0), C(M, [1, 0, 2], axis=0), C(A(()), 3), C(M, 0, axis=1)),
    view("tril", np.tril, C(M), C(CUBE, 1), C(A((4, 3)), k=-1)),
    view("triu", np.triu, C(M), C(CUBE, 1), C(A((4, 3)), k=-1)),
)  # fmt: skip

LABELS = np.array([[2, 0], [1, 3], [0, 0]])
LOSS_ROWS = (
    Row("cross_entropy_last", ref.cross_entropy, (C(A((3, 2, 4)), LABELS), C(A((5, 300)), np.arange(5))),
        call=hidden("cross_entropy_last"), atol=(1e-6, 4e-15)),
    Row("cross_entropy_gradient", ref.cross_entropy_gradient, (C(A((3, 2, 4)), LABELS, A((3, 2))),),
        call=hidden("cross_entropy_gradient"), atol=(1e-6, 4e-15)),
    Row("label_cross_entropy", ref.cross_entropy, (C(A((3, 4)), np.array([0, 3, 1])), C(A((3, 4)), np.array([0, 2, 1,
        1]), axis=0), C(A((3, 4)), np.array([0, 2, 1, 1]), 0)), atol=(1e-6, 4e-15)),
)  # fmt: skip

INDEX_ROWS = (
    Row("wrap_index", lambda i, n: i % n, (C(ints((4,), 5), 5), C(ints((2, 3), 4), 4)), exact=True, out="int64",
        differentiable=False,
        call=hidden("wrap_index", lambda i, n: {"size": n, "axis": -1, "op": "take", "labels": False})),
    Row("_checked_labels", lambda i, n, op: i, (C(np.array([3, 0, 4]), 5, "labels"),), exact=True, out="int64",
        differentiable=False, call=sp._core._checked_labels),
    view("write_elements", lambda x, i: x[np.argsort(i)], C(A((5,)), np.array([3, 0, 4, 1, 2])), differentiable=False,
        call=hidden("write_elements")),
    view("take_rows", lambda x, i: x[i], C(A((5, 3)), ints((4,), 5)), C(A((5,)), ints((2, 3), 5)),
        call=hidden("take_rows")),
    Row("add_rows", ref.add_rows, (C(A((4, 3)), ints((4,), 5), 5), C(A((2, 3)), ints((2, 3), 2), 4)), NUMBERS,
        call=hidden("add_rows", lambda x, i, n: {"rows": n})),
    view("take", np.take, C(CUBE, ints((4,), 24)), C(CUBE, ints((2, 2), 3), axis=1), C(CUBE, ints((), 2),
        axis=0), C(CUBE, ints((0,), 2), 2),
         C(CUBE, 1, -1)),
    view("take_along_axis", np.take_along_axis, C(CUBE, ints((2, 5, 4), 3), axis=1), C(M, ints((3, 2), 4),
        axis=-1), C(A((6,)), ints((9,), 6), 0)),
    Row("scatter_add", ref.scatter_add, (C(M, ints((5, 4), 3), A((5, 4))), C(M, ints((3, 2), 4), A((3, 1)),
        axis=1), C(A((4,)), ints((0,), 4), A((0,)))),
        NUMBERS),
    Row("one_hot", ref.one_hot, (C(labels((3, 2), 4), 4), C(labels((), 2), num_classes=2)), ("int64",),
        out="float32", exact=True, differentiable=False),
    Row("nonzero", np.nonzero, (C(A((3, 4), "ties")), C(A((7,), "small"))), ALL, out="int64", exact=True,
        differentiable=False),
)  # fmt: skip

BIG_PRODUCTS = (
    C(A((257, 129)), A((129, 301))),
    C(A((12, 65, 33)), A((12, 33, 70))),
    C(A((3, 200, 64)), A((64, 90))),
    C(A((500, 300)), A((300,))),
)
LINALG_ROWS = (
    Row("matmul", np.matmul, (C(M, A((4, 5))), C(A((4,)), A((4,))), C(M, A((4,))), C(A((3,)), M), C(A((2, 3,
        4)), A((4, 5))),
        C(A((2, 1, 3, 4)), A((3, 4, 2))), C(A((3, 0)), A((0, 2))), C(A((0, 3)), A((3, 2))), C(A((17, 33)),
        A((33, 9))), C(A((4,)), A((2, 4, 3))),
        C(A((2, 3, 4)), A((4,)))), NUMBERS, atol=(4e-6, 1e-14), big=BIG_PRODUCTS),
    Row("matmul_add", lambda a, b, c: c + a @ b, (C(M, A((4, 5)), A((3, 5))), C(A((2, 1, 3, 4)), A((3, 4, 2)),
        A((2, 3, 3, 2))), C(A((3, 0)), A((0, 2)), A((3, 2))), C(A((0, 3)), A((3, 2)), A((0, 2))), C(A((17, 33)),
        A((33, 9)), A((17, 9)))), differentiable=False, atol=(4e-6, 1e-14),
        call=hidden("matmul_add", lambda *args: {"precision": sp._core.get_matmul_precision()}),
        big=(C(A((257, 129)), A((129, 301)), A((257, 301))), C(A((12, 65, 33)), A((12, 33, 70)), A((12, 65, 70))))),
    Row("outer", np.outer, (C(A((3,)), A((4,))), C(A((0,)), A((4,)))), NUMBERS, exact=True),
    Row("vecdot", ref.vecdot, (C(CUBE, CUBE), C(CUBE, A((4,))), C(CUBE, CUBE, axis=1)), NUMBERS,
        atol=(2e-6, 1e-14)),
    Row("tensordot", np.tensordot, (C(CUBE, A((3, 4, 5))), C(CUBE, A((4, 2)), 1), C(CUBE, A((5, 4, 2)), ([0, 2],
        [2, 1])), C(M, A((2,)), 0)),
        NUMBERS, atol=(4e-6, 1e-14)),
    Row("trace", lambda x: np.trace(x, axis1=-2, axis2=-1), (C(M), C(CUBE), C(A((3, 3)))), NUMBERS, out="sum",
        atol=(1e-6, 4e-15)),
    Row("einsum", lambda s, ops: np.einsum(s, *ops), tuple(C(s, [A(a) for a in shapes]) for s, *shapes in (
        ("ij,jk->ik", (3, 4), (4, 5)), ("ii->i", (4, 4)), ("ii", (4, 4)), ("ij->ji", (3, 4)), ("ij->", (3, 4)),
        ("i,j->ij", (3,), (4,)),
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("...ij,...jk->...ik", (2, 3, 4), (4, 5)), ("ij,jk,kl->il", (2,
        3), (3, 4), (4, 2)),
        ("ijk,jk->i", (2, 3, 4), (3, 4)), ("i...->...", (2, 3, 4)), ("ab,ab->ab", (3, 4), (3, 4)), ("ba", (3,
        4)), ("iij->j", (3, 3, 2)),
        (" i j , j ", (3, 4), (4,)), ("ij,ik->jk", (0, 3), (0, 2)), ("i,i", (5,), (5,)), ("ijkl->lkji", (2, 3, 1, 2)))),
        FLOATS + ("int64",), atol=(4e-6, 1e-14)),
)  # fmt: skip

SORTABLE = (C(A((3, 7), "distinct")), C(A((3, 7), "distinct"), axis=0), C(A((3, 7), "distinct"),
    descending=True), C(A((0, 3), "distinct"), axis=0),
            C(A((40,), "ties"), grad=False), C(A((40,), "tied_nan"), grad=False, dtypes=FLOATS),
            C(A((40,), "tied_nan"), descending=True, grad=False, dtypes=FLOATS))  # fmt: skip
SORT_ROWS = (
    view("argsort", ref.argsort, *SORTABLE, out="int64", differentiable=False, big=(C(A((40, 999))), C(A((40,
        999), "ties"), axis=0))),
    view("sort", ref.sort, *SORTABLE, big=(C(A((40, 999))),)),
    view("topk", ref.topk, C(A((3, 7), "distinct"), 3), C(A((3, 7), "distinct"), 2, axis=0), C(A((5,),
        "distinct"), 5, largest=False),
         C(A((5,), "distinct"), 0), C(A((40,), "ties"), 9, grad=False), out="any", dtypes=NUMBERS),
    Row("argsort_last", lambda x, down: ref.argsort(x, -1, bool(down)), (C(A((3, 7)), 0), C(A((3, 7)), 1)), FLOATS,
        exact=True, out="int64",
        differentiable=False, call=hidden("argsort_last", lambda x, down: {"descending": bool(down), "count": -1})),
    Row("sort_last", lambda x, down: ref.sort(x, -1, bool(down)), (C(A((3, 7)), 0), C(A((3, 7)), 1)), FLOATS,
        exact=True,
        differentiable=False, call=hidden("sort_last", lambda x, down: {"descending": bool(down), "count": -1})),
)  # fmt: skip

RANDOM_ROWS = tuple(
    Row(name, reference, tuple(C(key, start, shape, dtype=t) for t in types for key, start, shape in (
        (0, 0, (5, 3)), (2**40 + 3, 7, (129,)), (5, 2**33 + 2, (9,)), (1, 1, ()), (1, 0, (0, 2)))),
        ("float64",), out="any", exact=exact, differentiable=False, rtol=(1e-5, 1e-13), atol=(2e-6, 1e-14),
        big=tuple(C(3, 5, (300, 701), dtype=t) for t in types))
    for name, reference, types, exact in (
        ("random_bits", ref.random_bits, ("int64",), True), ("random_uniform", ref.random_uniform, FLOATS, True),
        ("random_normal", ref.random_normal, FLOATS, False))
)  # fmt: skip


RANDOM_ROWS += (
    Row("_random_draw", lambda kind, state, shape: ref.random_bits(*map(int, state), shape),
        (C("random_bits", np.array([3, 5]), (7,)), C("random_bits", np.array([0, 2]), (2, 3))),
        ("float64",), exact=True, out="int64", differentiable=False, call=sp._core._random_draw),
)  # fmt: skip


def op(name: str, function: Any, cases: tuple[Case, ...], values: str = "any", **more: Any) -> Row:
    return Row(f"operator {name}", function, cases, values=values, call=function, **{"dtypes": NUMBERS, **more})


SCALARS = (C(M, 2), C(2, M), C(M, M))
OPERATOR_ROWS = (
    op("+", operator.add, (*SCALARS, C(M, 1.5, dtypes=FLOATS), C(M, True))), op("-", operator.sub, SCALARS),
    op("*", operator.mul, SCALARS), op("/", operator.truediv, SCALARS, "nonzero", dtypes=FLOATS),
    op("//", operator.floordiv, (C(M, 2), C(M, A((4,), "factors"))), "off_integer", exact=True),
    op("%", operator.mod, (C(M, 2), C(M, A((4,), "factors"))), "off_integer"),
    op("**", operator.pow, (C(M, 2), C(M, 3), C(M, A((4,), "factors")), C(2, M)), "factors"),
    op("** float", operator.pow, (C(M, 0.5), C(M, -1), C(2.5, M)), "positive", dtypes=FLOATS),
    op("@", operator.matmul, (C(M, A((4, 2))), C(A((4,)), A((4, 2)))), atol=(2e-6, 1e-14)),
    op("neg", operator.neg, (C(M),)), op("pos", operator.pos, (C(M),), exact=True),
    op("abs", operator.abs, (C(M),), "nonzero"),
    op("divmod", divmod, (C(M, 2),), "off_integer"),
    *(op(s, g, (C(M, M), C(M, 1), C(1, M)), "ties", out="bool", exact=True, differentiable=False) for s, g in (
        ("<", operator.lt), ("<=", operator.le), (">", operator.gt), (">=", operator.ge), ("==", operator.eq),
        ("!=", operator.ne))),
    *(op(s, g, (C(M, M), C(M, 3), C(3, M)), "small", exact=True, differentiable=False, dtypes=INTS) for s, g in (
        ("&", operator.and_), ("|", operator.or_), ("^", operator.xor), ("<<", operator.lshift), (">>",
        operator.rshift))),
    op("~", operator.invert, (C(M),), dtypes=("bool",) + INTS, exact=True, differentiable=False),
)  # fmt: skip


def key(text: str, *cases: Case) -> Row:
    """x[text], where the key may name the row's other operands, a and b."""
    read = eval(f"lambda x, a=None, b=None: x[{text}]", {"np": np})
    return Row(f"getitem [{text}]", read, cases or (C(A((4, 5, 6))),), ALL, exact=True, call=read)


def write(text: str, *cases: Case) -> Row:
    """A copy of x after x[text] = v, or any in-place statement that the text spells out."""
    statement = text if "=" in text else f"x[{text}] = v"

    def written(x: Any, v: Any, a: Any = None) -> Any:
        x = x.copy()
        exec(statement, {"x": x, "v": v, "a": a, "np": np})
        return x

    return Row(f"setitem {statement}", written, cases, NUMBERS, exact=True, differentiable=False, call=written)


BLOCK = A((4, 5, 6))
INDEXING_ROWS = (
    key("1"), key("-1, 2"), key("..., 0"), key("1:3"), key("::-1"), key("::2, 3:0:-2"),
        key("None, 1, ..., None"), key("5:2"),
    key("-3:, :-1, ::3"), key("1, 2, 3"), key("..."), key("()"), key("True"), key("False"),
    key("a", C(BLOCK, ints((3,), 4)), C(BLOCK, ints((2, 2), 4)), C(BLOCK, mask(4)), C(BLOCK, mask(4, 5)),
        C(BLOCK, mask(4, 5, 6))),
    key(":, a", C(BLOCK, ints((3,), 5)), C(BLOCK, mask(5, 6))), key("a, b", C(BLOCK, ints((3,), 4), ints((3,), 5))),
    key("a, :, b", C(BLOCK, ints((3,), 4), ints((2, 1), 6))), key("0, :, a", C(BLOCK, ints((3,), 6))),
        key("..., a, 1", C(BLOCK, ints((3,), 5))),
    key("a, 1:4, ::-2", C(BLOCK, ints((3,), 4))), key("a[:, None], b", C(BLOCK, ints((3,), 4), ints((2,), 5))),
        key("[0, 2]"), key("[]"),
    key("a, None, b", C(BLOCK, ints((3,), 4), ints((3,), 5))),
    write("0", C(BLOCK, A((5, 6))), C(BLOCK, A(())), C(BLOCK, A((1, 6)))), write("::2, ::-1", C(BLOCK, A((2, 5,
        6))), C(BLOCK, A((6,)))),
    write("a", C(BLOCK, A((3, 5, 6)), ints((3,), 4)), C(BLOCK, A((6,)), mask(4, 5)), C(BLOCK, A(()), mask(4, 5, 6))),
    write(":, a", C(BLOCK, A((4, 2, 6)), ints((2,), 5))), write("...", C(BLOCK, A((6,)))), write("1, ..., 2",
        C(BLOCK, A((5,)))),
    write("x[:2] = x[2:]", C(BLOCK, A(()))), write("x[:, 1:] = x[:, :-1]", C(BLOCK, A(()))),
        write("x[a] = x[:3]", C(BLOCK, A(()), ints((3,), 4))),
    write("x += v", C(M, A((4,))), C(M, M)), write("x -= v", C(M, A((4,)))), write("x *= v", C(M, M)),
        write("x[1:] += x[:-1]", C(M, M)),
    write("x[0] -= v", C(M, A((4,)))),
)  # fmt: skip

from optable_nn import NN_ROWS  # noqa: E402  they are written in the words above

OPS: tuple[Row, ...] = (
    *FLOAT_ROWS, *NUMBER_ROWS, *PAIR_ROWS, *BIT_ROWS, *BOOL_ROWS, *OTHER_ROWS, *REDUCE_ROWS, *MAP_ROWS,
        *VIEW_ROWS, *JOIN_ROWS,
    *INDEX_ROWS, *LINALG_ROWS, *LOSS_ROWS, *SORT_ROWS, *RANDOM_ROWS, *NN_ROWS,
)  # fmt: skip
ROWS: tuple[Row, ...] = OPS + OPERATOR_ROWS + INDEXING_ROWS


def runs(rows: Sequence[Row] = ROWS) -> list[tuple[Row, Case, str]]:
    """Every (row, case, dtype) of the table."""
    return [(row, case, t) for row in rows for case in row.cases for t in (case.dtypes or row.dtypes)]
