"""Losses as modules, for those who keep them in a model.

Each holds the options of one function of ``losses.py`` and passes predictions and targets on to it.
"""

from __future__ import annotations

from typing import Any

from steep._core import Tensor
from steep.nn import losses
from steep.nn.module import Module


class _Criterion(Module):
    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction


class MSELoss(_Criterion):
    """``mse_loss`` with its reduction."""

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Both of one shape; a scalar unless reduction is "none"."""
        return losses.mse_loss(prediction, target, self.reduction)


class L1Loss(_Criterion):
    """``l1_loss`` with its reduction."""

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Both of one shape; a scalar unless reduction is "none"."""
        return losses.l1_loss(prediction, target, self.reduction)


class BCEWithLogitsLoss(_Criterion):
    """``bce_with_logits`` with its reduction."""

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Both of one shape; a scalar unless reduction is "none"."""
        return losses.bce_with_logits(logits, target, self.reduction)


class NLLLoss(_Criterion):
    """``nll_loss`` with its reduction."""

    def forward(self, log_probs: Any, target: Any) -> Tensor:
        """(N, C, ...) and labels (N, ...); a scalar unless reduction is "none"."""
        return losses.nll_loss(log_probs, target, reduction=self.reduction)


class CrossEntropyLoss(_Criterion):
    """``cross_entropy`` with its label smoothing and reduction."""

    def __init__(self, label_smoothing: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Tensor:
        """(N, C, ...) and labels (N, ...) or probabilities (N, C, ...); a scalar unless reduction is "none"."""
        return losses.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction=self.reduction)
