"""Penalties on inputs: ``maximize`` subtracts them, so that a positive weight always punishes.

Each is a term: call it on an input, scale it, add it to others. Sums run over all elements of the input.
"""

from __future__ import annotations

from typing import Any

from steep import _core
from steep._core import Tensor
from steep.ascent.term import Term


@Term
def l2(x: Any) -> Tensor:
    """The sum of squares of ``x``, any shape. Blind to the order of pixels. Source: notes table, rows 70 and 71."""
    return _core.sum(_core.square(x))


@Term
def total_variation(x: Any, beta: float = 2.0) -> Tensor:
    """``sum(((dx)^2 + (dy)^2)^(beta / 2))`` over images (..., height, width); differences past the border are 0.

    ``beta=1`` lets a jump cost no more than a ramp, ``beta=2`` prefers ramps; the gradient is 0 where there is no
    difference. Raises ValueError for fewer than 2 dimensions. Sources: Mahendran and Vedaldi 2015, arXiv:1412.0035;
    notes table, row 72.
    """
    x = _core.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"total_variation needs images of shape (..., height, width), got {x.shape}")
    squares = _core.square(_forward_difference(x, -1)) + _core.square(_forward_difference(x, -2))
    if beta == 2:
        return _core.sum(squares)
    return _core.sum(_core.where(squares > 0, squares ** (beta / 2), _core.zeros_like(squares)))


def _forward_difference(x: Tensor, axis: int) -> Tensor:
    after, before = (slice(1, None), slice(None, -1))
    rest = (slice(None),) * (-1 - axis)
    inner = x[(..., after, *rest)] - x[(..., before, *rest)]
    width = [(0, 0)] * x.ndim
    width[axis] = (0, 1)
    return _core.pad(inner, width)
