"""A loaded model written back: the graph of its file, node by node and name by name, with the current weights.

Element types follow the model: float16, which steep holds as float32, and what ``astype`` made, are written as what
they are; integers of the types that steep lacks are written in their own. Start reading at ``rewritten``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.graph import GRAPH, package
from steep.onnx.model import Model
from steep.onnx.table import DTYPES, NARROW, WIDENED

NUMBERS = {name: number for number, name in DTYPES.items()}
_TYPED = ("to", "dtype")


def rewritten(model: Model, x: Tensor) -> bytes:
    """The bytes of the model's graph with its current weights; the input ``x`` determines the outputs' types."""
    proto = package().ModelProto()
    proto.ParseFromString(model._graph.value.content)
    graph, weights = proto.graph, {**model._known.value, **model.initializers}
    for tensor in list(graph.initializer):
        if tensor.name in weights and tensor.data_type in NARROW:
            tensor.CopyFrom(_narrow(weights[tensor.name], tensor.name, tensor.data_type))
        elif tensor.name in weights:
            tensor.CopyFrom(_tensor(weights[tensor.name], tensor.name))
        else:
            graph.initializer.remove(tensor)
    del graph.value_info[:]
    types = {i.name: i.dtype for i in model._graph.value.inputs} | {name: v.dtype for name, v in weights.items()}
    outputs = model(x)
    types |= dict(zip(model.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))
    for info in (*graph.input, *graph.output):
        found = types[info.name]
        if not info.type.tensor_type.HasField("shape"):
            info.type.tensor_type.shape.dim.extend([package().TensorShapeProto.Dimension()] * types[info.name].ndim)
        if info.type.tensor_type.elem_type not in NARROW:
            info.type.tensor_type.elem_type = NUMBERS[getattr(found, "dtype", found).name]
    for node in graph.node:
        _retype(node, model._known.value)
    package().checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _retype(node: Any, known: dict[str, Any]) -> None:
    """Attributes in the types that steep stores; constants with their current values."""
    for attribute in node.attribute:
        if attribute.type == GRAPH:
            _retype_body(attribute.g)
        elif attribute.t.data_type in NARROW:
            continue
        elif node.op_type == "Constant" and attribute.name == "value" and node.output[0] in known:
            attribute.t.CopyFrom(_tensor(known[node.output[0]], attribute.t.name))
        elif attribute.t.data_type in WIDENED:
            values = package().numpy_helper.to_array(attribute.t).astype(WIDENED[attribute.t.data_type][1])
            attribute.t.CopyFrom(_tensor(values, attribute.t.name))
        elif attribute.name in _TYPED and attribute.i in WIDENED:
            attribute.i = NUMBERS[WIDENED[attribute.i][1]]


def _retype_body(graph: Any) -> None:
    """The graph inside a node in the types that steep stores."""
    for tensor in graph.initializer:
        if tensor.data_type in WIDENED:
            values = package().numpy_helper.to_array(tensor).astype(WIDENED[tensor.data_type][1])
            tensor.CopyFrom(_tensor(values, tensor.name))
    for info in (*graph.input, *graph.output, *graph.value_info):
        if info.type.tensor_type.elem_type in WIDENED:
            info.type.tensor_type.elem_type = NUMBERS[WIDENED[info.type.tensor_type.elem_type][1]]
    for node in graph.node:
        _retype(node, {})


def _narrow(value: Any, name: str, number: int) -> Any:
    """A TensorProto of integers of a type that steep lacks."""
    values = np.array(value.detach() if isinstance(value, Tensor) else value)
    return package().helper.make_tensor(name, number, values.shape, values.reshape(-1).tolist())


def _tensor(value: Any, name: str) -> Any:
    """A TensorProto of a tensor or an array; bfloat16 by its bits."""
    if value.dtype.name != "bfloat16":
        return package().numpy_helper.from_array(np.array(value.detach() if isinstance(value, Tensor) else value), name)
    bits = (value.detach().astype(_core.float32).numpy().view(np.uint32) >> 16).astype("<u2")
    return package().helper.make_tensor(name, NUMBERS["bfloat16"], tuple(value.shape), bits.tobytes(), raw=True)
