"""The array API's names that are not ops of their own: aliases, dtype inspection, constants and small helpers.

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
    """Limits of a float dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


class iinfo_object(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: Any


def _dtype_of(x: Any) -> Any:
    """The dtype of a tensor or an array, or the one that x names."""
    return x if isinstance(x, _core.dtype) else _core.dtype(getattr(x, "dtype", x))


def finfo(type: Any) -> finfo_object:
    """Limits of a float dtype, or of a tensor's. Raises ValueError for a dtype that is no float."""
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
    """Limits of an integer dtype, or of a tensor's. Raises ValueError for a dtype that is no integer."""
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise ValueError(f"iinfo: {dtype} is no integer dtype; finfo() has the limits of floats")
    info = np.iinfo(dtype.name)
    return iinfo_object(info.bits, int(info.max), int(info.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: a dtype, one of the array API's names of kinds, or a tuple of these."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(f"isdtype: no kind named {kind!r}; there are {sorted(_KINDS)}")
        return dtype.name in _KINDS[kind]
    return bool(dtype == kind)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype that operands meet in: tensors, arrays, dtypes and Python numbers, which count as the weakest of their
    kind. Raises ValueError without any, TypeError for what has no dtype.

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
    """What a tensor of ``dtype`` and a Python number of that type meet in."""
    weaker = (dtype.kind == "b" and number is int) or (dtype.kind != "f" and number is float)
    return (_core.int64 if number is int else _core.float32) if weaker else dtype


def can_cast(from_: Any, to: Any) -> bool:
    """Whether promotion can take one dtype to the other."""
    return bool(_core._promote(_dtype_of(from_), _dtype_of(to)) == to)


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """All of them in their common shape."""
    shape = broadcast_shapes(*(_core.asarray(x).shape for x in arrays))
    return [_core.broadcast_to(x, shape) for x in arrays]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that shapes broadcast to. Raises ValueError if they do not."""
    return tuple(int(n) for n in np.broadcast_shapes(*shapes))


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids of 1-d tensors, in "xy" or "ij" order."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    n = len(arrays)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[0], order[1] = 1, 0
    columns = [_core.reshape(x, tuple(-1 if d == order[i] else 1 for d in range(n))) for i, x in enumerate(arrays)]
    return broadcast_arrays(*columns)


def stop_gradient(x: Tensor) -> Tensor:
    """x as a constant: the same values, no gradient."""
    return x.detach()


def positive(x: Tensor) -> Tensor:
    """x itself, as a tensor."""
    return _core.asarray(x)


def conj(x: Tensor) -> Tensor:
    """The complex conjugate: x itself, since steep's numbers are real."""
    return _core.asarray(x)


def real(x: Tensor) -> Tensor:
    """The real part: x itself."""
    return _core.asarray(x)


def imag(x: Tensor) -> Tensor:
    """The imaginary part: zeros."""
    return _core.zeros_like(x)


def _cumulative(op: Any, x: Tensor, axis: int | None, dtype: Any, include_initial: bool) -> Tensor:
    values = _core.asarray(x)
    if axis is None and values.ndim != 1:
        raise ValueError(f"{op.__name__}: a tensor of {values.ndim} axes needs axis=; cumsum and cumprod take the last")
    along = -1 if axis is None else axis
    result: Tensor = op(values, along, dtype=dtype, include_initial=include_initial)
    return result


def cumulative_sum(x: Tensor, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Running sum along an axis, which only a vector may leave out. ``include_initial`` puts a 0 first.

    Integers and bools are added up in int64, or in ``dtype``. Raises ValueError where the axis is missing.
    """
    return _cumulative(_core.cumsum, x, axis, dtype, include_initial)


def cumulative_prod(x: Tensor, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Running product along an axis, which only a vector may leave out. ``include_initial`` puts a 1 first."""
    return _cumulative(_core.cumprod, x, axis, dtype, include_initial)


def diff(x: Tensor, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """Differences of neighbours along an axis, n times over, after joining ``prepend`` and ``append`` on."""
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
    """What the array API asks of a namespace about itself."""
    return NamespaceInfo()
