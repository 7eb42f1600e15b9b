"""``save``: a module as an ONNX file.

Containers and layers of ``steep.nn`` are written by type (``save_layers.py``); a module with its own ``forward`` runs
once on the example, and its operations are written one by one (``save_trace.py``, ``save_ops.py``). The file is read
back and run on the example before it replaces the target.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from steep import _core, nn, tree
from steep._core import Tensor
from steep.evaluation import evaluating
from steep.io.atomic import atomic_write
from steep.nn.module import Module
from steep.onnx.model import Model, load
from steep.onnx.save_again import rewritten
from steep.onnx.save_file import File
from steep.onnx.save_layers import export_of
from steep.onnx.save_trace import write_trace
from steep.onnx.table import UnsupportedError


def save(module: Module, path: str | os.PathLike[str], example_input: Any) -> None:
    """Writes a module as an ONNX file (opset 21) that computes what it does in evaluation mode.

    Layers of ``steep.nn`` and trees of ``Sequential``, ``Concat`` and ``Residual`` are written by type; a module with
    its own ``forward``, or a function among the layers, is run on the example and written op by op. Branches on values
    cannot be written. A loaded model is written as its original graph with the current weights. The file is read back
    and compared with the module before it replaces ``path``.

    Args:
        module: the module.
        path: path of the file.
        example_input: an input; its first dimension becomes a free batch size, unless an op depends on it in a way that
            ONNX cannot express.

    Raises:
        UnsupportedError: a ValueError that names the op that cannot be written.
        CompileError: for a branch on values.
        ValueError: if the file does not compute what the module does.

    Example:
        >>> model = sp.nn.Sequential({"scores": sp.nn.Linear(4, 3, generator=0)})
        >>> sp.onnx.save(model, "model.onnx", sp.zeros((1, 4)))
        >>> sp.onnx.load("model.onnx").layers[0]
        'scores'
    """
    x = _core.asarray(example_input)
    with _core.no_grad(), evaluating():
        content = _written(module, x)
    with atomic_write(path) as file:
        file.write(content)


def _written(module: Module, x: Tensor) -> bytes:
    if type(module) is Model and len(module.inputs) == 1:
        content = rewritten(module, x)
        if _agrees(module, content, x):
            return content
    file, name = File(), type(module).__name__
    last, y = _export(file, module, "input", "", x)
    content = file.content(name, last, x, y)
    if not _agrees(module, content, x):
        raise ValueError("save: what was written does not compute what the module does; please report this")
    if file.traced and not file.fixed and not _agrees(module, content, _core.concat([x, x], axis=0)):
        file.fixed = "the answers for another batch size differ"
        content = file.content(name, last, x, y)
    return content


def _agrees(module: Module, content: bytes, x: Tensor) -> bool:
    wanted, got = (tree.leaves(each(x)) for each in (module, load(content, requires_grad=False)))
    return len(wanted) == len(got) and all(_alike(a.numpy(), b.numpy()) for a, b in zip(wanted, got, strict=True))


def _alike(wanted: Any, got: Any) -> bool:
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    return wanted.shape == got.shape and np.allclose(got, wanted, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)


def _export(file: File, layer: Any, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    """Add a layer; returns the name of its output, and the output on the example."""
    for kind, container in CONTAINERS:
        if isinstance(layer, kind) and type(layer).forward is kind.forward:
            return container(file, layer, value, name, x)
    export = export_of(layer)
    if export is None:
        return write_trace(file, layer, value, name, x)
    label, y = name or type(layer).__name__.lower(), layer(x)
    if not isinstance(y, Tensor):
        raise UnsupportedError(f"save: {label} returns a {type(y).__name__}, not one tensor")
    return file.layer(label, export(file, layer, value, label, x)), y


# -- containers -------------------------------------------------------------------------------------------------------


def _named(layer: Any, name: str) -> Iterator[tuple[str, Any]]:
    return ((f"{name}.{key}" if name else key, child) for key, child in layer.named_layers())


def _sequential(file: File, layer: Any, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    for full, child in _named(layer, name):
        value, x = _export(file, child, value, full, x)
    return value, x


def _concat(file: File, layer: nn.Concat, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    found = [_export(file, child, value, full, x) for full, child in _named(layer, name)]
    joined = _core.concat([y for _, y in found], axis=layer.axis)
    return file.node("Concat", [output for output, _ in found], name or "concat", axis=layer.axis), joined


def _residual(file: File, layer: nn.Residual, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    output, y = _sequential(file, layer, value, name, x)
    shortcut = layer.shortcut_layer()
    if shortcut is not None:
        value, x = _export(file, shortcut, value, f"{name}.shortcut" if name else "shortcut", x)
    return file.node("Add", [value, output], name or "residual"), x + y


CONTAINERS: list[tuple[Any, Callable[..., tuple[str, Tensor]]]] = [
    (nn.Sequential, _sequential), (nn.Concat, _concat), (nn.Residual, _residual),
]  # fmt: skip
