"""Is a model robust, or are its gradients masked? The symptoms listed by Athalye et al., measured.

A defence may only hide the gradient: attacks that follow it then fail although small changes exist. ``masking``
measures each symptom (``SYMPTOMS``). Source: Athalye et al. 2018, "Obfuscated gradients give a false sense of
security", arXiv:1802.00420, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, transforms
from steep._core import Tensor
from steep.attack.pgd import pgd
from steep.attack.problem import Attack, Box, Problem, checked_eps, validated
from steep.custom import custom_vjp
from steep.display import displayed
from steep.evaluation import evaluated
from steep.nn import cross_entropy
from steep.optim.norms import find_norm, in_rows
from steep.random import Generator
from steep.scores import Classifier, predicted

SHARES = (0.25, 0.5, 1.0, 2.0)  # of eps, at which the loss is evaluated


@displayed
@dataclass(frozen=True)
class Evidence:
    """What ``masking`` measured.

    Attributes:
        one_step: success rate of one step of length eps.
        iterative: success rate of PGD at eps.
        random: success rate of random points of the ball.
        black_box: success rate of PGD with gradients estimated from scores.
        unbounded: success rate of PGD with the whole box allowed.
        losses: mean losses after PGD at .25, .5, 1 and 2 times eps.
        zero_gradients: share of rows whose gradient is exactly zero.
    """

    one_step: float
    iterative: float
    random: float
    black_box: float
    unbounded: float
    losses: tuple[float, ...]
    zero_gradients: float


@displayed
@dataclass(frozen=True)
class Masking:
    """Result of ``masking``.

    Attributes:
        masked: whether any symptom was found.
        symptoms: those found, as text.
        evidence: what was measured.
        rows: number of correctly classified inputs, which were attacked.
    """

    masked: bool
    symptoms: list[str]
    evidence: Evidence
    rows: int


SLACK = 0.05  # of rows, or of a loss: smaller differences may be chance
SYMPTOMS: dict[str, Callable[[Evidence], bool]] = {
    "one step succeeds more often than many": lambda e: e.one_step > e.iterative + SLACK,
    "random changes succeed more often than the gradient": lambda e: e.random > e.iterative + SLACK,
    "an attack without gradients succeeds more often than one with them": lambda e: e.black_box > e.iterative + SLACK,
    "an unbounded change does not always succeed": lambda e: e.unbounded < 1 - SLACK,
    "the loss does not increase with the radius": lambda e: any(
        after < before * (1 - SLACK) for before, after in zip(e.losses, e.losses[1:], strict=False)
    ),
    "gradients are exactly zero": lambda e: e.zero_gradients > SLACK,
}


def masking(
    model: Classifier,
    x: Any,
    y: Any,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 20,
    tries: int = 50,
    samples: int = 32,
    delta: float = 0.1,
    bounds: Box = (0.0, 1.0),
    generator: Generator | None = None,
    capture: bool = True,
) -> Masking:
    """Tests for masked gradients on the correctly classified rows.

    Measured are one and ``steps`` steps of PGD, random points of the ball, PGD with gradients estimated from scores
    (SPSA), PGD with the whole box allowed, and the loss at growing radii.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        x: inputs (n, ...), float32 or float64, inside ``bounds``.
        y: integer labels (n,).
        eps: radius of the ball.
        norm: "linf", "l2" or "l1".
        steps: number of steps of PGD.
        tries: number of random points of the ball.
        samples: number of pairs of points per estimated gradient.
        delta: distance of these points, relative to the width of the box.
        bounds: lowest and highest allowed value of inputs, two numbers.
        generator: source of the random numbers; ``Generator(0)`` if None.
        capture: whether to compile the steps; pass False for models with side effects in Python.

    Returns:
        A ``Masking``.

    Raises:
        ValueError: if no row is correctly classified; for others see ``attack.problem.validated``.

    References:
        Athalye et al. 2018, "Obfuscated gradients give a false sense of security", arXiv:1802.00420, section 3.

    Example:
        >>> model = lambda x: x @ sp.tensor([[1.0, -1.0], [-1.0, 1.0]])
        >>> report = sp.attack.masking(model, sp.tensor([[0.6, 0.4]]), [0], eps=0.2, steps=5, tries=5, samples=4)
        >>> report.rows
        1
    """
    problem = validated("masking", model, x, y, bounds, norm=norm)
    problem = _correctly_classified(problem)
    generator = generator or Generator(0)
    attack = partial(_attacked, problem, capture, steps)
    whole = float(_box_diameter(problem))
    blind = without_gradient(problem.model, samples, delta * (problem.bounds[1] - problem.bounds[0]), generator)
    evidence = Evidence(
        one_step=_success_rate(attack(checked_eps(eps), steps=1)),
        iterative=_success_rate(attack(eps)),
        random=_random(problem, eps, tries, generator),
        black_box=_success_rate(attack(eps, model=blind)),
        unbounded=_success_rate(attack(whole)),
        losses=tuple(_loss(problem, attack(share * eps).x) for share in SHARES),
        zero_gradients=_zero_gradients(problem),
    )
    symptoms = [words for words, holds in SYMPTOMS.items() if holds(evidence)]
    return Masking(bool(symptoms), symptoms, evidence, len(problem.clean))


def without_gradient(model: Classifier, samples: int, delta: float, generator: Generator) -> Classifier:
    """A model with gradients estimated from its scores (SPSA), for models whose own are missing or misleading.

    The estimate is the mean over random sign patterns u of (scores(x + delta u) - scores(x - delta u)) / (2 delta) u.

    Args:
        model: a classifier, a function from inputs to unnormalised scores (n, classes).
        samples: number of sign patterns per gradient.
        delta: distance of the points from x.
        generator: source of the sign patterns.

    Returns:
        A function with the same scores and estimated gradients.

    References:
        Spall 1992, doi:10.1109/9.119632; Uesato et al. 2018, arXiv:1802.05666.

    Example:
        >>> model = sp.attack.without_gradient(lambda x: x @ sp.eye(2), 8, 0.1, sp.random.Generator(0))
        >>> sp.grad(lambda x: model(x).sum())(sp.ones((1, 2))).shape
        (1, 2)
    """
    model = evaluated(model)
    hidden = custom_vjp(lambda x: model(x))

    def estimate(x: Tensor, g: Tensor) -> tuple[Tensor]:
        total = _core.zeros_like(x)
        for _ in range(samples):
            signs = _core.where(generator.bernoulli(0.5, x.shape), 1.0, -1.0).astype(x.dtype)
            rise = (model(x + signs * delta) - model(x - signs * delta)) * g
            derivative = _core.sum(rise, axis=-1) / (2 * delta * samples)
            total = total + signs * _core.reshape(derivative, (-1,) + (1,) * (x.ndim - 1))
        return (total,)

    hidden.defvjp(lambda x: (model(x.detach()), x.detach()), estimate)
    return hidden


def _correctly_classified(problem: Problem) -> Problem:
    right = np.flatnonzero(predicted(problem.model, problem.clean) == np.asarray(problem.labels))
    if not len(right):
        raise ValueError("masking: the model classifies none of these inputs correctly, so there is nothing to attack")
    return problem.subset(right)


def _attacked(
    problem: Problem,
    capture: bool,
    many: int,
    eps: float,
    steps: int | None = None,
    model: Classifier | None = None,
) -> Attack:
    """PGD on ``model``, evaluated on the problem's own model."""
    given = problem.model if model is None else model
    count = many if steps is None else steps
    size = eps if count == 1 else None
    options: dict[str, Any] = {"norm": problem.norm, "bounds": problem.bounds, "capture": capture}
    return pgd(given, problem.clean, problem.labels, eps, steps=count, step_size=size, **options)


def _success_rate(attack: Attack) -> float:
    return float(attack.success.mean())


def _random(problem: Problem, eps: float, tries: int, generator: Generator) -> float:
    """The share of rows fooled by one of ``tries`` random points of the ball."""
    project = problem.ball_projection(eps)
    fooled: NDArray[np.bool_] = np.zeros(len(problem.clean), np.bool_)
    for _ in range(tries):
        there = project(problem.clean + problem.random(generator) * eps)
        fooled |= predicted(problem.model, there) != np.asarray(problem.labels)
    return float(fooled.mean())


def _box_diameter(problem: Problem) -> Tensor:
    """The norm of the box's diagonal."""
    row = in_rows(problem.clean[:1], True)
    low, high = problem.bounds
    return find_norm("masking", problem.norm).length(_core.full_like(row, high - low))[0, 0]


def _loss(problem: Problem, x: Tensor) -> float:
    with _core.no_grad():
        return float(cross_entropy(problem.model(x), problem.labels))


def _zero_gradients(problem: Problem) -> float:
    """The share of rows whose loss has a gradient of exactly zero."""
    gradient = transforms.grad(lambda v: cross_entropy(problem.model(v), problem.labels, reduction="sum"))(
        problem.clean
    )
    return float(np.mean(~np.any(np.asarray(in_rows(gradient, True)), axis=1)))
