"""Between tensors and the NumPy arrays that files are made of. NumPy has no bfloat16: such values travel as float32.

``BFloat16`` marks those arrays, so that safetensors stores two bytes a value and gives a bfloat16 tensor back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor


class BFloat16(np.ndarray[Any, Any]):
    """A float32 array of values that are bfloat16s."""


def to_array(value: Any) -> NDArray[Any]:
    """The values of a tensor or of anything that NumPy takes for an array."""
    if not isinstance(value, Tensor):
        return np.asarray(value)
    array = np.asarray(value.detach())
    return array.view(BFloat16) if value.dtype == _core.bfloat16 else array


def to_tensor(array: NDArray[Any]) -> Tensor:
    """The tensor that ``to_array`` was given."""
    tensor = _core.asarray(array)
    return _core.astype(tensor, _core.bfloat16) if isinstance(array, BFloat16) else tensor
