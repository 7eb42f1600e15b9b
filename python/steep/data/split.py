"""Random parts of data, by a permutation of a seed: for training, validation and testing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.data.dataset import Batched, Dataset, Keyed, TensorDataset, as_dataset
from steep.random import Generator


class Subset:
    """Some samples of a data set.

    Args:
        dataset: the data set.
        indices: numbers of the samples.

    Example:
        >>> sp.data.Subset(sp.data.TensorDataset(np.arange(5)), np.array([4, 0]))[0]
        np.int64(4)
    """

    def __init__(self, dataset: Dataset, indices: NDArray[np.int64]) -> None:
        self.dataset, self.indices = dataset, np.asarray(indices, np.int64)

    def __getattr__(self, name: str) -> Any:
        """Attributes of the data set, such as ``classes``; ``labels`` are those of the samples."""
        if name.startswith("_") or name in ("dataset", "indices", "batch", "sample", "arrays"):
            raise AttributeError(name)
        found = getattr(self.dataset, name)
        return found[self.indices] if name == "labels" else found

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        """The sample at ``index``."""
        return self.dataset[self.indices[index]]


class _BatchedSubset(Subset):
    def batch(self, indices: NDArray[np.int64]) -> Any:
        """The samples at ``indices``, stacked."""
        assert isinstance(self.dataset, Batched)
        return self.dataset.batch(self.indices[indices])


class _KeyedSubset(Subset):
    def sample(self, index: int, epoch: int) -> Any:
        """The sample at ``index`` in an epoch."""
        assert isinstance(self.dataset, Keyed)
        return self.dataset.sample(int(self.indices[index]), epoch)


def subset(data: Any, indices: Any) -> Any:
    """Some samples: of a tuple of arrays a tuple of that type, of a data set a ``Subset``.

    Args:
        data: a tuple of arrays or a data set.
        indices: numbers of the samples.

    Returns:
        Data of the same kind.

    Example:
        >>> sp.data.subset((np.arange(5), np.arange(5) * 2), [4, 0])
        (array([4, 0]), array([8, 0]))
    """
    at = np.asarray(indices, np.int64)
    if isinstance(data, tuple):
        parts = TensorDataset(*data)[at]
        parts = parts if len(data) > 1 else (parts,)
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    if isinstance(data, Batched):
        return _BatchedSubset(data, at)  # type: ignore[arg-type]
    kind: Any = _KeyedSubset if isinstance(data, Keyed) else Subset
    return kind(data, at)


def split(data: Any, *shares: float, seed: int = 0, stratify: Any = None) -> tuple[Any, ...]:
    """Splits data at random: what is left for training, and a part for each share.

    Args:
        data: a tuple of arrays or a data set.
        shares: the share of each further part, .2 for testing by default.
        seed: seed of the permutation.
        stratify: labels (n,), each of which is divided by these shares; True for those of the data.

    Returns:
        A tuple of parts, the rest first.

    Raises:
        ValueError: for shares that leave nothing, or a part that would be empty.

    Example:
        >>> train, validation, test = sp.data.split((np.arange(10), np.arange(10)), 0.2, 0.1)
        >>> len(train[0]), len(validation[0]), len(test[0])
        (7, 2, 1)
    """
    shares = shares or (0.2,)
    count = len(as_dataset(data))
    if min(shares) <= 0 or sum(shares) >= 1:
        raise ValueError(f"split: shares must be greater than 0 and leave something, got {shares}")
    order = np.asarray(Generator(seed).permutation(count)).astype(np.int64)
    if stratify is not None and stratify is not False:
        order = _interleaved(order, _labels(data) if stratify is True else np.asarray(stratify))
    edges = np.rint(np.cumsum([1 - sum(shares), *shares]) * count).astype(int)
    groups = np.split(order, edges[:-1])
    if min(map(len, groups)) == 0:
        raise ValueError(f"split: {count} samples in shares of {shares} leave a part without any")
    return tuple(subset(data, group) for group in groups)


def _labels(data: Any) -> NDArray[Any]:
    dataset = as_dataset(data)
    found = getattr(dataset, "labels", None)
    return np.asarray(dataset.arrays[1] if found is None else found)


def _interleaved(order: NDArray[np.int64], labels: NDArray[Any]) -> NDArray[np.int64]:
    """The order in which each label is spread evenly, so that every part has its share of each."""
    if labels.shape != order.shape:
        raise ValueError(f"split: stratify has the shape {labels.shape}, and there are {len(order)} samples")
    places = np.empty(len(order))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[order] == label)
        places[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return order[np.argsort(places, kind="stable")]
