"""The array API's names that are not ops: aliases, dtype inspection, constants and small helpers.

With the ops of the core they make ``steep`` an array API namespace for bool, int32, int64, float32 and float64.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.values import (
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

__all__ = [
    "__array_namespace_info__", "allclose", "array_equal", "broadcast_arrays", "broadcast_shapes", "can_cast", "conj",
    "cumulative_prod", "cumulative_sum", "diff", "e", "finfo", "iinfo", "imag", "inf", "isclose", "isdtype", "isin",
    "meshgrid", "nan", "newaxis", "pi", "positive", "real", "result_type", "searchsorted", "stop_gradient",
    "unique_all", "unique_counts", "unique_inverse", "unique_values",
]  # fmt: skip

e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int32", "int64"),
    "unsigned integer": ("uint8",),
    "integral": ("uint8", "int32", "int64"),
    "real floating": ("bfloat16", "float32", "float64"),
    "complex floating": (),
    "numeric": ("uint8", "int32", "int64", "bfloat16", "float32", "float64"),
}


class finfo_object(NamedTuple):
    """Limits of a float dtype: ``bits``, ``eps``, ``max``, ``min``, ``smallest_normal``, ``dtype``."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


class iinfo_object(NamedTuple):
    """Limits of an integer dtype: ``bits``, ``max``, ``min``, ``dtype``."""

    bits: int
    max: int
    min: int
    dtype: Any


def _dtype_of(x: Any) -> Any:
    """The dtype of a tensor or an array, or the one that x names."""
    return x if isinstance(x, _core.dtype) else _core.dtype(getattr(x, "dtype", x))


def finfo(type: Any) -> finfo_object:
    """Limits of a float dtype.

    Args:
        type: a float dtype, or a tensor of one.

    Returns:
        A ``finfo_object``.

    Raises:
        ValueError: for a dtype that is not a float dtype.

    Example:
        >>> sp.finfo(sp.float32).bits
        32
    """
    dtype = _dtype_of(type)
    if dtype == _core.bfloat16:
        return finfo_object(16, 2.0**-7, 2.0**128 - 2.0**120, 2.0**120 - 2.0**128, 2.0**-126, _core.bfloat16)
    if dtype.kind != "f":
        raise ValueError(f"finfo: {dtype} is no float dtype; iinfo() has the limits of integers")
    info = np.finfo(dtype.name)
    return finfo_object(
        info.bits, float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), dtype
    )


def iinfo(type: Any) -> iinfo_object:
    """Limits of an integer dtype.

    Args:
        type: an integer dtype, or a tensor of one.

    Returns:
        An ``iinfo_object``.

    Raises:
        ValueError: for a dtype that is not an integer dtype.

    Example:
        >>> sp.iinfo(sp.uint8).max
        255
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise ValueError(f"iinfo: {dtype} is no integer dtype; finfo() has the limits of floats")
    info = np.iinfo(dtype.name)
    return iinfo_object(info.bits, int(info.max), int(info.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind.

    Args:
        dtype: the dtype.
        kind: a dtype, a name such as "real floating" or "integral", or a tuple of these.

    Returns:
        A bool.

    Raises:
        ValueError: for an unknown kind.

    Example:
        >>> sp.isdtype(sp.float32, "real floating")
        True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(f"isdtype: no kind named {kind!r}; there are {sorted(_KINDS)}")
        return dtype.name in _KINDS[kind]
    return bool(dtype == kind)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype to which operands are promoted; Python numbers are the weakest of their kind.

    Args:
        arrays_and_dtypes: tensors, arrays, dtypes and Python numbers.

    Returns:
        A dtype.

    Raises:
        ValueError: without operands.
        TypeError: for an operand without a dtype.

    Example:
        >>> sp.result_type(sp.int64, 1.0)
        steep.float32
    """
    if not arrays_and_dtypes:
        raise ValueError("result_type: needs at least one tensor, dtype or number")
    numbers = [x for x in arrays_and_dtypes if type(x) in (bool, int, float)]
    dtypes = [_dtype_of(x) for x in arrays_and_dtypes if type(x) not in (bool, int, float)]
    if not dtypes:
        return functools.reduce(_core._promote, (_core.asarray(x).dtype for x in numbers))
    return functools.reduce(_beside, (type(x) for x in numbers), functools.reduce(_core._promote, dtypes))


def _beside(dtype: Any, number: type) -> Any:
    """The dtype to which a tensor of ``dtype`` and a Python number of that type are promoted."""
    weaker = (dtype.kind == "b" and number is int) or (dtype.kind != "f" and number is float)
    return (_core.int64 if number is int else _core.float32) if weaker else dtype


def can_cast(from_: Any, to: Any) -> bool:
    """Whether promotion can convert one dtype to the other.

    Args:
        from_: a dtype or tensor.
        to: a dtype.

    Returns:
        A bool.

    Example:
        >>> sp.can_cast(sp.int64, sp.float32), sp.can_cast(sp.float64, sp.float32)
        (True, False)
    """
    return bool(_core._promote(_dtype_of(from_), _dtype_of(to)) == to)


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
        x: a tensor.

    Returns:
        A tensor that shares memory with ``x``.

    Example:
        >>> float(sp.grad(lambda x: x * sp.stop_gradient(x))(3.0))
        3.0
    """
    return x.detach()


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
    parts = [part for part in (prepend, x, append) if part is not None]
    y = _core.concat(parts, axis=axis) if len(parts) > 1 else x
    if n < 0:
        raise ValueError(f"diff: n must not be negative, and is {n}")
    length = y.shape[axis] if y.ndim else 0
    for _ in range(min(n, length)):  # nothing is left after that many
        last = _core.moveaxis(y, axis, -1)
        y = _core.moveaxis(last[..., 1:] - last[..., :-1], -1, axis)
    return y


def __array_namespace_info__() -> NamespaceInfo:
    """The array API's inspection of a namespace.

    Returns:
        A ``NamespaceInfo``.
    """
    return NamespaceInfo()
