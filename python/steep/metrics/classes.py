"""Metrics of a classifier, all from integer counts: the confusion matrix, what follows from it, and top-k accuracy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from steep.metrics.base import Metric, exactly, scores_and_labels, weights_of

Count: TypeAlias = "int | Fraction"  # of rows, or the sum of their weights
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

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Takes a batch.

        Args:
            outputs: scores (n, classes), or logits (n,) of class 1.
            targets: labels (n,).
            weights: a weight for each row, at least 0; each counts 1 if None.
        """
        scores, labels = scores_and_labels(type(self).__name__, outputs, targets)
        classes = max(scores.shape[1], len(self.counts))
        if classes > len(self.counts):
            more = classes - len(self.counts)
            self.counts = np.pad(self.counts, ((0, more), (0, more)))
        weighed = weights_of(type(self).__name__, weights, len(labels))
        if weighed is not None:
            self.counts = self.counts.astype(object)  # sums of fractions
        np.add.at(self.counts, (labels, scores.argmax(axis=1)), 1 if weighed is None else exactly(weighed))

    def value(self) -> Any:
        """The matrix.

        Returns:
            An int64 array (classes, classes); float64 of sums of weights.
        """
        return self.counts.astype(np.float64 if self.counts.dtype == object else np.int64)


class Accuracy(ConfusionMatrix):
    """The share of rows whose class has the highest score, the first of equals.

    Example:
        >>> sp.metrics.Accuracy().of([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [0.0, 2.0]], [0, 1, 1, 1])
        0.75
    """

    def value(self) -> float:
        """The accuracy; NaN if nothing was seen."""
        return _ratio(np.diag(self.counts).sum(), self.counts.sum())


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

    def parts(self, right: Count, predicted: Count, actual: Count) -> tuple[Count, Count]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers, or fractions of weights.
        """
        raise NotImplementedError

    def value(self) -> float:
        """The average; 0 for a class whose denominator is 0, NaN if nothing was seen."""
        counts = self.counts
        if not counts.sum():
            return float("nan")
        rows: list[tuple[Any, ...]] = list(
            zip(np.diag(counts).tolist(), counts.sum(0).tolist(), counts.sum(1).tolist(), strict=True)
        )
        if self.average == "binary":
            rows = [rows[1]]
        else:
            rows = [row for row in rows if row[1] or row[2]]
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

    def parts(self, right: Count, predicted: Count, actual: Count) -> tuple[Count, Count]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers, or fractions of weights.
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

    def parts(self, right: Count, predicted: Count, actual: Count) -> tuple[Count, Count]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers, or fractions of weights.
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

    def parts(self, right: Count, predicted: Count, actual: Count) -> tuple[Count, Count]:
        """Numerator and denominator.

        Args:
            right: rows of the class that were predicted to be.
            predicted: rows that were predicted to be of the class.
            actual: rows of the class.

        Returns:
            Two integers, or fractions of weights.
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
        self.right: Count = 0
        self.seen: Count = 0

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Takes a batch.

        Args:
            outputs: scores (n, classes).
            targets: labels (n,).
            weights: a weight for each row, at least 0; each counts 1 if None.
        """
        scores, labels = scores_and_labels("TopK", outputs, targets)
        mine = np.take_along_axis(scores, labels[:, None], axis=1)
        before = (scores == mine) & (np.arange(scores.shape[1]) < labels[:, None])
        places = ((scores > mine) | before | np.isnan(mine)).sum(axis=1)
        weighed = weights_of("TopK", weights, len(labels))
        counted = np.ones(len(labels), np.int64) if weighed is None else exactly(weighed)
        self.right += counted[places < self.k].sum()
        self.seen += counted.sum()

    def value(self) -> float:
        """The accuracy; NaN if nothing was seen."""
        return _ratio(self.right, self.seen)


def _fraction(part: Count, whole: Count) -> Fraction:
    return Fraction(part) / whole if whole else Fraction(0)


def _ratio(part: Any, whole: Any) -> float:
    """The ratio of two integers, NumPy's among them, or fractions, rounded once; NaN of nothing."""
    return float(Fraction(part) / Fraction(whole)) if whole else float("nan")
