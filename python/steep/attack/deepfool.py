"""DeepFool: step onto the nearest decision boundary of the model made linear, until it is crossed.

One step is ``optim.Polyak``'s: the value is the lead of the present class over the rival whose boundary is nearest.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from steep import _core, optim, transforms
from steep._core import Tensor
from steep.attack.problem import Attack, Box, Eps, Problem, validated
from steep.optim.norms import find_norm, in_rows
from steep.scores import Classifier, class_scores

LEAST = 1e-5  # a lead of 0 is not yet success; such rows go on by a lead of this


def deepfool(
    model: Classifier,
    x: Any,
    y: Any,
    *,
    norm: str = "l2",
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 9,
    targeted: bool = False,
    bounds: Box = (0.0, 1.0),
    eps: Eps = None,
    capture: bool = True,
) -> Attack:
    """About the smallest change of each row of ``x`` (n, ...) that takes it out of its class ``y`` (n,).

    ``norm`` is "l2", "linf" or "l1". Rivals are the ``candidates`` classes of the highest scores; ``targeted``, the one
    rival is ``y`` itself. Each step is lengthened by ``overshoot``; a row stops once it has crossed, at the latest
    after ``steps`` (``Attack.steps`` says when). With ``eps``, or several, changes are cut to that length before
    judging. Raises as ``validated``. Source: Moosavi-Dezfooli et al. 2016, arXiv:1511.04599; notes table, row 84.
    """
    problem = validated("deepfool", model, x, y, bounds, targeted, norm)
    moved, values = problem.copy(), _core.zeros((len(problem.clean),), dtype=problem.clean.dtype)
    made = _core.zeros((len(moved),), dtype=_core.int64)

    def lead(v: Tensor) -> Tensor:
        scores = problem.model(v)
        going = ~problem.succeeded(scores.detach())
        here, there = _pair(problem, v.detach(), scores.detach(), candidates)
        gap = class_scores(scores, here) - class_scores(scores, there)
        values[...] = _core.where(going, _core.maximum(gap.detach(), LEAST), 0.0)
        made[...] = made + going.astype(_core.int64)
        return _core.sum(gap)

    make = partial(optim.Polyak, values=values, lr=1 + overshoot, norm=norm, bounds=problem.active_bounds())
    result = optim.minimize(
        lead, moved, make, steps, problem.box_projection(), lambda p: not bool(_core.any(values > 0)), capture=capture
    )
    return problem.evaluated(moved, result.history, made, eps)


def _pair(problem: Problem, x: Tensor, scores: Tensor, candidates: int) -> tuple[Tensor, Tensor]:
    """The class that each row is to leave and the one it is to enter: (n,), (n,)."""
    if problem.targeted:
        return _core.argmax(_core.where(problem.label_mask(scores), -float("inf"), scores), axis=-1), problem.labels
    return problem.labels, _nearest(problem, x, scores, candidates)


def _nearest(problem: Problem, x: Tensor, scores: Tensor, candidates: int) -> Tensor:
    """The class whose boundary is nearest to each row, were the model linear."""
    classes = scores.shape[-1]
    others = _core.where(problem.label_mask(scores), -float("inf"), scores)
    ranked = _core.argsort(others, axis=-1, descending=True)[:, : min(candidates, classes - 1)]
    pull = transforms.vjp(problem.model, x)[1]
    mine, kind = _core.one_hot(problem.labels, classes, dtype=scores.dtype), find_norm("deepfool", problem.norm)
    distances = []
    for j in range(ranked.shape[1]):
        rival = ranked[:, j]
        slope = in_rows(pull(mine - _core.one_hot(rival, classes, dtype=scores.dtype))[0], True)
        steepness = _core.sum(slope * kind.direction(slope), axis=-1)
        lead = class_scores(scores, problem.labels) - class_scores(scores, rival)
        distances.append(_core.where(steepness > 0, lead / steepness, float("inf")))
    nearest = _core.argmin(_core.stack(distances, axis=-1), axis=-1)
    return _core.take_along_axis(ranked, nearest[:, None], axis=-1)[:, 0]
