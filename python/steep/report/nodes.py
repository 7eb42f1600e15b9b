"""What a recorded graph knows: its nodes in order, the value of each, its gradient, and the line that made it.

A graph keeps the values that gradient rules need. What it does not keep is computed again from what it does, taken from
a variable that still holds it, or not known. Start reading at ``read_graph``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from steep import _core
from steep._core import Tensor

LARGEST = 100_000  # nodes of a graph that is not refused


@dataclass(eq=False)
class Item:
    """A node of the graph, or a constant operand of one.

    ``inputs`` are items; ``origin`` says where the value is from: "kept", "leaf", "variable", "computed again", or ""
    where it is not known. ``parts`` are the gradients that go to the inputs, ``local`` the derivatives with respect
    to them where the result is one number.

    A block stands for the nodes ``inside``, whose ``results`` others use; ``whole`` are these nodes with the leaves and
    constants that it alone uses, in order, and it is the ``owner`` of each. Where ``inputs`` are blocks, ``sources``
    are the nodes in them.
    """

    op: str
    node: Any = None
    inputs: list[Item] = field(default_factory=list)
    value: Tensor | None = None
    origin: str = ""
    name: str = ""
    gradient: Tensor | None = None
    parts: list[Tensor | None] = field(default_factory=list)
    local: list[Tensor | None] = field(default_factory=list)
    kept: list[Tensor | None] = field(default_factory=list)
    sources: list[Item] = field(default_factory=list)
    inside: list[Item] = field(default_factory=list)
    whole: list[Item] = field(default_factory=list)
    results: list[Item] = field(default_factory=list)
    owner: Item | None = None

    @property
    def is_source(self) -> bool:
        """Whether it is a leaf or a constant, which nothing computes."""
        return not self.inputs and not self.inside

    def know(self, value: Tensor | None, origin: str) -> None:
        """Takes the value, if none is known yet."""
        if self.value is None and value is not None:
            self.value, self.origin = value, origin


def through_watches(node: Any) -> Any:
    """The node below those that tapes and transforms put above a tensor's own.

    Args:
        node: a node, or None.

    Returns:
        A node, or None.
    """
    while node is not None and node.name == "watch" and node.inputs:
        node = node.inputs[0]
    return node


def read_graph(y: Tensor, gradient: Tensor, given: dict[Any, Tensor]) -> list[Item]:
    """The graph below a tensor, in the order in which it was computed.

    Args:
        y: the tensor.
        gradient: its own gradient.
        given: values of nodes that are known from elsewhere.

    Returns:
        The items, inputs before users, the tensor's own last.

    Raises:
        ValueError: for more nodes than 100,000.
        GradientError: for a graph whose values backward() freed.
    """
    nodes = _found(_core._node_of(y))
    if any(node.freed for node in nodes):
        raise _core.GradientError(
            "page: backward() freed what this graph kept; call page() before it, call backward(retain_graph=True), or "
            "let page() run the function: page(f, *args)"
        )
    items = {node: Item("leaf" if not node.inputs else node.name, node) for node in nodes}
    for item in list(items.values()):
        _link(item, items)
    _know_values(items, y, given)
    _differentiate(list(items.values()), y, gradient)
    return list(_in_order(items[through_watches(_core._node_of(y))]))


def _found(root: Any) -> list[Any]:
    """All nodes below the root, without watches, oldest first."""
    seen, stack = set[Any](), [through_watches(root)]
    while stack and len(seen) <= LARGEST:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [through_watches(below) for below in node.inputs if below is not None]
    if len(seen) > LARGEST:
        raise ValueError(
            f"page: the graph has more than {LARGEST:,} nodes, whose gradients a page would all hold; take a smaller "
            "part of the work, as one layer or one step"
        )
    return sorted(seen, key=lambda node: node.sequence)


def _link(item: Item, items: dict[Any, Item]) -> None:
    """The inputs of an item: those of its node, and an item of its own for each constant."""
    item.kept = item.node.values() if item.node.inputs else []
    for i, below in enumerate(item.node.inputs):
        if below is not None:
            item.inputs.append(items[through_watches(below)])
        else:
            value = item.kept[i]
            item.inputs.append(Item("constant", value=value, origin="kept" if value is not None else ""))


def _know_values(items: dict[Any, Item], y: Tensor, given: dict[Any, Tensor]) -> None:
    items[through_watches(_core._node_of(y))].know(y.detach(), "kept")
    for item in items.values():
        item.know(item.kept[-1] if item.kept else None, "kept")
        item.know(item.node.target.detach() if item.node.target is not None else None, "leaf")
    for item in items.values():
        for source, value in zip(item.inputs, item.kept, strict=False):
            source.know(value, "kept")
    for node, value in given.items():
        if through_watches(node) in items:
            items[through_watches(node)].know(value.detach(), "variable")
    for item in items.values():  # inputs first
        if item.value is None and item.inputs and all(source.value is not None for source in item.inputs):
            item.know(_again(item), "computed again")


def _again(item: Item) -> Tensor | None:
    try:
        found: Tensor = item.node.again([source.value for source in item.inputs])
    except (ValueError, TypeError, IndexError):
        return None
    return found


def _differentiate(items: list[Item], y: Tensor, gradient: Tensor) -> None:
    """The gradient of every item, what it hands on to its inputs, and the local derivatives of single numbers."""
    found = _core._walk_backward([y], [gradient], [item.node for item in items], False, 0)
    for item, g in zip(items, found, strict=True):
        item.gradient = g
        if g is None or not item.inputs:
            continue
        item.parts = item.node.pull(g, False)
        if g.size == 1 and not item.node.has_own_rule:
            item.local = item.node.pull(_core.ones_like(g), False)


def _in_order(root: Item) -> Iterator[Item]:
    """Inputs before users: nodes as they were computed, and each leaf and constant just before its first use."""
    seen: set[int] = set()
    todo, computed = [root], []
    while todo:
        item = todo.pop()
        if id(item) not in seen:
            seen.add(id(item))
            computed += [item] if item.inputs or item is root else []
            todo += item.inputs
    placed: set[int] = set()
    for item in sorted(computed, key=lambda item: item.node.sequence):
        for source in item.inputs:
            if source.is_source and id(source) not in placed:
                placed.add(id(source))
                yield source
        yield item
