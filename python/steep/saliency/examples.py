"""The pictures of a data set that excite a unit most, and the part of each that the unit saw.

``top_k`` finds them, ``receptive_field`` finds which pixels reach a position of a layer, ``patches`` cuts them out. A
montage of nine, with the gradient of each, is what Zeiler and Fergus 2014 show; notes table, rows 59 and 63.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep.looking import looked, looking

Unit = Callable[[Any], Any]


@dataclass(frozen=True)
class Top:
    """``indices`` (k,) into the data set, most exciting first, with their ``values`` (k,).

    ``positions`` (k, d): where in the unit's map the value was found; d is 0 for a unit without positions.
    """

    indices: NDArray[np.int64]
    values: NDArray[np.float64]
    positions: NDArray[np.int64]


def unit(model: Any, layer: str, channel: int) -> Unit:
    """The function from a batch to the map (n, ...) of one channel of a layer."""
    return looked(lambda x: model.activations(x, layer)[layer][:, channel])


def top_k(dataset: Any, unit: Unit, k: int = 9, batch_size: int = 64) -> Top:
    """The ``k`` samples of ``dataset`` (n, ...) whose map by ``unit`` has the highest maximum; ties in their order.

    ``unit`` maps a batch to (n,) values or (n, ...) maps. Equal to NumPy's stable argsort of the negated maxima. Raises
    ValueError for a k or batch size below 1, or an empty data set.
    """
    if k < 1 or batch_size < 1 or not len(dataset):
        raise ValueError(f"top_k: k, batch_size and samples must be at least 1, got {k}, {batch_size}, {len(dataset)}")
    best, places = [], []
    with _core.no_grad(), looking():
        for first in range(0, len(dataset), batch_size):
            maps = np.asarray(unit(_core.asarray(dataset[first : first + batch_size])))
            flat = maps.reshape(len(maps), -1)
            at = flat.argmax(axis=1)
            best.append(flat[np.arange(len(flat)), at].astype(np.float64))
            places.append(np.stack(np.unravel_index(at, maps.shape[1:]), axis=-1) if maps.ndim > 1
                          else np.zeros((len(flat), 0), np.int64))  # fmt: skip
    values, positions = np.concatenate(best), np.concatenate(places)
    order = np.argsort(-values, kind="stable")[:k]
    return Top(order, values[order], positions[order])


def receptive_field(model: Any, layer: str, shape: tuple[int, ...], position: tuple[int, ...]) -> tuple[slice, slice]:
    """The smallest rectangle of pixels that can influence ``position`` of ``layer``, for inputs of ``shape`` (c, h, w).

    Found by sending NaN through the network from ever fewer rows and columns of pixels: it stops at nothing that it
    influences, so this holds for any model. Raises ValueError if the input reaches no such position.
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
    """What the unit saw of each sample of ``top``: (channels, height, width), the receptive field of its position."""
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
    with _core.no_grad(), looking():
        maps = np.asarray(model.activations(_core.asarray(probe), layer)[layer])
    at: Any = (0, slice(None), *position)
    return bool(np.isnan(maps[at]).any())
