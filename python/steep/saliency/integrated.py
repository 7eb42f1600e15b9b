"""Integrated gradients: what each pixel adds to the score on the straight way from a baseline to the input.

The parts sum to the difference of the two scores; ``completeness_gap`` says how nearly they do. Source: Sundararajan et
al. 2017, arXiv:1703.01365.
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
    """``(x - baseline)`` times the mean gradient on the way between them, in the shape of ``x`` (n, ...).

    ``baseline`` is a number or broadcasts against ``x``; ``steps`` points of Gauss-Legendre quadrature are used.
    Integers are taken as float32, since the way between two of them is not made of integers. ``target``, ``signed`` and
    ``channels`` as in ``gradient``. Raises ValueError for no steps.
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
    """By how much the signed ``parts`` of each row fail to sum to the difference of its scores: |gap| over that, (n,).

    A function as ``target`` gives one number for all rows, and so does this.
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
