"""What is explored: a model, how images become its input, the names of its classes, and the Python that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.data.images import Picture
from steep.scores import as_probabilities
from steep.zoo import Preprocessing

DEFAULT_SOURCE = "import steep as sp\n# model and way, a sp.zoo.Preprocessing, are yours"


@dataclass(frozen=True)
class Subject:
    """A model to explore.

    Args:
        name: its name, for people.
        model: a ``Module`` or ONNX model, in evaluation mode.
        preprocessing: from images to its input.
        classes: the names of its classes, if they are known.
        source: Python that makes ``model`` and ``way``, shown above the code of every result.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.explore.Subject("digits", model, model.preprocessing).label(3)
        '3'
    """

    name: str
    model: Any
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None = None
    source: str = DEFAULT_SOURCE

    @property
    def grey(self) -> bool:
        """Whether its images have one channel."""
        return self.preprocessing.channels == "grey"

    @property
    def scores(self) -> Callable[[Any], Any]:
        """The function that gives scores before a softmax."""
        found: Callable[[Any], Any] = self.model.unnormalised() if hasattr(self.model, "unnormalised") else self.model
        return found

    def label(self, index: int) -> str:
        """The name of a class, or its index.

        Args:
            index: the class.

        Returns:
            A string.
        """
        return self.classes[index] if self.classes and index < len(self.classes) else str(index)

    def pixels(self, square: Picture) -> Tensor:
        """A square of bytes as pixels in [0, 1], red first.

        Args:
            square: uint8 (size, size, 3).

        Returns:
            A float32 tensor (1, channels, size, size).
        """
        values = np.asarray(square).transpose(2, 0, 1)[None] / 255
        return _core.asarray(values.mean(axis=1, keepdims=True) if self.grey else values, dtype=_core.float32)

    def input(self, square: Picture) -> Tensor:
        """A square of bytes as the network's input.

        Args:
            square: uint8 (size, size, 3).

        Returns:
            A float32 tensor (1, channels, size, size).
        """
        return self.preprocessing.normalize(self.pixels(square))

    def top(self, scores: NDArray[Any], count: int = 5) -> list[dict[str, Any]]:
        """The classes with the highest scores.

        Args:
            scores: (classes,).
            count: how many.

        Returns:
            Dicts of index, name, score and probability, the most probable first.
        """
        shares = as_probabilities(scores)
        best = np.argsort(-shares, kind="stable")[:count]
        return [{"index": int(i), "name": self.label(int(i)), "score": float(scores[i]), "p": float(shares[i])}
                for i in best]  # fmt: skip
