"""One function minimised with values alone, with gradients, and with Hessian-vector products: what each order costs.

``METHODS`` lists the methods from black box to second order. ``compare`` counts evaluations until the value is within a
tolerance of the minimum. Start reading there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from steep import _core, optim
from steep._core import Tensor

DIMENSIONS, CONDITION = 10, 100.0
MOST_STEPS = 20_000


class OrderMethod(NamedTuple):
    """A row: the name, the derivatives it uses, how it is made from a point and a seed."""

    name: str
    order: int
    make: Callable[[Tensor, int], optim.Optimizer]


ORDERS: tuple[OrderMethod, ...] = (
    OrderMethod("random search", 0, lambda x, seed: optim.RandomSearch(x, 0.5, seed)),
    OrderMethod("CMA-ES", 0, lambda x, seed: optim.CMAES(x, 0.5, generator=seed)),
    OrderMethod("Nelder-Mead", 0, lambda x, seed: optim.NelderMead(x, 0.5, adaptive=True)),
    OrderMethod("gradient descent", 1, lambda x, seed: optim.SGD(x, 2 / (1 + CONDITION))),
    OrderMethod("L-BFGS", 1, lambda x, seed: optim.LBFGS(x)),
    OrderMethod("Newton-CG", 2, lambda x, seed: optim.NewtonCG(x, forcing=1e-8)),
)


@dataclass(frozen=True)
class Cost:
    """What one method needed.

    Attributes:
        method: its name.
        order: the derivatives it uses: 0, 1 or 2.
        evaluations: evaluations of the function, of order 1 and 2 with its gradient.
        products: Hessian-vector products.
        value: the value reached.
        reached: whether it is within the tolerance.
    """

    method: str
    order: int
    evaluations: int
    products: int
    value: float
    reached: bool

    @property
    def total(self) -> int:
        """Evaluations and products together."""
        return self.evaluations + self.products


def valley(x: Tensor) -> Tensor:
    """A quadratic of ten variables whose curvatures run from 1 to 100, its axes rotated: the function of the table.

    Args:
        x: a tensor (10,).

    Returns:
        A scalar, 0 at the minimum, (1, ..., 1).

    Example:
        >>> sp.descent.valley(sp.ones(10, dtype="float64")).item()
        0.0
    """
    away = _ROTATION @ (x - 1.0)
    return _core.sum(away * away * _CURVATURES) / 2


def _rotation(n: int) -> Tensor:
    """A reflection in which every axis takes part: orthogonal, and the same on every machine."""
    normal = np.arange(1.0, n + 1)
    return _core.tensor(np.eye(n) - 2 * np.outer(normal, normal) / (normal @ normal))


_ROTATION = _rotation(DIMENSIONS)
_CURVATURES = _core.tensor(CONDITION ** (np.arange(DIMENSIONS) / (DIMENSIONS - 1)))


def compare(
    function: Callable[[Tensor], Tensor] = valley,
    start: Any = None,
    tolerance: float = 1e-8,
    minimum: float = 0.0,
    seed: int = 0,
    methods: Iterable[OrderMethod] = ORDERS,
) -> list[Cost]:
    """Evaluations that each method needs until the value is within ``tolerance`` of the minimum.

    Args:
        function: from a float64 tensor (n,) to a scalar.
        start: where to begin; (0, ..., 0) of ten variables if None.
        tolerance: the distance of the value from the minimum.
        minimum: the value of the minimum.
        seed: seed of random methods.
        methods: rows like those of ``ORDERS``.

    Returns:
        A ``Cost`` for each method, in order.

    Example:
        >>> [cost.method for cost in sp.descent.compare() if cost.total < 20]
        ['Newton-CG']
    """
    begin = np.zeros(DIMENSIONS) if start is None else np.asarray(start, np.float64)
    return [_cost(function, begin, tolerance, minimum, seed, method) for method in methods]


def _cost(
    function: Callable[[Tensor], Tensor], start: Any, tolerance: float, minimum: float, seed: int, method: OrderMethod
) -> Cost:
    x, lowest = _core.tensor(start), float("inf")

    def noted(v: Tensor) -> Tensor:
        nonlocal lowest
        value = function(v)
        lowest = min(lowest, float(value.detach()))
        return value

    optimizer = method.make(x, seed)
    run = optim.minimize(noted, x, optimizer, MOST_STEPS, callback=lambda p: lowest - minimum <= tolerance)
    return Cost(method.name, method.order, run.evaluations, run.products, lowest, lowest - minimum <= tolerance)
