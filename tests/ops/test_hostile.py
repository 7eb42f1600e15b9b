"""Arguments that nobody means: operands without elements, sizes near 2**62, counts that would never end.

Each is answered at once, by a right result or an error with text; tests/fuzz_ops.py calls every op with many more.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from steep import nn


def leaf(*shape):
    x = sp.ones(shape)
    x.requires_grad = True
    return x


CONVOLUTIONS = {
    "conv": (sp.conv1d, sp.conv2d, sp.conv3d),
    "transposed": (sp.conv_transpose1d, sp.conv_transpose2d, sp.conv_transpose3d),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_of_no_channels_is_its_bias(kind, spatial, groups, dtype):
    f = CONVOLUTIONS[kind][spatial - 1]
    x = sp.zeros((2, 0, *(4,) * spatial), dtype=dtype)
    shape = (4, 0) if kind == "conv" else (0, 4 // groups)
    w = sp.zeros((*shape, *(3,) * spatial), dtype=dtype)
    bias = sp.tensor([1.0, 2.0, 3.0, 4.0], dtype=dtype)
    for t in (x, w, bias):
        t.requires_grad = True
    y = f(x, w, bias, groups=groups, padding=1)
    assert y.shape == (2, 4, *(4,) * spatial)
    assert all((y[:, i].detach().numpy() == i + 1).all() for i in range(4))
    assert (f(x, w, groups=groups, padding=1).detach().numpy() == 0).all()
    y.sum().backward()
    assert x.grad.shape == x.shape and w.grad.shape == w.shape
    assert bias.grad.tolist() == [2 * 4**spatial] * 4
    replayed = sp.compile(lambda a, b, c: sp.relu(f(a, b, c, groups=groups, padding=1) - 2))
    for _ in range(3):
        found = replayed(x.detach(), w.detach(), bias.detach())
    assert [found[0, i].numpy().max() for i in range(4)] == [0, 0, 1, 2]


@pytest.mark.parametrize("f", [sp.conv2d, sp.conv_transpose2d])
def test_an_empty_batch(f):
    x, w = leaf(0, 2, 5, 5), leaf(2, 2, 3, 3)
    f(x, w).sum().backward()
    assert x.grad.shape == x.shape and w.grad.tolist() == np.zeros((2, 2, 3, 3)).tolist()


def test_a_layer_of_no_channels():
    layer = nn.Conv2d(0, 3, 3)
    assert layer(sp.zeros((1, 0, 5, 5))).shape == (1, 3, 3, 3)


def test_differences_end_when_nothing_is_left():
    assert sp.diff(sp.arange(5), n=2**62).shape == (0,)
    assert sp.diff(sp.arange(5), n=4).tolist() == [0]
    assert sp.diff(sp.zeros((0, 3)), axis=0, n=2**62).shape == (0, 3)
    with pytest.raises(ValueError, match="negative"):
        sp.diff(sp.arange(5), n=-1)


@pytest.mark.parametrize("parts", [2**62, 2**31, 2**25])
def test_splitting_nothing_into_very_many_parts(parts):
    with pytest.raises(ValueError, match=f"{parts} parts"):
        sp.split(sp.zeros((0, 3)), parts)
    assert len(sp.split(sp.zeros((0, 3)), 5)) == 5


def test_long_axes_of_nothing():
    nothing = sp.zeros((2**40, 0))
    for f in (sp.unstack, lambda t: t.tolist()):
        with pytest.raises(ValueError, match=str(2**40)):
            f(nothing)


@pytest.mark.parametrize("size", [7, 8, 65536, 2**31, 2**62])
def test_local_response_norm_over_more_neighbours_than_there_are(size):
    x = sp.tensor(np.linspace(-2, 2, 24).reshape(1, 4, 6), dtype="float64")
    found = sp.local_response_norm(x, size, alpha=1e3).numpy()
    squares = np.broadcast_to((x.numpy() ** 2).sum(axis=1, keepdims=True), x.shape)
    np.testing.assert_allclose(found, x.numpy() / (1 + 1e3 / size * squares) ** 0.75, rtol=1e-12)


def test_tolist_in_stretches_equals_numpys():
    a = np.arange(200_000, dtype=np.float32)
    for shape in ((200_000,), (2, 100_000), (100_000, 2), (20, 100, 100)):
        assert sp.tensor(a.reshape(shape)).tolist() == a.reshape(shape).tolist()
    assert sp.zeros((70_000,), dtype="bool").tolist() == [False] * 70_000


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_unique_values_equal_numpys(dtype):
    rng = np.random.default_rng(0)
    for shape in ((), (0,), (1,), (40,), (5, 8)):
        a = rng.integers(0, 6, shape).astype(dtype)
        found, expected = sp.unique_all(sp.tensor(a)), np.unique(a, return_index=True, return_inverse=True)
        np.testing.assert_array_equal(found.values.numpy(), expected[0])
        np.testing.assert_array_equal(found.indices.numpy(), expected[1])
        np.testing.assert_array_equal(found.inverse_indices.numpy(), expected[2].reshape(shape))
        assert found.counts.sum().item() == a.size and found.values.dtype == sp.tensor(a).dtype
    nans = sp.unique_all(sp.tensor([float("nan"), 1.0, float("nan")]))
    assert nans.counts.tolist() == [1, 1, 1] and nans.values.shape == (3,)
