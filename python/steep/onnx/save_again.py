"""A loaded model written back: the graph of its file, node by node and

name by name, with the current weights. Element types follow the model: float16, which steep holds as float32, and what
``astype`` made, are written as what they are. Start reading at ``rewritten``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.graph import package
from steep.onnx.model import Model
from steep.onnx.table import DTYPES, WIDENED

NUMBERS = {name: number for number, name in DTYPES.items()}
_TYPED = ("to", "dtype")


def rewritten(model: Model, x: Tensor) -> bytes:
    """The bytes of the model's graph with its current weights; the input ``x`` determines the outputs' types."""
    proto = package().ModelProto()
    proto.ParseFromString(model._graph.value.content)
    graph, weights = proto.graph, {**model._known.value, **model.initializers}
    for tensor in list(graph.initializer):
        if tensor.name in weights:
            tensor.CopyFrom(_tensor(weights[tensor.name], tensor.name))
        else:
            graph.initializer.remove(tensor)
    del graph.value_info[:]
    types = {i.name: i.dtype for i in model._graph.value.inputs} | {name: v.dtype for name, v in weights.items()}
    outputs = model(x)
    types |= dict(zip(model.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))
    for info in (*graph.input, *graph.output):
        found = types[info.name]
        info.type.tensor_type.elem_type = NUMBERS[getattr(found, "dtype", found).name]
    for node in graph.node:
        _retype(node, model._known.value)
    package().checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _retype(node: Any, known: dict[str, Any]) -> None:
    """Attributes in the types that steep stores; constants with their current values."""
    for attribute in node.attribute:
        if node.op_type == "Constant" and attribute.name == "value" and node.output[0] in known:
            attribute.t.CopyFrom(_tensor(known[node.output[0]], attribute.t.name))
        elif attribute.t.data_type in WIDENED:
            values = package().numpy_helper.to_array(attribute.t).astype(WIDENED[attribute.t.data_type][1])
            attribute.t.CopyFrom(_tensor(values, attribute.t.name))
        elif attribute.name in _TYPED and attribute.i in WIDENED:
            attribute.i = NUMBERS[WIDENED[attribute.i][1]]


def _tensor(value: Any, name: str) -> Any:
    """A TensorProto of a tensor or an array; bfloat16 by its bits."""
    if value.dtype.name != "bfloat16":
        return package().numpy_helper.from_array(np.array(value.detach() if isinstance(value, Tensor) else value), name)
    bits = (value.detach().astype(_core.float32).numpy().view(np.uint32) >> 16).astype("<u2")
    return package().helper.make_tensor(name, NUMBERS["bfloat16"], tuple(value.shape), bits.tobytes(), raw=True)
