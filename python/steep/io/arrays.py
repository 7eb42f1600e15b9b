"""Conversion between tensors, other libraries' arrays and the NumPy arrays that files and data sets are made of.

NumPy has no bfloat16: it becomes float32.

``BFloat16`` marks such arrays, so that safetensors stores two bytes per value and returns a bfloat16 tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor


class BFloat16(np.ndarray[Any, Any]):
    """A float32 array of values that are exactly representable as bfloat16."""


def to_array(value: Any) -> NDArray[Any]:
    """The values of a tensor or array; ``np.asarray`` of it has them without the mark of bfloat16.

    Args:
        value: a tensor, an array of another library, or anything that NumPy converts.

    Returns:
        An array; ``BFloat16`` for bfloat16.
    """
    if not isinstance(value, Tensor):
        return _foreign(value)
    array = np.asarray(value.detach())
    return array.view(BFloat16) if value.dtype == _core.bfloat16 else array


def _foreign(value: Any) -> NDArray[Any]:
    """By NumPy; what it cannot read, such as PyTorch's bfloat16, by DLPack, or with the message of that."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError, BufferError):
        if not hasattr(value, "__dlpack__"):
            raise
        return to_array(_core.asarray(value))
    return array.astype(np.float32).view(BFloat16) if array.dtype.name == "bfloat16" else array


def to_tensor(array: NDArray[Any]) -> Tensor:
    """The inverse of ``to_array``.

    Args:
        array: an array.

    Returns:
        A tensor.
    """
    tensor = _core.asarray(array)
    return _core.astype(tensor, _core.bfloat16) if isinstance(array, BFloat16) else tensor
