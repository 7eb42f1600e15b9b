"""Data augmentation: random changes of batches of images.

Each function takes a batch (n, ..., height, width) and an explicit generator, and draws for every image separately.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.random import Generator


def shift(x: Any, pixels: int, generator: Generator) -> Tensor:
    """Shifts each image by up to ``pixels`` pixels in both directions; the border is filled with zeros.

    Args:
        x: images (n, ..., height, width).
        pixels: the maximum shift.
        generator: source of the random numbers.

    Returns:
        A tensor of the shape and dtype of ``x``, without gradient.

    Raises:
        ValueError: for a negative number of pixels, or fewer than 3 dimensions.

    Example:
        >>> sp.data.augment.shift(sp.ones((2, 4, 4)), 1, sp.random.Generator(0)).shape
        (2, 4, 4)
    """
    x = _pictures("shift", x)
    if pixels < 0:
        raise ValueError(f"shift: the number of pixels must not be negative, got {pixels}")
    down, right = np.asarray(generator.integers(0, 2 * pixels + 1, (2, len(x))))
    wide = np.asarray(_core.pad(x.detach(), [(0, 0)] * (x.ndim - 2) + [(pixels, pixels)] * 2))
    places = np.lib.stride_tricks.sliding_window_view(wide, x.shape[-2:], axis=(-2, -1))
    return _core.asarray(places[np.arange(len(x)), ..., down, right, :, :])


def flip(x: Any, generator: Generator) -> Tensor:
    """Mirrors each image left to right with probability one half.

    Args:
        x: images (n, ..., height, width).
        generator: source of the random numbers.

    Returns:
        A tensor of the shape and dtype of ``x``, without gradient.

    Raises:
        ValueError: for fewer than 3 dimensions.

    Example:
        >>> sp.data.augment.flip(sp.ones((2, 4, 4)), sp.random.Generator(0)).shape
        (2, 4, 4)
    """
    x = _pictures("flip", x)
    mirrored = generator.bernoulli(0.5, (len(x),))
    result: Tensor = _core.where(_core.reshape(mirrored, (-1,) + (1,) * (x.ndim - 1)), _core.flip(x, axis=-1), x)
    return result


def noise(x: Any, std: float, generator: Generator) -> Tensor:
    """Adds normal noise.

    Args:
        x: a tensor of any shape.
        std: standard deviation of the noise.
        generator: source of the random numbers.

    Returns:
        A tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: for a negative standard deviation.

    Example:
        >>> sp.data.augment.noise(sp.ones((2, 4)), 0.1, sp.random.Generator(0)).shape
        (2, 4)
    """
    if not std >= 0:
        raise ValueError(f"noise: the standard deviation must not be negative, got {std}")
    values: Tensor = _core.asarray(x)
    return values + generator.normal(values.shape, std=std, dtype=values.dtype)


def _pictures(who: str, x: Any) -> Tensor:
    pictures: Tensor = _core.asarray(x)
    if pictures.ndim < 3:
        raise ValueError(f"{who}: needs images of shape (n, ..., height, width), got {pictures.shape}")
    return pictures
