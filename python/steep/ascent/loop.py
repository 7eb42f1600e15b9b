"""Gradient ascent on an input: ``optim.maximize`` with what belongs to pictures around it.

The start is copied, so it is not lost; the result holds the picture, the value before each step and why the run ended.
Steps are captured unless asked otherwise.
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
from steep.looking import looked
from steep.modes import gradient_rule
from steep.optim.loop import Make, Progress, Result
from steep.optim.projections import Projection
from steep.tree import Tree


@dataclass(frozen=True)
class Ascent:
    """``image``: the optimised picture, ``params``: what was moved.

    ``history``: the value before each step, ``status`` as in ``optim.Result``, ``eager``: why the steps were not
    captured, "" if they were or were not to be, ``frames``: the pictures kept on the way.
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
    """The picture that makes ``objective(transform(picture)) - penalty(picture)`` large, from ``start`` in ``steps``.

    ``start`` is an array of float32 or float64 of any shape, or a ``Parameterization`` (``fft``, ``latent``, ...).
    ``optimizer`` makes an optimiser from the parameters, ``normalize`` rescales gradients before it ("l2", "mean_abs",
    "std", "sign"), ``project`` maps the parameters into a set after each step (``box``, ``ball``, a filter), and
    ``callback`` may stop the run. ``warm_start``: for so many of the steps, a ReLU that stops a picture's gradient
    altogether passes what would wake it, so a unit that nothing excites yet is reached at all. ``keep``: about how many
    pictures on the way to put into ``frames``. ``capture``: see ``optim.minimize``. Models are looked at in evaluation
    mode, whatever mode they are in. Raises ValueError if the objective gives no scalar or does not depend on the input.
    Sources: Erhan et al. 2009; notes table, rows 53, 58, 70.
    """
    begin = start if isinstance(start, Parameterization) else pixels(start)
    params = tree.map(_core.tensor, begin.params)
    render, seen = begin.render, transform or _same

    @looked
    def value(params: Any) -> Tensor:
        picture = render(params)
        return objective(seen(picture)) if penalty is None else objective(seen(picture)) - penalty(picture)

    frames: list[Tensor] = []
    if keep:
        callback = _keeping(frames, render, -(-steps // keep), callback)
    moved = optimizer(params)
    climb = partial(optim.maximize, value, params, moved, project=project, normalize=normalize, capture=capture)
    result = _climbed(climb, steps, min(warm_start, steps), callback)
    return Ascent(_rendered(render, params), params, result.history, result.status, result.eager, frames)


def _rendered(render: Callable[[Any], Tensor], params: Tree) -> Tensor:
    """The picture now (a tree of them, if that is what the parameters are), in memory of its own."""
    with _core.no_grad():
        picture: Tensor = tree.map(_core.tensor, render(params))
        return picture


def _keeping(
    frames: list[Tensor], render: Callable[[Any], Tensor], every: int, callback: Callable[[Progress], object] | None
) -> Callable[[Progress], object]:
    """A callback that keeps the picture after every so many steps, and calls the other."""

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
    """A ReLU's gradient; for rows that it stops altogether, what would raise silent units (lucid's redirected ReLU)."""
    passed = _core.where(inputs[0] > 0, g, _core.zeros_like(g))
    stopped = _core.all(passed == 0, axis=tuple(range(1, g.ndim)), keepdims=True)
    return _core.where(stopped, _core.relu(g), passed)


def _same(x: Tensor) -> Tensor:
    return x
