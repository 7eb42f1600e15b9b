"""What a data set is: a length, and samples by index.

``TensorDataset`` makes one from arrays of equal length; any object with both methods can be used.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from steep import tree
from steep.io.arrays import to_array


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


@runtime_checkable
class Keyed(Protocol):
    """A data set whose samples differ from epoch to epoch, such as one with augmentations."""

    def sample(self, index: int, epoch: int) -> Any:
        """The sample at ``index`` in an epoch, a function of both alone.

        Args:
            index: number of the sample.
            epoch: number of the epoch, from 0.

        Returns:
            An array or number, or a tuple of them.
        """


class TensorDataset:
    """A data set of arrays or tensors along their first dimension: ``TensorDataset(x, y)[3]`` is ``(x[3], y[3])``.

    A single array gives samples without tuples. The arrays are not copied. In place of an array there may be a tuple or
    dict of arrays, for models with several inputs or outputs.

    Args:
        arrays: arrays of equal length, or tuples and dicts of them.

    Raises:
        ValueError: if lengths differ.

    Example:
        >>> len(sp.data.TensorDataset(np.zeros((3, 2)), np.arange(3)))
        3
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(_as_arrays(array) for array in arrays)
        shapes = [array.shape for array in tree.leaves(self.arrays)]
        if not shapes or any(len(shape) == 0 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(f"TensorDataset needs arrays of one length, got shapes {shapes}")
        self._length: int = shapes[0][0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{a.dtype}{a.shape}' for a in tree.leaves(self.arrays))})"

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        """The sample at ``index``, or the samples at a slice or an array of indices."""
        found = tuple(tree.map(lambda array: array[index], each) for each in self.arrays)
        return found if len(found) > 1 else found[0]

    def batch(self, indices: NDArray[np.int64]) -> Any:
        """The samples at ``indices``.

        Args:
            indices: an int64 array.

        Returns:
            An array, or a tuple of them.
        """
        return self[indices]


def _as_arrays(value: Any) -> Any:
    """An array; a dict, or a tuple of arrays, as a tree of arrays."""
    if isinstance(value, dict):
        return {name: _as_arrays(each) for name, each in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(each, dict) or is_array(each) for each in value):
        return tuple(_as_arrays(each) for each in value)
    return np.asarray(to_array(value))


def is_array(value: Any) -> bool:
    """Whether it is an array of any library: something with a shape, other than a number's.

    Args:
        value: anything.

    Returns:
        A bool.

    Example:
        >>> from steep.data.dataset import is_array
        >>> is_array(np.zeros(2)), is_array(np.float32(2.0)), is_array([2])
        (True, False, False)
    """
    return bool(getattr(value, "shape", ()))


def as_dataset(data: Any) -> Any:
    """Data as a data set: a tuple of arrays is one, by ``TensorDataset``; a data set is returned as it is.

    Args:
        data: a data set, or a tuple such as (x, y) or (x, y, weights).

    Returns:
        A data set.

    Raises:
        TypeError: for anything else.

    Example:
        >>> len(sp.data.as_dataset((np.zeros((3, 2)), np.arange(3))))
        3
    """
    if isinstance(data, tuple):
        return TensorDataset(*data)
    if hasattr(data, "dataset") and not hasattr(data, "__getitem__"):
        raise TypeError(f"a {type(data).__name__} gives batches; pass the data set that it loads: loader.dataset")
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")) or isinstance(data, np.ndarray | list | dict):
        raise TypeError(f"a data set, or a tuple (x, y), is needed, got {type(data).__name__}")
    return data
