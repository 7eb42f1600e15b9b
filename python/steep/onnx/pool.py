"""Pooling: windows' maxima with their positions, means and p-norms, and the same over whole planes.

A window may lie partly outside: over the border (pads) or beyond it (ceil_mode). ``_Windows`` computes the padding with
which all windows are complete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.conv import Pairs, borders, positive
from steep.onnx.table import Node, Value, ints, op, root

_MAX = {1: _core.max_pool1d, 2: _core.max_pool2d, 3: _core.max_pool3d}
_MEAN = {1: _core.avg_pool1d, 2: _core.avg_pool2d, 3: _core.avg_pool3d}


@dataclass
class _Windows:
    """Kernel, strides, the given padding, the one needed for complete windows, and the number of windows."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: Pairs
    around: Pairs
    counts: list[int]

    @property
    def bare(self) -> bool:
        return not any(b or e for b, e in self.around)


def _windows(node: Node, x: Tensor) -> _Windows:
    n = x.ndim - 2
    if n not in _MAX:
        raise ValueError(f"X {x.shape} must have 3, 4 or 5 dimensions")
    kernel = positive(node, "kernel_shape", n)
    strides, dilations = positive(node, "strides", n), positive(node, "dilations", n)
    pads = borders(node, x.shape[2:], kernel)
    around, counts = [], []
    for size, k, step, d, (before, after) in zip(x.shape[2:], kernel, strides, dilations, pads, strict=True):
        span = (k - 1) * d + 1
        room = size + before + after - span
        if min(before, after) < 0 or room < 0:
            raise ValueError(f"a window of {span} does not fit into {size} with a border of {(before, after)}")
        count = (-(-room // step) if node["ceil_mode"] else room // step) + 1
        if node["ceil_mode"] and (count - 1) * step >= size + before:
            count -= 1
        around.append((before, max(0, (count - 1) * step + span - size - before)))
        counts.append(count)
    return _Windows(kernel, strides, dilations, pads, around, counts)


def _surround(x: Tensor, w: _Windows, value: float) -> Tensor:
    return x if w.bare else _core.pad(x, ((0, 0), (0, 0), *w.around), "constant", value)


def _trim(x: Tensor, w: _Windows) -> Tensor:
    """The first ``counts`` of every spatial dimension."""
    return x[(slice(None), slice(None), *(slice(0, c) for c in w.counts))]


def _positions(node: Node, found: Tensor, x: Tensor, w: _Windows) -> Tensor:
    """Positions within a padded plane as ONNX counts them: in the whole of x, row or column first."""
    sizes = list(x.shape[2:])
    around = [s + b + e for s, (b, e) in zip(sizes, w.around, strict=True)]
    order = range(len(sizes)) if node["storage_order"] else range(len(sizes) - 1, -1, -1)
    weight, flat = dict.fromkeys(range(len(sizes)), 1), _core.zeros_like(found)
    step = 1
    for d in order:
        weight[d], step = step, step * sizes[d]
    rest = found
    for d in range(len(sizes) - 1, -1, -1):
        place = _core.remainder(rest, around[d]) - w.around[d][0]
        rest = _core.floor_divide(rest, around[d])
        flat = flat + place * weight[d]
    planes = np.arange(x.shape[0] * x.shape[1], dtype=np.int64) * step
    return flat + _core.asarray(planes.reshape(x.shape[0], x.shape[1], *[1] * len(sizes)))


def _even_border(x: Tensor, w: _Windows) -> list[int] | None:
    """The padding on both sides of each dimension that gives just these windows, if there is one."""
    for size, k, step, d, (before, _), count in zip(
        x.shape[2:], w.kernel, w.strides, w.dilations, w.around, w.counts, strict=True
    ):
        span = (k - 1) * d + 1
        if 2 * before > span or (size + 2 * before - span) // step + 1 != count:
            return None
    return [before for before, _ in w.around]


@op("MaxPool")
def max_pool(node: Node, x: Tensor) -> Value:
    """The largest element of every window, and its position."""
    w, pool = _windows(node, x), _MAX[x.ndim - 2]
    floats = x if x.dtype.kind == "f" else x.astype("float32")
    padding = _even_border(x, w)
    if padding is not None and not node.wants(1) and floats is x:
        return pool(x, w.kernel, w.strides, padding, w.dilations)
    wide = _surround(floats, w, -np.inf if floats is x else 0)
    y = _trim(pool(wide, w.kernel, w.strides, 0, w.dilations), w).astype(x.dtype)
    if not node.wants(1):
        return y
    found = _trim(_core.max_pool_indices(wide, w.kernel, w.strides, 0, w.dilations), w)
    return y, _positions(node, found.astype("int64"), x, w)


def _sums(x: Tensor, w: _Windows) -> Tensor:
    """The sum of every window, padding counting as 0."""
    wide = _surround(x, w, 0.0)
    if all(d == 1 for d in w.dilations):
        return _trim(_MEAN[len(w.kernel)](wide, w.kernel, w.strides, 0), w) * float(np.prod(w.kernel))
    total = None
    for tap in np.ndindex(*w.kernel):
        key = (
            slice(t * d, t * d + (c - 1) * s + 1, s)
            for t, d, c, s in zip(tap, w.dilations, w.counts, w.strides, strict=True)
        )
        part = wide[(slice(None), slice(None), *key)]
        total = part if total is None else total + part
    assert total is not None
    return total


def _shares(node: Node, x: Tensor, w: _Windows) -> np.ndarray:
    """The number of elements averaged in each window."""
    result = np.ones((), dtype=np.float64)
    for i, size in enumerate(x.shape[2:]):
        before, after = w.pads[i]
        low, high = (-before, size + after) if node["count_include_pad"] else (0, size)
        starts = np.arange(w.counts[i]) * w.strides[i] - before
        places = starts[:, None] + np.arange(w.kernel[i]) * w.dilations[i]
        result = np.multiply.outer(result, ((places >= low) & (places < high)).sum(1))
    return np.maximum(result, 1)


@op("AveragePool")
def average_pool(node: Node, x: Tensor) -> Tensor:
    """The mean of every window; the border counts if count_include_pad says so."""
    w = _windows(node, x)
    if w.bare and all(d == 1 for d in w.dilations):
        return _trim(_MEAN[len(w.kernel)](x, w.kernel, w.strides, 0), w)
    return _sums(x, w) / _core.asarray(_shares(node, x, w)).astype(x.dtype)


@op("LpPool")
def lp_pool(node: Node, x: Tensor) -> Tensor:
    """The p-norm of every window."""
    p = float(node["p"])
    return root(_sums(_core.pow(_core.abs(x), p), _windows(node, x)), p)


def _plane(x: Tensor) -> tuple[int, ...]:
    if x.ndim < 3:
        raise ValueError(f"X {x.shape} must have spatial dimensions")
    return tuple(range(2, x.ndim))


@op("GlobalAveragePool")
def global_average_pool(node: Node, x: Tensor) -> Tensor:
    """The mean of every plane."""
    return _core.mean(x, axis=_plane(x), keepdims=True)


@op("GlobalMaxPool")
def global_max_pool(node: Node, x: Tensor) -> Tensor:
    """The largest element of every plane."""
    return _core.max(x, axis=_plane(x), keepdims=True)


@op("GlobalLpPool")
def global_lp_pool(node: Node, x: Tensor) -> Tensor:
    """The p-norm of every plane."""
    p = float(node["p"])
    return root(_core.sum(_core.pow(_core.abs(x), p), axis=_plane(x), keepdims=True), p)


@op("MaxUnpool", host=(2,))
def max_unpool(node: Node, x: Tensor, positions: Tensor, output_shape: Value = None) -> Tensor:
    """Each element back at its position among zeros."""
    n = x.ndim - 2
    kernel, strides = positive(node, "kernel_shape", n), positive(node, "strides", n)
    pads = borders(node, x.shape[2:], kernel)
    natural = [(s - 1) * t + k - b - e for s, t, k, (b, e) in zip(x.shape[2:], strides, kernel, pads, strict=True)]
    shape = [*x.shape[:2], *natural] if output_shape is None else ints(output_shape, "output_shape")
    if len(shape) != x.ndim or any(big < small for big, small in zip(shape[2:], natural, strict=True)):
        raise ValueError(f"output_shape {shape} is smaller than what X {x.shape} came from: {natural}")
    flat = _core.reshape(_moved(positions, [*x.shape[:2], *natural], shape), (-1,))
    values = _core.scatter_add(_core.zeros((int(np.prod(shape)),), dtype=x.dtype), flat, _core.reshape(x, (-1,)))
    return _core.reshape(values, tuple(shape))


def _moved(positions: Tensor, small: list[int], big: list[int]) -> Tensor:
    """Flat positions in one shape as flat positions in a larger one."""
    if small == big:
        return positions
    step, rest, flat = 1, positions, _core.zeros_like(positions)
    for inner, outer in zip(reversed(small), reversed(big), strict=True):
        flat = flat + _core.remainder(rest, inner) * step
        rest, step = _core.floor_divide(rest, inner), step * outer
    return flat
