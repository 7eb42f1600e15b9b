"""Losses that a graph may end in: negative log-likelihood of labels, and cross-entropy by softmax."""

from __future__ import annotations

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, op

_REDUCTIONS = {"reduction": ("none", "mean", "sum")}


def _likelihood(node: Node, scores: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
    """-scores at the labels along axis 1, weighted by class; labels of ignore_index count nothing."""
    ignored = node["ignore_index"]
    kept = _core.ones(labels.shape, dtype="bool") if ignored is None else _core.not_equal(labels, ignored)
    safe = _core.where(kept, labels, _core.zeros_like(labels))
    picked = _core.squeeze(_core.take_along_axis(scores, _core.expand_dims(safe, 1), 1), 1)
    shares = _core.ones(labels.shape, dtype=scores.dtype) if weight is None else _core.take(weight, safe, 0)
    shares = _core.where(kept, shares, _core.zeros_like(shares))
    loss = -picked * shares
    if node["reduction"] == "none":
        return loss
    return _core.sum(loss) if node["reduction"] == "sum" else _core.sum(loss) / _core.sum(shares)


@op("NegativeLogLikelihoodLoss", forms=_REDUCTIONS)
def nll_loss(node: Node, scores: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Of log-probabilities along axis 1."""
    return _likelihood(node, scores, labels, weight)


@op("SoftmaxCrossEntropyLoss", forms=_REDUCTIONS)
def cross_entropy(node: Node, scores: Tensor, labels: Tensor, weight: Tensor | None = None) -> Value:
    """Of scores along axis 1; the log-probabilities too if requested."""
    logs = _core.log_softmax(scores, 1)
    loss = _likelihood(node, logs, labels, weight)
    return (loss, logs) if node.wants(1) else loss
