"""Attention as one primitive, beside the composite that it stands for: values to the bit, gradients of every operand
and their derivatives, layouts of heads, and that no array of queries by keys is stored. Start at ``composite``."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(5)
# Of queries, keys and values: one block, several, several matrices, matrices that are broadcast, and none.
SHAPES = {
    "one block": ((3, 4), (5, 4), (5, 2)),
    "blocks": ((2, 3, 300, 16), (2, 3, 300, 16), (2, 3, 300, 16)),
    "one matrix": ((700, 8), (900, 8), (900, 12)),
    "shared keys": ((2, 3, 70, 8), (2, 1, 70, 8), (70, 6)),
    "more keys": ((200, 8), (3, 1, 400, 8), (1, 400, 8)),
    "no queries": ((2, 0, 4), (2, 5, 4), (2, 5, 3)),
    "no values": ((2, 3, 4), (2, 5, 4), (2, 5, 0)),
    "no matrices": ((0, 3, 4), (0, 5, 4), (0, 5, 2)),
}
TOLERANCE = {"float32": 3e-5, "float64": 1e-12}


def draw(shape: tuple[int, ...], dtype: str = "float64") -> sp.Tensor:
    return sp.asarray(RNG.standard_normal(shape).astype(dtype))


def composite(
    q: sp.Tensor, k: sp.Tensor, v: sp.Tensor, mask: Any = None, causal: bool = False, scale: float = 0.0
) -> sp.Tensor:
    scores = (q * (scale or 1 / np.sqrt(q.shape[-1]))) @ k.mT
    if mask is not None:
        scores = sp.where(mask, scores, -np.inf) if mask.dtype == sp.bool else scores + mask
    if causal:
        scores = sp.where(sp.asarray(np.tri(q.shape[-2], k.shape[-2], dtype=bool)), scores, -np.inf)
    return sp.softmax(scores, -1) @ v


def agree(x: sp.Tensor, y: sp.Tensor, tolerance: float) -> None:
    assert x.shape == y.shape and x.dtype == y.dtype
    np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_values_and_gradients_are_those_of_the_composite(shapes: Any, dtype: str, causal: bool) -> None:
    q, k, v = (draw(s, dtype) for s in shapes)
    y, plain = sp.attention(q, k, v, causal=causal), composite(q, k, v, causal=causal)
    agree(y, plain, TOLERANCE[dtype])
    if not causal:
        np.testing.assert_array_equal(y.numpy(), plain.numpy())  # to the bit
    g = draw(y.shape, dtype)
    found, wanted = (
        sp.grad(lambda q, k, v, f=f: sp.sum(f(q, k, v, causal=causal) * g), argnums=(0, 1, 2))(q, k, v)
        for f in (sp.attention, composite)
    )
    for a, b in zip(found, wanted, strict=True):
        agree(a, b, TOLERANCE[dtype])


MASKS = {
    "a bool for each score": (RNG.random((2, 1, 6, 7)) > 0.3) | (np.arange(7) == 0),
    "a bool for each key": np.array([True, False, True, True, False, True, True]),
    "a bool for each query": np.ones((6, 1), bool),
    "a summand for each score": RNG.standard_normal((2, 1, 6, 7)),
    "a summand for each head and key": RNG.standard_normal((3, 1, 7)),
    "one summand": np.asarray(0.5),
    "every other key of a longer mask": RNG.standard_normal((6, 14))[:, ::2],
    "a transposed mask": RNG.standard_normal((7, 6)).T,
    "integers": np.arange(7),
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_masks(mask: np.ndarray, causal: bool) -> None:
    q, k, v = draw((2, 3, 6, 4)), draw((2, 3, 7, 4)), draw((2, 3, 7, 5))
    seen = sp.asarray(mask)
    sums = [
        sp.grad(lambda q, k, v, f=f: sp.sum(sp.square(f(q, k, v, seen, causal))), argnums=(0, 1, 2))(q, k, v)
        for f in (sp.attention, composite)
    ]
    agree(sp.attention(q, k, v, seen, causal), composite(q, k, v, seen, causal), 1e-12)
    for a, b in zip(*sums, strict=True):
        agree(a, b, 1e-12)


def test_a_mask_may_make_more_results_than_queries() -> None:
    q, k, v = draw((3, 4)), draw((5, 4)), draw((5, 2))
    mask = sp.asarray(RNG.random((6, 3, 5)) > 0.2)
    agree(sp.attention(q, k, v, mask), composite(q, k, v, mask), 1e-12)


def test_a_query_that_sees_no_key_is_nan_as_in_softmax() -> None:
    q = k = v = draw((3, 4))
    mask = sp.asarray(np.array([[True, False, True], [False] * 3, [True] * 3]))
    y = sp.attention(q, k, v, mask).numpy()
    assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()
    for f in (sp.attention, composite):
        gradient = sp.grad(lambda q, f=f: sp.sum(f(q, k, v, mask)))(q).numpy()
        assert np.isfinite(gradient).all() and not gradient[1].any()


@pytest.mark.parametrize("causal", [False, True])
def test_derivatives_of_both_orders_and_modes(causal: bool) -> None:
    q, k, v, bias = draw((2, 3, 4)), draw((2, 5, 4)), draw((2, 5, 2)), draw((3, 5))
    sp.check_grads(lambda *a: sp.attention(*a, causal=causal), (q, k, v, bias), order=2)
    f = lambda q: sp.sum(sp.square(sp.attention(q, k, v, causal=causal)))  # noqa: E731
    tangent = draw(q.shape)
    _, forward = sp.jvp(f, (q,), (tangent,))
    agree(forward, sp.sum(sp.grad(f)(q) * tangent), 1e-12)


def heads(x: sp.Tensor, count: int) -> sp.Tensor:
    """(N, L, heads * size) -> (N, heads, L, size), a view."""
    n, length, width = x.shape
    return sp.permute_dims(sp.reshape(x, (n, length, count, width // count)), (0, 2, 1, 3))


def test_heads_are_read_and_written_where_they_lie() -> None:
    """Heads side by side come out side by side, so that neither they nor their gradients are copied."""
    q, k, v = (draw((2, 30, 24)) for _ in range(3))
    y = sp.attention(heads(q, 3), heads(k, 3), heads(v, 3))
    together = sp.permute_dims(y, (0, 2, 1, 3))
    assert np.shares_memory(y.numpy(), sp.reshape(together, (2, 30, 24)).numpy())
    split = [sp.asarray(np.ascontiguousarray(heads(t, 3).numpy())) for t in (q, k, v)]
    np.testing.assert_array_equal(y.numpy(), sp.attention(*split).numpy())
    found = sp.grad(lambda q: sp.sum(sp.square(sp.attention(heads(q, 3), split[1], split[2]))))(q)
    wanted = sp.grad(lambda q: sp.sum(sp.square(sp.attention(q, split[1], split[2]))))(split[0])
    np.testing.assert_array_equal(heads(found, 3).numpy(), wanted.numpy())


def test_forward_derivatives_where_heads_are_put_together() -> None:
    """The tangent of heads side by side lies in memory head by head."""
    q, k, v, tangent = (draw((2, 5, 12)) for _ in range(4))

    def f(q: sp.Tensor) -> sp.Tensor:
        return sp.reshape(sp.permute_dims(sp.attention(heads(q, 3), heads(k, 3), heads(v, 3)), (0, 2, 1, 3)), (2, 60))

    _, forward = sp.jvp(f, (q,), (tangent,))
    g = draw((2, 60))
    backward = sp.grad(lambda q: sp.sum(f(q) * g))(q)
    np.testing.assert_allclose(float(sp.sum(forward * g)), float(sp.sum(backward * tangent)), rtol=1e-12)


def test_a_tangent_in_another_order_than_its_operand_is_reshaped() -> None:
    x, tangent = draw((3, 4)), draw((4, 3)).mT
    _, forward = sp.jvp(lambda x: sp.reshape(x, (2, 6)), (x,), (tangent,))
    np.testing.assert_array_equal(forward.numpy(), tangent.numpy().reshape(2, 6))


def test_columns_apart_in_memory() -> None:
    q, k, v = (sp.asarray(RNG.standard_normal((20, 8))[:, ::2]) for _ in range(3))
    y = sp.attention(q, k, v)
    agree(y, composite(q, k, v), 1e-12)
    w = draw(y.shape)
    for argnum in range(3):
        a, b = (sp.grad(lambda *x, f=f: sp.sum(f(*x) * w), argnums=argnum)(q, k, v) for f in (sp.attention, composite))
        agree(a, b, 1e-12)


def test_no_array_of_queries_by_keys() -> None:
    """A step at 2,048 tokens, where such an array takes 33 MB in float64, allocates less than half of one."""
    q, k, v = (draw((2048, 8)) for _ in range(3))
    step = sp.grad(lambda q, k, v: sp.sum(sp.attention(q, k, v)), argnums=(0, 1, 2))
    step(q, k, v)
    sp.reset_peak_memory()
    before = sp.memory_report()["live_bytes"]
    step(q, k, v)
    assert sp.memory_report()["peak_bytes"] - before < 2048 * 2048 * 8 / 2


@pytest.mark.parametrize("shape", [(1, 500, 16), (3, 200, 16), (16, 40, 16)])
def test_the_same_bits_on_any_number_of_threads(shape: tuple[int, ...]) -> None:
    q, k, v, g = (draw(shape, "float32") for _ in range(4))
    step = sp.grad(lambda q, k, v: sp.sum(sp.attention(q, k, v, causal=True) * g), argnums=(0, 1, 2))
    before = sp.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            sp.set_num_threads(threads)
            found.append([t.numpy().tobytes() for t in (sp.attention(q, k, v, causal=True), *step(q, k, v))])
    finally:
        sp.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_several_python_threads_at_once() -> None:
    q, k, v = (draw((2, 150, 16)) for _ in range(3))
    wanted = sp.attention(q, k, v).numpy()
    found: list[np.ndarray] = []
    workers = [threading.Thread(target=lambda: found.append(sp.attention(q, k, v).numpy())) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(found) == 4 and all(np.array_equal(f, wanted) for f in found)


def test_compiled_as_eager() -> None:
    q, k, v = (draw((2, 4, 40, 8), "float32") for _ in range(3))
    bias = draw((40, 40), "float32")
    step = sp.grad(lambda q, k, v: sp.sum(sp.square(sp.attention(q, k, v, bias, causal=True))), argnums=(0, 1, 2))
    compiled = sp.compile(step)
    for _ in range(3):
        for a, b in zip(step(q, k, v), compiled(q, k, v), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("written", range(4))
def test_an_operand_written_after_the_call_is_noticed(written: int) -> None:
    operands = [draw((3, 4)) + 0, draw((3, 4)) + 0, draw((3, 4)) + 0, draw((3, 3)) + 0]
    leaf = draw((3, 4))
    leaf.requires_grad = True
    tracked = (written + 1) % 3
    y = sp.attention(*(t + leaf if i == tracked else t for i, t in enumerate(operands)))
    operands[written] += 1.0
    with pytest.raises(sp.GradientError, match="written in place"):
        sp.sum(y).backward()


def test_the_graph_can_be_walked_twice_only_if_it_is_kept() -> None:
    leaf, mask = draw((3, 4)), draw((3, 3))
    leaf.requires_grad = True
    loss = sp.sum(sp.attention(leaf, leaf, leaf, mask))
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(sp.GradientError, match="retain_graph"):
        loss.backward()


def test_bfloat16_is_computed_in_float32_and_rounded() -> None:
    q, k, v = (draw((3, 4), "float32").astype(sp.bfloat16) for _ in range(3))
    y = sp.attention(q, k, v)
    assert y.dtype == sp.bfloat16
    wide = sp.attention(*(t.astype(sp.float32) for t in (q, k, v)))
    np.testing.assert_array_equal(y.astype(sp.float32).numpy(), wide.astype(sp.bfloat16).astype(sp.float32).numpy())
