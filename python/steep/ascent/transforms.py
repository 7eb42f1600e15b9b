"""Maps of pictures to pictures that an objective looks through; gradients flow back through them.

For now the low-pass filter, which keeps an excited input from filling with high frequencies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from steep import _core
from steep._core import Tensor


def blur(sigma: float) -> Callable[[Tensor], Tensor]:
    """A Gaussian low-pass of ``sigma`` pixels for pictures (..., height, width); a constant picture is unchanged.

    Near a border the weights of the missing pixels go to the present ones. Raises ValueError for a negative sigma.
    Source: notes table, row 73.
    """
    if not sigma >= 0:
        raise ValueError(f"blur: sigma must not be negative, got {sigma}")

    def blurred(x: Tensor) -> Tensor:
        rows, columns = (_core.asarray(_weights(n, sigma), dtype=x.dtype) for n in x.shape[-2:])
        return rows @ x @ columns.T

    return blurred if sigma > 0 else lambda x: x


def _weights(n: int, sigma: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix that blurs n pixels in a line; its rows sum to 1."""
    distance = np.subtract.outer(np.arange(n), np.arange(n)) / sigma
    weights = np.exp(-0.5 * distance**2)
    normalised: np.ndarray[tuple[int, int], np.dtype[np.float64]] = weights / weights.sum(axis=1, keepdims=True)
    return normalised
