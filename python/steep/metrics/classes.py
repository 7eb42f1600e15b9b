"""Metrics of a classifier, all from integer counts: the confusion matrix, what follows from it, and top-k accuracy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from steep.metrics.base import Metric, scores_and_labels

AVERAGES = ("macro", "micro", "weighted", "binary")


class ConfusionMatrix(Metric):
    """How often a class (row) was predicted as a class (column).

    Example:
        >>> sp.metrics.ConfusionMatrix().of([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]], [0, 1, 1]).tolist()
        [[1, 0], [1, 1]]
    """

    def reset(self) -> None:
        """Forgets what was seen."""
        self.counts = np.zeros((0, 0), np.int64)

    def update(self, outputs: Any, targets: Any) -> None:
        """Takes a batch.

        Args:
            outputs: scores (n, classes), or logits (n,) of class 1.
            targets: labels (n,).
        """
        scores, labels = scores_and_labels(type(self).__name__, outputs, targets)
        classes = max(scores.shape[1], len(self.counts))
        if classes > len(self.counts):
            more = classes - len(self.counts)
            self.counts = np.pad(self.counts, ((0, more), (0, more)))
        np.add.at(self.counts, (labels, scores.argmax(axis=1)), 1)

    def value(self) -> Any:
        """The matrix.

        Returns:
            An int64 array (classes, classes).
        """
        return self.counts.copy()


class Accuracy(ConfusionMatrix):
    """The share of rows whose class has the highest score, the first of equals.

    Example:
        >>> sp.metrics.Accuracy().of([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [0.0, 2.0]], [0, 1, 1, 1])
        0.75
    """

    def value(self) -> float:
        """The accuracy; NaN if nothing was seen."""
        return _ratio(int(np.trace(self.counts)), int(self.counts.sum()), float("nan"))


class _OfClasses(ConfusionMatrix):
    """Base of metrics that each class has, and their average.

    Args:
        average: "macro" (the mean over classes that occur), "weighted" (by their frequency), "micro" (from the sums
            over classes) or "binary" (of class 1 alone).

    Raises:
        ValueError: for another average.
    """

    def __init__(self, average: str = "macro") -> None:
        if average not in AVERAGES:
            raise ValueError(f"{type(self).__name__}: average must be one of {list(AVERAGES)}, got {average!r}")
        self.average = average
        super().__init__()

    def parts(self, right: int, predicted: int, actual: int) -> tuple[int, int]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers.
        """
        raise NotImplementedError

    def value(self) -> float:
        """The average; 0 for a class whose denominator is 0, NaN if nothing was seen."""
        counts = self.counts
        if not counts.sum():
            return float("nan")
        rows = [tuple(map(int, row)) for row in zip(np.diag(counts), counts.sum(0), counts.sum(1), strict=True)]
        rows = [row for row in rows if row[1] or row[2]]
        if self.average == "binary":
            rows = [(int(counts[1, 1]), int(counts[:, 1].sum()), int(counts[1].sum()))]
        if self.average == "micro":
            rows = [tuple(map(sum, zip(*rows, strict=True)))]
        shares = [_fraction(*self.parts(*row)) for row in rows]
        weights = [row[2] if self.average == "weighted" else 1 for row in rows]
        return float(sum((s * w for s, w in zip(shares, weights, strict=True)), Fraction(0)) / (sum(weights) or 1))


class Precision(_OfClasses):
    """Of the rows predicted to be of a class, the share that is; averaged over classes.

    Args:
        average: "macro", "weighted", "micro" or "binary".

    Example:
        >>> sp.metrics.Precision("binary").of([1.0, 2.0, -1.0], [1, 0, 1])
        0.5
    """

    def parts(self, right: int, predicted: int, actual: int) -> tuple[int, int]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers.
        """
        return right, predicted


class Recall(_OfClasses):
    """Of the rows of a class, the share that was predicted to be; averaged over classes.

    Args:
        average: "macro", "weighted", "micro" or "binary".

    Example:
        >>> sp.metrics.Recall("binary").of([1.0, 2.0, -1.0, -2.0], [1, 1, 1, 1])
        0.5
    """

    def parts(self, right: int, predicted: int, actual: int) -> tuple[int, int]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers.
        """
        return right, actual


class F1(_OfClasses):
    """The harmonic mean of precision and recall of a class; averaged over classes.

    Args:
        average: "macro", "weighted", "micro" or "binary".

    Example:
        >>> sp.metrics.F1("binary").of([1.0, 2.0, -1.0, -2.0], [1, 0, 1, 0])
        0.5
    """

    def parts(self, right: int, predicted: int, actual: int) -> tuple[int, int]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers.
        """
        return 2 * right, predicted + actual


class TopK(Metric):
    """The share of rows whose class is among the ``k`` highest scores; of equal scores the first classes count.

    Args:
        k: number of classes.

    Raises:
        ValueError: for k below 1.

    Example:
        >>> sp.metrics.TopK(2).of([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [1, 2])
        0.5
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ValueError(f"TopK: k must be at least 1, got {k}")
        self.k = k
        super().__init__()

    def reset(self) -> None:
        """Forgets what was seen."""
        self.right = self.seen = 0

    def update(self, outputs: Any, targets: Any) -> None:
        """Takes a batch.

        Args:
            outputs: scores (n, classes).
            targets: labels (n,).
        """
        scores, labels = scores_and_labels("TopK", outputs, targets)
        mine = np.take_along_axis(scores, labels[:, None], axis=1)
        before = (scores == mine) & (np.arange(scores.shape[1]) < labels[:, None])
        places = ((scores > mine) | before | np.isnan(mine)).sum(axis=1)
        self.right += int((places < self.k).sum())
        self.seen += len(labels)

    def value(self) -> float:
        """The accuracy; NaN if nothing was seen."""
        return _ratio(self.right, self.seen, float("nan"))


def _fraction(part: int, whole: int) -> Fraction:
    return Fraction(part, whole) if whole else Fraction(0)


def _ratio(part: int, whole: int, otherwise: float) -> float:
    return part / whole if whole else otherwise
