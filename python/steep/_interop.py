"""NumPy's functions on steep's tensors: each is dispatched to steep's function of the same meaning, or raises.

``array_ufunc`` and ``array_function`` are NumPy's protocols. A call is parsed by the signature of NumPy's function, so
that arguments have NumPy's meaning; steep's function gets them by name, and unsupported ones raise. ``RENAMED`` and
``PARAMETERS`` list the names that differ, ``MEANINGS`` the functions whose meaning differs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from steep import _core

RENAMED = {
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "absolute": "abs", "fabs": "abs", "true_divide": "divide", "power": "pow",
    "invert": "bitwise_invert", "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
    "rint": "round", "around": "round", "concatenate": "concat", "amax": "max", "amin": "min", "mod": "remainder",
    "vector_norm": "norm",
}  # fmt: skip
# NumPy's names of parameters, where steep has another; parameters without a default also agree by their place.
PARAMETERS = {"ddof": "correction", "a_min": "min", "a_max": "max", "x": "x1", "y": "x2"}
# Parameters that affect how something is computed, not what.
INDIFFERENT = {"kind", "optimize", "subok", "assume_unique"}
_HELPERS = ("allclose", "array_equal", "diff", "isclose", "isin", "searchsorted", "cumulative_sum", "cumulative_prod")
_LIKE = ("empty_like", "full_like", "ones_like", "zeros_like")
NO_VALUE = np._NoValue  # NumPy's marker for "not given"
_OPS = {row["name"] for row in _core._op_table() if not row["hidden"]}


def _find(name: str) -> Callable[..., Any] | None:
    from steep.array_api import namespace

    name = RENAMED.get(name, name)
    if name in _HELPERS:
        helper: Callable[..., Any] = getattr(namespace, name)
        return helper
    return getattr(_core, name) if name in _OPS or name in _LIKE else None


def _refuse(name: str, what: str = "") -> TypeError:
    reason = f"is not taken with {what} by steep" if what else "has no counterpart in steep"
    return TypeError(
        f"numpy.{name} {reason}; call it on x.numpy() (which has no gradient), or see steep's ops in docs/ops.md"
    )


def _transpose(a: Any, axes: Any = None) -> Any:
    return a.T if axes is None else _core.permute_dims(a, axes)


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Over the first two axes, whereas steep's trace and ``numpy.linalg.trace`` use the last two."""
    if offset:
        raise _refuse("trace", f"offset={offset}")
    one, two = axis1 % a.ndim, axis2 % a.ndim
    rest = [d for d in range(a.ndim) if d not in (one, two)]
    return _core.trace(_core.permute_dims(a, (*rest, one, two)))


def _outer(a: Any, b: Any) -> Any:
    return _core.outer(_core.reshape(a, (-1,)), _core.reshape(b, (-1,)))


def _einsum(*operands: Any) -> Any:
    return _core.einsum(*operands)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A matrix norm for two axes, a vector norm for one; without ``ord``, of all elements."""
    if ord is None:
        return _core.norm(x, 2.0, axis, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else tuple(np.ravel(axis).tolist())
    if len(axes) == 1 and not isinstance(ord, str):
        return _core.norm(x, ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError(f"numpy.linalg.norm: ord={ord!r} of {len(axes)} axes; a norm is of a vector or a matrix")
    if ord == "fro":
        return _core.norm(x, 2.0, axes, keepdims)
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise _refuse("linalg.norm", f"ord={ord!r} of a matrix")
    summed, kept = axes if abs(ord) == 1 else axes[::-1]
    sums = _core.sum(_core.abs(x), axis=summed, keepdims=True)
    found = (_core.max if ord > 0 else _core.min)(sums, axis=kept, keepdims=True)
    return found if keepdims else _core.squeeze(found, axis=axes)


def _float_power(x1: Any, x2: Any) -> Any:
    return _core.pow(_core.astype(x1, _core.float64), _core.astype(x2, _core.float64))


# By module and name, with NumPy's parameters: functions for which steep has none of the same meaning.
MEANINGS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "transpose"): _transpose,
    ("numpy", "permute_dims"): _transpose,
    ("numpy", "trace"): _trace,
    ("numpy", "outer"): _outer,
    ("numpy", "einsum"): _einsum,
    ("numpy.linalg", "norm"): _norm,
    ("numpy", "float_power"): _float_power,
}


# The parameters of functions that NumPy has in C, by name: before 2.4 it does not tell them. Those that steep answers.
SIGNATURES: dict[str, Callable[..., None]] = {
    "concatenate": lambda arrays, /, axis=0, out=None, *, dtype=None, casting="same_kind": None,
    "empty_like": lambda prototype, /, dtype=None, order="K", subok=True, shape=None, *, device=None: None,
    "where": lambda condition, x=None, y=None, /: None,
}


@lru_cache(maxsize=256)
def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:
        return inspect.signature(SIGNATURES[function.__name__])


def _is_default(given: Any, default: Any) -> bool:
    return given is default or given is NO_VALUE or (isinstance(given, str | int | float) and given == default)


def _target(name: str, place: int, wanted: inspect.Parameter, mine: list[str]) -> str | None:
    """The name of a NumPy parameter in steep's function, or None if it has none."""
    if name in mine:
        return name
    if PARAMETERS.get(name) in mine:
        return PARAMETERS[name]
    required = wanted.default is inspect.Parameter.empty
    return mine[place] if required and place < len(mine) else None


def _named(
    func: Any, mine: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call of NumPy's ``func`` as keyword arguments of a function with the parameters ``mine``."""
    parameters = _signature(func).parameters
    bound = _signature(func).bind(*args, **kwargs)
    bound.apply_defaults()
    rest: list[Any] = []
    named: dict[str, Any] = {}
    for place, (name, value) in enumerate(bound.arguments.items()):
        wanted = parameters[name]
        items = value.items() if wanted.kind is inspect.Parameter.VAR_KEYWORD else [(name, value)]
        if wanted.kind is inspect.Parameter.VAR_POSITIONAL:
            rest, items = list(value), []
        for each, given in items:
            target = _target(each, place, wanted, mine)
            if target and given is not NO_VALUE:
                named[target] = given
            elif not target and each not in INDIFFERENT and not _is_default(given, wanted.default):
                raise _refuse(func.__name__, each)
    return rest, named


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """NumPy's protocol for ufuncs: ``np.tanh(tensor)`` and ``array + tensor`` call steep's op and return a tensor.

    Args:
        ufunc: the ufunc.
        method: how it is called; only "__call__" is supported.
        inputs: its operands.
        kwargs: its keyword arguments.

    Returns:
        A tensor.

    Raises:
        TypeError: for a ufunc or argument without a counterpart in steep.
    """
    name = ufunc.__name__
    function = MEANINGS.get(("numpy", name)) or _find(name)
    if method != "__call__" or function is None:
        raise _refuse(name if method == "__call__" else f"{name}.{method}")
    if kwargs:
        raise _refuse(name, " and ".join(kwargs))
    return function(*inputs)


def array_function(self: Any, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's protocol for functions: ``np.sum(tensor, axis=0)`` calls steep's function of the same meaning.

    Args:
        func: NumPy's function.
        types: types of the arguments, unused.
        args: positional arguments.
        kwargs: keyword arguments.

    Returns:
        What steep's function returns.

    Raises:
        TypeError: for a function or argument without a counterpart in steep.
    """
    function = MEANINGS.get((func.__module__, func.__name__)) or _find(func.__name__)
    if function is None:
        raise _refuse(func.__name__)
    rest, named = _named(func, list(_signature(function).parameters), args, kwargs)
    return function(*rest, **named)
