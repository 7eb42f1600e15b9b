"""Layers with parameters or state.

A layer holds its tensors as plain attributes and draws their first values through ``init.py``; what it computes stands
in ``functional.py``.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.nn import functional, init
from steep.nn.module import Module
from steep.random import Generator


class Linear(Module):
    """``x @ weight.T + bias``: (..., inputs) to (..., outputs); weight (outputs, inputs), bias (outputs,).

    Both start uniform in [-1/sqrt(inputs), 1/sqrt(inputs)), as PyTorch's do. ``generator``: a Generator or a seed.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        source = init.generator(generator)
        bound = 1 / math.sqrt(max(1, inputs))
        self.weight = init.uniform((outputs, inputs), bound, source, dtype)
        self.bias = init.uniform((outputs,), bound, source, dtype) if bias else None

    def forward(self, x: Any) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, bias={self.bias is not None}"


class LayerNorm(Module):
    """Normalise over the trailing dimensions ``shape``, then scale and shift by learned weights (``affine``).

    Source: Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(self, shape: int | tuple[int, ...], eps: float = 1e-5, affine: bool = True, dtype: Any = None) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = eps
        dtype = dtype or _core.float32
        self.weight = init.parameter(_core.ones(self.shape, dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros(self.shape, dtype=dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """(..., *shape) to the same."""
        return functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Dimensions and eps."""
        return f"{self.shape}, eps={self.eps}"


class Dropout(Module):
    """While training, zero each element with probability ``p`` and divide the rest by 1 - p; else nothing.

    The generator belongs to the layer, so its state is saved with a checkpoint. Source: Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | int | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, got {p}")
        self.p = p
        self.generator = init.generator(generator)

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return functional.dropout(x, self.p, self.generator, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Embedding(Module):
    """A table (entries, dim) of vectors looked up by integer; starts standard normal, as PyTorch's does."""

    def __init__(self, entries: int, dim: int, *, generator: Generator | int | None = None, dtype: Any = None) -> None:
        self.weight = init.normal((entries, dim), 1.0, generator, dtype)

    def forward(self, indices: Any) -> Tensor:
        """Integers of any shape to (*shape, dim); IndexError outside [0, entries)."""
        return functional.embedding(indices, self.weight)

    def extra_repr(self) -> str:
        """Size of the table."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class Flatten(Module):
    """Make the dimensions from ``start`` on one: (n, a, b) to (n, a*b)."""

    def __init__(self, start: int = 1) -> None:
        self.start = start

    def forward(self, x: Any) -> Tensor:
        """(n, ...) to (n, product of the rest)."""
        return functional.flatten(x, self.start)
