"""Convolution and its transpose, in one to three spatial dimensions, with ONNX's specifications of padding.

``borders`` turns auto_pad, pads, strides and dilations into (before, after) for every dimension; pooling uses it too.
"""

from __future__ import annotations

from typing import Any

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, op

Pairs = list[tuple[int, int]]
_CONV = {1: _core.conv1d, 2: _core.conv2d, 3: _core.conv3d}
_TRANSPOSE = {1: _core.conv_transpose1d, 2: _core.conv_transpose2d, 3: _core.conv_transpose3d}


def spread(node: Node, name: str, default: int, n: int) -> list[int]:
    """An attribute with a number for each of n dimensions. Raises ValueError if it has more or fewer."""
    values = list(node[name] or [default] * n)
    if len(values) != n:
        raise ValueError(f"{name} {values} must hold {n} numbers, one for each spatial dimension")
    return values


def positive(node: Node, name: str, n: int) -> list[int]:
    """``spread``, for numbers of at least 1."""
    values = spread(node, name, 1, n)
    if min(values, default=1) < 1:
        raise ValueError(f"{name} {values} must be 1 or more")
    return values


def borders(node: Node, sizes: tuple[int, ...], kernel: list[int]) -> Pairs:
    """(before, after) for every spatial dimension."""
    n = len(sizes)
    way = node["auto_pad"] or "NOTSET"
    if way == "VALID":
        return [(0, 0)] * n
    if way == "NOTSET":
        pads = list(node["pads"] or [0] * (2 * n))
        if len(pads) != 2 * n:
            raise ValueError(f"pads {pads} must hold {2 * n} numbers")
        return list(zip(pads[:n], pads[n:], strict=True))
    if way not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad is NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {way!r}")
    strides, dilations = positive(node, "strides", n), positive(node, "dilations", n)
    result = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        less, more = total // 2, total - total // 2
        result.append((less, more) if way == "SAME_UPPER" else (more, less))
    return result


def kernel_of(node: Node, weight: Tensor, x: Tensor) -> list[int]:
    """The kernel's sizes, after checking that weight and attribute agree with x's dimensions."""
    n = x.ndim - 2
    if weight.ndim != x.ndim or n not in _CONV:
        raise ValueError(f"X {x.shape} and W {weight.shape} must both have 3, 4 or 5 dimensions")
    kernel = list(weight.shape[2:])
    if node["kernel_shape"] and list(node["kernel_shape"]) != kernel:
        raise ValueError(f"kernel_shape {list(node['kernel_shape'])} is not that of W {weight.shape}")
    return kernel


@op("Conv")
def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Cross-correlation with kernels (M, C / group, ...)."""
    kernel = kernel_of(node, weight, x)
    n = len(kernel)
    pads = borders(node, x.shape[2:], kernel)
    if min(min(p) for p in pads) < 0:
        x = cropped(x, [(-min(0, b), -min(0, e)) for b, e in pads])
        pads = [(max(0, b), max(0, e)) for b, e in pads]
    flat = [side for both in pads for side in both]
    strides, dilations = positive(node, "strides", n), positive(node, "dilations", n)
    return _CONV[n](x, weight, bias, strides, flat, dilations, node["group"])


def cropped(x: Tensor, cuts: Pairs) -> Tensor:
    """Spatial dimensions cropped by (before, after); negative numbers pad with zeros."""
    key = tuple(slice(max(0, b), n - max(0, e)) for (b, e), n in zip(cuts, x.shape[2:], strict=True))
    y = x[(slice(None), slice(None), *key)] if any(b > 0 or e > 0 for b, e in cuts) else x
    if all(b >= 0 and e >= 0 for b, e in cuts):
        return y
    return _core.pad(y, ((0, 0), (0, 0), *((max(0, -b), max(0, -e)) for b, e in cuts)))


def _transposed_cuts(node: Node, sizes: tuple[int, ...], full: list[int], strides: list[int]) -> Pairs:
    """What is cropped (before, after) from the full transposed convolution."""
    n = len(sizes)
    extra = spread(node, "output_padding", 0, n)
    wanted: Any = node["output_shape"]
    way = node["auto_pad"] or "NOTSET"
    if wanted is None and way not in ("SAME_UPPER", "SAME_LOWER"):
        return [(b, e - more) for (b, e), more in zip(borders(node, sizes, full), extra, strict=True)]
    if wanted is None:
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    wanted = list(wanted)[-n:]
    cuts = []
    for whole, more, out in zip(full, extra, wanted, strict=True):
        total = whole + more - out
        half = total // 2
        before = half if way == "SAME_UPPER" else total - half
        cuts.append((before, total - before - more))
    return cuts


@op("ConvTranspose")
def conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The adjoint of a convolution, with kernels (C, M / group, ...)."""
    kernel = kernel_of(node, weight, x)
    n = len(kernel)
    strides, dilations = positive(node, "strides", n), positive(node, "dilations", n)
    full = [(s - 1) * t + (k - 1) * d + 1 for s, t, k, d in zip(x.shape[2:], strides, kernel, dilations, strict=True)]
    cuts = _transposed_cuts(node, x.shape[2:], full, strides)
    if any(whole - b - e < 1 for whole, (b, e) in zip(full, cuts, strict=True)):
        raise ValueError(f"nothing is left of {full} after taking {cuts} off")
    y = cropped(_TRANSPOSE[n](x, weight, None, strides, 0, 0, node["group"], dilations), cuts)
    return y if bias is None else y + _core.reshape(bias, (1, -1, *[1] * n))
