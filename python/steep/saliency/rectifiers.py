"""A gradient rule for all rectifiers: ``relu`` itself, and other ops that compute max(x, 0).

ReLU6 is often written ``clip(x, 0, 6)``, a ReLU ``maximum(x, 0)`` or ``where(x > 0, x, 0)``. Whether such an op is a
rectifier is determined by its operands: one is all zeros, and the result is the other one rectified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.modes import NAMED_RULES, Rule, gradient_rule


@contextmanager
def rectifiers(name: str) -> Iterator[None]:
    """Inside, the rule ``name`` of ``modes.NAMED_RULES`` applies to all rectifiers."""
    rule = NAMED_RULES[name]
    with ExitStack() as stack:
        for op, replaced in RULES.items():
            stack.enter_context(gradient_rule(op, replaced(rule)))
        yield


def _of_maximum(rule: Rule) -> Rule:
    def replaced(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
        a, b = inputs
        if _is_zero(b):
            return rule(g, (a,), output), None
        if _is_zero(a):
            return None, rule(g, (b,), output)
        ties = _core.equal(a, b).astype(g.dtype) / 2
        return [g * (_core.greater(x, y).astype(g.dtype) + ties) for x, y in ((a, b), (b, a))]

    return replaced


def _of_clip(rule: Rule) -> Rule:
    """Of one bound from below, of which ``clip`` is made."""

    def replaced(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
        x, bound = inputs
        if _is_zero(bound):
            return rule(g, (x,), output), None
        past, zero = _core.logical_or(_core.less(x, bound), _core.isnan(bound)), _core.zeros_like(g)
        return _core.where(past, zero, g), _core.where(past, g, zero)

    return replaced


def _of_where(rule: Rule) -> Rule:
    def replaced(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
        chosen, a, b = inputs
        if _rectifies(b, a, output):
            return None, None, rule(g, (b,), output)
        if _rectifies(a, b, output):
            return None, rule(g, (a,), output), None
        zero = _core.zeros_like(g)
        return None, _core.where(chosen, g, zero), _core.where(chosen, zero, g)

    return replaced


def _is_zero(x: Tensor) -> bool:
    return not np.asarray(x).any()


def _rectifies(x: Tensor, other: Tensor, output: Tensor) -> bool:
    """Whether the result is max(x, 0) with some negative x; without any, it may be another selection."""
    if not _is_zero(other) or x.shape != output.shape:
        return False
    values = np.asarray(x)
    return bool((values < 0).any()) and np.array_equal(np.asarray(output), np.maximum(values, 0))


RULES: dict[str, Callable[[Rule], Rule]] = {
    "relu": lambda rule: rule,
    "maximum": _of_maximum,
    "clip_low": _of_clip,
    "where": _of_where,
}
