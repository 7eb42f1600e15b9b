"""The array API's names that are not ops: aliases, dtype inspection, constants and small helpers.

With the ops of the core they make ``steep`` an array API namespace for bool, int32, int64, float32 and float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.array_api.dtypes import can_cast, finfo, iinfo, isdtype, result_type
from steep.array_api.values import (
    NamespaceInfo,
    allclose,
    array_equal,
    isclose,
    isin,
    searchsorted,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from steep.integers import integer

__all__ = [
    "__array_namespace_info__", "allclose", "array_equal", "broadcast_arrays", "broadcast_shapes", "can_cast", "conj",
    "cumulative_prod", "cumulative_sum", "diff", "e", "finfo", "iinfo", "imag", "inf", "isclose", "isdtype", "isin",
    "meshgrid", "nan", "newaxis", "pi", "positive", "real", "result_type", "searchsorted", "stop_gradient",
    "unique_all", "unique_counts", "unique_inverse", "unique_values",
]  # fmt: skip

e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """Broadcasts arrays to their common shape.

    Args:
        arrays: tensors or arrays.

    Returns:
        A list of tensors.

    Raises:
        ValueError: if the shapes do not broadcast.

    Example:
        >>> [x.shape for x in sp.broadcast_arrays(sp.ones(3), sp.ones((2, 1)))]
        [(2, 3), (2, 3)]
    """
    shape = broadcast_shapes(*(_core.asarray(x).shape for x in arrays))
    return [_core.broadcast_to(x, shape) for x in arrays]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which shapes broadcast.

    Args:
        shapes: tuples of integers.

    Returns:
        A tuple of integers.

    Raises:
        ValueError: if they do not broadcast.

    Example:
        >>> sp.broadcast_shapes((3,), (2, 1))
        (2, 3)
    """
    return tuple(int(n) for n in np.broadcast_shapes(*shapes))


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids of 1-d tensors.

    Args:
        arrays: 1-d tensors.
        indexing: "xy" (the first two axes exchanged) or "ij".

    Returns:
        A list of tensors.

    Raises:
        ValueError: for another indexing.

    Example:
        >>> [x.shape for x in sp.meshgrid(sp.arange(3), sp.arange(2))]
        [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    n = len(arrays)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[0], order[1] = 1, 0
    columns = [_core.reshape(x, tuple(-1 if d == order[i] else 1 for d in range(n))) for i, x in enumerate(arrays)]
    return broadcast_arrays(*columns)


def stop_gradient(x: Tensor) -> Tensor:
    """``x`` as a constant: the same values, without gradient.

    Args:
        x: a tensor, or what asarray() makes one of.

    Returns:
        A tensor that shares memory with ``x``.

    Example:
        >>> float(sp.grad(lambda x: x * sp.stop_gradient(x))(3.0))
        3.0
    """
    return _core.asarray(x).detach()


def positive(x: Tensor) -> Tensor:
    """``x`` itself, as a tensor.

    Args:
        x: a tensor or array.

    Returns:
        A tensor.

    Example:
        >>> sp.positive(sp.tensor(-1.0)).item()
        -1.0
    """
    return _core.asarray(x)


def conj(x: Tensor) -> Tensor:
    """The complex conjugate: ``x`` itself, since steep's dtypes are real.

    Args:
        x: a tensor.

    Returns:
        A tensor.

    Example:
        >>> sp.conj(sp.tensor(2.0)).item()
        2.0
    """
    return _core.asarray(x)


def real(x: Tensor) -> Tensor:
    """The real part: ``x`` itself.

    Args:
        x: a tensor.

    Returns:
        A tensor.

    Example:
        >>> sp.real(sp.tensor(2.0)).item()
        2.0
    """
    return _core.asarray(x)


def imag(x: Tensor) -> Tensor:
    """The imaginary part: zeros.

    Args:
        x: a tensor.

    Returns:
        A tensor of the shape of ``x``.

    Example:
        >>> sp.imag(sp.tensor(2.0)).item()
        0.0
    """
    return _core.zeros_like(x)


def _cumulative(op: Any, x: Tensor, axis: int | None, dtype: Any, include_initial: bool) -> Tensor:
    values = _core.asarray(x)
    if axis is None and values.ndim != 1:
        raise ValueError(f"{op.__name__}: a tensor of {values.ndim} axes needs axis=; cumsum and cumprod take the last")
    along = -1 if axis is None else axis
    result: Tensor = op(values, along, dtype=dtype, include_initial=include_initial)
    return result


def cumulative_sum(x: Tensor, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Cumulative sum along an axis.

    Args:
        x: a tensor.
        axis: the axis; may be left out for 1-d tensors.
        dtype: dtype of the result; integers and bools are accumulated in int64 if None.
        include_initial: whether the result starts with 0.

    Returns:
        A tensor.

    Raises:
        ValueError: if the axis is missing.

    Example:
        >>> sp.cumulative_sum(sp.tensor([1, 2, 3]), include_initial=True).tolist()
        [0, 1, 3, 6]
    """
    return _cumulative(_core.cumsum, x, axis, dtype, include_initial)


def cumulative_prod(x: Tensor, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Cumulative product along an axis.

    Args:
        x: a tensor.
        axis: the axis; may be left out for 1-d tensors.
        dtype: dtype of the result; integers and bools are accumulated in int64 if None.
        include_initial: whether the result starts with 1.

    Returns:
        A tensor.

    Raises:
        ValueError: if the axis is missing.

    Example:
        >>> sp.cumulative_prod(sp.tensor([1, 2, 3])).tolist()
        [1, 2, 6]
    """
    return _cumulative(_core.cumprod, x, axis, dtype, include_initial)


def diff(x: Tensor, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """Differences of neighbouring elements along an axis.

    Args:
        x: a tensor.
        axis: the axis.
        n: how often differences are taken.
        prepend: elements to join before ``x``, or None.
        append: elements to join after ``x``, or None.

    Returns:
        A tensor.

    Raises:
        ValueError: for a negative n.

    Example:
        >>> sp.diff(sp.tensor([1.0, 4.0, 9.0])).tolist()
        [3.0, 5.0]
    """
    axis, n = integer("diff: axis", axis), integer("diff: n", n)
    x = _core.asarray(x)
    parts = [part for part in (prepend, x, append) if part is not None]
    y = _core.concat(parts, axis=axis) if len(parts) > 1 else x
    if n < 0:
        raise ValueError(f"diff: n must not be negative, and is {n}")
    length = y.shape[axis] if y.ndim else 0
    before = (slice(None),) * (axis % max(1, y.ndim))
    for _ in range(min(n, length)):  # nothing is left after that many
        y = y[(*before, slice(1, None))] - y[(*before, slice(None, -1))]
    return y


def __array_namespace_info__() -> NamespaceInfo:
    """The array API's inspection of a namespace.

    Returns:
        A ``NamespaceInfo``.
    """
    return NamespaceInfo()
