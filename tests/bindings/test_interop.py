"""Tensors among other libraries' arrays: buffers, DLPack, NumPy's functions, pickles, copies, weak references.

Memory is shared where it can be and copied where it must be; what NumPy cannot be answered names what to call.
"""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref

import numpy as np
import pytest
import steep as sp
from steep import _interop

DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]


def leaf(values):
    return sp.tensor(np.asarray(values, dtype="float64"), requires_grad=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (1, 2, 1, 2, 1, 2, 1, 2)])
def test_round_trips(dtype, shape):
    """Through asarray, buffers, DLPack both ways and pickles: shape, dtype and elements."""
    a = np.array(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3, dtype=dtype)
    x = sp.asarray(a)
    assert x.dtype.name == dtype and x.shape == shape
    for b in (np.asarray(x), x.numpy(), np.array(memoryview(x)), np.from_dlpack(x),
    pickle.loads(pickle.dumps(x)).numpy(),
              sp.from_dlpack(a).numpy(), copy.deepcopy(x).numpy(), copy.copy(x).numpy(),
              sp.tensor(a).numpy()):  # fmt: skip
        assert b.shape == shape and b.dtype == a.dtype
        np.testing.assert_array_equal(b, a)
    assert x.tolist() == a.tolist()


@pytest.mark.parametrize("into", [sp.asarray, sp.from_dlpack])
@pytest.mark.parametrize("out", [np.asarray, np.from_dlpack, lambda x: x.numpy()])
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[::-1], lambda a: a.T, lambda a: a[1:, ::2]])
def test_memory_is_shared(into, out, view):
    a = np.arange(12.0).reshape(3, 4)
    x = into(view(a))
    b = out(x)
    a[:] += 100
    np.testing.assert_array_equal(x.numpy(), view(a))
    np.testing.assert_array_equal(b, view(a))
    x[0] = -1.0
    np.testing.assert_array_equal(view(a)[0], b[0])


def test_tensor_copies_and_memory_outlives_its_maker():
    a = np.arange(3.0)
    x = sp.tensor(a)
    a[0] = 9
    assert x.tolist() == [0.0, 1.0, 2.0]
    b = sp.arange(1000).numpy()
    t = sp.asarray(np.arange(1000))
    gc.collect()
    assert b.sum() == t.sum().item() == 499500
    capsule = sp.tensor([1.0, 2.0]).__dlpack__()
    del capsule
    assert sp.tensor([1.0]).__dlpack_device__() == (1, 0)


def test_read_only_memory_stays_read_only():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = sp.asarray(a)
    with pytest.raises(ValueError, match="read-only"):
        x += 1
    assert not x.numpy().flags.writeable
    w = leaf([1.0, 2.0, 3.0])
    y = w * sp.asarray(a)
    assert y.tolist() == [0.0, 2.0, 6.0]
    assert a.tolist() == [0.0, 1.0, 2.0]


def test_odd_memory():
    """Misaligned, swapped bytes, elements of no dtype here."""
    packed = np.zeros(3, dtype=[("a", "u1"), ("b", "<f8")])["b"]
    packed[:] = [1, 2, 3]
    assert sp.asarray(packed).tolist() == [1.0, 2.0, 3.0]
    for bad in (
        np.zeros(2, ">f8"),
        np.zeros(2, "float16"),
        np.zeros(2, "U3"),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, object),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            sp.asarray(bad)
        assert str(caught.value)


def test_asarray_arguments():
    x = sp.tensor([1.5, 2.5])
    assert np.asarray(x, dtype="int64").tolist() == [1, 2]
    assert np.array(x, copy=True) is not None and np.asarray(x).dtype == np.float32
    assert sp.asarray(x) is x or sp.asarray(x).tolist() == x.tolist()
    assert sp.asarray([1, 2], dtype="float64").dtype == sp.float64
    assert sp.asarray(np.float64(1.5)).dtype == sp.float64 and sp.asarray(1.5).dtype == sp.float32
    assert sp.tensor([np.float64(1)]).dtype == sp.float64 and sp.tensor([1.0]).dtype == sp.float32
    assert sp.tensor([1, 2]).dtype == sp.int64 and sp.tensor([True]).dtype == sp.bool
    assert sp.tensor(range(3)).tolist() == [0, 1, 2] and sp.tensor([]).shape == (0,)


# ---- NumPy's functions and operators on tensors ----

A = np.arange(6.0).reshape(2, 3) + 0.5
FUNCTIONS = [
    np.exp, np.tanh, np.sqrt, np.negative, np.abs, np.arctan, np.floor, np.rint, np.isnan, np.sign, np.square,
    np.sum, np.mean, np.max, np.min, np.prod, np.std, np.var, np.argmax, np.any, np.all, np.amax,
    lambda x: np.sum(x, axis=0), lambda x: np.mean(x, axis=1, keepdims=True), np.transpose, lambda x: np.transpose(x,
    (1, 0)),
    lambda x: np.reshape(x, (3, 2)), lambda x: np.concatenate([x, x]), lambda x: np.stack([x, x], axis=1),
    lambda x: np.add(x, 1),
    lambda x: np.matmul(x, x.T), lambda x: np.where(x > 2, x, 0), lambda x: np.clip(x, 1, 3), np.squeeze,
    lambda x: np.expand_dims(x, 0),
    lambda x: np.maximum(x, 2), lambda x: np.power(x, 2), lambda x: np.einsum("ij->ji", x), lambda x: np.take(x, [0,
    1], axis=1),
    lambda x: np.roll(x, 1, axis=1), lambda x: np.outer(x[0], x[1]), lambda x: np.tril(x), lambda x: np.sort(x,
    axis=0), np.cumsum,
    lambda x: np.broadcast_to(x, (2, 2, 3)), lambda x: np.flip(x), lambda x: np.multiply(A, x),
    lambda x: np.arctan2(x, 2.0),
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: getattr(f, "__name__", ""))
def test_numpy_functions_give_tensors(f):
    """With NumPy's result, and a gradient where there is one."""
    y = f(leaf(A))
    assert isinstance(y, sp.Tensor)
    np.testing.assert_allclose(y.detach().numpy(), f(A), rtol=1e-14)
    if y.dtype.kind == "f":
        assert y.requires_grad


def test_functions_whose_parameters_numpy_does_not_tell_are_answered():
    """Older NumPys tell none of their functions in C: what steep has of them is written down, as newer ones tell it."""
    with_tensors = {name: f for name in dir(np) if hasattr(f := getattr(np, name), "_implementation")}
    for name, f in with_tensors.items():
        if _interop._find(f.__name__):
            assert _interop._signature(f).parameters, name
    for name, written in _interop.SIGNATURES.items():
        try:
            told = inspect.signature(getattr(np, name))
        except ValueError:
            continue
        assert str(inspect.signature(written)) == str(told)
    like = np.empty_like(sp.tensor(A), dtype="float32")
    assert isinstance(like, sp.Tensor) and like.shape == (2, 3) and like.dtype == sp.float32
    with pytest.raises(TypeError, match=r"numpy.concatenate is not taken with out"):
        np.concatenate([sp.tensor(A)], out=sp.tensor(A))


@pytest.mark.parametrize("f", [lambda x, y: np.linalg.det(x), np.fft.fft, lambda x, y: np.interp(x, y, y),
    np.convolve, np.add.reduce, np.multiply.outer,
    np.gcd,
                               lambda x, *y: np.exp(x, out=A), lambda x, *y: np.histogram(x)])  # fmt: skip
def test_what_numpy_cannot_be_answered_says_what_to_call(f):
    with pytest.raises(TypeError) as caught:
        f(sp.tensor(A), sp.tensor(A))
    assert "numpy" in str(caught.value) and ("steep" in str(caught.value) or ".numpy()" in str(caught.value))


@pytest.mark.parametrize("f", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b,
    lambda a, b: a**b,
                               lambda a, b: a // b, lambda a, b: a % b, lambda a, b: a @ b.T, lambda a, b: a < b,
                               lambda a, b: a == b,
                               lambda a, b: a != b])  # fmt: skip
def test_arrays_beside_tensors(f):
    """array op tensor and tensor op array are tensors, and equal NumPy's."""
    B = A[::-1].copy() + 1
    for y in (
        f(A, sp.tensor(B)),
        f(sp.tensor(A), B),
        f(A.tolist(), sp.tensor(B)) if f(A, B).shape == A.shape else f(A, sp.tensor(B)),
    ):
        assert isinstance(y, sp.Tensor)
        np.testing.assert_allclose(y.numpy(), f(A, B), rtol=1e-14)


def test_numpy_scalars_beside_tensors_do_not_promote():
    x = sp.ones((2,), dtype="float32")
    for y in (x * 2.0, 2.0 * x, x * np.float64(2), x + 1, x * True):
        assert y.dtype == sp.float32
    assert isinstance(np.float32(2) * x, sp.Tensor)


def test_the_array_namespace():
    x = sp.tensor([1.0])
    assert x.__array_namespace__() is sp and x.__array_namespace__(api_version="2024.12") is sp
    for name in (
        "float32",
        "asarray",
        "permute_dims",
        "concat",
        "astype",
        "matmul",
        "isdtype",
        "finfo",
        "result_type",
        "pi",
        "newaxis",
    ):
        assert hasattr(sp, name)
    assert x.device == "cpu" and x.to_device("cpu").tolist() == [1.0]
    assert sp.astype(x, sp.int64).dtype == sp.int64 and x.mT.shape if x.ndim > 1 else True


# ---- pickles and copies ----


def test_pickles_hold_values_and_not_the_graph():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = (w * 2).T[::-1]
    back = pickle.loads(pickle.dumps(y))
    np.testing.assert_array_equal(back.numpy(), y.numpy())
    assert not back.requires_grad and pickle.loads(pickle.dumps(w)).requires_grad
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(w, protocol)).tolist() == w.tolist()


def test_deep_copies_are_apart():
    w = leaf([1.0, 2.0])
    tree = copy.deepcopy({"a": [w], "b": w})
    with sp.no_grad():
        w += 1
    assert tree["a"][0].tolist() == [1.0, 2.0] and tree["b"].requires_grad and tree["a"][0].grad is None


def test_ops_and_dtypes_pickle_by_name():
    assert pickle.loads(pickle.dumps(sp.float32)) == sp.float32
    assert pickle.loads(pickle.dumps(sp.exp)) is sp.exp or pickle.loads(pickle.dumps(sp.exp)).__name__ == "exp"


# ---- dtype objects, weak references, hashes ----


@pytest.mark.parametrize("name", DTYPES)
def test_dtype_objects(name):
    t = getattr(sp, name)
    assert t.name == name and t.itemsize == np.dtype(name).itemsize and t.kind == np.dtype(name).kind
    assert t == name and t == np.dtype(name) and t == sp.zeros((1,), dtype=t).dtype and t != "complex64"
    assert hash(t) == hash(getattr(sp, name)) and np.dtype(t) == np.dtype(name) and name in repr(t)
    assert len({t, sp.zeros((1,), dtype=name).dtype}) == 1


def test_weak_references_and_hashes():
    x = sp.tensor([1.0])
    r = weakref.ref(x)
    table = weakref.WeakKeyDictionary({x: 1})
    assert r() is x and len({x, x}) == 1 and x in {x: 0}
    del x
    gc.collect()
    assert r() is None and len(table) == 0


def test_python_protocols():
    x = sp.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert float(sp.tensor(2.5)) == 2.5 and int(sp.tensor(7)) == 7 and [1, 2, 3][sp.tensor(1)] == 2
    assert bool(sp.tensor([True])) and "float32" in repr(x) and "requires_grad" in repr(leaf([1.0]))
    assert f"{sp.tensor(1.0)}" and x.size == 4 and x.nbytes == 16 and x.itemsize == 4 and x.strides == (2, 1)
