"""Expressions in x and y, such as "x**2 + 10*y**2", as functions in steep's ops.

The text is parsed by Python's ``ast`` and translated node by node: numbers, x and y, pi and e, arithmetic, comparisons
inside ``where``, and the functions of ``FUNCTIONS``. Nothing else is accepted, and nothing is evaluated as code.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from steep import _core
from steep.suggest import near

MOST_CHARACTERS, MOST_DEPTH = 2000, 60
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.Mod: operator.mod,
}  # fmt: skip
COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
SIGNS: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
CONSTANTS = {"pi": math.pi, "e": math.e}
FUNCTIONS: dict[str, int] = {  # steep's op of the same name, and how many arguments it takes
    "abs": 1, "sign": 1, "floor": 1, "ceil": 1, "round": 1, "sqrt": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1,
    "sin": 1, "cos": 1, "tan": 1, "sinh": 1, "cosh": 1, "tanh": 1, "asin": 1, "acos": 1, "atan": 1, "relu": 1,
    "sigmoid": 1, "softplus": 1, "square": 1, "erf": 1, "minimum": 2, "maximum": 2, "hypot": 2, "atan2": 2, "where": 3,
}  # fmt: skip


def parse(text: str) -> Callable[..., Any]:
    """An expression as a function of x, or of x and y if it names y.

    Args:
        text: the expression.

    Returns:
        A function of one or two tensors.

    Raises:
        ValueError: for anything but the numbers, names, operators and functions listed in this module.

    Example:
        >>> f = sp.descent.parse("x**2 + sin(3*x)")
        >>> f(sp.tensor(0.0)).item()
        0.0
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the expression has {len(text)} characters; at most {MOST_CHARACTERS} are read")
    try:
        body = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is not an expression: {getattr(error, 'msg', error)}") from None
    names = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    build = _translated(body, 0)
    if not names & {"x", "y"}:
        raise ValueError(f"{text!r} names neither x nor y: it is a constant")
    if "y" in names:
        return lambda x, y: _value(build({"x": x, "y": y}))
    return lambda x: _value(build({"x": x}))


def _value(result: Any) -> Any:
    """A comparison as 0 or 1."""
    return result.astype(_core.float64) if result.dtype == _core.bool else result


Build = Callable[[dict[str, Any]], Any]


def _translated(node: ast.AST, depth: int) -> Build:
    """A function of the variables' values."""
    if depth > MOST_DEPTH:
        raise ValueError(f"the expression is nested more than {MOST_DEPTH} deep")
    kind = TRANSLATORS.get(type(node))
    if kind is None:
        raise ValueError(f"{ast.unparse(node)!r} is not allowed in an expression: {type(node).__name__}")
    return kind(node, depth + 1)


def _number(node: Any, depth: int) -> Build:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    number = float(value) if abs(value) < 1e300 else math.inf
    if not math.isfinite(number):
        raise ValueError(f"{ast.unparse(node)} is too large a number")
    return lambda values: number


def _name(node: Any, depth: int) -> Build:
    name = node.id
    if name in CONSTANTS:
        return lambda values: CONSTANTS[name]
    if name not in ("x", "y"):
        known = ["x", "y", *CONSTANTS, *FUNCTIONS]
        raise ValueError(f"an expression is in x and y, and knows pi and e; it names {name!r}{near(name, known)}")
    return lambda values: values[name]


def _binary(node: Any, depth: int) -> Build:
    if type(node.op) not in OPERATORS:
        raise ValueError(f"{ast.unparse(node)!r}: the operators are + - * / % and **")
    apply, left, right = OPERATORS[type(node.op)], _translated(node.left, depth), _translated(node.right, depth)
    return lambda values: _in_floats(apply, left(values), right(values))


def _in_floats(apply: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Numbers alone as floats: 9**9**9 is infinite rather than a computation without end, (-8)**(1/3) not a number."""
    try:
        found = apply(a, b)
        return math.nan if isinstance(found, complex) else found
    except OverflowError:
        return math.inf
    except ZeroDivisionError:
        return math.nan


def _unary(node: Any, depth: int) -> Build:
    if type(node.op) not in SIGNS:
        raise ValueError(f"{ast.unparse(node)!r}: the operators are + - * / % and **")
    apply, operand = SIGNS[type(node.op)], _translated(node.operand, depth)
    return lambda values: apply(operand(values))


def _comparison(node: Any, depth: int) -> Build:
    if len(node.ops) != 1 or type(node.ops[0]) not in COMPARISONS:
        raise ValueError(f"{ast.unparse(node)!r}: one of < <= > >= between two terms, inside where()")
    apply = COMPARISONS[type(node.ops[0])]
    left, right = _translated(node.left, depth), _translated(node.comparators[0], depth)
    return lambda values: apply(_tensor(left(values)), right(values))


def _call(node: Any, depth: int) -> Build:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS or node.keywords:
        raise ValueError(f"there is no function {name!r}{near(name, FUNCTIONS)}; there are {', '.join(FUNCTIONS)}")
    if len(node.args) != FUNCTIONS[name]:
        raise ValueError(f"{name} takes {FUNCTIONS[name]} arguments, and is given {len(node.args)}")
    function, arguments = getattr(_core, name), [_translated(each, depth) for each in node.args]
    return lambda values: function(*(_tensor(each(values)) for each in arguments))


def _tensor(value: Any) -> Any:
    """Numbers as float64 tensors, which ops take."""
    return _core.asarray(value, dtype=_core.float64) if isinstance(value, float) else value


TRANSLATORS: dict[type, Callable[[Any, int], Build]] = {
    ast.Constant: _number, ast.Name: _name, ast.BinOp: _binary, ast.UnaryOp: _unary, ast.Compare: _comparison,
    ast.Call: _call,
}  # fmt: skip
