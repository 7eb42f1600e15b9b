"""The table from ONNX operators to functions, and the arguments of such a function.

A function takes the node (its attributes, with the schema's defaults filled in) and the values of its inputs, None for
those left out; it returns one value or a tuple. A value is a tensor, or a NumPy array if it does not depend on the
values of inputs: shapes, constants, and what follows from them. Families of operators fill the table as they are
imported, in ``operators.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from steep import _core
from steep._core import Tensor

Value: TypeAlias = Any  # Tensor, np.ndarray or None
Function: TypeAlias = Callable[..., Any]
NEWEST = 10**6


class UnsupportedError(ValueError):
    """A model uses an operator, a type, or a form of one that steep does not support. The message names it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)


@dataclass(frozen=True)
class Row:
    """One operator over a range of opsets.

    ``host``: inputs that must be known on the host (sizes, axes); ``state``: inputs that are statistics or bounds, so
    that initializers there are buffers and not parameters; ``gradient``: a remark on its gradient.
    """

    function: Function
    since: int = 1
    until: int = NEWEST
    host: tuple[int, ...] = ()
    state: tuple[int, ...] = ()
    gradient: str = ""
    sized: bool = False
    forms: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    outputs: int = NEWEST
    sequences: bool = False


@dataclass
class Node:
    """One node of a graph, checked: the operator's name, attributes, and the names of values in and out."""

    name: str
    op: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    row: Row
    required: int = 0
    finished: tuple[str, ...] = field(default=())
    kinds: tuple[int, ...] = field(default=())  # element types of the outputs as the file means them; 0 if unknown
    wraps: tuple[int, ...] = field(default=())  # of integers that arithmetic may take out of their range
    exact: tuple[tuple[int, Any], ...] = field(default=())  # inputs to be made integers, and their dtype; see kinds.py
    bodies: dict[str, Any] = field(default_factory=dict)  # graphs that it runs
    outer: tuple[str, ...] = field(default=())  # values that these take from around the node

    def __getitem__(self, key: str) -> Any:
        return self.attributes.get(key)

    def wants(self, output: int) -> bool:
        """Whether the output with this index is requested."""
        return output < len(self.outputs) and bool(self.outputs[output])

    def refuse(self, what: str) -> UnsupportedError:
        """The error for an unsupported form of the operator."""
        return UnsupportedError(f"{self.op}: {what} is not supported")


TABLE: dict[str, list[Row]] = {}


def op(
    *names: str,
    since: int = 1,
    until: int = NEWEST,
    host: tuple[int, ...] = (),
    state: tuple[int, ...] = (),
    gradient: str = "",
    sized: bool = False,
    forms: Mapping[str, tuple[Any, ...]] | None = None,
    outputs: int = NEWEST,
    sequences: bool = False,
) -> Callable[[Function], Function]:
    """Put a function into the table under ONNX names, for opsets from ``since`` to ``until``.

    ``sized``: its result may be far larger than its inputs, so it is not folded while loading. ``forms``: the values
    of attributes, or the items of lists, that are supported, ``outputs``: how many are; others are refused before
    anything runs. ``sequences``: it takes sequences of tensors.
    """

    def put(function: Function) -> Function:
        for name in names:
            TABLE.setdefault(name, []).append(
                Row(function, since, until, host, state, gradient, sized, forms or {}, outputs, sequences)
            )
        return function

    return put


def simple(rows: dict[str, Function], gradient: str = "") -> None:
    """Put functions of the inputs alone into the table."""
    for name, function in rows.items():
        op(name, gradient=gradient)(lambda node, *inputs, f=function: f(*inputs))


def find(name: str, opset: int) -> Row | None:
    """The row of an operator at an opset."""
    return next((row for row in TABLE.get(name, ()) if row.since <= opset <= row.until), None)


class Narrow(NamedTuple):
    """An integer type that steep holds in a wider one: its name, steep's dtype, and how many bits it has."""

    name: str
    held: str
    bits: int

    @property
    def low(self) -> int:
        """The least value."""
        return 0 if self.name.startswith("u") else -(1 << (self.bits - 1))

    @property
    def high(self) -> int:
        """The largest value."""
        return self.low + (1 << self.bits) - 1


# ONNX's numbers of the element types that steep has, and of those that it stores in a wider one (TensorProto.DataType).
DTYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 9: "bool", 11: "float64", 16: "bfloat16"}
WIDENED = {10: ("float16", "float32")}
NARROW = {
    3: Narrow("int8", "int32", 8), 4: Narrow("uint16", "int32", 16), 5: Narrow("int16", "int32", 16),
    12: Narrow("uint32", "int64", 32), 21: Narrow("uint4", "uint8", 4), 22: Narrow("int4", "int32", 4),
    25: Narrow("uint2", "uint8", 2), 26: Narrow("int2", "int32", 2),
}  # fmt: skip
OTHER_TYPES = {
    8: "string", 13: "uint64", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 23: "float4e2m1", 24: "float8e8m0",
}  # fmt: skip
HELD = {row.name: row.held for row in NARROW.values()}  # steep's dtype for NumPy's that it lacks


def dtype_of(number: int, where: str) -> Any:
    """steep's dtype for an ONNX type number. Raises UnsupportedError naming the type and where it is."""
    if number in WIDENED:
        return getattr(_core, WIDENED[number][1])
    if number in NARROW:
        return getattr(_core, NARROW[number].held)
    if number not in DTYPES:
        name = OTHER_TYPES.get(number, f"number {number}")
        raise UnsupportedError(f"{where} has element type {name}; steep has {', '.join(DTYPES.values())}")
    return getattr(_core, DTYPES[number])


def ints(value: Value, what: str = "sizes") -> list[int]:
    """Python ints out of a vector (or a single number) on the host."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise ValueError(f"{what} must be a vector of integers, got {array.dtype}{array.shape}")
    return [int(i) for i in array.reshape(-1)]


def number(value: Value, default: float = 0.0) -> Any:
    """A Python number out of an array of one element on the host; ``default`` for None."""
    if value is None:
        return default
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(f"a single number is needed, got an array of shape {array.shape}")
    return array.reshape(-1)[0].item()


def axis_of(axis: int, ndim: int) -> int:
    """An axis counted from the front. Raises ValueError outside the range."""
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"axis {axis} is out of range for {ndim} dimensions")
    return axis % ndim if ndim else 0


def root(x: Tensor, p: float) -> Tensor:
    """The p-th root of sums of powers, with the derivative 0 at 0, a subgradient, instead of infinity."""
    floats = x.dtype.kind == "f" or x.dtype == _core.bfloat16
    if p == 1 or not floats:
        return x if p == 1 else _core.sqrt(x)
    none = _core.equal(x, 0)
    safe = _core.where(none, _core.ones_like(x), x)
    return _core.where(none, _core.zeros_like(x), _core.sqrt(safe) if p == 2 else _core.pow(safe, 1 / p))


def constant_like(value: float, x: Tensor) -> Tensor:
    """A number as a 0-d tensor of x's dtype."""
    return _core.full((), value, dtype=x.dtype)
