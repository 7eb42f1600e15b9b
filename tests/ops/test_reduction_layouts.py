"""Reductions over axes that lie in memory in every way: rows, columns, columns of blocks, rows in pieces with kept axes
between reduced ones; contiguous and not. Beside NumPy in float64."""

import itertools

import numpy as np
import pytest
import steep as sp

SHAPES = [
    (3, 4, 5, 6),
    (2, 70, 33),
    (1, 65, 1, 40),
    (7, 1, 300, 3),
    (130, 2, 9),
    (5, 0, 3),
    (0, 4, 2),
    (6, 300),
    (2, 3, 4, 2, 3),
]
KINDS = {
    "sum": (sp.sum, np.sum), "prod": (sp.prod, np.prod), "max": (sp.max, np.max), "min": (sp.min, np.min),
    "any": (sp.any, np.any), "all": (sp.all, np.all),
}  # fmt: skip


def subsets(ndim):
    return [axes for n in range(1, ndim + 1) for axes in itertools.combinations(range(ndim), n)]


def moved(x, axes):
    return sp.permute_dims(x, axes) if isinstance(x, sp.Tensor) else x.transpose(axes)


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "rolled": lambda x: moved(x, (*range(1, x.ndim), 0)),
    "swapped": lambda x: moved(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)),
    "shuffled": lambda x: moved(x, (*range(1, x.ndim, 2), *range(0, x.ndim, 2))),
    "reversed": lambda x: x[..., ::-1],
    "sliced": lambda x: x[1:, ..., ::2],
    "broadcast": lambda x: sp.broadcast_to(x, (2, *x.shape))
    if isinstance(x, sp.Tensor)
    else np.broadcast_to(x, (2, *x.shape)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_set_of_axes(shape, layout):
    rng = np.random.default_rng(len(shape))
    a = rng.choice([1.0, -1.0], shape)  # whose products stay finite
    x, a = LAYOUTS[layout](sp.tensor(a, dtype="float32")), LAYOUTS[layout](a)
    for axes, (name, (ours, theirs)) in itertools.product(subsets(a.ndim), KINDS.items()):
        if name in ("max", "min") and 0 in [a.shape[d] for d in axes]:
            continue
        found, wanted = ours(x, axis=axes), theirs(a, axis=axes)
        assert found.shape == wanted.shape, (name, axes)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, err_msg=f"{name} over {axes}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_positions_along_every_axis(layout):
    a = np.random.default_rng(0).integers(0, 4, (5, 70, 9)).astype(np.float64)
    x, a = LAYOUTS[layout](sp.tensor(a)), LAYOUTS[layout](a)
    for axis in range(a.ndim):
        np.testing.assert_array_equal(sp.argmax(x, axis=axis).numpy(), np.argmax(a, axis=axis))
        np.testing.assert_array_equal(sp.argmin(x, axis=axis).numpy(), np.argmin(a, axis=axis))
    assert int(sp.argmax(x)) == np.argmax(a) and int(sp.argmin(x)) == np.argmin(a)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", list(itertools.permutations(range(4))), ids=str)
def test_every_order_of_axes_in_memory(axes, keepdims):
    a = np.random.default_rng(0).normal(size=(3, 8, 5, 20))
    x, a = moved(sp.tensor(a), axes), moved(a, axes)
    for reduced in subsets(4):
        for ours, theirs in ((sp.sum, np.sum), (sp.max, np.max), (sp.mean, np.mean)):
            found = ours(x, axis=reduced, keepdims=keepdims)
            np.testing.assert_allclose(
                found.numpy(), theirs(a, axis=reduced, keepdims=keepdims), rtol=1e-11, atol=1e-12
            )
            assert found.is_contiguous
        norms = np.sqrt((a * a).sum(axis=reduced, keepdims=keepdims))
        np.testing.assert_allclose(sp.norm(x, axis=reduced, keepdims=keepdims).numpy(), norms, rtol=1e-11)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64"])
def test_every_dtype_over_a_middle_axis(dtype):
    a = np.random.default_rng(0).integers(0, 2, (4, 100, 21)).astype(dtype)
    for name, (ours, theirs) in KINDS.items():
        if dtype == "bool" and name in ("max", "min"):  # refused: any() and all()
            continue
        wanted = theirs(a, axis=1)
        np.testing.assert_allclose(ours(sp.tensor(a), axis=1).numpy().astype(wanted.dtype), wanted, rtol=1e-6)


def test_rows_longer_than_the_buffer_for_pieces():
    a = np.random.default_rng(0).standard_normal((3, 2, 700_000)).astype(np.float32)
    np.testing.assert_allclose(
        sp.sum(sp.tensor(a), axis=(0, 2)).numpy(), a.sum(axis=(0, 2), dtype=np.float64), rtol=1e-3
    )


@pytest.mark.parametrize("axes", [(1,), (0, 2), (0, 2, 3), (1, 2)])
def test_bits_do_not_depend_on_threads(axes):
    x = sp.tensor(np.random.default_rng(0).standard_normal((8, 70, 40, 30)).astype(np.float32))
    found = []
    for n in (1, 2, 3, 8):
        with sp.threads(n):
            found.append(sp.sum(x, axis=axes).numpy())
    assert all(np.array_equal(f, found[0]) for f in found)
