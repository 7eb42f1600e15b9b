"""Layers as functions: what the classes of ``steep.nn`` compute, with parameters passed as arguments.

Activations are the engine's own operations under the same names; losses come from ``losses.py``.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import (
    Tensor,
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    one_hot,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from steep.nn.losses import bce_with_logits, cross_entropy, info_nce, l1_loss, mse_loss, nll_loss
from steep.random import Generator

__all__ = [
    "bce_with_logits", "cross_entropy", "dropout", "elu", "embedding", "flatten", "gelu", "info_nce", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "mse_loss", "nll_loss", "one_hot", "relu", "sigmoid", "silu",
    "softmax", "softplus", "tanh",
]  # fmt: skip


def linear(x: Any, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` for x (..., in), weight (out, in), bias (out,); gives (..., out).

    Raises ValueError naming both shapes if they do not fit. Source: notes table, row 6.
    """
    product = _core.matmul(x, _core.permute_dims(weight, (1, 0)))
    return product if bias is None else product + bias


def layer_norm(
    x: Any,
    shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the trailing dimensions ``shape``; keeps shape and dtype.

    The variance is the biased one. Raises ValueError unless x ends in ``shape``. Source: Ba et al. 2016,
    arXiv:1607.06450.
    """
    values: Tensor = _core.asarray(x)
    if tuple(values.shape[values.ndim - len(shape) :]) != shape:
        raise ValueError(f"layer_norm over {shape} needs an input that ends in these dimensions, got {values.shape}")
    axes = tuple(range(-len(shape), 0))
    centred = values - _core.mean(values, axis=axes, keepdims=True)
    scaled = centred / _core.sqrt(_core.mean(centred * centred, axis=axes, keepdims=True) + eps)
    scaled = scaled if weight is None else scaled * weight
    return scaled if bias is None else scaled + bias


def dropout(x: Any, p: float, generator: Generator, training: bool = True) -> Tensor:
    """Each element is zero with probability ``p``, else divided by 1 - p; ``x`` itself unless ``training``.

    Keeps shape and dtype. Raises ValueError unless 0 <= p <= 1. Source: Srivastava et al. 2014.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is a probability, got {p}")
    values: Tensor = _core.asarray(x)
    if not training or p == 0:
        return values
    if p == 1:
        return values * 0
    kept = generator.uniform(0.0, 1.0, values.shape) >= p
    return values * (kept.astype(values.dtype) / (1 - p))


def embedding(indices: Any, weight: Tensor) -> Tensor:
    """Rows of ``weight`` (n, dim) at integer ``indices`` of any shape; gives (*indices.shape, dim).

    Raises IndexError for an index outside [0, n).
    """
    rows = _core.asarray(indices)
    if rows.size and not 0 <= int(_core.min(rows)) <= int(_core.max(rows)) < weight.shape[0]:
        raise IndexError(
            f"embedding: indices run from {int(_core.min(rows))} to {int(_core.max(rows))}, "
            f"but the table has rows 0 to {weight.shape[0] - 1}"
        )
    flat = _core.take(weight, _core.reshape(rows, (rows.size,)), axis=0)
    return _core.reshape(flat, (*rows.shape, weight.shape[1]))


def flatten(x: Any, start: int = 1) -> Tensor:
    """The dimensions from ``start`` on made one: (n, a, b) gives (n, a*b)."""
    x = _core.asarray(x)
    head = tuple(x.shape[:start])
    return _core.reshape(x, (*head, math.prod(x.shape[start:])))
