"""``Photos``: towers for photographs without any training, from a classifier and a sentence encoder.

A picture's vector is the mean of the vectors of the classes' names, each weighted by its probability; a text's vector
is the sentence encoder's. So a text may name what is no class, if classes are near it.

Norouzi et al. 2014, "Zero-shot learning by convex combination of semantic embeddings", arXiv:1312.5650.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, zoo
from steep._core import Tensor
from steep.imagine.recipes import Say, kept, origin_of, quiet
from steep.imagine.towers import direction, in_batches, resized, square
from steep.text import TextEncoder, encoder
from steep.zoo.table import MINILM_FILE

TEMPLATE = "a photo of a {}"
SCALE = 20.0  # of similarities


class Photos:
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
        self.model, self._words, self.way = model, words, model.preprocessing
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

    def encode(self, pixels: Any) -> Tensor:
        """The vectors of pictures of any size; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) in [0, 1].

        Returns:
            Vectors (n, size) of length 1.
        """
        return self.forward(self.way.normalize(resized(pixels, self.way.size)))

    def text_vectors(self, features: Any) -> Tensor:
        """The vectors of texts from the encoder's features; differentiable.

        Args:
            features: a tensor (n, size).

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(_core.asarray(features) - self.mean)

    def ready(self) -> TextEncoder:
        """The encoder of texts.

        Returns:
            A ``TextEncoder``.
        """
        return self._words

    def texts(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts.

        Args:
            texts: a text, or a list of them.

        Returns:
            An array (n, size).
        """
        with _core.no_grad():
            return np.asarray(self.text_vectors(self._words(texts)))

    def images(self, pictures: Sequence[Any], callback: Callable[[int, int], object] | None = None) -> NDArray[Any]:
        """The vectors of pictures.

        Args:
            pictures: images of any size, uint8 (H, W, 3) or what ``data.images.to_square`` takes.
            callback: called with the number of pictures so far, and of all.

        Returns:
            An array (n, size).
        """
        with _core.no_grad():
            return in_batches(self, self.inputs(pictures), callback)

    def inputs(self, pictures: Sequence[Any]) -> NDArray[np.uint8]:
        """Pictures as squares of the classifier's size.

        Args:
            pictures: as in ``images``.

        Returns:
            A uint8 array (n, size, size, 3).
        """
        return np.stack([square(picture, self.way.size) for picture in pictures])


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

    return Photos(model, words, kept("imagenet_texts", origin_of(MINILM_FILE.sha256, str(len(texts))), make))
