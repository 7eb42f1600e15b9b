"""Max pooling, values and positions, beside a search tap by tap, in every bit: windows, strides, dilations and borders
of every kind, on equal elements, zeros of both signs, infinities and NaNs."""

import itertools

import numpy as np
import pytest
import steep as sp

POOLS = {1: sp.max_pool1d, 2: sp.max_pool2d, 3: sp.max_pool3d}


def values(rng, shape, dtype):
    """Few different values, so that windows hold equal elements: 0, -0 and infinities too, and a NaN here and there."""
    x = rng.integers(-2, 3, shape).astype(dtype) * rng.choice([1.0, -1.0], shape).astype(dtype)
    x[rng.random(shape) < 0.02] = np.nan
    x[rng.random(shape) < rng.choice([0.1, 0.7])] = -np.inf
    x[rng.random(shape) < 0.02] = np.inf
    return x


def searched(x, window, stride=None, padding=0, dilation=1, ceil_mode=False):
    """(values, positions): each tap of all windows at once, in row-major order, the first of equals and of NaNs."""
    n, sizes = x.ndim - 2, x.shape[2:]
    each = [v if isinstance(v, list | tuple) else (v,) * n for v in (window, stride or window, padding, dilation)]
    counts, places = [], []
    for size, k, step, pad, gap in zip(sizes, *each, strict=True):
        span = size + 2 * pad - gap * (k - 1) - 1
        count = (-(-span // step) if ceil_mode else span // step) + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * step >= size + pad else count)
        places.append([np.arange(counts[-1]) * step - pad + t * gap for t in range(k)])
    best = np.full((*x.shape[:2], *counts), -np.inf, x.dtype)
    at = np.full(best.shape, -1)
    for tap in itertools.product(*(range(k) for k in each[0])):
        where = np.meshgrid(*(p[t] for p, t in zip(places, tap, strict=True)), indexing="ij")
        inside = np.all([(w >= 0) & (w < size) for w, size in zip(where, sizes, strict=True)], axis=0)
        where = [np.where(inside, w, 0) for w in where]
        seen = x[(slice(None), slice(None), *where)]
        wins = inside & ((at < 0) | (~(seen <= best) & (best == best)))
        best = np.where(wins, seen, best)
        at = np.where(wins, np.ravel_multi_index(where, sizes), at)
    return best, at


def bits(x):
    return x.view(np.uint32 if x.dtype == np.float32 else np.uint64)


def same(x, *how):
    t, (values, positions) = sp.tensor(x), searched(x, *how)
    np.testing.assert_array_equal(bits(POOLS[x.ndim - 2](t, *how).numpy()), bits(values))
    np.testing.assert_array_equal(sp.max_pool_indices(t, *how).numpy(), positions)


def draw(rng, n):
    """Sizes and windows that fit each other, or None."""
    most = {1: 90, 2: 45, 3: 12}[n]
    sizes = [int(s) for s in rng.integers(1, most, n)]
    window = [int(w) for w in rng.integers(1, 7, n)]
    stride = [int(s) for s in rng.integers(1, 7, n)]
    dilation = [int(d) for d in rng.choice([1, 1, 1, 2, 5], n)]
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    padding = [int(rng.integers(0, r // 2 + 1)) for r in reach]
    fits = all(s + 2 * p >= r for s, p, r in zip(sizes, padding, reach, strict=True))
    return (sizes, window, stride, padding, dilation, bool(rng.integers(2))) if fits else None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_values_and_positions(n, dtype):
    rng, tried = np.random.default_rng(n), 0
    while tried < 150:
        drawn = draw(rng, n)
        if drawn is None:
            continue
        sizes, *how = drawn
        same(values(rng, (2, 3, *sizes), dtype), *how)
        tried += 1


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((1, 2, 5000), (3, 1, 1)),  # rows longer than one part of them
        ((1, 2, 5000), (3, 2, 1)),
        ((2, 1, 13000), (5, 3, 2, 2)),
        ((1, 1, 7, 4500), (3, 2, 1)),
        ((1, 1, 3, 4, 4200), (2, 1, 1)),
        ((1, 2, 3), (2, 1, 20, 39)),  # borders wider than the image, which a dilated window reaches over
        ((1, 2, 3, 4), (2, 3, 20, 40)),
        ((1, 1, 9), (9, 2**31 - 1)),  # one window, so that the stride does not matter
        ((1, 1, 9, 9), (3, (2**31 - 1, 2), 1)),
        ((1, 2, 30, 30), (13, 1, 6)),
        ((3, 2, 1, 1), (1, 1)),
    ],
)
def test_long_rows_wide_borders_and_large_strides(shape, how):
    same(values(np.random.default_rng(0), shape, np.float32), *how)


@pytest.mark.parametrize("layout", ["transposed", "sliced", "broadcast", "reversed"])
def test_layouts(layout):
    x = np.random.default_rng(1).standard_normal((2, 3, 14, 17)).astype(np.float32)
    t = sp.tensor(x)
    t, x = {
        "transposed": lambda: (t.swapaxes(2, 3), x.swapaxes(2, 3)),
        "sliced": lambda: (t[:, :, 1::2, 2:], x[:, :, 1::2, 2:]),
        "broadcast": lambda: (sp.broadcast_to(t[:1], (4, 3, 14, 17)), np.broadcast_to(x[:1], (4, 3, 14, 17))),
        "reversed": lambda: (t[:, :, ::-1], x[:, :, ::-1]),
    }[layout]()
    np.testing.assert_array_equal(sp.max_pool2d(t, 3, 2, 1).numpy(), searched(x, 3, 2, 1)[0])


def test_the_gradient_goes_to_the_first_of_equals_and_to_the_first_nan():
    x = sp.tensor([[[0.0, -0.0, 1.0, 1.0, np.nan, np.nan, -np.inf, -np.inf]]], requires_grad=True)
    sp.max_pool1d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]]]


def test_the_forward_pass_writes_no_positions():
    with sp.profile() as seen:
        sp.max_pool2d(sp.ones((1, 2, 9, 9)), 3, 2, 1)
    assert [row.name for row in seen.by("op")] == ["largest"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((3, 5, 28, 28), ((2, 2),)),
        ((2, 3, 10, 10), ((2, 2),)),
        ((2, 3, 11, 75), ((2, 2),)),
        ((2, 2, 9, 34), ((2, 2), (1, 1))),
        ((2, 2, 9, 34), ((2, 2), (3, 2), 0, (2, 5))),
        ((2, 2, 7, 3), ((3, 1), (2, 7))),
        ((1, 4, 200), ((4,), (2,))),
        ((2, 2, 4, 6, 8), ((2, 2, 1), (2, 2, 2))),
        ((2, 2, 4, 6, 8), ((1, 2, 2),)),
        ((1, 1, 2, 2), ((2, 2),)),
    ],
)
def test_small_windows_inside_the_image(shape, how, dtype):
    """As most networks have them; the last rows end where the memory ends."""
    for seed in range(4):
        same(values(np.random.default_rng(seed), shape, dtype), *how)
