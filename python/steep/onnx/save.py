"""``save``: a tree of containers and layers as an ONNX file.

Layers are exported by type, each by a small function that adds its nodes; ``EXPORTS`` is the table. There is no tracer:
a module with a ``forward`` of its own is refused by name. What was written is read back and run on the example before
the file gets its name.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from steep import _core, nn
from steep._core import Tensor
from steep.io.atomic import atomic_write
from steep.nn.convolution import _Conv, _ConvTranspose
from steep.nn.module import Module
from steep.nn.normalization import _BatchNorm
from steep.nn.pooling import _AdaptiveAvgPool, _AvgPool, _MaxPool
from steep.onnx.graph import package
from steep.onnx.model import load
from steep.onnx.table import UnsupportedError

OPSET = 21
IR_VERSION = 10
Export = Callable[["_File", Any, Any, str, Tensor], str]


class _File:
    """Nodes and initializers as they are added, and the name of the value that the next layer takes."""

    def __init__(self) -> None:
        self.onnx = package()
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; returns its output's name."""
        output = f"{name}:{len(self.nodes)}"
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(
            self.onnx.helper.make_node(op, inputs, [output], name=f"{name}.{op}.{len(self.nodes)}", **given)
        )
        return output

    def weight(self, value: Any, name: str) -> str:
        """Add an initializer; returns its name, "" for None."""
        if value is None:
            return ""
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        self.weights[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name


def save(module: Module, path: str | os.PathLike[str], example_input: Any) -> None:
    """Write a module as an ONNX file (opset 21) that computes what it does in ``eval`` mode.

    What can be written are layers of ``steep.nn`` and trees of ``Sequential``, ``Concat`` and ``Residual`` made of
    them, activations as functions (``sp.relu``) too; a module with a ``forward`` of its own raises UnsupportedError
    naming it. ``example_input``: a tensor such as the module takes; its first dimension becomes the free batch size.
    The file is written whole or not at all, after steep has read it back and got the module's own answer for the
    example. Raises ValueError if that differs.
    """
    x = _core.asarray(example_input)
    modes = [(m, m.training) for m in module.modules()]
    try:
        module.eval()
        with _core.no_grad():
            content = _written(module, x)
            _check(module, content, x)
    finally:
        for each, training in modes:
            each.training = training
    with atomic_write(path) as file:
        file.write(content)


def _written(module: Module, x: Tensor) -> bytes:
    file = _File()
    last, y = _export(file, module, "input", "", x)
    if last == "input":
        last = file.node("Identity", [last], "identity")
    helper, kinds = file.onnx.helper, {"float32": 1, "int32": 6, "int64": 7, "float64": 11}
    if x.dtype.name not in kinds or y.dtype.name not in kinds:
        raise UnsupportedError(f"save: {x.dtype.name} to {y.dtype.name} cannot be written")
    file.nodes.append(helper.make_node("Identity", [last], ["output"], name="output"))
    graph = helper.make_graph(
        file.nodes,
        type(module).__name__,
        [helper.make_tensor_value_info("input", kinds[x.dtype.name], _free(x))],
        [helper.make_tensor_value_info("output", kinds[y.dtype.name], _free(y))],
        list(file.weights.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    file.onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _free(x: Tensor) -> list[Any]:
    """x's shape with a free first dimension."""
    return ["N", *x.shape[1:]] if x.ndim else []


def _check(module: Module, content: bytes, x: Tensor) -> None:
    wanted, got = module(x).numpy(), load(content, requires_grad=False)(x).numpy()
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    if wanted.shape != got.shape or not np.allclose(got, wanted, rtol=1e-4, atol=1e-5 * scale, equal_nan=True):
        raise ValueError("save: what was written does not compute what the module does; please report this")


def _export(file: _File, layer: Any, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    """Add a layer; returns the name of its output, and the output on the example."""
    for kind, container in CONTAINERS:
        if isinstance(layer, kind) and type(layer).forward is kind.forward:
            return container(file, layer, value, name, x)
    own = type(layer).__module__.startswith("steep.nn.")
    export = next((e for kind, e in EXPORTS if own and isinstance(layer, kind)), None)
    if export is None and not isinstance(layer, Module):
        op = next((op for function, op in FUNCTIONS if function is layer), None)
        export = None if op is None else _plain(op)
    if export is None:
        kind = type(layer).__name__ if isinstance(layer, Module) else getattr(layer, "__name__", repr(layer))
        raise UnsupportedError(f"save: layer {name or '(model)'!r} is a {kind}, which cannot be exported")
    return export(file, layer, value, name or type(layer).__name__.lower(), x), layer(x)


# -- containers -------------------------------------------------------------------------------------------------------


def _named(layer: Any, name: str) -> Iterator[tuple[str, Any]]:
    return ((f"{name}.{key}" if name else key, child) for key, child in layer.named_layers())


def _sequential(file: _File, layer: Any, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    for full, child in _named(layer, name):
        value, x = _export(file, child, value, full, x)
    return value, x


def _concat(file: _File, layer: nn.Concat, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    found = [_export(file, child, value, full, x) for full, child in _named(layer, name)]
    joined = _core.concat([y for _, y in found], axis=layer.axis)
    return file.node("Concat", [output for output, _ in found], name or "concat", axis=layer.axis), joined


def _residual(file: _File, layer: nn.Residual, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    output, y = _sequential(file, layer, value, name, x)
    return file.node("Add", [value, output], name or "residual"), x + y


CONTAINERS: list[tuple[Any, Callable[..., tuple[str, Tensor]]]] = [
    (nn.Sequential, _sequential), (nn.Concat, _concat), (nn.Residual, _residual),
]  # fmt: skip


# -- layers -----------------------------------------------------------------------------------------------------------


def _plain(op: str, **attributes: Callable[[Any], Any]) -> Export:
    """A node of one input, with attributes read from the layer."""
    return lambda file, layer, value, name, x: file.node(
        op, [value], name, **{key: read(layer) for key, read in attributes.items()}
    )


def _nothing(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    return value


def _linear(file: _File, layer: nn.Linear, value: str, name: str, x: Tensor) -> str:
    weight, bias = file.weight(layer.weight, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")
    if x.ndim == 2:
        return file.node("Gemm", [value, weight, *([bias] if bias else [])], name, transB=1)
    product = file.node("MatMul", [value, file.node("Transpose", [weight], name, perm=[1, 0])], name)
    return file.node("Add", [product, bias], name) if bias else product


def _each(value: Any, n: int) -> list[int]:
    return [value] * n if isinstance(value, int) else [int(v) for v in value]


def _sides(layer: Any, x: Tensor) -> list[int]:
    """ONNX's pads: all befores, then all afters."""
    pairs = nn.functional._borders(layer.weight, layer.stride, layer.padding, layer.dilation, x.shape[2:])
    return [b for b, _ in pairs] + [a for _, a in pairs]


def _conv(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    n = layer.dimensions
    pads = _sides(layer, x)
    if layer.padding_mode != "zeros":
        border = file.weight(np.asarray([0, 0, *pads[:n], 0, 0, *pads[n:]], dtype=np.int64), f"{name}.pads")
        value = file.node("Pad", [value, border], name, mode=nn.functional.PADDING_MODES[layer.padding_mode])
        pads = [0] * (2 * n)
    inputs = [value, file.weight(layer.weight, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")]
    steps, holes = _each(layer.stride, n), _each(layer.dilation, n)
    return file.node("Conv", inputs, name, pads=pads, strides=steps, dilations=holes, group=layer.groups)


def _conv_transpose(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
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


def _max_pool(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    n = x.ndim - 2
    return file.node("MaxPool", [value], name, **_window(layer, n), dilations=_each(layer.dilation, n))


def _avg_pool(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    counted = int(layer.count_include_pad)
    return file.node("AveragePool", [value], name, **_window(layer, x.ndim - 2), count_include_pad=counted)


def _adaptive(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    outs = _each(layer.output_size, x.ndim - 2)
    if any(size % out for size, out in zip(x.shape[2:], outs, strict=True)):
        raise UnsupportedError(f"save: layer {name!r} makes {outs} of {x.shape[2:]}, windows of different sizes")
    if all(out == 1 for out in outs):
        return file.node("GlobalAveragePool", [value], name)
    kernel = [size // out for size, out in zip(x.shape[2:], outs, strict=True)]
    return file.node("AveragePool", [value], name, kernel_shape=kernel, strides=kernel)


def _affine(file: _File, layer: Any, name: str, count: int, dtype: str) -> list[str]:
    """Scale and shift, ones and zeros if the layer has none."""
    scale = np.ones(count, dtype) if layer.weight is None else layer.weight
    shift = np.zeros(count, dtype) if layer.bias is None else layer.bias
    return [file.weight(scale, f"{name}.weight"), file.weight(shift, f"{name}.bias")]


def _batch_norm(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    if layer.running_mean is None:
        raise UnsupportedError(f"save: layer {name!r} keeps no running statistics")
    affine = _affine(file, layer, name, x.shape[1], x.dtype.name)
    moments = [
        file.weight(layer.running_mean, f"{name}.running_mean"),
        file.weight(layer.running_var, f"{name}.running_var"),
    ]
    return file.node("BatchNormalization", [value, *affine, *moments], name, epsilon=layer.eps)


def _group_norm(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    affine = _affine(file, layer, name, x.shape[1], x.dtype.name)
    return file.node("GroupNormalization", [value, *affine], name, epsilon=layer.eps, num_groups=layer.num_groups)


def _instance_norm(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    affine = _affine(file, layer, name, x.shape[1], x.dtype.name)
    return file.node("InstanceNormalization", [value, *affine], name, epsilon=layer.eps)


def _layer_norm(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    scale = np.ones(layer.shape, x.dtype.name) if layer.weight is None else layer.weight
    inputs = [value, file.weight(scale, f"{name}.weight"), file.weight(layer.bias, f"{name}.bias")]
    return file.node("LayerNormalization", inputs, name, axis=-len(layer.shape), epsilon=layer.eps)


def _lrn(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    if layer.size % 2 == 0:
        raise UnsupportedError(f"save: layer {name!r} spans {layer.size} channels; ONNX centres an even span otherwise")
    constants = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
    return file.node("LRN", [value], name, size=layer.size, **{key: float(v) for key, v in constants.items()})


def _flatten(file: _File, layer: nn.Flatten, value: str, name: str, x: Tensor) -> str:
    if layer.start == 1:
        return file.node("Flatten", [value], name, axis=1)
    if layer.start < 1:
        raise UnsupportedError(f"save: layer {name!r} flattens the batch away")
    shape = [0] * layer.start + [math.prod(x.shape[layer.start :])]
    return file.node("Reshape", [value, file.weight(np.asarray(shape, np.int64), f"{name}.shape")], name)


def _embedding(file: _File, layer: nn.Embedding, value: str, name: str, x: Tensor) -> str:
    return file.node("Gather", [file.weight(layer.weight, f"{name}.weight"), value], name, axis=0)


def _prelu(file: _File, layer: nn.PReLU, value: str, name: str, x: Tensor) -> str:
    slope = layer.weight.detach().numpy()
    if slope.size > 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    return file.node("PRelu", [value, file.weight(slope, f"{name}.weight")], name)


def _relu6(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    low, high = (file.weight(np.asarray(v, x.dtype.name), f"{name}.{v}") for v in (0, 6))
    return file.node("Clip", [value, low, high], name)


def _silu(file: _File, layer: Any, value: str, name: str, x: Tensor) -> str:
    return file.node("Mul", [value, file.node("Sigmoid", [value], name)], name)


def _upsample(file: _File, layer: nn.Upsample, value: str, name: str, x: Tensor) -> str:
    n = x.ndim - 2
    way = "align_corners" if layer.align_corners else "asymmetric" if layer.mode == "nearest" else "pytorch_half_pixel"
    options: dict[str, Any] = {"mode": layer.mode, "coordinate_transformation_mode": way, "nearest_mode": "floor"}
    options = {**options, "axes": list(range(2, x.ndim))}
    if layer.size is not None or layer.align_corners:
        wanted = layer(x).shape[2:]
        sizes = file.weight(np.asarray(wanted, np.int64), f"{name}.sizes")
        return file.node("Resize", [value, "", "", sizes], name, **options)
    scales = file.weight(np.full(n, layer.scale_factor, np.float32), f"{name}.scales")
    return file.node("Resize", [value, "", scales], name, **options)


EXPORTS: list[tuple[Any, Export]] = [
    (nn.Linear, _linear), (nn.Dropout, _nothing), (nn.Flatten, _flatten), (nn.Embedding, _embedding),
    (nn.LayerNorm, _layer_norm), (nn.GroupNorm, _group_norm), (nn.InstanceNorm2d, _instance_norm),
    (nn.LocalResponseNorm, _lrn), (nn.PReLU, _prelu), (nn.SiLU, _silu), (nn.Upsample, _upsample),
    (nn.ReLU, _plain("Relu")), (nn.Tanh, _plain("Tanh")), (nn.Sigmoid, _plain("Sigmoid")), (nn.GELU, _plain("Gelu")),
    (nn.ReLU6, _relu6), (nn.Softplus, _plain("Softplus")), (nn.Hardswish, _plain("HardSwish")),
    (nn.Hardsigmoid, _plain("HardSigmoid", alpha=lambda _: 1 / 6)),
    (nn.Softmax, _plain("Softmax", axis=lambda m: m.axis)),
    (nn.ELU, _plain("Elu", alpha=lambda m: float(m.alpha))),
    (nn.LeakyReLU, _plain("LeakyRelu", alpha=lambda m: float(m.slope))),
    (_Conv, _conv), (_ConvTranspose, _conv_transpose), (_BatchNorm, _batch_norm), (_MaxPool, _max_pool),
    (_AvgPool, _avg_pool), (_AdaptiveAvgPool, _adaptive),
]  # fmt: skip
FUNCTIONS: list[tuple[Any, str]] = [
    (_core.relu, "Relu"), (_core.tanh, "Tanh"), (_core.sigmoid, "Sigmoid"), (_core.gelu, "Gelu"),
    (_core.softplus, "Softplus"), (_core.hardswish, "HardSwish"), (_core.exp, "Exp"), (_core.abs, "Abs"),
]  # fmt: skip
