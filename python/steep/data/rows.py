"""Augmentations of single pictures as rows of options: each is a small object, called with a picture and its draws.

A picture is float32 (channels, height, width) in [0, 1]. A ``Draw`` gives the random numbers of one sample in one
epoch, a function of (seed, epoch, index), so that neither order nor threads matter. ``augmented`` applies rows to a
data set. Start reading there, in ``augmented.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OPERATIONS", "Colour", "Crop", "Cutout", "Draw", "Flip", "RandAugment", "Resize", "ResizedCrop", "Rotate", "Row",
]  # fmt: skip

Image = NDArray[np.float32]


class Draw:
    """Random numbers of one sample: a stream of Philox keyed by seed, epoch and index.

    Args:
        seed: the seed.
        epoch: number of the epoch.
        index: number of the sample.

    Example:
        >>> sp.data.Draw(0, 1, 2).uniform() == sp.data.Draw(0, 1, 2).uniform()
        True
    """

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        key = np.array([seed % 2**64, (epoch << 40 ^ index) % 2**64], np.uint64)
        self._bits = np.random.Philox(key=key)  # raw bits, which no version of NumPy changes

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform on [low, high).

        Args:
            low: lower bound.
            high: upper bound.

        Returns:
            A float.
        """
        return low + (high - low) * (int(self._bits.random_raw()) >> 11) / 2**53

    def integer(self, count: int) -> int:
        """Uniform on 0 to count - 1.

        Args:
            count: number of values.

        Returns:
            An integer.
        """
        return int(self.uniform() * count)

    def chance(self, p: float) -> bool:
        """True with probability p.

        Args:
            p: the probability.

        Returns:
            A bool.
        """
        return self.uniform() < p

    def beta(self, alpha: float) -> float:
        """From the Beta distribution with both parameters ``alpha``.

        Args:
            alpha: the parameter, greater than 0.

        Returns:
            A float in [0, 1].

        References:
            Jöhnk 1964, doi:10.1007/BF02613706, for small alpha; else Marsaglia and Tsang 2000,
            doi:10.1145/358407.358414.
        """
        if alpha > 1:
            a, b = self._gamma(alpha), self._gamma(alpha)
            return a / (a + b)
        while True:  # in logarithms, since powers of small alpha underflow
            u, v = (math.log(max(self.uniform(), 1e-300)) / alpha for _ in range(2))
            if math.exp(u) + math.exp(v) <= 1:
                return 1 / (1 + math.exp(min(v - u, 700.0)))

    def _gamma(self, alpha: float) -> float:
        d = alpha - 1 / 3
        while True:
            u, angle = max(self.uniform(), 1e-300), self.uniform()
            x = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * angle)
            v = (1 + x / math.sqrt(9 * d)) ** 3
            if v > 0 and math.log(max(self.uniform(), 1e-300)) < x * x / 2 + d - d * v + d * math.log(v):
                return d * v


class Row(Protocol):
    """An augmentation."""

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture.

        Args:
            picture: float32 (channels, height, width).
            draw: random numbers.

        Returns:
            A float32 array.
        """


def resized(picture: Image, height: int, width: int) -> Image:
    """A picture of another size, bilinear with antialiasing; needs Pillow.

    Args:
        picture: float32 (channels, height, width).
        height: new height.
        width: new width.

    Returns:
        A float32 array.
    """
    from steep.data.images import pillow

    if picture.shape[1:] == (height, width):
        return picture
    image = pillow()
    planes = [image.fromarray(np.ascontiguousarray(plane)) for plane in picture]
    return np.stack([np.asarray(p.resize((width, height), image.Resampling.BILINEAR)) for p in planes])


def warped(picture: Image, matrix: Any, fill: float = 0.0) -> Image:
    """A picture transformed about its centre, bilinear: pixel p of the result is read at ``matrix @ p``.

    Args:
        picture: float32 (channels, height, width).
        matrix: (2, 3), of (row, column, 1), relative to the centre and in pixels.
        fill: value outside the picture.

    Returns:
        A float32 array of the same shape.
    """
    _, height, width = picture.shape
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    place = np.indices((height, width)).reshape(2, -1) - middle[:, None]
    at = np.asarray(matrix)[:, :2] @ place + np.asarray(matrix)[:, 2:] + middle[:, None]
    low = np.floor(at).astype(np.int64)
    part = (at - low).astype(np.float32)
    wide = np.pad(picture, ((0, 0), (1, 1), (1, 1)), constant_values=fill)
    total = np.zeros((len(picture), height * width), np.float32)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (part[0] if dy else 1 - part[0]) * (part[1] if dx else 1 - part[1])
        row, column = np.clip(low[0] + dy, -1, height) + 1, np.clip(low[1] + dx, -1, width) + 1
        total += wide[:, row, column] * weight
    return total.reshape(picture.shape)


@dataclass(frozen=True)
class Resize:
    """Resizes to a height and width.

    Args:
        height: new height.
        width: new width; that of ``height`` if None.

    Example:
        >>> sp.data.rows.Resize(4)(np.zeros((3, 8, 6), np.float32), sp.data.Draw(0, 0, 0)).shape
        (3, 4, 4)
    """

    height: int
    width: int | None = None

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        return resized(picture, self.height, self.width or self.height)


@dataclass(frozen=True)
class Crop:
    """A square at a random place, of the picture with a border of zeros.

    Args:
        size: side of the square in pixels.
        border: width of the border.

    Raises:
        ValueError: when called, if the picture is smaller than the square.

    Example:
        >>> sp.data.rows.Crop(4, 1)(np.ones((3, 4, 4), np.float32), sp.data.Draw(0, 0, 0)).shape
        (3, 4, 4)
    """

    size: int
    border: int = 0

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        b = self.border
        wide = np.pad(picture, ((0, 0), (b, b), (b, b))) if b else picture
        if min(wide.shape[1:]) < self.size:
            raise ValueError(f"Crop: no square of {self.size} pixels in {wide.shape[1]} by {wide.shape[2]}")
        top, left = (draw.integer(n - self.size + 1) for n in wide.shape[1:])
        return wide[:, top : top + self.size, left : left + self.size]


@dataclass(frozen=True)
class ResizedCrop:
    """A rectangle of random area, ratio and place, resized to a square.

    Args:
        size: side of the square in pixels.
        area: smallest and largest share of the picture's area.
        ratio: smallest and largest ratio of width to height.

    References:
        Szegedy et al. 2015, "Going deeper with convolutions", arXiv:1409.4842.

    Example:
        >>> sp.data.rows.ResizedCrop(4)(np.ones((3, 8, 8), np.float32), sp.data.Draw(0, 0, 0)).shape
        (3, 4, 4)
    """

    size: int
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        _, height, width = picture.shape
        area = height * width * draw.uniform(*self.area)
        ratio = math.exp(draw.uniform(*map(math.log, self.ratio)))
        h = min(height, max(1, round(math.sqrt(area / ratio))))
        w = min(width, max(1, round(math.sqrt(area * ratio))))
        top, left = draw.integer(height - h + 1), draw.integer(width - w + 1)
        return resized(picture[:, top : top + h, left : left + w], self.size, self.size)


@dataclass(frozen=True)
class Flip:
    """Mirrors left to right.

    Args:
        p: the probability.

    Example:
        >>> sp.data.rows.Flip(1.0)(np.arange(3, dtype=np.float32).reshape(1, 1, 3), sp.data.Draw(0, 0, 0)).tolist()
        [[[2.0, 1.0, 0.0]]]
    """

    p: float = 0.5

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        return picture[:, :, ::-1] if draw.chance(self.p) else picture


@dataclass(frozen=True)
class Rotate:
    """Rotates about the centre by a random angle.

    Args:
        degrees: the largest angle, in both directions.

    Example:
        >>> sp.data.rows.Rotate(10)(np.ones((1, 5, 5), np.float32), sp.data.Draw(0, 0, 0)).shape
        (1, 5, 5)
    """

    degrees: float

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        return rotated(picture, draw.uniform(-self.degrees, self.degrees))


def rotated(picture: Image, degrees: float) -> Image:
    """A picture rotated counter-clockwise about its centre.

    Args:
        picture: float32 (channels, height, width).
        degrees: the angle.

    Returns:
        A float32 array of the same shape.
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return warped(picture, [[c, s, 0], [-s, c, 0]])


@dataclass(frozen=True)
class Colour:
    """Changes brightness, contrast and saturation by random factors from [1 - x, 1 + x].

    Args:
        brightness: the largest change of brightness.
        contrast: that of the contrast.
        saturation: that of the saturation, of pictures with three channels.

    Example:
        >>> float(sp.data.rows.Colour(0.5)(np.ones((3, 2, 2), np.float32), sp.data.Draw(0, 0, 0)).max()) <= 1
        True
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        for change, most in ((brighter, self.brightness), (contrasted, self.contrast), (saturated, self.saturation)):
            if most:
                picture = change(picture, draw.uniform(1 - most, 1 + most))
        return picture


def grey_of(picture: Image) -> Image:
    """The luma of three channels, or the picture itself; with one channel per picture.

    Args:
        picture: float32 (channels, height, width).

    Returns:
        A float32 array.
    """
    if len(picture) != 3:
        return picture
    luma: Image = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), picture, 1)[None]
    return luma


def _blend(picture: Image, other: Any, factor: float) -> Image:
    """``other`` for factor 0, the picture for 1, and beyond."""
    found: Image = np.clip(other + np.float32(factor) * (picture - other), 0, 1).astype(np.float32)
    return found


def brighter(picture: Image, factor: float) -> Image:
    """A picture times a factor.

    Args:
        picture: float32 (channels, height, width).
        factor: the factor.

    Returns:
        A float32 array.
    """
    return _blend(picture, np.float32(0), factor)


def contrasted(picture: Image, factor: float) -> Image:
    """A picture whose distance from its mean grey is multiplied by a factor.

    Args:
        picture: float32 (channels, height, width).
        factor: the factor.

    Returns:
        A float32 array.
    """
    return _blend(picture, grey_of(picture).mean(dtype=np.float32), factor)


def saturated(picture: Image, factor: float) -> Image:
    """A picture whose distance from its grey is multiplied by a factor.

    Args:
        picture: float32 (channels, height, width).
        factor: the factor.

    Returns:
        A float32 array.
    """
    return _blend(picture, grey_of(picture), factor)


@dataclass(frozen=True)
class Cutout:
    """Puts 0 in a square at a random place.

    Args:
        size: side of the square in pixels; parts of it may lie outside.

    References:
        DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with Cutout",
        arXiv:1708.04552.

    Example:
        >>> float(sp.data.rows.Cutout(2)(np.ones((1, 4, 4), np.float32), sp.data.Draw(0, 0, 0)).min())
        0.0
    """

    size: int

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        rows, columns = (_span(draw.integer(n), self.size, n) for n in picture.shape[1:])
        found: Image = picture.copy()
        found[:, rows, columns] = 0
        return found


def _span(middle: int, size: int, most: int) -> slice:
    start = middle - size // 2
    return slice(max(0, start), min(most, start + size))


def _sheared(axis: int) -> Callable[[Image, float], Image]:
    matrix = np.eye(2, 3)

    def change(picture: Image, amount: float) -> Image:
        mine = matrix.copy()
        mine[axis, 1 - axis] = amount
        return warped(picture, mine)

    return change


def _moved(axis: int) -> Callable[[Image, float], Image]:
    def change(picture: Image, share: float) -> Image:
        mine = np.eye(2, 3)
        mine[axis, 2] = share * picture.shape[1 + axis]
        return warped(picture, mine)

    return change


def _sharper(picture: Image, factor: float) -> Image:
    wide = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
    _, height, width = picture.shape
    total: Any = sum(wide[:, i : i + height, j : j + width] for i in range(3) for j in range(3))
    return _blend(picture, (total + 4 * picture) / np.float32(13), factor)


def _posterised(picture: Image, bits: float) -> Image:
    levels = np.float32(2 ** round(bits))
    found: Image = np.floor(picture * 255 / (256 / levels)) * (256 / levels) / np.float32(255)
    return found.astype(np.float32)


def _solarised(picture: Image, limit: float) -> Image:
    found: Image = np.where(picture >= np.float32(limit), 1 - picture, picture)
    return found


def _stretched(picture: Image, amount: float) -> Image:
    low, high = (f(picture, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    found: Image = np.where(high > low, (picture - low) / np.maximum(high - low, 1e-6), picture)
    return found.astype(np.float32)


def _equalised(picture: Image, amount: float) -> Image:
    """Every channel with a flat histogram of 256 levels."""
    found = []
    for plane in np.rint(picture * 255).astype(np.int64):
        total = np.cumsum(np.bincount(plane.ravel(), minlength=256))
        first = int(total[plane.min()])
        span = max(1, int(total[-1]) - first)
        found.append(np.clip((total[plane] - first) / span, 0, 1))
    return np.stack(found).astype(np.float32)


# RandAugment's operations: the amount at magnitude m in [0, 1], whether its sign is random, and the function.
OPERATIONS: dict[str, tuple[Callable[[float], float], bool, Callable[[Image, float], Image]]] = {
    "identity": (lambda m: 0.0, False, lambda picture, amount: picture),
    "shear_x": (lambda m: 0.3 * m, True, _sheared(1)),
    "shear_y": (lambda m: 0.3 * m, True, _sheared(0)),
    "translate_x": (lambda m: 0.45 * m, True, _moved(1)),
    "translate_y": (lambda m: 0.45 * m, True, _moved(0)),
    "rotate": (lambda m: 30 * m, True, rotated),
    "brightness": (lambda m: 0.9 * m, True, lambda picture, amount: brighter(picture, 1 + amount)),
    "saturation": (lambda m: 0.9 * m, True, lambda picture, amount: saturated(picture, 1 + amount)),
    "contrast": (lambda m: 0.9 * m, True, lambda picture, amount: contrasted(picture, 1 + amount)),
    "sharpness": (lambda m: 0.9 * m, True, lambda picture, amount: _sharper(picture, 1 + amount)),
    "posterise": (lambda m: 8 - 4 * m, False, _posterised),
    "solarise": (lambda m: 1 - m, False, _solarised),
    "autocontrast": (lambda m: 0.0, False, _stretched),
    "equalise": (lambda m: 0.0, False, _equalised),
}


@dataclass(frozen=True)
class RandAugment:
    """Some operations drawn from ``OPERATIONS``, all of one magnitude.

    Args:
        operations: how many are applied, one after another.
        magnitude: from 0, hardly anything, to 1.

    References:
        Cubuk et al. 2020, "RandAugment: practical automated data augmentation with a reduced search space",
        arXiv:1909.13719.

    Example:
        >>> sp.data.rows.RandAugment()(np.ones((3, 6, 6), np.float32), sp.data.Draw(0, 0, 0)).shape
        (3, 6, 6)
    """

    operations: int = 2
    magnitude: float = 0.3

    def __call__(self, picture: Image, draw: Draw) -> Image:
        """The changed picture."""
        for _ in range(self.operations):
            amount, signed, change = OPERATIONS[list(OPERATIONS)[draw.integer(len(OPERATIONS))]]
            sign = -1 if signed and draw.chance(0.5) else 1
            picture = change(picture, sign * amount(self.magnitude))
        return picture
