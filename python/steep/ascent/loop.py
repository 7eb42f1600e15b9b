"""Gradient ascent on an input: ``optim.maximize`` with what belongs to pictures around it.

The input is copied, so that the start is not lost; the result holds the picture, the value before each step and why
the run ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from steep import _core, optim
from steep._core import Tensor
from steep.ascent.term import Scalar
from steep.optim.loop import Make, Progress
from steep.optim.projections import Projection


@dataclass(frozen=True)
class Ascent:
    """``image``: the optimised input as the objective saw it (through ``transform``), shaped like the start.

    ``params`` is what was moved, ``history`` the value before each step, ``status`` "finished", "stopped" or
    "diverged".
    """

    image: Tensor
    params: Tensor
    history: list[float]
    status: str


def _same(x: Tensor) -> Tensor:
    return x


def maximize(
    objective: Scalar,
    start: Any,
    steps: int,
    optimizer: Make = partial(optim.Adam, lr=0.05),
    penalty: Scalar | None = None,
    transform: Callable[[Tensor], Tensor] = _same,
    project: Projection | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Ascent:
    """The input that makes ``objective(transform(x)) - penalty(transform(x))`` large, from ``start`` in ``steps``.

    ``start`` is float32 or float64 of any shape. ``optimizer`` makes an optimiser from the input, ``project`` keeps it
    inside a set after each step (``box``, ``ball``), ``callback`` may stop the run. Raises ValueError if the
    objective gives no scalar or does not depend on the input. Sources: Erhan et al. 2009; notes table, rows 53, 58, 70.
    """
    x = _core.tensor(start)

    def value(params: Tensor) -> Tensor:
        seen = transform(params)
        return objective(seen) if penalty is None else objective(seen) - penalty(seen)

    result = optim.maximize(value, x, optimizer, steps, project, callback)
    with _core.no_grad():
        image = transform(x)
    return Ascent(image, x, result.history, result.status)
