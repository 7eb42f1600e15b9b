"""The operations of a function, recorded by the engine's recorder and written to an ONNX graph.

It runs twice, on the example and on a batch of twice the size: differences depend on the batch size and are written so,
where ONNX can express them. Layers of ``steep.nn`` that have a row in ``save_layers.py`` stay whole. Start reading at
``write_trace``; what an op becomes stands in ``save_ops.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steep import _core, tree
from steep._core import Tensor
from steep.display import displayed
from steep.nn.module import Module, around_calls
from steep.onnx.save_file import File
from steep.onnx.save_layers import export_of
from steep.onnx.save_ops import OPS, Applied
from steep.onnx.table import UnsupportedError

Key = tuple[int, tuple[int, ...], tuple[int, ...], str]


@displayed
@dataclass
class Trace:
    """What ran, in order: ops and whole layers; the input and the output.

    ``moving``: the values that depend on the input. All tensors are kept, so that keys stay unique.
    """

    x: Tensor
    y: Tensor
    steps: list[Applied]
    moving: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.moving = {_key(self.x)}
        for step in self.steps:
            if any(_key(t) in self.moving for t in step.inputs):
                self.moving |= _results(step)


def _key(t: Tensor) -> Key:
    """A key of a value: its memory and layout."""
    if t.dtype == _core.bfloat16:
        raise UnsupportedError("save: bfloat16 cannot be written")
    array = t.detach().numpy()
    return array.__array_interface__["data"][0], tuple(t.shape), tuple(t.strides), t.dtype.name


def _results(step: Applied) -> set[Key]:
    return {_key(t) for t in (step.output, *step.others)}


def trace(layer: Callable[[Any], Any], x: Tensor) -> Trace:
    """The operations of ``layer`` on x. Raises CompileError if it reads values, UnsupportedError for many results."""
    calls: list[tuple[int, Applied]] = []
    capture = _core._Capture([x], True)

    def around(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        whole = module is not layer and export_of(module) and len(args) == 1 and not kwargs
        if not whole or not isinstance(args[0], Tensor):
            return module.forward(*args, **kwargs)
        with _core._unrecorded(), around_calls(None):
            y = module.forward(args[0])
        results = tree.leaves(y)
        for result in results:
            capture.give(result)
        calls.append((len(capture.traced()), Applied("", {}, [args[0]], results[0], module, results[1:])))
        return y

    try:
        with around_calls(around):
            y = layer(x)
    finally:
        capture.stop()
    if not isinstance(y, Tensor):
        raise UnsupportedError(f"save: {_called(layer)} returns a {type(y).__name__}, not one tensor")
    return Trace(x, y, _merged(capture.traced(), calls))


def _merged(ops: list[Any], calls: list[tuple[int, Applied]]) -> list[Applied]:
    steps = []
    for at, (op, attrs, inputs, output, in_place) in enumerate(ops):
        steps += [call for position, call in calls if position == at]
        if in_place:
            raise UnsupportedError(f"save: {op} writes into a tensor, which ONNX cannot express")
        steps.append(Applied(op, attrs, inputs, output))
    return steps + [call for position, call in calls if position == len(ops)]


def _called(layer: Any) -> str:
    return type(layer).__name__ if isinstance(layer, Module) else getattr(layer, "__name__", repr(layer))


class _Writer:
    """Writes a trace to a file, and keeps the names of values by key."""

    def __init__(self, file: File, traced: Trace, value: str, name: str, layers: dict[int, str]) -> None:
        self.file, self.traced, self.name, self.layers = file, traced, name, layers
        self.names: dict[Key, str] = {_key(traced.x): value}

    def write(self) -> str:
        """Adds the nodes that the output needs; returns its name."""
        for step in self._needed():
            if _key(step.output) not in self.names:
                for result, name in zip((step.output, *step.others), self._nodes(step), strict=True):
                    self.names[_key(result)] = name
        return self.name_of(self.traced.y)

    def _needed(self) -> list[Applied]:
        """The steps that the output depends on and that depend on the input, in order."""
        wanted, needed = {_key(self.traced.y)}, []
        for step in reversed(self.traced.steps):
            if _results(step) & wanted & self.traced.moving:
                needed.append(step)
                wanted |= {_key(t) for t in step.inputs}
        return needed[::-1]

    def name_of(self, t: Tensor) -> str:
        """The name of a value; one that does not depend on the input becomes an initializer."""
        key = _key(t)
        if key not in self.names:
            self.names[key] = self.file.constant(t, f"{self.name or 'traced'}.constant")
        return self.names[key]

    def _nodes(self, step: Applied) -> list[str]:
        """Adds what a step becomes; the names of its results."""
        inputs = [self.name_of(t) for t in step.inputs]
        if step.layer is not None:
            export, name = export_of(step.layer), self.layers.get(id(step.layer), self.name)
            assert export is not None
            found = export(self.file, step.layer, inputs[0], name, step.inputs[0])
            return found if isinstance(found, list) else [self.file.layer(name, found)]
        if step.op not in OPS:
            raise UnsupportedError(f"save: the op {step.op!r} in {self.name or 'the model'} cannot be written")
        return [OPS[step.op](self.file, step, inputs, self.name or step.op)]


def write_trace(file: File, layer: Any, value: str, name: str, x: Tensor) -> tuple[str, Tensor]:
    """Add the operations of ``layer`` on x; returns the name of its output, and the output."""
    traced = trace(layer, x)
    file.traced, file.fixed = True, file.fixed or _batch(traced, layer)
    layers = {id(m): f"{name}.{full}" if name else full for full, m in _modules(layer)}
    writer = _Writer(file, traced, value, name, layers)
    return writer.write(), traced.y


def _modules(layer: Any) -> list[tuple[str, Module]]:
    return list(layer.named_modules()) if isinstance(layer, Module) else []


def _batch(traced: Trace, layer: Any) -> str:
    """Marks in every step what differs for a batch of twice the size; the reason if that is impossible, or ""."""
    if not traced.x.ndim or not traced.x.shape[0]:
        return "the input has no batch"
    try:
        twice = trace(layer, _core.concat([traced.x, traced.x], axis=0))
    except (ValueError, TypeError, IndexError) as error:
        return f"twice the batch fails: {error}"
    if [s.op for s in twice.steps] != [s.op for s in traced.steps]:
        return "other ops run for another batch size"
    for one, two in zip(traced.steps, twice.steps, strict=True):
        pairs = {key: (_items(value), _items(two.attrs[key])) for key, value in one.attrs.items()}
        same_lengths = all(len(a) == len(b) for a, b in pairs.values())
        if not same_lengths or not _same_constants(one, two, traced.moving):
            return f"{one.op or _called(one.layer)} depends on the batch size"
        for key, (a, b) in pairs.items():
            one.varying[key] = {i for i, (v, w) in enumerate(zip(a, b, strict=True)) if v != w}
    return ""


def _items(value: Any) -> tuple[Any, ...]:
    """The items of an attribute that is a list, or the one value."""
    return value if isinstance(value, tuple) else (value,)


def _same_constants(one: Applied, two: Applied, moving: set[Key]) -> bool:
    """Whether both have the same operands besides values that depend on the input."""
    pairs = [(a, b) for a, b in zip(one.inputs, two.inputs, strict=True) if _key(a) not in moving]
    return all(_key(a) == _key(b) or np.array_equal(a.detach().numpy(), b.detach().numpy()) for a, b in pairs)
