"""What all attacks share: validated inputs, the criterion of success, and the result.

``validated`` checks the arguments and makes a ``Problem``; ``Problem.evaluated`` predicts again and makes an
``Attack``. Start reading at ``Problem``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.display import displayed
from steep.optim.norms import find_norm, in_rows
from steep.optim.projections import ball, box, compose
from steep.random import Generator
from steep.scores import Classifier, class_scores, one_tensor, unnormalised
from steep.tape import GradientTape

Box = tuple[float, float]
Eps = float | Sequence[float] | None


@displayed
@dataclass(frozen=True)
class Attack:
    """Result of an attack. With k values of eps, every attribute has a leading dimension of k.

    Attributes:
        x: the attacked inputs, (n, ...).
        success: whether predicting again gives the wanted result, by ``confidence`` where the attack has one; bool
            (n,).
        label: the classes now predicted, (n,).
        distance: norm of each change, (n,).
        history: mean objective before each step, a list.
        steps: number of steps of each row, (n,).
    """

    x: Tensor
    success: NDArray[np.bool_]
    label: NDArray[np.int64]
    distance: NDArray[np.float64]
    history: list[Any]
    steps: NDArray[np.int64]


@displayed
@dataclass(frozen=True)
class Problem:
    """A validated attack problem: inputs ``clean`` (n, ...) inside ``bounds``, and ``labels`` (n,) to leave or reach.

    Attributes:
        model: the function from inputs to scores.
        clean: the unchanged inputs.
        labels: int64 labels.
        norm: "linf", "l2" or "l1".
        targeted: whether the labels are to be reached.
        bounds: lowest and highest value.
        confidence: margin in scores that counts as success.
    """

    model: Classifier
    clean: Tensor
    labels: Tensor
    norm: str
    targeted: bool
    bounds: Box
    confidence: float = 0.0

    def succeeded(self, scores: Tensor) -> Tensor:
        """Whether each row is predicted as wanted, by ``confidence``.

        Args:
            scores: scores (n, classes).

        Returns:
            A bool tensor (n,).
        """
        if self.confidence:
            return self.margin(scores) <= -self.confidence
        hit = _core.argmax(scores, axis=-1) == self.labels
        return hit if self.targeted else ~hit

    def margin(self, scores: Tensor) -> Tensor:
        """The distance of each row from success, in scores; negative after success.

        Args:
            scores: scores (n, classes).

        Returns:
            A tensor (n,).
        """
        others = _core.max(_core.where(self.label_mask(scores), -math.inf, scores), axis=-1)
        lead = class_scores(scores, self.labels) - others
        return -lead if self.targeted else lead

    def label_mask(self, scores: Tensor) -> Tensor:
        """A mask that is True at each row's label.

        Args:
            scores: scores (n, classes).

        Returns:
            A bool tensor (n, classes).
        """
        return _core.one_hot(self.labels, scores.shape[-1]) > 0

    def length(self, x: Tensor) -> Tensor:
        """The norm of each row's change.

        Args:
            x: changed inputs (n, ...).

        Returns:
            A tensor (n,).
        """
        return find_norm("attack", self.norm).length(in_rows(x - self.clean, True))[:, 0]

    def subset(self, rows: NDArray[np.int64]) -> Problem:
        """The same problem for some of the rows.

        Args:
            rows: indices of rows.

        Returns:
            A ``Problem``.
        """
        return replace(self, clean=self.clean[rows], labels=self.labels[rows])

    def copy(self) -> Tensor:
        """A copy of the clean inputs."""
        return _core.tensor(self.clean)

    def random(self, generator: Generator) -> Tensor:
        """Changes drawn uniformly from the unit ball, shaped like the inputs.

        Args:
            generator: source of the random numbers.

        Returns:
            A tensor (n, ...).
        """
        rows = in_rows(self.clean, True)
        noise = find_norm("attack", self.norm).sample((rows.shape[0], rows.shape[1]), generator, rows.dtype)
        return _core.reshape(noise, self.clean.shape)

    def active_bounds(self) -> Box | None:
        """The bounds, for steps that must leave out elements blocked by the box; None where that does not matter."""
        return self.bounds if find_norm("attack", self.norm).sparse else None

    def box_projection(self) -> Callable[[Any], Any]:
        """The projection onto the box."""
        return box(*self.bounds)

    def ball_projection(self, eps: float) -> Callable[[Any], Any]:
        """The projection onto the ball around the clean inputs, then onto the box, which stays inside the ball.

        Args:
            eps: radius of the ball.

        Returns:
            A projection for ``optim.minimize``.
        """
        return compose(ball(self.clean, eps, self.norm, batched=True), self.box_projection())

    def evaluated(self, moved: Tensor, history: list[float], steps: Any, eps: Eps = None) -> Attack:
        """Predicts again.

        Args:
            moved: the changed inputs.
            history: the objective before each step.
            steps: number of steps, for all rows or each.
            eps: if given, changes are first shortened to it; several values give one stacked result.

        Returns:
            An ``Attack``.
        """
        if eps is None:
            return self._evaluated(moved, history, steps)
        if not np.asarray(eps).ndim:
            return self._evaluated(self.ball_projection(checked_eps(eps))(moved), history, steps)
        return stacked([self.evaluated(moved, history, steps, float(e)) for e in np.asarray(eps)])

    def _evaluated(self, moved: Tensor, history: list[float], steps: Any) -> Attack:
        with _core.no_grad():
            scores = self.model(moved)
        label, hit = np.asarray(_core.argmax(scores, axis=-1)), np.array(self.succeeded(scores))
        count = max(1, len(label))
        made = np.broadcast_to(np.asarray(steps, np.int64), label.shape).copy()
        means = [value / count for value in history]
        return Attack(moved, hit, label, self._distance(moved), means, made)

    def _distance(self, moved: Tensor) -> NDArray[np.float64]:
        change = _core.astype(moved, _core.float64) - _core.astype(self.clean, _core.float64)
        return np.asarray(find_norm("attack", self.norm).length(in_rows(change, True)))[:, 0]


def validated(
    who: str,
    model: Classifier,
    x: Any,
    y: Any,
    bounds: Box,
    targeted: bool = False,
    norm: str = "l2",
    confidence: float = 0.0,
) -> Problem:
    """Checks the arguments of an attack and makes a ``Problem`` of them.

    Args:
        who: name of the attack, for error messages.
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,), the classes to leave, or to reach if ``targeted``.
        bounds: lowest and highest allowed value of inputs, two numbers.
        targeted: whether ``y`` are the classes to reach.
        norm: "linf", "l2" or "l1".
        confidence: margin in scores that counts as success.

    Returns:
        A ``Problem``.

    Raises:
        TypeError: for inputs that are not floats, labels that are not integers, or scores that are not one tensor.
        ValueError: for shapes that do not match, fewer than two classes, a function that returns probabilities, values
            that are not finite or outside ``bounds``, an unknown norm, or a negative confidence.
        IndexError: for a label that is not a class.
    """
    find_norm(who, norm)
    if not 0 <= confidence < math.inf:
        raise ValueError(f"{who}: the confidence is a finite number, 0 or more, got {confidence}")
    clean, labels = _core.asarray(x).detach(), _core.asarray(y)
    low, high = _checked_bounds(who, bounds)
    _check_inputs(who, clean, (low, high))
    model = unnormalised(who, model)
    with GradientTape() as tape:  # so that the scores are recorded, which shows how they were computed
        tape.watch(clean)
        scores = one_tensor(model(clean)).detach()
    if scores.ndim != 2 or len(scores) != len(clean):
        raise ValueError(f"{who}: the model must give scores (n, classes) for {clean.shape}, got {scores.shape}")
    if scores.shape[1] < 2:
        raise ValueError(f"{who}: the model has {scores.shape[1]} class; an attack needs at least two")
    _check_labels(who, labels, scores)
    return Problem(model, clean, _core.astype(labels, _core.int64), norm, targeted, (low, high), float(confidence))


def _checked_bounds(who: str, bounds: Any) -> Box:
    """The bounds as two numbers. Raises TypeError for arrays, ValueError for an empty range."""
    shapes = [np.asarray(bound).shape for bound in bounds]
    if shapes != [(), ()]:
        raise TypeError(
            f"{who}: the bounds are two numbers (low, high), got arrays of shapes {shapes}; where each channel has its "
            "own, attack the pixels: lambda v: model(normalize(v)), with bounds in pixels"
        )
    low, high = (float(bound) for bound in bounds)
    if not low < high:
        raise ValueError(f"{who}: the bounds must be (low, high), got {(low, high)}")
    return low, high


def _check_inputs(who: str, clean: Tensor, bounds: Box) -> None:
    if clean.dtype not in (_core.float32, _core.float64) or clean.ndim < 2:
        raise TypeError(f"{who}: x must be float32 or float64 of shape (n, ...), got {clean.dtype.name}{clean.shape}")
    low, high = bounds
    values = np.asarray(clean)
    if not np.isfinite(values).all():
        raise ValueError(f"{who}: x has values that are not finite, first in row {_first(~np.isfinite(values))}")
    if values.size and not low <= values.min() <= values.max() <= high:
        beyond = max(low - float(values.min()), float(values.max()) - high)
        raise ValueError(f"{who}: x runs from {values.min()} to {values.max()}, outside the bounds {bounds} by "
                         f"{beyond:.2g}; clip it, or give wider bounds")  # fmt: skip


def _first(wrong: NDArray[np.bool_]) -> int:
    return int(np.argwhere(wrong)[0, 0])


def _check_labels(who: str, labels: Tensor, scores: Tensor) -> None:
    values, classes = np.asarray(labels), scores.shape[-1]
    if labels.shape != scores.shape[:1] or (values.size and values.dtype.kind not in "iu"):
        raise TypeError(f"{who}: y must be integers of shape {scores.shape[:1]}, got {labels.dtype}{labels.shape}")
    if values.size and not 0 <= values.min() <= values.max() < classes:
        at = _first((values < 0) | (values >= classes))
        raise IndexError(f"{who}: label {values[at]} of row {at} is none of the classes, 0 to {classes - 1}")


def checked_eps(eps: Any) -> float:
    """A radius as a float.

    Args:
        eps: the radius.

    Returns:
        A float.

    Raises:
        ValueError: if it is negative or NaN.
    """
    if not eps >= 0:
        raise ValueError(f"eps, the radius of the ball, must not be negative, got {eps}")
    return float(eps)


def for_each(eps: Any, attack: Callable[[float], Attack]) -> Attack:
    """Runs an attack for each radius.

    Args:
        eps: a radius, or several.
        attack: a function from a radius to an ``Attack``.

    Returns:
        An ``Attack``, stacked for several radii.
    """
    radii = np.asarray(eps)
    return stacked([attack(checked_eps(e)) for e in radii]) if radii.ndim else attack(checked_eps(eps))


def stacked(attacks: list[Attack]) -> Attack:
    """Several results as one, with a leading dimension.

    Args:
        attacks: the results.

    Returns:
        An ``Attack``.

    Raises:
        ValueError: for an empty list.
    """
    if not attacks:
        raise ValueError("eps is an empty sequence; give at least one radius")
    return Attack(
        _core.stack([a.x for a in attacks]),
        np.stack([a.success for a in attacks]),
        np.stack([a.label for a in attacks]),
        np.stack([a.distance for a in attacks]),
        [a.history for a in attacks],
        np.stack([a.steps for a in attacks]),
    )


class Best:
    """The nearest adversarial example of each row so far, in tensors that compiled steps update in place.

    Args:
        problem: the problem.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.x = problem, problem.copy()
        self.distance = _core.full((len(self.x),), math.inf, dtype=self.x.dtype)
        self.hit, self.found = (_core.zeros((len(self.x),), dtype=_core.bool) for _ in range(2))

    def offer(self, x: Tensor, scores: Tensor) -> None:
        """Keeps the rows of ``x`` that succeed and are nearer than before.

        ``hit`` tells which of them succeed, ``found`` which rows ever did since it was last set to False.

        Args:
            x: changed inputs (n, ...).
            scores: their scores (n, classes).
        """
        with _core.no_grad():
            x = x.detach()
            self.hit[...] = self.problem.succeeded(scores.detach())
            self.found[...] = self.found | self.hit
            distance = self.problem.length(x)
            nearer = self.hit & (distance < self.distance)
            self.distance[...] = _core.where(nearer, distance, self.distance)
            self.x[...] = _core.where(_core.reshape(nearer, (-1,) + (1,) * (x.ndim - 1)), x, self.x)
