"""L-BFGS: a quasi-Newton direction from the last few steps, and a line search along it.

All parameters are treated as one vector. A step evaluates the loss several times, so ``step`` takes a closure. Source:
Nocedal and Wright 2006, *Numerical Optimization*, 2nd edition, algorithms 7.4 (two loops) and 7.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.optim.line_search import Phi, Point, backtracking, strong_wolfe
from steep.optim.optimizer import Evaluate, Gradients, Product, Rate, copy_of, non_negative
from steep.optim.vector import VectorOptimizer, dot, joined, write
from steep.tree import Tree

SEARCHES: dict[str, Callable[[Phi, Point, float], Point]] = {
    "strong_wolfe": strong_wolfe,
    "backtracking": backtracking,
}


class LBFGS(VectorOptimizer):
    """L-BFGS: one quasi-Newton step per call, with a line search.

    The closure must compute the same function each time it is called within a step. ``converged`` tells why there is
    nothing left to do, which ends a run of ``minimize``: no element of the gradient is larger than ``gtol``, or a step
    lowered the value by at most ``ftol`` times max(|value|, 1), as in SciPy's L-BFGS-B, whose defaults are 1e-5 and
    2.2e-9. With 0 a run continues as long as rounding allows a decrease.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        lr: length of the first step tried, a number or a schedule.
        history: number of previous steps kept.
        line_search: "strong_wolfe" or "backtracking".
        maximize: whether to ascend.
        gtol: tolerance of the gradient.
        ftol: tolerance of the relative decrease.

    Raises:
        ValueError: for an unknown line search, parameters of several dtypes, or negative tolerances.

    References:
        Nocedal and Wright 2006, *Numerical Optimization*, 2nd edition, algorithms 7.4 and 7.5.

    Example:
        >>> x = sp.zeros(2, dtype="float64")
        >>> run = sp.optim.minimize(lambda v: ((v - 3.0) ** 2).sum(), x, sp.optim.LBFGS(x, gtol=1e-8), steps=20)
        >>> run.status, x.tolist()
        ('converged', [3.0, 3.0])
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1.0,
        history: int = 10,
        line_search: str = "strong_wolfe",
        maximize: bool = False,
        gtol: float = 0.0,
        ftol: float = 0.0,
    ) -> None:
        if line_search not in SEARCHES:
            raise ValueError(f"line_search must be one of {list(SEARCHES)}, got {line_search!r}")
        super().__init__(params, lr, maximize=maximize)
        self.gtol, self.ftol = non_negative("gtol", gtol), non_negative("ftol", ftol)
        self.search, self.history = SEARCHES[line_search], history
        self._pairs: list[tuple[Tensor, Tensor]] = []

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
            product: not used.

        Returns:
            The loss before the step.
        """
        loss, gradients = evaluate()
        self.converged = ""
        if loss is None:
            raise TypeError("LBFGS: the closure must return the loss")
        if math.isfinite(float(loss)):
            self._search_from(evaluate, float(loss), self._signed(gradients))
            self.steps += 1
        return loss

    def _search_from(self, evaluate: Evaluate, loss: float, gradient: Tensor) -> None:
        largest = float(_core.max(_core.abs(gradient)))
        if largest <= self.gtol:
            self.converged = f"no element of the gradient is larger than {largest:.3g}, within gtol {self.gtol:g}"
            return
        start, direction = joined(self.params), self._direction(gradient)
        sign, knew = -1 if self.maximize else 1, bool(self._pairs)

        def phi(length: float) -> Point:
            write(self.params, start + direction * length)
            value, gradients = evaluate()
            there = self._signed(gradients)
            return Point(length, sign * float(value), dot(there, direction), there)

        origin = Point(0.0, sign * loss, dot(gradient, direction), gradient)
        if origin.slope < 0:
            best = self.search(phi, origin, self._first_length(gradient))
            write(self.params, start + direction * best.length)
            self._remember(direction * best.length, best.payload - gradient)
            self.converged = _settled(origin, best, self.ftol, knew)

    def _first_length(self, gradient: Tensor) -> float:
        """The learning rate, reduced while no curvature is known."""
        size = float(_core.sum(_core.abs(gradient)))
        return self.rate() if self._pairs else self.rate() * min(1.0, 1.0 / size)

    def _direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian estimate times ``gradient``, by the two loops."""
        q, weights = gradient, []
        for s, y in reversed(self._pairs):
            weights.append(dot(s, q) / dot(s, y))
            q = q - y * weights[-1]
        if self._pairs:
            s, y = self._pairs[-1]
            q = q * (dot(s, y) / dot(y, y))
        for (s, y), weight in zip(self._pairs, reversed(weights), strict=True):
            q = q + s * (weight - dot(y, q) / dot(s, y))
        return -q

    def _remember(self, s: Tensor, y: Tensor) -> None:
        """Keeps a pair of positive curvature; after a step without progress, all pairs are discarded."""
        if dot(s, y) > 1e-10 * dot(y, y):
            self._pairs = [*self._pairs, (s, y)][-self.history :]
        elif not float(_core.sum(_core.abs(s))):
            self._pairs = []

    def state_dict(self) -> dict[str, Any]:
        """The previous steps and gradient differences, copied.

        Returns:
            A dict of tensors and plain values.
        """
        pairs = [{"step": copy_of(s), "change": copy_of(y)} for s, y in self._pairs]
        return {**super().state_dict(), "pairs": pairs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        super().load_state_dict(state)
        self._pairs = [(copy_of(pair["step"]), copy_of(pair["change"])) for pair in state["pairs"]]


def _settled(origin: Point, best: Point, ftol: float, knew: bool) -> str:
    """The reason why a step was the last; one without progress is retried without curvature pairs."""
    if not best.length:
        return "" if knew else "the value cannot be lowered any more"
    fall = origin.value - best.value
    if fall > ftol * max(abs(origin.value), abs(best.value), 1.0):
        return ""
    return f"the value fell by {fall:.3g}, within ftol {ftol:g}"
