"""Learning-rate schedules: functions that make a callable from the step's number (from 0) to a rate.

An optimiser takes any callable; these are the usual ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """``lr`` at every step.

    Args:
        lr: the rate.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Example:
        >>> sp.optim.schedules.constant(0.1)(7)
        0.1
    """
    return lambda t: lr


def step(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """Step decay: ``lr`` times ``factor`` for every ``every`` steps.

    Args:
        lr: the initial rate.
        every: number of steps between changes.
        factor: the factor.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Example:
        >>> sp.optim.schedules.step(1.0, every=10, factor=0.5)(25)
        0.25
    """
    return lambda t: lr * factor ** (t // every)


def exponential(lr: float, factor: float) -> Schedule:
    """Exponential decay, ``lr * factor**t``.

    Args:
        lr: the initial rate.
        factor: the factor per step.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Example:
        >>> sp.optim.schedules.exponential(1.0, 0.5)(2)
        0.25
    """
    return lambda t: lr * factor**t


def inverse_time(lr: float, rate: float = 1.0) -> Schedule:
    """Inverse time decay, ``lr / (1 + rate * t)``, whose sum diverges while that of its squares converges.

    Args:
        lr: the initial rate.
        rate: the decay per step.

    Returns:
        A callable from the step's number (from 0) to a rate.

    References:
        Robbins and Monro 1951, "A stochastic approximation method", doi:10.1214/aoms/1177729586.

    Example:
        >>> sp.optim.schedules.inverse_time(1.0)(1)
        0.5
    """
    return lambda t: lr / (1 + rate * t)


def cosine(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Cosine decay from ``lr`` at step 0 to ``final`` at step ``steps`` and later.

    Args:
        lr: the initial rate.
        steps: number of steps.
        final: the final rate.

    Returns:
        A callable from the step's number (from 0) to a rate.

    References:
        Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983.

    Example:
        >>> round(sp.optim.schedules.cosine(1.0, 10)(5), 6)
        0.5
    """
    return lambda t: final + (lr - final) * (1 + math.cos(math.pi * min(t, steps) / steps)) / 2


def warmup(schedule: Schedule | float, steps: int) -> Schedule:
    """Linear warm-up over the first ``steps`` steps, then a schedule from its start.

    Step t < steps has (t + 1) / (steps + 1) of the schedule's first rate.

    Args:
        schedule: a schedule, or a constant rate.
        steps: number of steps of the warm-up.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Example:
        >>> sp.optim.schedules.warmup(1.0, 3)(0)
        0.25
    """
    after = schedule if callable(schedule) else constant(schedule)
    return lambda t: after(0) * (t + 1) / (steps + 1) if t < steps else after(t - steps)
