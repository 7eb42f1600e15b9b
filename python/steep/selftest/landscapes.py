"""Rows 89 to 93 of docs/notes.md: wells and momentum, kinks, the boundary of stability, five rates, three orders."""

from __future__ import annotations

from itertools import pairwise

from steep import descent
from steep.descent.stability import RATES
from steep.selftest.check import Check


def _ends() -> list[float]:
    """Where gradient descent and momentum .9 end on the double well, from 1.8 at the rate .05."""
    paths = descent.descend(descent.find("double_well"), ["gradient descent", "momentum"], steps=500, rate=0.05)
    return [float(path.points[-1, 0]) for path in paths]


def _boundaries() -> list[float]:
    return [descent.boundary(momentum) for momentum in (0.0, 0.5, 0.9)]


def _oscillates() -> list[float]:
    """Rates times curvature below, between and above (1 -+ sqrt(beta))^2, at beta = .25."""
    return [float(value) for value in descent.stability([0.2, 0.3, 2.2, 2.3], [0.25]).oscillates[0]]


def _counts() -> list[float]:
    return [float(descent.steps_to(rate) or 0) for rate in RATES]


def _orders() -> list[float]:
    """Evaluations and products of methods of order 0, 1 and 2: whether each needs fewer than the one before."""
    totals = [cost.total for cost in descent.compare()]
    return [float(later < earlier) for earlier, later in pairwise(totals)]


def _kinks() -> list[float]:
    """How many kinks are found on abs(x), on a step, on a parabola; and the condition of (x^2 + 100 y^2) / 2."""
    verdicts = [descent.judge(descent.find(name), steps=1) for name in ("abs", "step", "quadratic", "ill_conditioned")]
    return [*(float(len(verdict.kinks)) for verdict in verdicts[:3]), verdicts[3].minima[0].condition]


CHECKS: list[Check] = [
    Check(
        89, "gradient descent stays in the shallow well, momentum .9 leaves it", _ends, [0.9456493, -1.0466805], 1e-6
    ),
    Check(90, "kinks of abs, a step, a parabola; a condition", _kinks, [1, 1, 0, 100], 1e-6),
    Check(91, "largest stable rate times curvature, momentum 0, .5, .9", _boundaries, [2, 3, 3.8], 1e-3),
    Check(91, "oscillation between .25 and 2.25, momentum .25", _oscillates, [0, 1, 1, 0], 0),
    Check(92, "steps at five rates, 0 where it diverges", _counts, [653, 10, 1, 63, 0], 0),
    Check(93, "each order needs fewer evaluations than the one before", _orders, [1, 1, 1, 1, 1], 0),
]
