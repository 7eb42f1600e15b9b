"""Quantised operators: values in integers, with a scale and the integer that means zero.

What they give is held as floats with integer values (see ``kinds.py``), and rounding passes gradients straight through,
so that a quantised model can be explained and attacked like any other. Sums of products are exact. Start reading at
``quantize``.

Bengio, Léonard and Courville 2013, "Estimating or propagating gradients through stochastic neurons", arXiv:1308.3432.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.onnx.conv import conv
from steep.onnx.table import NARROW, Node, axis_of, dtype_of, op

EXACT = 1 << 24  # up to which float32 has all integers


def rounded(x: Tensor) -> Tensor:
    """The nearest integers, the even one of two; the gradient passes straight through."""
    return x + (_core.round(x) - x).detach()


def saturated(x: Tensor, zero: Tensor | None, number: int) -> Tensor:
    """x rounded, with zero moved to ``zero``, within the range of an integer type."""
    low, high = (NARROW[number].low, NARROW[number].high) if number in NARROW else (0, 255)
    if zero is None:
        return rounded(_core.clip(x, low, high))
    moved = zero.astype(x.dtype)
    return rounded(_core.minimum(_core.maximum(x, low - moved), high - moved)) + moved


def spread(node: Node, values: Tensor, x: Tensor) -> Tensor:
    """A scale or zero for all of x, for each index of an axis, or for each block along it, so that it broadcasts."""
    if values.ndim == 0 or (values.ndim == 1 and values.size == 1):
        return _core.reshape(values, ())
    axis = axis_of(1 if node["axis"] is None else node["axis"], x.ndim)
    block = node["block_size"] or 0
    if not block:
        if values.ndim != 1 or values.size != x.shape[axis]:
            raise ValueError(f"a scale of shape {values.shape} is none for axis {axis} of {x.shape}")
        return _core.reshape(values, tuple(-1 if i == axis else 1 for i in range(x.ndim)))
    wanted = tuple(-(-n // block) if i == axis else n for i, n in enumerate(x.shape))
    if tuple(values.shape) != wanted:
        raise ValueError(f"blocks of {block} along axis {axis} of {x.shape} have scales {wanted}, got {values.shape}")
    long = _core.repeat(values, block, axis=axis)
    return long[tuple(slice(0, n) for n in x.shape)]


def _floats(x: Tensor) -> Tensor:
    return x if x.dtype.kind == "f" else x.astype("float32")


@op("QuantizeLinear", since=10, state=(1, 2))
def quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """round(x / scale) + zero, within the range of the integers."""
    scale, zero = spread(node, scale, x), None if zero is None else spread(node, zero, x)
    return saturated(_floats(x) / _floats(scale), zero, node.kinds[0])


@op("DequantizeLinear", since=10, state=(1, 2))
def dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """(x - zero) * scale."""
    scale, zero = spread(node, scale, x), None if zero is None else spread(node, zero, x)
    moved = centred(x, zero)
    kind = dtype_of(node["output_dtype"], "the result") if node["output_dtype"] else scale.dtype
    return (moved.astype(scale.dtype) * scale).astype(kind)


@op("DynamicQuantizeLinear", since=11)
def quantize_dynamically(node: Node, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x in 8 bits, with the scale and zero that its least and largest values ask for; these have no gradient."""
    seen = x.detach()
    low, high = _core.minimum(_core.min(seen), 0), _core.maximum(_core.max(seen), 0)
    scale = (high - low) / 255
    scale = _core.where(_core.equal(scale, 0), _core.ones_like(scale), scale)
    zero = _core.clip(_core.round(-low / scale), 0, 255)
    moved = x / scale + zero
    nearest = _core.clip(_core.round(seen / scale) + zero, 0, 255)
    return moved + (nearest - moved.detach()), scale, zero


def centred(x: Tensor, zero: Tensor | None) -> Tensor:
    """x - zero, in floats if either is, otherwise in integers of 32 bits."""
    if zero is None:
        return x
    kind = next((each.dtype for each in (x, zero) if each.dtype.kind == "f"), _core.int32)
    return x.astype(kind) - zero.astype(kind)


def _operand(x: Tensor, zero: Tensor | None, terms: int) -> Tensor:
    """x - zero in floats in which a sum of so many products of 9 bits is exact."""
    return centred(x, zero).astype("float32" if terms * 255 * 255 < EXACT else "float64")


def _of_rows(values: Tensor, x: Tensor) -> Tensor:
    """What each row of a matrix has one of."""
    return _core.reshape(values, (-1, 1)) if values.ndim == 1 and values.size > 1 and x.ndim > 1 else values


def _of_kernels(values: Tensor, ndim: int) -> Tensor:
    """What kernels (M, C, ...) have one of each."""
    return values if values.size == 1 else _core.reshape(values, (-1, *[1] * (ndim - 1)))


def _product(a: Tensor, a_zero: Tensor | None, b: Tensor, b_zero: Tensor | None) -> Tensor:
    terms = a.shape[-1] if a.ndim else 1
    a_zero = None if a_zero is None else _of_rows(a_zero, a)
    return _operand(a, a_zero, terms) @ _operand(b, b_zero, terms)


def _correlated(node: Node, x: Tensor, x_zero: Tensor | None, w: Tensor, w_zero: Tensor | None) -> Tensor:
    terms = math.prod(w.shape[1:])
    w_zero = None if w_zero is None else _of_kernels(w_zero, w.ndim)
    found: Tensor = conv(node, _operand(x, x_zero, terms), _operand(w, w_zero, terms))
    return found


@op("MatMulInteger", since=10)
def matmul_integer(
    node: Node, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    """The exact product of (a - a_zero) and (b - b_zero)."""
    return _product(a, a_zero, b, b_zero)


@op("ConvInteger", since=10)
def conv_integer(
    node: Node, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    """The exact convolution of x - x_zero with w - w_zero."""
    return _correlated(node, x, x_zero, w, w_zero)


@op("QLinearMatMul", since=10, state=(1, 2, 4, 5, 6, 7))
def quantized_matmul(
    node: Node, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
    scale: Tensor, zero: Tensor,
) -> Tensor:  # fmt: skip
    """The product of two quantised matrices, quantised."""
    sums = _product(a, a_zero, b, b_zero)
    by = _of_rows(a_scale, a).astype(sums.dtype) * b_scale.astype(sums.dtype) / scale.astype(sums.dtype)
    return saturated(sums * by, zero, node.kinds[0]).astype("float32")


@op("QLinearConv", since=10, state=(1, 2, 4, 5, 6, 7))
def quantized_conv(
    node: Node, x: Tensor, x_scale: Tensor, x_zero: Tensor, w: Tensor, w_scale: Tensor, w_zero: Tensor,
    scale: Tensor, zero: Tensor, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The convolution of a quantised image with quantised kernels, plus a bias in units of its sums, quantised."""
    sums = _correlated(node, x, x_zero, w, w_zero)
    channels: Any = (1, -1, *[1] * (x.ndim - 2))
    if bias is not None:
        sums = sums + _core.reshape(bias, channels).astype(sums.dtype)
    by = x_scale * w_scale / scale
    by = by.astype(sums.dtype) if by.size == 1 else _core.reshape(by, channels).astype(sums.dtype)
    return saturated(sums * by, zero, node.kinds[0]).astype("float32")
