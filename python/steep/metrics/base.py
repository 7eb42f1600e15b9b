"""What a metric is, and how outputs of a model are read as classes or numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.io.arrays import to_array


class Metric:
    """Base of the metrics: ``update`` for every batch, then ``value``.

    A subclass defines ``reset``, ``update`` and ``value``, and ``larger_is_better``, by which the best epoch is found.

    Example:
        >>> class Share(sp.metrics.Metric):
        ...     def reset(self):
        ...         self.positive = self.seen = 0
        ...     def update(self, outputs, targets):
        ...         self.positive += int((outputs > 0).sum())
        ...         self.seen += outputs.size
        ...     def value(self):
        ...         return self.positive / self.seen
        >>> Share().of(sp.tensor([1.0, -1.0]), [0, 0])
        0.5
    """

    larger_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets what was seen; to be overridden."""

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Takes a batch; to be overridden.

        Args:
            outputs: what the model returned.
            targets: what it should have returned.
            weights: a weight for each row, at least 0; each counts 1 if None. A metric that has none leaves it out.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def value(self) -> Any:
        """The metric of what was seen so far; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} defines no value")

    def of(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        """The metric of these alone.

        Args:
            outputs: what the model returned.
            targets: what it should have returned.
            weights: a weight for each row, at least 0; each counts 1 if None.

        Returns:
            What ``value`` returns.
        """
        self.reset()
        self.update(outputs, targets, *(() if weights is None else (weights,)))
        return self.value()


class Weighted(Metric):
    """A metric to which the weights of samples are given where data have any, as in ``(x, y, weights)``.

    ``evaluate`` and ``fit`` give them to no other metric. By name: "weighted_accuracy".

    Args:
        metric: the metric.

    Example:
        >>> sp.metrics.evaluate(lambda x: x, (np.eye(2, dtype=np.float32), [0, 0], [3.0, 1.0]), ["weighted_accuracy"])
        {'weighted_accuracy': 0.75}
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.larger_is_better = metric.larger_is_better
        super().__init__()

    def reset(self) -> None:
        """Forgets what was seen."""
        self.metric.reset()

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Takes a batch.

        Args:
            outputs: what the model returned.
            targets: what it should have returned.
            weights: a weight for each row, at least 0; each counts 1 if None.
        """
        self.metric.update(outputs, targets, *(() if weights is None else (weights,)))

    def value(self) -> Any:
        """The metric of what was seen so far."""
        return self.metric.value()


def update_all(metrics: Iterable[Metric], outputs: Any, targets: Any, rest: Sequence[Any]) -> None:
    """Gives a batch to metrics.

    Args:
        metrics: the metrics.
        outputs: what the model returned.
        targets: what it should have returned.
        rest: what samples have besides inputs and targets; the first are weights, for those that are ``Weighted``.
    """
    for metric in metrics:
        metric.update(outputs, targets, *(rest[:1] if isinstance(metric, Weighted) else ()))


def weights_of(name: str, weights: Any, count: int) -> NDArray[np.float64] | None:
    """Weights of rows, checked.

    Args:
        name: name of the metric, for error messages.
        weights: an array (n,), or None.
        count: the number of rows.

    Returns:
        A float64 array (n,), or None.

    Raises:
        ValueError: for another shape, or a weight that is negative or not finite; with its number.
    """
    if weights is None:
        return None
    found = array(weights).astype(np.float64)
    if found.shape != (count,):
        raise ValueError(f"{name}: {count} rows need weights of shape ({count},), got {found.shape}")
    wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if len(wrong):
        raise ValueError(f"{name}: the weight {found[wrong[0]]} of row {wrong[0]} is not a number of at least 0")
    return found


def exactly(values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Floats as fractions, whose sums do not depend on the order.

    Args:
        values: an array.

    Returns:
        An array of ``Fraction``.
    """
    found = np.empty(values.shape, object)
    found[...] = [Fraction(value) for value in values.tolist()]
    return found


def array(values: Any) -> NDArray[Any]:
    """A tensor or array of any library as a NumPy array.

    Args:
        values: a tensor or array-like.

    Returns:
        An array.
    """
    return np.asarray(to_array(values))


def scores_and_labels(name: str, outputs: Any, targets: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores (n, classes) and labels (n,): one score per row is the logit of class 1, and class 0 has the score 0.

    Args:
        name: name of the metric, for error messages.
        outputs: scores (..., classes), or logits of the shape of the targets, with an axis of length 1 or without.
        targets: labels (...), or probabilities of the shape of the scores, of which the highest is the label.

    Returns:
        A float64 array and an int64 array.

    Raises:
        ValueError: for shapes that do not fit, or a label that is not among the classes; with its number.
    """
    scores, labels = array(outputs).astype(np.float64), array(targets)
    if labels.shape == (*scores.shape[:-1], 1) and scores.shape[-1:] == (1,):
        labels = labels[..., 0]
    if scores.shape == labels.shape and _are_probabilities(labels):
        labels = labels.argmax(axis=-1)
    if scores.shape == labels.shape:
        scores = scores[..., None]
    if scores.shape[:-1] != labels.shape:
        raise ValueError(f"{name}: outputs of shape {array(outputs).shape} and targets of {labels.shape} do not fit")
    scores, labels = scores.reshape(-1, scores.shape[-1]), labels.reshape(-1)
    scores = np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
    wrong = np.flatnonzero((labels != np.floor(labels)) | (labels < 0) | (labels >= scores.shape[1]))
    if len(wrong):
        label, row = labels[wrong[0]], wrong[0]
        raise ValueError(f"{name}: the label {label} of row {row} is not among {scores.shape[1]} classes")
    return scores, labels.astype(np.int64)


def _are_probabilities(targets: NDArray[Any]) -> bool:
    """Whether they are rows of probabilities of two classes or more."""
    rows = targets.ndim > 1 and targets.shape[-1] > 1 and targets.dtype.kind == "f" and targets.size > 0
    return bool(rows and targets.min() >= 0 and np.abs(targets.sum(axis=-1) - 1).max() < 1e-3)


def numbers(name: str, outputs: Any, targets: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictions and targets as float64 (n, columns).

    Args:
        name: name of the metric, for error messages.
        outputs: predictions (n, ...).
        targets: targets of the same shape; an axis of length 1 may be missing in one of them.

    Returns:
        Two arrays.

    Raises:
        ValueError: if shapes differ.
    """
    found = [array(values).astype(np.float64) for values in (outputs, targets)]
    shapes = [values.shape[:-1] if values.shape[1:] == (1,) else values.shape for values in found]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise ValueError(f"{name}: outputs of shape {found[0].shape} and targets of {found[1].shape} differ")
    predictions, wanted = (values.reshape(len(values), -1) if len(values) else values.reshape(0, 1) for values in found)
    return predictions, wanted
