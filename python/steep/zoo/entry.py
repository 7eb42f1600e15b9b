"""What the zoo knows of a model: its network, its weights' source and format, and how pictures become its input."""

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
    """How a file from elsewhere holds the weights.

    ``read``: its bytes to arrays. ``rename``: a layer's name, and its number among the layers with weights, to its name
    in the file; ``suffixes``: what the file adds for weight and bias. ``outputs_last``: kernels are (height, width, in,
    out). ``extras``: further arrays that are kept, own name to the file's.
    """

    read: Callable[[bytes], Arrays]
    rename: Callable[[str, int], str]
    suffixes: Mapping[str, str]
    outputs_last: bool = False
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A model: a row of ``table.py``.

    ``layers``: makes the network's layers by name. ``format``: None for a safetensors file that ships with steep.
    ``labels``: gives the names of the classes.
    """

    source: Source
    layers: Callable[[], Mapping[str, Layer]]
    preprocessing: Preprocessing
    format: Format | None
    labels: Callable[[], tuple[str, ...]] | None = None


def of_rows(rows: Rows, channels: int = 3) -> Callable[[], Mapping[str, Layer]]:
    """What makes the layers of ``rows``."""
    return lambda: build(rows, channels)[0]
