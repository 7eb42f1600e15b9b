"""Gradients of a loss of one's own over the shards of a batch, on any number of ranks: ``value_and_grad``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steep import transforms, tree
from steep._core import Tensor
from steep.distributed.fold import Fold
from steep.distributed.world import world


def value_and_grad(loss: Callable[[Any, Any], Tensor], shards: int = 1) -> Callable[[Any, Any], tuple[Tensor, Any]]:
    """A function ``(params, batch)`` that gives the mean of ``loss`` over the shards of a batch, and its gradient.

    The batch is cut into so many parts of equal length, which the ranks share; sums are added in one binary tree, so
    that no bit depends on the number of ranks. Every rank is given the whole batch and gets the whole gradient.

    Args:
        loss: a function ``(params, batch)`` that returns a scalar, the mean over its samples.
        shards: number of shards, a power of two.

    Returns:
        A function that returns a scalar tensor and a tree like ``params``.

    Raises:
        ValueError: when called, for a batch that cannot be divided into the shards.

    Example:
        >>> step = sp.distributed.value_and_grad(lambda w, x: ((x - w) ** 2).mean(), shards=2)
        >>> value, gradient = step(sp.tensor([0.0]), sp.tensor([[1.0], [2.0], [3.0], [4.0]]))
        >>> value.item(), gradient.tolist()
        (7.5, [-5.0])
    """

    def part_of(params: Any, batch: Any) -> Tensor:
        value = loss(params, batch)
        return value * (1 / shards) if isinstance(value, Tensor) else value

    gradient = transforms.value_and_grad(loss if shards == 1 else part_of)

    def step(params: Any, batch: Any) -> tuple[Tensor, Any]:
        ranks, fold = world(), Fold(shards)
        lengths = {len(leaf) for leaf in tree.leaves(batch)}
        if len(lengths) != 1 or min(lengths) % shards:
            raise ValueError(
                f"value_and_grad: a batch of {sorted(lengths)} samples has no {shards} shards of one length"
            )
        size = min(lengths) // shards
        _, shape = tree.flatten(params)
        for shard in range(*ranks.part(shards)):
            part = tree.map(lambda leaf, at=shard * size: leaf[at : at + size], batch)
            value, found = gradient(params, part)
            fold.give(shard, [value, *tree.leaves(found)])
        value, *leaves = ranks.total(fold)
        return value, tree.unflatten(shape, leaves)

    return step
