"""Elements by index along every axis of operands of every layout, beside NumPy: rows where they lie, or of a copy."""

import numpy as np
import pytest
import steep as sp

LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[:, ::-1, ::-1],
    "sliced": lambda x: x[1:, :, ::2],
}


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [0, 1, 3, 40])  # fewer than half of an axis, and more than all of it
def test_along_every_axis(layout, count, dtype):
    rng = np.random.default_rng(count)
    a = rng.integers(0, 2 if dtype == "bool" else 100, (7, 8, 9)).astype(dtype)
    x, a = LAYOUTS[layout](sp.tensor(a)), LAYOUTS[layout](a)
    for axis in range(3):
        at = rng.integers(-a.shape[axis], a.shape[axis], count)
        np.testing.assert_array_equal(sp.take(x, sp.tensor(at), axis=axis).numpy(), np.take(a, at, axis=axis))
        key = (slice(None),) * axis + (at,)
        np.testing.assert_array_equal(x[key].numpy(), a[key])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gradients_return_to_where_elements_came_from(axis):
    at = np.array([2, 0, 2])
    x = sp.tensor(np.arange(60.0).reshape(3, 4, 5), requires_grad=True)
    y = sp.take(x, at, axis=axis)
    weight = np.arange(1.0, y.size + 1).reshape(y.shape)
    (y * weight).sum().backward()
    wanted = np.zeros((3, 4, 5))
    np.add.at(wanted, (slice(None),) * axis + (at,), weight)
    np.testing.assert_array_equal(x.grad.numpy(), wanted)


def test_an_index_out_of_range_is_refused_before_anything_is_read():
    x = sp.zeros((3, 4, 5)).T
    with pytest.raises(IndexError, match="index 9 is out of range"):
        sp.take(x, sp.tensor([0, 9]), axis=1)
