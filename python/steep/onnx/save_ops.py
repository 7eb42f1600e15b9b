"""The engine's primitive ops as ONNX nodes: a row each in ``OPS``, by the op's name in the recorder's list.

An op's attributes are integers, doubles by their bits; their meaning is documented in the op's file in ``csrc/ops``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steep._core import Tensor
from steep.onnx.save_file import TYPES, File
from steep.onnx.table import UnsupportedError


@dataclass
class Applied:
    """An application of an op or a whole layer.

    ``makers``: what computed its inputs, None if independent of the module's input. ``varying``: indices of the
    attributes that depend on the batch size.
    """

    op: str
    attrs: list[int]
    inputs: list[Tensor]
    output: Tensor
    layer: Any = None
    makers: list[Applied | None] = field(default_factory=list)
    varying: set[int] = field(default_factory=set)


Write = Callable[[File, Applied, list[str], str], str]


def _plain(op: str, **attributes: Any) -> Write:
    return lambda file, step, inputs, name: file.node(op, inputs, name, **attributes)


def _twice(outer: str, inner: str) -> Write:
    """``outer`` of ``inner``."""
    return lambda file, step, inputs, name: file.node(outer, [file.node(inner, inputs, name)], name)


def _real(bits: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return value


def _with_alpha(op: str) -> Write:
    return lambda file, step, inputs, name: file.node(op, inputs, name, alpha=_real(step.attrs[0]))


def _layer_norm(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """Rows normalised to mean 0 and variance 1, then weight and bias if any."""
    x = step.inputs[0]
    weights = inputs[1:] or [file.constant(np.ones(x.shape[-1], x.dtype.name), f"{name}.ones")]
    return file.node("LayerNormalization", [inputs[0], *weights], name, axis=-1, epsilon=_real(step.attrs[0]))


def _one(file: File, step: Applied, name: str) -> str:
    return file.constant(np.asarray(1, step.output.dtype.name), name)


def _square(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Mul", inputs * 2, name)


def _silu(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Mul", [*inputs, file.node("Sigmoid", inputs, name)], name)


def _expm1(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Sub", [file.node("Exp", inputs, name), _one(file, step, name)], name)


def _log1p(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Log", [file.node("Add", [*inputs, _one(file, step, name)], name)], name)


def _isfinite(file: File, step: Applied, inputs: list[str], name: str) -> str:
    either = file.node("Or", [file.node("IsInf", inputs, name), file.node("IsNaN", inputs, name)], name)
    return file.node("Not", [either], name)


def _remainder(file: File, step: Applied, inputs: list[str], name: str) -> str:
    if step.output.dtype.name.startswith("int"):
        return file.node("Mod", inputs, name)
    whole = file.node("Floor", [file.node("Div", inputs, name)], name)
    return file.node("Sub", [inputs[0], file.node("Mul", [whole, inputs[1]], name)], name)


def _floor_divide(file: File, step: Applied, inputs: list[str], name: str) -> str:
    if step.output.dtype.name.startswith("int"):
        raise UnsupportedError(f"save: floor_divide of integers in {name} cannot be written")
    return file.node("Floor", [file.node("Div", inputs, name)], name)


def _astype(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Cast", inputs, name, to=TYPES[step.output.dtype.name])


# -- reductions -------------------------------------------------------------------------------------------------------


def _axes(step: Applied) -> list[int]:
    return [d for d in range(step.inputs[0].ndim) if step.attrs[0] >> d & 1]


def _reduce(op: str) -> Write:
    def write(file: File, step: Applied, inputs: list[str], name: str) -> str:
        axes = file.constant(np.asarray(_axes(step), np.int64), f"{name}.axes")
        return file.node(op, [*inputs, axes], name, keepdims=step.attrs[1], noop_with_empty_axes=1)

    return write


def _arg(op: str) -> Write:
    def write(file: File, step: Applied, inputs: list[str], name: str) -> str:
        axes = _axes(step)
        if len(axes) != 1:
            raise UnsupportedError(f"save: {step.op} over several axes in {name} cannot be written; flatten them first")
        return file.node(op, inputs, name, axis=axes[0], keepdims=step.attrs[1])

    return write


def _cumsum(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("CumSum", [*inputs, file.constant(np.asarray(-1, np.int64), f"{name}.axis")], name)


# -- shapes -----------------------------------------------------------------------------------------------------------


def _follow(file: File, step: Applied, name: str) -> None:
    """Records that an attribute depends on the batch size in a way that cannot be written."""
    file.fixed = file.fixed or f"{step.op} in {name} depends on the batch size"


def _reshape(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """A size that depends on the batch is 0 if the input has it at the same position, else -1, possible once."""
    sizes, before = list(step.attrs), tuple(step.inputs[0].shape)
    for i in step.varying:
        sizes[i] = 0 if i < len(before) and before[i] == sizes[i] and sizes[:i] == list(before[:i]) else -1
    if sizes.count(-1) > 1 or (step.varying and 0 in step.output.shape):
        sizes = list(step.attrs)
        _follow(file, step, name)
    return file.node("Reshape", [*inputs, file.constant(np.asarray(sizes, np.int64), f"{name}.shape")], name)


def _broadcast(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """Expand leaves a size unchanged where the target is 1."""
    sizes, lead = list(step.attrs), len(step.attrs) - step.inputs[0].ndim
    for i in step.varying:
        if i >= lead and step.inputs[0].shape[i - lead] == sizes[i] != 1:
            sizes[i] = 1
        else:
            _follow(file, step, name)
    return file.node("Expand", [*inputs, file.constant(np.asarray(sizes, np.int64), f"{name}.shape")], name)


def _parts(step: Applied) -> tuple[list[int], list[int], list[int]]:
    n = step.inputs[0].ndim
    return step.attrs[:n], step.attrs[n : 2 * n], step.attrs[2 * n :]


def _slice(file: File, step: Applied, inputs: list[str], name: str) -> str:
    starts, steps, sizes = _parts(step)
    before = step.inputs[0].shape
    cut = [d for d in range(len(starts)) if (starts[d], steps[d], sizes[d]) != (0, 1, before[d])]
    if any(i % len(starts) in cut for i in step.varying):
        _follow(file, step, name)
    if not cut:
        return file.node("Identity", inputs, name)
    ends = [starts[d] + steps[d] * sizes[d] for d in cut]
    ends = [end if end >= 0 else np.iinfo(np.int64).min for end in ends]
    given = [[starts[d] for d in cut], ends, cut, [steps[d] for d in cut]]
    return file.node("Slice", inputs + [file.constant(np.asarray(v, np.int64), f"{name}.slice") for v in given], name)


def _embed(file: File, step: Applied, inputs: list[str], name: str) -> str:
    starts, steps, full = _parts(step)
    sizes = step.inputs[0].shape
    if any(s != 1 for s, n in zip(steps, sizes, strict=True) if n > 1):
        raise UnsupportedError(f"save: zeros between the elements in {name} cannot be written")
    n = len(starts)
    if any(starts[i % n] or full[i % n] != sizes[i % n] for i in step.varying):
        _follow(file, step, name)
    ends = [whole - start - size for whole, start, size in zip(full, starts, sizes, strict=True)]
    return file.node("Pad", [*inputs, file.constant(np.asarray([*starts, *ends], np.int64), f"{name}.pads")], name)


def _permute(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Transpose", inputs, name, perm=step.attrs)


def _concat(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Concat", inputs, name, axis=step.attrs[0])


# -- products and windows ---------------------------------------------------------------------------------------------


def _window(attrs: Sequence[int]) -> tuple[dict[str, Any], list[int]]:
    """ONNX's attributes of a geometry, and the sizes after it: ``Geometry::attrs`` in ``csrc/ops/conv.cpp``."""
    n, groups, _, *rest = attrs  # the third is the precision of products
    stride, begin, end, dilation, sizes = (rest[i * n : (i + 1) * n] for i in range(5))
    return {"strides": stride, "pads": begin + end, "dilations": dilation, "group": groups}, sizes


def _conv(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Conv", inputs, name, **_window(step.attrs)[0])


def _conv_input(file: File, step: Applied, inputs: list[str], name: str) -> str:
    given, sizes = _window(step.attrs)
    n, small, kernel = step.attrs[0], step.inputs[0].shape[2:], step.inputs[1].shape[2:]
    pads = [given["pads"][i] + given["pads"][n + i] for i in range(n)]
    least = [
        (small[i] - 1) * given["strides"][i] - pads[i] + given["dilations"][i] * (kernel[i] - 1) + 1 for i in range(n)
    ]
    more = [size - at for size, at in zip(sizes, least, strict=True)]
    return file.node("ConvTranspose", inputs, name, **given, output_padding=more)


def _positions(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return ""  # MaxPool is written where elements are gathered at them


def _take_planes(file: File, step: Applied, inputs: list[str], name: str) -> str:
    found = step.makers[1]
    if found is None or found.op != "largest_positions" or inputs[1]:
        raise UnsupportedError(f"save: elements taken by position in {name} cannot be written")
    given, window = _window(found.attrs)
    del given["group"]
    return file.node("MaxPool", inputs[:1], name, kernel_shape=window, **given)


def _take_rows(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Gather", inputs, name, axis=0)


def _wrap_index(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """Positions below 0 count from the end."""
    if 0 in step.varying:
        _follow(file, step, name)
    zero, size = (file.constant(np.asarray(v, np.int64), f"{name}.size") for v in (0, step.attrs[0]))
    below = file.node("Less", [*inputs, zero], name)
    return file.node("Where", [below, file.node("Add", [*inputs, size], name), *inputs], name)


def _copy(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return inputs[0]


_NAMES = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh",
    "atanh": "Atanh", "tanh": "Tanh", "sigmoid": "Sigmoid", "erf": "Erf", "softplus": "Softplus", "gelu": "Gelu",
    "hardswish": "HardSwish", "relu": "Relu", "negative": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor",
    "ceil": "Ceil", "round": "Round", "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "pow": "Pow",
    "minimum": "Min", "maximum": "Max", "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual",
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or",
    "logical_xor": "Xor", "logical_not": "Not", "isnan": "IsNaN", "isinf": "IsInf", "where": "Where",
    "matmul": "MatMul",
}  # fmt: skip

OPS: dict[str, Write] = {
    **{name: _plain(op) for name, op in _NAMES.items()},
    "hardsigmoid": _plain("HardSigmoid", alpha=1 / 6),
    "softmax_last": _plain("Softmax", axis=-1),
    "log_softmax_last": _plain("LogSoftmax", axis=-1),
    "rsqrt": _twice("Reciprocal", "Sqrt"),
    "not_equal": _twice("Not", "Equal"),
    "standardize_last": _layer_norm,
    "layer_norm_last": _layer_norm,
    "leaky_relu": _with_alpha("LeakyRelu"),
    "elu": _with_alpha("Elu"),
    "square": _square,
    "silu": _silu,
    "expm1": _expm1,
    "log1p": _log1p,
    "isfinite": _isfinite,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "astype": _astype,
    "copy": _copy,
    "wrap_index": _wrap_index,
    "sum": _reduce("ReduceSum"),
    "prod": _reduce("ReduceProd"),
    "max": _reduce("ReduceMax"),
    "min": _reduce("ReduceMin"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "cumsum_last": _cumsum,
    "reshape": _reshape,
    "permute_dims": _permute,
    "broadcast_to": _broadcast,
    "slice": _slice,
    "embed": _embed,
    "concat": _concat,
    "take_rows": _take_rows,
    "conv": _conv,
    "conv_input": _conv_input,
    "largest_positions": _positions,
    "take_planes": _take_planes,
}
