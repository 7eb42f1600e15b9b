"""Attacks that minimise the squared change plus a constant times a loss: Carlini and Wagner's, and Szegedy's L-BFGS.

The smallest constant that succeeds gives the smallest change; ``_searched`` finds it for each row by bisection. The two
differ in the loss, in how they stay in the box, and in the optimiser.
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
INSIDE = 1 - 1e-4  # tanh never reaches its bounds, and its gradient vanishes next to them


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
    """Carlini and Wagner's l2 attack: approximately the smallest l2 change that changes the prediction of each row.

    Minimises norm(change)^2 + c max(margin + confidence, 0) by Adam over w, where tanh(w) spans the box; c is searched
    for each row separately.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        steps: steps per value of c.
        lr: learning rate of Adam.
        searches: number of values of c: it grows tenfold until one succeeds, then is bisected.
        initial: first value of c.
        confidence: margin in scores that counts as success.
        targeted: whether ``y`` are the classes to reach.
        bounds: lowest and highest allowed value of inputs, two numbers.
        eps: largest allowed norm of a change, a number or k of them: longer changes are shortened before success is
            evaluated.
        capture: whether to compile the steps; pass False for models with side effects in Python.

    Returns:
        An ``Attack``.

    Raises:
        ValueError: for infinite bounds; for others see ``attack.problem.validated``.

    References:
        Carlini and Wagner 2017, "Towards evaluating the robustness of neural networks", arXiv:1608.04644.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> label = sp.scores.predicted(model, x)
        >>> sp.attack.carlini_wagner(model, x, label, steps=10, searches=2).x.shape
        (1, 1, 28, 28)
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
    """Szegedy's attack: approximately the smallest l2 change that changes each row's prediction, by L-BFGS in a box.

    Minimises norm(change)^2 + c loss by ``optim.BoxLBFGS``, and searches the smallest c that succeeds; the loss is -log
    p of a target, or -log(1 - p) of the class to leave.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        steps: steps per value of c.
        searches: number of values of c: it grows tenfold until one succeeds, then is bisected.
        initial: first value of c.
        confidence: margin in scores that counts as success.
        targeted: whether ``y`` are the classes to reach.
        bounds: lowest and highest allowed value of inputs, two numbers.
        eps: largest allowed norm of a change, a number or k of them: longer changes are shortened before success is
            evaluated.
        gtol: tolerance of the projected gradient, as in ``optim.BoxLBFGS``.
        ftol: tolerance of the decrease, as in ``optim.BoxLBFGS``.
        capture: whether to compile the steps; pass False for models with side effects in Python.

    Returns:
        An ``Attack``.

    Raises:
        TypeError: for inputs that are not floats, labels that are not integers, or scores that are not one tensor.
        ValueError: for shapes that do not match, values outside ``bounds``, or a function that returns probabilities.
        IndexError: for a label that is not a class.

    References:
        Szegedy et al. 2014, "Intriguing properties of neural networks", arXiv:1312.6199; the change is squared as in
        Carlini and Wagner 2017, since the norm has no gradient at 0.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> label = sp.scores.predicted(model, x)
        >>> sp.attack.lbfgs(model, x, label, steps=5, searches=2).x.shape
        (1, 1, 28, 28)
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
    """-log of the probability of success: (n,)."""
    if problem.targeted:
        return nn.cross_entropy(scores, problem.labels, reduction="none")
    others = _core.where(problem.label_mask(scores), -math.inf, scores)
    return _core.logsumexp(scores, axis=-1) - _core.logsumexp(others, axis=-1)


def _searched(problem: Problem, attempt: Round, searches: int, initial: float, eps: Eps) -> Attack:
    """The nearest success of ``searches`` attempts; the constant grows tenfold until one succeeds, then is bisected.

    A row that succeeds without a change is left unchanged.
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
