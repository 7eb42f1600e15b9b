"""NumPy's functions on steep's tensors: each is sent to steep's op of the same name, or refused with what to call.

``array_ufunc`` and ``array_function`` are NumPy's protocols; ``RENAMED`` lists the names that differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steep import _core

RENAMED = {
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "absolute": "abs", "fabs": "abs", "true_divide": "divide", "power": "pow", "float_power": "pow",
    "invert": "bitwise_invert", "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
    "rint": "round", "around": "round", "concatenate": "concat", "transpose": "permute_dims", "amax": "max",
    "amin": "min", "cumulative_sum": "cumsum", "mod": "remainder",
}  # fmt: skip


def _find(name: str) -> Callable[..., Any] | None:
    function = getattr(_core, RENAMED.get(name, name), None)
    return function if type(function) is type(_core.exp) else None


def _refuse(name: str) -> TypeError:
    return TypeError(
        f"numpy.{name} has no counterpart in steep; call it on x.numpy() (which has no gradient), "
        f"or see steep's ops in docs/ops.md"
    )


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """``np.tanh(tensor)`` and ``array + tensor``: steep's op, and a tensor."""
    name = ufunc.__name__
    function = _core.matmul if name == "matmul" else _find(name)
    if method != "__call__" or kwargs or function is None:
        raise _refuse(name if method == "__call__" else f"{name}.{method}")
    return function(*inputs)


def array_function(self: Any, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``np.sum(tensor, axis=0)`` and kin: steep's function of that name with the same arguments."""
    name = func.__name__
    function = _find(name)
    if function is None:
        raise _refuse(name)
    if name == "transpose" and len(args) == 1 and not kwargs:
        return args[0].T
    return function(*args, **kwargs)
