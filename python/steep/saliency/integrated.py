"""Integrated gradients: the contribution of each input value to the score, along the line from a baseline to the input.

The contributions sum to the difference of the two scores; ``completeness_gap`` measures the error. Source: Sundararajan
et al. 2017, arXiv:1703.01365.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.saliency.maps import as_floats, input_gradient, over_channels, score_function
from steep.scores import predicted


def integrated_gradients(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    baseline: Any = 0.0,
    steps: int = 64,
    signed: bool = True,
    channels: str | None = None,
) -> Tensor:
    """Integrated gradients: ``(x - baseline)`` times the mean gradient on the straight line between them.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...). Integers are converted to float32.
        target: a class, one for each row, None for the predicted class, or a function from inputs to a scalar, such as
            an objective of ``steep.ascent``.
        baseline: a number, or an array that broadcasts against ``x``.
        steps: number of points of Gauss-Legendre quadrature.
        signed: whether to keep the sign; absolute values otherwise.
        channels: reduction over axis 1: "max", "mean", "sum", or None.

    Returns:
        A tensor of the shape and dtype of ``x``, without axis 1 if ``channels`` is given.

    Raises:
        ValueError: for fewer than one step.

    References:
        Sundararajan et al. 2017, "Axiomatic attribution for deep networks", arXiv:1703.01365.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.integrated_gradients(model, x, steps=4).shape
        (1, 1, 28, 28)
    """
    if steps < 1:
        raise ValueError(f"integrated_gradients needs a step at least, got {steps}")
    inputs = as_floats(x)
    start = _core.broadcast_to(_core.asarray(baseline).astype(inputs.dtype), inputs.shape)
    chosen = predicted(model, inputs) if target is None else target
    places, weights = np.polynomial.legendre.leggauss(steps)
    way, total = inputs - start, _core.zeros_like(inputs)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        total = total + input_gradient(model, start + way * float(place), chosen) * float(weight)
    parts = way * total
    kept = parts if signed else _core.abs(parts)
    return kept if channels is None else over_channels(kept, channels)


def completeness_gap(model: Any, x: Any, parts: Any, target: Any = None, *, baseline: Any = 0.0) -> NDArray[np.float64]:
    """The completeness error of an attribution: |sum of parts - difference of scores|, relative to that difference.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...).
        parts: signed attributions of the shape of ``x``.
        target: as it was for the attribution; a function gives one number for all rows.
        baseline: the baseline of the attribution.

    Returns:
        A float64 array (n,).

    References:
        Sundararajan et al. 2017, arXiv:1703.01365.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> parts = sp.saliency.integrated_gradients(model, x)
        >>> bool(sp.saliency.completeness_gap(model, x, parts).max() < 0.05)
        True
    """
    inputs = as_floats(x)
    start = _core.broadcast_to(_core.asarray(baseline).astype(inputs.dtype), inputs.shape)
    score = score_function(model, inputs, target)
    with _core.no_grad():
        rise = np.asarray(score(inputs), np.float64) - np.asarray(score(start), np.float64)
    summed = np.asarray(_core.asarray(parts), np.float64)
    total = summed.sum(axis=tuple(range(1, summed.ndim))) if rise.ndim else summed.sum()
    gap: NDArray[np.float64] = np.abs(total - rise) / np.maximum(np.abs(rise), np.finfo(np.float64).tiny)
    return gap
