"""The engine's primitive ops as ONNX nodes: a row each in ``OPS``, by the op's name in the recorder's list.

An op's attributes are read by the names that its row in ``csrc/ops`` gives them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steep._core import Tensor
from steep.display import displayed
from steep.onnx.save_file import TYPES, File
from steep.onnx.table import UnsupportedError


@displayed
@dataclass
class Applied:
    """An application of an op or a whole layer.

    ``others``: results beside the first, of a layer. ``varying``: by attribute, the positions in it that depend on the
    batch size.
    """

    op: str
    attrs: Mapping[str, Any]
    inputs: list[Tensor]
    output: Tensor
    layer: Any = None
    others: list[Tensor] = field(default_factory=list)
    varying: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


Write = Callable[[File, Applied, list[str], str], str]


def _plain(op: str, **attributes: Any) -> Write:
    return lambda file, step, inputs, name: file.node(op, inputs, name, **attributes)


def _twice(outer: str, inner: str) -> Write:
    """``outer`` of ``inner``."""
    return lambda file, step, inputs, name: file.node(outer, [file.node(inner, inputs, name)], name)


def _with_alpha(op: str, attribute: str) -> Write:
    return lambda file, step, inputs, name: file.node(op, inputs, name, alpha=step.attrs[attribute])


def _layer_norm(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """Rows normalised to mean 0 and variance 1, then weight and bias if any."""
    x = step.inputs[0]
    weights = inputs[1:] or [file.constant(np.ones(x.shape[-1], x.dtype.name), f"{name}.ones")]
    return file.node("LayerNormalization", [inputs[0], *weights], name, axis=-1, epsilon=step.attrs["eps"])


def _group_norm(file: File, step: Applied, inputs: list[str], name: str) -> str:
    groups, eps = step.attrs["num_groups"], step.attrs["eps"]
    return file.node("GroupNormalization", inputs, name, epsilon=eps, num_groups=groups)


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


def _bound(past: str, position: int) -> Write:
    """``x``, or a bound where ``x`` is past it: Clip, where the bound is one number."""

    def write(file: File, step: Applied, inputs: list[str], name: str) -> str:
        x, bound = inputs
        if step.inputs[1].ndim == 0 and step.inputs[0].ndim:
            return file.node("Clip", [x, *[""] * (position - 1), bound], name)
        return file.node("Where", [file.node(past, inputs, name), bound, x], name)

    return write


def _astype(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Cast", inputs, name, to=TYPES[step.output.dtype.name])


# -- reductions -------------------------------------------------------------------------------------------------------


def _reduce(op: str) -> Write:
    def write(file: File, step: Applied, inputs: list[str], name: str) -> str:
        axes = file.constant(np.asarray(step.attrs["axes"], np.int64), f"{name}.axes")
        return file.node(op, [*inputs, axes], name, keepdims=int(step.attrs["keepdims"]), noop_with_empty_axes=1)

    return write


def _arg(op: str) -> Write:
    def write(file: File, step: Applied, inputs: list[str], name: str) -> str:
        axes = step.attrs["axes"]
        if len(axes) != 1:
            raise UnsupportedError(f"save: {step.op} over several axes in {name} cannot be written; flatten them first")
        return file.node(op, inputs, name, axis=axes[0], keepdims=int(step.attrs["keepdims"]))

    return write


def _cumsum(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("CumSum", [*inputs, file.constant(np.asarray(-1, np.int64), f"{name}.axis")], name)


# -- shapes -----------------------------------------------------------------------------------------------------------


def _follow(file: File, step: Applied, name: str) -> None:
    """Records that an attribute depends on the batch size in a way that cannot be written."""
    file.fixed = file.fixed or f"{step.op} in {name} depends on the batch size"


def _reshape(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """A size that depends on the batch is 0 if the input has it at the same position, else -1, possible once."""
    sizes, before = list(step.attrs["shape"]), tuple(step.inputs[0].shape)
    varying = step.varying["shape"]
    for i in varying:
        sizes[i] = 0 if i < len(before) and before[i] == sizes[i] and sizes[:i] == list(before[:i]) else -1
    if sizes.count(-1) > 1 or (varying and 0 in step.output.shape):
        sizes = list(step.attrs["shape"])
        _follow(file, step, name)
    return file.node("Reshape", [*inputs, file.constant(np.asarray(sizes, np.int64), f"{name}.shape")], name)


def _broadcast(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """Expand leaves a size unchanged where the target is 1."""
    sizes = list(step.attrs["shape"])
    lead = len(sizes) - step.inputs[0].ndim
    for i in step.varying["shape"]:
        if i >= lead and step.inputs[0].shape[i - lead] == sizes[i] != 1:
            sizes[i] = 1
        else:
            _follow(file, step, name)
    return file.node("Expand", [*inputs, file.constant(np.asarray(sizes, np.int64), f"{name}.shape")], name)


def _slice(file: File, step: Applied, inputs: list[str], name: str) -> str:
    starts, steps, sizes = (step.attrs[key] for key in ("start", "step", "size"))
    before = step.inputs[0].shape
    cut = [d for d in range(len(starts)) if (starts[d], steps[d], sizes[d]) != (0, 1, before[d])]
    if any(not varying.isdisjoint(cut) for varying in step.varying.values()):
        _follow(file, step, name)
    if not cut:
        return file.node("Identity", inputs, name)
    ends = [starts[d] + steps[d] * sizes[d] for d in cut]
    ends = [end if end >= 0 else np.iinfo(np.int64).min for end in ends]
    given = [[starts[d] for d in cut], ends, cut, [steps[d] for d in cut]]
    return file.node("Slice", inputs + [file.constant(np.asarray(v, np.int64), f"{name}.slice") for v in given], name)


def _embed(file: File, step: Applied, inputs: list[str], name: str) -> str:
    starts, steps, full = (step.attrs[key] for key in ("start", "step", "shape"))
    sizes = step.inputs[0].shape
    if any(s != 1 for s, n in zip(steps, sizes, strict=True) if n > 1):
        raise UnsupportedError(f"save: zeros between the elements in {name} cannot be written")
    if any(starts[i] or full[i] != sizes[i] for varying in step.varying.values() for i in varying):
        _follow(file, step, name)
    ends = [whole - start - size for whole, start, size in zip(full, starts, sizes, strict=True)]
    return file.node("Pad", [*inputs, file.constant(np.asarray([*starts, *ends], np.int64), f"{name}.pads")], name)


def _permute(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Transpose", inputs, name, perm=step.attrs["axes"])


def _concat(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Concat", inputs, name, axis=step.attrs["axis"])


# -- products and windows ---------------------------------------------------------------------------------------------


def _window(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """ONNX's attributes of a window: ``Geometry`` in ``csrc/ops/conv.h``."""
    return {"strides": attrs["stride"], "pads": attrs["begin"] + attrs["end"], "dilations": attrs["dilation"]}


def _conv(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Conv", inputs, name, **_window(step.attrs), group=step.attrs["groups"])


def _conv_input(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """ONNX counts the size of the result from the least that the window gives."""
    small, kernel, a = step.inputs[0].shape[2:], step.inputs[1].shape[2:], step.attrs
    spans = [
        (n - 1) * stride - begin - end + dilation * (taps - 1) + 1
        for n, taps, stride, begin, end, dilation in zip(
            small, kernel, a["stride"], a["begin"], a["end"], a["dilation"], strict=True
        )
    ]
    more = [size - span for size, span in zip(a["sizes"], spans, strict=True)]
    return file.node("ConvTranspose", inputs, name, **_window(a), group=a["groups"], output_padding=more)


def _largest(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("MaxPool", inputs, name, kernel_shape=step.attrs["sizes"], **_window(step.attrs))


def _take_rows(file: File, step: Applied, inputs: list[str], name: str) -> str:
    return file.node("Gather", inputs, name, axis=0)


def _wrap_index(file: File, step: Applied, inputs: list[str], name: str) -> str:
    """Positions below 0 count from the end."""
    if step.varying["size"]:
        _follow(file, step, name)
    zero, size = (file.constant(np.asarray(v, np.int64), f"{name}.size") for v in (0, step.attrs["size"]))
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
    "softmax_columns": _plain("Softmax", axis=-2),
    "log_softmax_columns": _plain("LogSoftmax", axis=-2),
    "clip_low": _bound("Less", 1),
    "clip_high": _bound("Greater", 2),
    "rsqrt": _twice("Reciprocal", "Sqrt"),
    "not_equal": _twice("Not", "Equal"),
    "standardize_last": _layer_norm,
    "layer_norm_last": _layer_norm,
    "group_norm_scaled": _group_norm,
    "leaky_relu": _with_alpha("LeakyRelu", "negative_slope"),
    "elu": _with_alpha("Elu", "alpha"),
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
    "euclidean_norm": _reduce("ReduceL2"),
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
    "largest": _largest,
}
