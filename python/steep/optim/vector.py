"""Optimisers that move all parameters together, as one vector: L-BFGS, Newton-CG, the direct searches.

They evaluate the function several times per step. ``VectorOptimizer`` is their base; ``joined`` makes the vector, and
``write`` puts one back into the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.optim.optimizer import Gradients, Optimizer, Rate
from steep.tree import Tree


class VectorOptimizer(Optimizer):
    """Base of optimisers that evaluate the function several times per step and move all parameters as one vector.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        lr: length of the first step tried, a number or a schedule.
        maximize: whether to ascend.

    Raises:
        TypeError: for parameters of several dtypes.
    """

    def __init__(self, params: Tree, lr: Rate = 1.0, *, maximize: bool = False) -> None:
        super().__init__(params, lr, maximize=maximize)
        if len({str(param.dtype) for param in self.params}) > 1:
            dtypes = [str(param.dtype) for param in self.params]
            raise TypeError(f"{type(self).__name__} needs parameters of one dtype, got {dtypes}")

    def apply_gradients(self, pairs: Iterable[tuple[Any, Tensor]]) -> None:
        """Not supported, since a step has to evaluate the loss.

        Args:
            pairs: ignored.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} needs to evaluate the loss several times: call step(closure)")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Args:
            closure: computes the loss and returns it; it clears the gradients and calls backward() if the optimiser
                needs them.

        Returns:
            The loss before the step.

        Raises:
            TypeError: without a closure.
        """
        if closure is None:
            raise TypeError(f"{type(self).__name__} needs to evaluate the loss several times: call step(closure)")
        return super().step(closure)

    def _signed(self, gradients: Gradients) -> Tensor:
        """The gradient of what is minimised, as one vector; zeros for None."""
        filled = [
            _core.zeros_like(param.detach()) if grad is None else _core.asarray(grad)
            for grad, param in zip(gradients, self.params, strict=True)
        ]
        return -joined(filled) if self.maximize else joined(filled)


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one after another, detached.

    Args:
        tensors: the tensors, of one dtype.

    Returns:
        A new tensor (n,).
    """
    return _core.concat([_core.reshape(tensor.detach(), (tensor.size,)) for tensor in tensors])


def parts(vector: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
    """A vector as tensors with the shapes of parameters.

    Args:
        vector: a tensor (n,).
        params: the parameters.

    Returns:
        A list of tensors.
    """
    found, start = [], 0
    for param in params:
        found.append(_core.reshape(vector[start : start + param.size], tuple(param.shape)))
        start += param.size
    return found


def write(params: Sequence[Tensor], vector: Tensor) -> None:
    """Writes a vector into parameters.

    Args:
        params: the parameters, updated in place.
        vector: a tensor (n,).
    """
    with _core.no_grad():
        for param, part in zip(params, parts(vector, params), strict=True):
            param[...] = part


def dot(a: Tensor, b: Tensor) -> float:
    """The inner product.

    Args:
        a: a tensor (n,).
        b: another.

    Returns:
        A float.
    """
    return float(_core.sum(a * b))
