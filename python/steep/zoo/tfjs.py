"""Weights of TensorFlow.js, read as data: a description in JSON, and a file of numbers one after the other.

Numbers may be stored in fewer bits, with a scale and a least value for each array. Where the description holds the
graph as well, weights are also found by the operation that uses them, since exporters name some of them "unknown_9".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from steep.zoo.entry import Arrays

DTYPES = {"float32": "<f4", "int32": "<i4", "float16": "<f2", "uint16": "<u2", "uint8": "u1", "bool": "?"}
WEIGHTED = {"Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative", "MatMul", "_FusedMatMul"}


def read_tfjs(weights: bytes, description: bytes) -> Arrays:
    """The arrays of a model.

    Args:
        weights: the bytes of all arrays.
        description: the manifest of the weights, alone or in a model's file with the graph.

    Returns:
        Arrays by name; those that an operation of the graph uses also as "operation.weight" and "operation.bias".

    Raises:
        ValueError: if the numbers are more or fewer than described.
    """
    model = json.loads(description)
    groups = model if isinstance(model, list) else model["weightsManifest"]
    arrays: Arrays = {}
    at = 0
    for each in (array for group in groups for array in group["weights"]):
        stored = each.get("quantization", each)
        dtype, count = np.dtype(DTYPES[stored["dtype"]]), math.prod(each["shape"])
        values = np.frombuffer(weights, dtype, count, at)
        at += count * dtype.itemsize
        if "scale" in stored:
            values = values * stored["scale"] + stored["min"]
        arrays[each["name"]] = values.astype(DTYPES[each["dtype"]]).reshape(each["shape"])
    if at != len(weights):
        raise ValueError(f"the file has {len(weights)} bytes, and its description says {at}")
    graph = {} if isinstance(model, list) else model.get("modelTopology", {})
    return arrays | _by_operation(graph.get("node", ()), arrays)


def _by_operation(nodes: Iterable[Mapping[str, Any]], arrays: Arrays) -> Arrays:
    return {
        f"{node['name']}.{role}": arrays[name]
        for node in nodes
        if node["op"] in WEIGHTED
        for role, name in zip(("weight", "bias"), node["input"][1:], strict=False)
        if name in arrays
    }
