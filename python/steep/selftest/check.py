"""What one check is, and how its outcome is judged.

Values are compared as float64 arrays: the difference may be at most the tolerance, relative to values above 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """One line of a row of docs/notes.md.

    Attributes:
        row: index of the row.
        what: what is computed, in words.
        compute: computes it.
        expected: what it must give, a number, an array, or nested lists of them.
        tolerance: largest difference, relative to values above 1; 0 means exactly.
    """

    row: int
    what: str
    compute: Callable[[], Any]
    expected: Any
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Outcome:
    """A check with what the engine computed.

    Attributes:
        check: the check.
        value: what was computed, as float64; NaN after an exception.
        expected: what it should be, as float64.
        error: message of an exception, or empty.
    """

    check: Check
    value: Values
    expected: Values
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the value has the expected shape and is within the tolerance; NaN never is."""
        if self.error or self.value.shape != self.expected.shape:
            return False
        allowed = self.check.tolerance * np.maximum(1.0, np.abs(self.expected))
        return bool(np.all(np.abs(self.value - self.expected) <= allowed))


def judge(check: Check) -> Outcome:
    """Run one check; an exception is an outcome that does not hold."""
    expected = as_values(check.expected)
    try:
        return Outcome(check, as_values(check.compute()), expected)
    except Exception as error:
        return Outcome(check, np.full(expected.shape, np.nan), expected, f"{type(error).__name__}: {error}")


def as_values(value: Any) -> Values:
    """A number, tensor, array or nested list of them as float64."""
    if isinstance(value, list | tuple):
        return np.asarray([as_values(item) for item in value], np.float64)
    return np.asarray(value, np.float64)
