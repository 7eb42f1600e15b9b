"""Attacks that minimise the squared change plus a constant times a loss: Carlini and Wagner's, and Szegedy's L-BFGS.

The least constant that succeeds gives the least change; ``_searched`` finds it for each row by bisection. The two
differ in the loss, and in how they stay in the box and go downhill.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from steep import _core, nn, optim
from steep._core import Tensor
from steep.attack.problem import Attack, Best, Box, Eps, Problem, validated
from steep.optim.loop import Result
from steep.optim.norms import in_rows
from steep.scores import Classifier

Round = Callable[[Tensor, Best], Result]
INSIDE = 1 - 1e-4  # tanh never reaches its bounds, and is too flat to leave next to them


def carlini_wagner(
    model: Classifier,
    x: Any,
    y: Any,
    *,
    steps: int = 200,
    lr: float = 0.05,
    searches: int = 9,
    initial: float = 1.0,
    confidence: float = 0.0,
    targeted: bool = False,
    bounds: Box = (0.0, 1.0),
    eps: Eps = None,
    capture: bool = True,
) -> Attack:
    """About the smallest l2 change of each row of ``x`` (n, ...) that takes it out of its class ``y`` (n,), or into it.

    Minimises norm(change)^2 + c max(margin + confidence, 0) by Adam over w, where tanh(w) runs through the box; c
    starts at ``initial`` and is searched ``searches`` times, ``steps`` steps each, for each row by itself. Success is a
    margin of ``confidence`` in scores. With ``eps``, or several, changes are cut to that length before judging. Raises
    as ``validated``, and ValueError for infinite bounds. Source: Carlini and Wagner 2017, arXiv:1608.04644, the l2
    attack.
    """
    problem = validated("carlini_wagner", model, x, y, bounds, targeted, confidence=confidence)
    low, high = problem.bounds
    if not math.isfinite(high - low):
        raise ValueError(f"carlini_wagner: tanh runs through a finite box, got the bounds {bounds}; lbfgs needs none")
    start = _core.atanh(((problem.clean - low) * (2 / (high - low)) - 1) * INSIDE)

    def attempt(constant: Tensor, best: Best) -> Result:
        w = _core.tensor(start)

        def value(w: Tensor) -> Tensor:
            v = (_core.tanh(w) + 1) * ((high - low) / 2) + low
            scores = problem.model(v)
            best.offer(v, scores)
            loss = _core.maximum(problem.margin(scores) + confidence, 0.0)
            return _core.sum(_squares(problem, v) + constant * loss)

        return optim.minimize(value, w, partial(optim.Adam, lr=lr), steps, capture=capture)

    return _searched(problem, attempt, searches, initial, eps)


def lbfgs(
    model: Classifier,
    x: Any,
    y: Any,
    *,
    steps: int = 20,
    searches: int = 9,
    initial: float = 1.0,
    confidence: float = 0.0,
    targeted: bool = False,
    bounds: Box = (0.0, 1.0),
    eps: Eps = None,
    gtol: float = 0.0,
    ftol: float = 0.0,
    capture: bool = True,
) -> Attack:
    """About the smallest l2 change of each row of ``x`` (n, ...) that takes it out of its class ``y`` (n,), or into it.

    Minimises norm(change)^2 + c loss inside the box by ``optim.BoxLBFGS``, a projected quasi-Newton method, and
    searches the least c that succeeds; the loss is -log p of a target, or -log(1 - p) of the class to leave. The change
    is squared, as Carlini and Wagner restate the attack, since its norm has no gradient at 0. ``steps``, ``searches``,
    ``initial``, ``confidence`` and ``eps`` as in ``carlini_wagner``; ``gtol`` and ``ftol`` as in ``optim.BoxLBFGS``.
    Raises as ``validated``. Source: Szegedy et al. 2014, arXiv:1312.6199.
    """
    problem = validated("lbfgs", model, x, y, bounds, targeted, confidence=confidence)

    def attempt(constant: Tensor, best: Best) -> Result:
        moved = problem.copy()
        values = _core.zeros((len(moved),), dtype=moved.dtype)

        def value(v: Tensor) -> Tensor:
            scores = problem.model(v)
            best.offer(v, scores)
            rows = _squares(problem, v) + constant * _negative_log_likelihood(problem, scores)
            values[...] = rows.detach()
            return _core.sum(rows)

        low, high = problem.bounds
        make = partial(optim.BoxLBFGS, values=values, low=low, high=high, gtol=gtol, ftol=ftol)
        return optim.minimize(value, moved, make, steps, capture=capture)

    return _searched(problem, attempt, searches, initial, eps)


def _squares(problem: Problem, v: Tensor) -> Tensor:
    """The squared length of each row's change: (n,)."""
    return _core.sum(_core.square(in_rows(v - problem.clean, True)), axis=-1)


def _negative_log_likelihood(problem: Problem, scores: Tensor) -> Tensor:
    """-log of the probability of what is wanted: (n,)."""
    if problem.targeted:
        return nn.cross_entropy(scores, problem.labels, reduction="none")
    others = _core.where(problem.label_mask(scores), -math.inf, scores)
    return _core.logsumexp(scores, axis=-1) - _core.logsumexp(others, axis=-1)


def _searched(problem: Problem, attempt: Round, searches: int, initial: float, eps: Eps) -> Attack:
    """The nearest success of ``searches`` attempts; the constant grows tenfold until one succeeds, then is bisected.

    A row that succeeds as it is needs no change.
    """
    best, count = Best(problem), len(problem.clean)
    with _core.no_grad():
        best.offer(problem.clean, problem.model(problem.clean))
    low, high, constant = np.zeros(count), np.full(count, np.inf), np.full(count, initial)
    history: list[float] = []
    steps = 0
    for _ in range(searches):
        best.found[...] = False
        result = attempt(_core.tensor(constant).astype(problem.clean.dtype), best)
        history, steps = history + result.history, steps + result.steps
        found = np.asarray(best.found)
        low, high = np.where(found, low, constant), np.where(found, np.minimum(high, constant), high)
        constant = np.where(np.isinf(high), constant * 10, (low + np.minimum(high, 1e300)) / 2)
    return problem.evaluated(best.x, history, steps, eps)
