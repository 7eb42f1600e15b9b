"""Normalization: by batch statistics, over instances, groups and layers, across channels, and to unit length.

Statistics of ``BatchNormalization`` are state and not parameters.
"""

from __future__ import annotations

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, axis_of, op


@op("BatchNormalization", until=13, state=(3, 4), outputs=1, forms={"spatial": (1,)})
def batch_norm_of_inference(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """Each channel by the running statistics."""
    return _normalized(x, mean, var, scale, bias, node["epsilon"])


@op("BatchNormalization", since=14, state=(3, 4))
def batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Value:
    """Each channel by the running statistics, or in training_mode by the batch's, with the statistics updated."""
    if not node["training_mode"]:
        return _normalized(x, mean, var, scale, bias, node["epsilon"])
    axes = tuple(i for i in range(x.ndim) if i != 1)
    now, spread = _core.mean(x, axis=axes), _core.var(x, axis=axes)
    y = _normalized(x, now, spread, scale, bias, node["epsilon"])
    m = node["momentum"]
    moved = mean * m + now.astype(mean.dtype) * (1 - m), var * m + spread.astype(var.dtype) * (1 - m)
    return (y, *moved)[: max(1, len(node.outputs))]


def _normalized(x: Tensor, mean: Tensor, var: Tensor, scale: Tensor, bias: Tensor, eps: float) -> Tensor:
    m, v, s, b = (t if t.dtype == x.dtype else t.astype(x.dtype) for t in (mean, var, scale, bias))
    return _core.batch_norm(x, m, v, s, b, eps)


@op("InstanceNormalization")
def instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Each channel of each example."""
    return _core.instance_norm(x, scale, bias, node["epsilon"])


@op("GroupNormalization", since=21)
def group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Groups of channels of each example, scaled by channel."""
    return _core.group_norm(x, node["num_groups"], scale, bias, node["epsilon"])


@op("GroupNormalization", since=18, until=20)
def group_norm_by_group(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Groups of channels of each example, scaled by group."""
    each = x.shape[1] // max(1, node["num_groups"])
    return _core.group_norm(x, node["num_groups"], _core.repeat(scale, each), _core.repeat(bias, each), node["epsilon"])


def _stash(node: Node, x: Tensor) -> Tensor:
    """x in the type in which statistics are computed."""
    return x.astype("float32") if node["stash_type"] == 1 and x.dtype == _core.bfloat16 else x


@op("LayerNormalization")
def layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Value:
    """Mean 0 and variance 1 from ``axis`` on, scaled and shifted; mean and 1 / deviation if requested."""
    axis = axis_of(node["axis"], x.ndim)
    wide = _stash(node, x)
    y = _core.layer_norm(wide, x.shape[axis:], None, None, node["epsilon"]).astype(x.dtype) * scale
    y = y if bias is None else y + bias
    if not (node.wants(1) or node.wants(2)):
        return y
    axes = tuple(range(axis, x.ndim))
    deviation = _core.rsqrt(_core.var(wide, axis=axes, keepdims=True) + node["epsilon"])
    return (y, _core.mean(wide, axis=axes, keepdims=True), deviation)[: len(node.outputs)]


@op("RMSNormalization")
def rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """Mean square 1 from ``axis`` on, scaled."""
    axes = tuple(range(axis_of(node["axis"], x.ndim), x.ndim))
    wide = _stash(node, x)
    y = wide * _core.rsqrt(_core.mean(wide * wide, axis=axes, keepdims=True) + node["epsilon"])
    return y.astype(x.dtype) * scale


@op("LRN")
def local_response_norm(node: Node, x: Tensor) -> Tensor:
    """x over a power of the squares of neighbouring channels."""
    size, alpha, beta, k = node["size"], node["alpha"], node["beta"], node["bias"]
    if size % 2:
        return _core.local_response_norm(x, size, alpha, beta, k)
    before, channels = (size - 1) // 2, x.shape[1]
    border = ((0, 0), (before, size - 1 - before), *((0, 0),) * (x.ndim - 2))
    squares = _core.pad(x * x, border)
    total = squares[:, :channels]
    for i in range(1, size):
        total = total + squares[:, i : i + channels]
    return x / _core.pow(k + (alpha / size) * total, beta)


@op("LpNormalization")
def lp_norm(node: Node, x: Tensor) -> Tensor:
    """Length 1 along an axis, in the 1- or 2-norm; zeros stay zeros."""
    axis, p = axis_of(node["axis"], x.ndim), node["p"]
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, got {p}")
    length = _core.norm(x, float(p), axis, True)
    none = _core.equal(length, 0)
    return _core.where(none, _core.zeros_like(x), x / _core.where(none, _core.ones_like(length), length))


@op("MeanVarianceNormalization")
def mean_variance_norm(node: Node, x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the attribute ``axes``."""
    axes = tuple(axis_of(a, x.ndim) for a in node["axes"] or (0, 2, 3))
    centred = x - _core.mean(x, axis=axes, keepdims=True)
    square = _core.mean(_core.square(centred), axis=axes, keepdims=True)
    return centred / (_core.sqrt(square) + 1e-9)
