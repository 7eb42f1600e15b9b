"""What a module learns, by the name that PyTorch gives it.

A module finds every tensor among its attributes that requires a gradient (``module.py``), so a parameter is no type of
its own: ``Parameter`` makes such a tensor. Lists and dicts of tensors or modules count as they are.
"""

from __future__ import annotations

from typing import Any

from steep import _core
from steep._core import Tensor


def Parameter(data: Any, requires_grad: bool = True) -> Tensor:
    """A tensor for a module to learn: a leaf with a copy of the data.

    Args:
        data: an array, a tensor, a number, or nested lists of floats, of any shape.
        requires_grad: whether it is learned; otherwise a module holds it as a buffer.

    Returns:
        A tensor of data's shape and dtype.

    Raises:
        GradientError: for integers and bools, which have no gradient.
        ValueError: if lists are of unequal lengths.

    Example:
        >>> class Scale(sp.nn.Module):
        ...     def __init__(self):
        ...         self.factor = sp.nn.Parameter(sp.ones(3))
        ...     def forward(self, x):
        ...         return self.factor * x
        >>> [(name, p.shape) for name, p in Scale().named_parameters()]
        [('factor', (3,))]
    """
    return _core.tensor(data.detach() if isinstance(data, Tensor) else data, requires_grad=requires_grad)
