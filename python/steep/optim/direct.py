"""Direct search: optimisers that look at values alone, so that the function may be any, also one without a gradient.

``DirectSearch`` is what they share: the best point so far is in the parameters, and a value is computed once for each
point. ``RandomSearch`` and ``NelderMead`` are here, CMA-ES in ``cmaes.py``. A value that is not finite counts as the
worst. They depend on the order of values alone, so a monotone function of the values gives the same points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep.optim.optimizer import Evaluate, Gradients, Product, non_negative
from steep.optim.vector import VectorOptimizer, joined, write
from steep.random import Generator
from steep.tree import Tree

Vector: TypeAlias = NDArray[Any]
Value: TypeAlias = Callable[[Vector], float]


class DirectSearch(VectorOptimizer):
    """Base of optimisers of order 0, which evaluate the function and need no gradient.

    A subclass defines ``begin``, which starts at a point whose value is known, and ``search``, one step. They move
    ``self.best``, the best point so far, and ``self.value``, its value.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        scale: the distance of the first points tried, positive.
        xtol: a run ends once the search is as small as this.
        maximize: whether to ascend.

    Raises:
        ValueError: for a scale that is not positive and finite, or a negative tolerance.
        TypeError: for parameters of several dtypes.
    """

    order = 0
    kept: tuple[str, ...] = ()  # the arrays from which a search continues
    generator: Generator

    def __init__(self, params: Tree, scale: float, xtol: float, maximize: bool) -> None:
        super().__init__(params, maximize=maximize)
        if not 0 < scale < math.inf:
            raise ValueError(f"{type(self).__name__}: the scale must be positive and finite, got {scale}")
        self.scale, self.xtol = scale, non_negative("xtol", xtol)
        self.best: Vector = np.zeros(0)
        self.value = math.inf

    def begin(self) -> None:
        """Starts the search at ``self.best``; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} defines no begin")

    def search(self, value: Value) -> float:
        """One step; to be overridden.

        Args:
            value: the value at a point, infinity if it is not finite.

        Returns:
            The size of the search: of the simplex, or of the distribution that points are drawn from.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no search")

    def advance(
        self,
        evaluate: Evaluate,
        update: Callable[[Gradients], None] | None = None,
        product: Product | None = None,
    ) -> Any:
        """One step from what ``evaluate`` returns. Where the parameters were changed since, the search starts again.

        Args:
            evaluate: returns the loss; gradients are ignored.
            update: not used.
            product: not used.

        Returns:
            The loss before the step, that of the parameters.
        """
        sign = -1 if self.maximize else 1
        if not np.array_equal(self._point(), self.best):
            loss = float(evaluate()[0])
            if not math.isfinite(loss):
                return loss
            self.best, self.value = self._point(), sign * loss
            self.begin()
        before = sign * self.value

        def value(point: Vector) -> float:
            write(self.params, _core.asarray(point))
            found = sign * float(evaluate()[0])
            return found if math.isfinite(found) else math.inf

        size = self.search(value)
        write(self.params, _core.asarray(self.best))
        self.steps += 1
        self.converged = f"the search has the size {size:.3g}, within xtol {self.xtol:g}" if size <= self.xtol else ""
        return before

    def _point(self) -> Vector:
        return np.array(joined(self.params))

    def state_dict(self) -> dict[str, Any]:
        """The best point with its value, and the state of the search, copied.

        Returns:
            A dict of tensors and plain values.
        """
        held = {name: _core.tensor(np.asarray(getattr(self, name))) for name in self.kept}
        return {**super().state_dict(), "best": _core.tensor(self.best), "value": self.value, "search": held,
                "generator": self.generator.state() if hasattr(self, "generator") else {}}  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        super().load_state_dict(state)
        self.best, self.value = np.array(state["best"]), float(state["value"])
        for name, held in state["search"].items():
            setattr(self, name, np.array(held))
        if state["generator"]:
            self.generator.set_state(dict(state["generator"]))


class RandomSearch(DirectSearch):
    """Random search with a step that adapts: one random point per step, kept if it is better.

    The point is the best one plus ``scale`` times a standard normal vector. A success makes the scale 1.5 times as
    large, and four failures undo that, so about a fifth of the points are successes.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        scale: the first scale.
        generator: the generator of the points, or its seed.
        maximize: whether to ascend.
        xtol: a run ends once the scale is as small as this.

    Raises:
        ValueError: for a scale that is not positive and finite, or a negative tolerance.

    References:
        Matyas 1965, "Random optimization", Automation and Remote Control 26; Schumer and Steiglitz 1968, "Adaptive step
        size random search", doi:10.1109/TAC.1968.1098903; the factors of the 1/5 rule are those of Kern et al. 2004,
        doi:10.1023/B:NACO.0000023416.59689.4e.

    Example:
        >>> x = sp.ones(2, dtype="float64")
        >>> run = sp.optim.minimize(lambda v: (v**2).sum(), x, sp.optim.RandomSearch(x, generator=0), steps=300)
        >>> run.evaluations, bool((x**2).sum() < 1e-8)
        (301, True)
    """

    kept = ("spread",)

    def __init__(
        self,
        params: Tree,
        scale: float = 1.0,
        generator: Generator | int = 0,
        maximize: bool = False,
        xtol: float = 0.0,
    ) -> None:
        super().__init__(params, scale, xtol, maximize)
        self.generator = generator if isinstance(generator, Generator) else Generator(generator)
        self.spread: Any = scale

    def begin(self) -> None:
        """Starts with the first scale."""
        self.spread = self.scale

    def search(self, value: Value) -> float:
        """One random point.

        Args:
            value: the value at a point.

        Returns:
            The scale.
        """
        draw = np.asarray(self.generator.normal(self.best.shape, dtype=_core.float64))
        point = (self.best + float(self.spread) * draw).astype(self.best.dtype)
        there = value(point)
        better = there < self.value
        if better:
            self.best, self.value = point, there
        self.spread = float(self.spread) * (1.5 if better else 1.5**-0.25)
        return float(self.spread)


class NelderMead(DirectSearch):
    """The simplex method of Nelder and Mead: one reflection, expansion, contraction or shrinkage per step.

    The first simplex has the start and a point at the distance ``scale`` along each axis. With ``adaptive``, the
    coefficients depend on the number of parameters (Gao and Han), which helps from about five on.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        scale: the size of the first simplex.
        adaptive: whether the coefficients depend on the number of parameters.
        maximize: whether to ascend.
        xtol: a run ends once the simplex is as small as this.

    Raises:
        ValueError: for a scale that is not positive and finite, or a negative tolerance.

    References:
        Nelder and Mead 1965, "A simplex method for function minimization", doi:10.1093/comjnl/7.4.308, in the form of
        Lagarias et al. 1998, doi:10.1137/S1052623496303470; Gao and Han 2012, doi:10.1007/s10589-010-9329-3.

    Example:
        >>> x = sp.ones(2, dtype="float64")
        >>> run = sp.optim.minimize(lambda v: (v**2).sum(), x, sp.optim.NelderMead(x, xtol=1e-5), steps=300)
        >>> run.status, bool((x**2).sum() < 1e-9)
        ('converged', True)
    """

    kept = ("points", "values")

    def __init__(
        self,
        params: Tree,
        scale: float = 1.0,
        adaptive: bool = False,
        maximize: bool = False,
        xtol: float = 0.0,
    ) -> None:
        super().__init__(params, scale, xtol, maximize)
        self.adaptive = adaptive
        self.points, self.values = np.zeros((0, 0)), np.zeros(0)

    def begin(self) -> None:
        """The first simplex, whose other values are computed in the first step."""
        corners = self.best + self.scale * np.eye(len(self.best))
        self.points = np.concatenate([self.best[None], corners]).astype(self.best.dtype)
        self.values = np.array([self.value])

    def search(self, value: Value) -> float:
        """One change of the simplex.

        Args:
            value: the value at a point.

        Returns:
            The largest distance from the best point along an axis.
        """
        if len(self.values) < len(self.points):
            self.values = np.array([self.value, *(value(point) for point in self.points[1:])])
        else:
            self._change(value)
        order = np.argsort(self.values, kind="stable")
        self.points, self.values = self.points[order], self.values[order]
        self.best, self.value = self.points[0].copy(), float(self.values[0])
        return float(np.abs(self.points[1:] - self.best).max())

    def _change(self, value: Value) -> None:
        """The step of Lagarias et al.; points are in the order of their values."""
        expand, contract, shrink = self._coefficients()
        middle, worst = self.points[:-1].mean(axis=0), self.points[-1]

        def along(length: float) -> tuple[float, Vector]:
            point = (middle + length * (worst - middle)).astype(worst.dtype)
            return value(point), point

        found, point = along(-1.0)
        if found < self.values[0]:
            further = along(-expand)
            found, point = further if further[0] < found else (found, point)
        elif found >= self.values[-2]:
            outside = found < self.values[-1]
            closer = along(-contract if outside else contract)
            if not (closer[0] <= found if outside else closer[0] < self.values[-1]):
                return self._shrink(value, shrink)
            found, point = closer
        self.points[-1], self.values[-1] = point, found

    def _shrink(self, value: Value, factor: float) -> None:
        self.points[1:] = self.points[0] + factor * (self.points[1:] - self.points[0])
        self.values[1:] = [value(point) for point in self.points[1:]]

    def _coefficients(self) -> tuple[float, float, float]:
        """Of expansion, contraction and shrinkage."""
        n = len(self.best)
        return (1 + 2 / n, 0.75 - 0.5 / n, 1 - 1 / n) if self.adaptive and n > 1 else (2.0, 0.5, 0.5)
