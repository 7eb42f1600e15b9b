"""Concatenation without copies in a compiled function: what is joined is computed in its place in the result."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(11)


def array(*shape: int) -> sp.Tensor:
    return sp.tensor(RNG.standard_normal(shape).astype("float32"))


def fire(x: sp.Tensor) -> sp.Tensor:
    one, three = KERNELS
    return sp.conv2d(sp.concat([sp.relu(sp.conv2d(x, one)), sp.relu(sp.conv2d(x, three, padding=1))], axis=1), one2)


KERNELS = array(8, 6, 1, 1), array(10, 6, 3, 3)
one2 = array(5, 18, 1, 1)


def dense(x: sp.Tensor) -> sp.Tensor:
    """Each join is part of the next."""
    for _ in range(4):
        x = sp.concat([x, sp.tanh(sp.cumulative_sum(x, axis=0))], axis=0)
    return x * 2


def written(x: sp.Tensor) -> sp.Tensor:
    """A part is written in place after it was joined, and another before."""
    a, b = sp.exp(x), sp.sin(x)
    b += 1
    y = sp.concat([a, b], axis=0)
    a *= 3
    return sp.cumulative_sum(y, axis=0) + sp.concat([a, b], axis=0)


def returned(x: sp.Tensor) -> tuple[sp.Tensor, ...]:
    a, b = sp.cumulative_sum(x, axis=0), sp.exp(x)
    return sp.concat([a, b, a], axis=0), b


CASES = {
    "fire": (fire, (1, 6, 9, 9)),
    "fire, two images": (fire, (2, 6, 9, 9)),
    "dense": (dense, (7,)),
    "dense, rows": (dense, (3, 5)),
    "last axis": (lambda x: sp.cumulative_sum(sp.concat([sp.exp(x), sp.sin(x)], axis=-1), axis=0), (4, 3)),
    "one row": (lambda x: sp.cumulative_sum(sp.concat([sp.exp(x), sp.sin(x)], axis=-1), axis=1), (1, 300)),
    "the same twice": (lambda x: sp.cumulative_sum(sp.concat([sp.exp(x)] * 2, axis=0), axis=0), (9,)),
    "in two joins": (
        lambda x: (lambda e: sp.concat([e, sp.sin(e)], axis=0) - sp.concat([sp.cos(e), e], axis=0))(
            sp.cumulative_sum(x, axis=0)
        ),
        (9,),
    ),
    "views": (lambda x: sp.concat([sp.exp(x)[1:], sp.exp(x).T, x], axis=0), (6, 6)),
    "reshaped": (lambda x: sp.concat([sp.reshape(sp.exp(x), (-1,)), sp.reshape(sp.sin(x), (-1,))], axis=0) + 1, (3, 4)),
    "seventy parts": (lambda x: sp.concat([sp.sin(part) for part in sp.split(x, 70)] + [x], axis=0) * 2, (70, 3)),
    "argument": (lambda x: sp.cumulative_sum(sp.concat([x, sp.exp(x)], axis=0), axis=0), (12,)),
    "written": (written, (40,)),
    "returned": (returned, (40,)),
    "empty": (lambda x: sp.exp(sp.concat([sp.sin(x), x[:0]], axis=0)), (5,)),
    "alone": (lambda x: sp.exp(sp.concat([sp.sin(x)], axis=0)), (5,)),
    "0-d rows": (lambda x: sp.stack([x.sum(), x.max(), x.min()]), (5,)),
    "gradient": (sp.grad(lambda x: (sp.concat([sp.tanh(x), x @ x], axis=0) ** 2).sum()), (6, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_an_eager_call(name: str) -> None:
    f, shape = CASES[name]
    fast = sp.compile(f)
    for _ in range(4):
        x = array(*shape)
        found, wanted = fast(x), f(x)
        pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
        for a, b in pairs:
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def arena(f, *args: sp.Tensor) -> int:
    fast = sp.compile(f)
    for _ in range(2):
        fast(*args)
    return fast.programs[0].arena_bytes


def test_parts_need_no_memory_of_their_own() -> None:
    n = 100_000
    x = array(n)
    nothing = arena(lambda x: sp.cumulative_sum(sp.cumulative_sum(x, axis=0), axis=0), x)
    joined = arena(
        lambda x: sp.cumulative_sum(
            sp.concat([sp.cumulative_sum(x, axis=0), sp.cumulative_sum(x * 2, axis=0)], axis=0), axis=0
        ),
        x,
    )
    assert nothing <= 4 * n + 1000
    assert joined <= 3 * 4 * n + 1000, "the join, and x * 2"


def test_a_network_s_joins_are_in_place() -> None:
    """Of one image: the 18 channels, and neither the two convolutions nor what ReLU makes of them."""
    x = array(1, 6, 64, 64)
    assert arena(fire, x) == 18 * 64 * 64 * 4
