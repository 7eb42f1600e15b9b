"""What a new user tries first: printing, rounding, creation functions and their arguments, random bounds, wrong calls.

The sweep calls everything public with wrong arguments: each answer is a result or an exception in steep's own words.
"""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
import steep as sp

MODULES = ["nn", "nn.functional", "optim", "data", "io", "random", "tree", "ascent", "saliency", "attack", "scores"]


# ---- one number ----


def test_a_tensor_of_one_element_is_formatted_and_rounded_as_a_number():
    loss = (sp.tensor(2.567, requires_grad=True) * 1).reshape(1)
    assert f"{loss:.2f}" == "2.57" and f"{sp.tensor(7):03d}" == "007" and f"{sp.tensor(True):d}" == "1"
    assert round(loss, 2) == 2.57 and round(sp.tensor(2.5)) == 2 and round(sp.tensor(1234), -2) == 1200
    assert f"{sp.ones(2)}" == str(sp.ones(2)) and complex(sp.tensor(1.5)) == 1.5
    with pytest.raises(TypeError, match=r"format: float32\(2,\).*tolist"):
        f"{sp.ones(2):.2f}"
    with pytest.raises(TypeError, match=r"round: float32\(2,\).*sp.round"):
        round(sp.ones(2), 1)


@pytest.mark.parametrize("dtype", [sp.uint8, sp.int32, sp.int64, sp.bfloat16, sp.float32, sp.float64], ids=str)
def test_in_asks_the_elements(dtype):
    x = sp.tensor([[1, 2], [3, 4]], dtype=dtype)
    assert 3 in x and sp.tensor(4, dtype=dtype) in x and 9 not in x and 3 not in sp.zeros((0, 2), dtype=dtype)
    assert "a" not in x and None not in x and np.float32(2) in x


def test_comparing_with_a_tolerance():
    a, b = np.array([1.0, np.inf, np.nan, 5.0]), np.array([1 + 1e-9, np.inf, np.nan, 5.1])
    for equal_nan in (False, True):
        right = np.isclose(a, b, equal_nan=equal_nan)
        for found in (
            sp.isclose(a, sp.tensor(b), equal_nan=equal_nan),
            np.isclose(sp.tensor(a), b, equal_nan=equal_nan),
        ):
            assert np.array_equal(found.numpy(), right)
    assert np.allclose(sp.ones(3), np.ones(3)) is True and sp.allclose(sp.ones(2), [1.0, 1.1]) is False
    assert sp.array_equal([1, 2], sp.tensor([1, 2])) and not np.array_equal(sp.ones(2), np.ones(3))
    assert sp.allclose(sp.ones(1, requires_grad=True), 1.0)


def test_isin():
    x = np.array([[1, 5], [7, 1]])
    assert np.array_equal(sp.isin(x, [1, 7]).numpy(), np.isin(x, [1, 7]))
    assert np.array_equal(np.isin(sp.tensor(x), [5], invert=True).numpy(), np.isin(x, [5], invert=True))
    assert sp.isin(1, sp.tensor([1.0, np.nan])).item() and not sp.isin(np.nan, np.array([np.nan])).item()


# ---- creation ----

MAKERS = {
    "tensor": ([1.0],),
    "asarray": ([1.0],),
    "zeros": (2,),
    "ones": (2,),
    "empty": (2,),
    "full": (2, 1.5),
    "arange": (3.0,),
    "linspace": (0, 1, 3),
    "eye": (2,),
    "zeros_like": ([1.0],),
    "ones_like": ([1.0],),
    "empty_like": ([1.0],),
    "full_like": ([1.0], 2),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_creation_function_takes_dtype_device_and_requires_grad(name):
    make, args = getattr(sp, name), MAKERS[name]
    x = make(*args, dtype=sp.float64, device="cpu", requires_grad=True)
    assert x.requires_grad and x.is_leaf and x.dtype == sp.float64
    sp.sum(x * x).backward()
    assert x.grad.shape == x.shape and not make(*args, device=None).requires_grad
    with pytest.raises(ValueError, match=f"{name}: device must be"):
        make(*args, device="cuda")
    with pytest.raises(sp.GradientError, match=r"requires_grad.*int32"):
        make(*args, dtype=sp.int32, requires_grad=True)
    with pytest.raises(TypeError, match=f"{name}.*requires_grad must be True or False"):
        make(*args, requires_grad="yes")


def test_sizes_may_be_given_one_by_one():
    assert sp.zeros(3, 4).shape == (3, 4) == sp.ones(3, 4, dtype=sp.int64).shape and sp.empty(2, 0, 1).shape == (
        2,
        0,
        1,
    )
    assert sp.zeros(3, 4, sp.float64).dtype == sp.float64 and sp.zeros(np.int64(3)).shape == (3,) == sp.zeros([3]).shape


def test_a_diagonal_beyond_the_matrix_is_empty():
    for k in (2, -2, 2**63 - 1, 2**70, -(2**70)):
        assert sp.eye(2, k=k).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(TypeError, match="eye: k must be an integer, and got float"):
        sp.eye(2, k=1.5)


def test_asarray_and_reshape_copy_as_they_are_told():
    a = np.ones(4, "float32")
    x = sp.asarray(a)
    assert sp.asarray(x) is not None and np.shares_memory(sp.asarray(a, copy=False).numpy(), a)
    assert not np.shares_memory(sp.asarray(a, copy=True).numpy(), a)
    for data, dtype in (([1.0], None), (a, sp.float64), (1.0, None)):
        with pytest.raises(ValueError, match=r"asarray.*copy=False"):
            sp.asarray(data, dtype=dtype, copy=False)
    assert not np.shares_memory(x.reshape((2, 2), copy=True).numpy(), a)
    with pytest.raises(ValueError, match=r"reshape.*copy=False"):
        sp.ones((2, 3)).T.reshape((6,), copy=False)
    assert not np.shares_memory(x.astype("float32", copy=True).numpy(), a)


# ---- the array API's options, with derivatives and compiled ----


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod", "cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
def test_accumulating_in_a_dtype(name, dtype):
    x = np.array([3, 4, 5, 6], "int32")
    right = getattr(np, name)(x, dtype=dtype)
    for f in (getattr(sp, name), sp.compile(getattr(sp, name))):
        found = f(sp.tensor(x), dtype=dtype)
        assert found.dtype == sp.dtype(dtype) and np.array_equal(found.numpy(), right)
    assert np.array_equal(getattr(np, name)(sp.tensor(x), dtype=dtype).numpy(), right)
    if dtype == "float64":
        sp.check_grads(lambda t: getattr(sp, name)(t, dtype=dtype), (x / 3.0,), order=2)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_running_totals_with_a_first_one(name):
    x = np.arange(1.0, 7).reshape(2, 3)
    f = getattr(sp, name)
    for axis in (0, 1, -1):
        right = getattr(np, name)(x, axis=axis, include_initial=True)
        assert np.array_equal(f(sp.tensor(x), axis=axis, include_initial=True).numpy(), right)
    sp.check_grads(lambda t: f(t, axis=0, include_initial=True), (x,), order=2)
    with pytest.raises(ValueError, match="axis="):
        f(sp.tensor(x))
    assert np.array_equal(sp.cumsum(sp.tensor(x), None).numpy(), np.cumsum(x))


def test_clip_by_nan_and_by_floats():
    x = sp.tensor([1.0, np.nan, 3.0])
    for f in (sp.clip, sp.compile(sp.clip)):
        assert np.array_equal(f(x, np.nan, 2.0).numpy(), np.clip(x.numpy(), np.nan, 2.0), equal_nan=True)
        assert np.array_equal(f(x, None, sp.tensor([np.nan, 1, 1])).numpy(), [np.nan, np.nan, 1], equal_nan=True)
        assert f(sp.tensor([1, 2, 3]), 1.5, 2.5).tolist() == [1.5, 2, 2.5]


def test_floor_divide_and_sign_at_the_ends():
    inf, a = np.inf, sp.tensor([np.inf, -np.inf, 3.0, -3.0, 0.0, np.inf, -1.0])
    found = sp.floor_divide(a, [2.0, 2.0, inf, inf, -inf, inf, -2.5]).numpy()
    assert np.array_equal(found, [inf, -inf, 0.0, -0.0, -0.0, np.nan, 0.0], equal_nan=True)
    assert np.signbit(found).tolist()[:5] == [False, True, False, True, True] and not np.signbit(found[-1])
    assert not np.signbit(sp.sign(sp.tensor([-0.0, 0.0])).numpy()).any() and np.isnan(sp.sign(sp.tensor(np.nan)).item())


def test_several_axes_move_at_once():
    x = np.zeros((2, 3, 4, 5))
    for source, destination in (((0, 1), (-1, 0)), (2, 0), ((), ()), ((3, 0, 1), (0, 1, 3))):
        assert sp.moveaxis(sp.tensor(x), source, destination).shape == np.moveaxis(x, source, destination).shape
    for wrong in (((0, 1), 0), ((0, 0), (1, 2)), ((0, 1), (1, 1))):
        with pytest.raises(ValueError, match="moveaxis"):
            sp.moveaxis(sp.tensor(x), *wrong)


# ---- random ----


def test_random_bounds_and_dtypes():
    g = sp.random.Generator(0)
    for low, high, dtype in ((0, 256, "uint8"), (-5, 7, "int32"), (0, 2, "bool"), (-3, 0, None)):
        x = g.integers(low, high, (500,), dtype=dtype)
        assert (
            x.dtype == sp.dtype(dtype or "int64") and set(x.astype(sp.int64).tolist()) == set(range(low, high))
        ) or high == 256
        assert x.astype(sp.int64).min() >= low and x.astype(sp.int64).max() < high
    for draw in (g.uniform, g.normal):
        assert draw(shape=(3,), dtype=sp.float64).dtype == sp.float64 and draw(shape=(3,)).dtype == sp.float32
    spread = g.uniform(-2.0, 3.0, (1000,), dtype=sp.float64).numpy()
    assert spread.min() >= -2 and spread.max() < 3 and not np.array_equal(spread, spread.astype(np.float32))


@pytest.mark.parametrize(
    "call, kind, said",
    [
        (lambda g: g.integers(5, 5), ValueError, "integers: no draw"),
        (lambda g: g.integers(3, 1), ValueError, "no draw"),
        (lambda g: g.integers(0), ValueError, "no draw"),
        (lambda g: g.integers(0, 257, dtype="uint8"), ValueError, "uint8"),
        (lambda g: g.integers(-1, 2, dtype="uint8"), ValueError, "0 to 255"),
        (lambda g: g.integers(0, 2**33, dtype="int32"), ValueError, "int32"),
        (lambda g: g.integers(0, 3, dtype="float32"), TypeError, "integer dtype"),
        (lambda g: g.integers(0.5, 3), ValueError, "low"),
        (lambda g: g.uniform(2.0, 1.0), ValueError, "low must be at most high"),
        (lambda g: g.uniform(0.0, np.inf), ValueError, "finite"),
        (lambda g: g.uniform(np.nan, 1.0), ValueError, "uniform"),
        (lambda g: g.uniform(0.0, 1.0, (2,), dtype="int64"), TypeError, "int64"),
        (lambda g: g.normal((2,), std=-1.0), ValueError, "std"),
        (lambda g: g.normal((2,), dtype="int32"), TypeError, "int32"),
        (lambda g: g.bernoulli(1.5), ValueError, "probability"),
        (lambda g: g.permutation(-1), ValueError, "permutation"),
        (lambda g: g.permutation(2.5), ValueError, "integer"),
        (lambda g: sp.random.Generator(1.5), ValueError, "seed"),
        (lambda g: g.uniform((2.5,)), TypeError, "float"),
    ],
)
def test_random_refuses(call, kind, said):
    g = sp.random.Generator(0)
    with pytest.raises(kind, match=said):
        call(g)
    assert g.position == 0


# ---- printing ----


def test_prints_are_short_and_say_the_shape():
    for t in (sp.zeros((10, 10, 10)), sp.zeros((1000, 1000)), sp.ones((3,) * 6).astype(sp.bfloat16), sp.zeros((3, 0))):
        assert len(repr(t)) < 4000 and f"shape={t.shape}" in repr(t) and f"dtype={t.dtype}" in repr(t)
    assert repr(sp.tensor([1.0, 2.0])) == "tensor([1., 2.], dtype=float32)"

    class Model(sp.nn.Module):
        def __init__(self):
            self.w, self.table = sp.ones((3, 2), requires_grad=True), sp.zeros((500, 500))
            self.layer = sp.nn.Linear(2, 1)

    text = repr(Model())
    assert "w: parameter, float32(3, 2)" in text and "table: buffer, float32(500, 500)" in text and len(text) < 200
    for kind in (sp.optim.SGD, sp.optim.Adam, sp.optim.LBFGS, sp.optim.RMSProp):
        text = repr(kind(Model().parameters(), lr=0.25))
        assert (
            text.startswith(f"{kind.__name__}(")
            and "lr=0.25" in text
            and "3 tensors of float32, 9 numbers" in text
            and len(text) < 300
        )
    assert repr(sp.data.TensorDataset(np.ones((4, 2)))) == "TensorDataset(float64(4, 2))"
    assert len(repr(sp.compile(lambda x: x))) < 200 and "position=0" in repr(sp.random.Generator(1))


def test_a_parameter_is_not_replaced_by_a_result():
    layer = sp.nn.Linear(2, 1)
    with pytest.raises(ValueError, match=r"Linear.weight is a parameter.*result of multiply.*no_grad"):
        layer.weight = layer.weight * 0.5
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.weight = sp.tensor(np.ones((2, 1), "float32"), requires_grad=True)
    layer.weight.requires_grad = False
    layer.seen = layer.bias * 2  # kept from a forward pass
    assert [name for name, _ in layer.named_parameters()] == ["bias"]


def test_a_transform_may_put_its_own_tensor_in():
    layer = sp.nn.Linear(2, 1)

    def loss(w):
        layer.weight = w
        return sp.sum(layer(sp.ones((1, 2))))

    assert sp.grad(loss)(sp.zeros(layer.weight.shape)).tolist() == np.ones(layer.weight.shape).tolist()


# ---- the sweep ----


def public():
    found = [(f"steep.{n}", getattr(sp, n)) for n in dir(sp) if not n.startswith("_")]
    for name in MODULES:
        module = importlib.import_module(f"steep.{name}")
        names = getattr(module, "__all__", dir(module))
        found += [(f"{name}.{n}", getattr(module, n)) for n in names if not n.startswith("_")]
    return [(n, o) for n, o in found if callable(o) and str(getattr(o, "__module__", "")).startswith("steep")]


def methods():
    x = sp.tensor([[1.0, 2.0], [3.0, 4.0]])
    things = [
        x,
        sp.random.Generator(0),
        sp.GradientTape(),
        sp.nn.Linear(2, 2),
        sp.optim.SGD([sp.ones(1, requires_grad=True)], 0.1),
        sp.float32,
        sp.compile(lambda t: t),
        sp.__array_namespace_info__(),
    ]
    for thing in things:
        for name in dir(type(thing)):
            if not name.startswith("_") and callable(getattr(type(thing), name)):
                yield f"{type(thing).__name__}.{name}", getattr(thing, name)


WRONG = [
    ((object(),), {}),
    (("x", object()), {}),
    ((object(),) * 17, {}),
    ((), {"no_such_name": 1}),
    ((None,), {}),
    ((), {}),
]
QUIET = {"steep.trim_memory", "steep.set_num_threads", "steep.page"}


@pytest.mark.parametrize("name, f", [*public(), *methods()], ids=lambda v: v if isinstance(v, str) else "")
def test_wrong_arguments_are_told_in_steeps_words(name, f):
    for args, named in WRONG:
        try:
            f(*args, **named)
        except Exception as error:
            text = str(error)
            assert "incompatible" not in text and "pybind11" not in text and "No constructor" not in text, (args, text)


@pytest.mark.parametrize("name, f", public(), ids=lambda v: v if isinstance(v, str) else "")
def test_everything_public_has_a_signature(name, f):
    assert isinstance(inspect.signature(f), inspect.Signature)


def test_methods_of_tensors_have_signatures():
    for name in dir(sp.Tensor):
        f = getattr(sp.Tensor, name)
        if callable(f) and name not in ("__class__", "__init_subclass__", "__subclasshook__"):
            assert isinstance(inspect.signature(f), inspect.Signature), name
