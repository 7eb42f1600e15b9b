"""Regularizers of inputs: ``maximize`` subtracts them, so that a positive weight always penalises.

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
    """Regularizer: the sum of absolute values; its gradient at 0 is 0.

    Args:
        x: a tensor of any shape.

    Returns:
        A scalar tensor.

    Example:
        >>> float(sp.ascent.l1([1.0, -2.0]))
        3.0
    """
    return _core.sum(_core.abs(x))


@Term
def l2(x: Any) -> Tensor:
    """Regularizer: the sum of squares, which does not depend on the order of the pixels.

    Args:
        x: a tensor of any shape.

    Returns:
        A scalar tensor.

    Example:
        >>> float(sp.ascent.l2([1.0, -2.0]))
        5.0
    """
    return _core.sum(_core.square(x))


def lp(p: float, about: float = 0.0) -> Term:
    """Regularizer: the sum of ``|x - about| ** p``; for large ``p`` it bounds only the largest values.

    Args:
        p: the exponent, at least 1. Mahendran and Vedaldi use 6.
        about: the value at which the penalty is 0.

    Returns:
        A ``Term``.

    Raises:
        ValueError: for p below 1.

    References:
        Mahendran and Vedaldi 2015, arXiv:1412.0035.

    Example:
        >>> float(sp.ascent.lp(3)([1.0, -2.0]))
        9.0
    """
    if not p >= 1:
        raise ValueError(f"lp: p must be at least 1, got {p}")
    return Term(lambda x: _core.sum(_core.abs(_core.asarray(x) - about) ** p), f"lp({p})")


@Term
def total_variation(x: Any, beta: float = 2.0) -> Tensor:
    """Regularizer: total variation, ``sum(((dx)^2 + (dy)^2)^(beta / 2))``; differences beyond the border are 0.

    With ``beta=1`` an edge costs no more than a ramp of the same height; ``beta=2`` prefers ramps. The gradient is 0
    where there is no difference.

    Args:
        x: images (..., height, width).
        beta: the exponent.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: for fewer than 2 dimensions.

    References:
        Rudin et al. 1992, doi:10.1016/0167-2789(92)90242-F; Mahendran and Vedaldi 2015, arXiv:1412.0035.

    Example:
        >>> float(sp.ascent.total_variation([[0.0, 0.0, 1.0]]))
        1.0
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
    """Regularizer: the sum of absolute details of the orthonormal Haar transform.

    Sparse details are flat regions with edges; ``haar_shrink`` is its proximal map.

    Args:
        x: images (..., height, width).
        levels: number of levels of the transform.

    Returns:
        A scalar tensor.

    References:
        Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage", doi:10.1093/biomet/81.3.425.

    Example:
        >>> float(sp.ascent.haar_wavelet(sp.tensor([[1.0, 0.0], [0.0, 0.0]])))
        1.5
    """
    _, details = haar(_core.asarray(x), levels)
    total: Tensor = sum((l1(d) for level in details for d in level), start=_core.zeros((), dtype=x.dtype))
    return total


def feature_statistics(model: Any, layer: str, image: Any, kind: str = "mean_std") -> Term:
    """Regularizer: the squared distance of a layer's statistics to those of an image, summed over the batch.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        image: images (n, ...) with the desired statistics.
        kind: "mean_std", each channel's mean and standard deviation over positions and rows, or "gram", the products of
            channels (style).

    Returns:
        A ``Term``, which is 0 for images with the same statistics.

    Raises:
        ValueError: for another kind.

    References:
        Gatys et al. 2015, "A neural algorithm of artistic style", arXiv:1508.06576.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> image = sp.ones((1, 1, 28, 28))
        >>> float(sp.ascent.feature_statistics(model, "relu1", image, kind="gram")(image))
        0.0
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
