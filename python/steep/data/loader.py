"""Batches in an order that depends on the seed and the epoch alone, and that can be taken up in the middle.

The order of epoch e is a permutation drawn from a generator made of (seed, e): any epoch's order can be computed
without running those before it, whatever was done in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, tree
from steep.data.dataset import Batched, Dataset
from steep.random import Generator

ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads neighbouring seeds far apart


class DataLoader:
    """Iterate to run one epoch: batches of ``batch_size`` samples as tensors, in tuples if the samples are tuples.

    Each iteration is the next epoch; one left early counts as run. ``state_dict`` in the middle of an epoch counts the
    batches handed out so far, and a loader that loads it goes on with the next one. Raises ValueError for a batch size
    below 1 or an empty data set.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be at least 1, got {batch_size}")
        if not len(dataset):
            raise ValueError("DataLoader: the data set is empty")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.seed, self.drop_last = seed, drop_last
        self.epoch, self.position = 0, 0
        self._resumed = False

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The order of the samples in ``epoch``."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        generator = Generator((self.seed * ODD + epoch) % 2**63)
        return np.asarray(generator.permutation(len(self.dataset))).astype(np.int64)

    def __iter__(self) -> Iterator[Any]:
        if self.position and not self._resumed:
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        order = self.order(self.epoch)
        for start in range(self.position, len(self)):
            self.position = start + 1
            yield self._batch(order[start * self.batch_size : (start + 1) * self.batch_size])
        self.epoch, self.position = self.epoch + 1, 0

    def _batch(self, indices: NDArray[np.int64]) -> Any:
        if isinstance(self.dataset, Batched):
            return tree.map(_core.asarray, self.dataset.batch(indices))
        samples = [self.dataset[int(i)] for i in indices]
        return tree.map(lambda *parts: _core.asarray(np.stack(parts)), *samples)

    def state_dict(self) -> dict[str, int]:
        """Where the loader is: its seed, the epoch, and the batches of it handed out."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from where ``state`` was taken. Raises ValueError if it belongs to another seed or does not fit."""
        if state["seed"] != self.seed or not 0 <= state["position"] <= len(self):
            raise ValueError(
                f"the state {dict(state)} does not belong to a loader of seed {self.seed}, {len(self)} batches"
            )
        self.epoch, self.position, self._resumed = state["epoch"], state["position"], True
