"""CMA-ES: a search that learns the covariance of its steps, and with it the shape of the function.

Each step draws points from a normal distribution, sorts them by value, and moves mean, step size and covariance towards
the better half. Source: Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, whose symbols and
default parameters (appendix A) are used. Start reading at ``search``.
"""

from __future__ import annotations

import math

import numpy as np

from steep import _core
from steep.optim.direct import DirectSearch, Value, Vector
from steep.random import Generator
from steep.tree import Tree


class CMAES(DirectSearch):
    """CMA-ES: one generation per step, of 4 + 3 ln(n) points for n parameters unless ``population`` says otherwise.

    The parameters hold the best point so far; the mean of the distribution is ``mean``.

    Args:
        params: a tree of tensors of one dtype, updated in place.
        scale: the first standard deviation.
        population: number of points per generation, at least 4.
        generator: the generator of the points, or its seed.
        maximize: whether to ascend.
        xtol: a run ends once the largest standard deviation is as small as this.

    Raises:
        ValueError: for a scale that is not positive and finite, a negative tolerance, or fewer than 4 points.

    References:
        Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv:1604.00772.

    Example:
        >>> x = sp.ones(2, dtype="float64")
        >>> run = sp.optim.minimize(lambda v: (v**2).sum(), x, sp.optim.CMAES(x, generator=0, xtol=1e-5), steps=200)
        >>> run.status, bool((x**2).sum() < 1e-8)
        ('converged', True)
    """

    kept = ("mean", "deviation", "covariance", "path", "path_of_deviation")

    def __init__(
        self,
        params: Tree,
        scale: float = 1.0,
        population: int | None = None,
        generator: Generator | int = 0,
        maximize: bool = False,
        xtol: float = 0.0,
    ) -> None:
        super().__init__(params, scale, xtol, maximize)
        n = sum(param.size for param in self.params)
        self.population = 4 + int(3 * math.log(n)) if population is None else population
        if self.population < 4:
            raise ValueError(f"CMAES: needs at least 4 points per generation, got {self.population}")
        self.generator = generator if isinstance(generator, Generator) else Generator(generator)
        self._set_rates(n)
        self.begin()

    def _set_rates(self, n: int) -> None:
        """The weights of the better half, and the default rates of learning."""
        better = np.arange(1, self.population // 2 + 1)
        weights = math.log((self.population + 1) / 2) - np.log(better)
        self.weights: Vector = weights / weights.sum()
        self.effective = mass = float(1 / (self.weights**2).sum())
        self.rate_of_deviation = (mass + 2) / (n + mass + 5)
        self.damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (n + 1)) - 1) + self.rate_of_deviation
        self.rate_of_path = (4 + mass / n) / (n + 4 + 2 * mass / n)
        self.rank_one = 2 / ((n + 1.3) ** 2 + mass)
        self.rank_mu = min(1 - self.rank_one, 2 * (0.25 + mass + 1 / mass - 2) / ((n + 2) ** 2 + mass))
        self.expected = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))  # of the norm of a normal vector

    def begin(self) -> None:
        """A round distribution about the best point."""
        n = sum(param.size for param in self.params)
        self.mean: Vector = self.best.astype(np.float64)
        self.deviation: Vector = np.array(self.scale, np.float64)
        self.covariance: Vector = np.eye(n)
        self.path: Vector = np.zeros(n)
        self.path_of_deviation: Vector = np.zeros(n)

    def search(self, value: Value) -> float:
        """One generation.

        Args:
            value: the value at a point.

        Returns:
            The largest standard deviation along an axis of the distribution.
        """
        squares, axes = np.linalg.eigh(self.covariance)
        lengths = np.sqrt(np.maximum(squares, 0))
        drawn = np.asarray(self.generator.normal((self.population, len(self.mean)), dtype=_core.float64))
        steps = (drawn * lengths) @ axes.T
        points = (self.mean + self.deviation * steps).astype(self.best.dtype)
        values = np.array([value(point) for point in points])
        order = np.argsort(values, kind="stable")
        if values[order[0]] < self.value:
            self.best, self.value = points[order[0]], float(values[order[0]])
        chosen = order[: len(self.weights)]
        self._learn(steps[chosen], self.weights @ drawn[chosen] @ axes.T)
        return float(self.deviation * lengths.max())

    def _learn(self, steps: Vector, whitened: Vector) -> None:
        """Moves the distribution towards the better steps; ``whitened`` is their mean with covariance 1."""
        n, moved = len(self.mean), self.weights @ steps
        self.mean = self.mean + self.deviation * moved
        keep = 1 - self.rate_of_deviation
        self.path_of_deviation = keep * self.path_of_deviation + whitened * math.sqrt(
            self.rate_of_deviation * (2 - self.rate_of_deviation) * self.effective
        )
        length = float(np.sqrt((self.path_of_deviation**2).sum()))
        usual = length / math.sqrt(1 - keep ** (2 * (self.steps + 1))) < (1.4 + 2 / (n + 1)) * self.expected
        push = math.sqrt(self.rate_of_path * (2 - self.rate_of_path) * self.effective) if usual else 0.0
        self.path = (1 - self.rate_of_path) * self.path + push * moved
        lost = 0.0 if usual else self.rank_one * self.rate_of_path * (2 - self.rate_of_path)
        self.covariance = (
            (1 - self.rank_one - self.rank_mu + lost) * self.covariance
            + self.rank_one * np.outer(self.path, self.path)
            + self.rank_mu * (steps.T * self.weights) @ steps
        )
        growth = self.rate_of_deviation / self.damping * (length / self.expected - 1)
        self.deviation = self.deviation * math.exp(min(1.0, growth))
