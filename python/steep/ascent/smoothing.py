"""Filters of pictures (..., height, width): low-pass, edge-preserving and wavelet, each made by a factory.

A filter maps pictures to pictures of the same shape and is differentiable; give it to ``maximize`` as ``project`` (the
picture is filtered after each step), as a part of ``transform``, or to a parameterization's ``then``.
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
    """A Gaussian low-pass of ``sigma`` pixels for pictures (..., height, width); a constant picture is unchanged.

    Near a border the weights of the missing pixels go to the present ones. Raises ValueError for a negative sigma.
    Source: notes table, row 73.
    """
    if not sigma >= 0:
        raise ValueError(f"gaussian: sigma must not be negative, got {sigma}")

    def blurred(x: Tensor) -> Tensor:
        rows, columns = (_core.asarray(_weights(n, sigma), dtype=x.dtype) for n in x.shape[-2:])
        return rows @ x @ columns.T

    return blurred if sigma > 0 else lambda x: x


def median(size: int = 3) -> Filter:
    """The median of each window of ``size`` by ``size`` pixels: impulses go, edges stay. ``size`` is odd.

    Windows at a border repeat the border's pixels. Source: notes table, row 74.
    """
    _check_window("median", size)
    return lambda x: _core.sort(_windows(_core.asarray(x), size // 2), axis=0)[size * size // 2]


def bilateral(sigma: float = 1.0, contrast: float = 0.1) -> Filter:
    """A mean over neighbours weighted by nearness in place (``sigma`` pixels) and in value (``contrast``).

    Differences well above ``contrast`` are edges and stay. Windows reach 2 sigma. Raises ValueError unless both are
    positive. Sources: Tomasi and Manduchi 1998; notes table, row 74.
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
    """The orthonormal Haar transform of (..., height, width): the approximation, and the details of each level.

    A level's details are (horizontal, vertical, diagonal), the finest level first. An odd last row or column goes to
    the approximation as it is, so the transform is orthonormal for every size. Source: notes table, row 75.
    """
    details = []
    for _ in range(levels):
        low, high = _halves(x, -1)
        x, vertical = _halves(low, -2)
        horizontal, diagonal = _halves(high, -2)
        details.append((horizontal, vertical, diagonal))
    return x, details


def inverse_haar(approximation: Tensor, details: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The picture whose transform by ``haar`` this is."""
    x = approximation
    for horizontal, vertical, diagonal in reversed(details):
        x = _whole(_whole(x, vertical, -2), _whole(horizontal, diagonal, -2), -1)
    return x


def haar_shrink(threshold: float, levels: int = 1) -> Filter:
    """Details moved towards zero by ``threshold``: the proximal map of ``threshold * haar_wavelet``.

    It suppresses noise, and real edges too (notes table, row 75). Source: Donoho and Johnstone 1994.
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
    """The picture moved to all places of a window, stacked: ((2 radius + 1)^2, ...)."""
    height, width = x.shape[-2:]
    border = [(0, 0)] * (x.ndim - 2) + [(radius, radius)] * 2
    wide = _core.pad(x, border, mode="edge")
    places = range(2 * radius + 1)
    return _core.stack([wide[..., i : i + height, j : j + width] for i in places for j in places])


def _halves(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Sums and differences of neighbours along an axis, each over the root of 2."""
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
