"""Operators that rearrange elements without changing them, and those that compute or read shapes.

Sizes, axes and positions arrive as host arrays, so the core's views get Python ints. ``Shape`` and ``Size`` return host
arrays: what is computed from them needs no tensor and does not interrupt a recording.
"""

from __future__ import annotations

import math

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, axis_of, dtype_of, ints, number, op


@op("Shape", gradient="none: sizes are integers")
def shape(node: Node, x: Tensor) -> np.ndarray:
    """The sizes of x from start to end."""
    return np.asarray(x.shape[node["start"] or 0 : node["end"]], dtype=np.int64)


@op("Size", gradient="none: sizes are integers")
def size(node: Node, x: Tensor) -> np.ndarray:
    """The number of elements."""
    return np.asarray(x.size, dtype=np.int64)


@op("Reshape", host=(1,))
def reshape(node: Node, x: Tensor, to: Value) -> Tensor:
    """x in another shape: 0 copies a size (unless allowzero), -1 is inferred."""
    wanted = ints(to, "shape")
    if not node["allowzero"]:
        if any(n == 0 and i >= x.ndim for i, n in enumerate(wanted)):
            raise ValueError(f"shape {wanted} copies a size that x of shape {x.shape} does not have")
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in wanted:
        known = math.prod(n for n in wanted if n != -1)
        if wanted.count(-1) > 1 or known == 0 or x.size % known:
            raise ValueError(f"x of shape {x.shape} cannot become {wanted}")
        wanted[wanted.index(-1)] = x.size // known
    return _core.reshape(x, tuple(wanted))


@op("Flatten")
def flatten(node: Node, x: Tensor) -> Tensor:
    """A matrix: the axes before ``axis`` and those from it on."""
    axis = node["axis"]
    if not -x.ndim <= axis <= x.ndim:
        raise ValueError(f"axis {axis} is out of range for {x.ndim} dimensions")
    axis = axis + x.ndim if axis < 0 else axis
    return _core.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@op("Transpose")
def transpose(node: Node, x: Tensor) -> Tensor:
    """The axes in another order, reversed if none is given."""
    return _core.permute_dims(x, tuple(node["perm"] or reversed(range(x.ndim))))


@op("Squeeze", host=(1,))
def squeeze(node: Node, x: Tensor, axes: Value = None) -> Tensor:
    """Without axes of size 1."""
    chosen = node["axes"] if axes is None else ints(axes, "axes")
    if chosen is None:
        return _core.reshape(x, tuple(n for n in x.shape if n != 1))
    dropped = {axis_of(a, x.ndim) for a in chosen}
    if any(x.shape[a] != 1 for a in dropped):
        raise ValueError(f"axes {sorted(dropped)} of shape {x.shape} are not all of size 1")
    return _core.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in dropped))


@op("Unsqueeze", host=(1,))
def unsqueeze(node: Node, x: Tensor, axes: Value = None) -> Tensor:
    """With axes of size 1 inserted, counted in the result."""
    chosen = node["axes"] if axes is None else ints(axes, "axes")
    ndim = x.ndim + len(chosen)
    new = {axis_of(a, ndim) for a in chosen}
    if len(new) != len(chosen):
        raise ValueError(f"axes {list(chosen)} name an axis twice")
    old = iter(x.shape)
    return _core.reshape(x, tuple(1 if i in new else next(old) for i in range(ndim)))


@op("Concat")
def concat(node: Node, *parts: Tensor) -> Tensor:
    """Joined along an axis."""
    return _core.concat(list(parts), axis_of(node["axis"], parts[0].ndim))


@op("Split", host=(1,))
def split(node: Node, x: Tensor, sizes: Value = None) -> tuple[Tensor, ...]:
    """Split along an axis into parts of given sizes, or equal ones, the last possibly smaller."""
    axis = axis_of(node["axis"] or 0, x.ndim)
    n, count = x.shape[axis], len(node.outputs)
    parts = node["split"] if sizes is None else ints(sizes, "split")
    if parts is None:
        count = node["num_outputs"] or count
        each = -(-n // count)
        parts = [max(0, min(each, n - i * each)) for i in range(count)]
    if sum(parts) != n or len(parts) != len(node.outputs) or min(parts) < 0:
        raise ValueError(f"parts {list(parts)} do not make up axis {axis} of {x.shape} in {len(node.outputs)} outputs")
    ends = np.cumsum(parts)
    first = (slice(None),) * axis
    return tuple(x[(*first, slice(int(e) - p, int(e)))] for e, p in zip(ends, parts, strict=True))


def _slices(x: Tensor, starts: list[int], ends: list[int], axes: list[int] | None, steps: list[int] | None) -> Tensor:
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError(f"starts {starts}, ends {ends}, axes {axes} and steps {steps} differ in length")
    key = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        n = x.shape[axis_of(axis, x.ndim)]
        if step == 0:
            raise ValueError("a step is 0")
        low = -1 if step < 0 else 0
        start = min(max(start + n if start < 0 else start, 0), n + low)
        end = min(max(end + n if end < 0 else end, low), n)
        key[axis] = slice(start, None if end < 0 else end, step)
    return x[tuple(key)]


@op("Slice", until=9)
def slice_attributes(node: Node, x: Tensor) -> Tensor:
    """Ranges of axes, given as attributes."""
    return _slices(x, node["starts"], node["ends"], node["axes"], None)


@op("Slice", since=10, host=(1, 2, 3, 4))
def slice_inputs(node: Node, x: Tensor, starts: Value, ends: Value, axes: Value = None, steps: Value = None) -> Tensor:
    """Ranges of axes, given as inputs."""
    return _slices(
        x, ints(starts), ints(ends), None if axes is None else ints(axes), None if steps is None else ints(steps)
    )


@op("Expand", host=(1,), sized=True)
def expand(node: Node, x: Tensor, to: Value) -> Tensor:
    """Broadcast with a shape, in both directions."""
    return _core.broadcast_to(x, tuple(int(n) for n in np.broadcast_shapes(x.shape, tuple(ints(to, "shape")))))


@op("Tile", host=(1,), sized=True)
def tile(node: Node, x: Tensor, repeats: Value) -> Tensor:
    """Repeated along every axis."""
    times = ints(repeats, "repeats")
    if len(times) != x.ndim or any(t < 0 for t in times):
        raise ValueError(f"repeats {times} do not fit x of shape {x.shape}")
    return _core.tile(x, tuple(times))


def _pad(node: Node, x: Tensor, pads: list[int], value: float, axes: list[int] | None) -> Tensor:
    chosen = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in axes]
    if len(pads) != 2 * len(chosen):
        raise ValueError(f"pads {pads} must hold two numbers for each of {len(chosen)} axes")
    border = [(0, 0)] * x.ndim
    for i, axis in enumerate(chosen):
        border[axis] = (pads[i], pads[i + len(chosen)])
    cut = tuple(slice(max(0, -b), n - max(0, -e)) for (b, e), n in zip(border, x.shape, strict=True))
    if any(b < 0 or e < 0 for b, e in border):
        x = x[cut]
    border = [(max(0, b), max(0, e)) for b, e in border]
    mode = node["mode"]
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise ValueError(f"mode is constant, reflect, edge or wrap, got {mode!r}")
    return _core.pad(x, tuple(border), mode, value) if mode == "constant" else _core.pad(x, tuple(border), mode)


@op("Pad", until=10, sized=True)
def pad_attributes(node: Node, x: Tensor) -> Tensor:
    """With a border of attributes."""
    return _pad(node, x, node["pads"], node["value"], None)


@op("Pad", since=11, host=(1, 2, 3), sized=True)
def pad(node: Node, x: Tensor, pads: Value, value: Value = None, axes: Value = None) -> Tensor:
    """With a border, or without one where it is negative."""
    return _pad(node, x, ints(pads, "pads"), number(value), None if axes is None else ints(axes, "axes"))


@op("ConstantOfShape", host=(0,), sized=True, gradient="none: it has no float inputs")
def constant_of_shape(node: Node, sizes: Value) -> Tensor:
    """One value in every place of a shape."""
    value = node["value"]
    if value is None:
        return _core.zeros(tuple(ints(sizes, "shape")), dtype="float32")
    if value.size != 1:
        raise ValueError(f"value must hold one element, it has shape {value.shape}")
    one = _core.reshape(_core.asarray(value), ())
    return _core.broadcast_to(one, tuple(ints(sizes, "shape"))).contiguous()


@op("Range", host=(0, 1, 2), sized=True, gradient="none: its length depends on its inputs")
def arange(node: Node, start: Value, limit: Value, delta: Value) -> Value:
    """start, start + delta, ... before limit."""
    dtype = start.dtype if isinstance(start, Tensor) else np.asarray(start).dtype
    first, last, step = number(start), number(limit), number(delta)
    if step == 0:
        raise ValueError("delta is 0")
    count = max(0, math.ceil((last - first) / step))
    values = np.arange(count) * step + first
    return _core.asarray(values).astype(dtype) if isinstance(start, Tensor) else values.astype(dtype)


@op("EyeLike", gradient="none: only the shape of its input counts")
def eye_like(node: Node, x: Tensor) -> Tensor:
    """Ones on a diagonal, in the shape of x."""
    if x.ndim != 2:
        raise ValueError(f"EyeLike takes a matrix, got {x.ndim} dimensions")
    dtype = x.dtype if node["dtype"] is None else dtype_of(node["dtype"], "the result of EyeLike")
    return _core.eye(x.shape[0], x.shape[1], node["k"]).astype(dtype)


@op("DepthToSpace", forms={"mode": ("DCR", "CRD")})
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    """Channels to blocks of pixels."""
    n, c, h, w = x.shape
    b = node["blocksize"]
    if node["mode"] == "CRD":
        y = _core.permute_dims(_core.reshape(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3))
    else:
        y = _core.permute_dims(_core.reshape(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2))
    return _core.reshape(y, (n, c // (b * b), h * b, w * b))


@op("SpaceToDepth", forms={"mode": ("DCR", "CRD")})
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    """Blocks of pixels to channels."""
    n, c, h, w = x.shape
    b = node["blocksize"]
    order = (0, 1, 3, 5, 2, 4) if node["mode"] == "CRD" else (0, 3, 5, 1, 2, 4)
    y = _core.permute_dims(_core.reshape(x, (n, c, h // b, b, w // b, b)), order)
    return _core.reshape(y, (n, c * b * b, h // b, w // b))


@op("Trilu", host=(1,))
def trilu(node: Node, x: Tensor, k: Value = None) -> Tensor:
    """The upper or lower triangle, zero elsewhere."""
    return (_core.triu if node["upper"] else _core.tril)(x, int(number(k, 0)))
