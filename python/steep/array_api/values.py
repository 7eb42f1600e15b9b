"""The array API's functions of values alone, whose results have no gradient: unique values and sorted search.

The results are tensors. ``NamespaceInfo`` is what ``__array_namespace_info__`` returns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.array_api.dtypes import isdtype, result_type

_STRETCH = 1 << 18  # elements per call of NumPy, which cannot be interrupted


class UniqueAll(NamedTuple):
    """Unique values, the index of the first occurrence of each, the index of each element's value, and counts."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Unique values, and counts."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Unique values, and the index of each element's value."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor) -> UniqueAll:
    """Sorted unique values with indices, inverse indices and counts; every NaN is a separate value.

    Args:
        x: a tensor.

    Returns:
        A ``UniqueAll``; indices and counts are int64, inverse indices have the shape of ``x``.

    Example:
        >>> sp.unique_all(sp.tensor([3, 1, 3])).counts.tolist()
        [1, 2]
    """
    x = _core.asarray(x).detach()
    flat, some = x.reshape((-1,)), (min(1, x.size),)
    order = _core.argsort(flat)
    ordered = flat[order]
    starts = _core.nonzero(_core.concat([_core.ones(some, dtype="bool"), ordered[1:] != ordered[:-1]]))[0]
    counts = _core.concat([starts[1:], _core.full(some, flat.size, dtype="int64")]) - starts
    which = _core.repeat(_core.arange(starts.size), counts)
    inverse = _core.scatter_add(_core.zeros(flat.shape, dtype="int64"), order, which)
    return UniqueAll(ordered[starts], order[starts], inverse.reshape(x.shape), counts)


def unique_counts(x: Tensor) -> UniqueCounts:
    """Sorted unique values, and how often each occurs.

    Args:
        x: a tensor.

    Returns:
        A ``UniqueCounts``.

    Example:
        >>> sp.unique_counts(sp.tensor([3, 1, 3])).values.tolist()
        [1, 3]
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor) -> UniqueInverse:
    """Sorted unique values, and the index of each element's value.

    Args:
        x: a tensor.

    Returns:
        A ``UniqueInverse``.

    Example:
        >>> sp.unique_inverse(sp.tensor([3, 1, 3])).inverse_indices.tolist()
        [1, 0, 1]
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor) -> Tensor:
    """Sorted unique values.

    Args:
        x: a tensor.

    Returns:
        A tensor.

    Example:
        >>> sp.unique_values(sp.tensor([3, 1, 3])).tolist()
        [1, 3]
    """
    return unique_all(x).values


def searchsorted(x1: Tensor, x2: Tensor, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """The indices at which elements would be inserted into a sorted vector to keep it sorted.

    Args:
        x1: the sorted vector.
        x2: the elements.
        side: "left" (before equal elements) or "right" (after them).
        sorter: indices that sort x1, or None.

    Returns:
        An int64 tensor of the shape of x2.

    Raises:
        ValueError: for another side.

    Example:
        >>> sp.searchsorted(sp.tensor([1.0, 2.0, 3.0]), sp.tensor([2.5])).tolist()
        [2]
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    order = None if sorter is None else _core.asarray(sorter).numpy()
    ordered, wanted = (_core.asarray(v).detach().numpy() for v in (x1, x2))
    found = np.empty(wanted.size, dtype=np.int64)
    for i in range(0, wanted.size, _STRETCH):  # between calls, Ctrl-C can interrupt
        part = wanted.reshape(-1)[i : i + _STRETCH]
        found[i : i + _STRETCH] = np.searchsorted(ordered, part, side=side, sorter=order)  # type: ignore[call-overload]
    return _core.tensor(found.reshape(wanted.shape))


def isclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where ``|a - b| <= atol + rtol * |b|``; infinities are close to themselves.

    Args:
        a: a tensor or array.
        b: a tensor or array that broadcasts against it; integers and bools are compared as float64.
        rtol: relative tolerance.
        atol: absolute tolerance.
        equal_nan: whether NaN is close to NaN.

    Returns:
        A bool tensor.

    Example:
        >>> sp.isclose(sp.tensor([1.0, 2.0]), [1.0, 2.1])
        tensor([ True, False], dtype=bool)
    """
    with _core.no_grad():
        x, y = (_core.asarray(v, dtype=_core.float64) for v in (a, b))
        near = _core.abs(x - y) <= atol + rtol * _core.abs(y)
        close = _core.logical_or(_core.logical_and(near, _core.isfinite(y)), x == y)
        return _core.logical_or(close, _core.logical_and(_core.isnan(x), _core.isnan(y))) if equal_nan else close


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether ``isclose`` holds for all elements.

    Args:
        a: a tensor or array.
        b: a tensor or array that broadcasts against it.
        rtol: relative tolerance.
        atol: absolute tolerance.
        equal_nan: whether NaN is close to NaN.

    Returns:
        A Python bool.

    Example:
        >>> sp.allclose(sp.tensor([1.0, 2.0]), [1.0, 2.0])
        True
    """
    return bool(_core.all(isclose(a, b, rtol, atol, equal_nan)))


def array_equal(a1: Tensor, a2: Tensor, equal_nan: bool = False) -> bool:
    """Whether two tensors have the same shape and elements.

    Args:
        a1: a tensor or array.
        a2: a tensor or array.
        equal_nan: whether NaN equals NaN.

    Returns:
        A Python bool.

    Example:
        >>> sp.array_equal(sp.tensor([1, 2]), [1, 2])
        True
    """
    x, y = _core.asarray(a1).detach(), _core.asarray(a2).detach()
    if x.shape != y.shape:
        return False
    same = x == y
    return bool(
        _core.all(_core.logical_or(same, _core.logical_and(_core.isnan(x), _core.isnan(y))) if equal_nan else same)
    )


def isin(x1: Tensor, x2: Tensor, invert: bool = False) -> Tensor:
    """Whether each element of x1 is an element of x2; both are promoted to a common dtype. NaN is in nothing.

    Args:
        x1: a tensor or number.
        x2: a tensor, sequence or number.
        invert: whether to negate the result.

    Returns:
        A bool tensor of the shape of x1.

    Example:
        >>> sp.isin(sp.tensor([1, 2, 3]), [3, 1])
        tensor([ True, False,  True], dtype=bool)
    """
    dtype = result_type(*(v if isinstance(v, bool | int | float) else _core.asarray(v) for v in (x1, x2)))
    values, among = (_core.asarray(v, dtype=dtype).detach() for v in (x1, x2))
    if dtype == _core.bfloat16:
        values, among = values.astype(_core.float32), among.astype(_core.float32)
    return _core.tensor(np.isin(values.numpy(), among.numpy(), invert=invert))


class NamespaceInfo:
    """The array API's inspection of a namespace."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and data-dependent shapes are supported; tensors have at most 8 dimensions.

        Returns:
            A dict.
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 8}

    def default_device(self) -> str:
        """The only device, "cpu"."""
        return "cpu"

    def devices(self) -> list[str]:
        """All devices: ["cpu"]."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, Any]:
        """The default dtypes.

        Args:
            device: "cpu" or None.

        Returns:
            A dict by kind.
        """
        return {"real floating": _core.float32, "integral": _core.int64, "indexing": _core.int64}

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, Any]:
        """All dtypes, or those of a kind.

        Args:
            device: "cpu" or None.
            kind: a kind as in ``isdtype``, or None.

        Returns:
            A dict by name.
        """
        names = ("bool", "uint8", "int32", "int64", "float32", "float64")
        found = {name: getattr(_core, name) for name in names}
        return found if kind is None else {n: t for n, t in found.items() if isdtype(t, kind)}
