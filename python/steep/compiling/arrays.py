"""Arrays that a compiled function can reach and that are not tensors: NumPy's, bytearrays, other libraries'.

An array that is an operand of an operation is read again at every replay. Any other is known by its bytes, and so must
be small enough to compare before each call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST = 1 << 24  # bytes that are compared: about a millisecond


def is_array(value: Any) -> bool:
    """Whether a value has memory of numbers: a buffer, or an array interface."""
    kind = type(value)
    return hasattr(kind, "__array__") or hasattr(kind, "__array_interface__") or _has_buffer(value)


def is_large(value: Any) -> bool:
    """Whether comparing its bytes at every call would take long."""
    return _size(value) > LARGEST


def bytes_of(value: Any) -> tuple[str, Any]:
    """The kind of guard that compares its bytes, and what that guard reads."""
    if _has_buffer(value) and not _holds_objects(value):
        return "buffer", value

    def read() -> tuple[Any, ...]:
        array = np.asarray(value)
        elements = tuple(array.ravel().tolist()) if _holds_objects(array) else array.tobytes()
        return str(array.dtype), array.shape, elements

    return "call", read


def too_large(value: Any) -> str:
    """Why an array is refused."""
    return (
        f"compile: the function can reach a {type(value).__name__} of {_size(value):,} bytes, which is no operand of "
        "an operation and would be compared before each replay; make it a tensor, or pass what it needs as arguments"
    )


def _holds_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.hasobject


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except (TypeError, ValueError, BufferError):  # no buffer; or none of this dtype; or none at present
        return False
    return True


def _size(value: Any) -> int:
    size = getattr(value, "nbytes", None)
    return size if isinstance(size, int) else len(value) if hasattr(type(value), "__len__") else 0
