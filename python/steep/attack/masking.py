"""Is a model robust, or are its gradients of no use? The symptoms that Athalye et al. list, measured.

A defence may only hide the way down: attacks that follow its gradient then fail although small changes exist.
``masking`` measures each symptom (``SYMPTOMS``) and says which hold. Source: Athalye, Carlini and Wagner 2018,
"Obfuscated gradients give a false sense of security", arXiv:1802.00420, section 3.
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
from steep.attack.bounded import pgd
from steep.attack.problem import Attack, Box, Problem, checked_eps, validated
from steep.custom import custom_vjp
from steep.looking import looked
from steep.nn import cross_entropy
from steep.optim.norms import find_norm, in_rows
from steep.random import Generator
from steep.scores import Classifier, predicted

SHARES = (0.25, 0.5, 1.0, 2.0)  # of eps, at which the loss is looked at


@dataclass(frozen=True)
class Evidence:
    """Shares of rows that each attack of radius eps fooled; those without any gradient; mean losses at growing radii.

    ``unbounded`` is the share fooled with the whole box allowed, ``losses`` those at .25, .5, 1 and 2 times eps.
    """

    one_step: float
    iterative: float
    random: float
    black_box: float
    unbounded: float
    losses: tuple[float, ...]
    zero_gradients: float


@dataclass(frozen=True)
class Masking:
    """``masked``: whether any symptom holds. ``symptoms``: those that do, in words. ``evidence``: what was measured.

    ``rows`` is how many inputs were read rightly, and so attacked.
    """

    masked: bool
    symptoms: list[str]
    evidence: Evidence
    rows: int


SLACK = 0.05  # a share of rows, or of a loss: less may be chance
SYMPTOMS: dict[str, Callable[[Evidence], bool]] = {
    "one step fools more than many": lambda e: e.one_step > e.iterative + SLACK,
    "random changes fool more than the gradient": lambda e: e.random > e.iterative + SLACK,
    "an attack without gradients fools more than one with them": lambda e: e.black_box > e.iterative + SLACK,
    "a change without bound does not always fool": lambda e: e.unbounded < 1 - SLACK,
    "the loss does not rise with the radius": lambda e: any(
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
    """Measure the symptoms of masked gradients on the rows of ``x`` (n, ...) that the model reads as ``y`` (n,).

    One step and ``steps`` steps of PGD at ``eps``; ``tries`` random points of the ball; PGD whose gradient is estimated
    from scores alone, by ``samples`` pairs of points at ``delta`` times the box's width (SPSA); PGD with the whole box
    allowed; the loss at growing radii. Raises as ``validated``, and ValueError if no row is read rightly.
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
    """``model`` with a gradient estimated from its scores, for models that have none, or none that helps.

    The mean over ``samples`` random sign patterns u of (scores(x + delta u) - scores(x - delta u)) / (2 delta) times u.
    Sources: Spall 1992 (SPSA); Uesato et al. 2018, arXiv:1802.05666.
    """
    model = looked(model)
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
        raise ValueError("masking: the model reads none of these inputs as labelled, so there is nothing to attack")
    return problem.subset(right)


def _attacked(
    problem: Problem,
    capture: bool,
    many: int,
    eps: float,
    steps: int | None = None,
    model: Classifier | None = None,
) -> Attack:
    """PGD on ``model``, judged by the problem's own."""
    given = problem.model if model is None else model
    count = many if steps is None else steps
    size = eps if count == 1 else None
    options: dict[str, Any] = {"norm": problem.norm, "bounds": problem.bounds, "capture": capture}
    return pgd(given, problem.clean, problem.labels, eps, steps=count, step_size=size, **options)


def _success_rate(attack: Attack) -> float:
    return float(attack.success.mean())


def _random(problem: Problem, eps: float, tries: int, generator: Generator) -> float:
    """The share of rows that one of ``tries`` random points of the ball fools."""
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
