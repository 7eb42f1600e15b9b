"""Random transforms of images, applied before the objective, so that the result is robust to them.

Each factory takes an explicit ``Generator`` and returns a function of images (n, channels, height, width); the draws
are new at every step, also in a compiled run, and the functions are differentiable. All rows of a batch are transformed
alike. Source: Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi
from operator import index
from typing import TypeAlias

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.ascent.smoothing import gaussian
from steep.optim.projections import compose
from steep.random import Generator

Transform: TypeAlias = Callable[[Tensor], Tensor]

__all__ = ["blur", "compose", "jitter", "noise", "pad", "rotate", "scale"]

blur = gaussian


def pad(width: int, mode: str = "constant", value: float = 0.0) -> Transform:
    """Pads images by ``width`` pixels on each side.

    Args:
        width: number of pixels, not negative.
        mode: a mode of ``sp.pad``: "constant", "reflect", "edge" or "wrap".
        value: the constant.

    Returns:
        A function of images (n, channels, height, width).

    Raises:
        ValueError: for a negative width.

    Example:
        >>> sp.ascent.pad(2, value=0.5)(sp.zeros((1, 1, 4, 4))).shape
        (1, 1, 8, 8)
    """
    if width < 0:
        raise ValueError(f"pad: the width must not be negative, got {width}")
    return lambda x: _core.pad(x, [(0, 0)] * (x.ndim - 2) + [(width, width)] * 2, mode=mode, constant_values=value)


def jitter(pixels: int, generator: Generator, wrap: bool = False) -> Transform:
    """A random crop, or with ``wrap`` a random circular shift, which keeps the size, as in DeepDream.

    Args:
        pixels: the crop is this much smaller in height and width; with ``wrap``, the maximum shift in each direction.
        generator: source of the random numbers.
        wrap: whether to shift circularly instead of cropping.

    Returns:
        A function of images (n, channels, height, width).

    Raises:
        ValueError: for a negative number, or when called, for a crop without pixels.
        TypeError: for a number that is not an integer.

    Example:
        >>> sp.ascent.jitter(2, sp.random.Generator(0))(sp.zeros((1, 1, 8, 8))).shape
        (1, 1, 6, 6)
    """
    if index(pixels) < 0:
        raise ValueError(f"jitter: the number of pixels must not be negative, got {pixels}")

    def moved(x: Tensor) -> Tensor:
        for axis in (-2, -1):
            n = x.shape[axis]
            if not wrap and n <= pixels:
                raise ValueError(f"jitter: a crop by {pixels} leaves no pixels of an image of shape {x.shape}")
            first = generator.integers(-pixels, pixels + 1) if wrap else generator.integers(pixels + 1)
            places = first + _core.arange(n if wrap else n - pixels, dtype=_core.int64)
            x = _core.take(x, places % n, axis=axis)
        return x

    return moved if pixels else lambda x: x


def rotate(degrees: float | Sequence[float], generator: Generator) -> Transform:
    """A random rotation about the centre, counter-clockwise, bilinear; pixels from outside repeat the border.

    Args:
        degrees: angles to choose from, or a number for a uniform draw from [-degrees, degrees].
        generator: source of the random numbers.

    Returns:
        A function of images (n, channels, height, width).

    Raises:
        ValueError: for angles that are not finite, or an empty sequence.

    Example:
        >>> sp.ascent.rotate([90.0], sp.random.Generator(0))(sp.zeros((1, 1, 8, 8))).shape
        (1, 1, 8, 8)
    """
    draw = _choice("rotate", degrees, generator, around=0)

    def rotated(x: Tensor) -> Tensor:
        angle = draw(x) * (pi / 180)
        c, s = _core.cos(angle), _core.sin(angle)
        return _resampled(x, [[c, -s], [s, c]])

    return rotated


def scale(factors: float | Sequence[float], generator: Generator) -> Transform:
    """A random magnification about the centre at constant size, bilinear; pixels from outside repeat the border.

    Args:
        factors: factors to choose from, or a number for a uniform draw from [1 - factors, 1 + factors].
        generator: source of the random numbers.

    Returns:
        A function of images (n, channels, height, width).

    Raises:
        ValueError: for a factor that is not positive.

    Example:
        >>> sp.ascent.scale(0.1, sp.random.Generator(0))(sp.zeros((1, 1, 8, 8))).shape
        (1, 1, 8, 8)
    """
    draw = _choice("scale", factors, generator, around=1)

    def scaled(x: Tensor) -> Tensor:
        shrink = 1 / draw(x)
        zero = _core.zeros_like(shrink)
        return _resampled(x, [[shrink, zero], [zero, shrink]])

    return scaled


def noise(std: float, generator: Generator) -> Transform:
    """Adds normal noise to every pixel.

    Args:
        std: standard deviation, not negative.
        generator: source of the random numbers.

    Returns:
        A function of images (n, channels, height, width).

    Raises:
        ValueError: for a negative standard deviation.

    Example:
        >>> sp.ascent.noise(0.1, sp.random.Generator(0))(sp.zeros((1, 1, 8, 8))).shape
        (1, 1, 8, 8)
    """
    if not std >= 0:
        raise ValueError(f"noise: std must not be negative, got {std}")
    return lambda x: x + generator.normal(tuple(x.shape), std=std, dtype=x.dtype)


def _choice(who: str, values: float | Sequence[float], generator: Generator, around: float) -> Transform:
    """A function that draws one of ``values``, or near ``around`` if it is a number: 0-d, in its argument's dtype."""
    listed = np.asarray(values, np.float64)
    ends = np.atleast_1d(np.stack([around - listed, around + listed]) if listed.ndim == 0 else listed)
    positive = around == 1
    if ends.size == 0 or not np.all(np.isfinite(ends)) or (positive and ends.min() <= 0):
        needed = "a number below 1, or a list of finite ones above 0" if positive else "a number, or a list of them"
        raise ValueError(f"{who}: no draw from {values!r}; give {needed}")
    if listed.ndim == 0:
        return lambda x: generator.uniform(float(ends.min()), float(ends.max()), dtype=x.dtype)
    return lambda x: _core.take(_core.asarray(listed, dtype=x.dtype), generator.integers(len(listed)))


def _resampled(x: Tensor, matrix: list[list[Tensor]]) -> Tensor:
    """The image at coordinates mapped by a 2 by 2 matrix, in pixels from the centre, rows downwards."""
    height, width = x.shape[-2:]
    right = np.arange(width) + 0.5 - width / 2
    down = (np.arange(height) + 0.5 - height / 2)[:, None]
    across, along = (_core.asarray(v, dtype=x.dtype) for v in (right, down))
    to_x = (matrix[0][0] * across + matrix[0][1] * along) * (2 / width)
    to_y = (matrix[1][0] * across + matrix[1][1] * along) * (2 / height)
    grid = _core.broadcast_to(_core.stack([to_x, to_y], axis=-1), (x.shape[0], height, width, 2))
    return _core.grid_sample(x, grid, padding_mode="border")
