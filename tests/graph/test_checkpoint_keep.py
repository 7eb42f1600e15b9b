"""``checkpoint(keep=)``: the results of chosen ops are saved, and not computed again in the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(3)


def array(*shape: int) -> sp.Tensor:
    return sp.tensor(RNG.standard_normal(shape))


W, V = array(6, 6), array(6, 6)
KERNEL = array(4, 3, 3, 3)


def layers(x: sp.Tensor) -> sp.Tensor:
    return sp.tanh(sp.tanh(x @ W) @ V) * x


def convolved(x: sp.Tensor) -> sp.Tensor:
    return sp.relu(sp.conv2d(x, KERNEL, padding=1)) ** 2


def attended(x: sp.Tensor) -> sp.Tensor:
    return sp.attention(x @ W, x @ V, sp.sin(x))


CASES = {
    "products": (layers, ["matmul"], (5, 6)),
    "one name": (layers, "matmul", (5, 6)),
    "activations": (layers, ["tanh"], (5, 6)),
    "everything": (layers, ["tanh", "matmul", "multiply"], (5, 6)),
    "convolutions": (convolved, ["conv2d"], (2, 3, 7, 7)),
    "attention": (attended, ["attention", "matmul"], (2, 5, 6)),
    "an op that does not occur": (layers, ["exp"], (5, 6)),
}


def times_computed(f, op: str) -> int:
    with sp.profile() as p:
        f()
    return sum(row.calls for row in p.by("op") if row.name.split()[0] == op)


@pytest.mark.parametrize("name", CASES)
def test_gradients_to_second_order_are_those_without_it(name: str) -> None:
    block, keep, shape = CASES[name]
    x, v = array(*shape), array(*shape)
    plain, kept = block, sp.checkpoint(block, keep=keep)
    for f in (lambda t, b: b(t).sum(), lambda t, b: (sp.grad(lambda u: b(u).sum())(t) * v).sum()):
        wanted, found = sp.grad(lambda t, f=f: f(t, plain))(x), sp.grad(lambda t, f=f: f(t, kept))(x)
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@pytest.mark.parametrize("name", CASES)
def test_compiled_as_eagerly(name: str) -> None:
    block, keep, shape = CASES[name]
    f = sp.grad(lambda t: sp.checkpoint(block, keep=keep)(t).sum())
    fast = sp.compile(f)
    for _ in range(3):
        x = array(*shape)
        np.testing.assert_array_equal(fast(x).numpy(), f(x).numpy())


@pytest.mark.parametrize(("keep", "products", "others"), [((), 8, 4), (("matmul",), 6, 4), (("matmul", "tanh"), 6, 2)])
def test_what_is_kept_is_computed_once(keep: tuple[str, ...], products: int, others: int) -> None:
    """Two products forward, four backward; two more where the function runs again without them."""
    x = sp.tensor(RNG.standard_normal((5, 6)), requires_grad=True)
    w, v = W.copy(), V.copy()
    w.requires_grad = v.requires_grad = True
    f = sp.checkpoint(lambda t: sp.tanh(sp.tanh(t @ w) @ v), keep=keep)
    assert times_computed(lambda: f(x).sum().backward(), "matmul") == products
    assert times_computed(lambda: f(x).sum().backward(), "tanh") == others


def test_parameters_and_draws_too() -> None:
    def model() -> sp.nn.Module:
        nn = sp.nn
        return nn.Sequential(nn.Linear(6, 8, generator=0), nn.Dropout(0.5, generator=1), nn.Linear(8, 2, generator=2))

    x, plain, kept = array(4, 6).astype("float32"), model(), model()
    block = sp.checkpoint(kept, keep=["matmul"])
    for _ in range(3):
        plain(x).sum().backward()
        block(x).sum().backward()
    for a, b in zip(plain.parameters(), kept.parameters(), strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_checkpoints_inside_one_another() -> None:
    inner = sp.checkpoint(lambda t: sp.tanh(t @ W), keep=["matmul"])
    outer = sp.checkpoint(lambda t: inner(t) @ V, keep=["matmul"])
    x = array(5, 6)
    wanted = sp.grad(lambda t: (sp.tanh(t @ W) @ V).sum())(x)
    np.testing.assert_array_equal(sp.grad(lambda t: outer(t).sum())(x).numpy(), wanted.numpy())


def test_a_function_that_does_something_else_the_second_time_is_refused() -> None:
    runs: list[int] = []

    def fickle(t: sp.Tensor) -> sp.Tensor:
        runs.append(1)
        return (t @ W if len(runs) == 1 else t[:2] @ W @ V).sum()

    y = sp.checkpoint(fickle, keep=["matmul"])(sp.tensor(np.ones((5, 6)), requires_grad=True))
    with pytest.raises(sp.GradientError, match=r"checkpoint: the function applied matmul to .*\(2, 6\).*again"):
        y.backward()


def test_a_kept_result_that_is_written_is_refused() -> None:
    def writes(t: sp.Tensor) -> sp.Tensor:
        y = t @ W
        with sp.no_grad():
            y.detach()[...] = 0.0
        return sp.tanh(y).sum()

    y = sp.checkpoint(writes, keep=["matmul"])(sp.tensor(np.ones((5, 6)), requires_grad=True))
    with pytest.raises(sp.GradientError, match="matmul"):
        y.backward()


@pytest.mark.parametrize(
    ("keep", "message"),
    [(["matmull"], "matmul"), (["reshape"], "is a view|made of other ops"), (["softmax"], "made of other ops")],
)
def test_names_are_checked_at_once(keep: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sp.checkpoint(layers, keep=keep)
