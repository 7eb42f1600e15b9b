"""Settings of the calling thread as context managers: threads, products, anomaly detection, gradient rules.

``no_grad`` and ``enable_grad`` are in the core. Each mode here is restored on exit, by return or by exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from steep import _core
from steep._core import Tensor

Rule: TypeAlias = Callable[[Tensor, tuple[Tensor, ...], Tensor], Any]


def deconvnet(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The deconvnet rule of a ReLU: the gradient where it is positive.

    Args:
        g: gradient of the output.
        inputs: the inputs of the ReLU.
        output: its output.

    Returns:
        The gradient of the input.

    References:
        Zeiler and Fergus 2014, arXiv:1311.2901.
    """
    return _core.relu(g)


def guided(g: Tensor, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The guided backpropagation rule of a ReLU: the gradient where it and the input are positive.

    Args:
        g: gradient of the output.
        inputs: the inputs of the ReLU.
        output: its output.

    Returns:
        The gradient of the input.

    References:
        Springenberg et al. 2015, arXiv:1412.6806.
    """
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
    """Replaces the gradient of an op for operations recorded inside; a context manager.

    It applies to the op itself, so functional and repeated calls follow it too.

    Args:
        op: name of the op.
        rule: "deconvnet" or "guided" (for "relu"), or a function of the output's gradient, the tuple of inputs and the
            output that returns the first input's gradient, or a tuple of all.

    Raises:
        ValueError: for an unknown op or rule.

    Example:
        >>> def straight_through(g, inputs, output):
        ...     return g
        >>> with sp.gradient_rule("relu", straight_through):
        ...     float(sp.grad(sp.relu)(-1.0))
        1.0
    """
    _core._push_override(op, _find_rule(op, rule))
    try:
        yield
    finally:
        _core._pop_override()


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raises at the first op inside that produces NaN or infinity, forward or backward; a context manager.

    Raises:
        GradientError: naming the op, its operands with shape and dtype, and the user's source line.

    Example:
        >>> with sp.detect_anomaly():
        ...     sp.log(sp.tensor(2.0)).shape
        ()
    """
    before = _core._set_anomaly(True)
    try:
        yield
    finally:
        _core._set_anomaly(before)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Sets the number of threads for large operations inside; a context manager. No bit of a result depends on it.

    Args:
        n: number of threads, at least 1.

    Raises:
        ValueError: for a number below 1.

    Example:
        >>> with sp.threads(1):
        ...     sp.get_num_threads()
        1
    """
    before = _core.get_num_threads()
    _core.set_num_threads(n)
    try:
        yield
    finally:
        _core.set_num_threads(before)


@contextmanager
def matmul_precision(mode: str) -> Iterator[None]:
    """Sets how float32 products of the calling thread are computed inside; a context manager (docs/precision.md).

    A backward pass follows the mode it runs in, not that of its forward pass. ``set_matmul_precision`` and STEEP_MATMUL
    set the default.

    Args:
        mode: "fma", fused multiply-adds, with the same bits on every instruction set; "split", six products of bfloat16
            parts, with a smaller error; "bf16", one product, with an error of about 2^-8; "winograd2" and
            "winograd4", convolutions of 3 x 3 taps with stride 1 by Winograd's algorithm, in half of the time where
            channels are many, and all else as "fma"; or "auto", split where the processor has AMX and the product is
            large enough.

    Raises:
        ValueError: for another mode.

    Example:
        >>> with sp.matmul_precision("fma"):
        ...     (sp.ones((2, 2)) @ sp.ones((2, 2))).tolist()
        [[2.0, 2.0], [2.0, 2.0]]
    """
    before = _core._scope_matmul_precision(str(mode))
    try:
        yield
    finally:
        _core._scope_matmul_precision(before)
