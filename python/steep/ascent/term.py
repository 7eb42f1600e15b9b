"""Terms: scalar functions of an input that can be added, subtracted and scaled.

``logit(model, 3) - 0.1 * l2 - 0.01 * total_variation`` is a term. Any function of the input can be an operand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from steep._core import Tensor

Scalar: TypeAlias = Callable[..., Tensor]


class Term:
    """A function from an input to a scalar tensor, with ``+``, ``-`` and multiplication by a number.

    Args:
        fun: a function from an input to a scalar tensor.
        name: its name in ``repr``; that of the function if empty.

    Example:
        >>> sp.ascent.logit(lambda x: x, 3) - 0.1 * sp.ascent.l2
        Term(logit(3) - 0.1 * l2)
    """

    def __init__(self, fun: Scalar, name: str = "") -> None:
        self.__wrapped__ = fun
        self.__name__ = name or str(getattr(fun, "__name__", type(fun).__name__))
        self.__doc__ = fun.__doc__

    def __call__(self, x: Any, **options: Any) -> Tensor:
        """The value at ``x``.

        Args:
            x: the input.
            options: keyword arguments of the function, such as ``beta`` of ``total_variation``.

        Returns:
            A scalar tensor.
        """
        return self.__wrapped__(x, **options)

    def __add__(self, other: Scalar | float) -> Term:
        if callable(other):
            return Term(lambda x: self(x) + other(x), f"{self.__name__} + {_name(other)}")
        return Term(lambda x: self(x) + other, f"{self.__name__} + {other}")

    __radd__ = __add__

    def __sub__(self, other: Scalar | float) -> Term:
        if callable(other):
            return Term(lambda x: self(x) - other(x), f"{self.__name__} - {_name(other)}")
        return Term(lambda x: self(x) - other, f"{self.__name__} - {other}")

    def __rsub__(self, other: Scalar | float) -> Term:
        return -self + other

    def __mul__(self, factor: float) -> Term:
        name = f"({self.__name__})" if " " in self.__name__ else self.__name__
        return Term(lambda x: self(x) * factor, f"{factor} * {name}")

    __rmul__ = __mul__

    def __neg__(self) -> Term:
        return self * -1

    def __repr__(self) -> str:
        return f"Term({self.__name__})"


def _name(fun: Scalar) -> str:
    return str(getattr(fun, "__name__", type(fun).__name__))
