"""Paths: what each optimiser of ``steep.optim`` does on a landscape, step by step, by the one loop.

``METHODS`` has a row for every optimiser. A path ends where its value or gradient is not finite, and says where; it
also says where it first steps onto or across a point without a derivative, and where its gradient is cut. Start reading
at ``descend``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from steep import _core, optim
from steep._core import Tensor
from steep.descent.cuts import find_cut
from steep.descent.kinks import along_segments
from steep.descent.landscapes import Landscape, Points, shown
from steep.display import displayed
from steep.optim.loop import Progress
from steep.suggest import near

MOMENTUM = 0.9
LARGEST = 1e8  # times the size of the domain: beyond it a path has left for good


@dataclass(frozen=True)
class Settings:
    """What a method is made from.

    Attributes:
        rate: the learning rate of first-order methods.
        momentum: of those that have one.
        scale: the first distance of direct searches.
        seed: of random ones.
    """

    rate: float
    momentum: float = MOMENTUM
    scale: float = 0.5
    seed: int = 0


Make = Callable[[Tensor, Tensor, Settings], optim.Optimizer]


class Method(NamedTuple):
    """A row: its name, how it is made from a point, a tensor of values and settings, and its colour.

    ``rows`` says that it minimises many rows and reads the value of each from the tensor of values.
    """

    name: str
    make: Make
    colour: tuple[int, int, int]
    rows: bool = False
    settings: tuple[str, ...] = ()


METHODS: tuple[Method, ...] = (
    Method("gradient descent", lambda x, v, s: optim.SGD(x, s.rate), (31, 119, 180), settings=("rate",)),
    Method("momentum", lambda x, v, s: optim.SGD(x, s.rate, s.momentum), (214, 39, 40), settings=("rate", "momentum")),
    Method("Nesterov", lambda x, v, s: optim.SGD(x, s.rate, s.momentum, nesterov=s.momentum > 0), (255, 127, 14),
           settings=("rate", "momentum")),
    Method("AdaGrad", lambda x, v, s: optim.AdaGrad(x, s.rate), (44, 160, 44), settings=("rate",)),
    Method("RMSProp", lambda x, v, s: optim.RMSProp(x, s.rate), (23, 190, 207), settings=("rate",)),
    Method("Adam", lambda x, v, s: optim.Adam(x, s.rate), (148, 103, 189), settings=("rate",)),
    Method("AdamW", lambda x, v, s: optim.AdamW(x, s.rate), (197, 176, 213), settings=("rate",)),
    Method("Adadelta", lambda x, v, s: optim.Adadelta(x, s.rate), (152, 223, 138), settings=("rate",)),
    Method("Adamax", lambda x, v, s: optim.Adamax(x, s.rate), (255, 152, 150), settings=("rate",)),
    Method("NAdam", lambda x, v, s: optim.NAdam(x, s.rate), (196, 156, 148), settings=("rate",)),
    Method("RAdam", lambda x, v, s: optim.RAdam(x, s.rate), (219, 219, 141), settings=("rate",)),
    Method("Lion", lambda x, v, s: optim.Lion(x, s.rate), (247, 182, 210), settings=("rate",)),
    Method("steepest", lambda x, v, s: optim.Steepest(x, s.rate, "l2"), (140, 86, 75), settings=("rate",)),
    Method("Polyak", lambda x, v, s: optim.Polyak(x, v), (127, 127, 127), rows=True),
    Method("L-BFGS", lambda x, v, s: optim.LBFGS(x, gtol=1e-9), (0, 0, 0)),
    Method("L-BFGS in a box", lambda x, v, s: optim.BoxLBFGS(x, v, gtol=1e-9), (99, 121, 57), rows=True),
    Method("Newton-CG", lambda x, v, s: optim.NewtonCG(x, gtol=1e-9, forcing=1e-6), (227, 119, 194)),
    Method("Nelder-Mead", lambda x, v, s: optim.NelderMead(x, s.scale, xtol=1e-9), (188, 189, 34)),
    Method("CMA-ES", lambda x, v, s: optim.CMAES(x, s.scale, generator=s.seed, xtol=1e-9), (57, 59, 121)),
    Method("random search", lambda x, v, s: optim.RandomSearch(x, s.scale, s.seed, xtol=1e-9), (158, 218, 229)),
)  # fmt: skip


@displayed
@dataclass(frozen=True)
class Path:
    """What one method did.

    Attributes:
        method: its name.
        points: the start and the point after each step, an array (steps + 1, variables).
        values: their values.
        status: as in ``optim.Result``, or "refused".
        message: the reason, as text.
        problem: where the function is not finite, has no derivative, or its gradient is cut, on the way; "" if nowhere.
        evaluations: how often the function was evaluated.
        products: how many Hessian-vector products were computed.
        order: the derivatives that the method asks for.
    """

    method: str
    points: Points
    values: Points
    status: str
    message: str = ""
    problem: str = ""
    evaluations: int = 0
    products: int = 0
    order: int = 0

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.points) - 1


def find_methods(names: Iterable[str] | str = "all") -> list[Method]:
    """The methods of these names.

    Args:
        names: names of ``METHODS``, in any case; "all" for all.

    Returns:
        The rows, in order of the table.

    Raises:
        ValueError: for an unknown name, with suggestions, or for none.

    Example:
        >>> [method.name for method in sp.descent.find_methods(["adam"])]
        ['Adam']
    """
    if names == "all":
        return list(METHODS)
    wanted = [names] if isinstance(names, str) else list(names)
    table = {method.name.lower(): method for method in METHODS}
    for name in wanted:
        if name.lower() not in table:
            raise ValueError(f"there is no method {name!r}{near(name, table)}; there are {', '.join(table)}")
    if not wanted:
        raise ValueError(f"no method was named; there are {', '.join(table)}")
    return [method for key, method in table.items() if key in {name.lower() for name in wanted}]


def descend(
    landscape: Landscape,
    methods: Iterable[str] | str = "all",
    steps: int = 100,
    start: Any = None,
    rate: float | None = None,
    momentum: float = MOMENTUM,
    seed: int = 0,
) -> list[Path]:
    """The paths of optimisers on a landscape, each made by ``optim.minimize``.

    Args:
        landscape: the landscape.
        methods: names of ``METHODS``; "all" for all.
        steps: number of steps.
        start: where to begin; the landscape's start if None.
        rate: learning rate of first-order methods; the landscape's if None.
        momentum: of those that have one.
        seed: seed of random methods.

    Returns:
        The paths, in order of the table.

    Raises:
        ValueError: for an unknown method, a bad start, rate or momentum, or a function that is not scalar, or not
            finite at the start.

    Example:
        >>> plain, heavy = sp.descent.descend(
        ...     sp.descent.find("double_well"), ["gradient descent", "momentum"], rate=0.05, steps=300)
        >>> plain.points[-1].round(2).tolist(), heavy.points[-1].round(2).tolist()
        ([0.95], [-1.05])
    """
    begin = np.array(landscape.start if start is None else start, np.float64).reshape(-1)
    if begin.shape != (landscape.dimensions,) or not np.isfinite(begin).all():
        raise ValueError(
            f"{landscape.name}: the start needs {landscape.dimensions} finite numbers, got {begin.tolist()}"
        )
    value = float(landscape(_core.tensor(begin)).detach())
    if not np.isfinite(value):
        raise ValueError(f"{landscape.name} is {value} at the start {shown(begin)}: choose another start")
    width = max(high - low for low, high in landscape.domain)
    settings = Settings(landscape.rate if rate is None else rate, momentum, width / 10, seed)
    return [checked(landscape, follow(landscape, method, begin, steps, settings)) for method in find_methods(methods)]


def follow(landscape: Landscape, method: Method, start: Points, steps: int, settings: Settings) -> Path:
    """The path of one method; a method that cannot take the function is "refused".

    Args:
        landscape: the landscape.
        method: a row of ``METHODS``.
        start: where to begin.
        steps: number of steps.
        settings: rate, momentum, scale and seed.

    Returns:
        A ``Path``, whose ``problem`` is empty as yet.
    """
    point = _core.tensor(start[None] if method.rows else start, dtype=_core.float64)
    values = _core.zeros(1, dtype=_core.float64)
    points, limit = [start.copy()], LARGEST * max(high - low for low, high in landscape.domain)

    def fun(x: Tensor) -> Tensor:
        if not method.rows:
            return landscape(x)
        total = _core.sum(landscape(x[0]))
        values[...] = _core.reshape(total.detach(), (1,))
        return total

    def keep(progress: Progress) -> bool:
        points.append(np.array(point.detach(), np.float64).reshape(-1))
        return bool(np.abs(points[-1]).max() > limit) if np.isfinite(points[-1]).all() else False

    optimizer = method.make(point, values, settings)
    try:
        if optimizer.order and not _has_gradient(landscape, start):
            raise ValueError(_NO_GRADIENT.format(shown(start)))
        run = optim.minimize(fun, point, optimizer, steps, callback=keep)
    except (TypeError, ValueError, _core.GradientError) as error:
        found, said = np.array(points), str(error)
        where = "" if len(found) == 1 else said if " at (" in said else f"no gradient at {shown(found[-1])}: {said}"
        heights = landscape.at(found)
        return Path(method.name, found, heights, "refused", where or said, where, order=optimizer.order)
    found = np.array(points)
    status = "diverged" if run.status == "stopped" else run.status
    message = f"left the picture at step {run.steps}" if run.status == "stopped" else run.message
    with np.errstate(all="ignore"):
        heights = landscape.at(found)
    return Path(method.name, found, heights, status, message, "", run.evaluations, run.products, optimizer.order)


_NO_GRADIENT = "no gradient at {}: the value there is not computed from the point by steep's ops"


def _has_gradient(landscape: Landscape, point: Points) -> bool:
    """Whether a graph leads from the value back to the point."""
    return _core._node_of(landscape(_core.tensor(point, requires_grad=True))) is not None


def checked(landscape: Landscape, path: Path) -> Path:
    """The path with its ``problem``, cut where it stops being finite.

    Args:
        landscape: the landscape.
        path: a path.

    Returns:
        A ``Path``.
    """
    with np.errstate(all="ignore"):
        gradients = landscape.gradient_at(path.points)
    problem, last = "", len(path.points)
    for what, wrong in (("value", ~np.isfinite(path.values)), ("gradient", ~np.isfinite(gradients).all(axis=1)),
                        ("point", ~np.isfinite(path.points).all(axis=1))):  # fmt: skip
        at = int(np.argmax(wrong))
        if wrong.any() and at < last:
            before = f", after {shown(path.points[at - 1])}" if what == "point" and at else ""
            last, problem = at, f"the {what} is not finite at {shown(path.points[at])}, step {at}{before}"
    finite = slice(0, max(1, last if "point" in problem.split(" is ")[0] or "value" in problem else last + 1))
    cut = replace(path, points=path.points[finite], values=path.values[finite])
    return replace(cut, problem=path.problem or problem or "; ".join(_wrong(landscape, cut)))


def _wrong(landscape: Landscape, path: Path) -> list[str]:
    """What the optimiser is not told on its path: parts of the derivative, and that there is none."""
    cut = find_cut(landscape, path.points) if path.order else None
    kink = _first_kink(landscape, path.points)
    return [*([f"at step {cut.at}, {cut}"] if cut else []), *([kink] if kink else [])]


def _first_kink(landscape: Landscape, points: Points) -> str:
    """Where the path first steps onto or across a kink or a jump."""
    found = along_segments(landscape, points[:-1], points[1:])
    if not found:
        return ""
    first = found[0]
    return f"not differentiable: {first}, which step {first.segment + 1} crosses"


def outcome(path: Path, minima: Points, values: Points, tolerance: float = 1e-3) -> str:
    """What a method reached, in a few words.

    Args:
        path: a path.
        minima: the minima of the landscape, an array (n, variables).
        values: their values (n,).
        tolerance: distance from a minimum that counts as reached.

    Returns:
        Text such as "at the minimum (1, 1) after 23 steps".

    Example:
        >>> (path,) = sp.descent.descend(sp.descent.find("quadratic"), ["l-bfgs"])
        >>> sp.descent.outcome(path, np.zeros((1, 1)), np.zeros(1))
        'at the minimum (0) after 1 step'
    """
    if path.status in ("refused", "diverged"):
        return f"{path.status}: {path.message}" if path.message else path.status
    distances = np.linalg.norm(path.points[:, None] - minima[None], axis=-1)
    if not len(minima) or not np.isfinite(distances[-1]).all() or distances[-1].min() > tolerance:
        return f"at {shown(path.points[-1])} with {path.values[-1]:.3g} after {_steps(path.steps)}"
    which = int(np.argmin(distances[-1]))
    outside = np.nonzero(distances[:, which] > tolerance)[0]
    reached = int(outside[-1]) + 1 if len(outside) else 0
    lowest = values[which] <= values.min() + 1e-6 * max(1.0, abs(float(values.min())))
    kind = "minimum" if lowest else "higher minimum"
    return f"at the {kind} {shown(minima[which])} after {_steps(reached)}"


def _steps(count: int) -> str:
    return f"{count} step" + "s" * (count != 1)
