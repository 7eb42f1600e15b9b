"""A gradient rule as a formula: rules are written in ops, so running one under the engine's trace spells it out.

Start reading at ``rule_of``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steep import _core
from steep._core import Tensor

LONGEST = 160  # letters of a formula; a longer one is left out
INFIX = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("*", 2), "mul_zero": ("*", 2), "mul_zero_either": ("*", 2),
         "divide": ("/", 2), "pow": ("**", 4), "matmul": ("@", 2), "greater": (">", 0), "less": ("<", 0),
         "greater_equal": (">=", 0), "less_equal": ("<=", 0), "equal": ("==", 0)}  # fmt: skip
EXACT = {"tanh_gradient": "{0} * (1 - {1}**2)", "sigmoid_gradient": "{0} * {1} * (1 - {1})"}  # kernels of these
AS_THEY_ARE = ("copy", "astype", "broadcast_to")  # steps of bookkeeping that a reader need not see

Key = tuple[int, tuple[int, ...], tuple[int, ...]]
Text = tuple[str, int]  # a formula, and how strongly it holds together


def _key(t: Tensor) -> Key:
    array = t.detach().numpy()
    return array.__array_interface__["data"][0], tuple(t.shape), tuple(array.strides)


def rule_of(node: Any, values: Sequence[Tensor | None], names: Sequence[str]) -> list[str]:
    """The gradient of each input of a node as a formula of ``g``, the gradient of its output.

    Args:
        node: the node.
        values: the operands that it saved, and last its result.
        names: the name of each of them in the formula.

    Returns:
        A formula per input, "" where there is none: for a constant, for a rule in Python, and for a long one.
    """
    inputs = len(node.inputs)
    if node.has_own_rule or not node.inputs:
        return [""] * inputs
    g = _core.full(node.shape, 2.0, dtype=node.dtype)
    capture = _core._Capture([g], True)
    try:
        found = node.pull(g, True)
        steps: list[Any] = capture.traced()
    except (_core.GradientError, ValueError, TypeError):
        return [""] * inputs
    finally:
        capture.stop()
    texts: dict[Key, Text] = {_key(t): (name, 9) for t, name in zip(values, names, strict=True) if t is not None}
    texts[_key(g)] = ("g", 9)
    for op, attributes, operands, output, _ in steps:
        texts.setdefault(_key(output), _text(op, attributes, [_known(texts, t) for t in operands]))
    return [_shortened(texts.get(_key(t))) if t is not None else "" for t in found]


def _known(texts: dict[Key, Text], t: Tensor) -> Text:
    known = texts.get(_key(t))
    if known is None:
        known = (f"{t.item():.6g}", 9) if t.size == 1 and t.dtype != _core.bool else ("...", 9)
    return known


def _text(op: str, attributes: dict[str, Any], operands: list[Text]) -> Text:
    """One application as text, with brackets where they are needed."""
    if op in AS_THEY_ARE:
        return operands[0]
    if op in EXACT:
        return EXACT[op].format(*(_bracketed(text, 3) for text in operands)), 2
    if op == "negative":
        return f"-{_bracketed(operands[0], 3)}", 3
    if op in INFIX and len(operands) == 2:
        sign, strength = INFIX[op]
        made = f"{_bracketed(operands[0], strength)} {sign} {_bracketed(operands[1], strength + 1)}"
        return made.replace(" + -", " - "), strength
    if op in ("permute_dims", "matrix_transpose") and attributes.get("axes", (1, 0)) == (1, 0):
        return f"{_bracketed(operands[0], 9)}.T", 9
    if op == "square":
        return f"{_bracketed(operands[0], 5)}**2", 4
    if op == "reciprocal":
        return f"1 / {_bracketed(operands[0], 3)}", 2
    named = [
        f"{key}={value}" for key, value in attributes.items() if key in ("axis", "axes") and value not in ((), None)
    ]
    return f"{op}({', '.join([text for text, _ in operands] + named)})", 9


def _bracketed(text: Text, least: int) -> str:
    return text[0] if text[1] >= least else f"({text[0]})"


def _shortened(text: Text | None) -> str:
    return text[0] if text and len(text[0]) <= LONGEST else ""
