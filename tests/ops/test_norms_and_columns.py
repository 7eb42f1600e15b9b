"""The Euclidean norm where squares overflow or underflow, softmax down columns, and what else has one pass of its own.

Each is held against NumPy in float64, over axes, layouts and rows of very different sizes beside each other.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp


def mixed_rows(dtype):
    """Rows of very different sizes, zeros, infinities and NaN among them."""
    x = np.random.default_rng(0).standard_normal((9, 70)).astype(dtype)
    small, large = (1e-30, 1e30) if dtype == "float32" else (1e-200, 1e200)
    x[1] *= small
    x[2] *= large
    x[3] = 0
    x[4, 5] = np.inf
    x[5, 5] = np.nan
    x[6, :35] *= small
    x[7] = np.finfo(dtype).smallest_subnormal * 3
    return x


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
def test_norms_of_rows_of_any_size(dtype, layout):
    x = mixed_rows(dtype)
    wide = x.astype(np.longdouble)
    right = np.sqrt(np.sum(wide * wide, axis=1)).astype(dtype)
    t = sp.tensor(x)
    if layout == "columns":
        t = sp.tensor(np.ascontiguousarray(x.T)).mT
    if layout == "strided":
        t = sp.tensor(np.repeat(x, 2, axis=1))[:, ::2]
    np.testing.assert_allclose(sp.norm(t, axis=1).numpy(), right, rtol=4e-6 if dtype == "float32" else 4e-14)
    finite = t[np.array([0, 1, 2, 3, 6])]
    whole = np.sqrt(np.sum(wide[[0, 1, 2, 3, 6]] ** 2)).astype(dtype)
    np.testing.assert_allclose(sp.norm(finite).item(), whole, rtol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_norm_is_the_direction(dtype):
    x = mixed_rows(dtype)[[0, 1, 2, 3, 6]]
    t = sp.tensor(x, requires_grad=True)
    sp.norm(t, axis=1).sum().backward()
    wide = x.astype(np.longdouble)
    size = np.sqrt(np.sum(wide * wide, axis=1, keepdims=True))
    right = np.where(size > 0, wide / np.where(size > 0, size, 1), 0).astype(dtype)
    np.testing.assert_allclose(t.grad.numpy(), right, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-30)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(2, 10, 33), (3, 200, 5), (1, 65, 64), (4, 3, 7, 9), (70, 130)])
def test_maps_along_any_axis(name, shape):
    x = (np.random.default_rng(3).standard_normal(shape) * 5).astype(np.float32)
    x.flat[0] = -np.inf if name == "softmax" else 0
    for axis in range(-len(shape), len(shape)):
        moved = np.moveaxis(x.astype(np.float64), axis, -1)
        with np.errstate(invalid="ignore"):  # a row of -infinity alone has no softmax
            e = np.exp(moved - moved.max(-1, keepdims=True))
        right = np.moveaxis(e / e.sum(-1, keepdims=True), -1, axis)
        got = getattr(sp, name)(sp.tensor(x), axis=axis)
        with np.errstate(divide="ignore"):
            right = right if name == "softmax" else np.log(right)
        np.testing.assert_allclose(got.numpy(), right, rtol=3e-6, atol=3e-6)
        for threads in (1, 3):
            with sp.threads(threads):
                np.testing.assert_array_equal(getattr(sp, name)(sp.tensor(x), axis=axis).numpy(), got.numpy())


@pytest.mark.parametrize("k", range(-5, 6))
def test_eye_on_every_diagonal(k):
    for rows, columns in [(3, 4), (4, 3), (1, 1), (0, 3), (3, 0)]:
        for dtype in ("float32", "int64", "bool"):
            right = np.eye(rows, columns, k=k, dtype=dtype)
            np.testing.assert_array_equal(sp.eye(rows, columns, k=k, dtype=dtype).numpy(), right)


def test_repeat_by_one_number():
    x = np.arange(24.0).reshape(2, 3, 4)
    t = sp.tensor(x, requires_grad=True)
    for axis in (None, 0, 1, 2, -1):
        for times in (0, 1, 3):
            np.testing.assert_array_equal(sp.repeat(t, times, axis).numpy(), np.repeat(x, times, axis))
    sp.repeat(t, 3, 1).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), np.full(x.shape, 3.0))
    with pytest.raises(ValueError, match="negative"):
        sp.repeat(t, -1)
    with pytest.raises((ValueError, MemoryError)):
        sp.repeat(t, 2**62)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_clip_is_numpys(dtype):
    x = np.random.default_rng(4).integers(0, 5, 50).astype(dtype)
    low, high = np.array(1, dtype), np.array(3 if dtype != "bool" else 1, dtype)
    right = np.clip(x.astype(np.float64), low, high).astype(dtype)
    np.testing.assert_array_equal(sp.clip(sp.tensor(x), sp.tensor(low), sp.tensor(high)).numpy(), right)
