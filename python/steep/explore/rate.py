"""How many frames a second the page can show: ``python -m steep.explore.rate [MODEL [LAYER]]``.

A frame is all that the server does for one image of the camera: bytes to input, the network, maps to bytes, packing.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from steep import _core, zoo
from steep.explore.frames import packed
from steep.explore.graph import layers
from steep.explore.live import Live, Wish
from steep.explore.subject import Subject


@dataclass(frozen=True)
class Rate:
    """What was measured.

    Attributes:
        layer: the layer that was shown.
        frames: the number of frames.
        seconds: how long they took.
        size: bytes of a frame.
    """

    layer: str
    frames: int
    seconds: float
    size: int

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


def measured(subject: Subject, layer: str, frames: int = 100) -> Rate:
    """Time frames of random images, after the first, which compiles.

    Args:
        subject: the model.
        layer: the layer that is shown.
        frames: how many.

    Returns:
        A ``Rate``.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> subject = sp.explore.Subject("digits", model, model.preprocessing)
        >>> sp.explore.rate.measured(subject, "relu1", frames=2).size > 16 * 28 * 28
        True
    """
    live, size = Live(subject, layers(subject)), subject.preprocessing.size
    squares = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    wish = Wish((layer,), unit=0)
    body = packed(*live.frame(squares[0], wish))
    began = time.perf_counter()
    for i in range(frames):
        body = packed(*live.frame(squares[i % 4], wish))
    return Rate(layer, frames, time.perf_counter() - began, len(body))


def main(name: str = "squeezenet1_1", layer: str = "") -> None:
    """Print the rate of each layer with maps, or of one.

    Args:
        name: a model of the zoo.
        layer: its layer.
    """
    model = zoo.load(name)
    subject = Subject(name, model, model.preprocessing)
    shown = [each.name for each in layers(subject) if len(each.shape) == 3 and "." not in each.name.split("relu")[0]]
    print(f"{name} at {model.preprocessing.size} pixels, {_core.get_num_threads()} threads: frames a second")
    for each in [layer] if layer else shown:
        found = measured(subject, each)
        print(f"{found.rate:6.1f}  {each}, {found.size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
