"""Learning-rate schedules: functions that make a callable from the step's number (from 0) to a rate.

An optimiser takes any callable; these are the usual ones. Source of the form: notes table, row 23 (eta_t).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """``lr`` at every step."""
    return lambda t: lr


def step(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """``lr`` times ``factor`` once for every ``every`` steps done."""
    return lambda t: lr * factor ** (t // every)


def exponential(lr: float, factor: float) -> Schedule:
    """``lr * factor**t``."""
    return lambda t: lr * factor**t


def inverse_time(lr: float, rate: float = 1.0) -> Schedule:
    """``lr / (1 + rate * t)``; sums to infinity while its squares do not (Robbins and Monro 1951)."""
    return lambda t: lr / (1 + rate * t)


def cosine(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Half a cosine from ``lr`` at step 0 to ``final`` at step ``steps`` and after (Loshchilov and Hutter 2017)."""
    return lambda t: final + (lr - final) * (1 + math.cos(math.pi * min(t, steps) / steps)) / 2


def warmup(schedule: Schedule | float, steps: int) -> Schedule:
    """Rise in equal parts over the first ``steps`` steps, then follow ``schedule`` from its start.

    Step t < steps has (t + 1) / (steps + 1) of the schedule's first rate.
    """
    after = schedule if callable(schedule) else constant(schedule)
    return lambda t: after(0) * (t + 1) / (steps + 1) if t < steps else after(t - steps)
