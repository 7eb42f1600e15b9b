"""Newton's method with conjugate gradients: a second-order step that never forms the Hessian.

The Newton equation H p = -g is solved by conjugate gradients, each of whose steps takes one Hessian-vector product from
the one loop, only as exactly as the gradient is small. Along a direction of negative curvature it stops. Source:
Nocedal and Wright 2006, *Numerical Optimization*, 2nd edition, algorithm 7.1. Start reading at ``advance``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.optim.line_search import Point, backtracking
from steep.optim.optimizer import Evaluate, Gradients, Product, Rate, non_negative
from steep.optim.vector import VectorOptimizer, dot, joined, parts, write
from steep.tree import Tree


class NewtonCG(VectorOptimizer):
    """Newton-CG: one Newton step per call, its direction by conjugate gradients, its length by backtracking.

    Second order: it works inside ``optim.minimize`` and ``maximize``, which give it products with the Hessian.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        lr: length of the first step tried, a number or a schedule; 1 is Newton's.
        maximize: whether to ascend.
        gtol: tolerance of the gradient's largest element, which ends a run.
        forcing: the equation is solved until its residual is this times the gradient, or smaller still where the
            gradient itself is below its square; a small value gives Newton's own steps.
        products: most Hessian-vector products per step; 20 times the number of parameters if None.

    Raises:
        TypeError: for parameters of several dtypes, or outside the one loop.
        ValueError: for a negative tolerance or forcing term.

    References:
        Nocedal and Wright 2006, *Numerical Optimization*, 2nd edition, algorithm 7.1; Pearlmutter 1994, "Fast exact
        multiplication by the Hessian", doi:10.1162/neco.1994.6.1.147.

    Example:
        >>> x = sp.zeros(2, dtype="float64")
        >>> newton = sp.optim.NewtonCG(x, gtol=1e-9)
        >>> run = sp.optim.minimize(lambda v: (v[0] - 1) ** 2 + 10 * (v[1] - v[0]) ** 2, x, newton, steps=20)
        >>> run.status, [round(v, 9) for v in x.tolist()]
        ('converged', [1.0, 1.0])
    """

    order = 2

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1.0,
        maximize: bool = False,
        gtol: float = 0.0,
        forcing: float = 0.5,
        products: int | None = None,
    ) -> None:
        super().__init__(params, lr, maximize=maximize)
        self.gtol, self.forcing = non_negative("gtol", gtol), non_negative("forcing", forcing)
        self.products = 20 * sum(param.size for param in self.params) if products is None else products

    def advance(
        self,
        evaluate: Evaluate,
        update: Callable[[Gradients], None] | None = None,
        product: Product | None = None,
    ) -> Any:
        """One step from what ``evaluate`` returns.

        Args:
            evaluate: returns the loss and a gradient (or None) for each parameter.
            update: not used.
            product: the Hessian at the parameters times a list of tensors like them.

        Returns:
            The loss before the step.
        """
        if product is None:
            raise TypeError("NewtonCG needs products with the Hessian: use it with optim.minimize or optim.maximize")
        loss, gradients = evaluate()
        self.converged = ""
        if math.isfinite(float(loss)):
            with _core.no_grad():
                self._search_from(evaluate, product, float(loss), self._signed(gradients))
            self.steps += 1
        return loss

    def _search_from(self, evaluate: Evaluate, product: Product, loss: float, gradient: Tensor) -> None:
        largest = float(_core.max(_core.abs(gradient)))
        if largest <= self.gtol:
            self.converged = f"no element of the gradient is larger than {largest:.3g}, within gtol {self.gtol:g}"
            return
        sign = -1 if self.maximize else 1

        def curved(vector: Tensor) -> Tensor:
            return sign * joined(product(parts(vector, self.params)))

        start, direction = joined(self.params), self._direction(gradient, curved)

        def phi(length: float) -> Point:
            write(self.params, start + direction * length)
            value, there = evaluate()
            return Point(length, sign * float(value), dot(self._signed(there), direction), None)

        best = backtracking(phi, Point(0.0, sign * loss, dot(gradient, direction), None), self.rate())
        write(self.params, start + direction * best.length)
        if not best.length:
            self.converged = "the value cannot be lowered any more"

    def _direction(self, gradient: Tensor, curved: Callable[[Tensor], Tensor]) -> Tensor:
        """A descent direction near -H^-1 g: conjugate gradients until the residual is small beside the gradient."""
        size = math.sqrt(dot(gradient, gradient))
        enough = min(self.forcing, math.sqrt(size)) * size
        found, residual, direction = _core.zeros_like(gradient), gradient, -gradient
        for number in range(self.products):
            bent = curved(direction)
            curvature, square = dot(direction, bent), dot(residual, residual)
            if not curvature > 0:
                return found if number else -gradient
            length = square / curvature
            found, residual = found + direction * length, residual + bent * length
            if math.sqrt(dot(residual, residual)) <= enough:
                return found
            direction = direction * (dot(residual, residual) / square) - residual
        return found
