"""Trees: any nesting of dict, list, tuple, namedtuple, dataclass and None around leaves.

Parameters, gradients and optimiser states are trees, so that code for them is written once, for leaves. Start reading
at ``KINDS``: each row defines how one kind of node is taken apart and rebuilt. Everything else is a leaf; types are
matched exactly, since a subclass's constructor is not known here.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

Tree: TypeAlias = Any
Path: TypeAlias = tuple[Hashable, ...]
IsLeaf: TypeAlias = Callable[[Any], bool]


class Kind(NamedTuple):
    """One kind of node.

    Attributes:
        claims: whether a type is of this kind.
        items: the (key, child) pairs of a node, in order.
        build: makes a node from its type, keys and children.
    """

    claims: Callable[[type], bool]
    items: Callable[[Tree], list[tuple[Hashable, Tree]]]
    build: Callable[[Any, list[Any], list[Tree]], Tree]


def _fields(node: Tree) -> list[tuple[Hashable, Tree]]:
    import dataclasses  # here, because it is slow to import, and has been imported already where there is a dataclass

    return [(field.name, getattr(node, field.name)) for field in dataclasses.fields(node) if field.init]


KINDS = (
    Kind(  # None: a node without children
        lambda kind: kind is type(None),
        lambda node: [],
        lambda kind, keys, children: None,
    ),
    Kind(
        lambda kind: kind in (dict, OrderedDict),
        lambda node: list(node.items()),
        lambda kind, keys, children: kind(zip(keys, children, strict=True)),
    ),
    Kind(
        lambda kind: kind in (list, tuple),
        lambda node: list(enumerate(node)),
        lambda kind, keys, children: kind(children),
    ),
    Kind(  # namedtuple
        lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"),
        lambda node: list(zip(node._fields, node, strict=True)),
        lambda kind, keys, children: kind(*children),
    ),
    Kind(
        lambda kind: hasattr(kind, "__dataclass_fields__"),
        _fields,
        lambda kind, keys, children: kind(**dict(zip(keys, children, strict=True))),
    ),
)


class Structure(NamedTuple):
    """The structure of a tree without its leaves. Compare two with ``==``.

    Attributes:
        kind: the type of the node, None for a leaf.
        keys: the keys of its children.
        children: their structures.
    """

    kind: type | None
    keys: tuple[Hashable, ...] = ()
    children: tuple[Structure, ...] = ()

    @property
    def size(self) -> int:
        """Number of leaves."""
        return 1 if self.kind is None else sum(child.size for child in self.children)


LEAF = Structure(None)


def _never(node: Tree) -> bool:
    return False


def _find_kind(of: type) -> Kind | None:
    return next((kind for kind in KINDS if kind.claims(of)), None)


_kind: Callable[[type], Kind | None] = functools.lru_cache(maxsize=1024)(_find_kind)


def _take_apart(node: Tree, path: Path, into: list[tuple[Path, Any]], is_leaf: IsLeaf) -> Structure:
    kind = None if is_leaf(node) else _kind(type(node))
    if kind is None:
        into.append((path, node))
        return LEAF
    items = kind.items(node)
    children = tuple(_take_apart(child, (*path, key), into, is_leaf) for key, child in items)
    return Structure(type(node), tuple(key for key, _ in items), children)


def flatten(tree: Tree, is_leaf: IsLeaf = _never) -> tuple[list[Any], Structure]:
    """The leaves of a tree, depth first, and its structure.

    Args:
        tree: the tree.
        is_leaf: nodes for which it is true are leaves too.

    Returns:
        A list of leaves, and a ``Structure``.

    Example:
        >>> leaves, structure = sp.tree.flatten({"a": [1, 2], "b": 3})
        >>> leaves, sp.tree.unflatten(structure, [10, 20, 30])
        ([1, 2, 3], {'a': [10, 20], 'b': 30})
    """
    found: list[tuple[Path, Any]] = []
    shape = _take_apart(tree, (), found, is_leaf)
    return [leaf for _, leaf in found], shape


def leaves(tree: Tree) -> list[Any]:
    """The leaves of a tree, depth first.

    Args:
        tree: the tree.

    Returns:
        A list.

    Example:
        >>> sp.tree.leaves({"a": [1, 2], "b": 3})
        [1, 2, 3]
    """
    return flatten(tree)[0]


def structure(tree: Tree) -> Structure:
    """The structure of a tree.

    Args:
        tree: the tree.

    Returns:
        A ``Structure``.

    Example:
        >>> sp.tree.structure([1, 2]) == sp.tree.structure([3, 4])
        True
    """
    return flatten(tree)[1]


def paths(tree: Tree, is_leaf: IsLeaf = _never) -> list[tuple[Path, Any]]:
    """Each leaf with the keys that lead to it.

    Args:
        tree: the tree.
        is_leaf: nodes for which it is true are leaves too.

    Returns:
        A list of pairs of a tuple of keys and a leaf.

    Example:
        >>> sp.tree.paths({"a": [1]})
        [(('a', 0), 1)]
    """
    found: list[tuple[Path, Any]] = []
    _take_apart(tree, (), found, is_leaf)
    return found


def unflatten(shape: Structure, values: Iterable[Any]) -> Tree:
    """The tree of a structure with given leaves.

    Args:
        shape: the structure.
        values: the leaves.

    Returns:
        A tree.

    Raises:
        ValueError: if the number of leaves is wrong.

    Example:
        >>> sp.tree.unflatten(sp.tree.structure((1, 2)), [3, 4])
        (3, 4)
    """
    values = list(values)
    if len(values) != shape.size:
        raise ValueError(f"unflatten: the structure has {shape.size} leaves, got {len(values)}")
    return _put_together(shape, iter(values))


def _put_together(shape: Structure, values: Iterator[Any]) -> Tree:
    kind = _kind(shape.kind) if shape.kind is not None else None
    if kind is None:
        return next(values)
    children = [_put_together(child, values) for child in shape.children]
    return kind.build(shape.kind, list(shape.keys), children)


def match(shape: Structure, tree: Tree, what: str = "tree") -> list[Any]:
    """The leaves of a tree in the order of a structure; dicts are matched by key, whatever their order.

    Args:
        shape: the structure.
        tree: the tree.
        what: its name in error messages.

    Returns:
        A list of leaves.

    Raises:
        ValueError: naming the position where they differ.

    Example:
        >>> sp.tree.match(sp.tree.structure({"a": 1, "b": 2}), {"b": 4, "a": 3})
        [3, 4]
    """
    found: list[Any] = []
    _match(shape, tree, what, found)
    return found


def _match(shape: Structure, node: Tree, where: str, into: list[Any]) -> None:
    if shape.kind is None:
        return _match_leaf(node, where, into)
    items = _same_kind(shape, node, where)
    for key, child in zip(shape.keys, shape.children, strict=True):
        _match(child, items[key], f"{where}[{key!r}]", into)


def _match_leaf(node: Tree, where: str, into: list[Any]) -> None:
    if _kind(type(node)) is not None:
        raise ValueError(f"trees differ at {where}: a leaf is expected, got {_describe(structure(node))}")
    into.append(node)


def _same_kind(shape: Structure, node: Tree, where: str) -> dict[Hashable, Tree]:
    kind = _kind(type(node))
    items = dict(kind.items(node)) if kind is not None and type(node) is shape.kind else None
    if items is None or items.keys() != set(shape.keys):
        got = f"a leaf of type {type(node).__name__}" if kind is None else _describe(structure(node))
        raise ValueError(f"trees differ at {where}: {_describe(shape)} is expected, got {got}")
    return items


def _describe(shape: Structure) -> str:
    name = shape.kind.__name__ if shape.kind is not None else "leaf"
    if name == "NoneType":
        return "None"
    if shape.kind in (list, tuple):
        return f"a {name} of length {len(shape.keys)}"
    return f"a {name} with keys {list(shape.keys)}"


def map(fn: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Applies a function to corresponding leaves of trees.

    Args:
        fn: a function of one leaf per tree.
        tree: the first tree, whose structure the result has.
        rest: further trees.

    Returns:
        A tree.

    Raises:
        ValueError: if a tree in ``rest`` differs in structure, naming the position.

    Example:
        >>> sp.tree.map(lambda a, b: a + b, {"x": 1}, {"x": 2})
        {'x': 3}
    """
    first, shape = flatten(tree)
    others = [match(shape, other) for other in rest]
    return unflatten(shape, [fn(*group) for group in zip(first, *others, strict=True)])
