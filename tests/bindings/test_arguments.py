"""Arguments as other libraries write them: their dtypes, by name; integers as NumPy's scalars, arrays and tensors."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
import steep as sp
from optable import ROWS, operands
from steep import _core, nn, optim

NAMES = ("bool", "uint8", "int32", "int64", "bfloat16", "float32", "float64")


class dtype:  # as torch.dtype: a class of that name, whose values print as torch.float32
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"


class DType(dtype):  # as in array_api_strict
    pass


def installed(module, name):
    library = pytest.importorskip(module)
    return getattr(library, name + "_" if module == "jax.numpy" and name == "bool" else name)


FORMS = {
    "name": str, "NumPy": np.dtype, "steep": lambda name: getattr(sp, name), "torch's kind": dtype, "a class": DType,
    "PyTorch": lambda name: installed("torch", name), "JAX": lambda name: installed("jax.numpy", name),
}  # fmt: skip


def form(kind, name):
    if kind == "NumPy" and name == "bfloat16":
        return pytest.importorskip("ml_dtypes").bfloat16
    return FORMS[kind](name)


# Everything that takes a dtype, as a function of one, that answers with the dtype that was made.
TAKERS = {
    "tensor": lambda d: sp.tensor([1.0], dtype=d), "asarray": lambda d: sp.asarray([1.0], dtype=d),
    "asarray of an array": lambda d: sp.asarray(np.ones(2), dtype=d), "dtype": lambda d: sp.zeros(2, dtype=sp.dtype(d)),
    "zeros": lambda d: sp.zeros(2, dtype=d), "ones": lambda d: sp.ones(2, dtype=d),
    "empty": lambda d: sp.empty(2, dtype=d), "full": lambda d: sp.full(2, 1.0, dtype=d),
    "eye": lambda d: sp.eye(2, dtype=d), "arange": lambda d: sp.arange(1, dtype=d),
    "zeros_like": lambda d: sp.zeros_like(sp.ones(2), dtype=d),
    "full_like": lambda d: sp.full_like(sp.ones(2), 1.0, dtype=d),
    "astype": lambda d: sp.ones(2).astype(d), "sp.astype": lambda d: sp.astype(sp.ones(2), d),
    "Tensor.to": lambda d: sp.ones(2).to(d), "one_hot": lambda d: sp.one_hot(sp.tensor([1]), 2, dtype=d),
    "finfo": lambda d: sp.zeros(2, dtype=(sp.finfo if sp.isdtype(d, "real floating") else sp.iinfo)(d).dtype),
    "result_type": lambda d: sp.zeros(2, dtype=sp.result_type(d, d)),
}  # fmt: skip
FLOAT_TAKERS = {
    "linspace": lambda d: sp.linspace(0.0, 1.0, 3, dtype=d), "sum": lambda d: sp.sum(sp.ones(2), dtype=d),
    "prod": lambda d: sp.prod(sp.ones(2), dtype=d), "cumsum": lambda d: sp.cumsum(sp.ones(2), dtype=d),
    "cumulative_sum": lambda d: sp.cumulative_sum(sp.ones(2), dtype=d),
    "normal": lambda d: sp.random.Generator(0).normal((2,), dtype=d),
    "uniform": lambda d: sp.random.Generator(0).uniform(shape=(2,), dtype=d),
    "Module.astype": lambda d: nn.Linear(2, 2, generator=0).astype(d).weight,
    "Linear": lambda d: nn.Linear(2, 2, generator=0, dtype=d).weight,
    "init": lambda d: nn.init.normal((2, 2), 1.0, 0, dtype=d),
    "LayerNorm": lambda d: nn.LayerNorm(2, dtype=d).weight,
    "Embedding": lambda d: nn.Embedding(3, 2, generator=0, dtype=d).weight,
    "zoo": lambda d: next(iter(sp.zoo.load("digits_cnn", dtype=d, requires_grad=True).parameters())),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_of_any_library_is_taken_everywhere(kind, name):
    given = form(kind, name)
    takers = {**TAKERS, **(FLOAT_TAKERS if name in ("float32", "float64") else {})}
    if name == "bool":
        takers = {key: value for key, value in takers.items() if key != "finfo"}  # which has no limits of bools
    found = {
        key: make(given).dtype.name for key, make in takers.items() if key != "Tensor.to" or hasattr(sp.Tensor, "to")
    }
    assert found == dict.fromkeys(found, name)
    assert getattr(sp, name) == given and sp.can_cast(given, given) and sp.isdtype(given, getattr(sp, name))


@pytest.mark.parametrize("name", ["float16", "complex64", "float8_e4m3fn", "quint8", "int16"])
@pytest.mark.parametrize("make", [dtype, str])
def test_a_dtype_that_steep_has_not_is_refused(make, name):
    with pytest.raises(
        TypeError, match=rf"dtype: .*{name}.* is not one of steep's \(bool, uint8, int32, int64, bfloat16"
    ):
        sp.zeros(2, dtype=make(name))
    assert sp.float32 != make(name)


def test_what_only_prints_like_a_dtype_is_none():
    class Layer:
        def __repr__(self):
            return "torch.float32"

    class Broken(dtype):
        def __repr__(self):
            raise RuntimeError("no name")

        __str__ = __repr__

    with pytest.raises(TypeError, match="is not one of steep's"):
        sp.zeros(2, dtype=Layer())
    with pytest.raises((TypeError, RuntimeError)):
        sp.zeros(2, dtype=Broken("float32"))
    with pytest.raises(TypeError, match="is not one of steep's"):
        sp.zeros(2, dtype=np.dtype(">f4"))


# -- integers ---------------------------------------------------------------------------------------------------------

AS = {
    "numpy.int64": np.int64, "numpy.int32": np.int32, "an array of one": np.array, "a tensor": sp.tensor,
}  # fmt: skip


def integer_parameters(name):
    """The parameters of a function of the core that are integers, or sequences of them, in order; None for others."""
    row = next((row for row in _core._op_table() if row["name"] == name), None)
    if row is None:
        return None
    args = ast.parse(f"def f{row['stub']}: ...").body[0].args
    every = [*args.args, *args.kwonlyargs]
    return {a.arg: bool(re.search(r"\bint\b|\bInts\b", ast.unparse(a.annotation))) for a in every}


def rewritten(value, to):
    if isinstance(value, tuple | list):
        return type(value)(rewritten(each, to) for each in value)
    fits = to is not np.int32 or -(2**31) <= value < 2**31 if type(value) is int else False
    return to(value) if fits else value


CASES = [(row, case) for row in ROWS for case in row.cases
         if row.call is None and any((integer_parameters(row.name) or {}).values())]  # fmt: skip


@pytest.mark.parametrize("kind", AS)
def test_integers_of_any_kind_are_taken_by_every_op(kind):
    to, tried = AS[kind], set()
    for row, case in CASES:
        which = integer_parameters(row.name)
        args = operands(case, row, row.dtypes[-1])
        names = list(which)
        changed = [rewritten(v, to) if i < len(names) and which[names[i]] else v for i, v in enumerate(args)]
        named = {k: rewritten(v, to) if which.get(k) else v for k, v in case.kwargs.items()}
        wanted, found = row.function(*args, **case.kwargs), row.function(*changed, **named)
        many = isinstance(wanted, tuple | list)
        for a, b in zip(wanted, found, strict=True) if many else [(wanted, found)]:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=row.name)
        tried.add(row.name)
    assert {"sum", "argmax", "softmax", "reshape", "permute_dims", "concat", "roll", "conv2d", "max_pool2d"} <= tried


def test_shapes_and_axes_of_arrays():
    x = sp.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert sp.sum(x, axis=np.array(0)).tolist() == x.sum(axis=np.array(-2)).tolist() == [4.0, 6.0]
    assert sp.sum(x, axis=(np.int64(0), np.array(1))).item() == sp.sum(x, axis=np.array([0, 1])).item() == 10.0
    assert sp.zeros(np.array(3)).shape == (3,) and sp.zeros(np.array([2, 3])).shape == (2, 3)
    assert x.reshape(np.array(4)).shape == x.reshape(np.int64(2), np.array(2)).reshape(-1).shape == (4,)
    assert np.sum(x, axis=np.array(1)).tolist() == [3.0, 7.0]
    assert np.linalg.norm(x, axis=np.int64(0)).shape == np.linalg.norm(x, axis=np.array(0)).shape == (2,)
    assert np.linalg.norm(x, axis=(np.int64(0), 1)).ndim == 0


X = "x = sp.ones((2, 2)); "
REFUSED = {
    "sp.sum(x, axis=1.0)": r"sum: axis must be an integer or a sequence of them, and got float; pass int\(axis\)",
    "sp.sum(x, axis=np.float64(1))": r"got numpy.float64; pass int\(axis\)",
    "sp.sum(x, axis=np.array(1.0))": r"got numpy.ndarray float64\(\); pass int\(axis\)",
    "sp.sum(x, axis=np.array([0.5]))": "sum: axis must be an integer or a sequence of them, and got numpy.float64",
    "sp.sum(x, axis=sp.tensor(1.0))": r"got steep.Tensor float32\(\); pass int\(axis\)",
    "sp.sum(x, axis='0')": "and got str$",
    "sp.sum(x, axis={0})": "and got set$",
    "sp.sum(x, True)": "got bool; a flag is named, as keepdims=True",
    "x.sum(axis=False)": "got bool; a flag is named, as keepdims=False",
    "sp.argmax(x, axis=True)": "argmax: axis must be an integer, and got bool; a flag is named, as keepdims=True",
    "sp.sum(x, axis=np.True_)": "got numpy.bool",
    "sp.argmax(x, axis=np.array([0, 1]))": r"argmax: axis must be an integer, and got numpy.ndarray int64\(2,\)$",
    "sp.softmax(x, axis=np.array(0.5))": r"axis must be an integer, and got numpy.ndarray float64\(\); pass int",
    "sp.zeros(2.0)": r"zeros: shape must be an integer or a sequence of them, and got float; pass int\(shape\)",
    "sp.reshape(x, (2.0, 2))": "reshape: shape must be an integer or a sequence of them, and got float",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_integer_is_refused_with_the_fix(text):
    with pytest.raises(TypeError, match=REFUSED[text]):
        eval(text, {"sp": sp, "np": np, "x": sp.ones((2, 2))})


@pytest.mark.parametrize("to", [np.int64, np.array, sp.tensor], ids=["numpy.int64", "an array of one", "a tensor"])
def test_functions_in_python_take_them_too(to):
    x = sp.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert sp.diff(x, axis=to(0)).tolist() == [[2.0, 3.0]] and sp.cumulative_sum(x, axis=to(1))[1, 1] == 8.0
    assert sp.grad(lambda a, b: (a * b).sum(), argnums=to(1))(x, x + 1).tolist() == x.tolist()
    assert nn.Conv2d(1, 1, to(3), generator=0).weight.shape == (1, 1, 3, 3)
    assert nn.Conv1d(1, 2, 3, padding="same", dilation=to(2), generator=0)(sp.ones((1, 1, 8))).shape == (1, 2, 8)
    assert nn.LayerNorm(to(2)).weight.shape == nn.LayerNorm([to(2)]).weight.shape == (2,)
    assert nn.Softmax(to(-1))(x).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: sp.diff(x, axis=1.0), r"diff: axis must be an integer, and got float; pass int\(axis\)"),
        (lambda x: sp.diff(x, axis=np.array(0.5)), r"diff: axis must be an integer, and got ndarray; pass int\(axis\)"),
        (lambda x: sp.diff(x, axis=True), "diff: axis must be an integer, and got bool$"),
        (
            lambda x: sp.grad(sp.sum, argnums="0")(x),
            "grad: argnums must be an integer or a sequence of them, and got str",
        ),
        (lambda x: sp.grad(sp.sum, argnums=[0.0])(x), r"grad: argnums must be an integer, and got float; pass int"),
        (lambda x: nn.Conv2d(1, 1, 3.0), r"Conv2d: kernel_size must be .*got float; pass int\(kernel_size\)"),
        (lambda x: nn.LayerNorm(2.0), r"LayerNorm: shape must be .*got float; pass int\(shape\)"),
    ],
)
def test_functions_in_python_refuse_with_the_fix(call, said):
    with pytest.raises(TypeError, match=said):
        call(sp.ones((2, 2)))


# -- parameters -------------------------------------------------------------------------------------------------------


class Foreign(np.ndarray):  # stands for a torch.nn.Parameter
    requires_grad = True


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (lambda: [np.ones(2)], r"got numpy.ndarray\(2,\), which steep cannot write to; .* w = steep.tensor\(w\), and"),
        (lambda: [np.ones(2).view(Foreign)], r"Foreign\(2,\), .* w = steep.tensor\(w.detach\(\)\)"),
        (lambda: {"layer": {"w": np.ones(2)}}, r"numpy.ndarray\(2,\)"),
        (lambda: [{"params": [np.ones(2)], "lr": 0.1}], r"numpy.ndarray\(2,\)"),
        (lambda: nn.Linear(2, 2, generator=0), r"got steep.Linear; pass its parameters\(\)"),
        (lambda: [nn.Linear(2, 2, generator=0)], r"got steep.Linear; pass its parameters\(\)"),
        (
            lambda: nn.Linear(2, 2, generator=0).named_parameters(),
            r"got the name 'weight'; pass parameters\(\), or dict",
        ),
        (lambda: [sp.tensor([1])], r"parameters must be of floats, got int64\(1,\); use astype"),
        (lambda: [1.0], "must be tensors, got float; use steep.tensor"),
    ],
)
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.LBFGS])
def test_what_is_no_parameter_is_refused_with_the_fix(params, said, kind):
    with pytest.raises(TypeError, match=said):
        kind(params(), lr=0.1)


def test_parameters_of_other_libraries_are_refused_by_name():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"got torch.Parameter\(2,\), which steep cannot write to; .*w.detach"):
        optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
    with pytest.raises(TypeError, match=r"got torch.Linear; pass its parameters"):
        optim.SGD(torch.nn.Linear(2, 2), lr=0.1)


class _Truth:
    """What NumPy's bool is up to NumPy 2.2: it passes for an index."""

    def __index__(self):
        return 1


def test_the_bools_of_any_numpy_are_masks_and_no_indices():
    x, a = sp.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3)
    for key in (np.True_, np.False_, (0, np.True_), (np.False_, 1)):
        np.testing.assert_array_equal(x[key].numpy(), a[key])
    with pytest.raises(TypeError, match="sum: axis must be an integer"):
        sp.sum(x, axis=np.True_)
    old = type("numpy.bool_", (_Truth,), {})
    with pytest.raises(TypeError, match="sum: axis must be an integer"):
        sp.sum(x, axis=old())
    with pytest.raises(TypeError, match="inputs must be an integer"):
        sp.nn.Linear(np.True_, 2)


REALS = {
    "Dropout: p": lambda value: sp.nn.Dropout(value),
    "LayerNorm: eps": lambda value: sp.nn.LayerNorm(4, eps=value),
    "BatchNorm1d: eps": lambda value: sp.nn.BatchNorm1d(4, eps=value),
    "BatchNorm2d: momentum": lambda value: sp.nn.BatchNorm2d(4, momentum=value),
    "GroupNorm: eps": lambda value: sp.nn.GroupNorm(2, 4, eps=value),
    "InstanceNorm2d: eps": lambda value: sp.nn.InstanceNorm2d(4, eps=value),
    "LocalResponseNorm: alpha": lambda value: sp.nn.LocalResponseNorm(3, alpha=value),
    "LeakyReLU: negative_slope": lambda value: sp.nn.LeakyReLU(value),
    "ELU: alpha": lambda value: sp.nn.ELU(value),
    "the learning rate": lambda value: sp.optim.SGD([sp.ones(3, requires_grad=True)], value),
    "momentum": lambda value: sp.optim.SGD([sp.ones(3, requires_grad=True)], 0.1, momentum=value),
    "weight_decay": lambda value: sp.optim.Adam([sp.ones(3, requires_grad=True)], 0.1, weight_decay=value),
    "betas[1]": lambda value: sp.optim.Adam([sp.ones(3, requires_grad=True)], 0.1, betas=(0.9, value)),
    "EMA: decay": lambda value: sp.optim.EMA([sp.ones(3, requires_grad=True)], value),
}


@pytest.mark.parametrize("name", REALS)
def test_options_are_numbers_and_are_named_where_they_are_not(name):
    for wrong in ("a", None, True, [0.1], np.ones(2)):
        with pytest.raises(TypeError, match=re.escape(f"{name} must be a number")):
            REALS[name](wrong)
    with pytest.raises(ValueError, match=re.escape(name)):
        REALS[name](float("nan"))
    for right in (0.5, np.float32(0.5), np.array(0.5), sp.tensor(0.5), 0):
        REALS[name](right)


@pytest.mark.parametrize("name", ["Dropout: p", "LayerNorm: eps", "BatchNorm2d: momentum", "EMA: decay", "betas[1]"])
def test_options_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=re.escape(name)):
        REALS[name](-0.1)


def test_convolutions_refuse_options_when_they_are_made():
    with pytest.raises(TypeError, match="Conv2d: stride must be an integer"):
        sp.nn.Conv2d(3, 4, 3, stride="b")
    with pytest.raises(TypeError, match="Conv1d: dilation must be an integer"):
        sp.nn.Conv1d(3, 4, 3, dilation=1.5)
    with pytest.raises(ValueError, match=r"Conv2d: padding is numbers or one of .*got 'full'"):
        sp.nn.Conv2d(3, 4, 3, padding="full")
    with pytest.raises(TypeError, match="ConvTranspose2d: output_padding must be an integer"):
        sp.nn.ConvTranspose2d(3, 4, 3, output_padding="b")
    with pytest.raises(ValueError, match="betas must be two numbers"):
        sp.optim.Adam([sp.ones(3, requires_grad=True)], 0.1, betas=(0.9,))
