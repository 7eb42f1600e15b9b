"""Functions that a model defines for itself, put in place of their calls by the package onnx.

The package follows calls without end, so a function that calls itself, also by way of others, is refused before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_NODES = 1 << 20  # after they are put in place: calls within calls multiply
DEEPEST = 100  # calls within calls
Key = tuple[str, str, str]


def with_functions_inlined(model: Any) -> Any:
    """The model with no functions of its own.

    Args:
        model: a ModelProto.

    Returns:
        A ModelProto, the same one if it has none.

    Raises:
        ValueError: for functions that call one another in a circle, that would be too many nodes, or that the package
            onnx cannot put in place.
    """
    if not model.functions:
        return model
    bodies = {_key(function): function for function in model.functions}
    sizes: dict[Key, int] = {}
    if sum(_size(node, bodies, sizes, ()) for node in _nodes(model.graph.node)) > MOST_NODES:
        raise ValueError(f"the functions of the model's own would be more than {MOST_NODES} nodes")
    import onnx.inliner  # heavy, and needed by few models

    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:
        raise ValueError(f"the functions of the model's own cannot be put in place of their calls: {error}") from None


def _key(function: Any) -> Key:
    return function.domain, function.name, getattr(function, "overload", "")


def _size(node: Any, bodies: dict[Key, Any], sizes: dict[Key, int], above: tuple[Key, ...]) -> int:
    """How many nodes one becomes."""
    key = (node.domain, node.op_type, getattr(node, "overload", ""))
    if key not in bodies:
        return 1
    if key in above or len(above) > DEEPEST:
        raise ValueError(f"the function {key[1]!r} of the model calls itself, or calls are nested too deeply")
    if key not in sizes:
        sizes[key] = sum(_size(inner, bodies, sizes, (*above, key)) for inner in _nodes(bodies[key].node))
    return sizes[key]


def _nodes(nodes: Any) -> Iterator[Any]:
    """Nodes, and those of graphs inside of them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g.node)
            for graph in attribute.graphs:
                yield from _nodes(graph.node)
