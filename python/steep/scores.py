"""What input optimisation, saliency and attacks ask of a classifier: the score of a class, and what it predicts.

A classifier is any function from inputs to unnormalised scores (logits) with the classes along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor

Classifier: TypeAlias = Callable[[Any], Tensor]


def class_scores(scores: Tensor, target: Any) -> Tensor:
    """The entry ``target`` of ``scores`` (..., classes): shape (...).

    ``target`` is one class for all or an integer for each row, of shape (...). Raises IndexError outside the classes,
    ValueError for labels of another shape, TypeError for scores that are no tensor.
    """
    labels = _labels(target, one_tensor(scores).shape[-1])
    try:
        chosen = _core.broadcast_to(labels, scores.shape[:-1])
    except ValueError:
        what = f"classes of shape {labels.shape} for scores {scores.shape}"
        raise ValueError(f"{what}: give one class, or one for each row") from None
    picked = _core.take_along_axis(scores, _core.expand_dims(chosen, axis=-1), axis=-1)
    return _core.squeeze(picked, axis=-1)


def one_tensor(scores: Any) -> Tensor:
    """``scores``, which must be one tensor. Raises TypeError saying what to do about a model that returns several."""
    if not isinstance(scores, Tensor):
        raise TypeError(f"a classifier returns one tensor of scores, this one a {type(scores).__name__}; if the scores "
                        "are a part of it, pass a function that takes them out: lambda x: model(x)[0]")  # fmt: skip
    return scores


def _labels(target: Any, classes: int) -> Tensor:
    if isinstance(target, Tensor):
        return _core.checked_labels(target, classes)
    labels = np.asarray(target)
    if labels.size and not (labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < classes):
        raise IndexError(f"class {labels.tolist()} is not among the {classes} classes, 0 to {classes - 1}")
    return _core.asarray(labels.astype(np.int64))


def predicted(model: Classifier, x: Any) -> NDArray[np.int64]:
    """The class of the highest score for each row of ``x``: int64 of shape (...)."""
    with _core.no_grad():
        return np.asarray(_core.argmax(one_tensor(model(x)), axis=-1))


def probabilities(model: Classifier, x: Any) -> Tensor:
    """The softmax of the scores: (..., classes), recorded if the input is."""
    return _core.softmax(one_tensor(model(x)), axis=-1)


def accuracy(model: Classifier, x: Any, y: Any, batch_size: int = 100) -> float:
    """The share of rows of ``x`` whose predicted class is that of ``y``, found ``batch_size`` rows at a time.

    NaN of no rows. Raises ValueError if there are not as many labels.
    """
    if len(x) != len(y):
        raise ValueError(f"accuracy: {len(x)} inputs and {len(y)} labels")
    if not len(x):
        return float("nan")
    starts = range(0, len(x), batch_size)
    labels = [predicted(model, x[start : start + batch_size]) for start in starts]
    return float(np.mean(np.concatenate(labels) == np.asarray(y)))
