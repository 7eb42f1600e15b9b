"""Line searches: the step length along a descent direction.

Both take ``phi``, which evaluates the function at a step length and returns its value, its slope along the direction
and data of the caller, and return the best ``Point`` found. Source: Nocedal and Wright 2006, *Numerical Optimization*,
2nd edition, algorithms 3.1, 3.5 and 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from steep.display import displayed

ARMIJO, CURVATURE, MOST = 1e-4, 0.9, 25


@displayed
class Point(NamedTuple):
    """A point of a line search.

    Attributes:
        length: the step length.
        value: the value there.
        slope: the derivative along the direction there.
        payload: data of the caller.
    """

    length: float
    value: float
    slope: float
    payload: Any


Phi: TypeAlias = Callable[[float], Point]


def _falls(start: Point, point: Point) -> bool:
    return point.value <= start.value + ARMIJO * point.length * start.slope


def _flat(start: Point, point: Point) -> bool:
    return abs(point.slope) <= -CURVATURE * start.slope


def backtracking(phi: Phi, start: Point, length: float) -> Point:
    """Halves ``length`` until the Armijo condition holds.

    Args:
        phi: the function of the step length, which returns a ``Point``.
        start: the point at length 0.
        length: the first length tried.

    Returns:
        The best ``Point`` found, or ``start``.
    """
    for _ in range(MOST):
        point = phi(length)
        if _falls(start, point):
            return point
        length /= 2
    return start


def strong_wolfe(phi: Phi, start: Point, length: float) -> Point:
    """A step length that satisfies the strong Wolfe conditions.

    Args:
        phi: the function of the step length, which returns a ``Point``.
        start: the point at length 0.
        length: the first length tried.

    Returns:
        The best ``Point`` found, or ``start``.
    """
    before = start
    for trial in range(MOST):
        point = phi(length)
        if not _falls(start, point) or (trial and point.value >= before.value):
            return _zoom(phi, start, before, point)
        if _flat(start, point):
            return point
        if point.slope >= 0:
            return _zoom(phi, start, point, before)
        before, length = point, 2 * length
    return before


def _zoom(phi: Phi, start: Point, low: Point, high: Point) -> Point:
    for _ in range(MOST):
        point = phi(_between(low, high))
        if not _falls(start, point) or point.value >= low.value:
            high = point
        elif _flat(start, point):
            return point
        else:
            high = low if point.slope * (high.length - low.length) >= 0 else high
            low = point
    return low


def _between(low: Point, high: Point) -> float:
    """The minimum of the cubic through both points, or the middle if that is not usable."""
    middle, width = (low.length + high.length) / 2, abs(high.length - low.length)
    guess = _cubic_minimum(low, high)
    near_an_end = math.isnan(guess) or abs(guess - middle) > 0.4 * width
    return middle if near_an_end else guess


def _cubic_minimum(a: Point, b: Point) -> float:
    if not all(map(math.isfinite, (a.value, a.slope, b.value, b.slope))) or a.length == b.length:
        return math.nan
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.length - b.length)
    inner = d1 * d1 - a.slope * b.slope
    if inner < 0:
        return math.nan
    d2 = math.copysign(math.sqrt(inner), b.length - a.length)
    denominator = b.slope - a.slope + 2 * d2
    return b.length - (b.length - a.length) * (b.slope + d2 - d1) / denominator if denominator else math.nan
