"""Learning-rate schedules: functions that make a callable from the step's number (from 0) to a rate.

An optimiser takes any callable; these are the usual ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

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


def polynomial(lr: float, steps: int, final: float = 0.0, power: float = 1.0) -> Schedule:
    """Polynomial decay from ``lr`` at step 0 to ``final`` at step ``steps`` and later; linear by default.

    Args:
        lr: the initial rate.
        steps: number of steps.
        final: the final rate.
        power: the exponent.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Example:
        >>> sp.optim.schedules.polynomial(1.0, 10)(4)
        0.6
    """
    return lambda t: final + (lr - final) * (1 - min(t, steps) / steps) ** power


def piecewise(rates: Sequence[float], changes: Sequence[int]) -> Schedule:
    """Constant pieces: the first rate before the first change, and so on; as PyTorch's MultiStepLR with its factors.

    Args:
        rates: the rates.
        changes: the steps from which on the second, third, ... rate holds, in increasing order.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Raises:
        ValueError: if there is not one rate more than changes, or they do not increase.

    Example:
        >>> [sp.optim.schedules.piecewise([1.0, 0.1], [3])(t) for t in (2, 3)]
        [1.0, 0.1]
    """
    if len(rates) != len(changes) + 1 or list(changes) != sorted(set(changes)):
        raise ValueError(f"piecewise: {len(rates)} rates need {len(rates) - 1} increasing changes, got {list(changes)}")
    return lambda t: rates[sum(t >= change for change in changes)]


def cosine_restarts(lr: float, period: int, factor: int = 1, final: float = 0.0) -> Schedule:
    """Cosine decay that begins again after ``period`` steps, then after ``factor`` times as many, and so on.

    Args:
        lr: the initial rate.
        period: number of steps before the first restart.
        factor: ratio of a period to the one before.
        final: the rate that a period ends towards.

    Returns:
        A callable from the step's number (from 0) to a rate.

    References:
        Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983.

    Example:
        >>> sp.optim.schedules.cosine_restarts(1.0, 10)(10)
        1.0
    """

    def rate(t: int) -> float:
        length = period
        while t >= length:
            if factor == 1:
                t %= length
                break
            t, length = t - length, length * factor
        return final + (lr - final) * (1 + math.cos(math.pi * t / length)) / 2

    return rate


def one_cycle(lr: float, steps: int, rise: float = 0.3, start: float = 25.0, end: float = 1e4) -> Schedule:
    """One cycle: up from ``lr / start`` to ``lr`` over a share of the steps, then down to ``lr / start / end``.

    Both parts follow a cosine, as PyTorch's OneCycleLR by default.

    Args:
        lr: the highest rate.
        steps: number of steps.
        rise: the share of steps that rise.
        start: ratio of the highest rate to the first.
        end: ratio of the first rate to the last.

    Returns:
        A callable from the step's number (from 0) to a rate.

    References:
        Smith and Topin 2018, "Super-convergence: very fast training of neural networks using large learning rates",
        arXiv:1708.07120.

    Example:
        >>> sp.optim.schedules.one_cycle(1.0, 101, rise=0.5)(50) > 0.99
        True
    """
    first, top = lr / start, rise * steps - 1

    def rate(t: int) -> float:
        t = min(t, steps - 1)
        if t <= top:
            return _between(first, lr, t / top if top else 1.0)
        return _between(lr, first / end, (t - top) / (steps - 1 - top))

    return rate


def _between(a: float, b: float, share: float) -> float:
    """From a to b along half a period of the cosine."""
    return b + (a - b) * (1 + math.cos(math.pi * share)) / 2


def chain(*parts: tuple[Schedule | float, int]) -> Schedule:
    """Schedules one after another, each from its own start; the last one goes on.

    Args:
        parts: pairs of a schedule, or a constant rate, and its number of steps.

    Returns:
        A callable from the step's number (from 0) to a rate.

    Raises:
        ValueError: for no parts.

    Example:
        >>> s = sp.optim.schedules.chain((0.1, 5), (sp.optim.schedules.polynomial(1.0, 10), 10))
        >>> s(4), s(5)
        (0.1, 1.0)
    """
    if not parts:
        raise ValueError("chain: needs at least one schedule")
    made = [(part if callable(part) else constant(part), steps) for part, steps in parts]

    def rate(t: int) -> float:
        for schedule, steps in made[:-1]:
            if t < steps:
                return schedule(t)
            t -= steps
        return made[-1][0](t)

    return rate


class Plateau:
    """A rate that is multiplied by ``factor`` when a value has not improved for more than ``patience`` epochs.

    Call ``observe`` with the value of each epoch; ``training.fit`` does so. As PyTorch's ReduceLROnPlateau.

    Args:
        lr: the initial rate.
        factor: the factor.
        patience: epochs without improvement that are accepted.
        threshold: the relative change that counts as an improvement.
        cooldown: epochs after a change that are not counted.
        least: the smallest rate.
        larger_is_better: whether the value should increase.

    Example:
        >>> rate = sp.optim.schedules.Plateau(1.0, factor=0.5, patience=0)
        >>> for loss in (3.0, 2.0, 2.0):
        ...     rate.observe(loss)
        >>> rate(0)
        0.5
    """

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        least: float = 0.0,
        larger_is_better: bool = False,
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"Plateau: factor must lie between 0 and 1, got {factor}")
        self.lr, self.factor, self.patience, self.threshold = lr, factor, patience, threshold
        self.cooldown, self.least, self.larger_is_better = cooldown, least, larger_is_better
        self.best = -math.inf if larger_is_better else math.inf
        self.waited = self.cooling = 0

    def __call__(self, t: int) -> float:
        """The present rate."""
        return self.lr

    def observe(self, value: float) -> None:
        """Takes the value of an epoch.

        Args:
            value: the value.
        """
        if self._improved(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling:
            self.cooling, self.waited = self.cooling - 1, 0
        if self.waited > self.patience:
            self.lr = max(self.lr * self.factor, self.least)
            self.cooling, self.waited = self.cooldown, 0

    def _improved(self, value: float) -> bool:
        if self.larger_is_better:
            return value > self.best * (1 + self.threshold)
        return value < self.best * (1 - self.threshold)

    def state_dict(self) -> dict[str, Any]:
        """The state.

        Returns:
            A dict of numbers.
        """
        best = None if math.isinf(self.best) else self.best
        return {"lr": self.lr, "best": best, "waited": self.waited, "cooling": self.cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        self.lr, self.waited, self.cooling = state["lr"], state["waited"], state["cooling"]
        if state["best"] is not None:
            self.best = state["best"]
