"""Sequences of tensors: Python tuples, which are never recorded and whose positions must be known on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep.onnx.table import Node, Value, axis_of, ints, number, op

Items = tuple[Value, ...]


@op("SequenceEmpty")
def empty(node: Node) -> tuple[Items]:
    """A sequence of nothing."""
    return ((),)


@op("SequenceConstruct")
def construct(node: Node, *inputs: Value) -> tuple[Items]:
    """A sequence of the inputs."""
    return (inputs,)


@op("SequenceAt", sequences=True, host=(1,))
def at(node: Node, items: Items, position: Value) -> Value:
    """An item; negative positions count from the end."""
    return items[_position(position, len(items), 0)]


@op("SequenceInsert", sequences=True, host=(2,))
def insert(node: Node, items: Items, new: Value, position: Value = None) -> tuple[Items]:
    """A sequence with one more item, at the end or before a position."""
    i = len(items) if position is None else _position(position, len(items), 1)
    return ((*items[:i], new, *items[i:]),)


@op("SequenceErase", sequences=True, host=(1,))
def erase(node: Node, items: Items, position: Value = None) -> tuple[Items]:
    """A sequence without the last item, or without another."""
    i = _position(-1 if position is None else position, len(items), 0)
    return ((*items[:i], *items[i + 1 :]),)


@op("SequenceLength", sequences=True)
def length(node: Node, items: Items) -> Value:
    """The number of items."""
    return np.asarray(len(items), np.int64)


@op("ConcatFromSequence", sequences=True)
def joined(node: Node, items: Items) -> Value:
    """The items along an axis that they have, or along a new one."""
    tensors: list[Any] = [_core.asarray(item) for item in items]
    if node["new_axis"]:
        return _core.stack(tensors, axis=node["axis"])
    return _core.concat(tensors, axis=node["axis"])


@op("SplitToSequence", host=(1,))
def split(node: Node, x: Any, sizes: Value = None) -> tuple[Items]:
    """Parts along an axis: of given sizes, all of one size but the last, or single items with or without the axis."""
    axis = axis_of(node["axis"], x.ndim)
    n = x.shape[axis]
    if sizes is None or np.ndim(sizes) == 0:
        step = 1 if sizes is None else int(number(sizes))
        if step < 1:
            raise ValueError(f"parts of {step} items")
        counts = [min(step, n - i) for i in range(0, n, step)]
    else:
        counts = ints(sizes)
    if sum(counts) != n or min(counts, default=0) < 0:
        raise ValueError(f"parts of {counts} are not the {n} items of axis {axis}")
    ends = np.cumsum(counts).tolist()
    parts = [x[(*[slice(None)] * axis, slice(b - c, b))] for c, b in zip(counts, ends, strict=True)]
    if sizes is None and not node["keepdims"]:
        parts = [_core.squeeze(part, axis) for part in parts]
    return (tuple(parts),)


def _position(value: Value, count: int, more: int) -> int:
    i = int(number(value))
    if not -count <= i < count + more:
        raise IndexError(f"position {i} of a sequence of {count}")
    return i + count if i < 0 else i
