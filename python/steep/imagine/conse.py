"""``Photos``: towers for photographs without any training, from a classifier and a sentence encoder.

A picture's vector is the mean of the vectors of the classes' names, each weighted by its probability; a text's vector
is the sentence encoder's. So a text may name what is no class, if classes are near it.

Norouzi et al. 2014, "Zero-shot learning by convex combination of semantic embeddings", arXiv:1312.5650.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, zoo
from steep._core import Tensor
from steep.imagine.any_towers import AnyTowers, direction
from steep.imagine.kept import kept_array, origin_of
from steep.imagine.recipes import Say, quiet
from steep.text import TextEncoder, encoder
from steep.zoo.table import MINILM_FILE

TEMPLATE = "a photo of a {}"
SCALE = 20.0  # of similarities


class Photos(AnyTowers):
    """EfficientNet-Lite0 and MiniLM, used as ``Towers`` are.

    Args:
        model: a classifier of the zoo with the names of its classes.
        words: the sentence encoder.
        classes: the encoder's vectors of the classes' names, (classes, size).

    Attributes:
        way: from pictures to the classifier's input.
        log_scale: the logarithm of the scale of similarities, which nothing has learnt.
    """

    name = "photos"

    def __init__(self, model: zoo.Pretrained, words: TextEncoder, classes: NDArray[np.float32]) -> None:
        self.model, self._words = model, words
        self.way = replace(model.preprocessing, margin=1.0)  # nothing is cut off
        self.mean = classes.mean(axis=0)
        self.classes = classes - self.mean
        self.log_scale = _core.tensor(float(np.log(SCALE)), dtype=_core.float32)

    def forward(self, x: Any) -> Tensor:
        """The vectors of the classifier's inputs; differentiable.

        Args:
            x: inputs (n, 3, height, width).

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


def photos(say: Say = quiet) -> Photos:
    """EfficientNet-Lite0 and MiniLM; the vectors of the classes' names are computed at first use and kept.

    Args:
        say: called with what is being done, and how much of it.

    Returns:
        The towers.

    Raises:
        FetchError: if what it needs cannot be downloaded.
    """
    model, words = zoo.load("efficientnet_lite0"), encoder()
    texts = [TEMPLATE.format(name) for name in model.classes or ()]

    def make() -> NDArray[Any]:
        return np.asarray(words(texts, lambda done, total: say("encoding classes", done, total)))

    return Photos(model, words, kept_array("imagenet_texts", origin_of(MINILM_FILE.sha256, str(len(texts))), make))
