"""What the C++ core asks of Python: how a tensor prints, how it is unpickled, and where the user's line is.

Nothing here is called on a hot path. Start reading at ``represent``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

_HERE = os.path.dirname(os.path.abspath(__file__))


MOST_PRINTED = 400  # elements; of larger tensors the ends of each axis


def represent(x: Any) -> str:
    """``tensor([1., 2.], dtype=float32, requires_grad=True)``, the numbers as NumPy prints them.

    Where they do not say the shape, since there are none or too many to print, it follows them.
    """
    ends = 3 if x.ndim < 4 else 1
    numbers = np.array2string(
        x.detach().numpy(), separator=", ", prefix="tensor(", threshold=MOST_PRINTED, edgeitems=ends
    )
    if x.size > MOST_PRINTED or (x.size == 0 and x.ndim > 1):
        numbers += f", shape={x.shape}"
    origin = f", made_by={x.made_by}" if x.made_by else ", requires_grad=True" if x.requires_grad else ""
    return f"tensor({numbers}, dtype={x.dtype}{origin})"


def rebuild(dtype: str, shape: tuple[int, ...], data: bytes, requires_grad: bool) -> Any:
    """The tensor that ``Tensor.__reduce__`` wrote down."""
    from steep import _core

    if dtype == "bfloat16":  # the upper halves of float32's bits
        values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(data, dtype=dtype)
    return _core.tensor(values.reshape(shape), dtype=dtype, requires_grad=requires_grad)


def user_line(frame: FrameType | None) -> str:
    """``file.py:12``: the innermost line outside steep, counting from ``frame``."""
    while frame is not None and os.path.abspath(frame.f_code.co_filename).startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def decorated(mode: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` run inside ``mode``, a context manager that may be entered again."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with mode:
            return function(*args, **kwargs)

    return inside
