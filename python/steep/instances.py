"""Arguments that must be of one class, such as a module or a generator: refused by name where they are not.

Numbers have their own modules, ``integers`` and ``reals``.
"""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def instance(what: str, value: Any, kind: type[T], such_as: str = "") -> T:
    """An argument of a class.

    Args:
        what: the function and the parameter, for the error message.
        value: what was given.
        kind: the class.
        such_as: how to make one, for the error message.

    Returns:
        The value.

    Raises:
        TypeError: for anything else.

    Example:
        >>> from steep.instances import instance
        >>> instance("fit: model", sp.nn.ReLU(), sp.nn.Module)
        ReLU()
    """
    if isinstance(value, kind):
        return value
    hint = f"; {such_as}" if such_as else ""
    raise TypeError(f"{what} must be a {kind.__name__}, and got {type(value).__name__}{hint}")
