"""What input optimisation, saliency and attacks need of a classifier: the score of a class, and the prediction.

A classifier is any function from inputs to unnormalised scores (logits) with the classes along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.evaluation import evaluated, evaluating

Classifier: TypeAlias = Callable[[Any], Tensor]

NORMALISING = {
    "softmax_last": "a softmax",
    "softmax_columns": "a softmax",
    "sigmoid": "a sigmoid",
    "log_softmax_last": "a log-softmax",
    "log_softmax_columns": "a log-softmax",
}
_MOVES = ("reshape", "permute_dims", "astype", "broadcast_to", "slice", "clip_low", "clip_high")
_MADE_BY_HAND = ("divide", "multiply", "exp", "where", "add", "subtract")


def unnormalised(who: str, model: Classifier, shifted: bool = True) -> Classifier:
    """``model`` in evaluation mode, up to its scores: the part before a final softmax or sigmoid.

    A module knows that part itself. Of other functions only the result is known, so calling the returned function
    raises where a softmax or sigmoid is found: after it, gradients vanish for confident predictions, and distances by
    linear steps are meaningless.

    Args:
        who: name of the caller, for error messages.
        model: a classifier, a function from inputs to scores (..., classes).
        shifted: whether a constant added to the scores of a row does not matter, so that a log-softmax is accepted.

    Returns:
        A function from inputs to scores. Calling it raises ValueError for normalised outputs.
    """
    scores = evaluated(model.unnormalised() if hasattr(model, "unnormalised") else model)

    def run(x: Any) -> Tensor:
        found: Tensor = scores(x)
        end = _end(found) if isinstance(found, Tensor) else ""
        if end and not (shifted and end == NORMALISING["log_softmax_last"]):
            raise ValueError(
                f"{who}: the model ends in {end} and gives probabilities, {found.dtype.name}{tuple(found.shape)}; pass "
                f"a function that gives the scores before {end}, its logits"
            )
        return found

    return run


def _end(found: Tensor) -> str:
    """The normalisation that was applied last to a recorded classifier's scores; "" for none."""
    waiting, seen = [_core._node_of(found)], 0
    while waiting and seen < 16:
        node, seen = waiting.pop(), seen + 1
        if node is None:
            continue
        if node.name in NORMALISING:
            return NORMALISING[node.name]
        if node.name in _MOVES:
            waiting.append(node.inputs[0])
        elif node.name in ("concat", "stack"):
            waiting += node.inputs
        elif node.name in _MADE_BY_HAND and _exponential(node) and _sums_to_one(found):
            return NORMALISING["softmax_last"]
    return ""


def _exponential(node: Any, depth: int = 4) -> bool:
    """Whether an exponential, or one of ``NORMALISING``, comes just before."""
    if node is None or not depth:
        return False
    known = node.name == "exp" or node.name in NORMALISING
    return known or any(_exponential(before, depth - 1) for before in node.inputs)


def _sums_to_one(found: Tensor) -> bool:
    """Whether every row consists of probabilities."""
    with _core._unrecorded():
        values = np.asarray(found.detach(), np.float64)
    sums = values.sum(axis=-1) if values.ndim else values
    return bool(values.size and values.min() >= 0 and np.abs(sums - 1).max() < 1e-3)


def class_scores(scores: Tensor, target: Any) -> Tensor:
    """The scores of a class.

    Args:
        scores: a tensor (..., classes).
        target: a class, or integers of shape (...).

    Returns:
        A tensor (...).

    Raises:
        IndexError: for a class outside the range.
        ValueError: for labels of another shape.
        TypeError: for scores that are not one tensor.

    Example:
        >>> sp.scores.class_scores(sp.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 0]).tolist()
        [2.0, 3.0]
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
    """Checks that a classifier returned one tensor.

    Args:
        scores: what it returned.

    Returns:
        The tensor.

    Raises:
        TypeError: for anything else; the message says what to do about a model with several outputs.

    Example:
        >>> sp.scores.one_tensor(sp.ones((1, 2))).shape
        (1, 2)
    """
    if not isinstance(scores, Tensor):
        raise TypeError(f"a classifier returns one tensor of scores, this one a {type(scores).__name__}; if the scores "
                        "are a part of it, pass a function that selects them: lambda x: model(x)[0]")  # fmt: skip
    return scores


def _labels(target: Any, classes: int) -> Tensor:
    if isinstance(target, Tensor):
        return _core._checked_labels(target, classes, "scores")
    labels = np.asarray(target)
    if labels.size and not (labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < classes):
        raise IndexError(f"class {labels.tolist()} is not among the {classes} classes, 0 to {classes - 1}")
    return _core.asarray(labels.astype(np.int64))


def predicted(model: Classifier, x: Any) -> NDArray[np.int64]:
    """The class with the highest score for each row, in evaluation mode.

    Args:
        model: a classifier, a function from inputs to scores (..., classes).
        x: inputs.

    Returns:
        An int64 array (...).

    Example:
        >>> sp.scores.predicted(lambda x: sp.asarray(x), [[0.1, 0.9]])
        array([1])
    """
    with _core.no_grad(), evaluating():
        return np.asarray(_core.argmax(one_tensor(model(x)), axis=-1))


def probabilities(model: Classifier, x: Any) -> Tensor:
    """The softmax of the scores.

    Args:
        model: a classifier, a function from inputs to scores (..., classes).
        x: inputs.

    Returns:
        A tensor (..., classes), recorded if the input is.

    Example:
        >>> sp.scores.probabilities(lambda x: sp.asarray(x), [[1.0, 1.0]]).tolist()
        [[0.5, 0.5]]
    """
    return _core.softmax(one_tensor(model(x)), axis=-1)


def as_probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """The softmax of one row of scores, or the scores themselves if they are probabilities already.

    Args:
        scores: (classes,).

    Returns:
        Probabilities (classes,).

    Example:
        >>> sp.scores.as_probabilities(np.zeros(2)), sp.scores.as_probabilities(np.array([0.25, 0.75]))
        (array([0.5, 0.5]), array([0.25, 0.75]))
    """
    values = np.asarray(scores, np.float64)
    if values.min() >= 0 and abs(values.sum() - 1) < 1e-3:
        return values
    shares: NDArray[np.float64] = np.exp(values - values.max())
    shares /= shares.sum()
    return shares


def accuracy(model: Classifier, x: Any, y: Any, batch_size: int = 100) -> float:
    """The share of correctly classified rows, in evaluation mode.

    Args:
        model: a classifier, a function from inputs to scores (..., classes).
        x: inputs (n, ...).
        y: labels (n,).
        batch_size: rows evaluated at a time.

    Returns:
        A float; NaN for no rows.

    Raises:
        ValueError: if the numbers of inputs and labels differ.

    Example:
        >>> sp.scores.accuracy(lambda x: sp.asarray(x), np.eye(2), [0, 0])
        0.5
    """
    if len(x) != len(y):
        raise ValueError(f"accuracy: {len(x)} inputs and {len(y)} labels")
    if not len(x):
        return float("nan")
    starts = range(0, len(x), batch_size)
    labels = [predicted(model, x[start : start + batch_size]) for start in starts]
    return float(np.mean(np.concatenate(labels) == np.asarray(y)))
