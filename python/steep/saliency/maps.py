"""Saliency maps from backward passes: the gradient, and methods that change its rules or average it.

A map has the shape of the input: each value tells how much the score changes with it. Every map here is a function
``(model, x, target, ...)``, so that ``sanity.cascade`` can test any of them. Start reading at ``input_gradient``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core, transforms
from steep._core import Tensor
from steep.evaluation import evaluated
from steep.random import Generator
from steep.saliency.rectifiers import rectifiers
from steep.scores import class_scores, predicted

CHANNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda m: _core.max(m, axis=1),
    "mean": lambda m: _core.mean(m, axis=1),
    "sum": lambda m: _core.sum(m, axis=1),
}


def gradient(model: Any, x: Any, target: Any = None, *, signed: bool = False, channels: str | None = None) -> Tensor:
    """Saliency map: the absolute gradient of the unnormalised score with respect to the input.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...). Integers are converted to float32.
        target: a class, one for each row, None for the predicted class, or a function from inputs to a scalar, such as
            an objective of ``steep.ascent``.
        signed: whether to keep the sign; absolute values otherwise.
        channels: reduction over axis 1: "max", "mean", "sum", or None.

    Returns:
        A tensor of the shape and dtype of ``x``, without axis 1 if ``channels`` is given.

    Raises:
        IndexError: for a class that the model does not have.
        GradientError: for inputs that have no gradient.

    References:
        Simonyan et al. 2014, "Deep inside convolutional networks: visualising image classification models and saliency
        maps", arXiv:1312.6034.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.gradient(model, x, channels="max").shape
        (1, 28, 28)
    """
    return _finished(input_gradient(model, x, target), signed, channels)


def input_times_gradient(
    model: Any, x: Any, target: Any = None, *, signed: bool = True, channels: str | None = None
) -> Tensor:
    """The gradient times the input; for a linear score without bias it sums to the score.

    It resembles the input wherever that is large: test it by ``sanity.cascade``.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...). Integers are converted to float32.
        target: a class, one for each row, None for the predicted class, or a function from inputs to a scalar, such as
            an objective of ``steep.ascent``.
        signed: whether to keep the sign; absolute values otherwise.
        channels: reduction over axis 1: "max", "mean", "sum", or None.

    Returns:
        A tensor of the shape and dtype of ``x``, without axis 1 if ``channels`` is given.

    References:
        Shrikumar et al. 2016, "Not just a black box: learning important features through propagating activation
        differences", arXiv:1605.01713.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.input_times_gradient(model, x).shape
        (1, 1, 28, 28)
    """
    inputs = _core.asarray(x)
    return _finished(input_gradient(model, inputs, target) * inputs, signed, channels)


def guided_backprop(
    model: Any, x: Any, target: Any = None, *, signed: bool = True, channels: str | None = None
) -> Tensor:
    """Guided backpropagation: a ReLU propagates a gradient only where both it and the ReLU's input are positive.

    The rule is applied to the op, so it holds for modules, functions, shared ReLUs and those of ONNX models alike, and
    for max(x, 0) written as ``maximum``, ``clip`` or ``where``. It shows edges of the input more than what the network
    learned: test it by ``sanity.cascade``.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...). Integers are converted to float32.
        target: a class, one for each row, None for the predicted class, or a function from inputs to a scalar, such as
            an objective of ``steep.ascent``.
        signed: whether to keep the sign; absolute values otherwise.
        channels: reduction over axis 1: "max", "mean", "sum", or None.

    Returns:
        A tensor of the shape and dtype of ``x``, without axis 1 if ``channels`` is given.

    References:
        Springenberg et al. 2015, "Striving for simplicity: the all convolutional net", arXiv:1412.6806.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.guided_backprop(model, x).shape
        (1, 1, 28, 28)
    """
    with rectifiers("guided"):
        return _finished(input_gradient(model, x, target), signed, channels)


def deconvnet(model: Any, x: Any, target: Any = None, *, signed: bool = True, channels: str | None = None) -> Tensor:
    """Deconvolutional network: a ReLU propagates a gradient only where it is positive itself.

    Max pooling propagates to its switches, the recorded positions of the maxima, as in any gradient. Without ReLUs the
    result is the gradient.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...). Integers are converted to float32.
        target: a class, one for each row, None for the predicted class, or a function from inputs to a scalar, such as
            an objective of ``steep.ascent``.
        signed: whether to keep the sign; absolute values otherwise.
        channels: reduction over axis 1: "max", "mean", "sum", or None.

    Returns:
        A tensor of the shape and dtype of ``x``, without axis 1 if ``channels`` is given.

    References:
        Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", arXiv:1311.2901.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.deconvnet(model, x).shape
        (1, 1, 28, 28)
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
    """SmoothGrad: the mean of a map over copies of the input with normal noise.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: inputs (n, ...). Integers are converted to float32.
        target: as in ``gradient``; None is the class predicted without noise.
        samples: number of noisy copies.
        noise: standard deviation of the noise, relative to the range of values of each row.
        generator: source of the noise; ``Generator(0)`` if None.
        method: the map, a function ``(model, x, target, **options)``.
        options: keyword arguments of ``method``.

    Returns:
        A tensor as ``method`` returns.

    Raises:
        ValueError: for fewer than one sample or negative noise.

    References:
        Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", arXiv:1706.03825.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.smoothgrad(model, x, samples=2).shape
        (1, 1, 28, 28)
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
    """The gradient of the sum over rows of the explained scores with respect to ``x``.

    Args:
        model: a classifier.
        x: inputs (n, ...).
        target: as in ``gradient``.

    Returns:
        A tensor of the shape of ``x``.
    """
    inputs = _core.asarray(x)
    score = score_function(model, inputs, target)
    found: Tensor = transforms.grad(lambda v: _core.sum(score(v)))(inputs)
    return found


def score_function(model: Any, x: Tensor, target: Any) -> Callable[[Tensor], Tensor]:
    """The function to explain: the scores (n,) of classes, or ``target`` itself if it is a function.

    Args:
        model: a classifier.
        x: inputs (n, ...).
        target: as in ``gradient``.

    Returns:
        A function of inputs.
    """
    if callable(target) and not isinstance(target, Tensor | np.ndarray):
        return evaluated(target)
    chosen = predicted(model, x) if target is None else target
    return evaluated(lambda v: class_scores(model(v), chosen))


def as_floats(x: Any) -> Tensor:
    """``x`` as a float tensor; integers become float32.

    Args:
        x: an array.

    Returns:
        A tensor.
    """
    values: Tensor = _core.asarray(x)
    return values if values.dtype.name.startswith(("float", "bfloat")) else values.astype(_core.float32)


def over_channels(values: Tensor, how: str) -> Tensor:
    """Reduces (n, channels, ...) along axis 1.

    Args:
        values: the tensor.
        how: "max", "mean" or "sum".

    Returns:
        A tensor (n, ...).

    Raises:
        ValueError: for another reduction.
    """
    if how not in CHANNELS:
        raise ValueError(f"channels must be one of {list(CHANNELS)} or None, got {how!r}")
    return CHANNELS[how](values)


def _finished(values: Tensor, signed: bool, channels: str | None) -> Tensor:
    kept = values if signed else _core.abs(values)
    return kept if channels is None else over_channels(kept, channels)
