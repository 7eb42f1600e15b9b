"""The one loop: params -> scalar -> gradient -> update -> project.

Training, input optimisation, inversion and attacks are all this loop with another function, another tree of tensors
and another projection. The parameters are moved in place; the result says how it went.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.optim.optimizer import Gradients, Optimizer
from steep.tape import GradientTape
from steep.tree import Tree

Make: TypeAlias = Callable[[Tree], Optimizer]


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step: its number from 0, the value before it, and the parameters after it."""

    step: int
    value: float
    params: Tree


@dataclass
class Result:
    """How a run went: ``history`` holds the value before each step, ``status`` why it ended.

    ``status`` is "finished" (all steps made), "stopped" (by the callback) or "diverged" (a value was not finite: no
    step was made from there).
    """

    params: Tree
    history: list[float] = field(default_factory=list)
    status: str = "finished"
    message: str = ""

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.history) - self.diverged

    @property
    def diverged(self) -> bool:
        """Whether the value became infinite or not a number."""
        return self.status == "diverged"


def minimize(
    fun: Callable[[Any], Tensor],
    params: Tree,
    optimizer: Optimizer | Make,
    steps: int,
    project: Callable[[Any], Tree] | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Result:
    """Make ``steps`` steps that lower the scalar ``fun(params)``, moving the tensors of ``params`` in place.

    ``optimizer`` is an optimiser of these very tensors, or a function that makes one from them, such as
    ``functools.partial(SGD, lr=.1)``. ``project(params)`` runs after each step and returns the tree to go on with, or
    None if it worked in place. ``callback(progress)`` may stop the run by returning True. A value that is not finite
    ends the run and is reported in the result. Raises ValueError if ``fun`` gives no scalar, if nothing in ``params``
    influences it, or if the optimiser belongs to other tensors or ascends.
    """
    optimizer = _prepared(optimizer, params)
    if optimizer.maximize:
        raise ValueError("minimize was given an optimiser with maximize=True; call maximize, or drop the option")
    return _run(fun, params, optimizer, steps, project, callback, sign=1)


def maximize(
    fun: Callable[[Any], Tensor],
    params: Tree,
    optimizer: Optimizer | Make,
    steps: int,
    project: Callable[[Any], Tree] | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Result:
    """``minimize`` of ``-fun``, bit for bit (notes table, row 5); ``history`` holds the values of ``fun`` itself."""
    optimizer = _prepared(optimizer, params)
    return _run(fun, params, optimizer, steps, project, callback, sign=1 if optimizer.maximize else -1)


def _prepared(optimizer: Optimizer | Make, params: Tree) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        optimizer = optimizer(params)
    mine, theirs = {id(leaf) for leaf in tree.leaves(params)}, {id(param) for param in optimizer.params}
    if mine != theirs:
        raise ValueError("the optimiser was made for other tensors than params; make it from params themselves")
    return optimizer


def _run(
    fun: Callable[[Any], Tensor],
    params: Tree,
    optimizer: Optimizer,
    steps: int,
    project: Callable[[Any], Tree] | None,
    callback: Callable[[Progress], object] | None,
    sign: int,
) -> Result:
    result = Result(params)
    for step in range(steps):
        value = float(optimizer.advance(lambda: _evaluate(fun, params, optimizer, sign))) * sign
        result.history.append(value)
        if not math.isfinite(value):
            result.status, result.message = "diverged", f"the value became {value} at step {step}: try a smaller rate"
            return result
        _project(project, params)
        if callback is not None and callback(Progress(step, value, params)):
            result.status, result.message = "stopped", f"stopped by the callback after step {step}"
            return result
    return result


def _evaluate(fun: Callable[[Any], Tensor], params: Tree, optimizer: Optimizer, sign: int) -> tuple[float, Gradients]:
    with GradientTape() as tape:
        tape.watch([param for param in optimizer.params if not param.requires_grad])
        value = fun(params)
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(f"the function must return a scalar tensor, got {_describe(value)}")
    gradients = tape.gradient(value, optimizer.params)
    return sign * float(value), gradients if sign == 1 else [None if g is None else -g for g in gradients]


def _describe(value: Any) -> str:
    return f"shape {value.shape}; sum it" if isinstance(value, Tensor) else type(value).__name__


def _project(project: Callable[[Any], Tree] | None, params: Tree) -> None:
    if project is None:
        return
    with _core.no_grad():
        projected = project(params)
        if projected is not None and projected is not params:
            tree.map(_assign, params, projected)


def _assign(param: Tensor, value: Any) -> None:
    if value is not param:
        param[...] = value
