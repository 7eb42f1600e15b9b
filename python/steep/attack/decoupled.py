"""DDN: the direction of the step and the length of the change are decoupled.

Each step goes along the gradient and lands on a sphere, whose radius shrinks while the row succeeds and grows while it
does not; so the row settles near the decision boundary without a search for a constant.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from steep import _core, optim
from steep._core import Tensor
from steep.attack.problem import Attack, Best, Box, Eps, validated
from steep.nn import cross_entropy
from steep.optim.norms import in_rows
from steep.scores import Classifier


def ddn(
    model: Classifier,
    x: Any,
    y: Any,
    *,
    steps: int = 100,
    initial: float = 1.0,
    factor: float = 0.05,
    confidence: float = 0.0,
    targeted: bool = False,
    bounds: Box = (0.0, 1.0),
    eps: Eps = None,
    capture: bool = True,
) -> Attack:
    """About the smallest l2 change of each row of ``x`` (n, ...) that takes it out of its class ``y`` (n,), or into it.

    The sphere has the radius ``initial`` at first and changes by the share ``factor`` at each step; steps have length 1
    at first and .01 at last, along a cosine. A gradient of exactly zero makes no step. Success is a margin of
    ``confidence`` in scores. With ``eps``, or several, changes are cut to that length before judging. Raises as
    ``validated``. Source: Rony et al. 2019, arXiv:1811.09600.
    """
    problem = validated("ddn", model, x, y, bounds, targeted, confidence=confidence)
    moved, best = problem.copy(), Best(problem)
    radius = _core.full((len(moved), 1), initial, dtype=moved.dtype)

    def loss(v: Tensor) -> Tensor:
        scores = problem.model(v)
        best.offer(v, scores)
        return cross_entropy(scores, problem.labels, reduction="sum")

    def onto_sphere(v: Tensor) -> Tensor:
        radius[...] = _core.where(best.hit[:, None], radius * (1 - factor), radius * (1 + factor))
        change = in_rows(v - problem.clean, True)
        length = _core.norm(change, axis=-1, keepdims=True)
        scaled = change * _core.where(length > 0, radius / length, 0.0)
        return _core.clip(problem.clean + _core.reshape(scaled, v.shape), *problem.bounds)

    climb = optim.minimize if targeted else optim.maximize
    make = partial(optim.Steepest, lr=optim.schedules.cosine(1.0, max(1, steps), 0.01), norm="l2", batched=True)
    result = climb(loss, moved, make, steps, onto_sphere, capture=capture)
    with _core.no_grad():
        best.offer(moved, problem.model(moved))
    return problem.evaluated(best.x, result.history, result.steps, eps)
