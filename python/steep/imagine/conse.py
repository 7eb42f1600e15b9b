"""``Photos``: towers for photographs without any training, from a classifier and a sentence encoder.

A picture's vector is the mean of the vectors of the classes' names, each weighted by its probability; a text's vector
is the sentence encoder's. So a text may name what is no class, if classes are near it. ``CONSE`` lists those by name.

Norouzi et al. 2014, "Zero-shot learning by convex combination of semantic embeddings", arXiv:1312.5650.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steep import _core, zoo
from steep._core import Tensor
from steep.evaluation import evaluating
from steep.imagine.any_towers import AnyTowers, direction, resized
from steep.imagine.recipes import Say, kept_texts, quiet
from steep.text import TextEncoder, encoder

SCALE = 20.0  # of similarities
FACE = 0.8  # of the sides of a drawn portrait: networks of expressions have learnt faces without what is around them


class Classes(NamedTuple):
    """Towers by name: a classifier of the zoo, its classes as texts, what these are kept as, what part is looked at."""

    model: str
    template: str
    kept: str
    part: float = 1.0


CONSE = {
    "photos": Classes("efficientnet_lite0", "a photo of a {}", "imagenet_texts"),
    "faces": Classes("face_expressions", "a {} face", "faces_texts", FACE),
    "faces_judge": Classes("mini_xception", "a {} face", "faces_judge_texts", FACE),
}


class Photos(AnyTowers):
    """A classifier, EfficientNet-Lite0 of photographs or one of expressions, and MiniLM, used as ``Towers`` are.

    Args:
        model: a classifier of the zoo with the names of its classes.
        words: the sentence encoder.
        classes: the encoder's vectors of the classes' names, (classes, size).
        name: what they are called in messages.
        part: the part of a drawn picture's sides that is looked at, in the middle; 1.0 is all of it.

    Attributes:
        way: from pictures to the classifier's input.
        log_scale: the logarithm of the scale of similarities, which nothing has learnt.
    """

    def __init__(
        self,
        model: zoo.Pretrained,
        words: TextEncoder,
        classes: NDArray[np.float32],
        name: str = "photos",
        part: float = 1.0,
    ) -> None:
        self.model, self._words, self.name, self.part = model, words, name, part
        self.way = replace(model.preprocessing, margin=1.0)  # nothing is cut off
        self.mean = classes.mean(axis=0)
        self.classes = classes - self.mean
        self.log_scale = _core.tensor(float(np.log(SCALE)), dtype=_core.float32)

    def forward(self, x: Any) -> Tensor:
        """The vectors of the classifier's inputs; differentiable.

        Args:
            x: inputs (n, channels, height, width).

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(_core.softmax(self.model(x), axis=-1) @ self.classes)

    def text_vectors(self, features: Any) -> Tensor:
        """The vectors of texts from the encoder's features; differentiable.

        Args:
            features: a tensor (n, size).

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(_core.asarray(features) - self.mean)

    def encode(self, pixels: Any) -> Tensor:
        """The vectors of pictures of any size; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) in [0, 1].

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(_core.softmax(self.logits(pixels), axis=-1) @ self.classes)

    def logits(self, pixels: Any) -> Tensor:
        """The classifier's outputs for pictures of any size; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) in [0, 1].

        Returns:
            Logits (n, classes).
        """
        middle = middle_part(_core.asarray(pixels), self.part)
        found: Tensor = self.model(self.way.normalize(resized(middle, self.way.size)))
        return found

    def objective(self, wanted: NDArray[np.float32]) -> Callable[[Any], Tensor]:
        """Minus the cross-entropy of a picture's classes with a text's, which are those whose names are near it.

        The cosine would hardly change where the classifier is sure of another class.

        Args:
            wanted: the text's vector.

        Returns:
            A function of pictures (n, 3, height, width) in [0, 1] that gives (n,).
        """
        with _core.no_grad():
            meant = _core.softmax((direction(self.classes) @ wanted) * _core.exp(self.log_scale), axis=-1)
        return lambda pixels: _core.log_softmax(self.logits(pixels), axis=-1) @ meant

    def seen(self, pixels: Any) -> str:
        """The most probable class of a picture, and its probability; "" of a classifier without names.

        Args:
            pixels: a picture (1, 3, height, width) in [0, 1].

        Returns:
            A string such as "happy 0.97".
        """
        names = getattr(self.model, "classes", None)
        if names is None:
            return ""
        with _core.no_grad(), evaluating():
            chances = np.asarray(_core.softmax(self.logits(pixels), axis=-1))[0]
        first = int(chances.argmax())
        return f"{names[first]} {chances[first]:.2f}"


def middle_part(pixels: Tensor, part: float) -> Tensor:
    """The middle of pictures (n, channels, height, width), ``part`` of each side."""
    if part == 1.0:
        return pixels
    rows, columns = (round(size * (1 - part) / 2) for size in pixels.shape[2:])
    middle: Tensor = pixels[:, :, rows : pixels.shape[2] - rows, columns : pixels.shape[3] - columns]
    return middle


def conse(name: str, say: Say = quiet) -> Photos:
    """Towers of ``CONSE``; the vectors of the classes' names are computed at first use and kept.

    Args:
        name: their name.
        say: called with what is being done, and how much of it.

    Returns:
        The towers.

    Raises:
        FetchError: if what it needs cannot be downloaded.
    """
    row = CONSE[name]
    model = zoo.load(row.model)
    texts = [row.template.format(each) for each in model.classes or ()]
    return Photos(model, encoder(), kept_texts(row.kept, texts, "encoding classes", say), name, row.part)
