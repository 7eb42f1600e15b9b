"""What a data set is: a length, and samples by index.

``TensorDataset`` makes one from arrays of equal length; any object with both methods can be used.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Dataset(Protocol):
    """A data set: samples 0 to ``len - 1``, each an array or number, or a tuple of them."""

    def __len__(self) -> int:
        """The number of samples."""

    def __getitem__(self, index: Any) -> Any:
        """The sample at ``index``."""


@runtime_checkable
class Batched(Protocol):
    """A data set that can return many samples at once, faster than one by one."""

    def batch(self, indices: NDArray[np.int64]) -> Any:
        """The samples at ``indices``, stacked.

        Args:
            indices: an int64 array.

        Returns:
            An array, or a tuple of them.
        """


class TensorDataset:
    """A data set of arrays or tensors along their first dimension: ``TensorDataset(x, y)[3]`` is ``(x[3], y[3])``.

    A single array gives samples without tuples. The arrays are not copied.

    Args:
        arrays: arrays of equal length.

    Raises:
        ValueError: if lengths differ.

    Example:
        >>> len(sp.data.TensorDataset(np.zeros((3, 2)), np.arange(3)))
        3
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(np.asarray(array) for array in arrays)
        shapes = [array.shape for array in self.arrays]
        if not shapes or any(len(shape) == 0 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(f"TensorDataset needs arrays of one length, got shapes {shapes}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{a.dtype}{a.shape}' for a in self.arrays)})"

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> Any:
        """The sample at ``index``, or the samples at a slice or an array of indices."""
        found = tuple(array[index] for array in self.arrays)
        return found if len(found) > 1 else found[0]

    def batch(self, indices: NDArray[np.int64]) -> Any:
        """The samples at ``indices``.

        Args:
            indices: an int64 array.

        Returns:
            An array, or a tuple of them.
        """
        return self[indices]
