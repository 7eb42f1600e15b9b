"""L-BFGS in a box for many small problems at once: every row has its own history, direction and step length.

A projected quasi-Newton method (Bertsekas 1982, doi:10.1137/0320018): elements held at a bound are left out of the
direction, and the line search follows the projection of the line. The two loops are those of ``lbfgs.py``, row by row.
Start reading at ``advance``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.optim.line_search import ARMIJO
from steep.optim.norms import in_rows
from steep.optim.optimizer import Evaluate, Gradients, Optimizer, Product, Rate, copy_of, non_negative
from steep.tree import Tree

MOST = 12  # halvings of a step


class BoxLBFGS(Optimizer):
    """L-BFGS in a box for many small problems at once: one quasi-Newton step per call for each row of one parameter.

    A row is finished, and stays unchanged, once no element of its projected gradient is larger than ``gtol``, a step
    lowered its value by at most ``ftol`` times max(|value|, 1), or no decrease is found even along the gradient. Once
    all rows are finished, ``converged`` says so, which ends a run of ``minimize``.

    Args:
        params: a tree with one tensor (n, ...).
        values: a tensor (n,), which the minimised function fills with the value of each row; it returns their sum.
        low: lower bound of all elements.
        high: upper bound of all elements.
        lr: length of the first step tried, a number or a schedule.
        history: number of previous steps kept.
        gtol: tolerance of the projected gradient.
        ftol: tolerance of the relative decrease.

    Raises:
        ValueError: for more than one parameter, an empty box or negative tolerances.

    References:
        Bertsekas 1982, "Projected Newton methods for optimization problems with simple constraints",
        doi:10.1137/0320018; Nocedal and Wright 2006, *Numerical Optimization*, algorithm 7.4.

    Example:
        >>> x, values = sp.zeros((2, 1)), sp.zeros(2)
        >>> def total(v):
        ...     rows = ((v[:, 0] - sp.tensor([0.5, 3.0])) ** 2)
        ...     values[...] = rows.detach()
        ...     return rows.sum()
        >>> run = sp.optim.minimize(total, x, sp.optim.BoxLBFGS(x, values, 0.0, 1.0), steps=20)
        >>> x.tolist()
        [[0.5], [1.0]]
    """

    def __init__(
        self,
        params: Tree,
        values: Tensor,
        low: float = -math.inf,
        high: float = math.inf,
        lr: Rate = 1.0,
        history: int = 10,
        gtol: float = 0.0,
        ftol: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        self.gtol, self.ftol = non_negative("gtol", gtol), non_negative("ftol", ftol)
        if len(self.params) != 1 or not low <= high:
            raise ValueError(f"BoxLBFGS: needs one parameter, got {len(self.params)}, and a box, got {low} to {high}")
        self.values, self.low, self.high, self.history = values, low, high, history
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # steps, gradient differences, 1 / their product or 0
        self._done = _core.zeros(values.shape, dtype=_core.bool)

    def apply_gradients(self, pairs: Iterable[tuple[Any, Tensor]]) -> None:
        """Not supported, since the search has to evaluate the function.

        Args:
            pairs: ignored.

        Raises:
            TypeError: always.
        """
        raise TypeError("BoxLBFGS needs to evaluate the function several times: use it with optim.minimize")

    def advance(
        self,
        evaluate: Evaluate,
        update: Callable[[Gradients], None] | None = None,
        product: Product | None = None,
    ) -> Any:
        """One step of every row.

        Args:
            evaluate: returns the loss and the gradient.
            update: not used.
            product: not used.

        Returns:
            The loss before the step.
        """
        loss, gradients = evaluate()
        if math.isfinite(float(loss)):
            with _core.no_grad():
                self._search(evaluate, _filled(gradients, self.params[0]))
            self.steps += 1
        return loss

    def _search(self, evaluate: Evaluate, gradient: Tensor) -> None:
        x, g, value = (copy_of(v) for v in (in_rows(self.params[0], True), gradient, self.values))
        self._done = self._done | self._flat(x, g)
        direction = self._direction(x, g)
        length = self._first_lengths(g)
        best, best_g = x, g
        waiting = ~self._done & self._worthwhile(value, -_dot(g, direction)[:, 0])
        self._done = self._done | (~self._known()[:, 0] & ~waiting)  # no decrease even along the gradient
        searched, lowest = waiting, value
        for _ in range(MOST):
            if not bool(_core.any(waiting)):
                break
            there = _core.clip(x + direction * length, self.low, self.high)
            self._write(_core.where(waiting[:, None], there, best))
            found = _filled(evaluate()[1], self.params[0])
            falls = self.values <= value + ARMIJO * _dot(g, there - x)[:, 0]
            settled = (waiting & falls)[:, None]
            best, best_g = _core.where(settled, there, best), _core.where(settled, found, best_g)
            lowest = _core.where(settled[:, 0], self.values, lowest)
            waiting, length = waiting & ~falls, length / 2
        self._write(best)
        self._give_up(waiting)
        self._done = self._done | (searched & ~waiting & self._level(value, lowest))
        self._remember(best - x, best_g - g)
        all_done = bool(_core.all(self._done))
        self.converged = f"every row is within gtol {self.gtol:g} or ftol {self.ftol:g}" if all_done else ""

    def _flat(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Whether the gradient, projected onto the box, is within ``gtol``: bool (n,)."""
        move = _core.abs(_core.clip(x - gradient, self.low, self.high) - x)
        return _core.all(move <= self.gtol, axis=-1)

    def _level(self, before: Tensor, after: Tensor) -> Tensor:
        """Whether a decrease is within ``ftol``: bool (n,)."""
        size = _core.maximum(_core.maximum(_core.abs(before), _core.abs(after)), 1.0)
        return before - after <= self.ftol * size

    def _worthwhile(self, value: Tensor, fall: Tensor) -> Tensor:
        """Whether the predicted decrease is larger than the rounding error of the value: bool (n,)."""
        rounding = float(np.finfo(np.asarray(value).dtype).eps)
        return fall > rounding * _core.maximum(_core.abs(value), 1e-3)

    def _known(self) -> Tensor:
        """Whether some curvature of each row is known: bool (n, 1)."""
        known = _core.zeros((len(self.values), 1), dtype=_core.bool)
        for _, _, rho in self._pairs:
            known = known | (rho > 0)
        return known

    def _first_lengths(self, g: Tensor) -> Tensor:
        """The learning rate, reduced while no curvature is known: (n, 1)."""
        size = _core.sum(_core.abs(g), axis=-1, keepdims=True)
        whole = _core.full_like(size, self.rate())
        return _core.where(self._known(), whole, whole / _core.maximum(size, 1.0))

    def _direction(self, x: Tensor, g: Tensor) -> Tensor:
        """A descent direction for every row, zero for elements held at a bound."""
        held = ((x <= self.low) & (g > 0)) | ((x >= self.high) & (g < 0))
        free = _core.where(held, _core.zeros_like(g), g)
        guess = _core.where(held, _core.zeros_like(g), -self._times_inverse_hessian(free))
        return _core.where(_dot(guess, free) < 0, guess, -free)

    def _times_inverse_hessian(self, q: Tensor) -> Tensor:
        weights = []
        for s, y, rho in reversed(self._pairs):
            weights.append(rho * _dot(s, q))
            q = q - y * weights[-1]
        if self._pairs:
            _, y, rho = self._pairs[-1]
            q = q * _core.where(rho > 0, 1 / _core.where(rho > 0, rho * _dot(y, y), 1.0), 1.0)
        for (s, y, rho), weight in zip(self._pairs, reversed(weights), strict=True):
            q = q + s * (weight - rho * _dot(y, q))
        return q

    def _give_up(self, failed: Tensor) -> None:
        """Rows without a decrease discard their curvature pairs; those that had none are finished."""
        self._done = self._done | (failed & ~self._known()[:, 0])
        self._pairs = [(s, y, _core.where(failed[:, None], _core.zeros_like(rho), rho)) for s, y, rho in self._pairs]

    def _remember(self, s: Tensor, y: Tensor) -> None:
        """Keeps the pairs of positive curvature; other rows get a pair without effect."""
        product = _dot(s, y)
        good = product > 1e-10 * _dot(y, y)
        rho = _core.where(good, 1 / _core.where(good, product, 1.0), 0.0)
        self._pairs = [*self._pairs, (s, y, rho.astype(s.dtype))][-self.history :]

    def state_dict(self) -> dict[str, Any]:
        """The previous steps, gradient differences and products, and which rows are finished; copied.

        Returns:
            A dict of tensors.
        """
        pairs = [{"step": copy_of(s), "change": copy_of(y), "inverse": copy_of(rho)} for s, y, rho in self._pairs]
        return {**super().state_dict(), "pairs": pairs, "done": copy_of(self._done)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        super().load_state_dict(state)
        pairs = state["pairs"]
        self._pairs = [(copy_of(p["step"]), copy_of(p["change"]), copy_of(p["inverse"])) for p in pairs]
        self._done = copy_of(state["done"])

    def _write(self, rows: Tensor) -> None:
        self.params[0][...] = _core.reshape(rows, self.params[0].shape)


def _filled(gradients: Gradients, param: Tensor) -> Tensor:
    grad = gradients[0]
    return in_rows(_core.zeros_like(param.detach()) if grad is None else grad.detach(), True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The product of each row: (n, 1)."""
    return _core.sum(a * b, axis=-1, keepdims=True)
