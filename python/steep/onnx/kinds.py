"""Element types of a graph's values as its file means them, where steep holds them otherwise.

Integers of 8 bits and others that steep lacks lie in wider ones, so what arithmetic makes of them is wrapped into their
range (``Node.wraps``). What quantisation makes is held as floats with integer values until something other than
quantised operators reads it (``Node.exact``): so gradients pass through models that are quantised. Start reading at
``note``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.onnx.table import DTYPES, NARROW, OTHER_TYPES, WIDENED, Node, dtype_of

NUMBERS: dict[str, int] = {
    **{name: number for number, name in (*DTYPES.items(), *OTHER_TYPES.items())},
    **{name: number for number, (name, _) in WIDENED.items()},
    **{row.name: number for number, row in NARROW.items()},
}
QUANTISING = frozenset(
    {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}
)
MOVING = frozenset({
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "SpaceToDepth",
    "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip
READING = QUANTISING | {"DequantizeLinear", "Cast", "CastLike"}  # take such floats as they are
WITHIN = MOVING | QUANTISING | frozenset({
    "Clip", "Compress", "Constant", "ConstantOfShape", "GatherElements", "GatherND", "If", "Loop", "Max", "Min", "Mod",
    "OneHot", "Pad", "Relu", "ReduceMax", "ReduceMin", "ReverseSequence", "Scan", "Scatter", "Sign", "TopK", "Trilu",
    "Unique", "Where",
})  # fmt: skip


def note(node: Node, schema: Any, kinds: dict[str, int], held: set[str]) -> None:
    """Finds the element types of a node's outputs.

    Args:
        node: the node, which is changed.
        schema: what the package onnx says of its operator.
        kinds: the numbers of the types of values by name; those of the outputs are added.
        held: names of values that are floats instead of integers; those of the outputs are added.
    """
    node.kinds = tuple(_outputs(node, schema, kinds))
    kinds.update({name: number for name, number in zip(node.outputs, node.kinds, strict=False) if name and number})
    if node.op not in WITHIN and any(number in NARROW for number in node.kinds):
        node.wraps = tuple(number if number in NARROW else 0 for number in node.kinds)
    carries = node.op in MOVING and any(name in held for name in node.inputs)
    if node.op in QUANTISING or carries:
        held.update(
            name for name, number in zip(node.outputs, node.kinds, strict=True) if name and number not in (0, 1)
        )
    elif node.op not in READING:
        node.exact = exact(node.inputs, kinds, held)


def exact(names: Iterable[str], kinds: dict[str, int], held: set[str]) -> tuple[tuple[int, Any], ...]:
    """The positions of values that are floats instead of integers, each with the dtype of these."""
    return tuple((i, dtype_of(kinds[name], name)) for i, name in enumerate(names) if name in held)


def _outputs(node: Node, schema: Any, kinds: dict[str, int]) -> Iterable[int]:
    if node.bodies:
        body = next(iter(node.bodies.values()))
        names = body.outputs[1:] if node.op == "Loop" else body.outputs  # the first says whether to go on
        return [body.kinds.get(name, 0) for name in names][: len(node.outputs)]
    return _by_schema(node, schema, kinds)


def _by_schema(node: Node, schema: Any, kinds: dict[str, int]) -> Iterable[int]:
    bound: dict[str, int] = {}
    for i, name in enumerate(node.inputs):
        if kinds.get(name):
            bound.setdefault(schema.inputs[min(i, len(schema.inputs) - 1)].type_str, kinds[name])
    alone = {c.type_param_str: c.allowed_type_strs[0] for c in schema.type_constraints if len(c.allowed_type_strs) == 1}
    for i in range(len(node.outputs)):
        kind = schema.outputs[min(i, len(schema.outputs) - 1)].type_str
        asked = next((node[key] for key in ("to", "output_dtype", "dtype") if node[key]), 0)
        yield bound.get(kind) or (asked if i == 0 else 0) or _named(alone.get(kind, kind)) or _default(node)


def _named(kind: str) -> int:
    """The number of a type such as "tensor(int32)"; 0 for a parameter."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return NUMBERS.get({"float": "float32", "double": "float64"}.get(name, name), 0)


def _default(node: Node) -> int:
    return NUMBERS["uint8"] if node.op == "QuantizeLinear" else 0


def as_integers(value: Any, dtype: Any) -> Any:
    """Floats with integer values, as integers."""
    return value.astype(dtype) if isinstance(value, Tensor) else value.astype(dtype.name)


def wrapped(value: Any, number: int) -> Any:
    """Integers taken into the range of their type, as its own arithmetic would leave them."""
    if not number or not isinstance(value, Tensor):
        return value
    row = NARROW[number]
    return _core.remainder(value - row.low, 1 << row.bits) + row.low
