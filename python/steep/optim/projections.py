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
from steep.optim.norms import excess, find_norm, in_rows
from steep.tree import Tree

Projection: TypeAlias = Callable[[Tree], Tree]


def box(low: Any = 0.0, high: Any = 1.0) -> Projection:
    """Onto ``low <= x <= high``, element by element; the bounds are numbers, or arrays that broadcast against x.

    Raises ValueError if the box is empty.
    """
    if not np.all(np.asarray(low) <= np.asarray(high)):
        raise ValueError(f"box: the lower bound {low} is above the upper bound {high}")
    return lambda params: tree.map(lambda x: _core.clip(x, low, high), params)


def ball(center: Any, eps: float, norm: str = "linf", batched: bool = False) -> Projection:
    """Onto the points within ``eps`` of ``center`` (an array or a tree of them) by ``norm``: "linf", "l2" or "l1".

    "linf" bounds every element by itself; the others bound the norm of each tensor, or with ``batched`` that of each
    row. Rounding never leaves an "linf" ball: its bounds are rounded inwards. Raises ValueError for another norm or a
    radius that is negative or not a number.
    """
    kind = find_norm("ball", norm)
    if not eps >= 0:
        raise ValueError(f"ball: the radius must not be negative, got {eps}")
    middle = tree.map(_core.asarray, center)
    if norm == "linf":
        low, high = (tree.map(lambda c, s=sign: _bound(c, s * eps), middle) for sign in (-1, 1))
        return lambda params: tree.map(_core.clip, params, low, high)

    def onto(x: Tensor, c: Tensor) -> Tensor:
        return c + _core.reshape(kind.project(in_rows(x - c, batched), eps), x.shape)

    return lambda params: tree.map(onto, params, middle)


def simplex(total: float = 1.0) -> Projection:
    """Onto the points with ``x >= 0`` that add up to ``total`` along the last axis, such as weights of a mixture.

    Raises ValueError for a total that is not positive. Source: Duchi et al. 2008, exact, by sorting.
    """
    if not total > 0:
        raise ValueError(f"simplex: the total must be positive, got {total}")

    def onto(x: Tensor) -> Tensor:
        rows = _core.reshape(x, (-1, x.shape[-1]))
        return _core.reshape(_core.maximum(rows - excess(rows, total), 0.0), x.shape)

    return lambda params: tree.map(onto, params)


def compose(*projections: Projection) -> Projection:
    """One after the other: the last one's set holds for certain, the others' where they do not disturb it."""

    def project(params: Tree) -> Tree:
        for projection in projections:
            params = projection(params)
        return params

    return project


def _bound(center: Tensor, offset: float) -> Tensor:
    """``center + offset`` in the dtype of ``center``, rounded towards the centre."""
    values = np.asarray(center)
    exact = values.astype(np.float64) + offset
    rounded = exact.astype(values.dtype)
    outside = np.abs(rounded.astype(np.float64) - values) > abs(offset)
    return _core.tensor(np.where(outside, np.nextafter(rounded, values), rounded))
