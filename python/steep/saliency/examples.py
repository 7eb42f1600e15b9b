"""The samples of a data set with the highest activation of a neuron, and the part of each in its receptive field.

``top_k`` finds the samples, ``receptive_field`` the pixels that influence a position of a layer, ``patches`` crops
them. A montage of nine, each with its gradient, is shown in Zeiler and Fergus 2014, arXiv:1311.2901.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, distributed
from steep.display import displayed
from steep.evaluation import evaluating

Unit = Callable[[Any], Any]


@displayed
@dataclass(frozen=True)
class Top:
    """Result of ``top_k``.

    Attributes:
        indices: indices into the data set, (k,), highest activation first.
        values: their activations, (k,).
        positions: where in the feature map each maximum is, (k, d); d is 0 for a neuron without positions.
    """

    indices: NDArray[np.int64]
    values: NDArray[np.float64]
    positions: NDArray[np.int64]


def unit(model: Any, layer: str, channel: int) -> Unit:
    """The function from a batch to the activations of one channel of a layer.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer.
        channel: index of the channel.

    Returns:
        A function from inputs to feature maps (n, ...).

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.saliency.unit(model, "relu1", 3)(sp.zeros((2, 1, 28, 28))).shape
        (2, 28, 28)
    """
    return _Channel(model, layer, channel)


@dataclass(frozen=True)
class _Channel:
    """A class rather than a closure, so that other processes can be given it."""

    model: Any
    layer: str
    channel: int

    def __call__(self, x: Any) -> Any:
        with evaluating():
            return self.model.activations(x, self.layer)[self.layer][:, self.channel]


def top_k(dataset: Any, unit: Unit, k: int = 9, batch_size: int = 64, executor: Any = None) -> Top:
    """The samples of a data set with the highest maximum activation of a neuron or channel.

    Ties are in the order of the data set, as in NumPy's stable argsort of the negated maxima.

    Args:
        dataset: samples (n, ...).
        unit: a function from a batch to activations (n,) or (n, ...).
        k: number of samples.
        batch_size: number of samples evaluated at a time.
        executor: where batches are evaluated, as in ``distributed.map``; here, one after another, if None.

    Returns:
        A ``Top``.

    Raises:
        ValueError: for a k or batch size below 1, or an empty data set.

    References:
        Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", arXiv:1311.2901.

    Example:
        >>> sp.saliency.top_k(np.array([[1.0], [3.0], [2.0]]), lambda x: sp.asarray(x)[:, 0], k=2).indices
        array([1, 2])
    """
    return _best(*_maxima("top_k", dataset, unit, k, batch_size, 1, executor), k)


def _maxima(
    who: str, dataset: Any, unit: Unit, k: int, batch_size: int, kept: int, executor: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The maximum over all dimensions but the first ``kept``, and its position, for every sample of a data set."""
    if k < 1 or batch_size < 1 or not len(dataset):
        raise ValueError(f"{who}: k, batch_size and samples must be at least 1, got {k}, {batch_size}, {len(dataset)}")
    of_batch = partial(_maxima_of, kept=kept)
    if executor is not None:
        found = distributed.map(of_batch, unit, dataset, chunk=batch_size, executor=executor).arrays()
        return found["values"], found["positions"]
    starts = range(0, len(dataset), batch_size)
    parts = [of_batch(unit, _core.asarray(dataset[first : first + batch_size])) for first in starts]
    return (
        np.concatenate([part["values"] for part in parts]),
        np.concatenate([part["positions"] for part in parts]),
    )


def _maxima_of(unit: Unit, x: Any, *, kept: int) -> dict[str, NDArray[Any]]:
    """The maxima of a batch, and their positions."""
    with _core.no_grad(), evaluating():
        maps = np.asarray(unit(x))
    flat = maps.reshape(*maps.shape[:kept], -1)
    at = flat.argmax(axis=-1)
    values = np.take_along_axis(flat, at[..., None], -1)[..., 0].astype(np.float64)
    places = np.unravel_index(at, maps.shape[kept:]) if maps.ndim > kept else ()
    return {"values": values, "positions": np.stack(places, -1) if places else np.zeros((*at.shape, 0), np.int64)}


def _best(values: NDArray[np.float64], positions: NDArray[np.int64], k: int) -> Top:
    """The ``k`` highest of the samples' maxima."""
    order = np.argsort(-values, kind="stable")[:k]
    return Top(order, values[order], positions[order])


def top_k_by_channel(dataset: Any, layer: Unit, k: int = 9, batch_size: int = 64, executor: Any = None) -> list[Top]:
    """The samples with the highest maximum activation, for every channel of a layer, from one pass over a data set.

    Args:
        dataset: samples (n, ...).
        layer: a function from a batch to the activations of a layer, (n, channels, ...).
        k: number of samples.
        batch_size: number of samples evaluated at a time.
        executor: where batches are evaluated, as in ``distributed.map``; here, one after another, if None.

    Returns:
        For each channel the ``Top`` that ``top_k`` gives for it.

    Raises:
        ValueError: for a k or batch size below 1, or an empty data set.

    Example:
        >>> samples = np.array([[1.0, 5.0], [3.0, 4.0], [2.0, 6.0]])
        >>> [top.indices.tolist() for top in sp.saliency.top_k_by_channel(samples, lambda x: sp.asarray(x), k=2)]
        [[1, 2], [2, 0]]
    """
    values, positions = _maxima("top_k_by_channel", dataset, layer, k, batch_size, 2, executor)
    return [_best(values[:, channel], positions[:, channel], k) for channel in range(values.shape[1])]


def receptive_field(model: Any, layer: str, shape: tuple[int, ...], position: tuple[int, ...]) -> tuple[slice, slice]:
    """The smallest rectangle of pixels that can influence a position of a layer.

    It is found by propagating NaN from fewer and fewer rows and columns of pixels, so it is correct for any model.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer.
        shape: shape of an input, (channels, height, width).
        position: index of the position in the feature map.

    Returns:
        Slices of rows and of columns.

    Raises:
        ValueError: if no pixel influences the position.

    Example:
        >>> model = sp.nn.Sequential({"conv": sp.nn.Conv2d(1, 2, 3, generator=0)})
        >>> sp.saliency.receptive_field(model, "conv", (1, 8, 8), (2, 2))
        (slice(2, 5, None), slice(2, 5, None))
    """

    def along(axis: int) -> slice:
        def reaches(first: int, end: int) -> bool:
            return _reaches(model, layer, shape, position, axis, slice(first, end))

        size = shape[axis]
        if not reaches(0, size):
            raise ValueError(f"receptive_field: no pixel of {shape} reaches position {position} of layer {layer!r}")
        first = bisect_left(range(1, size), True, key=lambda end: reaches(0, end))
        last = size - 1 - bisect_left(range(1, size), True, key=lambda count: reaches(size - count, size))
        return slice(first, last + 1)

    return along(1), along(2)


def patches(model: Any, layer: str, dataset: Any, top: Top) -> list[NDArray[Any]]:
    """The receptive fields at which the samples of ``top`` have their maximum activation.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer.
        dataset: the data set that was given to ``top_k``.
        top: its result.

    Returns:
        A list of arrays (channels, height, width).

    References:
        Zeiler and Fergus 2014, arXiv:1311.2901.

    Example:
        >>> model = sp.nn.Sequential({"conv": sp.nn.Conv2d(1, 2, 3, generator=0)})
        >>> data = np.ones((2, 1, 8, 8), np.float32)
        >>> top = sp.saliency.top_k(data, sp.saliency.unit(model, "conv", 0), k=1)
        >>> sp.saliency.patches(model, "conv", data, top)[0].shape
        (1, 3, 3)
    """
    fields: dict[tuple[int, ...], tuple[slice, slice]] = {}
    cut = []
    for index, place in zip(top.indices, top.positions, strict=True):
        sample, at = np.asarray(dataset[int(index)]), tuple(int(i) for i in place)
        if at not in fields:
            fields[at] = receptive_field(model, layer, sample.shape, at)
        rows, columns = fields[at]
        cut.append(sample[:, rows, columns])
    return cut


def _reaches(
    model: Any, layer: str, shape: tuple[int, ...], position: tuple[int, ...], axis: int, lines: slice
) -> bool:
    """Whether pixels on these lines along ``axis`` influence the position."""
    probe = np.zeros((1, *shape), np.float32)
    np.moveaxis(probe[0], axis, 0)[lines] = np.nan
    with _core.no_grad(), evaluating():
        maps = np.asarray(model.activations(_core.asarray(probe), layer)[layer])
    at: Any = (0, slice(None), *position)
    return bool(np.isnan(maps[at]).any())
