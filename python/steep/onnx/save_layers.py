"""Layers of ``steep.nn`` as ONNX nodes: each by a small function that adds them; ``EXPORTS`` is the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core, nn
from steep._core import Tensor
from steep.nn.convolution import _Conv, _ConvTranspose
from steep.nn.normalization import _BatchNorm
from steep.nn.pooling import _AdaptiveAvgPool, _AvgPool, _MaxPool
from steep.nn.recurrent import _Layers
from steep.onnx.save_file import File
from steep.onnx.save_recurrent import recurrent
from steep.onnx.table import UnsupportedError

Export = Callable[[File, Any, str, str, Tensor], Any]  # the name of its result, or a list of those of several


def export_of(layer: Any) -> Export | None:
    """The function that writes a layer of ``steep.nn``, None if there is none."""
    own = type(layer).__module__.startswith("steep.nn.")
    return next((export for kind, export in EXPORTS if own and isinstance(layer, kind)), None)


def _plain(op: str, **attributes: Callable[[Any], Any]) -> Export:
    """A node of one input, with attributes read from the layer."""
    return lambda file, layer, value, name, x: file.node(
        op, [value], name, **{key: read(layer) for key, read in attributes.items()}
    )


def _nothing(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    return value


def _linear(file: File, layer: nn.Linear, value: str, name: str, x: Tensor) -> str:
    weight, bias = file.weight(layer.weight, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")
    if x.ndim == 2:
        return file.node("Gemm", [value, weight, *([bias] if bias else [])], name, transB=1)
    product = file.node("MatMul", [value, file.node("Transpose", [weight], name, perm=[1, 0])], name)
    return file.node("Add", [product, bias], name) if bias else product


def _each(value: Any, n: int) -> list[int]:
    return [value] * n if isinstance(value, int) else [int(v) for v in value]


def _sides(layer: Any, x: Tensor) -> list[int]:
    """ONNX's pads: all befores, then all afters."""
    pairs = nn.functional.conv_borders(layer.weight, layer.stride, layer.padding, layer.dilation, x.shape[2:])
    return [b for b, _ in pairs] + [a for _, a in pairs]


def _conv(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    n = layer.dimensions
    pads = _sides(layer, x)
    if layer.padding_mode != "zeros":
        border = file.weight(np.asarray([0, 0, *pads[:n], 0, 0, *pads[n:]], dtype=np.int64), f"{name}.pads")
        value = file.node("Pad", [value, border], name, mode=nn.functional.PADDING_MODES[layer.padding_mode])
        pads = [0] * (2 * n)
    inputs = [value, file.weight(layer.weight, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")]
    steps, holes = _each(layer.stride, n), _each(layer.dilation, n)
    return file.node("Conv", inputs, name, pads=pads, strides=steps, dilations=holes, group=layer.groups)


def _conv_transpose(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    n = layer.dimensions
    inputs = [value, file.weight(layer.weight, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")]
    return file.node(
        "ConvTranspose",
        inputs,
        name,
        pads=_each(layer.padding, n) * 2,
        output_padding=_each(layer.output_padding, n),
        strides=_each(layer.stride, n),
        dilations=_each(layer.dilation, n),
        group=layer.groups,
    )


def _window(layer: Any, n: int) -> dict[str, Any]:
    stride = layer.kernel_size if layer.stride is None else layer.stride
    sizes = {"kernel_shape": _each(layer.kernel_size, n), "strides": _each(stride, n)}
    return {**sizes, "pads": _each(layer.padding, n) * 2, "ceil_mode": int(layer.ceil_mode)}


def _max_pool(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    n = x.ndim - 2
    return file.node("MaxPool", [value], name, **_window(layer, n), dilations=_each(layer.dilation, n))


def _avg_pool(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    counted = int(layer.count_include_pad)
    return file.node("AveragePool", [value], name, **_window(layer, x.ndim - 2), count_include_pad=counted)


def _adaptive(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    outs = _each(layer.output_size, x.ndim - 2)
    if any(size % out for size, out in zip(x.shape[2:], outs, strict=True)):
        raise UnsupportedError(f"save: layer {name!r} makes {outs} of {x.shape[2:]}, windows of different sizes")
    if all(out == 1 for out in outs):
        return file.node("GlobalAveragePool", [value], name)
    kernel = [size // out for size, out in zip(x.shape[2:], outs, strict=True)]
    return file.node("AveragePool", [value], name, kernel_shape=kernel, strides=kernel)


def _affine(file: File, layer: Any, name: str, count: int, dtype: str) -> list[str]:
    """Scale and shift, ones and zeros if the layer has none."""
    scale = np.ones(count, dtype) if layer.weight is None else layer.weight
    shift = np.zeros(count, dtype) if layer.bias is None else layer.bias
    return [file.weight(scale, f"{name}.weight"), file.weight(shift, f"{name}.bias")]


def _batch_norm(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    if layer.running_mean is None:
        raise UnsupportedError(f"save: layer {name!r} keeps no running statistics")
    affine = _affine(file, layer, name, x.shape[1], x.dtype.name)
    moments = [
        file.weight(layer.running_mean, f"{name}.running_mean"),
        file.weight(layer.running_var, f"{name}.running_var"),
    ]
    return file.node("BatchNormalization", [value, *affine, *moments], name, epsilon=layer.eps)


def _group_norm(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    affine = _affine(file, layer, name, x.shape[1], x.dtype.name)
    return file.node("GroupNormalization", [value, *affine], name, epsilon=layer.eps, num_groups=layer.num_groups)


def _instance_norm(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    affine = _affine(file, layer, name, x.shape[1], x.dtype.name)
    return file.node("InstanceNormalization", [value, *affine], name, epsilon=layer.eps)


def _layer_norm(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    scale = np.ones(layer.shape, x.dtype.name) if layer.weight is None else layer.weight
    inputs = [value, file.weight(scale, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")]
    return file.node("LayerNormalization", inputs, name, axis=-len(layer.shape), epsilon=layer.eps)


def _lrn(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    if layer.size % 2 == 0:
        raise UnsupportedError(f"save: layer {name!r} spans {layer.size} channels; ONNX centres even spans differently")
    constants = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
    return file.node("LRN", [value], name, size=layer.size, **{key: float(v) for key, v in constants.items()})


def _flatten(file: File, layer: nn.Flatten, value: str, name: str, x: Tensor) -> str:
    if layer.start == 1:
        return file.node("Flatten", [value], name, axis=1)
    if layer.start < 1:
        raise UnsupportedError(f"save: layer {name!r} flattens the batch away")
    shape = [0] * layer.start + [math.prod(x.shape[layer.start :])]
    return file.node("Reshape", [value, file.weight(np.asarray(shape, np.int64), f"{name}.shape")], name)


def _embedding(file: File, layer: nn.Embedding, value: str, name: str, x: Tensor) -> str:
    return file.node("Gather", [file.weight(layer.weight, f"{name}.weight"), value], name, axis=0)


def _prelu(file: File, layer: nn.PReLU, value: str, name: str, x: Tensor) -> str:
    slope = layer.weight.detach().numpy()
    if slope.size > 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    return file.node("PRelu", [value, file.weight(slope, f"{name}.weight")], name)


def _relu6(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    low, high = (file.weight(np.asarray(v, x.dtype.name), f"{name}.{v}") for v in (0, 6))
    return file.node("Clip", [value, low, high], name)


def _silu(file: File, layer: Any, value: str, name: str, x: Tensor) -> str:
    return file.node("Mul", [value, file.node("Sigmoid", [value], name)], name)


def _upsample(file: File, layer: nn.Upsample, value: str, name: str, x: Tensor) -> str:
    """By sizes where the layer uses their ratio; else by its factor, which a file stores in single precision."""
    wanted = layer(x).shape[2:]
    axes = [d for d in range(2, x.ndim) if x.shape[d] != wanted[d - 2]]
    outs, factor = [wanted[d - 2] for d in axes], layer.scale_factor
    by_ratio = not factor or layer.align_corners or outs == [x.shape[d] * factor for d in axes]
    if not axes:
        return file.node("Identity", [value], name)
    if layer.mode == "nearest" and not by_ratio:
        return _gathered(file, layer, value, name, x, axes)
    way = "align_corners" if layer.align_corners else "asymmetric" if layer.mode == "nearest" else "half_pixel"
    mode: dict[str, Any] = {"mode": layer.mode, "coordinate_transformation_mode": way, "nearest_mode": "floor"}
    if by_ratio:
        sizes = file.weight(np.asarray(outs, np.int64), f"{name}.sizes")
        return file.node("Resize", [value, "", "", sizes], name, axes=axes, **mode)
    scales = [_single(factor or 1.0, x.shape[d], out) for d, out in zip(axes, outs, strict=True)]
    scales_name = file.weight(np.asarray(scales, np.float32), f"{name}.scales")
    return file.node("Resize", [value, "", scales_name], name, axes=axes, **mode)


def _gathered(file: File, layer: nn.Upsample, value: str, name: str, x: Tensor, axes: list[int]) -> str:
    """Nearest neighbours by index, as the layer itself gathers them."""
    for d in axes:
        line = _core.reshape(_core.arange(x.shape[d], dtype=_core.float64), (1, 1, -1))
        places = file.weight(layer(line).numpy().ravel().astype(np.int64), f"{name}.places{d}")
        value = file.node("Gather", [value, places], name, axis=d)
    return value


def _single(factor: float, size: int, out: int) -> np.float32:
    """The factor in single precision, or its neighbour, so that the product in single precision gives ``out``."""
    near = np.float32(factor)
    while int(np.float32(size) * near) != out:
        near = np.nextafter(near, np.float32(np.inf if int(np.float32(size) * near) < out else 0))
    return near


EXPORTS: list[tuple[Any, Export]] = [
    (nn.Linear, _linear), (nn.Dropout, _nothing), (nn.Flatten, _flatten), (nn.Embedding, _embedding),
    (nn.LayerNorm, _layer_norm), (nn.GroupNorm, _group_norm), (nn.InstanceNorm2d, _instance_norm),
    (nn.LocalResponseNorm, _lrn), (nn.PReLU, _prelu), (nn.SiLU, _silu), (nn.Upsample, _upsample),
    (nn.ReLU, _plain("Relu")), (nn.Tanh, _plain("Tanh")), (nn.Sigmoid, _plain("Sigmoid")), (nn.GELU, _plain("Gelu")),
    (nn.ReLU6, _relu6), (nn.Softplus, _plain("Softplus")), (nn.Hardswish, _plain("HardSwish")),
    (nn.Hardsigmoid, _plain("HardSigmoid", alpha=lambda _: 1 / 6)),
    (nn.Softmax, _plain("Softmax", axis=lambda m: m.axis)),
    (nn.ELU, _plain("Elu", alpha=lambda m: float(m.alpha))),
    (nn.LeakyReLU, _plain("LeakyRelu", alpha=lambda m: float(m.negative_slope))),
    (_Conv, _conv), (_ConvTranspose, _conv_transpose), (_BatchNorm, _batch_norm), (_MaxPool, _max_pool),
    (_AvgPool, _avg_pool), (_AdaptiveAvgPool, _adaptive), (_Layers, recurrent),
]  # fmt: skip
