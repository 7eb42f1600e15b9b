"""Losses as functions of predictions and targets.

All take ``reduction``: ``"mean"`` (over all losses, the default), ``"sum"`` or ``"none"``; the sum is the J of the
notes, N times the mean (row 22). Predictions and targets must agree in shape: nothing is broadcast silently.
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
    """``(prediction - target)^2``, without a factor 1/2; both of one shape. Raises ValueError if shapes differ."""
    prediction, target = _same_shape("mse_loss", prediction, target)
    return _reduce(_core.square(prediction - target), reduction)


def l1_loss(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """``abs(prediction - target)``, gradient 0 at a tie. Raises ValueError if shapes differ."""
    prediction, target = _same_shape("l1_loss", prediction, target)
    return _reduce(_core.abs(prediction - target), reduction)


def bce_with_logits(logits: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Binary cross-entropy of probabilities ``target`` and sigmoid(``logits``), stable for any logit.

    ``y * softplus(-x) + (1 - y) * softplus(x)``, each part exact where it is small. Raises ValueError if shapes differ.
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
    """``-sum_c q_c log softmax(logits)_c``, stable for logits of any size.

    ``logits`` has the classes along ``axis``: by default axis 1, or 0 if there is only one, as in PyTorch. ``target``
    is either integers, shaped as logits without that axis, or probabilities q of the shape of the logits.
    ``label_smoothing`` e replaces q by (1 - e) q + e / C (Szegedy et al. 2016, arXiv:1512.00567). Raises ValueError for
    shapes that do not fit and IndexError for a label outside [0, C). Source: notes table, row 18.
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
    """``-log_probs[label]``: cross-entropy for inputs that are log-probabilities already; see ``cross_entropy``."""
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
    labels = _core.expand_dims(_core.checked_labels(target, log_probs.shape[axis]), axis=axis)
    return -_core.squeeze(_core.take_along_axis(log_probs, labels, axis=axis), axis=axis)


def info_nce(x: Any, y: Any, temperature: float = 1.0, reduction: str = "mean") -> Tensor:
    """Symmetric contrastive loss: the mean of the cross-entropies of rows and of columns of ``x @ y.T / temperature``.

    ``x`` and ``y`` are (N, D) embeddings, row i of one belonging to row i of the other; they are used as given, so
    normalise them first for cosine similarity. Raises ValueError if shapes differ. Source: Radford et al. 2021,
    arXiv:2103.00020; notes table, row 85.
    """
    x, y = _same_shape("info_nce", x, y)
    similarity = _core.matmul(x, _core.permute_dims(y, (1, 0))) / temperature
    labels = _core.arange(x.shape[0], dtype=_core.int64)
    rows = cross_entropy(similarity, labels, axis=1, reduction="none")
    columns = cross_entropy(similarity, labels, axis=0, reduction="none")
    return _reduce((rows + columns) / 2, reduction)
