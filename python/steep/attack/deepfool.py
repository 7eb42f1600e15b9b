"""DeepFool: steps to the nearest decision boundary of the linearised model, until it is crossed.

A step is that of ``optim.Polyak``: the value is the margin of the current class over the class with the nearest
boundary.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from steep import _core, optim, transforms
from steep._core import Tensor
from steep.attack.problem import Attack, Box, Eps, Problem, validated
from steep.optim.norms import find_norm, in_rows
from steep.scores import Classifier, class_scores

LEAST = 1e-5  # a margin of 0 is not success; such rows continue with this margin


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
    """DeepFool: approximately the smallest change that changes the prediction of each row, by linearising the model.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        norm: "l2", "linf" or "l1".
        steps: maximum number of steps; a row stops once its prediction changes (see ``Attack.steps``).
        overshoot: relative lengthening of each step.
        candidates: number of classes with the highest scores whose boundaries are considered.
        targeted: whether ``y`` are the classes to reach.
        bounds: lowest and highest allowed value of inputs, two numbers.
        eps: largest allowed norm of a change, a number or k of them: longer changes are shortened before success is
            evaluated.
        capture: whether to compile the steps; pass False for models with side effects in Python.

    Returns:
        An ``Attack``.

    Raises:
        TypeError: for inputs that are not floats, labels that are not integers, or scores that are not one tensor.
        ValueError: for shapes that do not match, values outside ``bounds``, or a function that returns probabilities.
        IndexError: for a label that is not a class.

    References:
        Moosavi-Dezfooli et al. 2016, "DeepFool: a simple and accurate method to fool deep neural networks",
        arXiv:1511.04599.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> label = sp.scores.predicted(model, x)
        >>> sp.attack.deepfool(model, x, label).success
        array([ True])
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
    """The class whose boundary is nearest to each row, for the linearised model."""
    classes = scores.shape[-1]
    others = _core.where(problem.label_mask(scores), -float("inf"), scores)
    ranked = _core.argsort(others, axis=-1, descending=True)[:, : min(candidates, classes - 1)]
    pull = transforms.vjp(problem.model, x)[1]
    mine, kind = _core.one_hot(problem.labels, classes, dtype=scores.dtype), find_norm("deepfool", problem.norm)
    distances = []
    for j in range(ranked.shape[1]):
        rival = ranked[:, j]
        gradient = in_rows(pull(mine - _core.one_hot(rival, classes, dtype=scores.dtype))[0], True)
        dual_norm = _core.sum(gradient * kind.direction(gradient), axis=-1)
        lead = class_scores(scores, problem.labels) - class_scores(scores, rival)
        distances.append(_core.where(dual_norm > 0, lead / dual_norm, float("inf")))
    nearest = _core.argmin(_core.stack(distances, axis=-1), axis=-1)
    return _core.take_along_axis(ranked, nearest[:, None], axis=-1)[:, 0]
