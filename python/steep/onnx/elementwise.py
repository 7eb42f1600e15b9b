"""Elementwise operators: arithmetic, comparison, logic, activations, casts.

Most are ops of the core under another name, listed in the tables at the end. Integer division rounds towards zero, as
in ONNX.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, dtype_of, number, op, simple

NONE = "none: the result is not continuous in its inputs"
ZERO = "zero everywhere"


def _is_float(x: Tensor) -> bool:
    return x.dtype.kind == "f" or x.dtype == _core.bfloat16


@op("Div")
def divide(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """a / b; integers are rounded towards zero."""
    if _is_float(a):
        return _core.divide(a, b)
    if a.dtype == _core.uint8:
        return _core.floor_divide(a, b)
    down = _core.floor_divide(a, b)
    short = _core.logical_and(_core.not_equal(down * b, a), _core.less(down, 0))
    return down + short.astype(down.dtype)


@op("Mod")
def mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """The remainder, with the sign of b, or of a where fmod is set."""
    if not node["fmod"]:
        return _core.remainder(a, b)
    if a.dtype == _core.uint8:
        return _core.remainder(a, b)
    size = _core.remainder(_core.abs(a), _core.abs(b))
    return _core.where(_core.less(a, 0), -size, size)


@op("Pow")
def power(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """a to the power b, in a's type."""
    if a.dtype == b.dtype:
        return _core.pow(a, b)
    if _is_float(a):
        return _core.pow(a, b.astype(a.dtype))
    return _core.pow(a.astype("float64"), b.astype("float64")).astype(a.dtype)


@op("Max")
def largest(node: Node, *inputs: Tensor) -> Tensor:
    """The largest of several, broadcast."""
    return reduce(_core.maximum, inputs)


@op("Min")
def smallest(node: Node, *inputs: Tensor) -> Tensor:
    """The smallest of several, broadcast."""
    return reduce(_core.minimum, inputs)


@op("Sum")
def total(node: Node, *inputs: Tensor) -> Tensor:
    """The sum of several, broadcast."""
    return reduce(_core.add, inputs)


@op("Mean")
def mean(node: Node, *inputs: Tensor) -> Tensor:
    """The mean of several, broadcast."""
    return reduce(_core.add, inputs) / len(inputs)


@op("Clip", until=10)
def clip_attributes(node: Node, x: Tensor) -> Tensor:
    """x between the attributes min and max."""
    y = _core.relu(x) if node["min"] == 0 and _is_float(x) else _core.maximum(x, node["min"])
    return _core.minimum(y, node["max"])


@op("Clip", since=11, state=(1, 2))
def clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """x between two bounds, either of which may be missing; the upper one wins where they cross."""
    if low is None:
        y = x
    else:
        y = _core.relu(x) if _is_float(x) and _always_zero(low) else _core.clip(x, low, None)
    return y if high is None else _core.clip(y, None, high)


def _always_zero(bound: Tensor) -> bool:
    """Whether a bound is the constant 0: then Clip is a ReLU, and rules for ReLUs apply."""
    if bound.requires_grad or not bound.is_leaf:
        return False
    with _core._unrecorded():
        return not np.any(bound.numpy())


def _cast(x: Tensor, dtype: Any) -> Tensor:
    if dtype == _core.bool:
        return _core.not_equal(x, 0) if x.dtype != _core.bool else x
    return x.astype(dtype)


@op("Cast")
def cast(node: Node, x: Tensor) -> Tensor:
    """x in another type."""
    return _cast(x, dtype_of(node["to"], "the result of Cast"))


@op("CastLike")
def cast_like(node: Node, x: Tensor, like: Tensor) -> Tensor:
    """x in the type of another."""
    return _cast(x, like.dtype)


@op("BitShift", gradient=NONE, forms={"direction": ("LEFT", "RIGHT")})
def bit_shift(node: Node, x: Tensor, by: Tensor) -> Tensor:
    """Bits moved left or right."""
    left = node["direction"] == "LEFT"
    return (_core.bitwise_left_shift if left else _core.bitwise_right_shift)(x, by)


@op("IsInf", gradient=NONE)
def is_inf(node: Node, x: Tensor) -> Tensor:
    """Whether x is an infinity of a requested sign."""
    positive = _core.equal(x, np.inf) if node["detect_positive"] else _core.zeros(x.shape, dtype="bool")
    return _core.logical_or(positive, _core.equal(x, -np.inf)) if node["detect_negative"] else positive


@op("Elu")
def elu(node: Node, x: Tensor) -> Tensor:
    """alpha * (exp(x) - 1) below 0."""
    return _core.elu(x, node["alpha"])


@op("Celu")
def celu(node: Node, x: Tensor) -> Tensor:
    """The continuously differentiable elu."""
    alpha = node["alpha"]
    return _core.maximum(x, 0) + _core.minimum(alpha * _core.expm1(_core.minimum(x, 0) / alpha), 0)


@op("Selu")
def selu(node: Node, x: Tensor) -> Tensor:
    """gamma * elu(x, alpha)."""
    return _core.multiply(_core.elu(x, node["alpha"]), node["gamma"])


@op("LeakyRelu")
def leaky_relu(node: Node, x: Tensor) -> Tensor:
    """alpha * x below 0."""
    return _core.leaky_relu(x, node["alpha"])


@op("ThresholdedRelu")
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    """x above alpha, else 0."""
    return _core.where(_core.greater(x, node["alpha"]), x, 0.0)


@op("PRelu")
def prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """slope * x below 0; ``slope``, ONNX's name, broadcasts."""
    return _core.where(_core.greater_equal(x, 0), x, slope * x)


@op("HardSigmoid")
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """alpha * x + beta between 0 and 1."""
    return _core.clip(node["alpha"] * x + node["beta"], 0.0, 1.0)


@op("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    """x moved towards 0 by bias outside of [-lambd, lambd], 0 within."""
    lambd, bias = node["lambd"], node["bias"]
    down = _core.where(_core.greater(x, lambd), (x - bias).astype(x.dtype), _core.zeros_like(x))
    return _core.where(_core.less(x, -lambd), (x + bias).astype(x.dtype), down)


@op("Gelu", forms={"approximate": ("none", "tanh")})
def gelu(node: Node, x: Tensor) -> Tensor:
    """x * Phi(x), or its approximation by tanh."""
    if node["approximate"] != "tanh":
        return _core.gelu(x)
    inner = float(np.sqrt(2 / np.pi)) * (x + 0.044715 * (x * x * x))
    return 0.5 * x * (1 + _core.tanh(inner))


@op("Swish")
def swish(node: Node, x: Tensor) -> Tensor:
    """x * sigmoid(alpha * x)."""
    return x * _core.sigmoid(node["alpha"] * x)


@op("Dropout", until=11, host=(1, 2))
def dropout_of_inference(node: Node, x: Tensor) -> Value:
    """x itself: dropout is for training."""
    return (x, _core.ones(x.shape, dtype="bool")) if node.wants(1) else x


@op("Dropout", since=12, host=(1, 2))
def dropout(node: Node, x: Tensor, ratio: Value = None, training: Value = None) -> Value:
    """x itself, outside of training mode or at ratio 0."""
    if number(training, 0) and number(ratio, 0.5):
        raise node.refuse("training mode, which draws random numbers,")
    return (x, _core.ones(x.shape, dtype="bool")) if node.wants(1) else x


@op("Relu")
def relu(node: Node, x: Tensor) -> Tensor:
    """x where positive, else 0; exact for integers."""
    return _core.relu(x) if _is_float(x) else _core.maximum(x, 0)


@op("Identity", sequences=True)
def identity(node: Node, x: Value) -> tuple[Value]:
    """x itself, also a sequence."""
    return (x,)


@op("HardSwish")
def hard_swish(node: Node, x: Tensor) -> Tensor:
    """x * hard_sigmoid(x) with alpha = 1/6."""
    return _core.hardswish(x)


simple({
    "Abs": _core.abs, "Acos": _core.acos, "Acosh": _core.acosh, "Add": _core.add, "Asin": _core.asin,
    "Asinh": _core.asinh, "Atan": _core.atan, "Atanh": _core.atanh, "Cos": _core.cos, "Cosh": _core.cosh,
    "Erf": _core.erf, "Exp": _core.exp, "Log": _core.log,
    "Mish": lambda x: x * _core.tanh(_core.softplus(x)), "Mul": _core.multiply, "Neg": _core.negative,
    "Reciprocal": _core.reciprocal, "Sigmoid": _core.sigmoid,
    "Sin": _core.sin, "Sinh": _core.sinh, "Softplus": _core.softplus, "Softsign": lambda x: x / (1 + _core.abs(x)),
    "Sqrt": _core.sqrt, "Sub": _core.subtract, "Tan": _core.tan, "Tanh": _core.tanh, "Where": _core.where,
})  # fmt: skip
simple({"Ceil": _core.ceil, "Floor": _core.floor, "Round": _core.round, "Sign": _core.sign}, gradient=ZERO)
simple({
    "And": _core.logical_and, "BitwiseAnd": _core.bitwise_and, "BitwiseNot": _core.bitwise_invert,
    "BitwiseOr": _core.bitwise_or, "BitwiseXor": _core.bitwise_xor, "Equal": _core.equal, "Greater": _core.greater,
    "GreaterOrEqual": _core.greater_equal, "IsNaN": _core.isnan, "Less": _core.less,
    "LessOrEqual": _core.less_equal, "Not": _core.logical_not, "Or": _core.logical_or, "Xor": _core.logical_xor,
}, gradient=NONE)  # fmt: skip
