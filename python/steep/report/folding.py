"""Large graphs, folded: blocks of nodes that a page shows as one, with their results and the gradients they hand on.

Nodes that repeat, as the steps of a loop or equal layers do, make a block each, or several repetitions together if
there are many; the first and the last repetition stay as they are. What does not repeat is folded last, some nodes in a
row at a time. Start reading at ``folded``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steep.report.nodes import Item

REPEATED = 3  # repetitions at least
SHORTEST = 12  # nodes of all repetitions together, at least
LONGEST = 2000  # nodes of a repetition
Keys = NDArray[np.int64]


class Stretch(NamedTuple):
    """Nodes from ``start`` to before ``stop``: repetitions of ``period`` nodes, or, if that is 0, no repetitions."""

    start: int
    stop: int
    period: int = 0


class Block(NamedTuple):
    """Nodes from ``start`` to before ``stop`` that are folded, and what the page calls them."""

    start: int
    stop: int
    title: str


def folded(items: list[Item], most: int) -> list[Item]:
    """The items of a graph, with as much of it in blocks as it takes to show no more than ``most``.

    Args:
        items: inputs before users, the result last, as ``read_graph`` gives them.
        most: number of items, constants apart, above which some are folded.

    Returns:
        Items, inputs before users; a block has ``inside``.
    """
    computed = [item for item in items[:-1] if item.inputs]
    if _size(items) <= most or not computed:
        return items
    stretches = repeats(computed)
    for step in count():
        blocks = list(_blocks(stretches, step))
        owner = _owners(items, computed, blocks)
        if _size({owner.get(id(item), item) for item in items}) <= most or any(
            block.stop - block.start == len(computed) for block in blocks
        ):
            return with_blocks(items, owner)
    raise AssertionError


def _size(items: Iterable[Item]) -> int:
    return sum(item.op != "constant" for item in items)


# -- what repeats -----------------------------------------------------------------------------------------------------


def repeats(computed: list[Item]) -> list[Stretch]:
    """Nodes in order as stretches: first what is the same in shape and line of Python, then what has the same ops."""
    cuts = _crossings(computed)
    exact, alike = (_numbered(computed, whole) for whole in (True, False))
    found = _split(exact, Stretch(0, len(computed)), cuts)
    return [part for each in found for part in ([each] if each.period else _split(alike, each, cuts))]


def _numbered(computed: list[Item], whole: bool) -> Keys:
    """A number for each kind of node."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(_kind(item, whole), len(known)) for item in computed], np.int64)


def _kind(item: Item, whole: bool) -> Any:
    inputs = tuple(source.op for source in item.inputs)
    return (item.op, inputs, tuple(item.node.shape), item.node.where) if whole else (item.op, inputs)


def _crossings(computed: list[Item]) -> Keys:
    """For each place between nodes the number of results from before it that are used after it."""
    place = {id(item): i for i, item in enumerate(computed)}
    last = list(range(len(computed)))
    for i, item in enumerate(computed):
        for source in item.inputs:
            if id(source) in place:
                last[place[id(source)]] = i
    change = np.zeros(len(computed) + 2, np.int64)
    for i, until in enumerate(last):
        change[i + 1] += 1
        change[until + 1] -= 1
    return np.cumsum(change)


def _split(keys: Keys, stretch: Stretch, cuts: Keys) -> list[Stretch]:
    """A stretch with its longest repetitions apart, and those of what is left."""
    found, todo = list[Stretch](), [stretch]
    least = max(SHORTEST, len(keys) // 100)
    while todo:
        start, stop, _ = part = todo.pop()
        best = _longest(keys[start:stop])
        if best is None or best[1] < least:
            found += [part] if start < stop else []
            continue
        first, length, period = best
        # Repetitions may begin at any of their nodes: at the one where the fewest results cross, or so that the last
        # ends at the end, as those of a loop do. Its own end is no measure, since what comes after may use more.
        ends = range(start + first + length, start + first + length - period, -1)
        end = min(ends, key=lambda each: int(cuts[each - period]))
        begin = end - (end - start - first) // period * period
        found.append(Stretch(begin, end, period))
        todo += [Stretch(start, begin), Stretch(end, stop)]
    return sorted(found)


def _longest(keys: Keys) -> tuple[int, int, int] | None:
    """Start, length and period of the longest run that repeats itself; the smallest period of those."""
    best: tuple[int, int, int] | None = None
    for period in range(1, min(len(keys) // REPEATED, LONGEST) + 1):
        other = np.flatnonzero(keys[:-period] != keys[period:])
        ends = np.concatenate([[-1], other, [len(keys) - period]])
        at = int(np.argmax(np.diff(ends)))
        length = int(ends[at + 1] - ends[at]) - 1 + period
        if length >= REPEATED * period and (best is None or length > best[1]):
            best = int(ends[at]) + 1, length, period
    return best


# -- blocks -----------------------------------------------------------------------------------------------------------


def _blocks(stretches: list[Stretch], step: int) -> Iterator[Block]:
    """What is folded: with each step twice as many repetitions in a block, and when all are in one, other nodes too."""
    most = max(((each.stop - each.start) // each.period for each in stretches if each.period), default=1)
    enough = most.bit_length()
    rest = 2 ** max(0, step - enough)
    if rest >= sum(each.stop - each.start for each in stretches):
        yield Block(0, stretches[-1].stop, f"{stretches[-1].stop} nodes")
        return
    for each in stretches:
        if each.period:
            yield from _repetitions(each, 2**step)
        elif rest > 1:
            for start in range(each.start, each.stop, rest):
                stop = min(start + rest, each.stop)
                if stop - start > 1:
                    yield Block(start, stop, f"{stop - start} nodes")


def _repetitions(stretch: Stretch, together: int) -> Iterator[Block]:
    """All repetitions but the first and the last, so many in a block."""
    start, stop, period = stretch
    times = (stop - start) // period
    for first in range(1, times - 1, together):
        last = min(first + together, times - 1)
        title = f"repeat {first + 1}" if last == first + 1 else f"repeats {first + 1}-{last}"
        if (last - first) * period > 1:
            yield Block(start + first * period, start + last * period, f"{title}/{times}")


def _owners(items: list[Item], computed: list[Item], blocks: list[Block]) -> dict[int, Item]:
    """The block of each item that is in one; a leaf or constant that one block alone uses goes into it."""
    owner: dict[int, Item] = {}
    for block in blocks:
        inside = computed[block.start : block.stop]
        owner |= dict.fromkeys(map(id, inside), Item(block.title, inside=inside))
    users = _users(items, owner)
    for item in items:
        if item.is_source and len(users.get(id(item), ())) == 1:
            (only,) = users[id(item)]
            if only.inside:
                owner[id(item)] = only
    return owner


def _users(items: list[Item], owner: dict[int, Item]) -> dict[int, set[Item]]:
    """What uses each item, blocks in place of their nodes."""
    users: dict[int, set[Item]] = {}
    for item in items:
        for source in item.inputs:
            users.setdefault(id(source), set()).add(owner.get(id(item), item))
    return users


def with_blocks(items: list[Item], owner: dict[int, Item]) -> list[Item]:
    """Everything in order, with blocks in place of what is in them, each where its last node was."""
    users = _users(items, owner)
    for made in {id(each): each for each in owner.values()}.values():
        _complete(made, owner, users)
    found: list[Item] = []
    waiting: dict[int, Item] = {}
    for item in items:
        block = item.owner = owner.get(id(item))
        if block is not None:
            block.whole.append(item)
        if item.is_source and block is None:
            waiting[id(item)] = item
        elif block is None or item is block.inside[-1]:
            shown = block or item
            found += [waiting.pop(id(source)) for source in shown.inputs if id(source) in waiting]
            shown.sources = shown.inputs
            shown.inputs = [owner.get(id(source), source) for source in shown.inputs]
            found.append(shown)
    return found


def _complete(block: Item, owner: dict[int, Item], users: dict[int, set[Item]]) -> None:
    """Gives a block its inputs, what it hands on to each, and its results: the nodes that others use."""
    parts: dict[int, Any] = {}
    sources: dict[int, Item] = {}
    for item in block.inside:
        for source, part in zip(item.inputs, item.parts or [None] * len(item.inputs), strict=True):
            if owner.get(id(source)) is not block:
                sources.setdefault(id(source), source)
                if part is not None:
                    before = parts.get(id(source))
                    parts[id(source)] = part if before is None else before + part
    block.results = [item for item in block.inside if users.get(id(item), set()) - {block}] or block.inside[-1:]
    last = block.results[-1]
    block.value, block.origin, block.gradient, block.name = last.value, last.origin, last.gradient, last.name
    block.inputs = list(sources.values())
    block.parts = [parts.get(id(source)) for source in block.inputs] if parts else []
    block.local = [None] * len(block.parts)
