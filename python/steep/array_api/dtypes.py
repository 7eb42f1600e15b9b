"""The array API's inspection of dtypes: limits, kinds, and what meets what."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from steep import _core

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
        return _core.dtype(dtype).name in _KINDS[kind]
    return bool(_core.dtype(dtype) == kind)


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
