"""The area under the ROC curve: the probability that a row of a class has a higher score than a row of another."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.metrics.base import Metric, exactly, scores_and_labels, weights_of


class ROCAUC(Metric):
    """The area under the ROC curve; of several classes, the mean over each against the rest, by their softmax.

    It keeps all scores, 8 bytes per row and class, since it depends on their order. Equal scores count one half.

    References:
        Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747; Hand and Till 2001, doi:10.1023/A:1010920819831.

    Example:
        >>> sp.metrics.ROCAUC().of([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        0.75
    """

    def reset(self) -> None:
        """Forgets what was seen."""
        self._scores: list[NDArray[np.float64]] = []
        self._labels: list[NDArray[np.int64]] = []
        self._weights: list[NDArray[np.float64]] = []
        self._weighted = False

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Takes a batch.

        Args:
            outputs: scores (n, classes), or logits (n,) of class 1.
            targets: labels (n,).
            weights: a weight for each row, at least 0; each counts 1 if None.
        """
        scores, labels = scores_and_labels("ROCAUC", outputs, targets)
        if len(labels):
            self._scores.append(_comparable(scores))
            self._labels.append(labels)
            weighed = weights_of("ROCAUC", weights, len(labels))
            self._weights.append(np.ones(len(labels)) if weighed is None else weighed)
            self._weighted = self._weighted or weighed is not None

    def value(self) -> float:
        """The area; NaN without rows of every class, or for scores that are NaN."""
        if not self._labels:
            return float("nan")
        scores, labels = np.concatenate(self._scores), np.concatenate(self._labels)
        weights = exactly(np.concatenate(self._weights)) if self._weighted else None
        areas = [_area(column, labels == k, weights) for k, column in self._classes(scores)]
        if np.isnan(scores).any() or None in areas:
            return float("nan")
        return float(sum(area for area in areas if area is not None) / len(areas))

    def _classes(self, scores: NDArray[np.float64]) -> list[tuple[int, NDArray[np.float64]]]:
        return [(1, scores[:, 0])] if scores.shape[1] == 1 else list(enumerate(scores.T))


def _comparable(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of two classes, the difference of the scores; of more, their softmax."""
    if scores.shape[1] == 2:
        return scores[:, 1:] - scores[:, :1]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return chances


def _area(scores: NDArray[np.float64], mine: NDArray[np.bool_], weights: NDArray[Any] | None) -> Fraction | None:
    """The share of pairs in order, each by the product of its weights; None if they have none."""
    weights = np.ones(len(scores), np.int64) if weights is None else weights
    order = np.argsort(scores[~mine])
    rest, upto = scores[~mine][order], np.concatenate([[0], np.cumsum(weights[~mine][order])])
    pairs = weights[mine].sum() * upto[-1]
    if not pairs:
        return None
    below, to = np.searchsorted(rest, scores[mine], "left"), np.searchsorted(rest, scores[mine], "right")
    return Fraction((weights[mine] * (upto[below] + upto[to])).sum()) / Fraction(2 * pairs)
