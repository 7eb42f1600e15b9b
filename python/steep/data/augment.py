"""Augmentation: batches of pictures changed at random so that a network heeds what matters.

Each function takes a batch (n, ..., height, width) and an explicit generator, and draws for every picture by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.random import Generator


def shift(x: Any, pixels: int, generator: Generator) -> Tensor:
    """Each picture of ``x`` (n, ..., height, width) moved by up to ``pixels`` pixels down, up, left or right.

    Zeros come in at the border; the dtype is kept, and no gradient flows back. Raises ValueError for a negative
    ``pixels``, or for fewer than 3 dimensions.
    """
    x = _pictures("shift", x)
    if pixels < 0:
        raise ValueError(f"shift: the number of pixels must not be negative, got {pixels}")
    down, right = np.asarray(generator.integers(0, 2 * pixels + 1, (2, len(x))))
    wide = np.asarray(_core.pad(x.detach(), [(0, 0)] * (x.ndim - 2) + [(pixels, pixels)] * 2))
    places = np.lib.stride_tricks.sliding_window_view(wide, x.shape[-2:], axis=(-2, -1))
    return _core.asarray(places[np.arange(len(x)), ..., down, right, :, :])


def flip(x: Any, generator: Generator) -> Tensor:
    """Each picture of ``x`` (n, ..., height, width) mirrored left to right with probability one half."""
    x = _pictures("flip", x)
    mirrored = generator.bernoulli(0.5, (len(x),))
    result: Tensor = _core.where(_core.reshape(mirrored, (-1,) + (1,) * (x.ndim - 1)), _core.flip(x, axis=-1), x)
    return result


def noise(x: Any, std: float, generator: Generator) -> Tensor:
    """``x`` of any shape plus normal noise of standard deviation ``std``, in the dtype of ``x``.

    Raises ValueError for a negative ``std``.
    """
    if not std >= 0:
        raise ValueError(f"noise: the standard deviation must not be negative, got {std}")
    values: Tensor = _core.asarray(x)
    return values + generator.normal(values.shape, std=std, dtype=values.dtype)


def _pictures(who: str, x: Any) -> Tensor:
    pictures: Tensor = _core.asarray(x)
    if pictures.ndim < 3:
        raise ValueError(f"{who}: needs pictures of shape (n, ..., height, width), got {pictures.shape}")
    return pictures
