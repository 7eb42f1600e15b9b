"""Filters of images (..., height, width): low-pass, edge-preserving and wavelet, each made by a factory.

A filter maps images to images of the same shape and is differentiable; pass it to ``maximize`` as ``project`` (the
image is filtered after each step), as a part of ``transform``, or to a parameterization's ``then``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TypeAlias

import numpy as np

from steep import _core
from steep._core import Tensor

Filter: TypeAlias = Callable[[Tensor], Tensor]


def gaussian(sigma: float) -> Filter:
    """A Gaussian low-pass filter; constant images are unchanged.

    Near a border, the weights of missing pixels go to the existing ones.

    Args:
        sigma: standard deviation in pixels; 0 returns the image unchanged.

    Returns:
        A filter, a function of images (..., height, width).

    Raises:
        ValueError: for a negative sigma.

    Example:
        >>> sp.ascent.gaussian(1.0)(sp.ones((5, 5))).shape
        (5, 5)
    """
    if not sigma >= 0:
        raise ValueError(f"gaussian: sigma must not be negative, got {sigma}")

    def blurred(x: Tensor) -> Tensor:
        rows, columns = (_core.asarray(_weights(n, sigma), dtype=x.dtype) for n in x.shape[-2:])
        return rows @ x @ columns.T

    return blurred if sigma > 0 else lambda x: x


def median(size: int = 3) -> Filter:
    """A median filter over windows of ``size`` by ``size`` pixels, which removes impulses and keeps edges.

    Windows at a border repeat the border's pixels.

    Args:
        size: side of the window, odd.

    Returns:
        A filter, a function of images (..., height, width).

    Raises:
        ValueError: for an even size.

    Example:
        >>> image = np.zeros((5, 5)); image[2, 2] = 1.0
        >>> float(sp.ascent.median(3)(sp.tensor(image)).sum())
        0.0
    """
    _check_window("median", size)
    return lambda x: _core.sort(_windows(_core.asarray(x), size // 2), axis=0)[size * size // 2]


def bilateral(sigma: float = 1.0, contrast: float = 0.1) -> Filter:
    """A bilateral filter: a mean over neighbours weighted by their distance and by the difference of values.

    Differences well above ``contrast`` are kept as edges. Windows extend to 2 sigma.

    Args:
        sigma: standard deviation of the weights by distance, in pixels.
        contrast: standard deviation of the weights by difference.

    Returns:
        A filter, a function of images (..., height, width).

    Raises:
        ValueError: unless both are positive.

    References:
        Tomasi and Manduchi 1998, "Bilateral filtering for gray and color images", doi:10.1109/ICCV.1998.710815.

    Example:
        >>> sp.ascent.bilateral(1.0, 0.1)(sp.ones((5, 5))).shape
        (5, 5)
    """
    if not (sigma > 0 and contrast > 0):
        raise ValueError(f"bilateral: sigma and contrast must be positive, got {sigma} and {contrast}")
    radius = max(1, round(2 * sigma))
    steps = np.arange(-radius, radius + 1)
    near = np.exp(-np.add.outer(steps**2, steps**2).reshape(-1) / (2 * sigma**2))

    def filtered(x: Tensor) -> Tensor:
        x = _core.asarray(x)
        windows = _windows(x, radius)
        place = _core.asarray(near.reshape((-1,) + (1,) * x.ndim), dtype=x.dtype)
        weights = place * _core.exp(_core.square((windows - x) / contrast) * -0.5)
        return _core.sum(weights * windows, axis=0) / _core.sum(weights, axis=0)

    return filtered


def haar(x: Tensor, levels: int = 1) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
    """The orthonormal Haar wavelet transform.

    An odd last row or column is passed to the approximation unchanged, so the transform is orthonormal for every size.

    Args:
        x: images (..., height, width).
        levels: number of levels.

    Returns:
        The approximation, and for each level, the finest first, the (horizontal, vertical, diagonal) details.

    Example:
        >>> low, details = sp.ascent.haar(sp.ones((4, 4)))
        >>> low.shape, len(details[0])
        ((2, 2), 3)
    """
    details = []
    for _ in range(levels):
        low, high = _halves(x, -1)
        x, vertical = _halves(low, -2)
        horizontal, diagonal = _halves(high, -2)
        details.append((horizontal, vertical, diagonal))
    return x, details


def inverse_haar(approximation: Tensor, details: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The inverse of ``haar``.

    Args:
        approximation: the approximation that ``haar`` returned.
        details: the details that it returned.

    Returns:
        Images (..., height, width).

    Example:
        >>> image = sp.random.Generator(0).uniform((5, 6))
        >>> sp.allclose(sp.ascent.inverse_haar(*sp.ascent.haar(image)), image, atol=1e-6)
        True
    """
    x = approximation
    for horizontal, vertical, diagonal in reversed(details):
        x = _whole(_whole(x, vertical, -2), _whole(horizontal, diagonal, -2), -1)
    return x


def haar_shrink(threshold: float, levels: int = 1) -> Filter:
    """Soft thresholding of Haar details: the proximal map of ``threshold * haar_wavelet``.

    It removes noise, and weak edges too.

    Args:
        threshold: by how much details are moved towards zero; not negative.
        levels: number of levels of the transform.

    Returns:
        A filter, a function of images (..., height, width).

    Raises:
        ValueError: for a negative threshold.

    References:
        Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage", doi:10.1093/biomet/81.3.425.

    Example:
        >>> sp.ascent.haar_shrink(0.1)(sp.ones((4, 4))).shape
        (4, 4)
    """
    if not threshold >= 0:
        raise ValueError(f"haar_shrink: the threshold must not be negative, got {threshold}")

    def shrunk(x: Tensor) -> Tensor:
        approximation, details = haar(_core.asarray(x), levels)
        smaller = [tuple(_core.sign(d) * _core.relu(_core.abs(d) - threshold) for d in level) for level in details]
        return inverse_haar(approximation, smaller)  # type: ignore[arg-type]

    return shrunk


# -- inside -----------------------------------------------------------------------------------------------------------


def _weights(n: int, sigma: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix that blurs n pixels in a line; its rows sum to 1."""
    distance = np.subtract.outer(np.arange(n), np.arange(n)) / sigma
    weights = np.exp(-0.5 * distance**2)
    normalised: np.ndarray[tuple[int, int], np.dtype[np.float64]] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def _check_window(who: str, size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"{who}: the size of a window must be odd, got {size}")


def _windows(x: Tensor, radius: int) -> Tensor:
    """The image shifted to all positions of a window, stacked: ((2 radius + 1)^2, ...)."""
    height, width = x.shape[-2:]
    border = [(0, 0)] * (x.ndim - 2) + [(radius, radius)] * 2
    wide = _core.pad(x, border, mode="edge")
    places = range(2 * radius + 1)
    return _core.stack([wide[..., i : i + height, j : j + width] for i in places for j in places])


def _halves(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Sums and differences of neighbours along an axis, each over the square root of 2."""
    x = _core.swapaxes(x, axis, -1)
    pairs = x.shape[-1] // 2 * 2
    even, odd, rest = x[..., 0:pairs:2], x[..., 1:pairs:2], x[..., pairs:]
    low = _core.concat([(even + odd) / sqrt(2), rest], axis=-1)
    return _core.swapaxes(low, axis, -1), _core.swapaxes((even - odd) / sqrt(2), axis, -1)


def _whole(low: Tensor, high: Tensor, axis: int) -> Tensor:
    low, high = _core.swapaxes(low, axis, -1), _core.swapaxes(high, axis, -1)
    half = high.shape[-1]
    paired, rest = low[..., :half], low[..., half:]
    both = _core.stack([(paired + high) / sqrt(2), (paired - high) / sqrt(2)], axis=-1)
    x = _core.concat([_core.reshape(both, (*paired.shape[:-1], 2 * half)), rest], axis=-1)
    return _core.swapaxes(x, axis, -1)
