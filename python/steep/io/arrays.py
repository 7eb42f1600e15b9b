"""Conversion between tensors and the NumPy arrays that files are made of. NumPy has no bfloat16: it becomes float32.

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
    """The values of a tensor or array.

    Args:
        value: a tensor, or anything that NumPy converts.

    Returns:
        An array; ``BFloat16`` for bfloat16.
    """
    if not isinstance(value, Tensor):
        return np.asarray(value)
    array = np.asarray(value.detach())
    return array.view(BFloat16) if value.dtype == _core.bfloat16 else array


def to_tensor(array: NDArray[Any]) -> Tensor:
    """The inverse of ``to_array``.

    Args:
        array: an array.

    Returns:
        A tensor.
    """
    tensor = _core.asarray(array)
    return _core.astype(tensor, _core.bfloat16) if isinstance(array, BFloat16) else tensor
