"""What all work needs: the model, its layers, the images, and the Python that is shown beside a result.

Each kind of work is a function of a ``Desk``, a ``Job`` and what was ``Asked``; ``table.py`` lists them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.evaluation import evaluating
from steep.explore.asked import Asked
from steep.explore.graph import Layer, layers
from steep.explore.jobs import Job, described
from steep.explore.live import Live
from steep.explore.pictures import Pictures, Shown
from steep.explore.subject import Subject
from steep.saliency import Top


class Desk:
    """A model with its layers and images.

    Args:
        open: opens the model; called once, and again for a copy whose weights may be written.
        folder: a folder of images, or None.

    Attributes:
        subject: the model.
        layers: its layers; empty if they cannot be listed.
        fault: why they cannot, "" if they can.
        class_count: the number of classes; 0 if the model is no classifier.
        found: the top examples of each channel, by layer.
        fields: receptive fields, by layer and position.
    """

    def __init__(self, open: Callable[[], Subject], folder: Path | None = None) -> None:
        self.open, self.subject = open, open()
        self.layers: list[Layer] = []
        self.fault = ""
        self.class_count = 0
        try:
            self.layers = layers(self.subject)
            self.class_count = _class_count(self.subject)
        except Exception as error:  # of the user's model, which may raise anything
            self.fault = described(error)
        self.found: dict[str, list[Top]] = {}
        self.fields: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        self.pictures = Pictures(self.subject, folder)
        self.live = Live(self.subject, self.layers)
        self._copy: Subject | None = None
        self._lock = threading.Lock()

    @property
    def copy(self) -> Subject:
        """The model opened a second time, for what changes its weights."""
        with self._lock:
            self._copy = self._copy or self.open()
            return self._copy

    def layer(self, asked: Asked) -> Layer:
        """The layer that was asked for. Raises ValueError for an unknown one."""
        name = asked.choice("layer", [layer.name for layer in self.layers])
        return next(layer for layer in self.layers if layer.name == name)

    def shown(self, asked: Asked) -> Shown:
        """The image that was asked for. Raises ValueError if it is not kept."""
        return self.pictures[asked.integer("picture", 0, 1 << 53)]

    def classes(self) -> int:
        """The number of classes. Raises ValueError if the model is no classifier."""
        if not self.class_count:
            why = self.fault or "it is not a classifier"
            raise ValueError(f"{self.subject.name} gives no score for each of two classes or more: {why}")
        return self.class_count

    def default_layer(self) -> str:
        """A layer with maps at two thirds of those there are, for Grad-CAM; "" if there is none."""
        maps = [layer.name for layer in self.layers if len(layer.shape) == 3 and min(layer.shape[1:]) > 1]
        return maps[2 * len(maps) // 3] if maps else ""

    # -- the Python that is shown ---------------------------------------------------------------------------------

    def code(self, *lines: str, imports: str = "") -> str:
        """Python that gives a result again.

        Args:
            lines: what follows once ``model`` and ``way`` are there.
            imports: further imports.
        """
        first, _, rest = self.subject.source.partition("\n")
        return "\n".join(line for line in (first, imports, rest, *lines) if line)

    def square_code(self, shown: Shown) -> list[str]:
        """Python that makes ``square``, the bytes that the network sees."""
        if shown.file is None:
            return [f"square = sp.data.read_image({shown.name + '.png'!r})  # as this page saves it"]
        return [f"square = sp.data.images.to_square(sp.data.read_image({shown.file!r}), way.size, way.margin)"]

    def input_code(self, shown: Shown) -> list[str]:
        """Python that makes ``x``, the network's input."""
        if shown.file is not None:
            return [f"x = way.preprocess(sp.data.read_image({shown.file!r}))"]
        return [*self.square_code(shown), *self.pixels_code(), "x = way.normalize(pixels)"]

    def pixels_code(self) -> list[str]:
        """Python that makes ``pixels`` in [0, 1] of ``square``."""
        grey = ".mean(axis=1, keepdims=True)" if self.subject.grey else ""
        return [f"pixels = sp.asarray((square.transpose(2, 0, 1)[None] / 255){grey}, dtype=sp.float32)"]


def _class_count(subject: Subject) -> int:
    with _core.no_grad(), evaluating():
        scores = subject.model(subject.input(np.zeros((subject.preprocessing.size,) * 2 + (3,), np.uint8)))
    plain = isinstance(scores, Tensor) and scores.ndim == 2 and len(scores) == 1
    return scores.shape[1] if plain and scores.shape[1] > 1 else 0


def watched(job: Job, model: Any) -> Callable[[Tensor], Any]:
    """A model that ends the job when it is cancelled, at its next call.

    Args:
        job: the job.
        model: the model.

    Returns:
        A function of inputs.
    """

    def run(x: Tensor) -> Any:
        job.check()
        return model(x)

    return run
