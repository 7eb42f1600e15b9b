"""Projections: functions of the parameters that the one loop calls after each step (``project=``).

Each factory returns a function from a tree of tensors to the nearest tree inside a set, and ``compose`` combines
several.
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
    """Projection onto ``low <= x <= high``, elementwise.

    Args:
        low: lower bound, a number or an array that broadcasts against x.
        high: upper bound, likewise.

    Returns:
        A projection, a function of a tree of tensors for ``project=``.

    Raises:
        ValueError: if the box is empty.

    Example:
        >>> sp.optim.projections.box(0, 1)(sp.tensor([-1.0, 0.5, 2.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    if not np.all(np.asarray(low) <= np.asarray(high)):
        raise ValueError(f"box: the lower bound {low} is above the upper bound {high}")
    return lambda params: tree.map(lambda x: _core.clip(x, low, high), params)


def ball(center: Any, eps: float, norm: str = "linf", batched: bool = False) -> Projection:
    """Projection onto the points within ``eps`` of ``center``.

    Rounding never leaves an "linf" ball: its bounds are rounded inwards.

    Args:
        center: an array or a tree of them.
        eps: radius of the ball.
        norm: "linf" (every element), "l2" or "l1" (the norm of each tensor).
        batched: for "l2" and "l1", whether to take the norm of each row instead.

    Returns:
        A projection, a function of a tree of tensors for ``project=``.

    Raises:
        ValueError: for another norm, or a radius that is negative or NaN.

    Example:
        >>> sp.optim.projections.ball(sp.zeros(2), 1.0, "l2")(sp.tensor([3.0, 4.0]))
        tensor([0.6, 0.8], dtype=float32)
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
    """Projection onto the points with ``x >= 0`` that sum to ``total`` along the last axis, such as mixture weights.

    Args:
        total: the sum, positive.

    Returns:
        A projection, a function of a tree of tensors for ``project=``.

    Raises:
        ValueError: for a total that is not positive.

    References:
        Duchi et al. 2008, "Efficient projections onto the l1-ball for learning in high dimensions", ICML.

    Example:
        >>> sp.optim.projections.simplex()(sp.tensor([2.0, 0.0])).tolist()
        [1.0, 0.0]
    """
    if not total > 0:
        raise ValueError(f"simplex: the total must be positive, got {total}")

    def onto(x: Tensor) -> Tensor:
        rows = _core.reshape(x, (-1, x.shape[-1]))
        return _core.reshape(_core.maximum(rows - excess(rows, total), 0.0), x.shape)

    return lambda params: tree.map(onto, params)


def compose(*projections: Projection) -> Projection:
    """Several projections, one after another: the last set is guaranteed, the others as far as it does not change them.

    Args:
        projections: the projections.

    Returns:
        A projection, a function of a tree of tensors for ``project=``.

    Example:
        >>> from steep.optim.projections import ball, box, compose
        >>> both = compose(ball(sp.zeros(1), 2.0), box(0, 1))
        >>> both(sp.tensor([5.0])).tolist()
        [1.0]
    """

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
