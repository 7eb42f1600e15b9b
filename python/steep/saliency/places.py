"""Maps of places rather than pixels: Grad-CAM looks at a layer's channels, occlusion covers the input piece by piece.

Both give one value for each place, (n, height, width).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.looking import looking
from steep.saliency.maps import scored
from steep.scores import class_scores, one_tensor, predicted
from steep.tape import GradientTape


def grad_cam(
    model: Any, x: Any, layer: str, target: Any = None, *, signed: bool = False, resize: bool = True
) -> Tensor:
    """The channels of ``layer``, each weighed by the mean of the score's gradient over it, summed; below 0 cut off.

    ``x`` is (n, channels, height, width); the map is enlarged to (n, height, width), unless ``resize`` is off.
    ``target`` is a class, one for each row, or None for the class predicted; ``signed`` keeps negative values. Raises
    ValueError for an unknown layer or one without positions. Source: Selvaraju et al. 2017, arXiv:1610.02391.
    """
    inputs = _core.asarray(x)
    with GradientTape() as tape:
        tape.watch(inputs)
        inside, scores = _layer_and_scores(model, inputs, layer)
        chosen = np.argmax(np.asarray(one_tensor(scores).detach()), axis=-1) if target is None else target
        score = _core.sum(class_scores(scores, chosen))
    if inside.ndim != 4:
        raise ValueError(f"grad_cam needs a layer of maps (n, channels, h, w); {layer!r} gives {inside.shape}")
    slopes = tape.gradient(score, inside)
    if slopes is None:
        raise ValueError(f"grad_cam: the scores do not depend on layer {layer!r}")
    with _core.no_grad():
        weights = _core.mean(slopes, axis=(2, 3), keepdims=True)
        places = _core.sum(weights * inside.detach(), axis=1, keepdims=True)
        places = places if signed else _core.relu(places)
        return _core.squeeze(_enlarged(places, inputs.shape[2:]) if resize else places, axis=1)


def occlusion(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    window: int = 8,
    stride: int | None = None,
    fill: float = 0.0,
    batch_size: int = 32,
) -> Tensor:
    """How far the score falls when a square is covered: the mean over the squares that cover a place.

    Squares of ``window`` pixels with the value ``fill`` stand every ``stride`` pixels (half a window, if None), and at
    the far edges. ``x`` is (n, channels, height, width), ``target`` as in ``gradient``; ``batch_size`` covered
    pictures run at a time. Raises ValueError for a window that does not fit. Source: Zeiler and Fergus 2014.
    """
    inputs = _core.asarray(x)
    if inputs.ndim != 4 or not 1 <= window <= min(inputs.shape[2:]):
        raise ValueError(f"occlusion: a window of {window} does not fit pictures of shape {inputs.shape}")
    step = max(1, window // 2) if stride is None else stride
    if step < 1 or batch_size < 1:
        raise ValueError(f"occlusion: stride and batch_size must be at least 1, got {step} and {batch_size}")
    corners = [(top, left) for top in _starts(inputs.shape[2], window, step)
               for left in _starts(inputs.shape[3], window, step)]  # fmt: skip
    rows = [_occluded_row(model, inputs[i : i + 1], _of_row(target, i), corners, window, fill, batch_size)
            for i in range(inputs.shape[0])]  # fmt: skip
    return _core.asarray(np.reshape(rows, (-1, *inputs.shape[2:])), dtype=inputs.dtype)


def _enlarged(places: Tensor, size: tuple[int, ...]) -> Tensor:
    if not len(places):
        return _core.zeros((0, 1, *size), dtype=places.dtype)
    return _core.interpolate(places, size=size, mode="linear")


def _layer_and_scores(model: Any, x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """A layer's activations and the model's output, from one run."""
    output = model.outputs[0] if hasattr(model, "outputs") else ""
    with looking():
        found = model.activations(x, [layer, output])
    return found[layer], found[output]


def _starts(size: int, window: int, step: int) -> list[int]:
    return sorted({*range(0, size - window, step), size - window})


def _of_row(target: Any, row: int) -> Any:
    """The target of one row; a function or a single class serves all."""
    if target is None or callable(target) or np.ndim(target) == 0:
        return target
    return np.asarray(target)[row : row + 1]


def _occluded_row(
    model: Any, x: Tensor, target: Any, corners: list[tuple[int, int]], window: int, fill: float, batch_size: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The map of one picture (1, c, h, w)."""
    chosen = predicted(model, x) if target is None else target
    score = scored(model, x, chosen if callable(chosen) else int(np.ravel(np.asarray(chosen))[0]))
    fall, covered = np.zeros(x.shape[2:]), np.zeros(x.shape[2:])
    picture = np.asarray(x.detach())
    with _core.no_grad():
        whole = float(_core.sum(score(x)))
        at_once = 1 if callable(target) else batch_size
        for first in range(0, len(corners), at_once):
            some = corners[first : first + at_once]
            pictures = np.repeat(picture, len(some), axis=0)
            for one, (top, left) in zip(pictures, some, strict=True):
                one[:, top : top + window, left : left + window] = fill
            scores = np.reshape(np.asarray(score(_core.asarray(pictures)), np.float64), -1)
            for value, (top, left) in zip(scores, some, strict=True):
                fall[top : top + window, left : left + window] += whole - value
                covered[top : top + window, left : left + window] += 1
    return fall / np.maximum(covered, 1)
