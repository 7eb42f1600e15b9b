"""Resize, Upsample, GridSample and AffineGrid.

Resizing is linear and done one axis at a time, so each axis is a matrix (out, in) of weights, computed on the host from
sizes alone: mode, coordinate convention and antialiasing only determine the matrix. Nearest neighbours are gathered by
index instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, axis_of, ints, op

Array = np.ndarray


def _coordinates(node: Node, size: int, out: int, scale: float, roi: tuple[float, float]) -> Array:
    """The input coordinate of each element of the output.

    A scale that equals the quotient of the two sizes in single precision is replaced by the sizes themselves, so that
    coordinates at which a nearest neighbour changes are exact.
    """
    x: Array = np.arange(out, dtype=np.float64)
    over, by = (out, size) if np.float32(scale) == np.float32(out / size) else (scale, 1)
    way = node["coordinate_transformation_mode"] or "asymmetric"
    if way == "align_corners":
        last = over * (size / by) - 1  # not rounded, as in ONNX's own tests
        return x * (size - 1) / last if out > 1 else x * 0
    if way == "asymmetric":
        return x * by / over
    if way == "half_pixel":
        return (x + 0.5) * by / over - 0.5
    if way == "pytorch_half_pixel":
        return (x + 0.5) * by / over - 0.5 if out > 1 else x * 0
    if way == "half_pixel_symmetric":
        return size / 2 * (1 - out / (over * (size / by))) + (x + 0.5) * by / over - 0.5
    if way == "tf_half_pixel_for_nn":
        return (x + 0.5) * by / over
    if way == "tf_crop_and_resize":
        low, high = roi
        if out > 1:
            return low * (size - 1) + x * (high - low) * (size - 1) / (out - 1)
        return x * 0 + 0.5 * (low + high) * (size - 1)
    raise node.refuse(f"coordinate_transformation_mode {way!r}")


def _nearest(node: Node, places: Array) -> Array:
    way = node["nearest_mode"] or "floor"
    rounding: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if way not in rounding:
        raise ValueError(f"nearest_mode is one of {list(rounding)}, got {way!r}")
    return rounding[way](places)


def _triangle(d: Array) -> Array:
    near: Array = np.maximum(1 - np.abs(d), 0.0)
    return near


def _cubic(a: float) -> Callable[[Array], Array]:
    def weigh(d: Array) -> Array:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return weigh


def _weights(node: Node, places: Array, size: int, scale: float) -> Array:
    """The matrix (out, in) of linear or cubic interpolation."""
    cubic = node["mode"] == "cubic"
    kernel = _cubic(-0.75 if node["cubic_coeff_a"] is None else node["cubic_coeff_a"]) if cubic else _triangle
    squeeze = min(scale, 1.0) if node["antialias"] else 1.0
    reach = math.ceil((2 if cubic else 1) / squeeze) + 1
    base = np.floor(places).astype(np.int64)
    taps = base[:, None] + np.arange(-reach, reach + 1)
    weights = kernel((taps - places[:, None]) * squeeze)
    if node["exclude_outside"]:
        weights = np.where((taps >= 0) & (taps < size), weights, 0.0)
    if node["exclude_outside"] or node["antialias"]:
        total = weights.sum(1, keepdims=True)
        if not total.all():
            raise ValueError("a place of the output is made of nothing inside the input")
        weights = weights / total
    matrix = np.zeros((len(places), size))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(taps, 0, size - 1)), weights)
    return matrix


def _along(node: Node, x: Tensor, axis: int, out: int, scale: float, roi: tuple[float, float]) -> Tensor:
    """x resized along one axis."""
    size = x.shape[axis]
    places = _coordinates(node, size, out, scale, roi)
    if node["mode"] in (None, "nearest"):
        chosen = np.clip(_nearest(node, places), 0, size - 1).astype(np.int64)
        y = _core.take(x, _core.asarray(chosen), axis)
    elif node["mode"] in ("linear", "cubic"):
        matrix = _core.asarray(_weights(node, places, size, scale)).astype(_work_type(x))
        y = _core.moveaxis(_core.matmul(_core.moveaxis(x.astype(matrix.dtype), axis, -1), matrix.T), -1, axis)
    else:
        raise ValueError(f"mode is nearest, linear or cubic, got {node['mode']!r}")
    if node["coordinate_transformation_mode"] != "tf_crop_and_resize":
        return y
    outside = ((places < 0) | (places > size - 1)).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
    fill = _core.full((), node["extrapolation_value"] or 0.0, dtype=y.dtype)
    return _core.where(_core.asarray(outside), fill, y)


def _work_type(x: Tensor) -> str:
    return x.dtype.name if x.dtype.kind == "f" else "float32"


def _sizes_and_scales(
    node: Node, x: Tensor, axes: list[int], scales: Value, sizes: Value
) -> tuple[list[int], list[float]]:
    """The output's size and the scale for each of the axes."""
    if (sizes is None or not np.size(sizes)) == (scales is None or not np.size(scales)):
        raise ValueError("Resize needs either scales or sizes")
    if sizes is None or not np.size(sizes):
        factors = [float(s) for s in np.asarray(scales).reshape(-1)]
        if len(factors) != len(axes) or min(factors) <= 0:
            raise ValueError(f"scales {factors} must be {len(axes)} positive numbers")
        return [_scaled(x.shape[a], f) for a, f in zip(axes, factors, strict=True)], factors
    wanted = ints(sizes, "sizes")
    if len(wanted) != len(axes) or min(wanted) < 0:
        raise ValueError(f"sizes {wanted} must be {len(axes)} numbers")
    factors = [w / x.shape[a] for a, w in zip(axes, wanted, strict=True)]
    policy = node["keep_aspect_ratio_policy"] or "stretch"
    if policy == "stretch":
        return wanted, factors
    if policy not in ("not_larger", "not_smaller"):
        raise ValueError(f"keep_aspect_ratio_policy is stretch, not_larger or not_smaller, got {policy!r}")
    one = min(factors) if policy == "not_larger" else max(factors)
    return [math.floor(one * x.shape[a] + 0.5) for a in axes], [one] * len(axes)


def _scaled(size: int, factor: float) -> int:
    """The size times a factor, in single precision, in which a file stores the factor."""
    return int(np.float32(size) * np.float32(factor))


def _resized(node: Node, x: Tensor, roi: Value, scales: Value, sizes: Value) -> Tensor:
    if 0 in x.shape:
        raise ValueError(f"X {x.shape} has no elements")
    axes = [axis_of(a, x.ndim) for a in node["axes"]] if node["axes"] else list(range(x.ndim))
    outs, factors = _sizes_and_scales(node, x, axes, scales, sizes)
    crop = node["coordinate_transformation_mode"] == "tf_crop_and_resize"
    limits = [float(r) for r in np.asarray(roi).reshape(-1)] if crop else []
    if crop and len(limits) != 2 * len(axes):
        raise ValueError(f"roi must hold {2 * len(axes)} numbers, got {len(limits)}")
    y = x
    for i, (axis, out, scale) in enumerate(zip(axes, outs, factors, strict=True)):
        if crop or out != x.shape[axis] or scale != 1:
            low_high = (limits[i], limits[i + len(axes)]) if crop else (0.0, 1.0)
            y = _along(node, y, axis, out, scale, low_high)
    return y.astype(x.dtype)


@op("Resize", since=11, host=(1, 2, 3), sized=True)
def resize(node: Node, x: Tensor, roi: Value = None, scales: Value = None, sizes: Value = None) -> Tensor:
    """x at other sizes."""
    return _resized(node, x, roi, scales, sizes)


@op("Resize", until=10, host=(1,), sized=True)
@op("Upsample", since=9, host=(1,), sized=True)
def upsample(node: Node, x: Tensor, scales: Value) -> Tensor:
    """x at sizes multiplied by scales."""
    return _resized(node, x, None, scales, None)


@op("Upsample", until=8, sized=True)
def upsample_attribute(node: Node, x: Tensor) -> Tensor:
    """x at sizes multiplied by the attribute ``scales``."""
    return _resized(node, x, None, np.asarray(node["scales"]), None)


@op("GridSample", forms={"mode": ("bilinear", "linear", "nearest")})
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """x at the coordinates of a grid."""
    if x.ndim != 4:
        raise node.refuse(f"X with {x.ndim} dimensions")
    mode = "nearest" if node["mode"] == "nearest" else "bilinear"
    return _core.grid_sample(x, grid, mode, node["padding_mode"], bool(node["align_corners"]))


@op("AffineGrid", host=(1,), sized=True)
def affine_grid(node: Node, theta: Tensor, size: Value) -> Tensor:
    """A regular grid mapped by affine matrices."""
    sides = ints(size, "size")[2:]
    steps = []
    for n in sides:
        places = np.linspace(-1, 1, n) if node["align_corners"] else (2 * np.arange(n) + 1) / n - 1
        steps.append(places)
    mesh = np.meshgrid(*steps, indexing="ij")
    points = np.stack([*reversed(mesh), np.ones(sides)], -1).reshape(-1, len(sides) + 1)
    flat = _core.matmul(_core.asarray(points).astype(theta.dtype), _core.swapaxes(theta, 1, 2))
    return _core.reshape(flat, (theta.shape[0], *sides, len(sides)))
