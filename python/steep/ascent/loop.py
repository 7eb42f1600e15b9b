"""Gradient ascent on an input: ``optim.maximize`` with parameterizations, transforms and penalties around it.

The start is copied; the result holds the image, the objective before each step and why the run ended. Steps are
compiled by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from steep import _core, optim, tree
from steep._core import Tensor
from steep.ascent.params import Parameterization, pixels
from steep.ascent.term import Scalar
from steep.display import displayed
from steep.evaluation import evaluated
from steep.modes import gradient_rule
from steep.optim.loop import Make, Progress, Result
from steep.optim.projections import Projection
from steep.tree import Tree


@displayed
@dataclass(frozen=True)
class Ascent:
    """Result of ``maximize``.

    Attributes:
        image: the optimised image.
        params: the optimised parameters, from which it was rendered.
        history: the objective before each step.
        status: why the run ended, as in ``optim.Result``.
        eager: why steps were not compiled, "" if they were.
        frames: intermediate images, if ``keep`` was given.
    """

    image: Tensor = field(repr=False)
    params: Tree = field(repr=False)
    history: list[float] = field(repr=False)
    status: str
    eager: str = ""
    frames: list[Tensor] = field(default_factory=list, repr=False)


def maximize(
    objective: Scalar,
    start: Any,
    steps: int,
    optimizer: Make = partial(optim.Adam, lr=0.05),
    penalty: Scalar | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    project: Projection | None = None,
    callback: Callable[[Progress], object] | None = None,
    *,
    normalize: str | None = None,
    warm_start: int = 0,
    keep: int = 0,
    capture: bool = True,
) -> Ascent:
    """Maximises ``objective(transform(image)) - penalty(image)`` over images, by gradient ascent from ``start``.

    The prior of a ``Parameterization`` is subtracted too. Models are evaluated in evaluation mode, whatever mode they
    are in.

    Args:
        objective: a function from images to a scalar tensor, such as ``logit(model, 3)``.
        start: a float32 or float64 array of any shape, or a ``Parameterization`` (``fft``, ``latent``, ...); it is
            copied.
        steps: number of steps.
        optimizer: makes an optimiser from the parameters, such as ``partial(optim.SGD, lr=1.0)``.
        penalty: a function from images to a scalar, which is subtracted.
        transform: a random or fixed map that is applied to the image before the objective.
        project: maps the parameters into a set after each step (``box``, ``ball``, a filter).
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the run.
        normalize: rescaling of gradients before the optimiser: "l2", "mean_abs", "std", "sign" or None.
        warm_start: number of first steps in which a ReLU that blocks the gradient of a whole image passes it on, so
            that a neuron whose activation is zero everywhere can be reached.
        keep: about how many intermediate images to store in ``frames``; 0 for none.
        capture: whether to compile the steps; see ``optim.minimize``.

    Returns:
        An ``Ascent``.

    Raises:
        ValueError: if the objective is not a scalar or does not depend on the input.

    References:
        Erhan et al. 2009, "Visualizing higher-layer features of a deep network", technical report 1341, Université de
        Montréal.

    Example:
        >>> found = sp.ascent.maximize(lambda x: -((x - 2.0) ** 2).sum(), sp.zeros(3), 200)
        >>> found.image.shape, found.history[-1] > found.history[0]
        ((3,), True)
    """
    begin = start if isinstance(start, Parameterization) else pixels(start)
    params = tree.map(_core.tensor, begin.params)
    render, prior, seen = begin.render, begin.prior, transform or _same

    @evaluated
    def value(params: Any) -> Tensor:
        picture = render(params)
        found = objective(seen(picture)) if penalty is None else objective(seen(picture)) - penalty(picture)
        return found if prior is None else found - prior(params)

    frames: list[Tensor] = []
    if keep:
        callback = _keeping(frames, render, -(-steps // keep), callback)
    moved = optimizer(params)
    climb = partial(optim.maximize, value, params, moved, project=project, normalize=normalize, capture=capture)
    result = _climbed(climb, steps, min(warm_start, steps), callback)
    return Ascent(_rendered(render, params), params, result.history, result.status, result.eager, frames)


def _rendered(render: Callable[[Any], Tensor], params: Tree) -> Tensor:
    """The current image (a tree of them for a tree of parameters), copied."""
    with _core.no_grad():
        picture: Tensor = tree.map(_core.tensor, render(params))
        return picture


def _keeping(
    frames: list[Tensor], render: Callable[[Any], Tensor], every: int, callback: Callable[[Progress], object] | None
) -> Callable[[Progress], object]:
    """A callback that stores the image every few steps, and calls the other one."""

    def kept(progress: Progress) -> object:
        if (progress.step + 1) % every == 0:
            frames.append(_rendered(render, progress.params))
        return callback(progress) if callback else None

    return kept


def _climbed(
    climb: Callable[..., Result], steps: int, warm: int, callback: Callable[[Progress], object] | None
) -> Result:
    if not warm:
        return climb(steps=steps, callback=callback)
    with gradient_rule("relu", _waking):
        first = climb(steps=warm, callback=callback)
    if first.status not in ("finished", "converged") or warm == steps:
        return first
    rest = climb(steps=steps - warm, callback=callback and _later(callback, warm))
    rest.history[:0] = first.history
    rest.eager = first.eager or rest.eager
    return rest


def _later(callback: Callable[[Progress], object], by: int) -> Callable[[Progress], object]:
    return lambda progress: callback(Progress(progress.step + by, progress.value, progress.params))


def _waking(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """A ReLU's gradient; for rows that it blocks altogether, one that increases inactive neurons (lucid's redirected
    ReLU).
    """
    passed = _core.where(inputs[0] > 0, g, _core.zeros_like(g))
    stopped = _core.all(passed == 0, axis=tuple(range(1, g.ndim)), keepdims=True)
    return _core.where(stopped, _core.relu(g), passed)


def _same(x: Tensor) -> Tensor:
    return x
