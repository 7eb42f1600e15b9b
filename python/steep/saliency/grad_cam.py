"""Grad-CAM: attribution to the positions of a layer, whose channels are weighted by their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.evaluation import evaluating
from steep.scores import class_scores, one_tensor
from steep.tape import GradientTape


def grad_cam(
    model: Any, x: Any, layer: str, target: Any = None, *, signed: bool = False, resize: bool = True
) -> Tensor:
    """Grad-CAM: a layer's channels weighted by the mean gradient of the score, summed, negative values set to 0.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: images (n, channels, height, width); an ONNX model may take channels last.
        layer: name of a layer with feature maps.
        target: a class, one for each row, or None for the predicted class.
        signed: whether to keep negative values.
        resize: whether to enlarge the map to the size of the images.

    Returns:
        A tensor (n, height, width).

    Raises:
        TypeError: for a model without ``activations`` or with several outputs.
        ValueError: for an unknown layer, or one without positions.

    References:
        Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization",
        arXiv:1610.02391.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.grad_cam(model, x, "relu2").shape
        (1, 28, 28)
    """
    inputs = _core.asarray(x)
    if not hasattr(model, "activations"):
        raise TypeError(f"grad_cam: layers are found by model.activations, which {type(model).__name__} lacks: pass an "
                        "nn.Module or an ONNX model")  # fmt: skip
    with GradientTape() as tape:
        tape.watch(inputs)
        inside, scores = _layer_and_scores(model, inputs, layer)
        chosen = np.argmax(np.asarray(one_tensor(scores).detach()), axis=-1) if target is None else target
        score = _core.sum(class_scores(scores, chosen))
    if inside.ndim != 4:
        raise ValueError(f"grad_cam needs a layer of maps (n, channels, h, w); {layer!r} gives {inside.shape}")
    gradient = tape.gradient(score, inside)
    if gradient is None:
        raise ValueError(f"grad_cam: the scores do not depend on layer {layer!r}")
    with _core.no_grad():
        weights = _core.mean(gradient, axis=(2, 3), keepdims=True)
        places = _core.sum(weights * inside.detach(), axis=1, keepdims=True)
        places = places if signed else _core.relu(places)
        return _core.squeeze(_enlarged(places, _positions(model, inputs)) if resize else places, axis=1)


def _enlarged(places: Tensor, size: tuple[int, ...]) -> Tensor:
    if not len(places):
        return _core.zeros((0, 1, *size), dtype=places.dtype)
    return _core.interpolate(places, size=size, mode="linear")


def _positions(model: Any, x: Tensor) -> tuple[int, ...]:
    """The height and width of images."""
    return x.shape[1:3] if getattr(model, "channels_last", False) else x.shape[2:]


def _layer_and_scores(model: Any, x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """A layer's activations and the model's output, from one run."""
    outputs = getattr(model, "outputs", [""])
    if len(outputs) > 1:
        raise TypeError(f"grad_cam: a classifier returns one tensor of scores, this one {len(outputs)}, {outputs}; put "
                        "it into a module whose forward returns the scores alone")  # fmt: skip
    output = outputs[0]
    with evaluating():
        found = model.activations(x, [layer, output])
    return found[layer], found[output]
