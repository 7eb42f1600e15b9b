"""Gradient descent with momentum on a quadratic: for which rates it is stable, and for which it oscillates.

On ``lambda w^2 / 2`` a step is a linear map of (w, velocity), which is read off steep's own ``SGD`` by one step from
each of two states, for many curvatures at once. Its spectral radius says whether steps shrink, complex eigenvalues that
they oscillate. Source: Goh 2017, "Why momentum really works", Distill, doi:10.23915/distill.00006. Start reading at
``iteration``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from steep import _core, optim
from steep._core import Tensor
from steep.descent.landscapes import Points, find
from steep.descent.paths import Path, Settings, find_methods, follow
from steep.display import displayed

RATES = (0.01, 0.5, 1.0, 1.9, 2.1)
MOMENTA = tuple(round(0.01 * i, 2) for i in range(100))


def iteration(products: Any, momentum: float) -> Points:
    """One step of SGD on ``lambda w^2 / 2``, as matrices that act on (w, velocity).

    Args:
        products: eta lambda, the rate times the curvature, an array (n,).
        momentum: the momentum.

    Returns:
        An array (n, 2, 2), which a rate of 1 and curvatures of ``products`` give.

    Example:
        >>> sp.descent.iteration([0.1], 0.0)[0, 0].round(12).tolist()
        [0.9, 0.0]
    """
    curvatures = _core.tensor(np.asarray(products, np.float64))
    columns = [_stepped(curvatures, momentum, w, velocity) for w, velocity in ((1.0, 0.0), (0.0, 1.0))]
    return np.stack(columns, axis=-1)


def _stepped(curvatures: Tensor, momentum: float, start: float, velocity: float) -> Points:
    """(w, velocity) after one step from these, an array (n, 2); a velocity stays 0 without momentum."""
    w = _core.full_like(curvatures, start)
    optimizer = optim.SGD(w, 1.0, momentum)
    if momentum:
        state = optimizer.state_dict()
        state["slots"][0]["velocity"] = _core.full_like(curvatures, velocity)
        optimizer.load_state_dict(state)
    optim.minimize(lambda v: _core.sum(curvatures * v * v) / 2, w, optimizer, 1)
    after = np.asarray(optimizer.state_dict()["slots"][0]["velocity"]) if momentum else np.zeros(w.shape)
    return np.stack([np.asarray(w), after], axis=-1)


@displayed
@dataclass(frozen=True)
class StabilityMap:
    """What steps do for products eta lambda and momenta beta.

    Attributes:
        products: values of eta lambda, an array (n,).
        momenta: values of beta, an array (m,).
        radius: the spectral radius, by which errors shrink or grow per step, an array (m, n).
        oscillates: whether the eigenvalues are complex, an array (m, n).
    """

    products: Points
    momenta: Points
    radius: Points
    oscillates: Any

    @property
    def stable(self) -> Any:
        """Where errors shrink: an array (m, n) of bools."""
        return self.radius < 1


def stability(products: Any = None, momenta: Sequence[float] = MOMENTA) -> StabilityMap:
    """The map over rate times curvature and momentum.

    Args:
        products: values of eta lambda; 0.02 to 4.2 if None.
        momenta: values of beta in [0, 1).

    Returns:
        A ``StabilityMap``.

    Example:
        >>> found = sp.descent.stability([1.9, 2.1, 3.9], [0.0, 0.9])
        >>> found.stable.tolist(), found.oscillates.tolist()
        ([[True, False, False], [True, True, False]], [[False, False, False], [True, True, False]])
    """
    across = np.linspace(0.02, 4.2, 210) if products is None else np.asarray(products, np.float64)
    roots = [np.linalg.eigvals(iteration(across, beta)) for beta in momenta]
    radius = np.array([np.abs(r).max(axis=-1) for r in roots])
    complex_ = np.array([np.abs(r.imag).max(axis=-1) > 1e-9 for r in roots])
    return StabilityMap(across, np.asarray(momenta, np.float64), radius, complex_)


def boundary(momentum: float, accuracy: float = 1e-4) -> float:
    """The largest stable eta lambda at a momentum, found by bisection; 2 (1 + momentum) in theory.

    Args:
        momentum: the momentum.
        accuracy: width of the last interval.

    Returns:
        A float.

    Example:
        >>> round(sp.descent.boundary(0.9), 3)
        3.8
    """
    low, high = 1e-3, 8.0
    while high - low > accuracy:
        middle = (low + high) / 2
        stable = np.abs(np.linalg.eigvals(iteration([middle], momentum))).max() < 1
        low, high = (middle, high) if stable else (low, middle)
    return (low + high) / 2


def five_rates(rates: Sequence[float] = RATES, steps: int = 40) -> list[tuple[float, Path]]:
    """Gradient descent on ``w^2 / 2`` from 1, at rates that are too small, good, best, nearly too large and too large.

    Args:
        rates: the rates.
        steps: number of steps.

    Returns:
        Pairs of a rate and a path.

    Example:
        >>> [(rate, bool(path.values[-1] < path.values[0])) for rate, path in sp.descent.five_rates((0.5, 2.1))]
        [(0.5, True), (2.1, False)]
    """
    (plain,) = find_methods(["gradient descent"])
    bowl = find("quadratic")
    return [(rate, follow(bowl, plain, np.array(bowl.start), steps, Settings(rate))) for rate in rates]


def steps_to(rate: float, target: float = 1e-6, most: int = 10_000) -> int | None:
    """Steps of gradient descent on ``w^2 / 2`` from 1 until the value is at most ``target``.

    Args:
        rate: the rate.
        target: the value to reach.
        most: number of steps after which to give up.

    Returns:
        The number of steps; None if the target is not reached.

    Example:
        >>> sp.descent.steps_to(0.5), sp.descent.steps_to(0.01), sp.descent.steps_to(2.1)
        (10, 653, None)
    """
    w, bowl = _core.ones(1, dtype=_core.float64), find("quadratic")
    run = optim.minimize(bowl, w, partial(optim.SGD, lr=rate), most, callback=lambda p: float(bowl(w)) <= target)
    return run.steps if run.status == "stopped" else None
