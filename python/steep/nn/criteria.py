"""Losses as modules, for models that contain them.

Each holds the options of one function of ``losses.py``.
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
    """``nn.functional.mse_loss`` as a module.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> float(sp.nn.MSELoss()([1.0, 3.0], [1.0, 1.0]))
        2.0
    """

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """The loss.

        Args:
            prediction: predictions of any shape.
            target: targets of the same shape.

        Returns:
            A scalar tensor, or the losses for reduction "none".
        """
        return losses.mse_loss(prediction, target, self.reduction)


class L1Loss(_Criterion):
    """``nn.functional.l1_loss`` as a module.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> float(sp.nn.L1Loss()([1.0, 3.0], [1.0, 1.0]))
        1.0
    """

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """The loss.

        Args:
            prediction: predictions of any shape.
            target: targets of the same shape.

        Returns:
            A scalar tensor, or the losses for reduction "none".
        """
        return losses.l1_loss(prediction, target, self.reduction)


class BCEWithLogitsLoss(_Criterion):
    """``nn.functional.bce_with_logits`` as a module.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> float(sp.nn.BCEWithLogitsLoss()([200.0], [1.0]))
        0.0
    """

    def forward(self, logits: Any, target: Any) -> Tensor:
        """The loss.

        Args:
            logits: logits of any shape.
            target: probabilities of the same shape.

        Returns:
            A scalar tensor, or the losses for reduction "none".
        """
        return losses.bce_with_logits(logits, target, self.reduction)


class NLLLoss(_Criterion):
    """``nn.functional.nll_loss`` as a module.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> float(sp.nn.NLLLoss()(sp.tensor([[-2.0, -1.0]]), [1]))
        1.0
    """

    def forward(self, log_probs: Any, target: Any) -> Tensor:
        """The loss.

        Args:
            log_probs: log-probabilities (N, C, ...).
            target: integer labels (N, ...).

        Returns:
            A scalar tensor, or the losses for reduction "none".
        """
        return losses.nll_loss(log_probs, target, reduction=self.reduction)


class CrossEntropyLoss(_Criterion):
    """``nn.functional.cross_entropy`` as a module.

    Args:
        label_smoothing: see ``cross_entropy``.
        reduction: "mean", "sum" or "none".

    Example:
        >>> float(sp.nn.CrossEntropyLoss()(sp.tensor([[100.0, 0.0]]), [0]))
        0.0
    """

    def __init__(self, label_smoothing: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Tensor:
        """The loss.

        Args:
            logits: scores (N, C, ...).
            target: integer labels (N, ...), or probabilities (N, C, ...).

        Returns:
            A scalar tensor, or the losses for reduction "none".
        """
        return losses.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction=self.reduction)
