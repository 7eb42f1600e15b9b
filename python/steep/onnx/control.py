"""Control flow: If, Loop, Scan and SequenceMap, whose bodies are graphs inside the node.

A function here gets, after the node, ``run``, which runs a body on the values of its inputs. Branches and the number of
iterations must be known on the host; a compiled program has the branch and the iterations that it was recorded with, if
they follow from shapes and constants, and is refused otherwise. Start reading at ``loop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from steep import _core
from steep.onnx.table import Node, Value, axis_of, number, op


class Run(Protocol):
    """Runs the graphs inside of a node."""

    def __call__(self, name: str, *inputs: Value) -> list[Value]:
        """The outputs of one of them."""
        ...

    def host(self, value: Value) -> Value:
        """A value on the host."""
        ...


@op("If", host=(0,))
def branch(node: Node, run: Run, wanted: Value) -> tuple[Value, ...]:
    """The outputs of one of two bodies."""
    return tuple(run("then_branch" if number(wanted) else "else_branch"))


@op("Loop", host=(0, 1), sequences=True)
def loop(node: Node, run: Run, most: Value, going: Value, *carried: Value) -> tuple[Value, ...]:
    """A body, run ``most`` times at most and while it says so; what it carries on, and what it gives every time."""
    limit, on, i = number(most, -1), bool(number(going, 1)), 0
    state, given = list(carried), list[list[Value]]()
    while on and (most is None or i < limit):
        on_next, *found = run("body", np.asarray(i, np.int64), np.asarray(on), *state)
        on, state = bool(number(run.host(on_next), 1)), found[: len(carried)]
        given.append(found[len(carried) :])
        i += 1
    return (*state, *_stacked(node, "body", len(carried) + 1, given))


@op("Scan", since=9)
def scan(node: Node, run: Run, *inputs: Value) -> tuple[Value, ...]:
    """A body, run over the items of some inputs along an axis; what it carries on, and what it gives every time."""
    count = node["num_scan_inputs"]
    if not 0 < count <= len(inputs):
        raise ValueError(f"num_scan_inputs is {count}, of {len(inputs)} inputs")
    state, scanned = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
    axes = [axis_of(axis, x.ndim) for axis, x in zip(_each(node, "scan_input_axes", count), scanned, strict=True)]
    lengths = {x.shape[axis] for axis, x in zip(axes, scanned, strict=True)}
    if len(lengths) != 1:
        raise ValueError(f"the inputs to be scanned have lengths {sorted(lengths)}")
    length, back = lengths.pop(), _each(node, "scan_input_directions", count)
    given = list[list[Value]]()
    for i in range(length):
        items = [_item(x, axis, length - 1 - i if way else i) for x, axis, way in zip(scanned, axes, back, strict=True)]
        found = run("body", *state, *items)
        state = found[: len(state)]
        given.append(found[len(state) :])
    return (*state, *_ordered(node, _stacked(node, "body", len(state), given)))


@op("SequenceMap", sequences=True)
def mapped(node: Node, run: Run, first: Value, *more: Value) -> tuple[Value, ...]:
    """A body, run for every item of a sequence, with those of others and with what is the same for all."""
    longs = [len(other) for other in more if isinstance(other, tuple)]
    if any(n != len(first) for n in longs):
        raise ValueError(f"sequences of {[len(first), *longs]} items")
    rows = [[each[i] if isinstance(each, tuple) else each for each in more] for i in range(len(first))]
    given = [run("body", item, *row) for item, row in zip(first, rows, strict=True)]
    return tuple(tuple(found[j] for found in given) for j in range(len(node.outputs)))


def _each(node: Node, name: str, count: int) -> list[int]:
    values = list(node[name] or [0] * count)
    if len(values) != count:
        raise ValueError(f"{name} {values} must hold {count} numbers")
    return values


def _item(x: Any, axis: int, i: int) -> Value:
    return x[(*[slice(None)] * axis, i)]


def _ordered(node: Node, outputs: list[Value]) -> list[Value]:
    axes, back = (_each(node, f"scan_output_{what}", len(outputs)) for what in ("axes", "directions"))
    ordered = []
    for x, axis, way in zip(outputs, axes, back, strict=True):
        y = _core.flip(_core.asarray(x), 0) if way else x
        to = axis_of(axis, y.ndim)
        ordered.append(_core.moveaxis(_core.asarray(y), 0, to) if to else y)
    return ordered


def _stacked(node: Node, body: str, first: int, given: Sequence[list[Value]]) -> list[Value]:
    """What every run gave, along a new first axis; after no run, with the sizes that the body declares, or 0."""
    graph = node.bodies[body]
    if given:
        return [_stack(list(values)) for values in zip(*given, strict=True)]
    return [graph.empty(name) for name in graph.outputs[first:]]


def _stack(values: list[Value]) -> Value:
    if all(isinstance(value, np.ndarray) for value in values):
        return np.stack(values)
    return _core.stack([_core.asarray(value) for value in values])
