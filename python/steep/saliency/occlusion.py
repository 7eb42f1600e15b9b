"""Occlusion: attribution to the positions of an image by covering them, without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.integers import integers
from steep.saliency.maps import as_floats, score_function
from steep.scores import predicted


def occlusion(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    window: int | tuple[int, int] = 8,
    stride: int | tuple[int, int] | None = None,
    fill: float = 0.0,
    batch_size: int = 32,
) -> Tensor:
    """Occlusion: the decrease of the score when a rectangle is covered, averaged over rectangles at each position.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        x: images (n, channels, height, width). Integer images stay integers if ``fill`` is one.
        target: a class, one for each row, None for the predicted class, or a function from inputs to a scalar, such as
            an objective of ``steep.ascent``.
        window: size of the rectangle in pixels, a number or (height, width).
        stride: distance of rectangles in pixels, a number or (vertical, horizontal); half a window if None.
        fill: value of covered pixels.
        batch_size: number of covered images evaluated at a time.

    Returns:
        A float tensor (n, height, width).

    Raises:
        ValueError: for a window that is larger than the images, or a stride or batch size below 1.

    References:
        Zeiler and Fergus 2014, arXiv:1311.2901.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.full((1, 1, 28, 28), 0.5)
        >>> sp.saliency.occlusion(model, x, window=14).shape
        (1, 28, 28)
    """
    inputs = _core.asarray(x)
    sides = _pair("window", window)
    if inputs.ndim != 4 or not all(1 <= w <= n for w, n in zip(sides, inputs.shape[2:], strict=True)):
        raise ValueError(f"occlusion: a window of {window} does not fit images of shape {inputs.shape}")
    steps = tuple(max(1, w // 2) for w in sides) if stride is None else _pair("stride", stride)
    if min(steps) < 1 or batch_size < 1:
        raise ValueError(f"occlusion: stride and batch_size must be at least 1, got {stride} and {batch_size}")
    inputs = inputs if _holds(inputs.dtype, fill) else as_floats(inputs)
    starts = [_starts(n, w, step) for n, w, step in zip(inputs.shape[2:], sides, steps, strict=True)]
    covers = [np.s_[:, top : top + sides[0], left : left + sides[1]] for top in starts[0] for left in starts[1]]
    rows = [_occluded_row(model, inputs[i : i + 1], _of_row(target, i), covers, fill, batch_size)
            for i in range(inputs.shape[0])]  # fmt: skip
    return _core.asarray(np.reshape(rows, (-1, *inputs.shape[2:])), dtype=as_floats(inputs[:0]).dtype)


def _pair(what: str, value: Any) -> tuple[int, int]:
    """A number for height and width, or both. Raises TypeError for anything else."""
    try:
        height, width = integers(what, value, 2)
    except (TypeError, ValueError):
        raise TypeError(f"occlusion: {what} is an integer or two, (height, width), got {value!r}") from None
    return height, width


def _holds(dtype: Any, value: float) -> bool:
    """Whether images of a dtype can have this value."""
    if dtype.kind not in "iu":
        return bool(dtype.kind != "b")
    limits = np.iinfo(dtype.name)
    return bool(limits.min <= value <= limits.max and value == int(value))


def _starts(size: int, window: int, step: int) -> list[int]:
    return sorted({*range(0, size - window, step), size - window})


def _of_row(target: Any, row: int) -> Any:
    """The target of one row; a function or a single class applies to all."""
    if target is None or callable(target) or np.ndim(target) == 0:
        return target
    return np.asarray(target)[row : row + 1]


def _occluded_row(
    model: Any, x: Tensor, target: Any, covers: list[Any], fill: float, batch_size: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The map of one image (1, c, h, w)."""
    chosen = predicted(model, x) if target is None else target
    score = score_function(model, x, chosen if callable(chosen) else int(np.ravel(np.asarray(chosen))[0]))
    fall, covered = np.zeros(x.shape[2:]), np.zeros(x.shape[2:])
    picture = np.asarray(x.detach())
    with _core.no_grad():
        whole = float(_core.sum(score(x)))
        at_once = 1 if callable(target) else batch_size
        for first in range(0, len(covers), at_once):
            some = covers[first : first + at_once]
            pictures = np.repeat(picture, len(some), axis=0)
            for one, cover in zip(pictures, some, strict=True):
                one[cover] = fill
            scores = np.reshape(np.asarray(score(_core.asarray(pictures)), np.float64), -1)
            for value, cover in zip(scores, some, strict=True):
                fall[cover[1:]] += whole - value
                covered[cover[1:]] += 1
    return fall / np.maximum(covered, 1)
