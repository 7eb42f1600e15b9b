"""What the nodes of a graph are called in the program: the variables that hold their tensors.

Start reading at ``named``.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.report.nodes import Item, through_watches

MOST = 64  # entries of a list or a dict that are looked at
COMPARED = 4096  # elements of a constant that is compared by value


def tensors(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The tensors and arrays among variables, in lists, tuples and dicts of them, and the parameters of modules.

    Args:
        variables: values by name; names with a leading underscore are passed over.

    Yields:
        Names as in Python, such as "weights[0]", with the tensor or the array.
    """
    for name, value in variables.items():
        if not name.startswith("_"):
            yield from _inside(name, value, 2)


def _inside(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Tensor | np.ndarray):
        yield name, value
    elif not depth:
        return
    elif isinstance(value, list | tuple) and len(value) <= MOST:
        for i, each in enumerate(value):
            yield from _inside(f"{name}[{i}]", each, depth - 1)
    elif isinstance(value, dict) and len(value) <= MOST:
        for key, each in value.items():
            yield from _inside(f"{name}[{key!r}]", each, depth - 1)
    elif type(value).__module__.split(".")[0] != "torch" and hasattr(type(value), "named_parameters"):
        for key, each in value.named_parameters():
            yield f"{name}.{key}", each


def variables_of(f: Callable[..., Any]) -> dict[str, Any]:
    """The variables that a function reads from outside of itself.

    Args:
        f: the function.

    Returns:
        Values by name.
    """
    code = getattr(f, "__code__", None)
    if code is None:
        owner = getattr(f, "__self__", f)
        return {"self": owner}
    found = {name: f.__globals__[name] for name in code.co_names if name in getattr(f, "__globals__", {})}
    for name, cell in zip(code.co_freevars, getattr(f, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    return found


def named(items: list[Item], variables: Mapping[str, Any]) -> None:
    """Gives items the names of the variables that hold them, and their values where only a variable has them.

    Args:
        items: the nodes of a graph.
        variables: values by name.
    """
    held = list(tensors(variables))
    by_node = {item.node: item for item in items if item.node is not None}
    for name, value in held:
        node = through_watches(_core._node_of(value)) if isinstance(value, Tensor) else None
        item = by_node.get(node) if node is not None else None
        if item is not None and not item.name:
            item.name = name
            item.know(value.detach(), "variable")
    constants = [(name, value) for name, value in held if value.size > 1 and not _has_graph(value)]
    for item in items:
        if item.node is None and item.value is not None and not item.name:
            item.name = next((name for name, value in constants if _is_same(item.value, value)), "")


def source_line(where: str) -> tuple[str, int, str]:
    """A source line: the path of its file, its number, and its text where it can be read.

    Args:
        where: path and number, as "file.py:12".

    Returns:
        Path, number and text.
    """
    path, _, line = where.rpartition(":")
    return path, int(line or 0), linecache.getline(path, int(line or 0)).strip()


def named_by_lines(items: list[Item], apart: str) -> None:
    """Gives the last node of a line that assigns to a variable the name of that variable.

    Args:
        items: the nodes of a graph, in order.
        apart: the line that asks for the page, whose variable is another.
    """
    last = {item.node.where: item for item in items if item.node is not None and item.inputs and item.node.where}
    for where, item in last.items():
        item.name = item.name or ("" if where == apart else _assigned(source_line(where)[2]))


def _assigned(line: str) -> str:
    """The variable that a line assigns to, "" if it is no assignment to one."""
    try:
        statement = ast.parse(line).body[0]
    except (SyntaxError, ValueError, IndexError):
        return ""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        target = statement.target
    else:
        return ""
    return ast.unparse(target) if isinstance(target, ast.Name | ast.Attribute) else ""


def _has_graph(value: Any) -> bool:
    return isinstance(value, Tensor) and _core._node_of(value) is not None


def _is_same(constant: Tensor, value: Any) -> bool:
    """Whether an operand is a variable's value: of its memory or a copy, maybe with further axes of size 1."""
    if constant.size != value.size or _long(constant.shape) != _long(value.shape):
        return False
    ours, theirs = np.asarray(constant), np.asarray(value.detach() if isinstance(value, Tensor) else value)
    if np.may_share_memory(ours, theirs):
        return True
    return ours.size <= COMPARED and ours.dtype == theirs.dtype and np.array_equal(ours.ravel(), theirs.ravel())


def _long(shape: tuple[int, ...]) -> list[int]:
    return [side for side in shape if side != 1]
