"""Attacks under a bound on the change: projected gradient descent (PGD) and its one-step form, FGSM.

The loss of the true class is raised (or that of a target lowered) by steps of a fixed length along the steepest
direction of the norm; after each step the input goes back into the ball and the box.
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
    """Change each row of ``x`` (n, ...) by at most ``eps`` in ``norm`` so that it is no longer predicted as ``y`` (n,).

    ``targeted`` instead wants it predicted as ``y``. ``eps`` is a number, or k of them for a result with k rows in
    front. ``norm`` is "linf", "l2" or "l1"; a step has the length ``step_size``, by default 2.5 eps / steps. With a
    ``generator`` the start is a random point of the ball; ``restarts`` then tries rows that held out again. ``loss`` is
    "cross_entropy" or "margin", of the scores, which does not saturate. Values stay inside ``bounds``. Steps are
    compiled unless ``capture=False``, for models that do other things in Python than computing. Raises as
    ``validated``, and ValueError for a negative eps, restarts without a generator or steps of infinite length. Sources:
    Madry et al. 2018, arXiv:1706.06083; for l1, Tramer and Boneh 2019, arXiv:1904.13000; notes table, rows 83 and 84.
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
    """One sign step of length ``eps``: ``pgd`` with one step in "linf". Source: Goodfellow et al. 2015."""
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
    """``found`` with the rows that held out attacked once more; rows that hold out again keep their first attempt."""
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
