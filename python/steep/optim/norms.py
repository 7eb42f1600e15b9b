"""Norms as small objects: lengths, random points, steepest directions, and projections onto a ball.

``NORMS`` is the table shared by projections, steepest descent and attacks. Every method takes the rows of a matrix (n,
d) separately; ``in_rows`` makes such a matrix.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.random import Generator


class Norm(Protocol):
    """A norm: lengths, random points, steepest directions and projections, for each row of a matrix.

    Attributes:
        sparse: whether the steepest direction has few nonzero elements, so that elements blocked by a box must be left
            out.
    """

    sparse: bool

    def length(self, x: Tensor) -> Tensor:
        """The norm of each row.

        Args:
            x: rows (n, d).

        Returns:
            A tensor (n, 1).
        """

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """Points drawn uniformly from the unit ball.

        Args:
            shape: (n, d).
            generator: source of the random numbers.
            dtype: dtype of the result.

        Returns:
            A tensor (n, d).
        """

    def direction(self, g: Tensor) -> Tensor:
        """Rows of norm 1 along which a function with gradients ``g`` increases most; 0 where ``g`` is.

        Args:
            g: gradients (n, d).

        Returns:
            A tensor (n, d).
        """

    def project(self, x: Tensor, eps: float) -> Tensor:
        """The nearest point of the ball of radius ``eps``.

        Args:
            x: rows (n, d).
            eps: radius of the ball.

        Returns:
            A tensor (n, d).
        """


class Linf:
    """The maximum norm; a step changes every element equally (Goodfellow et al. 2015, arXiv:1412.6572)."""

    sparse = False

    def length(self, x: Tensor) -> Tensor:
        """max abs(x) of each row.

        Args:
            x: rows (n, d).

        Returns:
            A tensor (n, 1).
        """
        return _core.norm(x, ord=math.inf, axis=-1, keepdims=True)

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """Every element uniform in [-1, 1].

        Args:
            shape: (n, d).
            generator: source of the random numbers.
            dtype: dtype of the result.

        Returns:
            A tensor (n, d).
        """
        return generator.uniform(-1.0, 1.0, shape, dtype=dtype)

    def direction(self, g: Tensor) -> Tensor:
        """The sign of every element.

        Args:
            g: gradients (n, d).

        Returns:
            A tensor (n, d).
        """
        return _core.sign(g)

    def project(self, x: Tensor, eps: float) -> Tensor:
        """Clips every element.

        Args:
            x: rows (n, d).
            eps: radius of the ball.

        Returns:
            A tensor (n, d).
        """
        return _core.clip(x, -eps, eps)


class L2:
    """The Euclidean norm; a step follows the gradient."""

    sparse = False

    def length(self, x: Tensor) -> Tensor:
        """The Euclidean norm of each row.

        Args:
            x: rows (n, d).

        Returns:
            A tensor (n, 1).
        """
        return _core.norm(x, axis=-1, keepdims=True)

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """A direction from the normal distribution, a radius u^(1/d).

        Args:
            shape: (n, d).
            generator: source of the random numbers.
            dtype: dtype of the result.

        Returns:
            A tensor (n, d).
        """
        radius = generator.uniform((shape[0], 1), dtype=dtype) ** (1 / max(1, shape[1]))
        return self.direction(generator.normal(shape, dtype=dtype)) * radius

    def direction(self, g: Tensor) -> Tensor:
        """g / norm(g).

        Args:
            g: gradients (n, d).

        Returns:
            A tensor (n, d).
        """
        length = self.length(g)
        return g / _core.where(length > 0, length, _core.ones_like(length))

    def project(self, x: Tensor, eps: float) -> Tensor:
        """Rescales rows that are too long.

        Args:
            x: rows (n, d).
            eps: radius of the ball.

        Returns:
            A tensor (n, d).
        """
        length = self.length(x)
        return x * _core.where(length > eps, eps / length, _core.ones_like(length))


class L1:
    """The sum of absolute values; a step is spread evenly over the ``share`` of elements with the largest gradients.

    The exact steepest direction changes one element only, which is slow.

    Args:
        share: share of elements changed in a step; at least one is.

    References:
        Tramer and Boneh 2019 (SLIDE), arXiv:1904.13000; Duchi et al. 2008, "Efficient projections onto the l1-ball for
        learning in high dimensions", ICML, for the exact projection.
    """

    sparse = True

    def __init__(self, share: float = 0.01) -> None:
        self.share = share

    def length(self, x: Tensor) -> Tensor:
        """The sum of absolute values of each row.

        Args:
            x: rows (n, d).

        Returns:
            A tensor (n, 1).
        """
        return _core.norm(x, ord=1.0, axis=-1, keepdims=True)

    def sample(self, shape: tuple[int, int], generator: Generator, dtype: Any) -> Tensor:
        """Exponential variates over their sum, with random signs.

        Args:
            shape: (n, d).
            generator: source of the random numbers.
            dtype: dtype of the result.

        Returns:
            A tensor (n, d).
        """
        waits = -_core.log(1 - generator.uniform((shape[0], shape[1] + 1), dtype=dtype))
        signs = _core.where(generator.bernoulli(0.5, shape), 1.0, -1.0).astype(waits.dtype)
        return waits[:, :-1] / _core.sum(waits, axis=-1, keepdims=True) * signs

    def direction(self, g: Tensor) -> Tensor:
        """Signs of the largest elements, over their number.

        Args:
            g: gradients (n, d).

        Returns:
            A tensor (n, d).
        """
        size = _core.abs(g)
        least = _core.sort(size, axis=-1, descending=True)[:, self._count(g.shape[-1]) - 1 :][:, :1]
        chosen = _core.where(size >= least, _core.sign(g), _core.zeros_like(g))
        return chosen / _core.maximum(_core.sum(_core.abs(chosen), axis=-1, keepdims=True), 1.0)

    def project(self, x: Tensor, eps: float) -> Tensor:
        """Soft thresholding by the value that brings the sum down to ``eps``.

        Args:
            x: rows (n, d).
            eps: radius of the ball.

        Returns:
            A tensor (n, d).
        """
        size = _core.abs(x)
        return _core.sign(x) * _core.maximum(size - _core.maximum(excess(size, eps), 0.0), 0.0)

    def _count(self, elements: int) -> int:
        return max(1, math.ceil(self.share * elements))


NORMS: dict[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}


def find_norm(who: str, name: str) -> Norm:
    """The norm called ``name``.

    Args:
        who: name of the caller, for error messages.
        name: "linf", "l2" or "l1".

    Returns:
        A ``Norm``.

    Raises:
        ValueError: for another name.

    Example:
        >>> sp.optim.norms.find_norm("example", "l2").length(sp.tensor([[3.0, 4.0]])).tolist()
        [[5.0]]
    """
    if name not in NORMS:
        raise ValueError(f"{who}: norm must be one of {list(NORMS)}, got {name!r}")
    return NORMS[name]


def in_rows(x: Tensor, batched: bool) -> Tensor:
    """``x`` as a matrix.

    Args:
        x: a tensor.
        batched: whether entries of the first axis become rows; else all elements form one row.

    Returns:
        A tensor (n, d).
    """
    return _core.reshape(x, (len(x), math.prod(x.shape[1:])) if batched else (1, x.size))


def excess(x: Tensor, total: float) -> Tensor:
    """The threshold that soft thresholding needs so that the positive rest of each row sums to ``total``.

    Args:
        x: rows (n, d).
        total: the sum.

    Returns:
        A tensor (n, 1).

    References:
        Duchi et al. 2008, "Efficient projections onto the l1-ball for learning in high dimensions", ICML.
    """
    sums = _core.cumsum(_core.sort(x, axis=-1, descending=True), axis=-1)
    counts = _core.asarray(np.arange(1, x.shape[-1] + 1), dtype=x.dtype)
    return _core.max((sums - total) / counts, axis=-1, keepdims=True)
