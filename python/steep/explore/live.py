"""The network's activations at camera rate: a compiled forward pass, and maps of channels as bytes.

``Live.frame`` runs the network on one square image and gives what the page paints: for each layer that is asked for
one byte per position and channel, with the channel's range, and the classes with the highest scores.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.data.images import Picture
from steep.evaluation import evaluating
from steep.explore.graph import Layer
from steep.explore.subject import Subject
from steep.optim.loop import Part

SIDE = 64  # positions of a map that are sent in each direction; larger ones are averaged
MOST = 1024  # channels that are sent at a time
COMPILED = 6  # functions kept, one for each choice of layers
BEAT = 0.25  # seconds between looks at whether a frame is still wanted


@dataclass(frozen=True)
class Wish:
    """What a frame shows: the layers, which of their channels, and one unit in full.

    Attributes:
        layers: names of layers.
        first: the first channel.
        count: the number of channels of each layer.
        side: the largest side of a map.
        unit: a channel of the first layer whose values are sent as they are, or None.
    """

    layers: tuple[str, ...]
    first: int = 0
    count: int = MOST
    side: int = SIDE
    unit: int | None = None


class Live:
    """The forward pass of a model, compiled for what the page looks at.

    Args:
        subject: the model.
        layers: its layers.
    """

    def __init__(self, subject: Subject, layers: Sequence[Layer]) -> None:
        self.subject, self.layers = subject, {layer.name: layer for layer in layers}
        self._parts: OrderedDict[Any, Part] = OrderedDict()
        self._lock = threading.Lock()

    def frame(
        self, square: Picture, wish: Wish, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """A frame: a header and arrays, as ``frames.packed`` takes them.

        Args:
            square: uint8 (size, size, 3).
            wish: what is shown.
            wanted: asked while the frame waits for another one: whether anybody still waits for it.

        Returns:
            The header: "top", the classes; "layers", for each its number of channels, the sizes of its maps and the
            range of each channel; "unit". The arrays: uint8 (channels, h, w) per layer, then float32 (h, w).

        Raises:
            ValueError: for an unknown layer or channel.
            ConnectionError: if it is not wanted any more.
        """
        unknown = [name for name in wish.layers if name not in self.layers]
        if unknown:
            raise ValueError(f"{self.subject.name} has no layer {unknown[0]!r}")
        with self._turn(wanted):
            began = time.perf_counter()
            found = [np.asarray(value) for value in self._run(self.subject.pixels(square), wish)]
            scores, maps = found[0], found[1:]
            header: dict[str, Any] = {"kind": "frame", "layers": [], "top": self._top(scores)}
            more: list[NDArray[Any]] = []
            for name, values in zip(wish.layers, maps, strict=False):
                section, made = quantised(values)
                channels = self.layers[name].shape[0]
                header["layers"].append({"name": name, "first": wish.first, "channels": channels, **section})
                more.append(made)
            if wish.unit is not None:
                values = maps[-1][self._checked(wish)].astype(np.float32)
                header["unit"] = {"h": values.shape[0], "w": values.shape[1], "lo": float(values.min()),
                                  "hi": float(values.max()), "mean": float(values.mean())}  # fmt: skip
                more.append(values)
            header["ms"] = (time.perf_counter() - began) * 1000
            return header, more

    @contextmanager
    def _turn(self, wanted: Callable[[], bool]) -> Iterator[None]:
        """One frame at a time. A model that never returns holds up the frames, but no thread whose tab has gone."""
        while not self._lock.acquire(timeout=BEAT):
            if not wanted():
                raise ConnectionError("the browser went away")
        try:
            yield
        finally:
            self._lock.release()

    def _checked(self, wish: Wish) -> int:
        """The channel of the unit. Raises ValueError unless the layer has it."""
        layer = self.layers[wish.layers[0]]
        if wish.unit is None or not 0 <= wish.unit < layer.shape[0]:
            raise ValueError(f"layer {layer.name!r} has the channels 0 to {layer.shape[0] - 1}, not {wish.unit}")
        return wish.unit

    def _top(self, scores: NDArray[Any]) -> list[dict[str, Any]]:
        """The best classes; none if the output is not one score per class."""
        plain = scores.ndim == 2 and len(scores) == 1 and scores.shape[1] > 1 and np.isfinite(scores).all()
        return self.subject.top(scores[0]) if plain else []

    def _run(self, pixels: Tensor, wish: Wish) -> list[Any]:
        """The scores, the maps of each layer, and if a unit is shown the first layer's in full."""
        key = replace(wish, unit=None if wish.unit is None else 0)  # whichever unit: its layer is returned in full
        if key not in self._parts:
            self._parts[key] = Part(self._forward(key), True)
        self._parts.move_to_end(key)
        while len(self._parts) > COMPILED:
            self._parts.popitem(last=False)
        with _core.no_grad(), evaluating():
            found: list[Any] = self._parts[key](pixels)
        return found

    def _forward(self, wish: Wish) -> Callable[[Tensor], list[Any]]:
        model, way = self.subject.model, self.subject.preprocessing
        output = getattr(model, "outputs", [""])[0]
        names = list(dict.fromkeys([*wish.layers, output]))

        def run(pixels: Tensor) -> list[Any]:
            x = way.normalize(pixels)
            found = model.activations(x, names) if hasattr(model, "activations") else {"": model(x)}
            maps = [as_maps(found[name]) for name in wish.layers]
            small = [pooled(m[wish.first : wish.first + wish.count], wish.side) for m in maps]
            return [found[output], *small, *(maps[:1] if wish.unit is not None else [])]

        return run


def as_maps(values: Tensor) -> Tensor:
    """Activations (1, channels, ...) as maps (channels, h, w); what has no positions has 1 by 1.

    Args:
        values: the activations of one image.

    Returns:
        A tensor with three dimensions.
    """
    shape = tuple(values.shape[1:])
    tail = (1, 1) if len(shape) == 1 else (1, shape[1]) if len(shape) == 2 else (-1, shape[-1])
    return _core.reshape(values, (shape[0], *tail))


def pooled(maps: Tensor, side: int) -> Tensor:
    """Maps (channels, h, w) averaged over squares so that neither side is longer than ``side``.

    Args:
        maps: the maps.
        side: the largest number of positions in each direction.

    Returns:
        A tensor (channels, at most side, at most side).
    """
    height, width = maps.shape[1:]
    by = (-(-height // side), -(-width // side))
    return maps if by == (1, 1) else _core.avg_pool2d(maps[None], by, by)[0]


def quantised(maps: NDArray[Any]) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Maps as bytes, 0 for the lowest value of a channel and 255 for its highest.

    Args:
        maps: (channels, h, w).

    Returns:
        A dict with "h", "w", and "lo" and "hi" for each channel; a uint8 array of the same shape. NaN is the lowest.
    """
    channels, height, width = maps.shape
    flat = maps.reshape(channels, -1)
    if not np.isfinite(flat).all():
        flat = np.nan_to_num(flat, nan=0.0, posinf=3e38, neginf=-3e38)
    low, high = flat.min(axis=1), flat.max(axis=1)
    scale = 255 / np.maximum(high - low, 1e-30)
    made = np.rint((flat - low[:, None]) * scale[:, None]).astype(np.uint8)
    section = {"h": height, "w": width, "lo": low.tolist(), "hi": high.tolist()}
    return section, made.reshape(channels, height, width)
