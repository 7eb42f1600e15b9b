"""Saliency maps from backward passes: the plain gradient, and what changes its rule or averages it.

A map has the shape of the input: each value says how much the score changes with that pixel. Every map here is a
function ``(model, x, target, ...)``, so that ``sanity.cascade`` can question any of them. Start reading at
``input_gradient``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core, transforms
from steep._core import Tensor
from steep.looking import looked
from steep.random import Generator
from steep.saliency.rectifiers import rectifiers
from steep.scores import class_scores, predicted

CHANNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda m: _core.max(m, axis=1),
    "mean": lambda m: _core.mean(m, axis=1),
    "sum": lambda m: _core.sum(m, axis=1),
}


def gradient(model: Any, x: Any, target: Any = None, *, signed: bool = False, channels: str | None = None) -> Tensor:
    """The absolute gradient of the unnormalised score of ``target`` by ``x`` (n, ...), in its shape and dtype.

    ``target`` is a class, one for each row, None for the class predicted, or any function from an input to a scalar,
    such as an objective of ``steep.ascent``: the saliency of a neuron or layer. ``signed`` keeps the sign; ``channels``
    reduces axis 1 by "max", "mean" or "sum". Raises IndexError for a class outside the model's, GradientError for an
    input without floats. Sources: Simonyan et al. 2014, arXiv:1312.6034; notes table, rows 61 and 62, 1d row N.
    """
    return _finished(input_gradient(model, x, target), signed, channels)


def input_times_gradient(
    model: Any, x: Any, target: Any = None, *, signed: bool = True, channels: str | None = None
) -> Tensor:
    """The gradient times the input; for a linear score without bias it sums to the score. Options as in ``gradient``.

    It shows the input wherever the input is large: see ``sanity.cascade``. Source: Shrikumar et al. 2016.
    """
    inputs = _core.asarray(x)
    return _finished(input_gradient(model, inputs, target) * inputs, signed, channels)


def guided_backprop(
    model: Any, x: Any, target: Any = None, *, signed: bool = True, channels: str | None = None
) -> Tensor:
    """The gradient that passes a ReLU only where both it and the ReLU's input are positive. Options as in ``gradient``.

    The rule holds for the op itself: modules, functions, ReLUs used twice and those of an ONNX model follow it alike,
    and so do max(x, 0) written as ``maximum``, ``clip`` or ``where``.
    It shows edges of the input more than what the network learned: see ``sanity.cascade``. Sources: Springenberg et
    al. 2014, arXiv:1412.6806; notes table, rows 65 and 66.
    """
    with rectifiers("guided"):
        return _finished(input_gradient(model, x, target), signed, channels)


def deconvnet(model: Any, x: Any, target: Any = None, *, signed: bool = True, channels: str | None = None) -> Tensor:
    """The gradient that passes a ReLU where it is positive itself: the network run backwards.

    Options as in ``gradient``. Max pooling goes back by its switches, the recorded places of the maxima, as any
    gradient does; the state of ReLUs is not used. Without a ReLU it is the gradient. Sources: Zeiler and Fergus 2014,
    arXiv:1311.2901; notes table, rows 64 to 66.
    """
    with rectifiers("deconvnet"):
        return _finished(input_gradient(model, x, target), signed, channels)


def smoothgrad(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    samples: int = 50,
    noise: float = 0.15,
    generator: Generator | None = None,
    method: Callable[..., Tensor] = gradient,
    **options: Any,
) -> Tensor:
    """The mean of ``method`` over ``samples`` copies of ``x`` with normal noise.

    ``noise`` is its standard deviation over the range of values of each row. ``target`` None is the class predicted
    without noise; other ``options`` go to ``method``. Raises ValueError for no samples or a negative noise. Source:
    Smilkov et al. 2017, arXiv:1706.03825.
    """
    if samples < 1 or not noise >= 0:
        raise ValueError(f"smoothgrad needs a sample at least and noise of 0 or more, got {samples} and {noise}")
    inputs, draw = _core.asarray(x), generator or Generator(0)
    axes = tuple(range(1, inputs.ndim))
    spread = (_core.max(inputs, axis=axes, keepdims=True) - _core.min(inputs, axis=axes, keepdims=True)) * noise
    chosen = predicted(model, inputs) if target is None else target
    total = method(model, inputs + draw.normal(tuple(inputs.shape), dtype=inputs.dtype) * spread, chosen, **options)
    for _ in range(samples - 1):
        noisy = inputs + draw.normal(tuple(inputs.shape), dtype=inputs.dtype) * spread
        total = total + method(model, noisy, chosen, **options)
    return total / samples


def input_gradient(model: Any, x: Any, target: Any = None) -> Tensor:
    """The gradient of the sum over rows of ``score(model, target)`` by ``x``."""
    inputs = _core.asarray(x)
    score = score_function(model, inputs, target)
    found: Tensor = transforms.grad(lambda v: _core.sum(score(v)))(inputs)
    return found


def score_function(model: Any, x: Tensor, target: Any) -> Callable[[Tensor], Tensor]:
    """The function from inputs to what is explained: scores (n,) of classes, or ``target`` itself, if a function."""
    if callable(target) and not isinstance(target, Tensor | np.ndarray):
        return looked(target)
    chosen = predicted(model, x) if target is None else target
    return looked(lambda v: class_scores(model(v), chosen))


def as_floats(x: Any) -> Tensor:
    """``x`` as a tensor of floats: integers become float32, since between two of them lie others."""
    values: Tensor = _core.asarray(x)
    return values if values.dtype.name.startswith(("float", "bfloat")) else values.astype(_core.float32)


def over_channels(values: Tensor, how: str) -> Tensor:
    """(n, channels, ...) reduced along axis 1. Raises ValueError for another word than "max", "mean" or "sum"."""
    if how not in CHANNELS:
        raise ValueError(f"channels must be one of {list(CHANNELS)} or None, got {how!r}")
    return CHANNELS[how](values)


def _finished(values: Tensor, signed: bool, channels: str | None) -> Tensor:
    kept = values if signed else _core.abs(values)
    return kept if channels is None else over_channels(kept, channels)
