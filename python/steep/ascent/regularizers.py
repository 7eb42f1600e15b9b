"""Penalties on inputs: ``maximize`` subtracts them, so that a positive weight always punishes.

Each is a term: call it on an input, scale it, add it to others. Sums run over all elements of the input.
"""

from __future__ import annotations

from typing import Any

from steep import _core
from steep._core import Tensor
from steep.ascent.features import activation, gram
from steep.ascent.smoothing import haar
from steep.ascent.term import Term


@Term
def l1(x: Any) -> Tensor:
    """The sum of absolute values of ``x``, any shape; its gradient at 0 is 0."""
    return _core.sum(_core.abs(x))


@Term
def l2(x: Any) -> Tensor:
    """The sum of squares of ``x``, any shape. Blind to the order of pixels. Source: notes table, rows 70 and 71."""
    return _core.sum(_core.square(x))


def lp(p: float, about: float = 0.0) -> Term:
    """The sum of ``|x - about| ** p``: the larger ``p``, the more it only bounds the largest values.

    Mahendran and Vedaldi take p = 6. Raises ValueError for p below 1. Source: arXiv:1412.0035.
    """
    if not p >= 1:
        raise ValueError(f"lp: p must be at least 1, got {p}")
    return Term(lambda x: _core.sum(_core.abs(_core.asarray(x) - about) ** p), f"lp({p})")


@Term
def total_variation(x: Any, beta: float = 2.0) -> Tensor:
    """``sum(((dx)^2 + (dy)^2)^(beta / 2))`` over images (..., height, width); differences past the border are 0.

    ``beta=1`` lets a jump cost no more than a ramp, ``beta=2`` prefers ramps; the gradient is 0 where there is no
    difference. Raises ValueError for fewer than 2 dimensions. Sources: Mahendran and Vedaldi 2015, arXiv:1412.0035;
    notes table, row 72.
    """
    x = _core.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"total_variation needs images of shape (..., height, width), got {x.shape}")
    squares = _core.square(_forward_difference(x, -1)) + _core.square(_forward_difference(x, -2))
    if beta == 2:
        return _core.sum(squares)
    return _core.sum(_core.where(squares > 0, squares ** (beta / 2), _core.zeros_like(squares)))


def _forward_difference(x: Tensor, axis: int) -> Tensor:
    after, before = (slice(1, None), slice(None, -1))
    rest = (slice(None),) * (-1 - axis)
    inner = x[(..., after, *rest)] - x[(..., before, *rest)]
    width = [(0, 0)] * x.ndim
    width[axis] = (0, 1)
    return _core.pad(inner, width)


@Term
def haar_wavelet(x: Any, levels: int = 1) -> Tensor:
    """The sum of absolute details of the orthonormal Haar transform of (..., height, width).

    Sparse details: flat regions with edges; ``haar_shrink`` is its proximal map. Source: notes table, row 75.
    """
    _, details = haar(_core.asarray(x), levels)
    total: Tensor = sum((l1(d) for level in details for d in level), start=_core.zeros((), dtype=x.dtype))
    return total


def feature_statistics(model: Any, layer: str, image: Any, kind: str = "mean_std") -> Term:
    """A learned prior: the squared distance of a layer's statistics to those on ``image`` (n, ...), summed over rows.

    ``kind`` is "mean_std", each channel's mean and standard deviation over positions and over the rows of ``image``, or
    "gram", the products of channels (style). 0 on a picture with the same statistics. Sources: Gatys et al. 2015,
    arXiv:1508.06576; notes table, row 77. Raises ValueError for another kind.
    """
    if kind not in STATISTICS:
        raise ValueError(f"feature_statistics: kind must be one of {list(STATISTICS)}, got {kind!r}")
    of = STATISTICS[kind]
    with _core.no_grad():
        wanted = _core.mean(of(activation(model, layer, _core.asarray(image))), axis=0, keepdims=True).detach()
    return Term(
        lambda x: _core.sum(_core.square(of(activation(model, layer, x)) - wanted)),
        f"feature_statistics({layer}, {kind})",
    )


def _mean_std(a: Tensor) -> Tensor:
    flat = _core.reshape(a, (*a.shape[:2], -1))
    return _core.concat([_core.mean(flat, axis=-1), _core.std(flat, axis=-1)], axis=-1)


STATISTICS = {"mean_std": _mean_std, "gram": gram}
