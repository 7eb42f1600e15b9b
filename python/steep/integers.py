"""Integers as callers write them, for functions in Python: Python's, NumPy's, arrays and tensors of one, sequences.

The core does the same for the arguments of ops (``csrc/bindings/arguments.cpp``). True and False are none, as in NumPy.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def is_one(value: Any) -> bool:
    """Whether a value is one integer: not a sequence, nor an array of several dimensions.

    Args:
        value: what was given.

    Returns:
        A bool.

    Example:
        >>> from steep.integers import is_one
        >>> is_one(np.array(3)), is_one(np.array([3])), is_one(True)
        (True, False, False)
    """
    truth = isinstance(value, bool | np.bool_)  # NumPy's passes for an index up to NumPy 2.2
    return hasattr(type(value), "__index__") and not truth and getattr(value, "ndim", 0) == 0


def integer(what: str, value: Any) -> int:
    """One integer.

    Args:
        what: the function and the parameter, for the error message.
        value: what was given.

    Returns:
        An int.

    Raises:
        TypeError: for anything else.

    Example:
        >>> from steep.integers import integer
        >>> integer("diff: axis", np.array(1))
        1
    """
    try:
        if is_one(value):
            return operator.index(value)
    except TypeError:  # an array of floats
        pass
    raise TypeError(f"{what} must be an integer, and got {_told(what, value)}")


def sizes(what: str, least: int = 0, **given: Any) -> tuple[int, ...]:
    """The sizes that a layer is given: integers, none below a least one.

    Args:
        what: the layer, for the error message.
        least: the smallest that is allowed.
        **given: the sizes by their parameters' names.

    Returns:
        A tuple of ints, in the order given.

    Raises:
        TypeError: for one that is no integer.
        ValueError: for one that is too small.

    Example:
        >>> from steep.integers import sizes
        >>> sizes("Linear", inputs=np.int64(3), outputs=2)
        (3, 2)
    """
    found = tuple(integer(f"{what}: {name}", value) for name, value in given.items())
    for name, size in zip(given, found, strict=True):
        if size < least:
            raise ValueError(f"{what}: {name} must be at least {least}, and is {size}")
    return found


def _told(what: str, value: Any) -> str:
    """What was given, and for a number that is a float the fix."""
    number = isinstance(value, float) or (getattr(value, "ndim", 1) == 0 and hasattr(value, "__float__"))
    return type(value).__name__ + (f"; pass int({what.split()[-1]})" if number else "")


def integers(what: str, value: Any, count: int = 1) -> tuple[int, ...]:
    """Integers: those of a sequence, or one so many times.

    Args:
        what: the function and the parameter, for the error message.
        value: what was given.
        count: how often one is repeated.

    Returns:
        A tuple.

    Raises:
        TypeError: for anything else.

    Example:
        >>> from steep.integers import integers
        >>> integers("conv: stride", np.int64(2), 2), integers("conv: stride", [2, np.array(1)])
        ((2, 2), (2, 1))
    """
    if is_one(value):
        return (integer(what, value),) * count
    sequence = hasattr(value, "__iter__") and getattr(value, "ndim", 1) > 0
    if not sequence or isinstance(value, str | bool | np.bool_ | dict | set):
        raise TypeError(f"{what} must be an integer or a sequence of them, and got {_told(what, value)}")
    return tuple(integer(what, each) for each in value)
