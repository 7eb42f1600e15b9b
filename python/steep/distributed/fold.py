"""Sums over shards in one binary tree, whoever computes which shard.

Shard 2i is added to shard 2i + 1, such pairs to one another, and so on. A ``Fold`` holds the complete subtrees of the
shards that it was given, and adds two as soon as both are there, so it needs memory for log2(shards) + 1 sums. What was
given is never written, and is copied where it has to wait, unless it was given away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steep._core import Tensor, no_grad
from steep.compiling import compile

Node = tuple[int, int]  # level, and number in the level


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().copy()
    return value.copy() if isinstance(value, np.ndarray) else value


def _sum(terms: list[list[Any]]) -> list[Any]:
    """The first, added to the second, that to the third and so on. The last of three is a sum that was made here."""
    if len(counts := sorted({len(term) for term in terms})) > 1:
        raise ValueError(f"Fold: one shard has {counts[0]} values and another {counts[1]}")
    with no_grad():
        return [_total(column) for column in zip(*terms, strict=True)]


def _total(column: Sequence[Any]) -> Any:
    first = column[0]
    if len(column) < 3 or not all(isinstance(value, Tensor) and value.shape == first.shape for value in column):
        return functools.reduce(_added, column)
    _adder(first.shape, len(column))(*column)
    return column[-1]


def _added(total: Any, term: Any) -> Any:
    return term + total


@functools.lru_cache(maxsize=1024)
def _adder(shape: tuple[int, ...], count: int) -> Callable[..., None]:
    """Adds to the last in one pass over memory, where one addition after the other would write and read every sum."""

    def add(*terms: Tensor) -> None:
        terms[-1][...] = functools.reduce(_added, terms)

    return compile(add)


class Fold:
    """Sums of lists of tensors or arrays, one list per shard.

    Args:
        shards: number of shards, a power of two.
        halves: whether the last addition is left to the caller, who asks for ``halves`` instead of ``total``.

    Raises:
        ValueError: for another number.

    Example:
        >>> fold = sp.distributed.Fold(4)
        >>> for shard in (3, 0, 1, 2):
        ...     fold.add(shard, [float(shard)])
        >>> fold.total()
        [6.0]
    """

    def __init__(self, shards: int, halves: bool = False) -> None:
        if shards < 1 or shards & (shards - 1):
            raise ValueError(f"Fold: the number of shards must be a power of two, got {shards}")
        self.shards, self._top = shards, shards.bit_length() - 1
        self._added = self._top - halves  # the level up to which sums are made
        self.nodes: dict[Node, list[Any]] = {}

    def add(self, shard: int, values: Sequence[Any]) -> None:
        """Adds the values of a shard.

        Args:
            shard: its number.
            values: tensors or arrays, which are read at once: they may change afterwards.

        Raises:
            ValueError: for a shard that there is not.
        """
        self.merge({self._leaf(shard): list(values)})

    def give(self, shard: int, values: Sequence[Any], pair: bool = False) -> None:
        """Adds the values of a shard as ``add`` does, without a copy.

        Args:
            shard: its number.
            values: tensors or arrays that do not change afterwards.
            pair: whether they are sums of the shard's and of what ``take`` returned for it.

        Raises:
            ValueError: for a shard that there is not.
        """
        level, number = self._leaf(shard)
        self._merge((level + pair, number >> pair), list(values))

    def take(self, shard: int) -> list[Any] | None:
        """What waits to be added to a shard, for a caller who adds it while computing that shard.

        Args:
            shard: its number.

        Returns:
            The values of its neighbour in the tree, which the fold forgets, or None if they are not there. The sum of
            the two is given back by ``give``, as a pair.

        Raises:
            ValueError: for a shard that there is not.
        """
        level, number = self._leaf(shard)
        return self.nodes.pop((level, number ^ 1), None)

    def _leaf(self, shard: int) -> Node:
        if not 0 <= shard < self.shards:
            raise ValueError(f"Fold: shard {shard} is not among {self.shards}")
        return 0, shard

    def merge(self, nodes: Mapping[Node, list[Any]]) -> None:
        """Adds complete subtrees.

        Args:
            nodes: sums by level and number.
        """
        for (level, number), values in nodes.items():
            waits = (level, number ^ 1) not in self.nodes
            self._merge((level, number), [_copy(value) for value in values] if waits else values)

    def _merge(self, node: Node, values: list[Any]) -> None:
        terms = [values]
        while node[0] < self._added and (other := (node[0], node[1] ^ 1)) in self.nodes:
            terms.append(self.nodes.pop(other))
            node = (node[0] + 1, node[1] // 2)
        self.nodes[node] = _sum(terms)

    def total(self) -> list[Any]:
        """The sums over all shards.

        Returns:
            A list like those added.

        Raises:
            ValueError: if a shard is missing.
        """
        (whole,) = self._ends([(self._top, 0)])
        return whole

    def halves(self) -> list[list[Any]]:
        """The sums over both halves of the shards, whose sum is the total.

        Returns:
            Two lists, or the total alone where that was made already (the pair of two shards).

        Raises:
            ValueError: if a shard is missing.
        """
        whole = (self._top, 0)
        return self._ends([whole] if whole in self.nodes else [(self._top - 1, 0), (self._top - 1, 1)])

    def _ends(self, nodes: list[Node]) -> list[list[Any]]:
        if sorted(self.nodes) != nodes:
            raise ValueError(f"Fold: not all of the {self.shards} shards were added")
        return [self.nodes[node] for node in nodes]
