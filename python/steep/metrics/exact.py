"""Sums of floats without rounding, so that they do not depend on order or division.

A float64 is an integer of 53 bits times a power of two. ``ExactSum`` adds these integers in one bin per exponent, in
two halves so that a bin does not overflow before 2**36 additions, and rounds once, at the end.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOWEST, BINS, HALF = -1074, 2100, 27  # exponent of bin 0; bins; bits of the lower half of a mantissa
LEAST = LOWEST - 53  # the exponent of the last bit of bin 0


class ExactSum:
    """The sum of every column of the arrays added so far, exact until it is read.

    Args:
        columns: number of columns.

    Example:
        >>> total = sp.metrics.ExactSum()
        >>> total.add([1e100, 1.0])
        >>> total.add([-1e100])
        >>> total.value()
        1.0
    """

    def __init__(self, columns: int = 1) -> None:
        self.columns = columns
        self._bins = np.zeros((2, BINS, columns), np.int64)
        self._special = np.zeros(columns)  # the sum of what is not finite

    def add(self, values: Any) -> None:
        """Adds the rows of an array.

        Args:
            values: floats (n,) or (n, columns).

        Raises:
            ValueError: for another number of columns.
        """
        rows = np.asarray(values, np.float64)
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            raise ValueError(f"ExactSum: values of shape (n, {self.columns}) are expected, got {rows.shape}")
        finite = np.isfinite(rows)
        if not finite.all():
            with np.errstate(invalid="ignore"):
                self._special += np.where(finite, 0.0, rows).sum(axis=0)
            rows = np.where(finite, rows, 0.0)
        mantissas, exponents = np.frexp(rows)
        whole = np.ldexp(mantissas, 53).astype(np.int64)
        places = exponents - LOWEST, np.broadcast_to(np.arange(self.columns), rows.shape)
        np.add.at(self._bins[0], places, whole & ((1 << HALF) - 1))
        np.add.at(self._bins[1], places, whole >> HALF)

    def exact(self) -> list[Fraction]:
        """The sum of every column, of the finite values alone.

        Returns:
            A list of fractions.
        """
        found = []
        for column in range(self.columns):
            low, high = self._bins[0, :, column], self._bins[1, :, column]
            used = np.flatnonzero(low | high)
            total = sum((int(low[e]) + (int(high[e]) << HALF)) << int(e) for e in used)
            found.append(Fraction(total, 1 << -LEAST))
        return found

    def values(self) -> NDArray[np.float64]:
        """The sum of every column, rounded once.

        Returns:
            A float64 array (columns,).
        """
        return np.array([_rounded(total) for total in self.exact()]) + self._special

    def value(self) -> float:
        """The sum of the first column, rounded once.

        Returns:
            A float.
        """
        return float(self.values()[0])


def _rounded(total: Fraction) -> float:
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf
