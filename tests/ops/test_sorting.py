"""sort and argsort beside NumPy's stable sort: short rows, vectors, long rows, signs, NaN, equal keys, threads."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

DTYPES = ["float32", "float64", "int32", "int64", "uint8", "bool"]
# Around vectors of 2 to 16 keys, the 16 to 64 that are sorted by ranks, a chunk (65,536), and long rows (262,144).
LENGTHS = [1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129, 1000, 65535, 65537, 200_003, 262_143, 262_144, 300_001]


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


@pytest.mark.parametrize("n", [50, 150_000, 400_000])
@pytest.mark.parametrize("value", [0.0, -1.5, np.nan, np.inf, -np.inf])
def test_all_equal(value, n):
    assert sp.argsort(sp.full(n, value)).numpy().tolist() == list(range(n))


PATTERNS = {
    "ascending": lambda n: np.arange(n),
    "descending": lambda n: np.arange(n)[::-1],
    "organ pipe": lambda n: np.minimum(np.arange(n), n - np.arange(n)),
    "sawtooth": lambda n: np.arange(n) % 37,
    "two values": lambda n: np.random.default_rng(5).integers(0, 2, n),
    "one is small": lambda n: np.where(np.arange(n) == n // 3, -1, 7),
    "one is large": lambda n: np.where(np.arange(n) == n // 3, 9, 7),
    "mostly the largest": lambda n: np.where(np.arange(n) % 100 == 3, np.arange(n), 2**31 - 1),
    "mostly the smallest": lambda n: np.where(np.arange(n) % 100 == 3, np.arange(n), -(2**31)),
    "powers of two": lambda n: np.left_shift(1, np.random.default_rng(6).integers(0, 31, n)),
}


@pytest.mark.parametrize("n", [100, 5000, 300_000])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
def test_patterns(dtype, pattern, n):
    x = PATTERNS[pattern](n).astype(dtype)
    found = sp.argsort(sp.tensor(x)).numpy()
    np.testing.assert_array_equal(found, np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(sp.sort(sp.tensor(x)).numpy(), x[found])


def against_sampled_pivots(n):
    """An input whose sampled pivots are all small: played by an opponent who knows the positions that are sampled.

    Sixteen keys are drawn by Knuth's MMIX generator, and the pivot is the one with eight below. Keys that are drawn are
    made the smallest that are left, so each partition parts with a few.
    """
    x, places, random, smallest = np.full(n, -1), np.arange(n), 1, 0
    while len(places) > 64:
        drawn = []
        for _ in range(16):
            random = (random * 6364136223846793005 + 1442695040888963407) % 2**64
            drawn.append(places[(random >> 33) * len(places) >> 31])
        for place in drawn:
            if x[place] < 0:
                x[place], smallest = smallest, smallest + 1
        pivot = np.sort(x[drawn])[8]
        places = places[(x[places] < 0) | (x[places] >= pivot)]
    x[x < 0] = smallest + np.random.default_rng(7).permutation((x < 0).sum())
    return x


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_pivots_that_are_always_unlucky_are_given_up(dtype):
    x = against_sampled_pivots(20_000).astype(dtype)
    np.testing.assert_array_equal(sp.sort(sp.tensor(x)).numpy(), np.arange(20_000))
    np.testing.assert_array_equal(sp.argsort(sp.tensor(x)).numpy(), np.argsort(x, kind="stable"))


@pytest.mark.parametrize("shape", [(1000, 20), (300, 70), (5000, 1), (2, 300_000), (9, 300_000)], ids=str)
def test_many_rows_at_once(shape):
    """NaN and zeros of both signs in some rows only."""
    x = np.random.default_rng(8).standard_normal(shape).astype(np.float32)
    x[::3, : shape[1] // 2] = np.resize(np.asarray([np.nan, -0.0, 0.0, 1.0], np.float32), shape[1] // 2)
    order = np.argsort(x, axis=1, kind="stable")
    np.testing.assert_array_equal(sp.argsort(sp.tensor(x)).numpy(), order)
    wanted = np.take_along_axis(x, order, 1)
    np.testing.assert_array_equal(sp.sort(sp.tensor(x)).numpy().view("u4"), wanted.view("u4"))


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
