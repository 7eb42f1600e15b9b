"""Settings of the calling thread as context managers: threads, products, anomaly detection, gradient rules.

``no_grad`` and ``enable_grad`` live in the core. Each mode here is restored on leaving, by return or by exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from steep import _core
from steep._core import Tensor

Rule: TypeAlias = Callable[[Tensor, tuple[Tensor, ...], Tensor], Any]


def deconvnet(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Zeiler and Fergus 2013: what arrives from above passes where it is positive (notes row 65)."""
    return _core.relu(g)


def guided(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Springenberg et al. 2014: positive from above, and positive below (notes row 65)."""
    return _core.relu(g) * (inputs[0] > 0)


NAMED_RULES: dict[str, Rule] = {"deconvnet": deconvnet, "guided": guided}
_PRIMITIVES = {row["name"] for row in _core._op_table() if row["primitive"] and row["differentiable"]}


def _find_rule(op: str, rule: str | Rule) -> Rule:
    if op not in _PRIMITIVES:
        raise ValueError(
            f"gradient_rule: {op!r} is no op with a gradient rule of its own; those are {sorted(_PRIMITIVES)}"
        )
    if callable(rule):
        return rule
    if rule not in NAMED_RULES:
        raise ValueError(f"gradient_rule: no rule named {rule!r}; there are {sorted(NAMED_RULES)}, or pass a function")
    if op != "relu":
        raise ValueError(f"gradient_rule: {rule!r} is a rule for 'relu', not for {op!r}")
    return NAMED_RULES[rule]


@contextmanager
def gradient_rule(op: str, rule: str | Rule) -> Iterator[None]:
    """Operations recorded inside use ``rule`` for ``op`` instead of its derivative.

    ``rule`` is ``"deconvnet"`` or ``"guided"`` (both for ``"relu"``), or a function of the output's gradient, the tuple
    of inputs and the output that returns the first input's gradient, or a tuple of all of them. It holds at the level
    of the op, so functional and reused calls follow it too. Raises ValueError for an unknown op or rule.
    """
    _core._push_override(op, _find_rule(op, rule))
    try:
        yield
    finally:
        _core._pop_override()


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Stops at the first op inside that produces a NaN or an infinity, forward or backward.

    The GradientError names the op, its operands with shape and dtype, and the user's line.
    """
    before = _core._set_anomaly(True)
    try:
        yield
    finally:
        _core._set_anomaly(before)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Large operations inside use ``n`` threads. Results do not depend on ``n``, bit for bit."""
    before = _core.get_num_threads()
    _core.set_num_threads(n)
    try:
        yield
    finally:
        _core.set_num_threads(before)


@contextmanager
def matmul_precision(mode: str) -> Iterator[None]:
    """float32 products of the calling thread inside are computed as ``mode`` says (docs/precision.md).

    ``"fma"`` has the bits that every instruction set shares; ``"split"`` is six products of bfloat16 parts, with a
    smaller error than that; ``"bf16"`` is one, with an error of about 2^-8; ``"auto"`` is split where the processor has
    AMX and the product is large enough to gain. A backward pass follows the mode it runs in, not that of its forward
    pass. Raises ValueError for another word. ``set_matmul_precision`` and STEEP_MATMUL set what holds outside.
    """
    before = _core._scope_matmul_precision(str(mode))
    try:
        yield
    finally:
        _core._scope_matmul_precision(before)
