"""The one loop: params -> scalar -> gradient -> update -> project.

Training, input optimisation, inversion and attacks are all this loop with another function, another tree of tensors and
another projection. The parameters are updated in place. With ``capture`` the three parts of a step are compiled, each
separately. Start reading at ``_run``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.compiling import compile
from steep.display import displayed
from steep.optim.directions import find_direction
from steep.optim.optimizer import Gradients, Optimizer
from steep.tape import GradientTape
from steep.tree import Tree

Make: TypeAlias = Callable[[Tree], Optimizer]


@dataclass(frozen=True)
class Progress:
    """What a callback receives after each step.

    Attributes:
        step: number of the step, from 0.
        value: the value before the step.
        params: the parameters after it.
    """

    step: int
    value: float
    params: Tree


@displayed
@dataclass
class Result:
    """Result of a run.

    Attributes:
        params: the parameters.
        history: the value before each step.
        status: "finished" (all steps made), "converged" (the optimiser's tolerances are met), "stopped" (by the
            callback) or "diverged" (a value was not finite, and no step was made from there).
        message: the reason, as text.
        eager: why steps were not compiled, "" if they were or were not to be.
        evaluations: how often the function was evaluated, with its gradient if the optimiser asks for it.
        products: how many Hessian-vector products were computed.
    """

    params: Tree
    history: list[float] = field(default_factory=list)
    status: str = "finished"
    message: str = ""
    eager: str = ""  # why a step that should have been compiled was not
    evaluations: int = 0
    products: int = 0

    @property
    def steps(self) -> int:
        """Number of steps made."""
        return len(self.history) - self.diverged

    @property
    def converged(self) -> bool:
        """Whether the optimiser's tolerances are met."""
        return self.status == "converged"

    @property
    def diverged(self) -> bool:
        """Whether the value became infinite or NaN."""
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
    """Minimises a scalar function of a tree of tensors, in place.

    A value that is not finite ends the run, and so does an optimiser whose tolerances are met (``LBFGS``,
    ``BoxLBFGS``, ``NewtonCG``, ``NelderMead``, ``CMAES``, ``RandomSearch``). The last three need no gradient, and the
    function may be any.

    Args:
        fun: a function from ``params`` to a scalar tensor.
        params: a tensor or tree of tensors, updated in place.
        optimizer: an optimiser of these tensors, or a function that makes one from them, such as
            ``functools.partial(SGD, lr=.1)``.
        steps: number of steps.
        project: called after each step with ``params``; returns the tree to continue with, or None if it worked in
            place.
        callback: called with a ``Progress`` after each step; returning True stops the run.
        normalize: normalisation of each gradient before the optimiser: "l2", "mean_abs", "std", "sign" or None.
        capture: whether to compile the function with its gradient, the update and the projection (``sp.compile``): the
            same bits, faster. Side effects in Python then happen at the first step only. A part that cannot be
            compiled, since it reads a tensor's value, say, runs uncompiled, and ``Result.eager`` gives the reason.

    Returns:
        A ``Result``.

    Raises:
        ValueError: if ``fun`` does not return a scalar or does not depend on ``params``, if the optimiser belongs to
            other tensors or ascends, or for a negative number of steps.

    Example:
        >>> from functools import partial
        >>> x = sp.zeros(2)
        >>> run = sp.optim.minimize(lambda v: ((v - 1.0) ** 2).sum(), x, partial(sp.optim.SGD, lr=0.25), steps=20)
        >>> run.status, bool(abs(x - 1.0).max() < 1e-4)
        ('finished', True)
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
    """Maximises a scalar function of a tree of tensors, in place: ``minimize`` of ``-fun``, bit for bit.

    ``history`` holds the values of ``fun`` itself.

    Args:
        fun: a function from ``params`` to a scalar tensor.
        params: a tensor or tree of tensors, updated in place.
        optimizer: an optimiser of these tensors, or a function that makes one from them, such as
            ``functools.partial(SGD, lr=.1)``.
        steps: number of steps.
        project: called after each step with ``params``; returns the tree to continue with, or None if it worked in
            place.
        callback: called with a ``Progress`` after each step; returning True stops the run.
        normalize: normalisation of each gradient before the optimiser: "l2", "mean_abs", "std", "sign" or None.
        capture: whether to compile the function with its gradient, the update and the projection (``sp.compile``): the
            same bits, faster. Side effects in Python then happen at the first step only. A part that cannot be
            compiled, since it reads a tensor's value, say, runs uncompiled, and ``Result.eager`` gives the reason.

    Returns:
        A ``Result``.

    Raises:
        ValueError: as ``minimize``.

    Example:
        >>> from functools import partial
        >>> run = sp.optim.maximize(lambda v: -(v**2).sum(), sp.ones(2), partial(sp.optim.SGD, lr=0.1), steps=3)
        >>> run.history[-1] > run.history[0]
        True
    """
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
        result.evaluations, result.products = step.counts
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
            Part(lambda share=1.0, sums=(): _evaluate(fun, params, optimizer, sign, direction, share, sums), capture),
            Part(lambda gradients: optimizer._apply(gradients), capture),
            Part(lambda vectors: _product(fun, params, optimizer, sign, vectors), capture),
            Part(lambda: _project(project, params), capture and project is not None),
        ]

    def __call__(self) -> float:
        """Evaluates and updates; returns the value before the update."""
        wanted = self._parts[: 3 if self.optimizer.order > 1 else 2]
        return float(self.optimizer.advance(*wanted)) * self.sign

    def project(self) -> None:
        """Projects the parameters."""
        self._parts[3]()

    @property
    def counts(self) -> tuple[int, int]:
        """How many evaluations there were, and how many products with the Hessian."""
        return self._parts[0].calls, self._parts[2].calls

    @property
    def eager(self) -> str:
        """Why a part was not compiled."""
        return next(filter(None, (part.refused for part in self._parts)), "")


class Part:
    """A function that is compiled, or runs uncompiled once that has failed.

    Args:
        function: the function.
        capture: whether to compile it.
    """

    def __init__(self, function: Callable[..., Any], capture: bool) -> None:
        self._function, self._fast = function, compile(function) if capture else None
        self.refused, self.calls = "", 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
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
    share: float = 1.0,
    sums: Sequence[Tensor] = (),
) -> tuple[Tensor, Gradients]:
    """The value and the gradients at ``params``, times ``share``: of a part of a batch, its share of the mean.

    With ``sums``, a tensor for each gradient that there is, the gradients are added to them, and they are returned.
    """
    if optimizer.order == 0:
        with _core.no_grad():
            return sign * share * _scalar(fun(params)).detach(), [None] * len(optimizer.params)
    with GradientTape() as tape:
        tape.watch(_unwatched(optimizer))
        value = _scalar(fun(params))
        if share != 1.0:
            value = value * share
    gradients = tape.gradient(value, optimizer.params)
    found = [None if g is None else direction(g if sign == 1 else -g) for g in gradients]
    if sums:
        _add_to(sums, [g for g in found if g is not None])
        rest = iter(sums)
        found = [None if g is None else next(rest) for g in found]
    elif share != 1.0:  # what the next part is added to must be no other memory; a compiled step need not copy
        found = [None if g is None else g.copy() for g in found]
    return sign * value.detach(), found


def _add_to(sums: Sequence[Tensor], terms: Sequence[Tensor]) -> None:
    """Adds in place. A compiled step adds what products give as they are computed."""
    if len(sums) != len(terms):
        raise ValueError(f"{len(terms)} gradients cannot be added to {len(sums)}: the parts of a batch have to agree")
    for total, term in zip(sums, terms, strict=True):
        total[...] = total + term


def _product(
    fun: Callable[[Any], Tensor], params: Tree, optimizer: Optimizer, sign: int, vectors: list[Tensor]
) -> list[Tensor]:
    """The Hessian times ``vectors``: the gradient of the gradient's inner product with them (Pearlmutter 1994)."""
    with GradientTape() as outer:
        outer.watch(_unwatched(optimizer))
        with GradientTape() as inner:
            inner.watch(_unwatched(optimizer))
            value = _scalar(fun(params))
        gradients = inner.gradient(value, optimizer.params)
        pairs = [(g, v) for g, v in zip(gradients, vectors, strict=True) if g is not None]
        along = sum((_core.sum(g * v) for g, v in pairs), start=_core.zeros((), dtype=vectors[0].dtype))
    found = outer.gradient(along, optimizer.params)
    return [_core.zeros_like(v) if g is None else sign * g for g, v in zip(found, vectors, strict=True)]


def _unwatched(optimizer: Optimizer) -> list[Tensor]:
    return [param for param in optimizer.params if not param.requires_grad]


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(f"the function must return a scalar tensor, got {_describe(value)}")
    return value


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
