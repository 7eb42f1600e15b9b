"""``Model``: a graph as a module that runs, with its float initializers as parameters.

Values that do not depend on inputs (constants, shapes and what follows from them) stay on the host as NumPy arrays,
computed by the same functions outside of any recording; all others are tensors. Start reading at ``Model._run``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.instances import instance
from steep.nn.module import Module
from steep.onnx.graph import Graph, Input, Source, read
from steep.onnx.kinds import as_integers, wrapped
from steep.onnx.table import HELD, Node, Value
from steep.suggest import near

_WRAPPED = (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError, AttributeError)
FOLD_LIMIT = 1 << 16
_NORMALISING = ("Softmax", "LogSoftmax", "Sigmoid")
_EACH_ALONE = ("Identity", "Cast", "Add", "Sub", "Mul", "Div", "Neg", "Clip")
_MOVING = ("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout")
M = TypeVar("M", bound="Model")


def load(source: Source, requires_grad: bool = True) -> Model:
    """Loads an ONNX model.

    Args:
        source: a path, or the bytes of a file.
        requires_grad: whether float initializers are parameters.

    Returns:
        A ``Model``.

    Raises:
        ValueError: for a malformed file.
        UnsupportedError: a ValueError that names every operator that steep lacks.

    Example:
        >>> model = sp.nn.Sequential({"scores": sp.nn.Linear(4, 3, generator=0)})
        >>> sp.onnx.save(model, "model.onnx", sp.zeros((1, 4)))
        >>> sp.onnx.load("model.onnx")(sp.zeros((5, 4))).shape
        (5, 3)
    """
    return Model(read(source), requires_grad)


class Model(Module):
    """A model read from ONNX: callable, differentiable, a ``Module`` like any other.

    Float initializers are parameters, except running statistics of batch normalization, and bounds and sizes that
    operators need on the host.

    Args:
        graph: the checked graph.
        requires_grad: whether float initializers are parameters.

    Attributes:
        initializers: weights by their names in the file.
        inputs: names of the inputs in graph order.
        outputs: names of the outputs.
        layers: names of the nodes.
    """

    def __init__(self, graph: Graph, requires_grad: bool = True) -> None:
        instance("onnx.Model: graph", graph, Graph, such_as="onnx.load(path) makes a model of a file")
        self._graph = _Hidden(graph)
        host, state = _roles(graph)
        self._state = _Hidden(frozenset(state & graph.initializers.keys()))
        self.initializers: dict[str, Tensor] = {}
        self._known: _Hidden = _Hidden(dict(graph.constants))
        for name, value in graph.initializers.items():
            floats = isinstance(value, Tensor) or value.dtype.kind == "f"
            if floats and name not in host:
                trained = requires_grad and name not in state
                self.initializers[name] = _core.tensor(value, requires_grad=trained)
            else:
                self._known.value[name] = value
        graph.initializers = {}
        self._fold()

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs in graph order."""
        return [i.name for i in self._graph.value.inputs]

    @property
    def input_shapes(self) -> list[tuple[int | str | None, ...] | None]:
        """The declared sizes of each input: a number, or a name or None for any; None if none are declared."""
        return [i.shape for i in self._graph.value.inputs]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in graph order."""
        return list(self._graph.value.outputs)

    @property
    def _statistics(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the tensors that are state: running statistics and bounds, whatever the file calls them."""
        return tuple(f"initializers.{name}" for name in self._state.value)

    @property
    def channels_last(self) -> bool:
        """Whether the only input is images (n, height, width, channels), which the graph transposes first."""
        graph = self._graph.value
        if len(graph.inputs) != 1:
            return False
        moved = {graph.inputs[0].name}
        for node in graph.nodes:
            if moved & set(node.inputs):
                if node.op == "Transpose":
                    return bool(node["perm"] == [0, 3, 1, 2])
                if node.op not in _EACH_ALONE:
                    return False
                moved |= set(node.outputs)
        return False

    @property
    def layers(self) -> list[str]:
        """Names of the nodes in graph order, without constants; an unnamed node is named by its first output."""
        return [node.name for node in self._graph.value.nodes if node.op != "Constant"]

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Runs the model.

        Args:
            inputs: inputs in graph order, or one dict of inputs by name; None omits an optional one, and a
                sequence is a list.
            named: inputs by name.

        Returns:
            The output, or a tuple of them. A sequence is a tuple.

        Raises:
            TypeError: for missing or unknown inputs.
            ValueError: for inputs of another dtype or number of dimensions.
        """
        given, by_name = _split(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], Mapping) else (inputs, {})
        values = self._run(_bind(self._graph.value.inputs, given, {**by_name, **named}), set())
        found = _exact([values[name] for name in self._graph.value.outputs], self._graph.value.exact)
        return _tensor(found[0]) if len(found) == 1 else tuple(map(_tensor, found))

    def activations(self, x: Any, names: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Values inside the model; differentiable. Nodes after the last one requested are not run.

        Args:
            x: the input, a tuple of inputs in graph order, or a dict of them by name.
            names: names of layers (their first output) or of tensors; all layers if None.

        Returns:
            A dict of values by name.

        Raises:
            ValueError: for an unknown name.
        """
        wanted = [names] if isinstance(names, str) else list(self.layers if names is None else names)
        values = self._value_names()
        unknown = [name for name in wanted if name not in values]
        if unknown:
            hint = near(unknown[0], values) or "."
            raise ValueError(f"activations: no layer or value {unknown}{hint} See model.layers: {self.layers[:5]}...")
        given, named = _split(x)
        found = self._run(_bind(self._graph.value.inputs, given, named), {values[name] for name in wanted})
        return {name: _tensor(found[values[name]]) for name in wanted}

    def unnormalised(self) -> Callable[[Any], Any]:
        """The function that gives the values before a final softmax or sigmoid, or the model itself if there is none.

        Ops after it that only rearrange values, such as Flatten, are applied to them too.

        Returns:
            A function of inputs.
        """
        graph = self._graph.value
        makers = {name: node for node in graph.nodes for name in node.outputs}
        behind, node = [], makers.get(graph.outputs[0]) if len(graph.outputs) == 1 else None
        while node is not None and node.op in _MOVING:
            behind.append(node)
            node = makers.get(node.inputs[0])
        if node is None or node.op not in _NORMALISING:
            return self

        def scores(x: Any) -> Any:
            given, named = _split(x)
            wanted = {node.inputs[0], *(name for mover in behind for name in mover.inputs[1:] if name)}
            values = self._run(_bind(graph.inputs, given, named), wanted)
            values[node.outputs[0]] = values[node.inputs[0]]
            for mover in reversed(behind):
                self._step(mover, values)
            return _tensor(values[graph.outputs[0]])

        return scores

    def astype(self: M, dtype: Any) -> M:
        """Converts weights, float constants and float inputs to another dtype.

        Casts in the graph itself stay. The weights are new tensors, so create optimisers afterwards.

        Args:
            dtype: a float dtype.

        Returns:
            The model.
        """
        dtype = _core.zeros((), dtype=dtype).dtype
        super().astype(dtype)
        graph, known = self._graph.value, self._known.value
        graph.inputs = [replace(i, dtype=dtype) if _is_float(i.dtype) else i for i in graph.inputs]
        for constants in (known, *(body.constants for body in graph.bodies())):
            floats = {name: _core.asarray(value) for name, value in constants.items() if _is_float(value.dtype)}
            constants |= {name: _host(value.astype(dtype)) for name, value in floats.items()}
        return self

    def _value_names(self) -> dict[str, str]:
        """The tensor that each name of a layer or a tensor denotes; a tensor's own name has precedence."""
        graph = self._graph.value
        names = {node.name: next(filter(None, node.outputs), "") for node in reversed(graph.nodes)}
        for name in (*self.inputs, *self.initializers, *(o for node in graph.nodes for o in node.outputs if o)):
            names[name] = name
        return names

    def _fold(self) -> None:
        """Evaluates what depends on constants alone, unless it may be large."""
        known = self._known.value
        for node in self._graph.value.nodes:
            names = [name for name in node.inputs if name]
            ready = names and all(isinstance(known.get(name), np.ndarray) for name in names)
            if node.op == "Constant" or not ready or node.row.sized or node.bodies:
                continue
            if node.op == "DequantizeLinear" or sum(known[name].size for name in names) <= FOLD_LIMIT:
                self._step(node, known)

    def _run(self, values: dict[str, Value], keep: set[str]) -> dict[str, Value]:
        """Values by name after running all nodes, or those that ``keep`` needs, if it is not empty."""
        return self._through(self._graph.value, {**self._known.value, **self.initializers, **values}, keep)

    def _through(self, graph: Graph, values: dict[str, Value], keep: set[str]) -> dict[str, Value]:
        for node in graph.nodes:
            if keep and keep <= values.keys():
                break
            if any(name and name not in values for name in node.outputs):
                self._step(node, values)
            for name in node.finished:
                if name not in keep:
                    values.pop(name, None)
        return values

    def _step(self, node: Node, values: dict[str, Value]) -> None:
        given = [values[name] if name else None for name in node.inputs]
        try:
            if not node.row.sequences and any(isinstance(value, tuple) for value in given):
                raise ValueError("a sequence, where a tensor is needed")
            found = self._control(node, given, values) if node.bodies else _call(node, given)
        except _WRAPPED as error:
            raise _located(error, node, given) from error
        for name, value in zip(node.outputs, found, strict=False):
            if name:
                values[name] = value

    def _control(self, node: Node, given: list[Value], values: dict[str, Value]) -> tuple[Value, ...]:
        """The outputs of a node with bodies, which run by themselves: on the host if all that they read is there."""
        run = _Bodies(self, node, {name: values[name] for name in node.outer})
        known = [_on_host(node, i, value) if i in node.row.host else value for i, value in enumerate(given)]
        found: tuple[Value, ...] = node.row.function(node, run, *_exact(known, node.exact))
        if len(found) != len(node.outputs):
            raise ValueError(f"its graph gives {len(found)} outputs, and it has {len(node.outputs)}")
        return found

    def extra_repr(self) -> str:
        """Inputs, outputs, and the number of nodes."""
        graph = self._graph.value
        return f"inputs={self.inputs}, outputs={self.outputs}, {len(graph.nodes)} nodes, opset {graph.opset}"


class _Bodies:
    """Runs the graphs inside of a node."""

    def __init__(self, model: Model, node: Node, outer: dict[str, Value]) -> None:
        self.model, self.node, self.outer = model, node, outer

    def __call__(self, name: str, *inputs: Value) -> list[Value]:
        """The outputs of one of them."""
        graph = self.node.bodies[name]
        if len(inputs) != len(graph.inputs):
            raise ValueError(f"its graph {name!r} takes {len(graph.inputs)} inputs, and gets {len(inputs)}")
        given = dict(zip((i.name for i in graph.inputs), inputs, strict=True))
        values = self.model._through(graph, {**self.outer, **graph.constants, **given}, set())
        return _exact([values[output] for output in graph.outputs], graph.exact)

    def host(self, value: Value) -> Value:
        """A value on the host."""
        return _on_host(self.node, 0, value)


class _Hidden:
    """A holder that is not searched for parameters."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _roles(graph: Graph) -> tuple[set[str], set[str]]:
    """Names that some node needs on the host, and names that are statistics."""
    host: set[str] = set()
    state: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op in _MOVING and state & set(node.outputs):
            state.add(node.inputs[0])
        for body in node.bodies.values():
            inside = _roles(body)
            host |= inside[0]
            state |= inside[1]
        for i, name in enumerate(node.inputs):
            if i in node.row.host:
                host.add(name)
            if i in node.row.state:
                state.add(name)
    return host, state


def _is_float(dtype: Any) -> bool:
    return bool(dtype.name.startswith(("float", "bfloat")))


def _tensor(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(map(_tensor, value))
    if not isinstance(value, np.ndarray):
        return value
    return _core.asarray(value.astype(HELD[value.dtype.name]) if value.dtype.name in HELD else value)


# -- one node ---------------------------------------------------------------------------------------------------------


def _call(node: Node, given: list[Value]) -> tuple[Value, ...]:
    """The outputs of a node: on the host if all its inputs are there."""
    if any(value is None for value in given[: node.required]):
        raise ValueError("an input that it needs is None")
    given = _exact(given, node.exact)
    if any(map(_has_tensors, given)):
        return _outputs(node, _arguments(node, given))
    with _core._unrecorded(), _core.no_grad():
        return tuple(_host(value) for value in _outputs(node, _arguments(node, given)))


def _has_tensors(value: Value) -> bool:
    return any(map(_has_tensors, value)) if isinstance(value, tuple) else isinstance(value, Tensor)


def _exact(values: list[Value], which: tuple[tuple[int, Any], ...]) -> list[Value]:
    """Values of which some are held as floats, as the integers that they are."""
    dtypes = dict(which)
    return [as_integers(value, dtypes[i]) if i in dtypes else value for i, value in enumerate(values)]


def _arguments(node: Node, given: list[Value]) -> Iterator[Value]:
    for i, value in enumerate(given):
        yield _on_host(node, i, value) if i in node.row.host else _tensor(value)


def _outputs(node: Node, arguments: Iterator[Value]) -> tuple[Value, ...]:
    found = node.row.function(node, *arguments)
    found = found if isinstance(found, tuple) else (found,)
    if len(found) < len(node.outputs):
        raise node.refuse(f"output {len(found)}")
    return tuple(map(wrapped, found, node.wraps)) if node.wraps else found


def _host(value: Value) -> Value:
    """A tensor's values as an array, where NumPy has the dtype."""
    if not isinstance(value, Tensor) or value.dtype == _core.bfloat16:
        return value
    return value.numpy()


def _on_host(node: Node, i: int, value: Value) -> Value:
    if not isinstance(value, Tensor):
        return value
    if _core._is_recording():
        raise _core.CompileError(
            f"node {node.name!r} ({node.op}): its input {node.inputs[i]!r} depends on values, not only on shapes; a "
            "compiled program cannot"
        )
    return value.detach() if value.dtype == _core.bfloat16 else value.detach().numpy()


def _located(error: Exception, node: Node, given: list[Value]) -> Exception:
    shapes = ", ".join(map(_described, given))
    kind = type(error) if type(error) in (ValueError, TypeError, IndexError) else ValueError
    kind = type(error) if isinstance(error, ValueError) and type(error).__module__.startswith("steep") else kind
    return kind(f"node {node.name!r} ({node.op}) with inputs ({shapes}): {error}")


def _described(value: Value) -> str:
    if isinstance(value, tuple):
        return f"a sequence of {len(value)}"
    return "None" if value is None else f"{value.dtype.name}{tuple(value.shape)}"


# -- inputs -----------------------------------------------------------------------------------------------------------


def _split(x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(x, Mapping):
        return (), dict(x)
    return (tuple(x), {}) if isinstance(x, tuple) else ((x,), {})


def _bind(inputs: list[Input], given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Value]:
    """Values by the names of the inputs. Raises TypeError as a Python function would."""
    names = [i.name for i in inputs]
    if len(given) > len(names):
        raise TypeError(f"the model takes {len(names)} inputs {names}, got {len(given)}")
    found = dict(zip(names, given, strict=False))
    for name, value in named.items():
        if name not in names or name in found:
            raise TypeError(f"the model takes inputs {names}; {name!r} is not one, or is given twice")
        found[name] = value
    missing = [name for name in names if name not in found]
    if missing:
        raise TypeError(f"the model takes inputs {names}; {missing} are missing (None leaves an optional one out)")
    return {i.name: _checked(i, found[i.name]) for i in inputs}


def _checked(expected: Input, value: Any) -> Value:
    if value is None:
        return None
    if expected.sequence:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"input {expected.name!r} takes a list of tensors, got {type(value).__name__}")
        return tuple(_checked(replace(expected, sequence=False), item) for item in value)
    typed = hasattr(value, "dtype")
    wide = {"float16": "float32", **HELD}.get(getattr(value.dtype, "name", "")) if typed else None
    value = np.asarray(value).astype(wide) if wide else value
    x = _core.asarray(value) if typed else _core.asarray(value, dtype=expected.dtype)
    where = f"input {expected.name!r}"
    if x.dtype != expected.dtype:
        raise TypeError(f"{where} takes {expected.dtype.name}, got {x.dtype.name}{x.shape}; use astype")
    if expected.shape is not None and len(expected.shape) != x.ndim:
        raise ValueError(f"{where} takes {len(expected.shape)} dimensions {expected.shape}, got shape {x.shape}")
    return x
