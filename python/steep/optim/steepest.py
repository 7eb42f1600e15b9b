"""Steps of a fixed length along the direction of steepest descent under a norm, whatever the gradient's size.

What attacks and input optimisation use: a sign step moves every pixel equally, a normalised one the whole picture.
"""

from __future__ import annotations

from steep import _core
from steep._core import Tensor
from steep.optim.optimizer import Optimizer, Rate, Slots
from steep.optim.projections import check_norm, row_norms
from steep.tree import Tree


class Steepest(Optimizer):
    """linf: step lr sign(g). l2: step lr g / norm(g), of each tensor or, with ``batched``, of each row of it.

    A gradient of exactly zero makes no step. Sources: Goodfellow et al. 2015, arXiv:1412.6572 (linf); notes table,
    row 55 (l2) and 1d row K. Raises ValueError for another norm.
    """

    def __init__(
        self, params: Tree, lr: Rate, norm: str = "linf", batched: bool = False, maximize: bool = False
    ) -> None:
        check_norm("Steepest", norm)
        self.norm, self.batched = norm, batched
        super().__init__(params, lr, maximize=maximize)

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """As the class says."""
        param -= self._direction(grad) * lr

    def _direction(self, grad: Tensor) -> Tensor:
        if self.norm == "linf":
            return _core.sign(grad)
        length = row_norms(grad, self.batched)
        return grad / _core.where(length > 0, length, _core.ones_like(length))
