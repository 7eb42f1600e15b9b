"""Gradients of several slices of one tensor, which are put together at once instead of each into zeros of its own."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(7)
S = np.s_

# Shape of x, and what is taken out of it, in order: thirds, gaps, parts out of order, overlaps, the same twice, other
# axes, steps, reversed ones, integers, empty ones, one part alone, everything.
CASES = {
    "thirds": ((2, 3, 9), [S[..., :3], S[..., 3:6], S[..., 6:]]),
    "leading thirds": ((9, 2), [S[:3], S[3:6], S[6:]]),
    "middle": ((2, 6, 3), [S[:, :2], S[:, 2:5], S[:, 5:]]),
    "rows": ((4, 5), [S[0], S[1], S[2], S[3]]),
    "columns": ((4, 5), [S[:, i] for i in range(5)]),
    "out of order": ((8, 2), [S[5:], S[0], S[1:5]]),
    "gaps": ((9, 2), [S[1:3], S[7], S[4:6]]),
    "one row of many": ((50, 2), [S[17]]),
    "part of the rest": ((6, 4, 5), [S[2, 1:3, :2], S[2, 1:3, 2:4]]),
    "elements": ((3, 4), [S[1, 2], S[1, 3]]),
    "elements apart": ((3, 4), [S[1, 2], S[2, 3]]),
    "overlap": ((7, 2), [S[:4], S[3:]]),
    "the same twice": ((5,), [S[2], S[2]]),
    "contained": ((5, 2), [S[:], S[1]]),
    "two axes": ((4, 4), [S[0], S[:, 0]]),
    "steps": ((8,), [S[::2], S[1::2]]),
    "reversed": ((6, 2), [S[::-1], S[:3]]),
    "empty": ((4, 2), [S[:0], S[:2], S[2:]]),
    "unequal": ((10,), [S[:1], S[1:4], S[4:10]]),
    "everything": ((3, 2), [S[:, :], S[...]]),
}


def parts_of(name: str, dtype: str = "float64"):
    shape, slices = CASES[name]
    x = RNG.standard_normal(shape).astype(dtype)
    weights = [RNG.standard_normal(x[s].shape).astype(dtype) for s in slices]
    wanted = np.zeros(shape, dtype)
    for s, w in zip(slices, weights, strict=True):
        wanted[s] += w
    return x, slices, weights, wanted


def weighted(t: sp.Tensor, slices, weights) -> sp.Tensor:
    total = sp.zeros((), dtype=t.dtype)
    for s, w in zip(slices, weights, strict=True):
        total = total + (t[s] * sp.tensor(w)).sum()
    return total


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_the_sum_of_what_each_slice_gives(name: str, dtype: str) -> None:
    x, slices, weights, wanted = parts_of(name, "float32" if dtype == "bfloat16" else dtype)
    if dtype == "bfloat16":
        weights = [np.round(w * 4) / 4 for w in weights]
        wanted = np.zeros_like(wanted)
        for s, w in zip(slices, weights, strict=True):
            wanted[s] += w
    t = sp.tensor(x, dtype=dtype, requires_grad=True)
    weighted(t, slices, weights).backward()
    np.testing.assert_allclose(t.grad.astype("float64").numpy(), wanted, rtol=1e-6)
    assert t.grad.shape == x.shape


@pytest.mark.parametrize("name", CASES)
def test_a_dense_use_before_or_after_is_added(name: str) -> None:
    x, slices, weights, wanted = parts_of(name)
    for first in (True, False):
        t = sp.tensor(x, requires_grad=True)
        dense = (t * 2).sum()
        picked = weighted(t, slices, weights)
        (dense + picked if first else picked + dense).backward()
        np.testing.assert_allclose(t.grad.numpy(), wanted + 2, rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_gradients(name: str) -> None:
    x, slices, weights, wanted = parts_of(name)
    t, v = sp.tensor(x), sp.tensor(RNG.standard_normal(x.shape))

    def f(t: sp.Tensor) -> sp.Tensor:
        total = sp.zeros((), dtype=t.dtype)
        for s, w in zip(slices, weights, strict=True):
            total = total + (t[s] ** 3 * sp.tensor(w)).sum()
        return total

    np.testing.assert_allclose(sp.grad(f)(t).numpy(), 3 * x**2 * wanted, rtol=1e-12)
    second = sp.grad(lambda t: (sp.grad(f)(t) * v).sum())(t)
    np.testing.assert_allclose(second.numpy(), 6 * x * wanted * v.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_compiled_and_by_tapes_as_eagerly(name: str) -> None:
    x, slices, weights, _ = parts_of(name, "float32")
    f = sp.grad(lambda t: sp.tanh(weighted(sp.tanh(t), slices, weights)).sum())
    fast = sp.compile(f)
    for _ in range(3):
        t = sp.tensor(RNG.standard_normal(x.shape).astype("float32"))
        np.testing.assert_array_equal(fast(t).numpy(), f(t).numpy())


@pytest.mark.parametrize("name", CASES)
def test_twice_through_a_graph_that_is_kept(name: str) -> None:
    x, slices, weights, wanted = parts_of(name)
    t = sp.tensor(x, requires_grad=True)
    y = weighted(t, slices, weights)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(t.grad.numpy(), 2 * wanted, rtol=1e-12)
    with pytest.raises(sp.GradientError):
        y.backward()


def test_the_gradient_of_a_row_s_use_in_another_row_flows_on() -> None:
    """x[1] is used to compute what is added to a function of x[0]: consumers at different depths."""
    x = RNG.standard_normal((3, 4))

    def f(t: sp.Tensor) -> sp.Tensor:
        h = sp.sin(t)
        return (h[0] * sp.cos(h[1])).sum() + (sp.exp(h)[2] * h[2]).sum()

    t, step = sp.tensor(x), 1e-6
    found = sp.grad(f)(t).numpy()
    for i in range(3):
        for j in range(4):
            d = np.zeros_like(x)
            d[i, j] = step
            estimate = (float(f(sp.tensor(x + d))) - float(f(sp.tensor(x - d)))) / (2 * step)
            assert abs(estimate - found[i, j]) < 1e-8


def instructions(f, *args) -> str:
    fast = sp.compile(f)
    fast(*args)
    return str(fast.programs[0])


def test_a_sequence_taken_apart_costs_one_pass() -> None:
    """Without joining, n steps place n gradients into zeros of n steps."""
    steps = 40

    def f(x: sp.Tensor) -> sp.Tensor:
        h = sp.zeros(3)
        for i in range(steps):
            h = sp.tanh(h + x[i])
        return h.sum()

    text = instructions(sp.grad(f), sp.ones((steps, 3)))
    assert text.count("concat") == 1 and "embed" not in text


@pytest.mark.parametrize("layout", ["three first", "split", "heads last"])
def test_attention_writes_the_gradients_of_one_projection_where_they_belong(layout: str) -> None:
    """No copy and no sum of what the projection's gradient is made of."""
    batch, tokens, heads, size = 2, 5, 3, 4
    width = heads * size

    def parts(qkv: sp.Tensor):
        if layout == "three first":
            return sp.permute_dims(sp.reshape(qkv, (batch, tokens, 3, heads, size)), (2, 0, 3, 1, 4))
        if layout == "split":
            return [
                sp.permute_dims(sp.reshape(p, (batch, tokens, heads, size)), (0, 2, 1, 3))
                for p in sp.split(qkv, 3, axis=-1)
            ]
        return [
            sp.permute_dims(
                sp.reshape(qkv[..., i * width : (i + 1) * width], (batch, tokens, heads, size)), (0, 2, 1, 3)
            )
            for i in range(3)
        ]

    def f(x: sp.Tensor, w: sp.Tensor) -> sp.Tensor:
        q, k, v = (t for t in parts(x @ w))
        y = sp.attention(q, k, v, causal=True)
        return (sp.permute_dims(y, (0, 2, 1, 3)) ** 2).sum()

    def written_out(x: sp.Tensor, w: sp.Tensor) -> sp.Tensor:
        q, k, v = (t for t in parts(x @ w))
        scores = q @ sp.matrix_transpose(k) / size**0.5
        seen = sp.tensor(np.tril(np.ones((tokens, tokens), bool)))
        return (sp.permute_dims(sp.softmax(sp.where(seen, scores, -np.inf), axis=-1) @ v, (0, 2, 1, 3)) ** 2).sum()

    x, w = sp.tensor(RNG.standard_normal((batch, tokens, 6))), sp.tensor(RNG.standard_normal((6, 3 * width)))
    found, wanted = sp.grad(f, argnums=(0, 1))(x, w), sp.grad(written_out, argnums=(0, 1))(x, w)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
    text = instructions(sp.grad(f, argnums=(0, 1)), x, w)
    after = text[text.index("attention_gradient") :]
    assert not any(word in after for word in ("embed", "concat", "copy"))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 1), (0, 0, 1)])
def test_queries_keys_and_values_in_any_places_of_a_projection(order: tuple[int, int, int]) -> None:
    qkv = sp.tensor(RNG.standard_normal((3, 2, 4, 5)))
    f = sp.grad(lambda t: (sp.attention(*(t[i] for i in order)) ** 2).sum())

    def composed(t: sp.Tensor) -> sp.Tensor:
        q, k, v = (t[i] for i in order)
        return (sp.softmax(q @ sp.matrix_transpose(k) / 5**0.5, axis=-1) @ v).square().sum()

    np.testing.assert_allclose(f(qkv).numpy(), sp.grad(composed)(qkv).numpy(), rtol=1e-9, atol=1e-12)
    fast = sp.compile(f)
    for _ in range(2):
        np.testing.assert_array_equal(fast(qkv).numpy(), f(qkv).numpy())
