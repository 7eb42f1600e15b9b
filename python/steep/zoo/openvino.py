"""Networks in OpenVINO's intermediate representation, read as data: a graph in XML, and one file with its constants.

Each operator is a row of ``OPERATORS``. What a graph computes of shapes is computed with NumPy at each call, so that a
graph that was exported for one sample runs for any number. Start reading at ``read_graph``; the format is described at
docs.openvino.ai, "Intermediate Representation".
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET  # entities are never fetched, and the file's sha256 is pinned
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.io.malformed import DAMAGE
from steep.nn import functional
from steep.nn.module import Module

DTYPES: dict[str, Any] = {
    "f32": np.dtype("<f4"),
    "i64": np.dtype("<i8"),
    "i32": np.dtype("<i4"),
    "boolean": np.dtype("?"),
}
Value = Any  # a Tensor, or an array of integers
Port = tuple[str, str]  # of a node: its id and the port's


@dataclass(frozen=True)
class Node:
    """An operation of a graph.

    Attributes:
        id: its number in the file.
        name: its name.
        kind: its operator.
        options: its attributes.
        inputs: where its inputs come from.
        outputs: its ports.
    """

    id: str
    name: str
    kind: str
    options: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[str, ...]

    def numbers(self, option: str) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(part) for part in self.options[option].split(",")]


class Graph(Module):
    """A graph as a module: one input, one output, and every node by name.

    Args:
        nodes: the nodes, each after those that it depends on.
        constants: arrays by the id of their node.
    """

    def __init__(self, nodes: Sequence[Node], constants: Mapping[str, NDArray[Any]]) -> None:
        self.nodes = tuple(nodes)
        self.integers = {key: array for key, array in constants.items() if array.dtype.kind != "f"}
        self.names = {node.name: node for node in nodes}
        for key, array in constants.items():
            if array.dtype.kind == "f":
                setattr(self, f"constant{key}", _core.tensor(array))

    def forward(self, x: Any, until: str = "") -> Tensor:
        """The output.

        Args:
            x: the input.
            until: name of the node whose first output is wanted in place of the graph's.

        Returns:
            A tensor.

        Raises:
            ValueError: for a name that no node has.
        """
        if until and until not in self.names:
            raise ValueError(f"the graph has no node {until!r}")
        values: dict[Port, Value] = {}
        for node in self.nodes:
            inputs = [values[port] for port in node.inputs]
            if node.kind == "Parameter":
                found: Any = _core.asarray(x)
            elif node.kind == "Const":
                found = self.integers.get(node.id) if node.id in self.integers else getattr(self, f"constant{node.id}")
            elif node.kind == "Result":
                result: Tensor = inputs[0]
                return result
            else:
                found = OPERATORS[node.kind](node, *inputs)
            if node.name == until:
                first: Tensor = found[0] if isinstance(found, tuple) else found
                return first
            for port, value in zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=True):
                values[node.id, port] = value
        raise ValueError("the graph has no result")


def read_graph(xml: bytes, constants: bytes) -> Graph:
    """A graph from its two files.

    Args:
        xml: the graph.
        constants: the bytes of its constants.

    Returns:
        A ``Graph``.

    Raises:
        ValueError: if they are malformed, or an operator is not known, naming it.
    """
    try:
        root = ET.fromstring(xml)
        layers = {layer.attrib["id"]: layer for layer in root.iterfind("layers/*")}
        edges = {
            (e.attrib["to-layer"], e.attrib["to-port"]): (e.attrib["from-layer"], e.attrib["from-port"])
            for e in root.iterfind("edges/*")
        }
        nodes = _ordered({key: _node(layer, edges) for key, layer in layers.items()})
        arrays = {key: _constant(layer, constants) for key, layer in layers.items() if layer.attrib["type"] == "Const"}
    except (*DAMAGE, ET.ParseError) as error:
        raise ValueError(f"not a graph of OpenVINO: {type(error).__name__}: {error}") from None
    strange = sorted({node.kind for node in nodes} - OPERATORS.keys() - {"Parameter", "Const", "Result"})
    if strange:
        raise ValueError(f"the graph has operators that steep does not know: {strange}")
    return Graph(nodes, arrays)


def _node(layer: ET.Element, edges: Mapping[Port, Port]) -> Node:
    attributes, options = layer.attrib, layer.find("data")
    ports = {side: [port.attrib["id"] for port in layer.iterfind(f"{side}/*")] for side in ("input", "output")}
    inputs = tuple(edges[attributes["id"], port] for port in ports["input"])
    given = {} if options is None else dict(options.attrib)
    return Node(attributes["id"], attributes["name"], attributes["type"], given, inputs, tuple(ports["output"]))


def _constant(layer: ET.Element, constants: bytes) -> NDArray[Any]:
    options = layer.find("data")
    given = {} if options is None else options.attrib
    dtype, shape = DTYPES[given["element_type"]], [int(size) for size in given["shape"].split(",") if size.strip()]
    first, size = int(given["offset"]), int(given["size"])
    if size != math.prod(shape) * dtype.itemsize or first + size > len(constants) or first < 0:
        raise ValueError(f"the constant {layer.attrib['name']} of shape {shape} does not fit its {size} bytes")
    values: NDArray[Any] = np.frombuffer(constants, dtype, math.prod(shape), first).reshape(shape)
    return values


def _ordered(nodes: Mapping[str, Node]) -> list[Node]:
    """The nodes, each after those that it depends on. Raises ValueError for a cycle."""
    waiting = {key: {source for source, _ in node.inputs} for key, node in nodes.items()}
    order: list[Node] = []
    while waiting:
        free = [key for key, sources in waiting.items() if not sources & waiting.keys()]
        if not free:
            raise ValueError("the graph has a cycle")
        order += [nodes[key] for key in free]
        for key in free:
            del waiting[key]
    return order


# -- operators --------------------------------------------------------------------------------------------------------


def _integers(value: Value) -> list[int]:
    return [int(number) for number in np.ravel(np.asarray(value))]


def _either(of_tensors: Callable[..., Any], of_arrays: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of tensors, or of arrays where all inputs are integers."""

    def apply(node: Node, *inputs: Value) -> Any:
        whole = all(isinstance(value, np.ndarray) for value in inputs)
        return of_arrays(node, *inputs) if whole else of_tensors(node, *inputs)

    return apply


def _reshape(node: Node, x: Value, shape: Value) -> Value:
    sizes = _integers(shape)
    if node.options.get("special_zero") == "true":
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _broadcast(node: Node, x: Value, shape: Value, *_: Value) -> Value:
    wanted = tuple(_integers(shape))
    if node.options.get("mode") == "bidirectional":
        wanted = np.broadcast_shapes(tuple(x.shape), wanted)
    return np.broadcast_to(x, wanted) if isinstance(x, np.ndarray) else _core.broadcast_to(x, wanted)


def _split(node: Node, x: Tensor, axis: Value, lengths: Value) -> tuple[Tensor, ...]:
    at, sizes = _integers(axis)[0], _integers(lengths)
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[at] - sum(size for size in sizes if size >= 0)
    ends = np.cumsum(sizes)
    around = (slice(None),) * (at % x.ndim)
    return tuple(x[(*around, slice(int(end - size), int(end)))] for size, end in zip(sizes, ends, strict=True))


def _squeeze(node: Node, x: Value, axes: Value) -> Value:
    gone = {axis % x.ndim for axis in _integers(axes)}
    return x.reshape([size for i, size in enumerate(x.shape) if i not in gone])


def _unsqueeze(node: Node, x: Value, axes: Value) -> Value:
    sizes = list(x.shape)
    for axis in sorted(axis % (x.ndim + 1) for axis in _integers(axes)):
        sizes.insert(axis, 1)
    return x.reshape(sizes)


def _matmul(node: Node, x: Tensor, y: Tensor) -> Tensor:
    transposed = (node.options.get(f"transpose_{side}") == "true" for side in "ab")
    x, y = (_core.swapaxes(value, -1, -2) if flip else value for value, flip in zip((x, y), transposed, strict=True))
    return x @ y


def _padded(node: Node, x: Tensor) -> tuple[Tensor, Any]:
    """The input and the padding of a convolution, whose ends may differ."""
    if node.options.get("auto_pad", "explicit") != "explicit":
        raise ValueError(f"{node.name}: auto_pad {node.options['auto_pad']} is not known")
    begin, end = node.numbers("pads_begin"), node.numbers("pads_end")
    if begin == end:
        return x, begin
    return _core.pad(x, [(0, 0), (0, 0), *zip(begin, end, strict=True)]), 0


def _conv(node: Node, x: Tensor, kernel: Tensor) -> Tensor:
    """Of kernels (out, in, height, width), or (groups, out, in, height, width)."""
    x, padding = _padded(node, x)
    groups = kernel.shape[0] if kernel.ndim == 5 else 1
    flat = kernel.reshape((-1, *kernel.shape[-3:]))
    return functional.conv2d(x, flat, None, node.numbers("strides"), padding, node.numbers("dilations"), groups)


def _transposed(node: Node, x: Tensor, kernel: Tensor) -> Tensor:
    """Of kernels (groups, in, out, height, width)."""
    if node.numbers("pads_begin") != node.numbers("pads_end"):
        raise ValueError(f"{node.name}: a transposed convolution with different paddings is not known")
    groups = kernel.shape[0]
    flat = kernel.reshape((-1, *kernel.shape[-3:]))
    strides, padding = node.numbers("strides"), node.numbers("pads_begin")
    more = node.numbers("output_padding") if "output_padding" in node.options else 0
    return functional.conv_transpose2d(x, flat, None, strides, padding, more, groups, node.numbers("dilations"))


def _concat(node: Node, *parts: Value) -> Value:
    axis = int(node.options["axis"])
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts, axis)
    return _core.concat([_core.asarray(part) for part in parts], axis=axis)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": _either(lambda _, x, y: x + y, lambda _, x, y: x + y),
    "Multiply": _either(lambda _, x, y: x * y, lambda _, x, y: x * y),
    "Power": lambda _, x, y: x**y,
    "ReduceMean": lambda node, x, axes: _core.mean(
        x, axis=tuple(_integers(axes)), keepdims=node.options["keep_dims"] == "true"
    ),
    "MatMul": _matmul,
    "PReLU": lambda _, x, factors: functional.prelu(x, factors),
    "Convolution": _conv,
    "GroupConvolution": _conv,
    "GroupConvolutionBackpropData": _transposed,
    "ShapeOf": lambda _, x: np.array(x.shape, np.int64),
    "Gather": lambda _, x, places, axis: np.take(x, places, axis=_integers(axis)[0]),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Concat": _concat,
    "Reshape": _reshape,
    "Broadcast": _broadcast,
    "Tile": lambda _, x, counts: _core.tile(x, tuple(_integers(counts))),
    "VariadicSplit": _split,
}
