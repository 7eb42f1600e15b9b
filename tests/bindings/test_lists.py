"""Nested lists become the tensor that NumPy's array of them becomes, but for the dtype of Python's floats.

Lists of Python's own numbers are read by steep, all others by NumPy: both ways are asked for the same lists here.
"""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import steep as sp
from hypothesis import given

KINDS = {
    "floats": st.floats(allow_nan=True, width=64),
    "integers": st.integers(-(2**63), 2**63 - 1),
    "bools": st.booleans(),
    "small": st.integers(-5, 5),
}


class Wrapped(list):
    """A list that is no exact list, which goes by NumPy."""


def wrap(data: object) -> object:
    return Wrapped(wrap(each) for each in data) if isinstance(data, list | tuple) else data


@st.composite
def rectangles(draw: st.DrawFn) -> object:
    shape = draw(st.lists(st.integers(1, 3), max_size=4))
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2))
    leaf = st.one_of([KINDS[k] for k in kinds])

    def build(sizes: list[int]) -> object:
        if not sizes:
            return draw(leaf)
        rows = [build(sizes[1:]) for _ in range(sizes[0])]
        return rows if draw(st.booleans()) else tuple(rows)

    return build([draw(st.integers(1, 4)), *shape])


def expected(data: object, floats: type) -> np.ndarray:
    array = np.array(data)
    with np.errstate(over="ignore"):
        return array.astype(floats) if array.dtype == np.float64 else array


@given(rectangles())
def test_lists_of_numbers_become_what_numpy_makes_of_them(data: object) -> None:
    for floats, dtype in ((np.float32, None), (np.float64, sp.float64)):
        want = expected(data, floats)
        if dtype is not None:
            want = want.astype(np.float64)
        for given_data in (data, wrap(data)):
            got = sp.tensor(given_data, dtype=dtype).numpy()
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            assert got.tobytes() == want.tobytes() or np.array_equal(got, want, equal_nan=True)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([True, False], "bool"),
        ([True, 2], "int64"),
        ([True, 2.5], "float32"),
        ([2**62, 1], "int64"),
        ([2**53 + 1, 0.5], "float32"),
        ([[1, 2], (3.0, 4)], "float32"),
        ([], "float32"),
        ([[], []], "float32"),
        ([np.float64(1.5), 2.0], "float64"),
        ([np.float32(1.5), 2], "float32"),
        ([np.int64(3), 2.0], "float32"),
        ([range(3), [1, 2, 3]], "int64"),
    ],
)
def test_the_dtype_of_lists(data: list, dtype: str) -> None:
    got = sp.tensor(data)
    assert str(got.dtype) == dtype
    np.testing.assert_array_equal(got.numpy(), np.array(data).astype(dtype))


def test_lists_that_are_no_rectangle_of_numbers_are_refused() -> None:
    itself: list = [1.0]
    itself.append(itself)
    deep: object = 1.0
    for _ in range(9):
        deep = [deep]
    for data in ([[1, 2], [3]], [1, [2]], [[1], 2], [1.0, "a"], [1, None], itself, deep, [2**64, 1], [[1], [2], []]):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            sp.tensor(data)


def test_numbers_among_tensors_keep_their_graph() -> None:
    x = sp.tensor(2.0, requires_grad=True)
    y = sp.stack([x * 2, x * 3]).sum() + sp.asarray([x, 1.0]).sum()
    y.backward()
    assert float(x.grad) == 6.0


def test_a_list_is_a_constant_of_a_compiled_step() -> None:
    step = sp.compile(lambda x: x * sp.tensor([1.0, 2.0, 3.0]))
    for k in (1.0, 2.0):
        np.testing.assert_array_equal(step(sp.full((3,), k)).numpy(), np.array([1, 2, 3], np.float32) * k)
