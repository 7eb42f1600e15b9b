"""Operators that gather or scatter elements by index, or whose shapes depend on data: Gather to TopK.

Scattering works on flattened tensors (``_put``). Those whose result's shape depends on values (NonZero, Compress,
Unique) and scattering by maximum, minimum or product read their indices on the host, so they cannot be recorded by
``steep.compile`` unless the indices are constants.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, axis_of, ints, number, op

COUNTS = "none: the result is integers"


@op("Gather")
def gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Entries by index along an axis."""
    return _core.take(x, indices, axis_of(node["axis"], x.ndim))


def _checked(indices: Tensor, size: int) -> Tensor:
    """Indices counted from the front, as int64."""
    wide = indices.astype("int64")
    return _core.where(_core.less(wide, 0), wide + size, wide)


@op("GatherElements")
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """An element for each of ``indices``, along an axis."""
    axis = axis_of(node["axis"], x.ndim)
    key = tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(indices.shape))
    return _core.take_along_axis(x[key], indices, axis)


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _flat_nd(indices: Tensor, shape: tuple[int, ...], batch: int) -> tuple[Tensor, int]:
    """Indices of the slices that index tuples denote, in x flattened to (slices, rest); and the size of a slice."""
    depth = indices.shape[-1]
    if batch + depth > len(shape) or indices.shape[:batch] != shape[:batch]:
        raise ValueError(f"indices {indices.shape} do not fit data {shape} with {batch} batch dimensions")
    lead = shape[: batch + depth]
    steps = _strides(lead)
    flat: Any = _core.zeros(indices.shape[:-1], dtype="int64")
    for i in range(depth):
        place = _checked(indices[..., i], shape[batch + i])
        flat = flat + _in_range(place, shape[batch + i]) * steps[batch + i]
    for i in range(batch):
        along = np.arange(shape[i]).reshape([-1 if d == i else 1 for d in range(indices.ndim - 1)])
        flat = flat + _core.asarray(along * steps[i])
    return flat, math.prod(shape[batch + depth :])


def _in_range(place: Tensor, size: int) -> Tensor:
    """The same; indices out of range are moved so far out that reading raises IndexError."""
    bad = _core.logical_or(_core.less(place, 0), _core.greater_equal(place, size))
    return _core.where(bad, _core.full((), 2**33, dtype="int64"), place)


@op("GatherND")
def gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Slices by index tuples."""
    batch = node["batch_dims"] or 0
    flat, size = _flat_nd(indices, x.shape, batch)
    rows = _core.reshape(x, (-1, size) if x.size else (0, size))
    found = _core.take(rows, _core.reshape(flat, (-1,)), 0)
    return _core.reshape(found, (*indices.shape[:-1], *x.shape[batch + indices.shape[-1] :]))


def to_host(x: Value, what: str) -> np.ndarray:
    """The values of a tensor. Raises CompileError while recording, for a recording cannot depend on values."""
    if isinstance(x, np.ndarray):
        return x
    if _core._is_recording():
        raise _core.CompileError(f"{what} is needed on the host, and a compiled program cannot depend on its values")
    values: np.ndarray = x.detach().numpy()
    return values


def _put(x: Tensor, flat: Tensor, updates: Tensor, way: str) -> Tensor:
    """x (n, m) with rows of updates (k, m) combined into the rows with indices ``flat`` (k,)."""
    if way == "add":
        return _core.scatter_add(x, flat, updates, 0) if x.ndim == 1 else _added(x, flat, updates)
    if way == "none":
        kept = _core.equal(_added(_core.zeros(x.shape[:1], dtype="int64"), flat, _core.ones(flat.shape, "int64")), 0)
        shape = (-1, *[1] * (x.ndim - 1))
        clear = _core.where(_core.reshape(kept, shape), x, _core.zeros((), dtype=x.dtype))
        return _added(clear, flat, updates)
    combine = {"mul": _core.multiply, "max": _core.maximum, "min": _core.minimum}.get(way)
    if combine is None:
        raise ValueError(f"reduction is none, add, mul, max or min, got {way!r}")
    places = to_host(flat, f"indices of a scatter with reduction {way}")
    for chosen in _rounds(places):
        where = _core.asarray(places[chosen])
        joined = combine(_core.take(x, where, 0), _core.take(updates, _core.asarray(chosen), 0))
        x = _put(x, where, joined, "none")
    return x


def _added(x: Tensor, flat: Tensor, updates: Tensor) -> Tensor:
    if x.ndim == 1:
        return _core.scatter_add(x, flat, updates, 0)
    return _core.scatter_add(x, _core.broadcast_to(_core.expand_dims(flat, 1), updates.shape), updates, 0)


def _rounds(places: np.ndarray) -> list[np.ndarray]:
    """The updates divided into rounds in which no index occurs twice."""
    seen: dict[int, int] = {}
    rounds: list[list[int]] = []
    for i, place in enumerate(places.tolist()):
        turn = seen.get(place, 0)
        seen[place] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(i)
    return [np.asarray(r, dtype=np.int64) for r in rounds]


@op("Scatter", "ScatterElements")
def scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """x with ``updates`` at, or combined into, the indexed positions along an axis."""
    return _scattered(x, indices, updates, axis_of(node["axis"], x.ndim), node["reduction"] or "none")


def _scattered(x: Tensor, indices: Tensor, updates: Tensor, axis: int, way: str) -> Tensor:
    place = _in_range(_checked(indices, x.shape[axis]), x.shape[axis])
    steps = _strides(x.shape)
    flat: Any = place * steps[axis]
    for i, n in enumerate(indices.shape):
        if i != axis:
            flat = flat + _core.asarray((np.arange(n) * steps[i]).reshape([-1 if d == i else 1 for d in range(x.ndim)]))
    pressed = _core.reshape(_core.broadcast_to(flat, indices.shape), (-1,))
    y = _put(_core.reshape(x, (-1,)), pressed, _core.reshape(updates, (-1,)), way)
    return _core.reshape(y, x.shape)


@op("ScatterND")
def scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """x with slices of ``updates`` at, or combined into, the positions of index tuples."""
    flat, size = _flat_nd(indices, x.shape, 0)
    rows = _core.reshape(x, (x.size // max(1, size), size))
    pressed = _core.reshape(flat, (-1,))
    y = _put(rows, pressed, _core.reshape(updates, (pressed.size, size)), node["reduction"] or "none")
    return _core.reshape(y, x.shape)


@op("TensorScatter")
def tensor_scatter(node: Node, past: Tensor, update: Tensor, starts: Tensor | None = None) -> Tensor:
    """A cache with new entries written from a start position, for each example."""
    axis = axis_of(-2 if node["axis"] is None else node["axis"], past.ndim)
    wide = np.arange(update.shape[axis]).reshape([-1 if d == axis else 1 for d in range(past.ndim)])
    place: Any = _core.asarray(wide)
    if starts is not None:
        place = place + _core.reshape(starts.astype("int64"), (-1, *[1] * (past.ndim - 1)))
    if node["mode"] == "circular":
        place = _core.remainder(place, past.shape[axis])
    indices = _core.broadcast_to(place, update.shape)
    return _scattered(past, indices, update, axis, "none")


@op("OneHot", host=(1,))
def one_hot(node: Node, indices: Tensor, depth: Value, values: Tensor) -> Tensor:
    """values[1] at each index along a new axis, values[0] elsewhere, also for an index out of range."""
    count = int(number(depth))
    axis = axis_of(node["axis"], indices.ndim + 1)
    place = _core.expand_dims(indices, axis)
    place = _core.where(_core.less(place, 0), place + count, place)
    along = np.arange(count).reshape([-1 if d == axis else 1 for d in range(indices.ndim + 1)])
    hit = _core.equal(place, _core.asarray(along).astype(place.dtype))
    return _core.where(hit, values[1], values[0])


@op("TopK", until=9)
def top_k_attribute(node: Node, x: Tensor) -> Value:
    """The k largest along an axis, k an attribute."""
    return _top(x, node["k"], axis_of(node["axis"], x.ndim), True)


@op("TopK", since=10, host=(1,))
def top_k(node: Node, x: Tensor, k: Value) -> Value:
    """The k largest or smallest along an axis, and their positions."""
    return _top(x, int(number(k)), axis_of(node["axis"], x.ndim), node["largest"] is None or bool(node["largest"]))


def _top(x: Tensor, k: int, axis: int, largest: bool) -> Value:
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"k is {k}, axis {axis} has {x.shape[axis]} elements")
    values, places = _core.topk(x, k, axis, largest)
    return values, places


@op("NonZero", gradient=COUNTS)
def non_zero(node: Node, x: Tensor) -> Tensor:
    """The positions of what is not zero, one row an axis."""
    return _core.asarray(np.asarray(np.nonzero(to_host(x, "the input of NonZero")), dtype=np.int64))


@op("Compress")
def compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    """Entries along an axis, or of the flattened tensor, where the condition holds."""
    chosen = np.flatnonzero(to_host(condition, "the condition of Compress"))
    if node["axis"] is None:
        return _core.take(_core.reshape(x, (-1,)), _core.asarray(chosen), 0)
    return _core.take(x, _core.asarray(chosen), axis_of(node["axis"], x.ndim))


@op("Unique", gradient=COUNTS)
def unique(node: Node, x: Tensor) -> Value:
    """Unique values, first indices, inverse indices, and counts."""
    data, axis = to_host(x, "the input of Unique"), node["axis"]
    axis = None if axis is None else axis_of(axis, x.ndim)
    values, first, inverse, counts = np.unique(data, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not node["sorted"]:
        order = np.argsort(first)
        rank = np.argsort(order)
        values, first, counts, inverse = np.take(values, order, axis or 0), first[order], counts[order], rank[inverse]
    found = (values, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64))
    tensors = [_core.tensor(np.ascontiguousarray(v)) for v in found]
    return (tensors[0].astype(x.dtype), *tensors[1:])[: len(node.outputs)]


@op("ReverseSequence", host=(1,))
def reverse_sequence(node: Node, x: Tensor, lengths: Value) -> Tensor:
    """The first entries of each example in reverse."""
    time, batch = node["time_axis"], node["batch_axis"]
    sizes = ints(lengths, "sequence_lens")
    steps = np.arange(x.shape[time])
    place = np.stack([np.where(steps < n, n - 1 - steps, steps) for n in sizes])
    shape = [1] * x.ndim
    shape[batch], shape[time] = len(sizes), len(steps)
    ordered = place if batch < time else place.T
    return _core.take_along_axis(x, _core.broadcast_to(_core.asarray(ordered.reshape(shape)), x.shape), time)
