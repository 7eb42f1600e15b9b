"""The batches of a training run: two tensors that are overwritten before each step.

So a compiled step, which closes over them, sees every new batch; order and augmentation depend on the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.data import DataLoader, Part, TensorDataset, augment
from steep.random import Generator
from steep.training.recipe import Recipe

Augment = Callable[[Tensor, Tensor, Generator], Tensor]


class Batches:
    """The next batch, in tensors ``x`` (batch, ...) and ``y`` (batch, ...) that ``refill`` overwrites.

    Labels are int64; targets that are floats, for a training step of one's own, float32.

    An epoch consists of full batches; the samples left out differ from epoch to epoch.

    Args:
        train: the training data.
        recipe: batch size, seed and augmentation.
        augment: a function ``(x, y, generator) -> x`` that is applied last.
    """

    def __init__(self, train: Part, recipe: Recipe, augment: Augment | None = None) -> None:
        size = min(recipe.batch_size, max(1, len(train.y)))
        self.loader = DataLoader(TensorDataset(*train), size, shuffle=True, seed=recipe.seed, drop_last=True)
        self.augment, self.recipe, self.source = augment, recipe, Generator(recipe.seed + 1)
        self.x = _core.zeros((size, *train.x.shape[1:]), dtype=_core.float32)
        targets = _core.float32 if np.asarray(train.y).dtype.kind == "f" else _core.int64
        self.y = _core.zeros((size, *np.shape(train.y)[1:]), dtype=targets)
        self._stream = self._endless()

    def refill(self) -> None:
        """Loads the next batch."""
        x, y = next(self._stream)
        self.x[...] = self._augmented(x, y)
        self.y[...] = y

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def _augmented(self, x: Tensor, y: Tensor) -> Tensor:
        x = augment.shift(x, self.recipe.shift, self.source) if self.recipe.shift else x
        x = augment.flip(x, self.source) if self.recipe.flip else x
        x = augment.noise(x, self.recipe.noise, self.source) if self.recipe.noise else x
        return self.augment(x, y, self.source) if self.augment else x
