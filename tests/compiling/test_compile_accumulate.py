"""Products that are added to something as they are computed: which sums become one instruction, and the bits of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import steep as sp

M, K, N = 320, 96, 256  # a result that is worth it; sums within one block
MODES = ("auto", "fma", "split", "bf16")


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> sp.Tensor:
    return sp.tensor(np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype))


def plus_equals(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    total += x @ y


def assigned(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    total[...] = total + x @ y


def product_first(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    total[...] = x @ y + total


def transposed(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    total += x.T.copy().T @ y.T.copy().T


def twice(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    total += x @ y
    total += (x * 2) @ y


def temporary(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    return sp.relu(total * 2 + x @ y)


def chain(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    return x @ y + (x * 2) @ y + (x * 3) @ (y + 1)


def gradient(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> Any:
    """A weight that is used twice: its gradient is a sum of two products."""
    return sp.grad(lambda w: (sp.tanh(x @ w).sum() + (sp.sin(x * 2) @ w).sum()) + (w * total[:K]).sum())(y)


def product_kept(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    product = x @ y
    total += product
    return product


def addend_kept(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> tuple[sp.Tensor, ...]:
    before = total * 2
    return before + x @ y, before


def operand_written(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    product = x @ y
    x *= 2
    total += product


def total_written(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    later = total + x @ y
    total *= 3
    total[...] = later


def itself(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    square = total[:N]
    square += square @ square


def broadcast(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    return total[0] * 2 + x @ y


def long(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
    total += sp.concat([x] * 6, axis=1) @ sp.concat([y] * 6, axis=0)


def small(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    return total[:9, :9] * 2 + x[:9] @ y[:, :9]


def batched(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    pairs = sp.stack([x, x * 2], axis=0)
    return sp.stack([total, total], axis=0) + pairs @ sp.stack([y, y - 1], axis=0) + pairs @ y


# How many products are added where they are computed.
CASES: dict[str, tuple[Callable[..., Any], int]] = {
    "plus_equals": (plus_equals, 1),
    "assigned": (assigned, 1),
    "product_first": (product_first, 1),
    "transposed": (transposed, 1),
    "twice": (twice, 2),
    "temporary": (temporary, 1),
    "chain": (chain, 2),
    "gradient": (gradient, 0),
    "product_kept": (product_kept, 0),
    "addend_kept": (addend_kept, 0),
    "operand_written": (operand_written, 0),
    "total_written": (total_written, 0),
    "itself": (itself, 0),
    "broadcast": (broadcast, 0),
    "long": (long, 0),
    "small": (small, 0),
    "batched": (batched, 2),
}


def operands(dtype: str = "float32") -> list[sp.Tensor]:
    return [normal(M, N, seed=1, dtype=dtype), normal(M, K, seed=2, dtype=dtype), normal(K, N, seed=3, dtype=dtype)]


def check(f: Callable[..., Any], args: Callable[[], list[sp.Tensor]]) -> str:
    """Two calls, compiled and not, on memory of their own: equal results and equal memory. The program's text."""
    fast = sp.compile(f)
    mine, theirs = args(), args()
    for _ in range(3):
        found, wanted = fast(*mine), f(*theirs)
        pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
        for a, b in pairs:
            if b is not None:
                np.testing.assert_array_equal(a.numpy(), b.numpy())
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    return str(fast.program)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_a_product_is_added_as_it_is_computed_with_the_same_bits(name: str, mode: str) -> None:
    f, count = CASES[name]
    with sp.matmul_precision(mode):
        assert check(f, operands).count("matmul_add(") == count


@pytest.mark.parametrize("name", ["plus_equals", "chain", "batched"])
def test_of_float64(name: str) -> None:
    f, count = CASES[name]
    assert check(f, lambda: operands("float64")).count("matmul_add(") == count


def test_integers_are_added_afterwards() -> None:
    def whole() -> list[sp.Tensor]:
        return [t.astype(sp.int32) for t in operands()]

    assert "matmul_add" not in check(plus_equals, whole)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e16, 1e-40, 1e-30, 0.0, -0.0])
def test_values_that_products_of_parts_repair(mode: str, value: float) -> None:
    """What is repaired afterwards elsewhere has to be right before it is added, in a block of rows and beside it."""

    def special() -> list[sp.Tensor]:
        total, x, y = operands()
        x[5, 3] = value
        x[300, :] = value
        y[3, 7] = value
        total[9, 9] = value
        return [total, x, y]

    with sp.matmul_precision(mode):
        assert "matmul_add(" in check(plus_equals, special)


def test_the_bits_do_not_depend_on_the_threads() -> None:
    fast, before, found = sp.compile(plus_equals), sp.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            sp.set_num_threads(threads)
            args = operands()
            fast(*args)
            found.append(args[0].numpy().tobytes())
    finally:
        sp.set_num_threads(before)
    assert len(set(found)) == 1


def test_a_sum_in_place_of_a_part_of_memory_leaves_the_rest() -> None:
    def lower(total: sp.Tensor, x: sp.Tensor, y: sp.Tensor) -> None:
        rows = total[10:]
        rows += x[10:] @ y

    assert "matmul_add(" in check(lower, operands)


def test_an_accumulated_gradient_takes_no_memory_for_the_product() -> None:
    """The arena of a step that adds a gradient to a total does not hold the gradient."""
    x, y = normal(K, 600), normal(K, 700)

    def step(total: sp.Tensor) -> None:
        total += x.T @ y

    fast = sp.compile(step)
    fast(sp.zeros((600, 700)))
    assert fast.program.arena_bytes == 0
