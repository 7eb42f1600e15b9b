"""Recurrent layers of ``steep.nn`` as ONNX nodes, one for each of their layers, whatever the length of a sequence.

ONNX has other orders of the gates, and one array for both directions. Start reading at ``recurrent``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import nn
from steep._core import Tensor
from steep.onnx.save_file import File

# layer: (the operator, its gates in ONNX's order as they are numbered here, attributes)
KINDS: dict[type, tuple[str, list[int], dict[str, Any]]] = {
    nn.RNN: ("RNN", [0], {}),
    nn.GRU: ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    nn.LSTM: ("LSTM", [0, 3, 1, 2], {}),
}


def recurrent(file: File, layer: Any, value: str, name: str, x: Tensor) -> list[str]:
    """All layers, one after the other; the names of the output and of the last states."""
    alone, swapped = x.ndim == 2, layer.batch_first and x.ndim == 3
    if alone:
        value = file.node("Unsqueeze", [value, _ints(file, name, "batch", [1])], name)
    if swapped:
        value = file.node("Transpose", [value], name, perm=[1, 0, 2])
    states: list[list[str]] = []
    for i in range(layer.num_layers):
        value, *last = _layer(file, layer, i, value, name)
        states.append(last)
    value = file.node("Transpose", [value], name, perm=[1, 0, 2]) if swapped else value
    final = [file.node("Concat", list(parts), name, axis=0) for parts in zip(*states, strict=True)]
    if not alone:
        return [value, *final]
    return [file.node("Squeeze", [v, _ints(file, name, "batch", [1])], name) for v in (value, *final)]


def _ints(file: File, name: str, what: str, value: list[int]) -> str:
    return file.weight(np.asarray(value, np.int64), f"{name}.{what}")


def _layer(file: File, layer: Any, i: int, value: str, name: str) -> list[str]:
    """One layer in all its directions: its output (L, N, features), then its last states (directions, N, hidden)."""
    op, order, attributes = next(kind for cls, kind in KINDS.items() if isinstance(layer, cls))
    ends = [f"_l{i}", f"_l{i}_reverse"] if layer.bidirectional else [f"_l{i}"]
    inputs = [value]
    for which in ("weight_ih", "weight_hh"):
        array = np.stack([_ordered(layer, which + end, order) for end in ends])
        inputs.append(file.weight(array, f"{name}.{which}_l{i}"))
    if hasattr(layer, f"bias_ih_l{i}"):
        both = [[_ordered(layer, f"bias_{of}{end}", order) for of in ("ih", "hh")] for end in ends]
        inputs.append(file.weight(np.stack([np.concatenate(pair) for pair in both]), f"{name}.bias_l{i}"))
    if layer.nonlinearity:
        attributes = {"activations": [layer.nonlinearity.capitalize()] * len(ends)}
    direction = "bidirectional" if layer.bidirectional else "forward"
    y, *last = file.node_of_many(
        1 + layer.states, op, inputs, name, hidden_size=layer.hidden_size, direction=direction, **attributes
    )
    if len(ends) == 1:
        return [file.node("Squeeze", [y, _ints(file, name, "directions", [1])], name), *last]
    beside = file.node("Transpose", [y], name, perm=[0, 2, 1, 3])
    return [file.node("Reshape", [beside, _ints(file, name, "features", [0, 0, -1])], name), *last]


def _ordered(layer: Any, name: str, order: list[int]) -> np.ndarray:
    """A parameter with its gates in ONNX's order."""
    gates = np.split(getattr(layer, name).detach().numpy(), len(order))
    return np.concatenate([gates[g] for g in order])
