"""Metrics of predicted numbers, from exact sums: mean squared and absolute error, their root, and R2."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.metrics.base import Metric, exactly, numbers, weights_of
from steep.metrics.exact import ExactSum


class _OfColumns(Metric):
    """Base of metrics that each column has; the value is the mean over columns, as in scikit-learn."""

    larger_is_better = False

    def reset(self) -> None:
        """Forgets what was seen."""
        self.rows = 0
        self.seen = Fraction(0)  # the sum of their weights
        self._sums: list[ExactSum] = []
        self._first: NDArray[np.float64] | None = None

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Takes a batch.

        Args:
            outputs: predictions (n, ...).
            targets: targets of that shape.
            weights: a weight for each row, at least 0; each counts 1 if None.
        """
        predictions, wanted = numbers(type(self).__name__, outputs, targets)
        weighed = weights_of(type(self).__name__, weights, len(wanted))
        if not len(wanted):
            return
        self._first = wanted[0] if self._first is None else self._first
        terms = self.terms(predictions, wanted)
        self._sums = self._sums or [ExactSum(term.shape[1]) for term in terms]
        for total, term in zip(self._sums, terms, strict=True):
            total.add(term if weighed is None else term * weighed[:, None])
        self.rows += len(wanted)
        self.seen += len(wanted) if weighed is None else exactly(weighed).sum()

    def terms(self, predictions: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """What is summed over rows.

        Args:
            predictions: predictions (n, columns).
            wanted: targets (n, columns).

        Returns:
            A list of arrays (n, columns).
        """
        return [(predictions - wanted) ** 2]

    def columns(self) -> list[float]:
        """The metric of every column.

        Returns:
            A list of floats.
        """
        return [float(total) / float(self.seen) for total in self._sums[0].values()]

    def value(self) -> float:
        """The mean over columns; NaN if nothing was seen."""
        return math.fsum(found := self.columns()) / len(found) if self.seen else float("nan")


class MSE(_OfColumns):
    """The mean squared error.

    Example:
        >>> sp.metrics.MSE().of([1.0, 2.0], [1.0, 4.0])
        2.0
    """


class RMSE(_OfColumns):
    """The root of the mean squared error.

    Example:
        >>> sp.metrics.RMSE().of([1.0, 2.0], [3.0, 4.0])
        2.0
    """

    def columns(self) -> list[float]:
        """The metric of every column.

        Returns:
            A list of floats.
        """
        return [math.sqrt(value) for value in super().columns()]


class MAE(_OfColumns):
    """The mean absolute error.

    Example:
        >>> sp.metrics.MAE().of([1.0, 2.0], [1.0, 4.0])
        1.0
    """

    def terms(self, predictions: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """What is summed over rows.

        Args:
            predictions: predictions (n, columns).
            wanted: targets (n, columns).

        Returns:
            A list of arrays (n, columns).
        """
        return [np.abs(predictions - wanted)]


class R2(_OfColumns):
    """The coefficient of determination: 1 less the squared error over that of the mean.

    Example:
        >>> sp.metrics.R2().of([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
        1.0
    """

    larger_is_better = True

    def terms(self, predictions: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """What is summed over rows.

        Args:
            predictions: predictions (n, columns).
            wanted: targets (n, columns).

        Returns:
            A list of arrays (n, columns).
        """
        moved = wanted - np.asarray(self._first)  # by the first target, so that little cancels
        return [(predictions - wanted) ** 2, moved, moved**2]

    def columns(self) -> list[float]:
        """The metric of every column: 1 for a constant column without error, 0 with one, as in scikit-learn."""
        found = []
        for error, total, squares in zip(*(each.exact() for each in self._sums), strict=True):
            spread = squares - total**2 / self.seen
            found.append(float(1 - error / spread) if spread > 0 else float(error == Fraction(0)))
        return found

    def value(self) -> float:
        """The mean over columns; NaN for fewer than 2 rows, or if a value was not finite."""
        if self.rows < 2 or not all(np.isfinite(each.values()).all() for each in self._sums):
            return float("nan")
        return super().value()
