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
    flat = x.detach().reshape((-1,))
    order = _core.argsort(flat)
    ordered = flat[order]
    starts = _core.nonzero(_core.concat([_core.ones((min(1, flat.size),), dtype="bool"), ordered[1:] != ordered[:-1]]))[
        0
    ]
    ends = _core.concat([starts[1:], _core.full((min(1, flat.size),), flat.size, dtype="int64")])
    counts = ends - starts
    inverse = _core.scatter_add(
        _core.zeros((flat.size,), dtype="int64"), order, _core.repeat(_core.arange(starts.size), counts)
    )
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
    order = None if sorter is None else sorter.numpy()
    ordered, wanted = x1.detach().numpy(), x2.detach().numpy()
    found = np.empty(wanted.size, dtype=np.int64)
    for i in range(0, wanted.size, _STRETCH):  # Ctrl-C can come in between
        part = wanted.reshape(-1)[i : i + _STRETCH]
        found[i : i + _STRETCH] = np.searchsorted(ordered, part, side=side, sorter=order)  # type: ignore[call-overload]
    return _core.tensor(found.reshape(wanted.shape))


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
