"""The one loop: params -> scalar -> gradient -> update -> project.

Training, input optimisation, inversion and attacks are all this loop with another function, another tree of tensors
and another projection. The parameters are moved in place; the result says how it went. With ``capture`` the three parts
of a step are compiled, each by itself. Start reading at ``_run``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.compiling import compile
from steep.optim.directions import find_direction
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

    ``status`` is "finished" (all steps made), "converged" (the optimiser's tolerances are met, and ``message`` says
    which), "stopped" (by the callback) or "diverged" (a value was not finite: no step was made from there).
    """

    params: Tree
    history: list[float] = field(default_factory=list)
    status: str = "finished"
    message: str = ""
    eager: str = ""  # why a step that should have been captured was not

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.history) - self.diverged

    @property
    def converged(self) -> bool:
        """Whether the optimiser found that its tolerances are met."""
        return self.status == "converged"

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
    *,
    normalize: str | None = None,
    capture: bool = False,
) -> Result:
    """Make ``steps`` steps that lower the scalar ``fun(params)``, moving the tensors of ``params`` in place.

    ``optimizer`` is an optimiser of these very tensors, or a function that makes one from them, such as
    ``functools.partial(SGD, lr=.1)``. ``project(params)`` runs after each step and returns the tree to go on with, or
    None if it worked in place. ``callback(progress)`` may stop the run by returning True. ``normalize`` rescales each
    gradient before the optimiser sees it: "l2", "mean_abs", "std", "sign" or None (``optim.directions``).

    ``capture`` compiles the function with its gradient, the update and the projection (``sp.compile``): the same bits,
    sooner. What these do in Python besides computing then happens at the first step only. Where one cannot be
    captured, since it reads a tensor's value, say, it runs as it is, and ``Result.eager`` gives the reason.

    A value that is not finite ends the run and is reported in the result, and so does an optimiser whose tolerances are
    met (``LBFGS``, ``BoxLBFGS``). Raises ValueError if ``fun`` gives no scalar,
    if nothing in ``params`` influences it, if the optimiser belongs to other tensors or ascends, or for a negative
    number of steps.
    """
    optimizer = _prepared(optimizer, params)
    if optimizer.maximize:
        raise ValueError("minimize was given an optimiser with maximize=True; call maximize, or drop the option")
    return _run(_Step(fun, params, optimizer, project, 1, normalize, capture), steps, callback)


def maximize(
    fun: Callable[[Any], Tensor],
    params: Tree,
    optimizer: Optimizer | Make,
    steps: int,
    project: Callable[[Any], Tree] | None = None,
    callback: Callable[[Progress], object] | None = None,
    *,
    normalize: str | None = None,
    capture: bool = False,
) -> Result:
    """``minimize`` of ``-fun``, bit for bit (notes table, row 5); ``history`` holds the values of ``fun`` itself."""
    optimizer = _prepared(optimizer, params)
    sign = 1 if optimizer.maximize else -1
    return _run(_Step(fun, params, optimizer, project, sign, normalize, capture), steps, callback)


def _prepared(optimizer: Optimizer | Make, params: Tree) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        optimizer = optimizer(params)
    mine, theirs = {id(leaf) for leaf in tree.leaves(params)}, {id(param) for param in optimizer.params}
    if mine != theirs:
        raise ValueError("the optimiser was made for other tensors than params; make it from params themselves")
    return optimizer


def _run(step: _Step, steps: int, callback: Callable[[Progress], object] | None) -> Result:
    if steps < 0:
        raise ValueError(f"the number of steps must not be negative, got {steps}")
    result = Result(step.params)
    for number in range(steps):
        value = step()
        result.history.append(value)
        result.eager = step.eager
        if not math.isfinite(value):
            result.status, result.message = "diverged", f"the value became {value} at step {number}: try a smaller rate"
            return result
        step.project()
        if callback is not None and callback(Progress(number, value, step.params)):
            result.status, result.message = "stopped", f"stopped by the callback after step {number}"
            return result
        if step.optimizer.converged:
            result.status, result.message = "converged", f"{step.optimizer.converged}, at step {number}"
            return result
    return result


class _Step:
    """The parts of a step: the value with its gradients, the update, the projection."""

    def __init__(
        self,
        fun: Callable[[Any], Tensor],
        params: Tree,
        optimizer: Optimizer,
        project: Callable[[Any], Tree] | None,
        sign: int,
        normalize: str | None,
        capture: bool,
    ) -> None:
        self.params, self.optimizer, self.sign = params, optimizer, sign
        direction = find_direction(normalize)
        self._parts = [
            _Part(lambda: _evaluate(fun, params, optimizer, sign, direction), capture),
            _Part(lambda gradients: optimizer._apply(gradients), capture),
            _Part(lambda: _project(project, params), capture and project is not None),
        ]

    def __call__(self) -> float:
        """Evaluate and update; the value before the update."""
        return float(self.optimizer.advance(*self._parts[:2])) * self.sign

    def project(self) -> None:
        """Put the parameters back where they are allowed to be."""
        self._parts[2]()

    @property
    def eager(self) -> str:
        """Why a part was not captured."""
        return next(filter(None, (part.refused for part in self._parts)), "")


class _Part:
    """A function that is compiled, or runs as it is once that was refused."""

    def __init__(self, function: Callable[..., Any], capture: bool) -> None:
        self._function, self._fast = function, compile(function) if capture else None
        self.refused = ""

    def __call__(self, *args: Any) -> Any:
        if self._fast is not None:
            try:
                return self._fast(*args)
            except _core.CompileError as error:
                self._fast, self.refused = None, str(error)
        return self._function(*args)


def _evaluate(
    fun: Callable[[Any], Tensor],
    params: Tree,
    optimizer: Optimizer,
    sign: int,
    direction: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Gradients]:
    with GradientTape() as tape:
        tape.watch([param for param in optimizer.params if not param.requires_grad])
        value = fun(params)
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(f"the function must return a scalar tensor, got {_describe(value)}")
    gradients = tape.gradient(value, optimizer.params)
    return sign * value.detach(), [None if g is None else direction(g if sign == 1 else -g) for g in gradients]


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
