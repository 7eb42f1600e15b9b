"""Norms, each a small object: how long, a random point, the steepest direction, the nearest point of a ball.

``NORMS`` is the table that projections, steepest steps and attacks share. Every method takes the rows of a matrix
(n, d) by themselves; ``in_rows`` makes such a matrix of anything.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.random import Generator


class Norm(Protocol):
    """``sparse``: the steepest direction moves few elements, so those that a box blocks must be left out of it."""

    sparse: bool

    def length(self, x: Tensor) -> Tensor:
        """The norm of each row of ``x`` (n, d): shape (n, 1)."""

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """Points drawn evenly from the ball of radius 1, one a row."""

    def direction(self, g: Tensor) -> Tensor:
        """Rows of length 1 along which a function of gradient ``g`` (n, d) rises most; 0 where ``g`` is."""

    def project(self, x: Tensor, eps: float) -> Tensor:
        """The nearest point of the ball of radius ``eps``, for each row of ``x`` (n, d)."""


class Linf:
    """The largest absolute value; a step moves every element equally (Goodfellow et al. 2015, arXiv:1412.6572)."""

    sparse = False

    def length(self, x: Tensor) -> Tensor:
        """max abs(x)."""
        return _core.norm(x, ord=math.inf, axis=-1, keepdims=True)

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """Every element by itself."""
        return generator.uniform(-1.0, 1.0, shape, dtype=dtype)

    def direction(self, g: Tensor) -> Tensor:
        """sign(g)."""
        return _core.sign(g)

    def project(self, x: Tensor, eps: float) -> Tensor:
        """Every element clipped."""
        return _core.clip(x, -eps, eps)


class L2:
    """The Euclidean length; a step goes along the gradient."""

    sparse = False

    def length(self, x: Tensor) -> Tensor:
        """sqrt(sum(x**2))."""
        return _core.norm(x, axis=-1, keepdims=True)

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """A direction from the normal distribution, a radius u^(1/d)."""
        radius = generator.uniform((shape[0], 1), dtype=dtype) ** (1 / max(1, shape[1]))
        return self.direction(generator.normal(shape, dtype=dtype)) * radius

    def direction(self, g: Tensor) -> Tensor:
        """g / norm(g)."""
        length = self.length(g)
        return g / _core.where(length > 0, length, _core.ones_like(length))

    def project(self, x: Tensor, eps: float) -> Tensor:
        """Rows that are too long are shortened."""
        length = self.length(x)
        return x * _core.where(length > eps, eps / length, _core.ones_like(length))


class L1:
    """The sum of absolute values; a step is spread evenly over the ``share`` of elements with the steepest gradients.

    The exactly steepest direction moves one element only, which is slow; the hundredth part, at least one, is that of
    SLIDE (Tramer and Boneh 2019, arXiv:1904.13000). The projection is exact, by sorting (Duchi et al. 2008).
    """

    sparse = True

    def __init__(self, share: float = 0.01) -> None:
        self.share = share

    def length(self, x: Tensor) -> Tensor:
        """sum(abs(x))."""
        return _core.norm(x, ord=1.0, axis=-1, keepdims=True)

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """Exponential variates over their sum, one more than there are elements, with random signs."""
        waits = -_core.log(1 - generator.uniform((shape[0], shape[1] + 1), dtype=dtype))
        signs = _core.where(generator.bernoulli(0.5, shape), 1.0, -1.0).astype(waits.dtype)
        return waits[:, :-1] / _core.sum(waits, axis=-1, keepdims=True) * signs

    def direction(self, g: Tensor) -> Tensor:
        """Signs of the steepest elements, over their number."""
        size = _core.abs(g)
        least = _core.sort(size, axis=-1, descending=True)[:, self._count(g.shape[-1]) - 1 :][:, :1]
        chosen = _core.where(size >= least, _core.sign(g), _core.zeros_like(g))
        return chosen / _core.maximum(_core.sum(_core.abs(chosen), axis=-1, keepdims=True), 1.0)

    def project(self, x: Tensor, eps: float) -> Tensor:
        """Every element brought towards 0 by what brings the sum down to ``eps``."""
        size = _core.abs(x)
        return _core.sign(x) * _core.maximum(size - _core.maximum(excess(size, eps), 0.0), 0.0)

    def _count(self, elements: int) -> int:
        return max(1, math.ceil(self.share * elements))


NORMS: dict[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}


def find_norm(who: str, name: str) -> Norm:
    """The norm called ``name``. Raises ValueError for another word."""
    if name not in NORMS:
        raise ValueError(f"{who}: norm must be one of {list(NORMS)}, got {name!r}")
    return NORMS[name]


def in_rows(x: Tensor, batched: bool) -> Tensor:
    """``x`` as a matrix: a row for each entry of its first axis if ``batched``, else all of it in one row."""
    return _core.reshape(x, (len(x), math.prod(x.shape[1:])) if batched else (1, x.size))


def excess(x: Tensor, total: float) -> Tensor:
    """What must be taken off every element of the rows of ``x`` so that the positive rests add up to ``total``: (n, 1).

    Source: Duchi et al. 2008; the largest of (the sum of the j largest - total) / j.
    """
    sums = _core.cumsum(_core.sort(x, axis=-1, descending=True), axis=-1)
    counts = _core.asarray(np.arange(1, x.shape[-1] + 1), dtype=x.dtype)
    return _core.max((sums - total) / counts, axis=-1, keepdims=True)
