"""The array API's functions of values alone, whose results have no gradient: unique values and sorted search.

The results are tensors. ``info`` is what ``__array_namespace_info__`` answers with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from steep import _core
from steep._core import Tensor

_STRETCH = 1 << 18  # elements of one call of NumPy, which cannot be interrupted


class UniqueAll(NamedTuple):
    """Unique values, where each first occurs, which of them each element is, and how often each occurs."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Unique values and how often each occurs."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Unique values, and which of them each element is."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor) -> UniqueAll:
    """Sorted unique values of x with indices, inverse (in x's shape) and counts, int64; every NaN is its own value."""
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
    """Sorted unique values of x, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor) -> UniqueInverse:
    """Sorted unique values of x, and for each element of x the number of its value."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor) -> Tensor:
    """Sorted unique values of x."""
    return unique_all(x).values


def searchsorted(x1: Tensor, x2: Tensor, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where each element of x2 would go into the sorted vector x1 to keep it sorted, int64.

    ``side``: before ("left") or after ("right") equal elements. ``sorter``: indices that sort x1.
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
    """Where ``|a - b| <= atol + rtol * |b|``, bool; infinities are close to themselves, NaN to NaN if asked.

    ``a`` and ``b`` broadcast; ints and bools are compared as float64.

    >>> sp.isclose(sp.tensor([1.0, 2.0]), [1.0, 2.1])
    tensor([ True, False], dtype=bool)
    """
    with _core.no_grad():
        x, y = (_core.asarray(v, dtype=_core.float64) for v in (a, b))
        near = _core.abs(x - y) <= atol + rtol * _core.abs(y)
        close = _core.logical_or(_core.logical_and(near, _core.isfinite(y)), x == y)
        return _core.logical_or(close, _core.logical_and(_core.isnan(x), _core.isnan(y))) if equal_nan else close


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether ``isclose`` holds everywhere, a Python bool."""
    return bool(_core.all(isclose(a, b, rtol, atol, equal_nan)))


def array_equal(a1: Tensor, a2: Tensor, equal_nan: bool = False) -> bool:
    """Whether two tensors have one shape and the same elements, a Python bool."""
    x, y = _core.asarray(a1).detach(), _core.asarray(a2).detach()
    if x.shape != y.shape:
        return False
    same = x == y
    return bool(
        _core.all(_core.logical_or(same, _core.logical_and(_core.isnan(x), _core.isnan(y))) if equal_nan else same)
    )


def isin(x1: Tensor, x2: Tensor, invert: bool = False) -> Tensor:
    """Whether each element of x1 is among those of x2, bool, in x1's shape; ``invert``: whether it is not.

    Both meet in their common dtype; a Python number takes the other's. NaN is in nothing.

    >>> sp.isin(sp.tensor([1, 2, 3]), [3, 1])
    tensor([ True, False,  True], dtype=bool)
    """
    from steep.namespace import result_type

    dtype = result_type(*(v if isinstance(v, bool | int | float) else _core.asarray(v) for v in (x1, x2)))
    values, among = (_core.asarray(v, dtype=dtype).detach() for v in (x1, x2))
    if dtype == _core.bfloat16:
        values, among = values.astype(_core.float32), among.astype(_core.float32)
    return _core.tensor(np.isin(values.numpy(), among.numpy(), invert=invert))


class NamespaceInfo:
    """What the array API asks of a namespace about itself."""

    def capabilities(self) -> dict[str, Any]:
        """Masks may be indices; shapes may depend on values; tensors have at most 8 axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 8}

    def default_device(self) -> str:
        """The one device."""
        return "cpu"

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, Any]:
        """What is made where no dtype is said."""
        return {"real floating": _core.float32, "integral": _core.int64, "indexing": _core.int64}

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, Any]:
        """All dtypes, or those of a kind, by name."""
        from steep.namespace import isdtype

        names = ("bool", "uint8", "int32", "int64", "float32", "float64")
        found = {name: getattr(_core, name) for name in names}
        return found if kind is None else {n: t for n, t in found.items() if isdtype(t, kind)}
