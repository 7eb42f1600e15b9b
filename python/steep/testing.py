"""Checking derivatives against finite differences: ``check_grads`` is also what steep's own tests use.

Both modes are compared with a central difference along a random direction, and higher orders by checking the derivative
functions in the same way, as in HIPS/autograd's check_grads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from steep import _core, tree
from steep.transforms import jvp, vjp

# The error of a central difference with step h is about h**2 plus rounding / h; h = rounding ** (1/3) balances them.
_STEP = {"float32": 1e-2, "float64": 1e-5}
_TOLERANCE = {"float32": 2e-2, "float64": 1e-6}


def _arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(_core.asarray(leaf).detach().numpy(), dtype=np.float64) for leaf in tree.leaves(value)]


def _dot(a: Sequence[np.ndarray[Any, Any]], b: Sequence[np.ndarray[Any, Any]]) -> float:
    return math.fsum(float(np.sum(x * y)) for x, y in zip(a, b, strict=True))


def _like(value: Any, rng: np.random.Generator) -> Any:
    return tree.map(lambda x: _core.tensor(rng.standard_normal(x.shape).astype(x.dtype.name)), value)


def _moved(args: Any, direction: Any, step: float) -> Any:
    return tree.map(lambda x, v: x.detach() + v * step, args, direction)


def _central(f: Callable[..., Any], args: Any, direction: Any, step: float) -> list[np.ndarray[Any, Any]]:
    with _core.no_grad():
        ahead, behind = _arrays(f(*_moved(args, direction, step))), _arrays(f(*_moved(args, direction, -step)))
    return [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]


def _compare(what: str, order: int, got: float, expected: float, scale: float, rtol: float, atol: float) -> None:
    if not abs(got - expected) <= atol + rtol * max(scale, abs(expected)):
        raise AssertionError(
            f"check_grads: the {what} derivative of order {order} is {got!r}, and the central difference {expected!r}"
        )


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Compares derivatives of a function with central differences along random directions, in forward and reverse mode.

    Args:
        f: a function of trees of float tensors.
        args: the tuple of its arguments; float64 is recommended.
        order: up to which order derivatives are checked.
        modes: "fwd" (jvp) and "rev" (vjp).
        rtol: relative tolerance, of the magnitude of the summed terms; 1e-6 in float64 and 2e-2 in float32 if None.
        atol: absolute tolerance, likewise.
        eps: step of the differences.
        seed: seed of the random directions.

    Raises:
        AssertionError: if a derivative differs.

    Example:
        >>> sp.check_grads(lambda x: sp.tanh(x).sum(), (sp.ones(3, dtype="float64"),), order=2)
    """
    args = tree.map(_core.asarray, tuple(args))
    name = "float32" if any(x.dtype.name == "float32" for x in tree.leaves(args)) else "float64"
    rtol, atol = (_TOLERANCE[name] if t is None else t for t in (rtol, atol))
    _check(f, args, order, modes, rtol, atol, eps or _STEP[name], np.random.default_rng(seed), 1)


def _check(
    f: Callable[..., Any], args: Any, order: int, modes: Sequence[str], rtol: float, atol: float, eps: float,
    rng: np.random.Generator, depth: int,
) -> None:  # fmt: skip
    y = f(*args)
    direction = _like(args, rng)
    weights = _like(tree.map(_core.asarray, y), rng)
    numeric = _central(f, args, direction, eps)
    expected = _dot(_arrays(weights), numeric)
    scale = math.fsum(float(np.sum(np.abs(w * n))) for w, n in zip(_arrays(weights), numeric, strict=True))
    if "fwd" in modes:
        pushed = _dot(_arrays(weights), _arrays(jvp(f, args, direction)[1]))
        _compare("forward", depth, pushed, expected, scale, rtol, atol)
    if "rev" in modes:
        pulled = _dot(_arrays(vjp(f, *args)[1](weights)), _arrays(direction))
        _compare("reverse", depth, pulled, expected, scale, rtol, atol)
    if order > 1:
        derivatives = {
            "fwd": lambda *x: jvp(f, x, direction)[1],
            "rev": lambda *x: vjp(f, *x)[1](weights),
        }
        for mode in modes:
            _check(derivatives[mode], args, order - 1, modes, rtol, atol, eps, rng, depth + 1)
