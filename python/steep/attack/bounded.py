"""Attacks under a bound on the change: projected gradient descent (PGD) and its one-step form, FGSM.

The loss that is raised is the cross-entropy of the true class (or lowered, that of a target), by steps of a fixed
length along the steepest direction of the norm; after each step the input goes back into the ball and the box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, optim
from steep._core import Tensor
from steep.nn import cross_entropy
from steep.optim.loop import Progress
from steep.optim.projections import ball, box, compose, row_norms
from steep.optim.steepest import Steepest
from steep.random import Generator
from steep.scores import Classifier, predicted

Box = tuple[float, float]


@dataclass(frozen=True)
class Attack:
    """``x`` (n, ...): the attacked inputs. ``success`` (n,): whether predicting again gives what was wanted.

    ``label`` (n,) is what the model now predicts, ``distance`` (n,) the norm of each change, ``history`` the mean loss
    before each step.
    """

    x: Tensor
    success: NDArray[np.bool_]
    label: NDArray[np.int64]
    distance: NDArray[np.float64]
    history: list[float]


def pgd(
    model: Classifier,
    x: Any,
    y: Any,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 40,
    step_size: float | None = None,
    targeted: bool = False,
    bounds: Box = (0.0, 1.0),
    generator: Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Attack:
    """Change each row of ``x`` (n, ...) by at most ``eps`` in ``norm`` so that it is no longer predicted as ``y`` (n,).

    ``targeted`` instead wants it predicted as ``y``. ``norm`` is "linf" or "l2"; a step has the length ``step_size``,
    by default 2.5 eps / steps. Values stay inside ``bounds``. With a ``generator`` the start is a random point of the
    ball's box. Raises ValueError for another norm, a negative eps or shapes that do not fit. Sources: Madry et al.
    2018, arXiv:1706.06083; notes table, rows 83 and 84.
    """
    clean, labels = _core.asarray(x), _core.asarray(y)
    project = compose(ball(clean, eps, norm, batched=True), box(*bounds))
    moved = _start(clean, eps, project, generator)
    climb = optim.minimize if targeted else optim.maximize
    make = partial(Steepest, lr=2.5 * eps / max(1, steps) if step_size is None else step_size, norm=norm, batched=True)
    result = climb(lambda v: cross_entropy(model(v), labels, axis=-1), moved, make, steps, project, callback)
    return _judged(model, clean, moved, labels, norm, targeted, result.history)


def fgsm(model: Classifier, x: Any, y: Any, eps: float, *, targeted: bool = False, bounds: Box = (0.0, 1.0)) -> Attack:
    """One sign step of length ``eps``: ``pgd`` with one step in "linf". Source: Goodfellow et al. 2015."""
    return pgd(model, x, y, eps, steps=1, step_size=eps, targeted=targeted, bounds=bounds)


def _start(clean: Tensor, eps: float, project: Callable[[Any], Any], generator: Generator | None) -> Tensor:
    if generator is None:
        return _core.tensor(clean)
    noise = generator.uniform(-eps, eps, clean.shape, dtype=clean.dtype)
    return _core.tensor(project(clean + noise))


def _judged(
    model: Classifier, clean: Tensor, moved: Tensor, wanted: Tensor, norm: str, targeted: bool, history: list[float]
) -> Attack:
    label = predicted(model, moved)
    hit = label == np.asarray(wanted)
    return Attack(moved, hit if targeted else ~hit, label, _distance(moved, clean, norm), history)


def _distance(moved: Tensor, clean: Tensor, norm: str) -> NDArray[np.float64]:
    change = _core.astype(moved, _core.float64) - _core.astype(clean, _core.float64)
    if norm == "linf":
        return np.asarray(_core.max(_core.abs(change), axis=tuple(range(1, change.ndim))))
    return np.asarray(row_norms(change, batched=True)).reshape(-1)
