"""Where a function has no derivative: kinks and jumps, found by differences along lines, and suspected from its trace.

Along a line, an interval where the derivative (or the value) changes most is halved until it is about 1e-9 of the line;
what then still changes is a kink (or a jump). The trace says which ops of the function may have one at all: those whose
row in the op table states a subgradient, and ``where``. Start reading at ``along_segments``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steep import _core
from steep.descent.landscapes import Landscape, Points, shown
from steep.display import displayed

HALVINGS = 34
PIECES = 16
NOTICEABLE = 1e-4  # of the largest derivative or value nearby
CONTROL_FLOW = "Python's control flow"
# Ops without a page of their own, and what is no op.
OTHERS = {"where", "clip_low", "clip_high", "euclidean_norm", CONTROL_FLOW}
EXACT_POWERS = {"pow", "copysign"}  # whose subgradient is about exponents and signs that expressions hold constant


@displayed
@dataclass(frozen=True)
class Kink:
    """A point without a derivative.

    Attributes:
        point: its coordinates.
        jump: whether the value itself jumps.
        segment: index of the segment on which it lies.
        share: how far along that segment, from 0 to 1.
    """

    point: tuple[float, ...]
    jump: bool
    segment: int
    share: float

    def __str__(self) -> str:
        return f"{'a jump' if self.jump else 'a kink'} at {shown(self.point)}"


def suspects(landscape: Landscape) -> list[str]:
    """The ops in a function's trace that may have kinks or jumps.

    Args:
        landscape: the landscape.

    Returns:
        Their names, in order of first use.

    Example:
        >>> sp.descent.suspects(sp.descent.find("abs")), sp.descent.suspects(sp.descent.find("rosenbrock"))
        (['abs'], [])
    """
    rows = {row["name"] for row in _core._op_table() if row["subgradient"]} - EXACT_POWERS | OTHERS
    return [name for name in _trace(landscape) if name in rows]


def _trace(landscape: Landscape) -> list[str]:
    """Every op that the function runs at the start, each once, also those that no gradient passes."""
    point, branches = _core.tensor(np.array(landscape.start)), []
    with _core.no_grad():
        capture = _core._Capture([point], True)
        try:
            landscape(point)
        except _core.CompileError:  # Python reads a value, to branch on it
            branches = [CONTROL_FLOW]
        finally:
            capture.stop()
    return [*dict.fromkeys(name for name, *_ in capture.traced()), *branches]


def along_segments(landscape: Landscape, begin: Any, end: Any) -> list[Kink]:
    """Kinks and jumps on straight segments.

    Args:
        landscape: the landscape.
        begin: where each segment begins, an array (n, variables).
        end: where it ends.

    Returns:
        The kinks, in order of segments; of several neighbouring finds one.
    """
    begin, end = (np.asarray(v, np.float64).reshape(-1, landscape.dimensions) for v in (begin, end))
    lengths = np.linalg.norm(end - begin, axis=1)
    which = np.nonzero(lengths > 0)[0]
    if not len(which):
        return []
    lines = _Lines(landscape, begin[which], (end - begin)[which], lengths[which])
    found = [replace(kink, segment=int(which[kink.segment])) for kink in (*lines.breaks(True), *lines.breaks(False))]
    return _distinct(found)


class _Lines:
    """Segments on which values (for jumps) or derivatives along them (for kinks) are halved towards their breaks."""

    def __init__(self, landscape: Landscape, begin: Points, way: Points, lengths: Points) -> None:
        self.landscape, self.begin, self.way = landscape, begin, way
        self.units = way / lengths[:, None]
        self.width = max(high - low for low, high in landscape.domain)

    def curve(self, segment: Any, share: Points, jump: bool) -> Points:
        """Values, or derivatives along the segments, at shares of these segments."""
        points = self.begin[segment] + self.way[segment] * share[:, None]
        if jump:
            return self.landscape.at(points)
        with np.errstate(all="ignore"):
            along: Points = (self.landscape.gradient_at(points) * self.units[segment]).sum(axis=1)
        return along

    def breaks(self, jump: bool) -> list[Kink]:
        """Where the curve still changes after halving."""
        shares, count = np.linspace(0, 1, PIECES + 1), len(self.begin)
        every = np.repeat(np.arange(count), PIECES + 1)
        curve = self.curve(every, np.tile(shares, count), jump).reshape(count, -1)
        enough = NOTICEABLE * self._sizes(curve)
        with np.errstate(all="ignore"):
            change = np.abs(np.diff(curve, axis=1))
        segment, piece = np.nonzero(np.isfinite(change) & (change > enough[:, None]))
        if not len(segment):
            return []
        ends = shares[piece], shares[piece + 1], curve[segment, piece], curve[segment, piece + 1]
        share, left = self._halved(segment, ends, jump)
        kept = np.nonzero(left > enough[segment])[0]
        return [Kink(self._place(segment[i], share[i]), jump, int(segment[i]), float(share[i])) for i in kept]

    def _sizes(self, curve: Points) -> Points:
        """What changes are compared with: the largest number of each segment, or a thousandth of that of all, so that
        rounding on a short segment is no kink."""
        finite = np.where(np.isfinite(curve), np.abs(curve), 0.0)
        sizes: Points = np.maximum(finite.max(axis=1), 1e-3 * finite.max()) + 1e-300
        return sizes

    def _halved(self, segment: Any, ends: tuple[Points, ...], jump: bool) -> tuple[Points, Points]:
        """The middle of the last intervals, and how much the curve changes over each."""
        low, high, at_low, at_high = ends
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            there = self.curve(segment, middle, jump)
            left = np.abs(there - at_low) >= np.abs(at_high - there)
            low, high = np.where(left, low, middle), np.where(left, middle, high)
            at_low, at_high = np.where(left, at_low, there), np.where(left, there, at_high)
        return (low + high) / 2, np.abs(at_high - at_low)

    def _place(self, segment: int, share: float) -> tuple[float, ...]:
        """A point, rounded to what halving can tell."""
        digits = 9 - math.ceil(math.log10(self.width))
        point = self.begin[segment] + self.way[segment] * share
        return tuple(round(float(v), digits) + 0.0 for v in point)


def _distinct(found: list[Kink]) -> list[Kink]:
    """One of several finds at one place; a jump rather than a kink."""
    kept: list[Kink] = []
    for kink in sorted(found, key=lambda k: (k.segment, k.share, not k.jump)):
        last = kept[-1] if kept else None
        if last is None or last.segment != kink.segment or kink.share - last.share > 1e-6:
            kept.append(kink)
        elif kink.jump and not last.jump:
            kept[-1] = kink
    return kept


def in_domain(landscape: Landscape, lines: int = 17) -> list[Kink]:
    """Kinks and jumps on a grid of lines through the domain, parallel to the axes.

    Args:
        landscape: the landscape.
        lines: number of lines in each direction; one variable has one line.

    Returns:
        The kinks.

    Example:
        >>> [str(kink) for kink in sp.descent.in_domain(sp.descent.find("abs"))]
        ['a kink at (0)']
    """
    if landscape.dimensions == 1:
        ((low, high),) = landscape.domain
        cuts = np.linspace(low, high, lines + 1)[:, None]
        return _distinct_points(along_segments(landscape, cuts[:-1], cuts[1:]), landscape)
    (left, right), (bottom, top) = landscape.domain
    # A little off the middle of each cell, so that no line lies in a kink along an axis.
    across, up = (np.linspace(low, high, lines + 1)[:-1] + (high - low) / lines * 0.4619
                  for low, high in landscape.domain)  # fmt: skip
    begin = np.array([(x, bottom) for x in across] + [(left, y) for y in up])
    end = np.array([(x, top) for x in across] + [(right, y) for y in up])
    return along_segments(landscape, begin, end)


def _distinct_points(found: list[Kink], landscape: Landscape) -> list[Kink]:
    """Finds at the ends of two neighbouring segments are one."""
    width = max(high - low for low, high in landscape.domain)
    kept: list[Kink] = []
    for kink in found:
        if not kept or abs(kink.point[0] - kept[-1].point[0]) > 1e-6 * width:
            kept.append(kink)
    return kept


def undefined(landscape: Landscape, points: int = 33) -> str:
    """Where a function is not finite, on a grid over the domain.

    Args:
        landscape: the landscape.
        points: number of points per variable.

    Returns:
        Text such as "not finite at 34% of the domain, such as (-1, -1)"; "" if it is finite everywhere.

    Example:
        >>> sp.descent.undefined(sp.descent.landscape("log(x)", domain=((-1, 1),)))
        'not finite at 52% of the domain, such as (-1)'
    """
    axes = [np.linspace(low, high, points) for low, high in landscape.domain]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, landscape.dimensions)
    with np.errstate(all="ignore"):
        wrong = ~np.isfinite(landscape.at(grid))
    return f"not finite at {wrong.mean():.0%} of the domain, such as {shown(grid[wrong][0])}" if wrong.any() else ""


def described(found: list[Kink], landscape: Landscape) -> str:
    """Where a function is differentiable, as text.

    Args:
        found: what ``in_domain`` found.
        landscape: the landscape.

    Returns:
        Text such as "differentiable except where x = 0 (kinks)".

    Example:
        >>> bowl = sp.descent.find("quadratic")
        >>> sp.descent.described(sp.descent.in_domain(bowl), bowl)
        'differentiable everywhere in the domain'
    """
    if not found:
        return "differentiable everywhere in the domain"
    kind = "jumps" if all(k.jump for k in found) else "kinks and jumps" if any(k.jump for k in found) else "kinks"
    points = np.array([kink.point for kink in found])
    if landscape.dimensions > 1 and np.ptp(points, axis=0).max() < 1e-6:
        return f"differentiable except at {shown(points[0])} ({kind})"
    for name, values in zip("xy", points.T, strict=False):
        if np.ptp(values) < 1e-6 * max(1.0, float(np.abs(values).max())):
            return f"differentiable except where {name} = {_rounded(values.mean())} ({kind})"
    places = [shown(np.round(p, 6)) for p in points]
    some = ", ".join(places[:3]) + (f" and {len(places) - 3} more points" if len(places) > 3 else "")
    where = "at" if landscape.dimensions == 1 else f"on curves, which {len(found)} lines of a grid cross at"
    return f"differentiable except {where} {some} ({kind})"


def _rounded(value: float) -> str:
    return f"{round(float(value), 6) + 0.0:g}"
