"""The ranks that share a run: one, unless the program was started by ``python -m steep.distributed`` under mpiexec."""

from __future__ import annotations

from typing import Any

from steep.distributed.fold import Fold


class World:
    """A single rank, which computes all shards.

    Attributes:
        rank: number of this rank.
        size: number of ranks.
    """

    rank = 0
    size = 1

    def part(self, shards: int) -> tuple[int, int]:
        """The shards of this rank: from the first number to before the second.

        Args:
            shards: number of shards.

        Returns:
            Two integers.

        Raises:
            ValueError: if there are fewer shards than ranks.
        """
        if shards < self.size:
            raise ValueError(f"{self.size} ranks cannot share {shards} shards: Recipe(shards={self.size}) or more")
        return self.rank * shards // self.size, (self.rank + 1) * shards // self.size

    def total(self, fold: Fold) -> list[Any]:
        """The sums over the shards of all ranks.

        Args:
            fold: the sums of this rank's shards.

        Returns:
            A list of tensors.
        """
        return fold.total()

    def agree(self, facts: dict[str, Any]) -> None:
        """Checks that all ranks state the same facts.

        Args:
            facts: plain values by name.

        Raises:
            ValueError: naming the first difference, on every rank.
        """

    def barrier(self) -> None:
        """Waits until every rank is here."""


_world = World()


def world() -> World:
    """The ranks of this program.

    Returns:
        A ``World``.

    Example:
        >>> sp.distributed.world().size
        1
    """
    return _world


def join(found: World) -> None:
    """Makes ``found`` the world of this program.

    Args:
        found: the world.
    """
    global _world
    _world = found
