"""A model file parsed into a ``Graph``: nodes in order, constants, initializers, inputs and outputs, all checked.

Only ``onnx`` parses protobufs and knows the operators' schemas (which inputs and attributes exist, and their defaults);
everything else is checked here, so that a malformed file is a ValueError that names the node or tensor.
Start reading at ``read``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from steep._core import Tensor
from steep.display import displayed
from steep.onnx import operators as operators
from steep.onnx.functions import with_functions_inlined
from steep.onnx.kinds import exact, note
from steep.onnx.table import NARROW, WIDENED, Node, Row, UnsupportedError, dtype_of, find
from steep.onnx.tensors import decode

Source = str | os.PathLike[str] | bytes
OLDEST = 7
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 5, 6, 7, 8
_REFUSED_KINDS = {10: "subgraphs", 9: "tensors", 11: "a sparse tensor", 13: "a type", 14: "types"}
_TYPED = ("to", "dtype", "softmax_precision", "output_dtype")  # attributes that are element types
_NO_ROW = Row(lambda node, *inputs: None)


@dataclass
class Input:
    """An input of the graph: its name, dtype, sizes, None for any, and whether it is a sequence of such tensors."""

    name: str
    dtype: Any
    shape: tuple[int | str | None, ...] | None
    sequence: bool = False


@displayed
@dataclass
class Graph:
    """A checked model. ``problems``: what is unsupported, where, and why; ``widened``: what is stored in a wider type.

    ``kinds``, ``held`` and ``exact``, of the outputs: see ``kinds.py``. Of a body inside a node (``control.py``),
    ``constants`` has the initializers too, ``outer`` names what it takes from around the node, and ``declared`` has the
    sizes of its outputs. ``content``: the file without the values of its initializers, to be written again.
    """

    opset: int
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    initializers: dict[str, np.ndarray | Tensor] = field(default_factory=dict)
    constants: dict[str, np.ndarray | Tensor] = field(default_factory=dict)
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    widened: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    exact: tuple[tuple[int, Any], ...] = ()
    outer: tuple[str, ...] = ()
    declared: dict[str, tuple[int | str | None, ...]] = field(default_factory=dict)
    content: bytes = b""

    def hold(self, where: str, number: int) -> None:
        """Records a type that is stored in a wider one."""
        if number in WIDENED or number in NARROW:
            name, wide, *_ = WIDENED.get(number) or NARROW[number]
            self.widened.setdefault(f"{name} as {wide}", []).append(where)

    def empty(self, name: str) -> np.ndarray:
        """No items of a value, with the sizes that the file declares, 0 where it does not."""
        sizes = [size if isinstance(size, int) else 0 for size in self.declared.get(name, ())]
        dtype = dtype_of(self.kinds.get(name) or FLOAT, name).name
        return np.zeros((0, *sizes), dtype if dtype != "bfloat16" else "float32")

    def bodies(self) -> Iterator[Graph]:
        """The graphs inside nodes, and those inside of these."""
        for node in self.nodes:
            for body in node.bodies.values():
                yield body
                yield from body.bodies()


def package() -> Any:
    """The package ``onnx``. Raises ImportError saying how to install it."""
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise ImportError("steep.onnx needs the package onnx: pip install 'steep[onnx]'") from None


def parse(source: Source) -> tuple[Any, Path | None]:
    """The ModelProto of a path or bytes, and the folder that external data may lie in."""
    onnx = package()
    folder = None
    if not isinstance(source, bytes):
        path = Path(source)
        folder, source = path.absolute().parent, path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(source)
    except Exception as error:
        raise ValueError(f"not an ONNX model: {error}") from None
    if not model.HasField("graph") or not model.graph.output:
        raise ValueError("not an ONNX model: it has no graph with outputs")
    return model, folder


def read(source: Source, strict: bool = True) -> Graph:
    """The graph of a model file. Raises ValueError, naming every operator that steep lacks unless ``strict`` is off."""
    model, folder = parse(source)
    model = with_functions_inlined(model)
    opset, problem = _opset(model)
    graph, proto = Graph(opset), model.graph
    graph.problems += [(what, "", why) for what, why in problem.items()]
    for sparse in proto.sparse_initializer:
        graph.problems.append((f"initializer {sparse.values.name!r}", "", "sparse tensors are not supported"))
    _add_initializers(graph, proto, folder)
    graph.inputs = [_input(graph, i) for i in proto.input if i.name not in graph.initializers]
    graph.outputs = [o.name for o in proto.output]
    for proto_node in proto.node:
        _add_node(graph, proto_node, folder)
    graph.exact = exact(graph.outputs, graph.kinds, graph.held)
    _check_names(graph, {sparse.values.name for sparse in proto.sparse_initializer})
    if strict and graph.problems:
        raise UnsupportedError("; ".join(sorted({_problem(*p) for p in graph.problems})))
    graph.content = _without_values(model)
    return graph


def _without_values(model: Any) -> bytes:
    for tensor in model.graph.initializer:
        name, kind = tensor.name, tensor.data_type
        tensor.Clear()
        tensor.name, tensor.data_type = name, kind
    content: bytes = model.SerializeToString()
    return content


def _problem(op: str, node: str, why: str) -> str:
    return f"{op}: {why}"


def _opset(model: Any) -> tuple[int, dict[str, str]]:
    """The version of the standard operators, or the nearest that steep knows, and what is unsupported about it."""
    newest = int(package().defs.onnx_opset_version())
    versions = {o.version for o in model.opset_import if o.domain in ("", "ai.onnx")}
    others = [o.domain for o in model.opset_import if o.domain not in ("", "ai.onnx")]
    if not versions and others:
        why = f"operators of {', '.join(others)} are not supported, only those of the standard domain"
        return newest, {"imports": why}
    if len(versions) != 1:
        found = f"versions {sorted(versions)}" if versions else "none"
        raise ValueError(f"not an ONNX model: it must import the standard operators at one version, it has {found}")
    version = int(versions.pop())
    if not 1 <= version <= newest:
        known = f"steep reads {OLDEST} to {newest}, older ones where nothing changed"
        return min(max(version, 1), newest), {f"opset {version}": known}
    return version, {}


def _add_initializers(graph: Graph, proto: Any, folder: Path | None) -> None:
    """The initializers. One that nothing reads may have any type."""
    read = set(_names_read(proto))
    for tensor in proto.initializer:
        if not tensor.name or tensor.name in graph.initializers:
            raise ValueError(f"initializer {tensor.name!r} is there twice, or has no name")
        where = f"initializer {tensor.name!r}"
        graph.hold(where, tensor.data_type)
        graph.kinds[tensor.name] = tensor.data_type
        try:
            graph.initializers[tensor.name] = decode(tensor, folder, where)
        except UnsupportedError as error:
            graph.initializers[tensor.name] = np.zeros(0, np.uint8)
            if tensor.name in read:
                graph.problems.append((where, "", str(error).removeprefix(f"{where} ")))


def _names_read(proto: Any) -> Iterator[str]:
    """What nodes read and a graph gives, also inside of bodies."""
    yield from (output.name for output in proto.output)
    for node in proto.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == GRAPH:
                yield from _names_read(attribute.g)


def _body(outer: Graph, proto: Any, folder: Path | None) -> Graph:
    """The graph inside a node; types of its inputs may be left out."""
    graph = Graph(outer.opset, problems=outer.problems, widened=outer.widened)
    graph.kinds, graph.held = dict(outer.kinds), set(outer.held)
    _add_initializers(graph, proto, folder)
    graph.constants, graph.initializers = graph.initializers, {}
    for info in proto.input:
        typed = info.type.WhichOneof("value") == "tensor_type" and info.type.tensor_type.elem_type
        graph.inputs.append(_input(graph, info) if typed else Input(info.name, None, None))
    graph.outputs = [o.name for o in proto.output]
    for node in proto.node:
        _add_node(graph, node, folder)
    for info in proto.output:
        tensor = info.type.tensor_type
        graph.kinds.setdefault(info.name, tensor.elem_type)
        graph.declared[info.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    graph.exact = exact(graph.outputs, graph.kinds, graph.held)
    return graph


def _input(graph: Graph, info: Any) -> Input:
    where = f"input {info.name!r}"
    kind, given = info.type.WhichOneof("value"), info.type
    sequence = kind == "sequence_type"
    if sequence:
        kind, given = given.sequence_type.elem_type.WhichOneof("value"), given.sequence_type.elem_type
    if kind != "tensor_type":
        what = (kind or "value of no type").replace("_type", "")
        what = f"sequence of {what}s" if sequence else what
        graph.problems.append((where, "", f"is {'an' if what[0] in 'aeiou' else 'a'} {what}, not a tensor"))
        return Input(info.name, None, None)
    tensor = given.tensor_type
    shape: tuple[int | str | None, ...] | None = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim)
    graph.hold(where, tensor.elem_type)
    graph.kinds[info.name] = tensor.elem_type
    try:
        return Input(info.name, dtype_of(tensor.elem_type, where), shape, sequence)
    except UnsupportedError as error:
        graph.problems.append((where, "", str(error).removeprefix(f"{where} ")))
        return Input(info.name, None, shape)


# -- nodes ------------------------------------------------------------------------------------------------------------


def _add_node(graph: Graph, proto: Any, folder: Path | None) -> None:
    first = next((o for o in proto.output if o), "")
    name = proto.name or first or f"node {len(graph.nodes)}"
    where = f"node {name!r} ({proto.op_type})"
    if proto.domain not in ("", "ai.onnx"):
        graph.problems.append((f"{proto.domain}.{proto.op_type}", name, "only the standard domain is supported"))
        return _placeholder(graph, name, proto)
    row = find(proto.op_type, graph.opset)
    if row is None and proto.op_type != "Constant":
        graph.problems.append((proto.op_type, name, f"not supported at opset {graph.opset}"))
        return _placeholder(graph, name, proto)
    schema = _schema(proto.op_type, graph.opset, where)
    if graph.opset < OLDEST and _schema(proto.op_type, OLDEST, where).since_version != schema.since_version:
        graph.problems.append((proto.op_type, name, f"not supported at opset {graph.opset}"))
        return _placeholder(graph, name, proto)
    _check_arity(schema, proto, where)
    try:
        attributes = _attributes(schema, proto, folder, where)
        bodies = {a.name: _body(graph, a.g, folder) for a in proto.attribute if a.type == GRAPH}
        for number in (*(attributes.get(key) for key in _TYPED), *(a.t.data_type for a in proto.attribute)):
            graph.hold(where, number or 0)
        if proto.op_type == "Constant":
            graph.constants[proto.output[0]] = _constant(attributes, where)
        _check_forms(row or _NO_ROW, attributes, sum(map(bool, proto.output)))
    except UnsupportedError as error:
        graph.problems.append((proto.op_type, name, str(error)))
        attributes, bodies = {}, {}
    required = sum(i.option == type(i.option).Single for i in schema.inputs)
    node = Node(name, proto.op_type, graph.opset, tuple(proto.input), tuple(proto.output), attributes, row or _NO_ROW)
    node.required, node.bodies = required, bodies
    if proto.op_type == "Constant":
        tensors = (a.t.data_type for a in proto.attribute if a.type == TENSOR)
        graph.kinds[node.outputs[0]] = next(tensors, 0)
    else:
        note(node, schema, graph.kinds, graph.held)
    graph.nodes.append(node)


def _check_forms(row: Row, attributes: dict[str, Any], outputs: int) -> None:
    """Raises for types that steep lacks, and outputs and values of attributes that the row does not list."""
    if outputs > row.outputs:
        raise UnsupportedError(f"{outputs} outputs (training mode) are not supported, only {row.outputs}")
    for key in _TYPED:
        if attributes.get(key):
            dtype_of(attributes[key], f"attribute {key!r}")
    for key, allowed in row.forms.items():
        given = attributes.get(key)
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if key in attributes and value not in allowed:
                raise UnsupportedError(f"{key} {value!r} is not supported, only {', '.join(map(repr, allowed))}")


def _placeholder(graph: Graph, name: str, proto: Any) -> None:
    """A node that cannot run, so that its outputs are known to later checks."""
    graph.nodes.append(Node(name, proto.op_type, graph.opset, tuple(proto.input), tuple(proto.output), {}, _NO_ROW))


def _schema(name: str, opset: int, where: str) -> Any:
    defs = package().defs
    try:
        return defs.get_schema(name, max_inclusive_version=opset, domain="")
    except Exception:
        raise ValueError(f"{where}: opset {opset} has no such operator") from None


def _check_arity(schema: Any, proto: Any, where: str) -> None:
    n, m = len(proto.input), len(proto.output)
    if not schema.min_input <= n <= schema.max_input:
        raise ValueError(f"{where} has {n} inputs; it takes {schema.min_input} to {schema.max_input}")
    if not max(1, schema.min_output) <= m <= schema.max_output:
        raise ValueError(f"{where} has {m} outputs; it gives {schema.min_output} to {schema.max_output}")
    single = type(schema.inputs[0].option).Single if schema.inputs else None
    for given, formal in zip(proto.input, schema.inputs, strict=False):
        if formal.option == single and not given:
            raise ValueError(f"{where} lacks its input {formal.name!r}")


def _attributes(schema: Any, proto: Any, folder: Path | None, where: str) -> dict[str, Any]:
    """All attributes by name, with the schema's defaults."""
    found: dict[str, Any] = {}
    for name, formal in schema.attributes.items():
        if formal.default_value.type:
            found[name] = _attribute(formal.default_value, folder, where)
    given = set()
    for attribute in proto.attribute:
        formal = schema.attributes.get(attribute.name)
        if formal is None:
            raise ValueError(f"{where} has no attribute {attribute.name!r} at opset {schema.since_version}")
        if attribute.name in given or int(formal.type.value) != attribute.type or attribute.ref_attr_name:
            raise ValueError(f"{where}: attribute {attribute.name!r} is given twice, or of the wrong type")
        given.add(attribute.name)
        found[attribute.name] = _attribute(attribute, folder, where)
    missing = [n for n, formal in schema.attributes.items() if formal.required and n not in given]
    if missing:
        raise ValueError(f"{where} lacks its attribute {missing[0]!r}")
    return found


def _attribute(proto: Any, folder: Path | None, where: str) -> Any:
    kind = proto.type
    if kind in _REFUSED_KINDS:
        raise UnsupportedError(f"attribute {proto.name!r} is {_REFUSED_KINDS[kind]}")
    if kind == GRAPH:
        return None  # see _body
    if kind == TENSOR:
        return decode(proto.t, folder, f"attribute {proto.name!r} of {where}")
    if kind == STRING:
        return _text(proto.s, where)
    if kind == STRINGS:
        return [_text(s, where) for s in proto.strings]
    plain = {FLOAT: "f", INT: "i", FLOATS: "floats", INTS: "ints"}
    if kind not in plain:
        raise ValueError(f"{where}: attribute {proto.name!r} has an unknown type {kind}")
    value = getattr(proto, plain[kind])
    return list(value) if kind in (FLOATS, INTS) else value


def _text(value: bytes, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{where}: an attribute is no text") from None


def _constant(attributes: dict[str, Any], where: str) -> np.ndarray | Tensor:
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if len(attributes) != 1:
        raise ValueError(f"{where} must have one value, it has {sorted(attributes)}")
    name, value = next(iter(attributes.items()))
    if name == "value":
        found: np.ndarray | Tensor = value
        return found
    if name not in kinds:
        raise UnsupportedError(f"a value in {name!r} is not supported")
    return np.asarray(value, dtype=kinds[name])


# -- names ------------------------------------------------------------------------------------------------------------


def _check_names(graph: Graph, others: set[str]) -> None:
    """Every name is made once, and before it is used; ``others`` are known besides, around a body."""
    made = {name for node in graph.nodes for name in node.outputs}
    own = {*graph.initializers, *(graph.constants.keys() - made)}  # Constant nodes make theirs when they come
    for given in graph.inputs:
        if not given.name or given.name in own:
            raise ValueError(f"input {given.name!r} is there twice, or has no name")
        own.add(given.name)
    used = set[str]()
    for node in graph.nodes:
        for body in node.bodies.values():
            _check_names(body, own | others)
        node.outer = tuple(sorted({name for body in node.bodies.values() for name in body.outer}))
        for name in filter(None, (*node.inputs, *node.outer)):
            if name not in own and name not in others:
                raise ValueError(_unknown(graph, node, name))
            used.add(name)
        for name in filter(None, node.outputs):
            if name in own:
                raise ValueError(f"node {node.name!r} ({node.op}) makes {name!r}, which is there already")
            own.add(name)
    for name in graph.outputs:
        if name not in own and name not in others:
            raise ValueError(f"output {name!r} is made by no node")
    if len(set(graph.outputs)) != len(graph.outputs):
        raise ValueError(f"outputs {graph.outputs} name a value twice")
    graph.outer = tuple(sorted((used | set(graph.outputs)) - own))
    _find_last_uses(graph)


def _unknown(graph: Graph, node: Node, name: str) -> str:
    maker = next((n for n in graph.nodes if name in n.outputs), None)
    where = f"node {node.name!r} ({node.op}) uses {name!r}"
    if maker is None:
        return f"{where}, which nothing makes"
    return f"{where}, which node {maker.name!r} makes only later: a cycle, or nodes out of order"


def _find_last_uses(graph: Graph) -> None:
    """Determines for each node which values are not needed after it has run."""
    kept = set(graph.outputs)
    for node in reversed(graph.nodes):
        ended = {name for name in (*node.inputs, *node.outer, *node.outputs) if name and name not in kept}
        node.finished = tuple(sorted(ended))
        kept |= ended
