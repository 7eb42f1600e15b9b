"""Real numbers as callers write them, for the options of layers and optimisers: Python's, NumPy's, arrays of one.

Integers have their own module, ``integers``. True and False are none here either.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np


def real(what: str, value: Any, least: float | None = None, most: float = math.inf) -> float:
    """One real number between bounds.

    Args:
        what: the function or layer and the parameter, for the error message.
        value: what was given.
        least: the least that is allowed; without it any number is, NaN too.
        most: the most that is allowed.

    Returns:
        The number as it was given, a float if it was an array.

    Raises:
        TypeError: for anything that is no number.
        ValueError: for a number outside the bounds, or NaN.

    Example:
        >>> from steep.reals import real
        >>> real("Dropout: p", np.float32(0.5), 0, 1)
        0.5
    """
    truth = isinstance(value, bool | np.bool_)
    one = not truth and hasattr(value, "__float__") and getattr(value, "ndim", 0) == 0
    if not one:
        raise TypeError(f"{what} must be a number, and got {type(value).__name__}")
    plain = isinstance(value, numbers.Real) and not isinstance(value, np.generic)
    found: float = value if plain else float(value)
    if least is not None and not least <= found <= most:
        raise ValueError(f"{what} must {_range(least, most)}, and is {found}")
    return found


def _range(least: float, most: float) -> str:
    if math.isinf(least) and math.isinf(most):
        return "not be NaN"
    if math.isinf(most):
        return f"be at least {least}"
    return f"be at most {most}" if math.isinf(least) else f"lie in [{least}, {most}]"
