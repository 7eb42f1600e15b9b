"""Every op against NumPy and against finite differences: tests derived from the one table in optable.py.

Values, dtypes and shapes in every dtype; gradients to second order in both modes; fused kernels against their rules;
layouts, special values, zero cotangents. Bits across threads and instruction sets are in test_bits.py. Tests that hold
results against NumPy's are marked ``parity``: docs/parity.md.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import optable
import pytest
import steep as sp
from optable import FLOATS, OPS, ROWS, A, Case, Row

RUNS = optable.runs()
FLOAT_RUNS = [(row, case) for row, case, t in RUNS if t == "float64"]
SMOOTH_RUNS = [(row, case) for row, case in FLOAT_RUNS if row.differentiable and case.grad]
ELEMENTWISE = [row for row in ROWS if row.elementwise]


def label(v):
    if isinstance(v, Row):
        return v.name.replace(" ", "_")
    return "-".join(str(a).replace("dtype=None, high=0", "") for a in v.args)[:60] if isinstance(v, Case) else None


def parametrize(names, values):
    return pytest.mark.parametrize(names, values, ids=label)


def tensors(args):
    """Arrays as tensors of their own, in lists too."""
    if isinstance(args, tuple | list):
        return type(args)(tensors(a) for a in args)
    return sp.tensor(args) if isinstance(args, np.ndarray) else args


def arrays(result):
    """One result or many, as a list of arrays."""
    many = isinstance(result, tuple | list)
    return [np.asarray(r.detach() if isinstance(r, sp.Tensor) else r) for r in (result if many else [result])]


def reference(row, case, args):
    """NumPy's answer; ops that are inexact are computed in float64."""

    def wide(v):
        if isinstance(v, list):
            return [wide(each) for each in v]
        inexact = isinstance(v, np.ndarray) and (v.dtype == np.float32 or row.out == "float") and v.dtype != np.float64
        return v.astype(np.float64) if inexact and not row.exact else v

    with np.errstate(all="ignore"):
        return [np.asarray(r) for r in arrays(row.reference(*map(wide, args), **case.kwargs))]


def close(got, expected, row, dtype):
    """NaN equals NaN, and infinities their like; signs of zeros are compared by test_signed_zeros."""
    assert got.shape == expected.shape
    if row.exact or got.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected.astype(got.dtype))
        return
    at = 0 if got.dtype == np.float32 else 1
    with np.errstate(over="ignore"):
        expected = expected.astype(got.dtype)
    np.testing.assert_allclose(got, expected, rtol=row.rtol[at], atol=row.atol[at])


def floats_of(args):
    """Positions of the operands that have gradients, and a function of those alone."""
    flat = []

    def number(v):
        if isinstance(v, list):
            return [number(each) for each in v]
        if isinstance(v, np.ndarray) and v.dtype.kind == "f":
            flat.append(v)
            return slice(len(flat) - 1, None)  # a placeholder
        return sp.tensor(v) if isinstance(v, np.ndarray) else v

    pattern = [number(v) for v in args]

    def rebuilt(given, v):
        if isinstance(v, list):
            return [rebuilt(given, each) for each in v]
        return given[v.start] if isinstance(v, slice) else v

    return flat, lambda given: [rebuilt(given, v) for v in pattern]


def function_of(row, case, build):
    """The row as a function of its float operands; results that are not floats are left out."""

    def f(*given):
        y = row.function(*build(given), **case.kwargs)
        return tuple(r for r in y if r.dtype.kind == "f") if isinstance(y, tuple) else y

    return f


TABLE = sp._core._op_table()
FUSED_ROWS = {row["name"] + "_gradient" for row in TABLE if row["fused"]}  # test_fused_gradients_equal_the_rules


def test_every_registered_op_has_a_row():
    registered = {row["name"] for row in TABLE} - FUSED_ROWS
    assert registered == {row.name for row in OPS}
    assert len(OPS) == len([row for row in OPS if row.cases])


def test_rows_say_which_ops_are_differentiable():
    """An op with a gradient has a row that checks it, and one without is not said to have one."""
    smooth = {row.name for row in OPS if row.differentiable}
    for op in TABLE:
        if op["name"] not in FUSED_ROWS:
            assert (op["name"] in smooth) == (op["gradient"] != "none"), op["name"]


@parametrize("row, case", [(row, row.cases[0]) for row in OPS if not row.differentiable])
def test_ops_said_to_have_no_gradient_have_none(row, case):
    """Their results have no graph, whatever the operands."""
    args = [sp.tensor(a, requires_grad=True) if is_float(a) else a for a in optable.operands(case, row, "float64")]
    try:
        results = row.function(*args, **case.kwargs)
    except TypeError:  # integers alone
        return
    for y in results if isinstance(results, tuple) else (results,):
        assert y.made_by is None


def is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


@pytest.mark.parity
@parametrize("row, case, dtype", RUNS)
def test_values(row, case, dtype):
    args = optable.operands(case, row, dtype)
    got = arrays(row.function(*tensors(args), **case.kwargs))
    expected = reference(row, case, args)
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        close(g, e, row, dtype)
    if row.out != "any":
        assert {str(g.dtype) for g in got} <= {optable.expected_dtype(row, dtype)}


@parametrize("row, case", SMOOTH_RUNS)
def test_gradients(row, case):
    """First and second order, forward and reverse, against central differences in float64."""
    flat, build = floats_of(optable.operands(case, row, "float64"))
    f = function_of(row, case, build)
    sp.check_grads(f, flat, order=2, rtol=row.grad_rtol)


@parametrize("row, case", [(r, c) for r, c in FLOAT_RUNS if r.differentiable])
@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_have_the_operand_s_shape_and_dtype(row, case, dtype):
    """The gradient with respect to an operand has its shape and dtype (docs/notes.md, row 10)."""
    if dtype not in (case.dtypes or row.dtypes):
        pytest.skip("not in this dtype")
    flat, build = floats_of(optable.operands(case, row, dtype))
    leaves = [sp.tensor(x, requires_grad=True) for x in flat]
    y = function_of(row, case, build)(*leaves)
    for out in y if isinstance(y, tuple) else (y,):
        if out.requires_grad:
            out.backward(sp.ones_like(out.detach()), retain_graph=True)
    for x in leaves:
        if x.grad is not None:
            assert (x.grad.shape, x.grad.dtype, x.grad.requires_grad) == (x.shape, x.dtype, False)


def pulled(row, case, args, record):
    """The gradients of one op, through the fused kernels or through the rules that are made of ops."""
    flat, build = floats_of(args)
    pairs = [sp._core._watched_alias(sp.tensor(x)) for x in flat]
    y = function_of(row, case, build)(*[x for x, _ in pairs])
    outputs = [r for r in (y if isinstance(y, tuple) else (y,)) if r.requires_grad]
    rng = np.random.default_rng(3)
    seeds = [sp.tensor(rng.standard_normal(r.shape).astype(r.dtype.name)) for r in outputs]
    found = sp._core._walk_backward(outputs, seeds, [n for _, n in pairs], record, 0)
    return [None if g is None else g.detach().numpy() for g in found]


FUSED = {op["name"] for op in sp._core._op_table() if op["fused"]}


@parametrize("row, case", [(r, c) for r, c in FLOAT_RUNS if r.differentiable])
@pytest.mark.parametrize("dtype", FLOATS)
def test_fused_gradients_equal_the_rules(row, case, dtype):
    """A gradient that is recorded (so made of ops) equals one that is not (so perhaps by a fused kernel)."""
    if dtype not in (case.dtypes or row.dtypes):
        pytest.skip("not in this dtype")
    args = optable.operands(case, row, dtype)
    rtol, atol = (4e-6, 1e-6) if dtype == "float32" else (2e-14, 1e-15)
    for a, b in zip(pulled(row, case, args, True), pulled(row, case, args, False), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def test_fused_kernels_are_tried():
    """The rows above reach every fused kernel: a new one without a smooth row fails here."""
    assert FUSED and {row.name for row, _ in SMOOTH_RUNS} >= FUSED


# ---- layouts ----

SHAPES = [
    (),
    (0,),
    (1,),
    (1, 1),
    (3, 0, 2),
    (7,),
    (64,),
    (65,),
    (2, 3, 4),
    (1, 2, 1, 2, 1, 3, 1, 2),
    (2, 2, 2, 2, 2, 2, 2, 2),
]
LAYOUTS = {
    "transposed": lambda x: np.array(x.T, order="C").T,
    "reversed": lambda x: np.array(x[(slice(None, None, -1),) * x.ndim])[(slice(None, None, -1),) * x.ndim],
    "strided": lambda x: np.repeat(x, 3, axis=-1)[..., ::3] if x.ndim else x,
    "backwards": lambda x: np.repeat(x, 2, axis=0)[::-1][::-2] if x.ndim else x,
    "inside": lambda x: np.pad(x, 1)[(slice(1, -1),) * x.ndim],
}


@pytest.mark.parity
@parametrize("row", ELEMENTWISE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_elementwise_of_any_shape_and_layout(row, dtype):
    """Odd shapes against NumPy; and a strided operand gives the bits that a contiguous one gives."""
    if dtype not in row.dtypes:
        pytest.skip("not in this dtype")
    count = len(row.cases[0].args)
    for shape in SHAPES:
        args = optable.operands(Case((A(shape),) * count), row, dtype)
        plain = row.function(*tensors(args))
        close(plain.numpy(), reference(row, row.cases[0], args)[0], row, dtype)
        for name, layout in LAYOUTS.items():
            moved = [sp.asarray(layout(a)) for a in args]
            assert [m.shape for m in moved] == [a.shape for a in args], name
            np.testing.assert_array_equal(row.function(*moved).numpy(), plain.numpy(), err_msg=f"{name} {shape}")


def relaid(args, layout):
    if isinstance(args, list | tuple):
        return type(args)(relaid(a, layout) for a in args)
    return sp.asarray(layout(args)) if isinstance(args, np.ndarray) else args


@pytest.mark.parity
@parametrize("row, case", [(r, c) for r, c in FLOAT_RUNS if not r.elementwise])
@pytest.mark.parametrize("name", LAYOUTS)
def test_other_ops_of_any_layout(row, case, name):
    args = optable.operands(case, row, "float64")
    got = arrays(row.function(*relaid(args, LAYOUTS[name]), **case.kwargs))
    for g, e in zip(got, reference(row, case, args), strict=True):
        close(g, e, row, "float64")


def test_eight_dimensions_and_no_more():
    x = sp.ones((1, 2) * 4)
    assert x.sum(axis=(0, 7)).shape == (2, 1, 2, 1, 2, 1)
    assert (x @ x.mT).shape == (1, 2, 1, 2, 1, 2, 1, 1)
    for f in (lambda: x[None], lambda: sp.expand_dims(x, 0), lambda: sp.stack([x, x]), lambda: sp.ones((1,) * 9),
              lambda: sp.reshape(x, (1,) * 12), lambda: sp.one_hot(x.astype("int64"), 3), lambda: sp.tensordot(x, x, 0),
              lambda: sp.broadcast_to(x, (2,) * 9), lambda: sp.tile(x, (1,) * 9)):  # fmt: skip
        with pytest.raises(ValueError, match="8 dimensions"):
            f()


# ---- values at the edges ----

EDGES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 2.0]
RANGES = {"float32": [3e38, -3e38, 1e-38, -1e-38, 1e-45, 88.0, -88.0, 110.0, -110.0, 1e10],
          "float64": [1.7e308, -1.7e308, 3e-308, -3e-308, 5e-324, 709.0, -709.0, 1e100, -1e100, 1e-17]}  # fmt: skip


@pytest.mark.parity
@parametrize("row", [row for row in ELEMENTWISE if row.specials])
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(row, dtype):
    """NaN, infinities, the largest and the least: NumPy's answers, in the operand's dtype."""
    if dtype not in row.dtypes:
        pytest.skip("not in this dtype")
    points = np.array(EDGES + RANGES[dtype], dtype=dtype)
    count = len(row.cases[0].args)
    args = (points,) if count == 1 else tuple(np.array(list(itertools.product(points, points)), dtype=dtype).T)
    got = row.function(*tensors(args)).numpy()
    assert str(got.dtype) == optable.expected_dtype(row, dtype)
    expected = reference(row, row.cases[0], args)[0]
    with np.errstate(all="ignore"):
        expected = expected.astype(got.dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    close(got, expected, row, dtype)


SIGNED = [
    "sqrt", "negative", "abs", "floor", "ceil", "round", "trunc", "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh",
    "atanh", "expm1", "log1p", "erf", "relu",
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("dtype", FLOATS)
def test_signed_zeros(name, dtype):
    """The sign of a zero is NumPy's."""
    numpy_name = {"asin": "arcsin", "atan": "arctan", "asinh": "arcsinh", "atanh": "arctanh"}.get(name, name)
    zeros = np.array([0.0, -0.0], dtype=dtype)
    got = getattr(sp, name)(sp.tensor(zeros)).numpy()
    expected = {"erf": zeros, "relu": np.array([0.0, 0.0])}.get(name)
    expected = getattr(np, numpy_name)(zeros) if expected is None else expected
    assert (got == 0).all()
    if name != "relu":
        np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


@parametrize("row", [row for row in ROWS if "float32" in row.dtypes and row.differentiable])
def test_huge_tiny_and_nan_operands_give_an_answer(row):
    """Any op on operands full of NaN, inf, huge and tiny values: a result of the same dtype, no crash."""
    rng = np.random.default_rng(0)
    for case in row.cases:
        args = optable.operands(case, row, "float32")
        flat, build = floats_of(args)
        odd = [
            rng.choice(np.array(EDGES + RANGES["float32"], dtype="float32"), x.shape).astype("float32") for x in flat
        ]
        leaves = [sp.tensor(x, requires_grad=True) for x in odd]
        y = function_of(row, case, build)(*leaves)
        for out in y if isinstance(y, tuple) else (y,):
            if row.out != "any":
                assert out.dtype.name == optable.expected_dtype(row, "float32")
            if out.requires_grad:
                out.backward(sp.ones_like(out.detach()), retain_graph=True)


BAD = [0.0, -0.0, -1.0, 1.0, np.inf, -np.inf, np.nan, 3e38, -2.5, 1e-45]


@parametrize("row", [row for row in ROWS if row.elementwise and row.differentiable])
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_zero_cotangent_passes_zero_on(row, record, dtype):
    """where(x > 0, log(x), 0) and the like: a zero gradient stays zero, even if the derivative is infinite or NaN."""
    count = len(row.cases[0].args)
    points = np.array(BAD, dtype=dtype)
    args = (points,) if count == 1 else tuple(np.array(list(itertools.product(points, points)), dtype=dtype).T)
    pairs = [sp._core._watched_alias(sp.tensor(a)) for a in args]
    y = row.function(*[x for x, _ in pairs])
    for g in sp._core._walk_backward([y], [sp.zeros_like(y.detach())], [n for _, n in pairs], record, 0):
        np.testing.assert_array_equal(g.detach().numpy(), np.zeros(args[0].shape))


@parametrize("row", [row for row in ROWS if row.elementwise and row.differentiable])
def test_a_branch_not_taken_has_no_gradient(row):
    """To second order, through where()."""
    count = len(row.cases[0].args)
    bad = [sp.tensor(np.array(BAD)) for _ in range(count)]
    never = sp.tensor(np.zeros(len(BAD), dtype=bool))

    def loss(*xs):
        return sp.where(never, row.function(*xs), xs[0] * xs[0].detach() * 0 + 1.0).sum()

    bad = [sp.where(sp.isfinite(b), b, sp.zeros_like(b)) for b in bad]
    for g in sp.grad(loss, tuple(range(count)))(*bad):
        np.testing.assert_array_equal(g.numpy(), np.zeros(len(BAD)))
    second = sp.grad(lambda *xs: sum(g.sum() for g in sp.grad(loss, tuple(range(count)))(*xs)), tuple(range(count)))(
        *bad
    )
    for g in second:
        np.testing.assert_array_equal(g.numpy(), np.zeros(len(BAD)))


@pytest.mark.parametrize(
    "f", [sp.softmax, sp.log_softmax, sp.logsumexp, sp.norm, sp.std, sp.prod, sp.max, sp.cumprod, sp.var]
)
@pytest.mark.parametrize("bad", [-np.inf, np.inf, np.nan, 0.0])
def test_zero_cotangents_of_rows(f, bad):
    """A row whose result is not used (a masked softmax, say) passes zeros on, whatever it holds."""
    x = sp.tensor([[1.0, 2.0], [bad, bad]], dtype="float64", requires_grad=True)
    named = {} if f in (sp.softmax, sp.log_softmax, sp.cumprod) else {"axis": 1}
    f(x, **named)[0].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[1], [0, 0])


# ---- subgradients: the written table ----


@pytest.mark.parametrize("f, at, expected", [
    (sp.relu, 0.0, 0.0), (sp.abs, 0.0, 0.0), (sp.sign, 0.0, 0.0), (sp.leaky_relu, 0.0, 0.01), (sp.elu, 0.0, 1.0),
    (sp.floor, 1.0, 0.0), (sp.ceil, 1.0, 0.0), (sp.round, 0.5, 0.0), (sp.trunc, 1.0, 0.0),
    (lambda x: sp.maximum(x, 1.0), 1.0, 0.5), (lambda x: sp.minimum(1.0, x), 1.0, 0.5),
    (lambda x: sp.clip(x, 0, 1), 1.0, 1.0), (lambda x: sp.clip(x, 0, 1), 0.0, 1.0),
    (lambda x: x ** 0.0, 0.0, 0.0), (lambda x: sp.pow(0.0, x), 2.0, 0.0), (sp.norm, 0.0, 0.0), (sp.std, 3.0, 0.0),
    (lambda x: sp.norm(x, 1), 0.0, 0.0), (lambda x: sp.norm(x, 3), 0.0, 0.0), (lambda x: sp.norm(x, 1.5), 0.0, 0.0),
    (lambda x: sp.floor_divide(x, 1.0), 1.5, 0.0),
])  # fmt: skip
def test_subgradients(f, at, expected):
    x = sp.tensor(at, dtype="float64")
    assert sp.grad(f)(x).item() == expected
    assert sp.jvp(f, (x,), (sp.ones_like(x),))[1].item() == expected


@pytest.mark.parametrize("f, expected", [(sp.max, [0, 0.5, 0.5]), (sp.min, [1, 0, 0]),
                                         (lambda x: sp.norm(x, math.inf), [0, 0.5, 0.5])])  # fmt: skip
def test_ties_share(f, expected):
    np.testing.assert_array_equal(sp.grad(f)(sp.tensor([1.0, 2.0, 2.0])).numpy(), expected)


# ---- methods and arguments ----


@parametrize("row", [row for row in OPS if row.call is None])
def test_methods_are_the_functions(row):
    entry = next(op for op in sp._core._op_table() if op["name"] == row.name)
    assert entry["method"] == hasattr(sp.Tensor, row.name)
    if not entry["method"]:
        return
    case = row.cases[0]
    args = tensors(optable.operands(case, row, row.dtypes[-1]))
    a, b = row.function(*args, **case.kwargs), getattr(args[0], row.name)(*args[1:], **case.kwargs)
    for p, q in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize("a", optable.ALL)
@pytest.mark.parametrize("b", optable.ALL)
def test_promotion(a, b):
    """The later of bool < uint8 < int32 < int64 < float32 < float64, whatever the values."""
    expected = max(a, b, key=optable.ALL.index)
    x, y = sp.ones((2,), dtype=a), sp.ones((2,), dtype=b)
    assert sp.add(x, y).dtype.name == sp.multiply(y, x).dtype.name == expected
    assert sp.where(sp.tensor(True), x, y).dtype.name == expected
    assert sp.concat([x, y]).dtype.name == expected
    assert sp.result_type(x, y).name == expected
