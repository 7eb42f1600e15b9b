"""A data set with augmentations: what a sample becomes is a function of seed, epoch and index alone.

Rows of ``rows.py`` change single pictures; ``Mixup`` and ``CutMix`` mix two samples. Start reading at ``augmented``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steep.data.dataset import as_dataset
from steep.data.rows import Draw, Image, Row, _span

Pair: TypeAlias = tuple[Image, NDArray[np.float32]]


@dataclass(frozen=True)
class Mixup:
    """The weighted mean of two samples and of their labels, with a weight from Beta(alpha, alpha).

    Args:
        alpha: parameter of the distribution.

    References:
        Zhang et al. 2018, "mixup: beyond empirical risk minimization", arXiv:1710.09412.

    Example:
        >>> zero, one = (np.zeros((1, 2, 2)), np.array([1.0, 0.0])), (np.ones((1, 2, 2)), np.array([0.0, 1.0]))
        >>> x, y = sp.data.Mixup()(zero, one, sp.data.Draw(0, 0, 0))
        >>> bool(np.allclose(x, y[1]))
        True
    """

    alpha: float = 0.2

    def __call__(self, one: Pair, other: Pair, draw: Draw) -> Pair:
        """The mixed sample."""
        share = np.float32(draw.beta(self.alpha))
        return share * one[0] + (1 - share) * other[0], share * one[1] + (1 - share) * other[1]


@dataclass(frozen=True)
class CutMix:
    """A rectangle of a sample replaced by that of another; labels are mixed by area.

    Args:
        alpha: parameter of the Beta distribution of the area.

    References:
        Yun et al. 2019, "CutMix: regularization strategy to train strong classifiers with localizable features",
        arXiv:1905.04899.

    Example:
        >>> zero, one = (np.zeros((1, 8, 8)), np.array([1.0, 0.0])), (np.ones((1, 8, 8)), np.array([0.0, 1.0]))
        >>> x, y = sp.data.CutMix()(zero, one, sp.data.Draw(0, 0, 0))
        >>> bool(np.isclose(x.mean(), y[1]))
        True
    """

    alpha: float = 1.0

    def __call__(self, one: Pair, other: Pair, draw: Draw) -> Pair:
        """The mixed sample."""
        _, height, width = one[0].shape
        side = math.sqrt(1 - draw.beta(self.alpha))
        rows = _span(draw.integer(height), round(side * height), height)
        columns = _span(draw.integer(width), round(side * width), width)
        found = one[0].copy()
        found[:, rows, columns] = other[0][:, rows, columns]
        share = np.float32((rows.stop - rows.start) * (columns.stop - columns.start) / (height * width))
        return found, (1 - share) * one[1] + share * other[1]


class Augmented:
    """What ``augmented`` returns: a data set whose samples differ from epoch to epoch.

    Args:
        dataset: the data set below.
        rows: the augmentations.
        mix: what mixes two samples, or None.
        classes: number of classes, if two samples are mixed; targets are then float32 (classes,).
        seed: seed of all random numbers.
    """

    def __init__(self, dataset: Any, rows: Sequence[Row], mix: Any, classes: int, seed: int) -> None:
        self.dataset, self.rows, self.mix, self.classes, self.seed = dataset, list(rows), mix, classes, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """The sample at ``index``, as in epoch 0."""
        return self.sample(index, 0)

    def sample(self, index: int, epoch: int) -> Any:
        """The sample at ``index`` in an epoch.

        Args:
            index: its number.
            epoch: number of the epoch.

        Returns:
            A tuple (x, y), with further entries of the data set behind.
        """
        draw = Draw(self.seed, epoch, index)
        x, y, *rest = self._one(index, draw)
        if self.mix is not None:
            other = draw.integer(len(self))
            x, y = self.mix((x, y), tuple(self._one(other, draw)[:2]), draw)
        return (np.asarray(x, np.float32), y, *rest)

    def _one(self, index: int, draw: Draw) -> list[Any]:
        x, y, *rest = self.dataset[index]
        x = np.asarray(x, np.float32)
        if x.ndim == 2 and self.rows:
            return [self._changed(x[None], draw)[0], self._target(y, index), *rest]
        return [self._changed(x, draw), self._target(y, index), *rest]

    def _changed(self, x: Image, draw: Draw) -> Image:
        for row in self.rows:
            x = row(x, draw)
        return x

    def _target(self, y: Any, index: int) -> Any:
        if self.mix is None:
            return y
        if not 0 <= int(y) < self.classes:
            raise ValueError(f"augmented: sample {index} has the label {y}, and there are {self.classes} classes")
        return np.eye(1, self.classes, int(y), dtype=np.float32)[0]


def augmented(data: Any, *rows: Row, mix: Any = None, classes: int | None = None, seed: int = 0) -> Augmented:
    """A data set with augmentations, which a ``DataLoader`` and ``fit`` draw again in every epoch.

    Args:
        data: a tuple (x, y) of arrays, or a data set, of pictures (channels, height, width) or (height, width).
        rows: the augmentations, applied one after another; see ``data.rows``.
        mix: ``Mixup()`` or ``CutMix()``, applied last; labels become probabilities, which "cross_entropy" accepts.
        classes: number of classes, for ``mix``; that of the data if None.
        seed: seed of all random numbers.

    Returns:
        An ``Augmented``.

    Raises:
        ValueError: for ``mix`` without a number of classes.

    Example:
        >>> x, y = np.zeros((4, 3, 8, 8), np.float32), np.arange(4)
        >>> changed = sp.data.augmented((x, y), sp.data.rows.Flip(), sp.data.rows.Crop(8, 1), mix=sp.data.Mixup())
        >>> changed[0][0].shape, changed[0][1].shape
        ((3, 8, 8), (4,))
    """
    dataset = as_dataset(data)
    if mix is not None and classes is None:
        labels = getattr(dataset, "labels", getattr(dataset, "arrays", (None, None))[1])
        if labels is None:
            raise ValueError("augmented: to mix samples, say how many classes there are")
        classes = int(np.max(labels)) + 1
    return Augmented(dataset, rows, mix, classes or 0, seed)
