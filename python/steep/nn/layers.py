"""Layers with parameters or state.

A layer holds its tensors as attributes and initialises them by ``init.py``; the computation is in ``functional.py``.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.integers import integers, sizes
from steep.nn import functional, init
from steep.nn.module import Module
from steep.random import Generator
from steep.reals import real


class Linear(Module):
    """A linear layer, ``x @ weight.T + bias``.

    Weight (outputs, inputs) and bias (outputs,) are initialised uniformly in [-1/sqrt(inputs), 1/sqrt(inputs)), as in
    PyTorch.

    Args:
        inputs: number of input features.
        outputs: number of output features.
        bias: whether to add a learned bias.
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a negative one.

    Example:
        >>> sp.nn.Linear(4, 3, generator=0)(sp.ones((2, 4))).shape
        (2, 3)
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
        inputs, outputs = sizes("Linear", inputs=inputs, outputs=outputs)
        source = init.generator(generator)
        bound = 1 / math.sqrt(max(1, inputs))
        self.weight = init.uniform((outputs, inputs), bound, source, dtype)
        self.bias = init.uniform((outputs,), bound, source, dtype) if bias else None

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (..., inputs).

        Returns:
            A tensor (..., outputs).
        """
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, and whether there is a bias."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, bias={self.bias is not None}"


class LayerNorm(Module):
    """Layer normalization over the trailing dimensions, with learned scale and shift.

    Args:
        shape: the trailing dimensions, or the last one as a number.
        eps: added to the variance.
        affine: whether to learn scale and shift.
        dtype: dtype of the parameters; float32 if None.

    References:
        Ba et al. 2016, "Layer normalization", arXiv:1607.06450.

    Example:
        >>> sp.nn.LayerNorm(4)(sp.ones((2, 4))).shape
        (2, 4)
    """

    def __init__(self, shape: int | tuple[int, ...], eps: float = 1e-5, affine: bool = True, dtype: Any = None) -> None:
        self.shape = integers("LayerNorm: shape", shape)
        self.eps = real("LayerNorm: eps", eps, 0)
        dtype = dtype or _core.float32
        self.weight = init.parameter(_core.ones(self.shape, dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros(self.shape, dtype=dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (..., *shape).

        Returns:
            A tensor of the same shape.
        """
        return functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Dimensions and eps."""
        return f"{self.shape}, eps={self.eps}"


class Dropout(Module):
    """Dropout: in training, sets each element to zero with probability ``p`` and divides the others by 1 - p.

    The generator belongs to the layer, so its state is saved with a checkpoint.

    Args:
        p: the probability, in [0, 1].
        generator: source of the masks, a ``Generator`` or a seed; the default of ``nn.init`` if None.

    Raises:
        TypeError: for a p that is no number.
        ValueError: for a p outside [0, 1].

    References:
        Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.

    Example:
        >>> sp.nn.Dropout(0.5, generator=0).eval()(sp.ones(3)).tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | int | None = None) -> None:
        self.p = real("Dropout: p", p, 0, 1)
        self.generator = init.generator(generator)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return functional.dropout(x, self.p, self.generator, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Embedding(Module):
    """A table of vectors, looked up by integer index; initialised standard normal, as in PyTorch.

    Args:
        entries: number of vectors.
        dim: their length.
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a negative one.

    Example:
        >>> sp.nn.Embedding(10, 4, generator=0)([1, 2]).shape
        (2, 4)
    """

    def __init__(self, entries: int, dim: int, *, generator: Generator | int | None = None, dtype: Any = None) -> None:
        self.weight = init.normal(sizes("Embedding", entries=entries, dim=dim), 1.0, generator, dtype)

    def forward(self, indices: Any) -> Tensor:
        """Looks up vectors.

        Args:
            indices: integers of any shape, in [0, entries).

        Returns:
            A tensor (*indices.shape, dim).

        Raises:
            IndexError: for an index outside [0, entries).
        """
        return functional.embedding(indices, self.weight)

    def extra_repr(self) -> str:
        """Size of the table."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class Flatten(Module):
    """Flattens the dimensions from ``start`` on: (n, a, b) becomes (n, a * b).

    Args:
        start: the first dimension to flatten.

    Example:
        >>> sp.nn.Flatten()(sp.zeros((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, start: int = 1) -> None:
        self.start = start

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (n, ...).

        Returns:
            A tensor (n, product of the other sizes).
        """
        return functional.flatten(x, self.start)
