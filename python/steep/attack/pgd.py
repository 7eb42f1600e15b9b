"""Attacks under a bound on the change: projected gradient descent (PGD) and its one-step form, FGSM.

The loss of the true class is increased (or that of a target decreased) by steps of fixed length along the steepest
direction of the norm; after each step the input is projected onto the ball and the box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from steep import _core, optim
from steep._core import Tensor
from steep.attack.problem import Attack, Box, Problem, for_each, validated
from steep.nn import cross_entropy
from steep.optim.loop import Progress
from steep.random import Generator
from steep.scores import Classifier

Loss = Callable[[Problem, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "cross_entropy": lambda problem, scores: cross_entropy(scores, problem.labels, reduction="sum"),
    "margin": lambda problem, scores: (1 if problem.targeted else -1) * _core.sum(problem.margin(scores)),
}


def pgd(
    model: Classifier,
    x: Any,
    y: Any,
    eps: Any,
    *,
    norm: str = "linf",
    steps: int = 40,
    step_size: float | None = None,
    restarts: int = 1,
    loss: str = "cross_entropy",
    targeted: bool = False,
    bounds: Box = (0.0, 1.0),
    generator: Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    capture: bool = True,
) -> Attack:
    """Projected gradient descent: changes each row by at most ``eps`` so that it is no longer predicted as its label.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        eps: radius of the ball of allowed changes, a number, or k of them for results with a leading dimension of k.
        norm: "linf", "l2" or "l1".
        steps: number of steps.
        step_size: length of a step in the norm; 2.5 eps / steps if None.
        restarts: number of attempts from random starts; rows that are not yet fooled are tried again.
        loss: "cross_entropy", or "margin" of the scores, which does not saturate.
        targeted: whether ``y`` are the classes to reach.
        bounds: lowest and highest allowed value of inputs, two numbers.
        generator: if given, the start is a random point of the ball.
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the run.
        capture: whether to compile the steps; pass False for models with side effects in Python.

    Returns:
        An ``Attack``.

    Raises:
        ValueError: for a negative eps, or restarts without a generator; for others see ``attack.problem.validated``.

    References:
        Madry et al. 2018, arXiv:1706.06083; for l1, Tramer and Boneh 2019, arXiv:1904.13000.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> label = sp.scores.predicted(model, x)
        >>> sp.attack.pgd(model, x, label, eps=0.3, steps=5).success
        array([ True])
    """
    problem = validated("pgd", model, x, y, bounds, targeted, norm)
    if loss not in LOSSES:
        raise ValueError(f"pgd: loss must be one of {list(LOSSES)}, got {loss!r}")
    if restarts < 1 or (restarts > 1 and generator is None):
        raise ValueError(f"pgd: restarts must be at least 1, and more need a generator to start from, got {restarts}")

    def attack(radius: float) -> Attack:
        length = 2.5 * radius / max(1, steps) if step_size is None else step_size
        if not math.isfinite(length):
            raise ValueError(f"pgd: steps of length {length} for an eps of {radius}; give a finite step_size")
        run = _Pgd(LOSSES[loss], radius, length, steps, generator, callback, capture)
        found = run(problem)
        for _ in range(restarts - 1):
            found = _retried(problem, found, run)
        return found

    return for_each(eps, attack)


def fgsm(model: Classifier, x: Any, y: Any, eps: Any, *, targeted: bool = False, bounds: Box = (0.0, 1.0)) -> Attack:
    """Fast gradient sign method: one step of length ``eps`` along the sign of the gradient.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        eps: length of the step in each element, a number, or k of them for results with a leading dimension of k.
        targeted: whether ``y`` are the classes to reach.
        bounds: lowest and highest allowed value of inputs, two numbers.

    Returns:
        An ``Attack``.

    Raises:
        ValueError: for a negative eps; for others see ``attack.problem.validated``.

    References:
        Goodfellow et al. 2015, "Explaining and harnessing adversarial examples", arXiv:1412.6572.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> label = sp.scores.predicted(model, x)
        >>> sp.attack.fgsm(model, x, label, eps=0.1).x.shape
        (1, 1, 28, 28)
    """
    return for_each(eps, lambda e: pgd(model, x, y, e, steps=1, step_size=e, targeted=targeted, bounds=bounds))


@dataclass(frozen=True)
class _Pgd:
    """One run of PGD: call it with a problem."""

    loss: Loss
    eps: float
    length: float
    steps: int
    generator: Generator | None
    callback: Callable[[Progress], object] | None
    capture: bool

    def __call__(self, problem: Problem) -> Attack:
        project = problem.ball_projection(self.eps)
        moved = self._start(problem, project)
        make = partial(optim.Steepest, lr=self.length, norm=problem.norm, batched=True, bounds=problem.active_bounds())
        optimize = optim.minimize if problem.targeted else optim.maximize

        def loss(v: Tensor) -> Tensor:
            return self.loss(problem, problem.model(v))

        result = optimize(loss, moved, make, self.steps, project, self.callback, capture=self.capture)
        return problem.evaluated(moved, result.history, result.steps)

    def _start(self, problem: Problem, project: Callable[[Any], Any]) -> Tensor:
        moved = problem.copy()
        if self.generator is not None:
            noise = problem.random(self.generator) * self.eps
            moved[...] = project(moved + noise)
        return moved


def _retried(problem: Problem, found: Attack, run: _Pgd) -> Attack:
    """``found`` with the rows that were not fooled attacked again; if that fails, the first attempt is kept."""
    left = np.flatnonzero(~found.success)
    if not len(left):
        return found
    again = run(problem.subset(left))
    x, won = np.asarray(found.x).copy(), left[again.success]
    x[won] = np.asarray(again.x)[again.success]
    steps = found.steps.copy()
    steps[left] += again.steps
    result = problem.evaluated(_core.tensor(x), [], steps)
    return Attack(result.x, result.success, result.label, result.distance, found.history, steps)
