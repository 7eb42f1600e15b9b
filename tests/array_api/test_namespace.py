"""steep as an array API namespace: the standard's names are there, and the ones made in Python answer as NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

# Python array API standard 2024.12, without complex numbers.
STANDARD = """
    e inf nan newaxis pi arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones
    ones_like tril triu zeros zeros_like astype broadcast_arrays broadcast_to can_cast finfo iinfo isdtype
    result_type bool int32 int64 uint8 float32 float64 abs acos acosh add asin asinh atan atan2 atanh
    bitwise_and bitwise_left_shift bitwise_invert bitwise_or bitwise_right_shift bitwise_xor ceil clip
    copysign cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot isfinite isinf
    isnan less less_equal log log1p log2 log10 logaddexp logical_and logical_not logical_or logical_xor
    maximum minimum multiply negative nextafter not_equal positive pow reciprocal remainder round sign signbit
    sin sinh square sqrt subtract tan tanh trunc take take_along_axis matmul matrix_transpose tensordot vecdot
    concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile unstack argmax argmin
    count_nonzero nonzero searchsorted where unique_all unique_counts unique_inverse unique_values argsort
    sort cumulative_sum cumulative_prod max mean min prod std sum var all any diff __array_namespace_info__
    __array_api_version__
"""


@pytest.mark.parametrize("name", STANDARD.split())
def test_the_standard_names_are_there(name):
    assert hasattr(sp, name)


def test_nothing_but_steep_is_public():
    strangers = [n for n in ("np", "math", "Any", "NamedTuple", "os") if hasattr(sp, n)]
    assert not strangers


def test_a_tensor_names_its_namespace():
    assert sp.ones(2).__array_namespace__(api_version="2024.12") is sp


def test_unique():
    x = np.array([[3, 1, 2], [1, 3, 3]])
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    found = sp.unique_all(sp.tensor(x))
    assert np.array_equal(found.values.numpy(), values) and np.array_equal(found.indices.numpy(), first)
    assert np.array_equal(found.inverse_indices.numpy(), inverse.reshape(x.shape))
    assert np.array_equal(found.counts.numpy(), counts)
    assert np.array_equal(sp.unique_values(sp.tensor(x)).numpy(), values)
    assert sp.unique_values(sp.tensor([np.nan, np.nan])).size == 2
    assert sp.unique_counts(sp.tensor(x)).counts.dtype == sp.int64


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side):
    x, v = np.array([1.0, 2.0, 2.0, 5.0]), np.array([[0.0, 2.0], [5.0, 9.0]])
    found = sp.searchsorted(sp.tensor(x), sp.tensor(v), side=side)
    assert np.array_equal(found.numpy(), np.searchsorted(x, v, side=side))


def test_diff_and_its_gradient():
    x = np.random.default_rng(0).normal(size=(3, 5))
    assert np.allclose(sp.diff(sp.tensor(x), axis=0, n=2).numpy(), np.diff(x, axis=0, n=2))
    assert np.allclose(sp.diff(sp.tensor(x), prepend=sp.zeros((3, 1), dtype="float64")).numpy(), np.diff(x, prepend=0))
    sp.check_grads(lambda t: sp.diff(t, n=2) ** 2, (x,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nextafter_steps_in_its_dtype(dtype):
    a, b = np.array([1, 0, -0.0, np.inf, np.nan], dtype), np.array([2, -1, 1, 0, 1], dtype)
    assert np.array_equal(sp.nextafter(sp.tensor(a), sp.tensor(b)).numpy(), np.nextafter(a, b), equal_nan=True)


def test_info_and_kinds():
    info = sp.__array_namespace_info__()
    assert info.dtypes(kind="real floating") == {"float32": sp.float32, "float64": sp.float64}
    assert info.default_dtypes()["real floating"] == sp.float32 and info.devices() == ["cpu"]
    assert sp.isdtype(sp.uint8, ("unsigned integer", "bool")) and not sp.isdtype(sp.int32, "real floating")
    with pytest.raises(ValueError, match="no kind"):
        sp.isdtype(sp.int32, "floaty")
    assert sp.finfo(sp.float32).eps == np.finfo(np.float32).eps and sp.iinfo(sp.ones(1, dtype="int32")).max == 2**31 - 1


def test_result_type_and_can_cast():
    assert sp.result_type(sp.int64, sp.float32) == sp.float32 and sp.result_type(sp.ones(2), 1.5) == sp.float32
    assert sp.can_cast(sp.int32, sp.int64) and not sp.can_cast(sp.float64, sp.float32)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing):
    a, b, c = np.arange(2.0), np.arange(3.0), np.arange(4.0)
    for mine, theirs in zip(
        sp.meshgrid(*(sp.tensor(v) for v in (a, b, c)), indexing=indexing),
        np.meshgrid(a, b, c, indexing=indexing),
        strict=True,
    ):
        assert np.array_equal(mine.numpy(), theirs)
