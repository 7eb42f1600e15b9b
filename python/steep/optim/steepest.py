"""Steps along the direction of steepest descent under a norm, whatever the gradient's size.

What attacks and input optimisation use: a sign step moves every pixel equally, a normalised one the whole picture.
``Steepest`` goes a fixed way, ``Polyak`` as far as the value of each row asks for.
"""

from __future__ import annotations

from steep import _core
from steep._core import Tensor
from steep.optim.norms import find_norm, in_rows
from steep.optim.optimizer import Optimizer, Rate, Slots
from steep.tree import Tree


class Steepest(Optimizer):
    """linf: step lr sign(g). l2: step lr g / norm(g). l1: lr shared by the elements of the steepest gradients.

    l2 and l1 take each tensor, or with ``batched`` each row of it, by itself. A gradient of exactly zero makes no step.
    With ``bounds``, elements at a bound that would leave it do not take part in the direction. Sources: Goodfellow et
    al. 2015, arXiv:1412.6572 (linf); notes table, row 55 (l2) and 1d row K; ``norms.L1``. Raises ValueError for
    another norm.
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
        """As the class says."""
        param -= _core.reshape(self._direction(param, grad), param.shape) * lr

    def _direction(self, param: Tensor, grad: Tensor) -> Tensor:
        if self.bounds is not None:
            low, high = self.bounds
            leaving = ((param <= low) & (grad > 0)) | ((param >= high) & (grad < 0))
            grad = _core.where(leaving, _core.zeros_like(grad), grad)
        return self.kind.direction(in_rows(grad, self.batched))


class Polyak(Steepest):
    """For each row, lr times the step that would bring its value to 0 if the function were linear.

    ``values`` (n,) holds the value of each row of the one parameter (n, ...); the function that is minimised is their
    sum and writes them there. Sources: Polyak 1969 for a least value of 0; with ``values`` the distance to a decision
    boundary it is DeepFool's step (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599).
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
        """As the class says."""
        direction = self._direction(param, grad)
        slope = _core.sum(direction * in_rows(grad, True), axis=-1, keepdims=True)
        values = _core.reshape(self.values, slope.shape).astype(param.dtype)
        length = _core.where(slope > 0, values / slope, _core.zeros_like(slope))
        param -= _core.reshape(direction * length * lr, param.shape)
