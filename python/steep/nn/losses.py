"""Losses as functions of predictions and targets.

All take ``reduction``: "mean" (over all losses, the default), "sum" or "none". Predictions and targets must have the
same shape: nothing is broadcast silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steep import _core
from steep._core import Tensor

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": _core.mean,
    "sum": _core.sum,
    "none": lambda losses: losses,
}


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {list(REDUCTIONS)}, got {reduction!r}")
    return REDUCTIONS[reduction](losses)


def _same_shape(name: str, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
    prediction, target = _core._match(prediction, target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"{name}: prediction of shape {prediction.shape} and target of shape {target.shape} differ; "
            "reshape one of them, nothing is broadcast here"
        )
    return _as_floats(prediction, target)


def _as_floats(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the dtype that they share, or float32 where that is no float."""
    common = _core._promote(a.dtype, b.dtype)
    dtype = common if common.kind == "f" else _core.float32
    return a.astype(dtype), b.astype(dtype)


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """``values * weights``, and 0 where a weight is 0 though the value is infinite."""
    absent = _core.logical_and(weights == 0, _core.isinf(values))
    return _core.where(absent, 0, values) * weights


def mse_loss(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared error, ``(prediction - target)^2``, without a factor 1/2.

    Args:
        prediction: predictions of any shape.
        target: targets of the same shape.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar tensor, or the losses for reduction "none".

    Raises:
        ValueError: if shapes differ, or for an unknown reduction.

    Example:
        >>> float(sp.nn.mse_loss([1.0, 3.0], [1.0, 1.0]))
        2.0
    """
    prediction, target = _same_shape("mse_loss", prediction, target)
    return _reduce(_core.square(prediction - target), reduction)


def l1_loss(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Absolute error, ``abs(prediction - target)``, with gradient 0 at equality.

    Args:
        prediction: predictions of any shape.
        target: targets of the same shape.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar tensor, or the losses for reduction "none".

    Raises:
        ValueError: if shapes differ, or for an unknown reduction.

    Example:
        >>> float(sp.nn.l1_loss([1.0, 3.0], [1.0, 1.0]))
        1.0
    """
    prediction, target = _same_shape("l1_loss", prediction, target)
    return _reduce(_core.abs(prediction - target), reduction)


def bce_with_logits(logits: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Binary cross-entropy of probabilities and sigmoid(logits), stable for any logit.

    ``y * softplus(-x) + (1 - y) * softplus(x)``.

    Args:
        logits: logits x of any shape.
        target: probabilities y of the same shape.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar tensor, or the losses for reduction "none".

    Raises:
        ValueError: if shapes differ, or for an unknown reduction.

    Example:
        >>> round(float(sp.nn.bce_with_logits([0.0], [1.0])), 4)
        0.6931
    """
    logits, target = _same_shape("bce_with_logits", logits, target)
    right = _weighted(_core.softplus(-logits), target)
    return _reduce(right + _weighted(_core.softplus(logits), 1 - target), reduction)


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    axis: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of labels or probabilities and softmax(logits), stable for logits of any size.

    Args:
        logits: unnormalised scores with C classes along ``axis``.
        target: integer labels, shaped as logits without that axis, or probabilities q of the shape of the logits.
        axis: the axis of classes; 1 if None, or 0 if there is only one, as in PyTorch.
        label_smoothing: e replaces q by (1 - e) q + e / C (Szegedy et al. 2016, arXiv:1512.00567).
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar tensor, or the losses for reduction "none".

    Raises:
        ValueError: for shapes that do not match, or an unknown reduction.
        IndexError: for a label outside [0, C).

    Example:
        >>> round(float(sp.nn.cross_entropy(sp.tensor([[1.0, 1.0]]), [0])), 4)
        0.6931
    """
    logits, target = _core._match(logits, target)
    axis = min(1, logits.ndim - 1) if axis is None else axis
    if target.dtype.kind == "f":
        losses = _expected(_core.log_softmax(logits, axis=axis), target, axis)
    else:
        losses = _core.label_cross_entropy(logits, target, axis)
    if label_smoothing:
        even = _core.mean(_core.log_softmax(logits, axis=axis), axis=axis)
        losses = losses * (1 - label_smoothing) - even * label_smoothing
    return _reduce(losses, reduction)


def nll_loss(log_probs: Any, target: Any, *, axis: int | None = None, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood, ``-log_probs[label]``: cross-entropy of inputs that are log-probabilities already.

    Args:
        log_probs: log-probabilities with C classes along ``axis``.
        target: integer labels, shaped as log_probs without that axis.
        axis: the axis of classes; 1 if None, or 0 if there is only one.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar tensor, or the losses for reduction "none".

    Raises:
        ValueError: for shapes that do not match, or an unknown reduction.
        IndexError: for a label outside [0, C).

    Example:
        >>> float(sp.nn.nll_loss(sp.tensor([[-2.0, -1.0]]), [1]))
        1.0
    """
    log_probs, target = _core._match(log_probs, target)
    axis = min(1, log_probs.ndim - 1) if axis is None else axis
    return _reduce(_expected(log_probs, target, axis), reduction)


def _expected(log_probs: Tensor, target: Tensor, axis: int) -> Tensor:
    """Minus the log-probability of the target along ``axis``."""
    if target.dtype.kind == "f":
        return -_core.sum(_weighted(*_same_shape("cross_entropy", log_probs, target)), axis=axis)
    expected = tuple(n for i, n in enumerate(log_probs.shape) if i != axis % log_probs.ndim)
    if target.shape != expected:
        raise ValueError(
            f"nll_loss: log-probabilities of shape {log_probs.shape} with classes along axis {axis} need labels of "
            f"shape {expected}, got {target.shape}"
        )
    labels = _core.expand_dims(_core._checked_labels(target, log_probs.shape[axis], "nll_loss"), axis=axis)
    return -_core.squeeze(_core.take_along_axis(log_probs, labels, axis=axis), axis=axis)


def info_nce(x: Any, y: Any, temperature: float = 1.0, reduction: str = "mean") -> Tensor:
    """Symmetric InfoNCE: the mean cross-entropy of rows and of columns of ``x @ y.T / temperature``.

    Args:
        x: embeddings (N, D); normalise them first for cosine similarity.
        y: embeddings (N, D); row i belongs to row i of ``x``.
        temperature: divisor of the similarities.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar tensor, or the losses for reduction "none".

    Raises:
        ValueError: if shapes differ, or for an unknown reduction.

    References:
        van den Oord et al. 2018, arXiv:1807.03748; Radford et al. 2021, arXiv:2103.00020.

    Example:
        >>> round(float(sp.nn.info_nce(sp.eye(4), sp.eye(4))), 4)
        0.7437
    """
    x, y = _same_shape("info_nce", x, y)
    similarity = _core.matmul(x, _core.permute_dims(y, (1, 0))) / temperature
    labels = _core.arange(x.shape[0], dtype=_core.int64)
    rows = cross_entropy(similarity, labels, axis=1, reduction="none")
    columns = cross_entropy(similarity, labels, axis=0, reduction="none")
    return _reduce((rows + columns) / 2, reduction)
