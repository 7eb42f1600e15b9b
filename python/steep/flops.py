"""How many operations of arithmetic an op takes, from the shapes of its operands and of its result.

A multiplication with an addition counts two, as is usual; elementwise ops and reductions one per element that they
read or write, whichever is more; ops that only move values nothing. Start reading at ``PRODUCTS`` and ``flops``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol


class Shaped(Protocol):
    """A tensor, or what is known of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def size(self) -> int:
        """Its number of elements."""


# Ops that compute nothing.
MOVES = frozenset(
    (
        "astype", "broadcast_to", "concat", "copy", "embed", "expand_dims", "flatten", "flip", "matrix_transpose",
        "moveaxis", "one_hot", "pad", "permute_dims", "put_planes", "repeat", "reshape", "roll", "slice", "split",
        "squeeze", "stack", "swapaxes", "take", "take_along_axis", "take_planes", "take_rows", "tile", "tril", "triu",
        "unstack", "wrap_index", "write_elements",
    )
)  # fmt: skip


def _filter(weight: Shaped) -> int:
    """Elements of a weight (out, in, ...) that one output position takes."""
    return math.prod(weight.shape[1:])


def _attention(inputs: Sequence[Shaped], queries: int, keys: int) -> int:
    """Of `queries` products over the width of a query and `keys` over the width of a value; a mask saves nothing."""
    query, key, value = inputs[:3]
    pairs = query.size // max(1, query.shape[-1]) * key.shape[-2]
    return 2 * pairs * (queries * query.shape[-1] + keys * value.shape[-1])


# From operands and result, for ops that are sums of products.
PRODUCTS: dict[str, Callable[[Sequence[Shaped], Shaped], int]] = {
    "matmul": lambda inputs, output: 2 * output.size * inputs[0].shape[-1],
    "matmul_add": lambda inputs, output: (2 * inputs[0].shape[-1] + 1) * output.size,
    "conv": lambda inputs, output: 2 * output.size * _filter(inputs[1]),
    "conv_input": lambda inputs, output: 2 * inputs[0].size * _filter(inputs[1]),
    "conv_weight": lambda inputs, output: 2 * inputs[1].size * _filter(output),
    "attention_blocks": lambda inputs, output: _attention(inputs, 1, 1),
    "attention_gradient": lambda inputs, output: _attention(inputs[1:], 3, 2),
}


def flops(name: str, inputs: Sequence[Shaped], output: Shaped) -> int:
    """The operations of one op.

    Args:
        name: name of the op.
        inputs: its operands, tensors of any shapes; their values are not read.
        output: its result.

    Returns:
        An integer.

    Example:
        >>> from steep.flops import flops
        >>> flops("matmul", [sp.ones((2, 3)), sp.ones((3, 4))], sp.ones((2, 4)))
        48
    """
    if name in MOVES:
        return 0
    if name in PRODUCTS:
        return PRODUCTS[name](inputs, output)
    return max([output.size, *(each.size for each in inputs)])


def shown(number: float, unit: str = "") -> str:
    """A number with three digits and a prefix.

    Args:
        number: the number.
        unit: what is counted.

    Returns:
        Text.

    Example:
        >>> from steep.flops import shown
        >>> shown(1_234_000, "B")
        '1.23 MB'
    """
    for prefix in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {prefix}{unit}".strip()
        number /= 1000
    return f"{number:.3g} T{unit}"
