"""Batches in an order that depends on seed and epoch alone, and that can be resumed in the middle of an epoch.

The order of epoch e is a permutation from a generator of (seed, e): the order of any epoch can be computed without
running those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, tree
from steep.data.dataset import Batched, Dataset
from steep.random import Generator

ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: maps neighbouring seeds to distant keys


class DataLoader:
    """Iterates over batches of a data set; each iteration is one epoch.

    An epoch that is left early counts as done. In the middle of an epoch, ``state_dict`` includes the number of batches
    returned so far, and a loader that loads it continues with the next one.

    Args:
        dataset: the data set.
        batch_size: samples per batch.
        shuffle: whether to permute the samples in each epoch.
        seed: seed of the permutations.
        drop_last: whether to leave out an incomplete last batch.

    Raises:
        ValueError: for a batch size below 1 or an empty data set.

    Example:
        >>> loader = sp.data.DataLoader(sp.data.TensorDataset(np.arange(5.0)), batch_size=2)
        >>> [batch.tolist() for batch in loader]
        [[0.0, 1.0], [2.0, 3.0], [4.0]]
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
        """The order of the samples in an epoch.

        Args:
            epoch: number of the epoch, from 0.

        Returns:
            An int64 array of indices.
        """
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
        """The state: seed, epoch, and batches returned in it.

        Returns:
            A dict of integers.
        """
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continues from a state.

        Args:
            state: what ``state_dict`` returned.

        Raises:
            ValueError: if it belongs to another seed or does not fit.
        """
        if state["seed"] != self.seed or not 0 <= state["position"] <= len(self):
            raise ValueError(
                f"the state {dict(state)} does not belong to a loader of seed {self.seed}, {len(self)} batches"
            )
        self.epoch, self.position, self._resumed = state["epoch"], state["position"], True
