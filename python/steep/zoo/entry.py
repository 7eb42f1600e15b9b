"""What the zoo stores about a model: its network, its weights' source and format, and its preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from steep.data.fetch import Source
from steep.nn.containers import Layer
from steep.zoo.build import Rows, build
from steep.zoo.preprocessing import Preprocessing

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Format:
    """How an external file holds the weights.

    Attributes:
        read: from the bytes of the file, and of those beside it, to arrays.
        rename: from a layer's name, and its index among the layers with weights, to its name in the file.
        suffixes: what the file appends for weight and bias.
        outputs_last: whether kernels are (height, width, in, out), and matrices (in, out).
        extras: arrays that ``rename`` does not find, own name to the file's.
    """

    read: Callable[..., Arrays]
    rename: Callable[[str, int], str]
    suffixes: Mapping[str, str]
    outputs_last: bool = False
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A model: a row of ``table.py``.

    Attributes:
        source: where the weights come from.
        layers: makes the network's layers by name.
        preprocessing: from images to inputs; None where the input is no image.
        format: format of the weights; None for a safetensors file that ships with steep, or layers with their weights.
        labels: returns the names of the classes.
        complete: whether ``layers`` makes layers with their weights, from files that it fetches.
        beside: further files that the format needs.
    """

    source: Source
    layers: Callable[[], Mapping[str, Layer]]
    preprocessing: Preprocessing | None
    format: Format | None
    labels: Callable[[], tuple[str, ...]] | None = None
    complete: bool = False
    beside: tuple[Source, ...] = ()


def of_rows(rows: Rows, channels: int = 3) -> Callable[[], Mapping[str, Layer]]:
    """A function that makes the layers of ``rows``.

    Args:
        rows: rows of ``build``.
        channels: channels of the input.

    Returns:
        The function.
    """
    return lambda: build(rows, channels)[0]
