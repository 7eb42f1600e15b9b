"""Batches in an order that depends on seed and epoch alone, and that can be resumed in the middle of an epoch.

The order of epoch e is a permutation from a generator of (seed, e): the order of any epoch can be computed without
running those before it. Worker threads load batches ahead and in order, so they change nothing but the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, tree
from steep.data.dataset import Batched, Dataset, Keyed
from steep.io.arrays import to_array
from steep.random import Generator

ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: maps neighbouring seeds to distant keys
AHEAD = 2  # batches that workers load ahead


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
        workers: threads that load the next two batches meanwhile; 0 to load each when it is asked for. Reading files,
            decoding them and steep's kernels release the interpreter lock. The batches are the same for any number.
        rows: if given, only these rows of every batch are loaded, from the first number to before the second.

    Raises:
        ValueError: for a batch size below 1, a negative number of workers or an empty data set.

    Example:
        >>> loader = sp.data.DataLoader(sp.data.TensorDataset(np.arange(5.0)), batch_size=2, workers=2)
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
        workers: int = 0,
        rows: tuple[int, int] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be at least 1, got {batch_size}")
        if workers < 0:
            raise ValueError(f"DataLoader: workers must not be negative, got {workers}")
        if not len(dataset):
            raise ValueError("DataLoader: the data set is empty")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.seed, self.drop_last, self.workers, self.rows = seed, drop_last, workers, rows
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
        order, epoch = self.order(self.epoch), self.epoch
        starts = range(self.position * self.batch_size, len(self) * self.batch_size, self.batch_size)
        wanted = [order[start : start + self.batch_size][slice(*(self.rows or (0, None)))] for start in starts]
        for batch in self._threaded(wanted, epoch) if self.workers else self._plain(wanted, epoch):
            self.position += 1
            yield batch
        self.epoch, self.position = epoch + 1, 0

    def sample(self) -> Any:
        """The first sample of the data set, as a batch of one; the state of the loader does not change.

        Returns:
            A tensor, or a tree of tensors.
        """
        return _stacked([self._samples(np.zeros(1, np.int64), 0)])

    def _plain(self, wanted: list[NDArray[np.int64]], epoch: int) -> Iterator[Any]:
        for indices in wanted:
            yield _stacked([self._samples(indices, epoch)])

    def _threaded(self, wanted: list[NDArray[np.int64]], epoch: int) -> Iterator[Any]:
        """Each batch is divided among the workers; the next ones are begun before it is asked for."""
        with ThreadPoolExecutor(self.workers, "steep-loader") as pool:
            waiting: deque[list[Future[Any]]] = deque()
            try:
                for indices in [*wanted, *[None] * AHEAD]:
                    if indices is not None:
                        parts = np.array_split(indices, min(self.workers, len(indices)))
                        waiting.append([pool.submit(self._samples, part, epoch) for part in parts])
                    if waiting and (indices is None or len(waiting) > AHEAD):
                        yield _stacked([future.result() for future in waiting.popleft()])
            finally:
                for future in [future for batch in waiting for future in batch]:
                    future.cancel()

    def _samples(self, indices: NDArray[np.int64], epoch: int) -> Any:
        return stack_samples(self.dataset, indices, epoch)

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


def stack_samples(dataset: Any, indices: NDArray[np.int64], epoch: int = 0) -> Any:
    """Samples as arrays with their number first.

    Args:
        dataset: the data set.
        indices: numbers of the samples.
        epoch: number of the epoch, for data sets with augmentations.

    Returns:
        An array, or a tree of arrays.
    """
    if isinstance(dataset, Batched):
        return dataset.batch(indices)
    keyed = dataset if isinstance(dataset, Keyed) else None
    samples = [keyed.sample(int(i), epoch) if keyed else dataset[int(i)] for i in indices]
    return tree.map(lambda *parts: _stack(indices, parts), *samples)


def _stack(indices: NDArray[np.int64], parts: Any) -> NDArray[Any]:
    arrays = [np.asarray(to_array(part)) for part in parts]
    other = next((n for n, array in enumerate(arrays) if array.shape != arrays[0].shape), None)
    if other is not None:
        raise ValueError(
            f"DataLoader: sample {indices[other]} has shape {arrays[other].shape}, and sample {indices[0]} "
            f"{arrays[0].shape}; resize or crop them to one shape"
        )
    return np.stack(arrays)


def _stacked(parts: list[Any]) -> Any:
    """Parts of a batch as one tree of tensors."""
    if len(parts) == 1:
        return tree.map(_core.asarray, parts[0])
    return tree.map(lambda *arrays: _core.asarray(np.concatenate(arrays)), *parts)
