"""An ONNX graph while it is being written: nodes and initializers as they are added."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from steep._core import Tensor
from steep.onnx.graph import package
from steep.onnx.table import UnsupportedError

OPSET = 21
IR_VERSION = 10
TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float64": 11}


class File:
    """Nodes and initializers so far.

    ``fixed``: why the batch size cannot be left free, "" if it can. ``traced``: whether some nodes come from a run.
    """

    def __init__(self) -> None:
        self.onnx = package()
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.fixed, self.traced = "", False

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; returns its output's name."""
        return self.node_of_many(1, op, inputs, name, **attributes)[0]

    def node_of_many(self, count: int, op: str, inputs: list[str], name: str, **attributes: Any) -> list[str]:
        """Add a node with several outputs; returns their names."""
        at = len(self.nodes)
        outputs = [f"{name}:{at}" + (f".{i}" if i else "") for i in range(count)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(self.onnx.helper.make_node(op, inputs, outputs, name=f"{name}.{op}.{at}", **given))
        return outputs

    def layer(self, name: str, output: str) -> str:
        """Name the last node after a layer, if it computes ``output`` and the name is free; returns ``output``.

        A layer that adds no node, such as Dropout, has none to name.
        """
        free = name and all(node.name != name for node in self.nodes)
        last = self.nodes[-1] if self.nodes else None
        if free and last is not None and last.output[0] == output and last.name.startswith(f"{name}."):
            last.name = name
        return output

    def weight(self, value: Any, name: str) -> str:
        """Add an initializer; returns its name, "" for None.

        A layer that is used twice may have other constants under the same name, which get a number appended.
        """
        if value is None:
            return ""
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        made = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        if self.weights.setdefault(name, made) == made:
            return name
        return self.constant(array, name)

    def constant(self, value: Any, name: str) -> str:
        """Add an initializer under a unique name."""
        number = next(n for n in count(len(self.weights)) if f"{name}.{n}" not in self.weights)
        return self.weight(value, f"{name}.{number}")

    def content(self, name: str, last: str, x: Tensor, y: Tensor) -> bytes:
        """The file's bytes: a graph from "input", like x, to "output", like y, which ``last`` becomes."""
        helper = self.onnx.helper
        if x.dtype.name not in TYPES or y.dtype.name not in TYPES:
            raise UnsupportedError(f"save: {x.dtype.name} to {y.dtype.name} cannot be written")
        nodes = [*self.nodes, helper.make_node("Identity", [last], ["output"], name="output")]
        infos = [
            [helper.make_tensor_value_info(which, TYPES[t.dtype.name], self._sizes(t))]
            for which, t in (("input", x), ("output", y))
        ]
        graph = helper.make_graph(nodes, name, *infos, list(self.weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        self.onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content

    def _sizes(self, x: Tensor) -> list[Any]:
        """x's shape, its first dimension free if it can be."""
        return ["N", *x.shape[1:]] if x.ndim and not self.fixed else list(x.shape)
