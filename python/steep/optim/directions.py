"""Gradients rescaled before a step, so that the rate says how far a step goes whatever the gradient's size.

``DIRECTIONS`` is the table. Each picture of a batch (n, c, h, w) is rescaled by itself, tensors of fewer dimensions
whole; a gradient of exactly zero stays zero. Source: notes table, 1d row K.
"""

from __future__ import annotations

from collections.abc import Callable

from steep import _core
from steep._core import Tensor

Direction = Callable[[Tensor], Tensor]


def same(g: Tensor) -> Tensor:
    """The gradient as it is."""
    return g


def l2(g: Tensor) -> Tensor:
    """Of Euclidean length 1: Keras's "Visualizing what convnets learn" (notes table, row 55)."""
    return _over(g, _core.norm(g, axis=_axes(g), keepdims=True))


def mean_abs(g: Tensor) -> Tensor:
    """Of mean absolute value 1: DeepDream (notes table, row 68)."""
    return _over(g, _core.mean(_core.abs(g), axis=_axes(g), keepdims=True))


def std(g: Tensor) -> Tensor:
    """Of standard deviation 1."""
    return _over(g, _core.std(g, axis=_axes(g), keepdims=True))


def sign(g: Tensor) -> Tensor:
    """Every element -1, 0 or 1."""
    return _core.sign(g)


DIRECTIONS: dict[str | None, Direction] = {None: same, "l2": l2, "mean_abs": mean_abs, "std": std, "sign": sign}


def find_direction(name: str | None) -> Direction:
    """The function called ``name``. Raises ValueError for another word."""
    if name not in DIRECTIONS:
        raise ValueError(f"normalize must be one of {list(DIRECTIONS)}, got {name!r}")
    return DIRECTIONS[name]


def _axes(g: Tensor) -> tuple[int, ...]:
    return tuple(range(1 if g.ndim >= 4 else 0, g.ndim))


def _over(g: Tensor, size: Tensor) -> Tensor:
    return g / _core.where(size > 0, size, _core.ones_like(size))
