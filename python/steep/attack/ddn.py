"""DDN: the direction of the step and the norm of the change are decoupled.

Each step follows the gradient and is projected onto a sphere, whose radius shrinks while the row is misclassified and
grows while it is not; so the row converges to the decision boundary without a search for a constant.
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
    """Decoupled direction and norm: approximately the smallest l2 change that changes the prediction of each row.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        steps: number of steps; their length falls from 1 to .01 by cosine decay.
        initial: initial radius of the sphere.
        factor: relative change of the radius per step.
        confidence: margin in scores that counts as success.
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
        Rony et al. 2019, "Decoupling direction and norm for efficient gradient-based L2 adversarial attacks",
        arXiv:1811.09600.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> label = sp.scores.predicted(model, x)
        >>> sp.attack.ddn(model, x, label, steps=20).success
        array([ True])
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
