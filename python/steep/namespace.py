"""The array API's names that are not ops of their own: aliases, dtype inspection, constants and small helpers.

With the ops of the core they make ``steep`` an array API namespace for bool, int32, int64, float32 and float64.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.values import (
    NamespaceInfo,
    searchsorted,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)

__all__ = [
    "__array_namespace_info__", "broadcast_arrays", "broadcast_shapes", "can_cast", "cumulative_prod", "cumulative_sum",
    "diff", "e", "finfo", "iinfo", "inf", "isdtype", "meshgrid", "nan", "newaxis", "pi", "positive", "result_type",
    "searchsorted", "stop_gradient", "unique_all", "unique_counts", "unique_inverse", "unique_values",
]  # fmt: skip

e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None
cumulative_sum, cumulative_prod = _core.cumsum, _core.cumprod

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
    return x.dtype if isinstance(x, Tensor) else x


def finfo(type: Any) -> finfo_object:
    """Limits of a float dtype, or of a tensor's."""
    if _dtype_of(type) == _core.bfloat16:
        return finfo_object(16, 2.0**-7, 2.0**128 - 2.0**120, 2.0**120 - 2.0**128, 2.0**-126, _core.bfloat16)
    info = np.finfo(_dtype_of(type).name)
    return finfo_object(
        info.bits, float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), _dtype_of(type)
    )


def iinfo(type: Any) -> iinfo_object:
    """Limits of an integer dtype, or of a tensor's."""
    info = np.iinfo(_dtype_of(type).name)
    return iinfo_object(info.bits, int(info.max), int(info.min), _dtype_of(type))


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
    """The dtype that these meet in; Python scalars count as the weakest of their kind."""
    dtypes = [_dtype_of(x) for x in arrays_and_dtypes if not isinstance(x, bool | int | float)]
    result = dtypes[0]
    for other in dtypes[1:]:
        result = _core._promote(result, other)
    return result


def can_cast(from_: Any, to: Any) -> bool:
    """Whether promotion can take one dtype to the other."""
    return bool(_core._promote(_dtype_of(from_), to) == to)


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
