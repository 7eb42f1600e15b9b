"""What the C++ core calls in Python: how a tensor prints, how it is unpickled, and the user's source line.

Nothing here is performance-critical. Start reading at ``represent``.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

_HERE = os.path.dirname(os.path.abspath(__file__))
_NOT_THE_USERS = (_HERE, threading.__file__)  # below a thread that steep has started there is no line of the user's


MOST_PRINTED = 400  # elements; larger tensors show the ends of each axis


def represent(x: Any) -> str:
    """The ``repr`` of a tensor: ``tensor([1., 2.], dtype=float32, requires_grad=True)``, formatted as by NumPy.

    The shape is shown if the numbers do not determine it, since there are none or too many to print.

    Args:
        x: the tensor.

    Returns:
        A string.
    """
    ends = 3 if x.ndim < 4 else 1
    numbers = np.array2string(
        x.detach().numpy(), separator=", ", prefix="tensor(", threshold=MOST_PRINTED, edgeitems=ends
    )
    if x.size > MOST_PRINTED or (x.size == 0 and x.ndim > 1):
        numbers += f", shape={x.shape}"
    origin = f", made_by={x.made_by}" if x.made_by else ", requires_grad=True" if x.requires_grad else ""
    return f"tensor({numbers}, dtype={x.dtype}{origin})"


def html(x: Any) -> str:
    """A tensor in a notebook: dtype and shape, and its numbers or a picture of them.

    Args:
        x: the tensor.

    Returns:
        HTML.
    """
    from steep.display import as_html, brief

    made_by = f", made by {x.made_by}" if x.made_by else ", requires_grad" if x.requires_grad else ""
    return f"<div>tensor {brief(x) if x.ndim else x.dtype.name}{made_by}</div>{as_html(x)}"


def png(x: Any) -> bytes | None:
    """A tensor in a notebook that shows no HTML: a picture, or None for what is no picture.

    Args:
        x: the tensor.

    Returns:
        The bytes of a PNG file, or None.
    """
    from steep.display import as_png

    return as_png(x)


def program_html(program: Any) -> str:
    """A compiled program in a notebook: how long it is, and its text.

    Args:
        program: the program.

    Returns:
        HTML.
    """
    from html import escape

    return (
        f"<details><summary>steep program: {program.instructions} instructions ({program.recorded} recorded), "
        f"{program.groups} fused groups, {program.arena_bytes:,} bytes of temporaries</summary>"
        f'<pre style="overflow-x:auto">{escape(str(program))}</pre></details>'
    )


def rebuild(dtype: str, shape: tuple[int, ...], data: bytes, requires_grad: bool) -> Any:
    """The tensor that ``Tensor.__reduce__`` pickled.

    Args:
        dtype: name of the dtype.
        shape: the shape.
        data: the bytes of the elements.
        requires_grad: whether it requires a gradient.

    Returns:
        A tensor.
    """
    from steep import _core

    if dtype == "bfloat16":  # the upper halves of float32's bits
        values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(data, dtype=dtype)
    return _core.tensor(values.reshape(shape), dtype=dtype, requires_grad=requires_grad)


def user_line(frame: FrameType | None) -> str:
    """The innermost source line outside steep, as ``file.py:12``.

    Args:
        frame: the frame to start from.

    Returns:
        A string.
    """
    while frame is not None and os.path.abspath(frame.f_code.co_filename).startswith(_NOT_THE_USERS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def decorated(mode: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` run inside ``mode``.

    Args:
        mode: a re-entrant context manager.
        function: the function.

    Returns:
        The decorated function.
    """

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with mode:
            return function(*args, **kwargs)

    return inside
