"""Arrays of other libraries wherever tensors are taken: by DLPack, by ``__array__``, without importing the library.

Small classes stand in for the libraries, each with the one protocol that is tested; PyTorch and JAX themselves are
tried where they are installed.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import attack, data, metrics, nn, saliency
from steep import distributed as dist
from steep.training import Recipe, fit

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(12, 4)).astype(np.float32)
LABELS = np.arange(12) % 3
PICTURES = RNG.random((4, 1, 8, 8)).astype(np.float32)


class Foreign:
    """An array of which NumPy knows nothing but a shape, a dtype and rows."""

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype = values.shape, values.dtype

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return type(self)(np.asarray(self.values[index]))


class ByDLPack(Foreign):
    """DLPack as it was before its version 1.0, and NumPy's protocol."""

    def __dlpack__(self, stream=None):
        return self.values.__dlpack__()

    def __dlpack_device__(self):
        return (1, 0)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


class ByDLPack1(ByDLPack):
    def __dlpack__(self, stream=None, max_version=None):
        return self.values.__dlpack__(max_version=max_version)


class ByArray(Foreign):
    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def library(name):
    module = pytest.importorskip(name)
    return module.numpy.asarray if name == "jax" else module.as_tensor


KINDS = {
    "numpy": lambda: np.asarray,
    "dlpack": lambda: ByDLPack,
    "dlpack 1.0": lambda: ByDLPack1 if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else ByDLPack,
    "__array__": lambda: ByArray,
    "torch": partial(library, "torch"),
    "jax": partial(library, "jax"),
}


@pytest.fixture(params=KINDS)
def of(request):
    return KINDS[request.param]()


def classifier():
    layers = nn.Conv2d(1, 4, 3, generator=0), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3, generator=1)
    return nn.Sequential(*layers).eval()


class TwoInputs(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(4, 3, generator=0)

    def forward(self, pair):
        return self.layer(pair[0]) - self.layer(pair[1])


def trained(model, *given, **options):
    fit(model, *given, recipe=Recipe(epochs=2, batch_size=4, lr=0.1), **options)
    return model.parameters()[0]


def loaded(x):
    layer = nn.Linear(12, 4, generator=0)
    layer.load_state_dict({"weight": sp.asarray(x).T, "bias": x[0]})
    return layer(np.ones((2, 12), np.float32))


# What takes rows (12, 4), labels (12,), pictures (4, 1, 8, 8) and their labels (4,), and gives values.
CALLS = {
    "tensor": lambda x, y, p, t: sp.tensor(x),
    "asarray as float64": lambda x, y, p, t: sp.asarray(x, dtype="float64"),
    "an op": lambda x, y, p, t: sp.exp(x),
    "two operands": lambda x, y, p, t: sp.ones((12, 4)) * x + x,
    "a sequence": lambda x, y, p, t: sp.concat([x, x], axis=1),
    "a list": lambda x, y, p, t: sp.tensor([x[0], x[1]]),
    "a nested list": lambda x, y, p, t: sp.asarray([[x[0]], [sp.ones(4)]]),
    "an index": lambda x, y, p, t: sp.arange(3)[y],
    "a product": lambda x, y, p, t: sp.ones((2, 12)) @ x,
    "a layer": lambda x, y, p, t: nn.Linear(4, 2, generator=0)(x),
    "an embedding": lambda x, y, p, t: nn.Embedding(3, 2, generator=0)(y),
    "a model": lambda x, y, p, t: classifier()(p),
    "activations": lambda x, y, p, t: classifier().activations(p, "0")["0"],
    "a loss": lambda x, y, p, t: nn.cross_entropy(x, y),
    "a gradient": lambda x, y, p, t: sp.grad(lambda a: sp.sum(a**3))(x),
    "a compiled step": lambda x, y, p, t: sp.compile(lambda a: sp.tanh(a) * 2)(x),
    "a loader": lambda x, y, p, t: next(iter(data.DataLoader(data.TensorDataset(x, y), 5)))[0],
    "a split": lambda x, y, p, t: data.split((x, y), 0.25, stratify=True)[1][0],
    "fit": lambda x, y, p, t: trained(nn.Linear(4, 3, generator=0), (x, y)),
    "fit with weights": lambda x, y, p, t: trained(nn.Linear(4, 3, generator=0), (x, y, sp.ones(12)), None),
    "fit, two inputs": lambda x, y, p, t: trained(TwoInputs(), ((x, x[::1]), y)),
    "a metric": lambda x, y, p, t: metrics.evaluate(nn.Linear(4, 3, generator=0), (x, y))["accuracy"],
    "an attribution": lambda x, y, p, t: saliency.integrated_gradients(classifier(), p, target=t),
    "an attack": lambda x, y, p, t: attack.fgsm(classifier(), p, t, eps=0.1).x,
    "a mapped method": lambda x, y, p, t: dist.map(saliency.gradient, classifier(), p).arrays()["result"],
    "weights": lambda x, y, p, t: loaded(x),
}


def values(result):
    return np.asarray(result.detach() if isinstance(result, sp.Tensor) else result)


@pytest.mark.parametrize("call", CALLS)
def test_arrays_of_any_library_give_the_bits_of_numpys(of, call):
    given = ROWS, LABELS.astype(np.int32), PICTURES, LABELS[:4].astype(np.int32)
    expected = values(CALLS[call](*given))
    found = values(CALLS[call](*(of(array) for array in given)))
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


VIEWS = [lambda a: a.T, lambda a: a[:, ::2], lambda a: a[::-1], lambda a: a[:0], lambda a: a[1, 1]]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", [ByDLPack, ByDLPack1, ByArray])
def test_any_layout(kind, view):
    wanted = np.asarray(view(ROWS))
    for given in (sp.asarray(kind(wanted)), sp.tensor(kind(wanted)), sp.add(kind(wanted), 0.0)):
        assert given.shape == wanted.shape
        np.testing.assert_array_equal(given.numpy(), wanted)


# ---- what cannot be read ----


class OfGraph(ByDLPack):
    """As PyTorch's tensors that require a gradient."""

    requires_grad = True

    def __dlpack__(self, **options):
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class OnDevice(OfGraph):
    requires_grad = False

    def __dlpack_device__(self):
        return (2, 1)


class Sparse(OfGraph):
    requires_grad = False

    def __dlpack__(self, **options):
        raise BufferError("Can't export tensors with another layout\nand more of it")


class Negated(ByDLPack):
    """As PyTorch's imaginary parts of conjugates, whose memory lacks the sign."""

    def is_neg(self):
        return True


REFUSED = {
    OfGraph: (sp.GradientError, r"OfGraph float32 \(12, 4\) requires a gradient.*x\.detach\(\)"),
    OnDevice: (ValueError, r"on CUDA \(number 1\), not in CPU memory.*x\.cpu\(\)"),
    Sparse: (TypeError, r"Sparse float32 \(12, 4\) does not give its memory \(Can't export .* layout\); pass"),
    Negated: (ValueError, r"negation of Negated float32 \(12, 4\).*resolve_neg"),
}
WAYS = {
    "asarray": sp.asarray,
    "tensor": sp.tensor,
    "from_dlpack": sp.from_dlpack,
    "an op": sp.exp,
    "a list": lambda x: sp.tensor([x, x]),
    "a layer": nn.Linear(4, 2, generator=0),
    "an operand": lambda x: sp.ones(4) + x,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", REFUSED)
def test_refusals_name_the_array_and_the_fix(kind, way):
    error, text = REFUSED[kind]
    with pytest.raises(error, match=text):
        WAYS[way](kind(ROWS))


@pytest.mark.parametrize("kind", [OfGraph, OnDevice, Sparse])
@pytest.mark.parametrize("way", [lambda x: data.TensorDataset(x), lambda x: metrics.find("mse").of(x, ROWS)])
def test_data_sets_and_metrics_refuse_alike(kind, way):
    error, text = REFUSED[kind]
    with pytest.raises(error, match=text):
        way(kind(ROWS))


def test_the_exporters_own_exception_is_the_cause():
    with pytest.raises(TypeError) as caught:
        sp.exp(Sparse(ROWS))
    assert isinstance(caught.value.__cause__, BufferError) and "and more of it" in str(caught.value.__cause__)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_interrupts_pass_through(stop):
    class Stops(ByDLPack):
        def __dlpack__(self, **options):
            raise stop

    with pytest.raises(stop):
        sp.exp(Stops(ROWS))


# ---- memory ----


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="NumPy's DLPack tells of it since 2.1")
@pytest.mark.parametrize("make", [lambda a: a, ByDLPack1])
def test_read_only_memory_is_not_written_by_dlpack(make):
    fixed = ROWS.copy()
    fixed.flags.writeable = False
    x = sp.from_dlpack(make(fixed))
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1.0
    np.testing.assert_array_equal(x.numpy(), fixed)


@pytest.mark.parametrize("into", [sp.asarray, sp.from_dlpack])
@pytest.mark.parametrize("kind", [ByDLPack, ByDLPack1])
def test_writable_memory_is_shared(into, kind):
    values = ROWS.copy()
    into(kind(values))[0] = 7.0
    assert (values[0] == 7).all()


@pytest.mark.parametrize("into", [sp.asarray, sp.from_dlpack])
def test_arrays_of_jax_stay_as_they_are(into):
    fixed = library("jax")([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        into(fixed)[0] = 5.0
    assert fixed.tolist() == [1.0, 2.0]


# ---- bfloat16 ----


class Half(ByDLPack):
    """bfloat16 as PyTorch has it: by DLPack, and not by NumPy."""

    def __init__(self, values):
        super().__init__(sp.asarray(values).astype("bfloat16"))

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Got unsupported ScalarType BFloat16")


HALVES = {
    "dlpack": lambda: Half(ROWS),
    "torch": lambda: library("torch")(ROWS).bfloat16(),
    "jax": lambda: library("jax")(ROWS).astype("bfloat16"),
}


@pytest.mark.parametrize("kind", HALVES)
def test_bfloat16_comes_as_it_is(tmp_path, kind):
    x, wanted = HALVES[kind](), sp.asarray(ROWS).astype("bfloat16")
    for found in (sp.asarray(x), sp.tensor(x), sp.reshape(x, (12, 4)), sp.tensor([x])[0]):
        assert found.dtype == sp.bfloat16 and found.tolist() == wanted.tolist()
    assert next(iter(data.DataLoader(data.TensorDataset(x), 12))).astype("float32").tolist() == wanted.tolist()
    sp.io.save(tmp_path / "x.safetensors", {"x": x})
    assert sp.io.load(tmp_path / "x.safetensors")["x"].tolist() == wanted.tolist()


def test_bfloat16_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = ROWS.astype(ml_dtypes.bfloat16)
    found = sp.asarray(x)
    assert found.dtype == sp.bfloat16 and found.tolist() == x.astype(np.float32).tolist()


# ---- dtypes that steep lacks: the fix holds every value ----


@pytest.mark.parametrize(
    ("dtype", "fix"),
    [("int8", "int32"), ("uint16", "int32"), ("uint32", "int64"), ("float16", "float32"), ("complex64", r"x\.real")],
)
@pytest.mark.parametrize("kind", [np.asarray, ByDLPack])
def test_refused_dtypes_name_one_that_holds_their_values(kind, dtype, fix):
    with pytest.raises(TypeError, match=rf"elements of dtype {dtype}.*{fix}"):
        sp.asarray(kind(np.ones(3, dtype)))


def test_a_loader_of_batches_is_no_data_set():
    class Loader:
        def __init__(self, dataset):
            self.dataset = dataset

        def __iter__(self):
            return iter([])

        def __len__(self):
            return 0

    with pytest.raises(TypeError, match=r"Loader gives batches; pass the data set.*loader\.dataset"):
        fit(nn.Linear(4, 3, generator=0), Loader([]))
