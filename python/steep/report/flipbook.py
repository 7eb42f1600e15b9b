"""The flip-book of backpropagation: the graph of a value, to step through forwards and backwards.

``flipbook_data`` gives the graph as plain values; ``flipbook.js`` shows them in any page, and ``page`` writes a page of
nothing else, one file that needs no network. Start reading at ``page``.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from steep import _core, tree
from steep._core import Tensor
from steep._repr import user_line
from steep.display import shown
from steep.report.folding import folded
from steep.report.formula import rule_of
from steep.report.html import document
from steep.report.names import named, named_by_lines, source_line, tensors, variables_of
from steep.report.nodes import Item, read_graph

HERE = Path(__file__).parent
LINES, OTHERS = 12, 4  # of a block: lines of Python and results, at most
MOST = 300  # nodes that a page shows at first; what is more is folded
HELD, DRAWN = 2000, 4_000_000  # nodes in blocks that a page holds, to be unfolded, and values that it draws of them
PICTURE = 10_000  # values of an array that are drawn, at most
FUNCTIONS = {row["name"]: row for row in _core._op_table()}


class Page(str):
    """A page as text, HTML; a notebook shows it.

    ``path``: the file it was written to, or None.
    """

    path: str | None = None
    nodes: int = 0

    def _repr_html_(self) -> str:
        return f'<iframe title="flip-book" style="width:100%;height:46rem;border:0" srcdoc="{escape(self)}"></iframe>'

    def __repr__(self) -> str:
        return f"<page of {self.nodes} nodes, {self.path or f'{len(self):,} letters of HTML'}>"


def page(
    loss: Any,
    *args: Any,
    path: str | os.PathLike[str] | None = "page.html",
    gradient: Any = None,
    most: int = MOST,
    title: str = "",
) -> Page:
    """Writes the graph of a value as one HTML page: every node with its value, its gradient and its line of Python, to
    step through forwards and backwards.

    Given a function, ``page`` runs it and keeps the value and the line of every node. Given a value that was computed
    before, it shows what the graph kept for its gradient, what a variable of the caller holds, and what can be computed
    again from these; the rest is "not kept", and so are lines of Python unless the value was computed under
    ``detect_anomaly()``.

    Args:
        loss: a tensor with a graph, or a function that returns one.
        args: the arguments of the function.
        path: the file; None to write none.
        gradient: the gradient of the result, of its shape; may be left out where it has one element.
        most: the largest number of nodes; of a larger graph parts are folded into blocks, first what repeats.
        title: title of the page.

    Returns:
        The page, a string of HTML that notebooks show.

    Raises:
        TypeError: for what is neither a tensor nor a function.
        ValueError: for a graph of more than 100,000 nodes.
        GradientError: for a tensor without a graph, one of several elements without ``gradient``, and a graph whose
            values ``backward()`` freed.

    Example:
        >>> x = sp.tensor(0.5, requires_grad=True)
        >>> sp.page(sp.tanh(x * 2.0), path=None)
        <page of 4 nodes, ... letters of HTML>
    """
    caller = sys._getframe(1)
    data = flipbook_data(loss, *args, gradient=gradient, most=most, variables={**caller.f_globals, **caller.f_locals})
    heading = title or data["title"]
    made = Page(_html(heading, data))
    made.nodes = len(data["nodes"])
    if path is not None:
        from steep.io.atomic import atomic_write

        with atomic_write(path) as file:
            file.write(made.encode())
        made.path = os.fspath(path)
    return made


def flipbook_data(
    loss: Any,
    *args: Any,
    gradient: Any = None,
    most: int = MOST,
    variables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a flip-book shows, as plain values for JSON; ``mount(element, data)`` of ``flipbook.js`` shows it.

    Args:
        loss: a tensor with a graph, or a function that returns one.
        args: the arguments of the function.
        gradient: as for ``page``.
        most: as for ``page``.
        variables: values by name, whose names the nodes get.

    Returns:
        A dict with ``title``, ``nodes`` in the order in which they were computed, ``backward``, the numbers of the
        nodes in the order in which their gradients are complete, and ``folded``, which says what is folded. ``inside``
        are nodes of blocks, whose numbers go on from those of ``nodes``.
    """
    known = dict(variables or {})
    given: dict[Any, Tensor] = {}
    arguments: dict[str, Any] = {}
    if callable(loss) and not isinstance(loss, Tensor):
        known |= variables_of(loss)
        y, given, arguments = _run(loss, args)
        name = getattr(loss, "__name__", type(loss).__name__)
        title = f"The graph of {'a function' if name == '<lambda>' else name}"
    else:
        y, title = loss, "The graph of a value"
    y, g = _checked(y, gradient, args if y is loss else ())
    items = read_graph(y, g, given)
    named(items, {**known, **arguments})
    named_by_lines(items, user_line(sys._getframe()))
    count, items = len(items), folded(items, most)
    held = _held(items)
    contents = [item for block in held for item in block.whole]
    numbers = {id(item): i for i, item in enumerate([*items, *contents])}
    users = [item for item in [*items, *contents] if not item.inside or id(item.inside[0]) not in numbers]
    uses = Counter(id(source) for item in users for source in _sources(item, numbers))
    nodes, inside = ([_node(item, numbers, uses) for item in some] for some in (items, contents))
    backward = [i for i in reversed(range(len(items))) if items[i].gradient is not None]
    return {"title": title, "nodes": nodes, "inside": inside, "backward": backward, "folded": _told(items, count, held)}


def _held(items: list[Item]) -> list[Item]:
    """The blocks whose nodes the page holds: the first ones, where all would make it too large."""
    found = list[Item]()
    nodes, drawn = HELD, DRAWN
    for block in (item for item in items if item.inside):
        nodes -= len(block.whole)
        drawn -= sum(map(_drawn, block.whole))
        if min(nodes, drawn) < 0:
            break
        found.append(block)
    return found


def _drawn(item: Item) -> int:
    """About how many values the page draws of a node."""
    arrays = [item.value, item.gradient, *item.parts, *item.local]
    return sum(min(each.size, PICTURE) for each in arrays if each is not None)


def _told(items: list[Item], count: int, held: list[Item]) -> str:
    """What is folded, "" if nothing is."""
    blocks = [item for item in items if item.inside]
    if not blocks:
        return ""
    inside = count - len(items) + len(blocks)
    which = "" if len(held) == len(blocks) else f" of the first {len(held)}"
    unfold = f"; + shows the nodes of one{which}" if held else ""
    return (
        f"{inside:,} of the {count:,} nodes are folded into {len(blocks)} blocks, first those that repeat{unfold}. "
        f"most={count} shows all."
    )


def _checked(y: Any, gradient: Any, args: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """The result and its gradient. Raises for what has no graph."""
    if not isinstance(y, Tensor):
        raise TypeError(
            f"page: needs a tensor with a graph, or a function that returns one, and got a {type(y).__name__}"
        )
    if args:
        raise TypeError(
            'page: arguments go with a function, and this is a tensor; path="page.html" says where to write'
        )
    if _core._node_of(y) is None:
        raise _core.GradientError(
            f"page: {y.dtype}{tuple(y.shape)} has no graph: none of its inputs requires a gradient "
            "(requires_grad=True), or it was made under no_grad()"
        )
    if gradient is None and y.size != 1:
        raise _core.GradientError(
            f"page: {y.dtype}{tuple(y.shape)} is not a scalar; reduce it first, as in y.sum(), or pass gradient=, "
            "a tensor of its shape"
        )
    g = _core.ones_like(y.detach()) if gradient is None else _core.asarray(gradient).detach().astype(y.dtype)
    if tuple(g.shape) != tuple(y.shape):
        raise _core.GradientError(f"page: the gradient {tuple(g.shape)} does not have the shape of {tuple(y.shape)}")
    return y, g


def _run(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, dict[Any, Tensor], dict[str, Any]]:
    """The function's result, with every value and line kept; the nodes of its arguments; and these by name."""
    given: dict[Any, Tensor] = {}

    def watched(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor | np.ndarray | float) or _core.asarray(leaf).dtype.kind != "f":
            return leaf
        alias, node = _core._watched_alias(_core.asarray(leaf))
        given[node] = alias
        return alias

    inside = [tree.map(watched, argument) for argument in args]
    before = _core._set_keeps_values(True)
    try:
        with _core.enable_grad():
            y = f(*inside)
    finally:
        _core._set_keeps_values(before)
    names = getattr(getattr(f, "__code__", None), "co_varnames", ())
    return y, given, dict(tensors(dict(zip(names, inside, strict=False))))


def _node(item: Item, numbers: Mapping[int, int], uses: Mapping[int, int]) -> dict[str, Any]:
    """An item as plain values. ``sources`` are the inputs once all blocks that the page holds are unfolded."""
    sources = _sources(item, numbers)
    inputs = [numbers[id(source)] for source in (sources if item.owner else item.inputs)]
    node = item.results[-1].node if item.inside else item.node
    is_op = node is not None and bool(inputs) and not item.inside
    shape = node.shape if node is not None else item.value.shape if item.value is not None else None
    row = FUNCTIONS.get(item.op, {}) if is_op else {}
    return {
        "op": item.op,
        "name": item.name,
        "what": row.get("doc", ""),
        "inputs": inputs,
        "sources": [numbers[id(source)] for source in sources] if sources != item.inputs else None,
        "shape": None if shape is None else list(shape),
        "dtype": str(node.dtype if node is not None else item.value.dtype if item.value is not None else ""),
        "attributes": {key: _plain(value) for key, value in node.attributes.items()} if is_op else {},
        "where": _line(node.where) if is_op else None,
        "value": _shown(item.value),
        "origin": item.origin,
        "gradient": _shown(item.gradient),
        "parts": _parts(item, sources, uses),
        "local": [_shown(part) for part in item.local],
        "rules": _rules(item) if item.parts and is_op else [],
        "own_rule": bool(is_op and node.has_own_rule),
        "block": _block(item, numbers) if item.inside else None,
    }


def _sources(item: Item, numbers: Mapping[int, int]) -> list[Item]:
    """The inputs of an item where all blocks that the page holds are unfolded."""
    return [
        source if id(source) in numbers or source.owner is None else source.owner
        for source in item.sources or item.inputs
    ]


def _block(item: Item, numbers: Mapping[int, int]) -> dict[str, Any]:
    """What is in a block: how many nodes of which ops, their lines of Python, all results but the last, and the numbers
    of the nodes if the page holds them.
    """
    ops = Counter(each.op for each in item.inside)
    lines = dict.fromkeys(each.node.where for each in item.inside if each.node.where)
    return {
        "count": len(item.inside),
        "inside": [numbers[id(each)] for each in item.whole if id(each) in numbers],
        "ops": list(ops.items()),
        "lines": [_line(where) for where in list(lines)[:LINES]],
        "others": [{"name": each.name or each.op, "shape": list(each.node.shape), "value": _shown(each.value),
                    "gradient": _shown(each.gradient)} for each in item.results[:-1][-OTHERS:]],
    }  # fmt: skip


def _parts(item: Item, sources: list[Item], uses: Mapping[int, int]) -> list[Any]:
    """What goes to each input; "gradient" for a picture that stands with the input already, which nothing else uses."""
    found: list[Any] = []
    for part, source in zip(item.parts, sources, strict=False):
        alone = uses[id(source)] == 1 and part is not None and part.size > MOST
        whole = source.gradient if alone else None
        same = whole is not None and np.array_equal(np.asarray(part), np.asarray(whole), equal_nan=True)
        found.append("gradient" if same else _shown(part))
    return found


def _shown(value: Tensor | None) -> dict[str, Any] | None:
    return None if value is None else shown(value)


def _plain(value: Any) -> str:
    return str(value)


def _rules(item: Item) -> list[str]:
    """The gradient rule for each input, as a formula of g, the operands and y."""
    count = len(item.inputs)
    names = [*(["x"] if count == 1 else [f"x{i + 1}" for i in range(count)]), "y"]
    return rule_of(item.node, item.node.saved(), names)


def _line(where: str) -> dict[str, Any] | None:
    """A source line: the name of its file, its number, and its text where it can be read."""
    path, line, text = source_line(where)
    return {"file": os.path.basename(path), "line": line, "text": text} if path else None


def script() -> str:
    """The module that shows a flip-book: ``mount(element, data)``.

    Returns:
        JavaScript.
    """
    return (HERE / "flipbook.js").read_text("utf-8")


def style() -> str:
    """The style of a flip-book.

    Returns:
        CSS.
    """
    return (HERE / "flipbook.css").read_text("utf-8")


def _html(title: str, data: dict[str, Any]) -> str:
    # In JSON "<" stands in strings alone, so that no name can end the script element. A page opens at the step of its
    # address, as page.html#step=9.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    body = (
        f"<style>{style()}</style>\n<h1>{escape(title)}</h1>\n"
        '<div id="flipbook"><noscript>This page needs JavaScript, which is part of it; nothing is fetched.</noscript>'
        f'</div>\n<script id="data" type="application/json">{text}</script>\n'
        f'<script type="module">\n{script()}\n'
        "const step = Number((/^#step=([0-9]+)$/.exec(location.hash) ?? [0, 1])[1]);\n"
        'mount(document.getElementById("flipbook"), JSON.parse(document.getElementById("data").textContent), '
        "{keys: document, start: step});\n</script>"
    )
    return document(escape(title), body)
