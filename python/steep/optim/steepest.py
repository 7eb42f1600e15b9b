"""Steps along the direction of steepest descent under a norm, whatever the norm of the gradient.

Attacks and input optimisation use them: a sign step changes every pixel equally, a normalised one the whole image.
``Steepest`` makes steps of fixed length, ``Polyak`` steps that depend on the value of each row.
"""

from __future__ import annotations

from steep import _core
from steep._core import Tensor
from steep.optim.norms import find_norm, in_rows
from steep.optim.optimizer import Optimizer, Rate, Slots
from steep.tree import Tree


class Steepest(Optimizer):
    """Steepest descent under a norm: steps of fixed length, whatever the norm of the gradient.

    linf: step lr sign(g). l2: step lr g / norm(g). l1: lr shared by the elements with the largest gradients. A gradient
    of exactly zero makes no step.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        norm: "linf", "l2" or "l1".
        batched: for "l2" and "l1", whether each row of a tensor is normalised separately.
        maximize: whether to ascend.
        bounds: if given, elements at a bound that would leave it take no part in the direction.

    Raises:
        ValueError: for another norm.

    References:
        Goodfellow et al. 2015, arXiv:1412.6572, for linf; ``optim.norms.L1``.

    Example:
        >>> w = sp.tensor([3.0, 4.0])
        >>> sp.optim.Steepest([w], lr=1.0, norm="l2").apply_gradients([(sp.tensor([3.0, 4.0]), w)])
        >>> [round(v, 5) for v in w.tolist()]
        [2.4, 3.2]
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate,
        norm: str = "linf",
        batched: bool = False,
        maximize: bool = False,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        self.kind = find_norm(type(self).__name__, norm)
        self.norm, self.batched, self.bounds = norm, batched, bounds
        super().__init__(params, lr, maximize=maximize)

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        param -= _core.reshape(self._direction(param, grad), param.shape) * lr

    def _direction(self, param: Tensor, grad: Tensor) -> Tensor:
        if self.bounds is not None:
            low, high = self.bounds
            leaving = ((param <= low) & (grad > 0)) | ((param >= high) & (grad < 0))
            grad = _core.where(leaving, _core.zeros_like(grad), grad)
        return self.kind.direction(in_rows(grad, self.batched))


class Polyak(Steepest):
    """Polyak steps: for each row, lr times the step that would bring its value to 0 if the function were linear.

    Args:
        params: a tree with one tensor (n, ...), updated in place.
        values: a tensor (n,), which the minimised function fills with the value of each row; it returns their sum.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        norm: "linf", "l2" or "l1".
        maximize: whether to ascend.
        bounds: if given, elements at a bound that would leave it take no part in the direction.

    Raises:
        ValueError: for another norm, or more than one parameter.

    References:
        Polyak 1969, "Minimization of unsmooth functionals"; with the margin of a classifier as values it is DeepFool's
        step (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599).

    Example:
        >>> x, values = sp.tensor([[2.0]]), sp.tensor([4.0])
        >>> sp.optim.Polyak(x, values).apply_gradients([(sp.tensor([[2.0]]), x)])
        >>> x.tolist()
        [[0.0]]
    """

    def __init__(
        self,
        params: Tree,
        values: Tensor,
        lr: Rate = 1.0,
        norm: str = "l2",
        maximize: bool = False,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        self.values = values
        super().__init__(params, lr, norm, batched=True, maximize=maximize, bounds=bounds)

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        direction = self._direction(param, grad)
        derivative = _core.sum(direction * in_rows(grad, True), axis=-1, keepdims=True)
        values = _core.reshape(self.values, derivative.shape).astype(param.dtype)
        length = _core.where(derivative > 0, values / derivative, _core.zeros_like(derivative))
        param -= _core.reshape(direction * length * lr, param.shape)
