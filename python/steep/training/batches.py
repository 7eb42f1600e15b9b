"""The batches of a training run: tensors that are overwritten before each step.

So a compiled step, which closes over them, sees every new batch; order and augmentation depend on the seed alone. A
batch in several shards is loaded once and read shard by shard, and each shard draws from a generator of its own. Start
reading at ``refill``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator as Generator_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, tree
from steep._core import Tensor
from steep.data import DataLoader, as_dataset, augment
from steep.random import Generator
from steep.training.recipe import Recipe

Augment = Callable[[Tensor, Tensor, Generator], Tensor]
ODD = 0xD1342543DE82EF95  # an odd number: keys of (seed, step, shard) are far apart


def key(seed: int, step: int, shard: int) -> int:
    """A seed for what shard ``shard`` of step ``step`` draws.

    Args:
        seed: the seed of the run.
        step: number of the step.
        shard: number of the shard.

    Returns:
        An integer.
    """
    return (((seed + 1) * ODD + step) * ODD + shard) % 2**63


class Batches:
    """The next batch, in tensors ``x``, ``y`` and ``weights`` that ``refill`` and ``show`` overwrite.

    Inputs have the dtype of the model's parameters, float32 or float64, and so have targets that are floats, for
    regression or a training step of one's own. Integer labels are int64. Inputs and targets may be trees of arrays. An
    epoch consists of full batches; the samples left out differ from epoch to epoch.

    Args:
        train: a data set of samples (x, y) or (x, y, weight), or a tuple of arrays.
        recipe: batch size, shards, seed and augmentation.
        augment: a function ``(x, y, generator) -> x`` that is applied last.
        class_weights: a weight for each class, or None.
        part: the numbers of the first shard and of the one after the last that are computed here; all if None.
        workers: threads that load batches ahead, see ``DataLoader``.
        dtype: dtype of floats, "float32" or "float64".

    Raises:
        ValueError: for a batch that cannot be divided into the shards.
    """

    def __init__(
        self,
        train: Any,
        recipe: Recipe,
        augment: Augment | None = None,
        class_weights: NDArray[np.float32] | None = None,
        part: tuple[int, int] | None = None,
        workers: int = 0,
        dtype: Any = None,
    ) -> None:
        self.dtype = dtype or _core.float32
        dataset = as_dataset(train)
        size = min(recipe.batch_size, max(1, len(dataset)))
        if size % recipe.shards:
            raise ValueError(f"fit: a batch of {size} samples cannot be divided into {recipe.shards} shards")
        self.size, self.shards = size // recipe.shards, range(*(part or (0, recipe.shards)))
        rows = None if recipe.shards == 1 else (self.shards.start * self.size, self.shards.stop * self.size)
        self.loader = DataLoader(
            dataset, size, shuffle=True, seed=recipe.seed, drop_last=True, workers=workers, rows=rows
        )
        self.augment, self.recipe, self.source = augment, recipe, Generator(recipe.seed + 1)
        self.class_weights = class_weights
        self.step = 0  # of the batch that is loaded
        self.x, self.y, self.weights = self._buffers(self.loader.sample())
        self._stream = self._endless()
        self._loaded: tuple[Any, Any, Any] = (None, None, None)

    def _buffers(self, sample: Any) -> tuple[Any, Any, Tensor | None]:
        if not isinstance(sample, tuple) or len(sample) not in (2, 3):
            raise TypeError(f"fit: samples must be (x, y) or (x, y, weight), got {type(sample).__name__}")
        x = tree.map(lambda leaf: _core.zeros((self.size, *leaf.shape[1:]), dtype=self.dtype), sample[0])
        y = tree.map(lambda leaf: _core.zeros((self.size, *leaf.shape[1:]), dtype=self._target_dtype(leaf)), sample[1])
        weighted = len(sample) == 3 or self.class_weights is not None
        return x, y, _core.zeros((self.size,), dtype=self.dtype) if weighted else None

    def _target_dtype(self, leaf: Tensor) -> Any:
        return self.dtype if leaf.dtype.kind == "f" else _core.int64

    def refill(self) -> None:
        """Loads the next batch; its first shard is shown."""
        self._loaded = (*next(self._stream), None)[:3]
        if len(self.shards) == 1 and self.recipe.shards == 1:
            x, y, weights = self._loaded
            self._write(x, y, weights, self.source)

    def close(self) -> None:
        """Ends the threads that load batches."""
        self._stream.close()

    def show(self, shard: int) -> None:
        """Writes a shard of the loaded batch into the tensors.

        Args:
            shard: its number.
        """
        first = (shard - self.shards.start) * self.size
        x, y, weights = tree.map(lambda leaf: leaf if leaf is None else leaf[first : first + self.size], self._loaded)
        self._write(x, y, weights, Generator(key(self.recipe.seed + 1, self.step, shard)))

    def _write(self, x: Any, y: Any, weights: Any, source: Generator) -> None:
        _assign(self.x, self._augmented(x, y, source))
        _assign(self.y, y)
        if self.weights is not None:
            total = 1.0 if weights is None else weights.astype(self.dtype)
            if self.class_weights is not None:
                total = total * _core.asarray(self.class_weights[np.asarray(y)]).astype(self.dtype)
            self.weights[...] = total

    def _endless(self) -> Generator_[Any, None, None]:
        while True:
            yield from self.loader

    def _augmented(self, x: Any, y: Any, source: Generator) -> Any:
        if isinstance(x, Tensor):
            x = augment.shift(x, self.recipe.shift, source) if self.recipe.shift and x.ndim > 2 else x
            x = augment.flip(x, source) if self.recipe.flip else x
            x = augment.noise(x, self.recipe.noise, source) if self.recipe.noise else x
        return self.augment(x, y, source) if self.augment else x


def _assign(buffers: Any, values: Any) -> None:
    for buffer, value in zip(tree.leaves(buffers), tree.leaves(values), strict=True):
        buffer[...] = value


def class_weights(given: Any, dataset: Any) -> NDArray[np.float32] | None:
    """A weight for each class.

    Args:
        given: an array-like of them, a dict from class to weight (1 for the others), "balanced" for n / (classes *
            count), as in scikit-learn, or None.
        dataset: the training data.

    Returns:
        A float32 array, or None.

    Raises:
        ValueError: if a weight is negative, or the labels are not known beforehand.
    """
    if given is None:
        return None
    labels = labels_of(dataset)
    count = int(labels.max()) + 1 if labels is not None and len(labels) else 0
    if isinstance(given, str):
        if given != "balanced" or labels is None:
            raise ValueError(f"fit: class_weight {given!r}: known is 'balanced', for data whose labels are known")
        counts = np.bincount(labels)
        weights = np.where(counts > 0, len(labels) / ((counts > 0).sum() * np.maximum(counts, 1)), 0.0)
    elif isinstance(given, dict):
        weights = np.ones(max(count, max(given, default=-1) + 1))
        weights[list(given)] = list(given.values())
    else:
        weights = np.asarray(given, np.float64)
    if weights.ndim != 1 or len(weights) < count or not (weights >= 0).all():
        raise ValueError(
            f"fit: class_weight must have a number, at least 0, for each of {count} classes, got {given!r}"
        )
    return weights.astype(np.float32)


def labels_of(dataset: Any) -> NDArray[np.int64] | None:
    """The labels of a data set, if they are known without reading the samples.

    Args:
        dataset: the data set; ``labels``, or the second of its ``arrays``.

    Returns:
        An int64 array (n,), or None.
    """
    arrays = getattr(dataset, "arrays", (None, None))
    found = getattr(dataset, "labels", arrays[1] if len(arrays) > 1 else None)
    known = isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iu"
    return found.astype(np.int64) if known and found is not None else None
