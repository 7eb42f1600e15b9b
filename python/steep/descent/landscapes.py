"""Landscapes to descend: functions of one or two variables with their domains, starts and sources, as a table.

A function takes one tensor per variable and is written in steep's ops, elementwise, so that one call gives the values
at many points. Start reading at ``LANDSCAPES``; ``Landscape.at`` and ``Landscape.gradient_at`` evaluate one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.suggest import near

Points: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[..., Any]
Domain: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Landscape:
    """A function of one or two variables.

    Attributes:
        name: its name.
        function: takes one tensor per variable.
        domain: (low, high) for each variable, which pictures show.
        start: where paths begin.
        rate: a learning rate that suits gradient descent.
        minima: the minima that the source states, for comparison with those found.
        formula: the function as text.
        about: what is hard about it.
        source: where it comes from.
        starts: more starts, for the slider of a page.
    """

    name: str
    function: Function
    domain: Domain
    start: tuple[float, ...]
    rate: float = 0.05
    minima: tuple[tuple[float, ...], ...] = ()
    formula: str = ""
    about: str = ""
    source: str = ""
    starts: tuple[tuple[float, ...], ...] = field(default=())

    @property
    def dimensions(self) -> int:
        """The number of variables."""
        return len(self.domain)

    def __call__(self, point: Tensor) -> Tensor:
        """The value at one point, a tensor with one element per variable, as optimisers call it."""
        value = self._called([point[i] for i in range(self.dimensions)])
        if isinstance(value, float | int):
            value = _core.asarray(float(value), dtype=point.dtype)
        if not isinstance(value, Tensor) or value.size != 1:
            got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{self.name} is not scalar at {shown(np.asarray(point.detach()))}: it returned {got}")
        return value

    def _called(self, inputs: list[Tensor]) -> Any:
        """The function's result; an exception of its own says at which point."""
        try:
            return self.function(*inputs)
        except _core.CompileError:  # which is about the trace, not about the point
            raise
        except Exception as error:
            place = shown([np.asarray(x.detach()) for x in inputs]) if not inputs[0].ndim else "many points at once"
            raise ValueError(f"{self.name} raised {type(error).__name__} at {place}: {error}") from error

    def at(self, points: Any) -> Points:
        """The values at many points, NaN where the function does not give one number.

        Args:
            points: an array (n, variables).

        Returns:
            A float64 array (n,).
        """
        with _core.no_grad():
            return self._evaluate(_columns(points, self.dimensions), gradient=False)[0]

    def gradient_at(self, points: Any) -> Points:
        """The gradients at many points, zeros where the function has none, NaN where it gives no number.

        Args:
            points: an array (n, variables).

        Returns:
            A float64 array (n, variables).
        """
        return self._evaluate(_columns(points, self.dimensions), gradient=True)[1]

    def _evaluate(self, columns: list[Points], gradient: bool) -> tuple[Points, Points]:
        """All points in one call, or one by one for functions that take no arrays."""
        if not len(columns[0]):
            return np.zeros(0), np.zeros((0, len(columns)))
        whole = _run(self._called, columns, gradient)
        if whole is not None and self._elementwise(columns, whole[0]):
            return whole
        values, gradients = np.full(len(columns[0]), np.nan), np.full((len(columns[0]), len(columns)), np.nan)
        for i in range(len(values)):
            one = _run(self._called, [column[i] for column in columns], gradient)
            if one is not None and one[0].size == 1:
                values[i], gradients[i] = one[0].reshape(()), one[1].reshape(-1)
        return values, gradients

    def _elementwise(self, columns: list[Points], values: Points) -> bool:
        """Whether the values of all points at once are those of the first and the last alone."""
        if values.shape != columns[0].shape:
            return False
        for i in {0, len(values) - 1}:
            one = _run(self._called, [column[i] for column in columns], False)
            if one is None or one[0].size != 1 or not _same(float(one[0].reshape(())), float(values[i])):
                return False
        return True


def _columns(points: Any, dimensions: int) -> list[Points]:
    array = np.asarray(points, np.float64).reshape(-1, dimensions)
    return [np.ascontiguousarray(array[:, i]) for i in range(dimensions)]


def _run(function: Function, columns: Sequence[Any], gradient: bool) -> tuple[Points, Points] | None:
    """Values and gradients (..., variables); None if the function takes no such arguments, or gives no number there."""
    inputs = [_core.tensor(np.asarray(column, np.float64)) for column in columns]
    for each in inputs:
        each.requires_grad = gradient
    try:
        value = function(inputs)
        value = _core.asarray(float(value), dtype=_core.float64) if isinstance(value, float | int) else value
    except ValueError:
        return None
    if not isinstance(value, Tensor):
        return None
    values = np.asarray(value.detach(), np.float64)
    if not gradient:
        return values, np.zeros((*values.shape, len(inputs)))
    if _core._node_of(value) is not None:
        _core.sum(value).backward()
    found = [np.zeros(x.shape) if x.grad is None else np.asarray(x.grad, np.float64) for x in inputs]
    return values, np.stack(found, axis=-1)


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def shown(point: Any) -> str:
    """A point as text.

    Args:
        point: its coordinates.

    Returns:
        Text such as "(1, -0.5)".
    """
    return "(" + ", ".join(f"{round(float(v), 12) + 0.0:.4g}" for v in np.ravel(np.asarray(point, np.float64))) + ")"


def _double_well(x: Tensor) -> Tensor:
    return x**4 / 4 - x**2 / 2 + x / 10


def _quadratic(x: Tensor) -> Tensor:
    return x**2 / 2


def _step(x: Tensor) -> Tensor:
    return _core.sign(x)


def _ill_conditioned(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + 100 * y**2) / 2


def _rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _himmelblau(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**2 / 2 + y**4 / 4 - y**2 / 2


def _plateau(x: Tensor, y: Tensor) -> Tensor:
    return 1 - _core.exp(-(x**2 + y**2) / 2)


def _cliff(x: Tensor, y: Tensor) -> Tensor:
    return 3 * _core.sigmoid(20 * x) + (x + 1) ** 2 / 10 + y**2 / 10


def _ravine(x: Tensor, y: Tensor) -> Tensor:
    return _core.sqrt(1 + 100 * (y - x / 2) ** 2) - 1 + x**2 / 20


def _ripples(x: Tensor, y: Tensor) -> Tensor:
    return 20 + x**2 + y**2 - 10 * _core.cos(2 * math.pi * x) - 10 * _core.cos(2 * math.pi * y)


DEEP = "Goodfellow, Bengio and Courville 2016, Deep Learning, MIT Press, deeplearningbook.org, section "
HIMMELBLAU = ((3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126))

LANDSCAPES: tuple[Landscape, ...] = (
    Landscape(
        "double_well", _double_well, ((-2.0, 2.0),), (1.8,), 0.05, ((-1.046681,), (0.945649,)),
        "x^4/4 - x^2/2 + x/10", "a shallow well on the right, a deeper one on the left",
        "Chollet 2021, Deep Learning with Python, 2nd edition, Manning, section 2.4.3: a local and a global minimum",
        ((-1.8,), (-0.5,), (0.3,), (1.2,), (1.8,)),
    ),
    Landscape(
        "quadratic", _quadratic, ((-1.5, 1.5),), (1.0,), 0.1, ((0.0,),), "x^2/2", "nothing: curvature 1 everywhere",
        "Nocedal and Wright 2006, Numerical Optimization, 2nd edition, Springer, section 3.3",
        ((-1.2,), (-0.5,), (0.2,), (1.0,), (1.4,)),
    ),
    Landscape(
        "abs", _core.abs, ((-1.5, 1.5),), (1.0,), 0.3, ((0.0,),), "abs(x)",
        "a kink at the minimum: the gradient does not become small, so steps of fixed length do not settle",
        "Shor 1985, Minimization Methods for Non-Differentiable Functions, Springer, doi:10.1007/978-3-642-82118-9",
        ((-1.2,), (-0.5,), (0.2,), (1.0,), (1.4,)),
    ),
    Landscape(
        "step", _step, ((-1.5, 1.5),), (1.0,), 0.1, (), "sign(x)",
        "the derivative is 0 wherever there is one, so gradients say nothing", DEEP + "4.3",
        ((-1.2,), (-0.5,), (0.2,), (1.0,), (1.4,)),
    ),
    Landscape(
        "ill_conditioned", _ill_conditioned, ((-1.5, 1.5), (-1.0, 1.0)), (-1.2, 0.8), 0.018, ((0.0, 0.0),),
        "(x^2 + 100 y^2) / 2", "curvatures 1 and 100: a rate that suits one does not suit the other",
        "Goh 2017, Why momentum really works, Distill, doi:10.23915/distill.00006",
        ((-1.2, 0.8), (1.3, 0.1), (0.5, -0.9), (-0.3, -0.4), (1.2, 0.9)),
    ),
    Landscape(
        "rosenbrock", _rosenbrock, ((-2.0, 2.0), (-1.0, 3.0)), (-1.2, 1.0), 0.001, ((1.0, 1.0),),
        "(1 - x)^2 + 100 (y - x^2)^2", "a bent valley, steep across and nearly flat along",
        "Rosenbrock 1960, The Computer Journal 3, doi:10.1093/comjnl/3.3.175",
        ((-1.2, 1.0), (0.0, 2.5), (1.5, -0.5), (-0.5, -0.5), (0.0, 0.0)),
    ),
    Landscape(
        "beale", _beale, ((-4.5, 4.5), (-4.5, 4.5)), (1.0, 1.0), 0.01, ((3.0, 0.5),),
        "(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2", "flat in the middle, walls at the corners",
        "Beale 1958; Moré, Garbow and Hillstrom 1981, ACM TOMS 7, doi:10.1145/355934.355936, function 5",
        ((1.0, 1.0), (0.0, -1.0), (4.0, 0.0), (-1.0, 1.5), (2.0, -1.5)),
    ),
    Landscape(
        "himmelblau", _himmelblau, ((-5.0, 5.0), (-5.0, 5.0)), (0.0, 0.0), 0.01, HIMMELBLAU,
        "(x^2 + y - 11)^2 + (x + y^2 - 7)^2", "four minima of the same value: the start and the rate decide",
        "Himmelblau 1972, Applied Nonlinear Programming, McGraw-Hill",
        ((0.0, 0.0), (-4.0, 0.5), (0.0, -4.5), (4.5, 4.5), (-0.3, -0.9)),
    ),
    Landscape(
        "saddle", _saddle, ((-2.0, 2.0), (-2.0, 2.0)), (1.5, 0.001), 0.1, ((0.0, -1.0), (0.0, 1.0)),
        "x^2/2 + y^4/4 - y^2/2", "a saddle point at (0, 0), where the gradient is 0 and there is no minimum",
        DEEP + "8.2.3; Dauphin et al. 2014, arXiv:1406.2572",
        ((1.5, 0.001), (1.5, 0.0), (-1.5, -0.3), (0.5, 1.8), (-1.0, 0.05)),
    ),
    Landscape(
        "plateau", _plateau, ((-4.0, 4.0), (-4.0, 4.0)), (2.5, 1.5), 0.3, ((0.0, 0.0),), "1 - exp(-(x^2 + y^2) / 2)",
        "far from the minimum the gradient is next to 0", DEEP + "8.2.3",
        ((2.5, 1.5), (-3.5, 3.0), (1.0, -1.0), (-2.0, 0.5), (0.5, -3.0)),
    ),
    Landscape(
        "cliff", _cliff, ((-3.0, 2.0), (-2.0, 2.0)), (1.5, 1.5), 0.3, ((-1.0, 0.0),),
        "3 sigmoid(20 x) + (x + 1)^2 / 10 + y^2 / 10", "a cliff at x = 0, where one step is thrown far away",
        DEEP + "8.2.4; Pascanu et al. 2013, arXiv:1211.5063",
        ((1.5, 1.5), (0.5, -1.0), (0.2, 1.0), (-2.5, 1.5), (1.8, -0.5)),
    ),
    Landscape(
        "ravine", _ravine, ((-3.0, 3.0), (-2.0, 2.0)), (-2.5, 0.5), 0.02, ((0.0, 0.0),),
        "sqrt(1 + 100 (y - x/2)^2) - 1 + x^2/20", "steep walls beside a gentle floor: descent goes to and fro",
        "Sutton 1986, Two problems with backpropagation and other steepest-descent learning procedures, CogSci",
        ((-2.5, 0.5), (2.5, -1.0), (-1.0, -1.5), (1.0, 1.8), (2.8, 1.4)),
    ),
    Landscape(
        "ripples", _ripples, ((-3.0, 3.0), (-3.0, 3.0)), (-2.3, 1.7), 0.002, ((0.0, 0.0),),
        "20 + x^2 - 10 cos(2 pi x) + y^2 - 10 cos(2 pi y)", "a minimum in every cell of a grid",
        "Rastrigin 1974; Mühlenbein, Schomisch and Born 1991, doi:10.1016/S0167-8191(05)80052-3",
        ((-2.3, 1.7), (0.4, 0.4), (2.6, -2.6), (-0.6, -1.4), (1.2, 0.6)),
    ),
)  # fmt: skip


def find(name: str) -> Landscape:
    """The landscape of this name.

    Args:
        name: one of ``LANDSCAPES``.

    Returns:
        A ``Landscape``.

    Raises:
        ValueError: for another name, with suggestions.

    Example:
        >>> sp.descent.find("rosenbrock").minima
        ((1.0, 1.0),)
    """
    table = {each.name: each for each in LANDSCAPES}
    if name not in table:
        raise ValueError(f"there is no landscape {name!r}{near(name, table)}; there are {', '.join(table)}")
    return table[name]


def landscape(
    function: Function | str,
    domain: Sequence[Sequence[float]] | None = None,
    start: Sequence[float] | None = None,
    rate: float = 0.05,
    name: str = "",
) -> Landscape:
    """A landscape of one's own.

    Args:
        function: a function of one or two tensors, written in steep's ops; or an expression in x, or in x and y, such
            as "x**2 + 10*y**2" (see ``parse``).
        domain: (low, high) for each variable; -2 to 2 if None.
        start: where paths begin; at 3/4 of the domain if None.
        rate: a learning rate.
        name: its name; that of the function, or the expression, if empty.

    Returns:
        A ``Landscape``.

    Raises:
        ValueError: for a bad expression, domain or start, or a function of more than two variables.

    Example:
        >>> bowl = sp.descent.landscape("x**2 + 10*y**2", start=(1, 1))
        >>> bowl.at([[1, 1]]).tolist(), bowl.gradient_at([[1, 1]]).tolist()
        ([11.0], [[2.0, 20.0]])
    """
    from steep.descent.expression import parse

    made = parse(function) if isinstance(function, str) else function
    own = function if isinstance(function, str) else getattr(function, "__name__", "")
    label = name or own.replace("<lambda>", "") or "the function"
    count = len(domain) if domain is not None and not isinstance(function, str) else _variables(made)
    box = tuple((float(low), float(high)) for low, high in (domain or ((-2.0, 2.0),) * count))
    if len(box) != count or count not in (1, 2):
        raise ValueError(f"{label}: a function of {count} variables needs {count} ranges of a domain, got {len(box)}, "
                         f"and one or two variables can be drawn")  # fmt: skip
    if not all(math.isfinite(high - low) and low < high for low, high in box):
        raise ValueError(f"{label}: a domain needs finite ranges, the lower end first, got {box}")
    begin = tuple(low + 0.75 * (high - low) for low, high in box) if start is None else tuple(map(float, start))
    if len(begin) != count or not all(map(math.isfinite, begin)):
        raise ValueError(f"{label}: the start needs {count} finite numbers, got {begin}")
    text = function if isinstance(function, str) else ""
    return Landscape(label, made, box, begin, rate, formula=text, about="", source="", starts=_starts(box, begin))


def _starts(box: Domain, begin: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """The start and four others."""
    shares = ((0.1, 0.9), (0.3, 0.2), (0.6, 0.8), (0.9, 0.4))
    others = tuple(tuple(low + s * (high - low) for (low, high), s in zip(box, each, strict=False)) for each in shares)
    return (begin, *others)


def _variables(function: Function) -> int:
    """How many arguments a function must have."""
    try:
        kinds = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return 1
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in kinds)
