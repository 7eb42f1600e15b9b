"""argsort beside NumPy's stable sort, on the edges of sorting by digits: chunks, signs, NaN, equal keys, threads."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

DTYPES = ["float32", "float64", "int32", "int64", "uint8", "bool"]
# Around the length up to which keys are compared (96), and the items of one chunk (65,536).
LENGTHS = [1, 2, 95, 96, 97, 1000, 65535, 65536, 65537, 200_003]


def numbers(dtype, n, seed=0):
    rng = np.random.default_rng(seed)
    if not dtype.startswith("float"):
        low, high = (0, 2) if dtype == "bool" else (0, 256) if dtype == "uint8" else (-(2**31), 2**31)
        return rng.integers(low, high, n).astype(dtype)
    x = (rng.standard_normal(n) * 10.0 ** rng.integers(-30, 30, n)).astype(dtype)
    special = np.asarray([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1.0], dtype)
    at = rng.integers(0, n, n // 3)
    x[at] = special[rng.integers(0, len(special), len(at))]
    return x


def expected(x, descending):
    """NaN last either way, and equal elements in their order."""
    if x.dtype.kind == "f":
        nan = np.isnan(x)
        order = np.lexsort((np.arange(len(x)), -x if descending else x, nan))
        return np.concatenate([order[: len(x) - nan.sum()], np.flatnonzero(nan)])
    wide = x.astype(np.int64)
    return np.argsort(-wide if descending else wide, kind="stable")


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_argsort_is_stable_and_puts_nan_last(dtype, n, descending):
    x = numbers(dtype, n)
    found = sp.argsort(sp.tensor(x), descending=descending).numpy()
    np.testing.assert_array_equal(found, expected(x, descending))
    np.testing.assert_array_equal(sp.sort(sp.tensor(x), descending=descending).numpy(), x[found])


@pytest.mark.parametrize("shape", [(1,), (96,), (200_003,), (7, 300), (3, 5, 97), (0, 4), (70_000, 2)], ids=str)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_alone_and_values_by_positions_have_the_same_bits(dtype, descending, shape):
    """Signs of zeros and payloads of NaN included: without a graph the elements are sorted without their positions."""
    x = numbers(dtype, int(np.prod(shape)), seed=4).reshape(shape)
    bits = f"u{x.itemsize}"
    for axis in range(-1, len(shape) - 1):
        plain = sp.sort(sp.tensor(x), axis=axis, descending=descending)
        graph = sp.sort(sp.tensor(x, requires_grad=True), axis=axis, descending=descending)
        compiled = sp.compile(lambda t, axis=axis: sp.sort(t, axis=axis, descending=descending))(sp.tensor(x))
        for found in (graph, compiled):
            np.testing.assert_array_equal(plain.numpy().view(bits), found.detach().numpy().view(bits))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("k", [0, 1, 7, 62, 63, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_topk_gives_the_first_of_argsort(dtype, k, largest):
    """By a heap up to a sixteenth of the elements, which are 62, and by sorting all beyond."""
    x = np.stack([numbers(dtype, 1000, seed) for seed in range(3)])
    values, at = sp.topk(sp.tensor(x), k, largest=largest)
    wanted = np.stack([expected(row, largest)[:k] for row in x])
    np.testing.assert_array_equal(at.numpy(), wanted)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, wanted, 1))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (7, 1), (5, 97), (2, 66_000), (300, 300)], ids=str)
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns(shape, axis):
    x = np.random.default_rng(1).integers(0, 50, shape).astype(np.float32)
    found = sp.argsort(sp.tensor(x), axis=axis).numpy()
    np.testing.assert_array_equal(found, np.argsort(x, axis=axis, kind="stable"))


@pytest.mark.parametrize("value", [0.0, -1.5, np.nan])
def test_all_equal(value):
    assert sp.argsort(sp.full(150_000, value)).numpy().tolist() == list(range(150_000))


@pytest.mark.parametrize("n", [1000, 300_000])
def test_the_extremes_of_integers(n):
    x = np.random.default_rng(2).integers(-(2**63), 2**63 - 1, n)
    x[: n // 2] = np.resize([-(2**63), 2**63 - 1, 0, -1], n // 2)
    for descending in (False, True):
        order = np.argsort(~x if descending else x, kind="stable")
        np.testing.assert_array_equal(sp.argsort(sp.tensor(x), descending=descending).numpy(), order)


def test_the_same_order_for_any_threads():
    x = sp.tensor(numbers("float32", 400_000, seed=3))
    before, orders = sp.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            sp.set_num_threads(threads)
            orders.append(sp.argsort(x).numpy())
    finally:
        sp.set_num_threads(before)
    np.testing.assert_array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[0], orders[2])
