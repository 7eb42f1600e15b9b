"""Where the gradient is not the derivative, because something in a function cuts it: detach, no_grad, float(), numpy().

The gradient is compared with differences of values. Where a kink or rounding is near, the differences to both sides
and of half the length do not agree, and nothing is said. A cut is named after the op from which a value without a
graph comes, or the line of Python that reads a value. Start reading at ``find_cut``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import steep
from steep import _core
from steep.descent.landscapes import Landscape, Points, shown
from steep.display import displayed

STEP = 1e-5  # of the domain's width
AGREED, WRONG = 1e-3, 1e-2  # of the derivative: what differences of a smooth function do, and what a cut is more than
MOST = 32  # points that are compared
NAMED = re.compile(r"it comes from (.*), which stops gradients")
# Whose derivative is 0 wherever there is one; astype stops gradients only on the way to integers.
FLAT = {row["name"] for row in _core._op_table() if not row["differentiable"]} - {"detach"} | {"astype"}


@displayed
@dataclass(frozen=True)
class Cut:
    """A point at which the gradient lacks a part.

    Attributes:
        at: index of the point.
        point: its coordinates.
        variable: the name of the variable, x or y.
        gradient: the gradient with respect to it.
        difference: what differences of the function's values give.
        by: what cuts it, as text; "" if that was not found.
    """

    at: int
    point: tuple[float, ...]
    variable: str
    gradient: float
    difference: float
    by: str

    def __str__(self) -> str:
        by = f"; {self.by}" if self.by else ""
        return (
            f"the gradient is not the derivative: with respect to {self.variable} it is {self.gradient:.4g} at "
            f"{shown(self.point)}, and differences give {self.difference:.4g}{by}"
        )


def find_cut(landscape: Landscape, points: Points) -> Cut | None:
    """The first point at which the gradient differs from differences of values.

    Args:
        landscape: the landscape.
        points: an array (n, variables); of many, some are compared, the first and the last among them.

    Returns:
        A ``Cut``, or None.

    Example:
        >>> cut = sp.descent.find_cut(sp.descent.landscape(lambda x: 3 * x + x.detach()), np.ones((1, 1)))
        >>> cut.variable, cut.gradient, round(cut.difference, 6), cut.by
        ('x', 3.0, 4.0, 'detach stops gradients')
    """
    which = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST)).astype(int))
    some = np.asarray(points, np.float64)[which]
    with np.errstate(all="ignore"):
        gradients, (derivatives, known) = landscape.gradient_at(some), _differences(landscape, some)
        scale = np.maximum(np.abs(gradients), np.abs(derivatives))
        wrong = known & np.isfinite(gradients) & (np.abs(gradients - derivatives) > WRONG * scale)
    if not wrong.any():
        return None
    row, column = (int(i) for i in np.argwhere(wrong)[0])
    return Cut(int(which[row]), tuple(some[row].tolist()), "xy"[column], float(gradients[row, column]),
               float(derivatives[row, column]), _cutter(landscape, some[row]))  # fmt: skip


def _differences(landscape: Landscape, points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Derivatives by differences (n, variables), and which of them are certain."""
    step = STEP * max(high - low for low, high in landscape.domain)
    centre = landscape.at(points)[:, None]
    moves = np.array([1.0, -1.0, 0.5, -0.5])[:, None, None] * step * np.eye(landscape.dimensions)
    around = (points[:, None, None] + moves).reshape(-1, landscape.dimensions)
    up, down, half_up, half_down = np.moveaxis(landscape.at(around).reshape(len(points), 4, -1), 1, 0)
    whole, half = (up - down) / (2 * step), (half_up - half_down) / step
    sides = np.abs((up - centre) - (centre - down)) / step
    # A derivative that rounding of the values could make is none; what a smooth one changes over a step is its size
    # times the step beside the domain, at most.
    rounding = 1e-15 * np.abs(centre) / step
    known = (np.abs(whole - half) <= AGREED * np.abs(whole)) & (sides <= 10 * AGREED * np.abs(whole))
    return whole, known & (np.abs(whole) > 1e3 * rounding)


def _cutter(landscape: Landscape, point: Points) -> str:
    """What stops gradients in the function: ops and modes that a value without a graph comes from, or a line."""
    x = _core.tensor(point, requires_grad=True)
    read, capture = "", _core._Capture([x], True)
    try:
        landscape(x)
    except _core.CompileError as error:  # Python reads a value, which has no gradient
        name, line = str(error).split(":")[0], re.search(r"at (\S+:\d+)", str(error))
        read = f"{name}() reads a value" + (f" at {line[1]}" if line else "")
    finally:
        capture.stop()
    values = [value for _, _, inputs, made, _ in capture.traced() for value in (*inputs, made)]
    names = dict.fromkeys(name for value in values if (name := _stopped_by(value, x)))
    stops = [name for name in names if name not in FLAT]
    stopped = f"{' and '.join(stops)} stop{'s' * (len(stops) == 1)} gradients" if stops else ""
    return "; ".join(filter(None, (stopped, read)))


def _stopped_by(value: _core.Tensor, x: _core.Tensor) -> str:
    """The op or mode that a value without a graph comes from, "" for what has one, or never had."""
    if _core._node_of(value) is not None:
        return ""
    found = NAMED.search(steep.explain(value, x))
    return found[1] if found else ""
