"""Copies between orders of dimensions: squares of vectors, what is left of them, every size of element, every bit."""

import itertools

import numpy as np
import pytest
import steep as sp

DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
SIDES = [1, 2, 3, 7, 8, 15, 16, 17, 33, 64, 100]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_small_matrix(dtype):
    rng = np.random.default_rng(0)
    for m, n in itertools.product(SIDES, SIDES):
        a = rng.integers(0, 100, (m, n)).astype(dtype)
        np.testing.assert_array_equal(sp.tensor(a).T.contiguous().numpy(), a.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", list(itertools.permutations(range(4))), ids=str)
def test_every_order_of_four_axes(axes, dtype):
    a = np.arange(5 * 18 * 3 * 35).reshape(5, 18, 3, 35).astype(dtype)
    for x, b in (
        (sp.tensor(a), a),
        (sp.tensor(a)[1:, ::2, :, 3:], a[1:, ::2, :, 3:]),
        (sp.tensor(a)[:, ::-1], a[:, ::-1]),
    ):
        np.testing.assert_array_equal(sp.permute_dims(x, axes).contiguous().numpy(), b.transpose(axes))


def test_large_matrices_and_assignments():
    a = np.random.default_rng(0).normal(size=(1030, 517)).astype(np.float32)
    x = sp.tensor(a)
    np.testing.assert_array_equal(x.T.contiguous().numpy(), a.T)
    np.testing.assert_array_equal(x.T.contiguous().T.contiguous().numpy(), a)
    y = sp.zeros((517, 2000))
    y[:, 100:1130] = x.T
    np.testing.assert_array_equal(y[:, 100:1130].numpy(), a.T)
    assert y.sum().item() == pytest.approx(a.astype(np.float64).sum(), abs=0.05)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_are_moved_not_numbers(dtype):
    bits = np.random.default_rng(0).integers(0, 2**31, (40, 50)).astype("int32" if dtype == "float32" else "int64")
    bits[::3] |= 0x7F800001 if dtype == "float32" else 0x7FF0000000000001  # signalling NaN
    x = sp.tensor(bits.view(dtype)).T.contiguous()
    np.testing.assert_array_equal(x.numpy().view(bits.dtype), bits.T)
