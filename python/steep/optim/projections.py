"""Projections: functions of the parameters that the one loop calls after each step (``project=``).

Each factory returns a function from a tree of tensors to the nearest tree inside a set, and ``compose`` makes one of
several. Source: notes table, row 60.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from steep import _core, tree
from steep._core import Tensor
from steep.tree import Tree

Projection: TypeAlias = Callable[[Tree], Tree]

NORMS = ("linf", "l2")


def box(low: Any = 0.0, high: Any = 1.0) -> Projection:
    """Onto ``low <= x <= high``, element by element; the bounds are numbers, or arrays that broadcast against x.

    Raises ValueError if the box is empty.
    """
    if not np.all(np.asarray(low) <= np.asarray(high)):
        raise ValueError(f"box: the lower bound {low} is above the upper bound {high}")
    return lambda params: tree.map(lambda x: _core.clip(x, low, high), params)


def ball(center: Any, eps: float, norm: str = "linf", batched: bool = False) -> Projection:
    """Onto the points within ``eps`` of ``center`` (an array or a tree of them) by ``norm``: "linf" or "l2".

    "linf" bounds every element by itself. "l2" bounds the norm of each tensor, or with ``batched`` that of each row.
    Rounding never leaves an "linf" ball: its bounds are rounded inwards. Raises ValueError for another norm or a
    radius that is negative or not a number.
    """
    check_norm("ball", norm)
    if not eps >= 0:
        raise ValueError(f"ball: the radius must not be negative, got {eps}")
    middle = tree.map(_core.asarray, center)
    if norm == "l2":
        return lambda params: tree.map(lambda x, c: _onto_sphere(x, c, eps, batched), params, middle)
    low, high = (tree.map(lambda c, s=sign: _bound(c, s * eps), middle) for sign in (-1, 1))
    return lambda params: tree.map(_core.clip, params, low, high)


def compose(*projections: Projection) -> Projection:
    """One after the other: the last one's set holds for certain, the others' where they do not disturb it."""

    def project(params: Tree) -> Tree:
        for projection in projections:
            params = projection(params)
        return params

    return project


def check_norm(who: str, norm: str) -> None:
    """ValueError unless ``norm`` is known."""
    if norm not in NORMS:
        raise ValueError(f"{who}: norm must be one of {list(NORMS)}, got {norm!r}")


def row_norms(x: Tensor, batched: bool) -> Tensor:
    """The l2 norm of the whole tensor, or of each row along the first axis, shaped to broadcast against ``x``."""
    return _core.norm(x, axis=tuple(range(1, x.ndim)) if batched else None, keepdims=True)


def _bound(center: Tensor, offset: float) -> Tensor:
    """``center + offset`` in the dtype of ``center``, rounded towards the centre."""
    values = np.asarray(center)
    exact = values.astype(np.float64) + offset
    rounded = exact.astype(values.dtype)
    outside = np.abs(rounded.astype(np.float64) - values) > abs(offset)
    return _core.tensor(np.where(outside, np.nextafter(rounded, values), rounded))


def _onto_sphere(x: Tensor, center: Tensor, eps: float, batched: bool) -> Tensor:
    offset = x - center
    length = row_norms(offset, batched)
    return center + offset * _core.where(length > eps, eps / length, _core.ones_like(length))
