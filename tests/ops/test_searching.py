"""argmax, argmin and nonzero beside NumPy's: lengths around vectors and blocks, NaN first, masks of any density."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

LENGTHS = [1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 200, 1000, 70_001]


def numbers(draw, dtype, n):
    if dtype == "bool":
        return draw.random(n) < 0.5
    return draw.integers(0, 50, n).astype(dtype)  # small, so that several are the largest


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("n", LENGTHS)
def test_the_first_of_the_largest(n, dtype):
    x = np.stack([numbers(np.random.default_rng(seed), dtype, n) for seed in range(3)])
    t = sp.tensor(x)
    for ours, numpy in ((sp.argmax, np.argmax), (sp.argmin, np.argmin)):
        np.testing.assert_array_equal(ours(t, axis=1).numpy(), numpy(x, axis=1))
        np.testing.assert_array_equal(ours(t, axis=0).numpy(), numpy(x, axis=0))
        assert int(ours(t)) == numpy(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", LENGTHS)
def test_the_first_nan_is_the_largest_and_the_smallest(n, dtype):
    draw = np.random.default_rng(n)
    for at in {0, n - 1, *draw.integers(0, n, 5).tolist()}:
        x = draw.standard_normal(n).astype(dtype)
        x[at:][draw.random(n - at) < 0.3] = np.nan
        x[at] = np.nan
        assert int(sp.argmax(sp.tensor(x))) == int(sp.argmin(sp.tensor(x))) == at


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("n", [0, *LENGTHS])
def test_nonzero_lists_every_place(n, density):
    mask = np.random.default_rng(n).random(n) < density
    np.testing.assert_array_equal(sp.nonzero(sp.tensor(mask))[0].numpy(), np.flatnonzero(mask))
    x = np.arange(n, dtype=np.float32)
    np.testing.assert_array_equal(sp.tensor(x)[sp.tensor(mask)].numpy(), x[mask])


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 4), (1, 70, 1), (5, 0, 2)])
def test_nonzero_has_an_index_for_each_axis(shape):
    mask = np.random.default_rng(0).random(shape) < 0.4
    for ours, numpy in zip(sp.nonzero(sp.tensor(mask)), np.nonzero(mask), strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpy)
