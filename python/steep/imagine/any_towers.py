"""``AnyTowers``: what every pair of towers does for texts and pictures, whatever its networks are.

A kind of towers adds its networks: ``forward`` for the inputs of its image encoder, ``text_vectors`` for what its text
encoder gives. Start reading at ``AnyTowers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, compile
from steep._core import Tensor
from steep.data.images import to_square
from steep.evaluation import evaluating
from steep.nn import functional
from steep.text import TextEncoder
from steep.zoo import Preprocessing

BATCH = 8  # pictures at once: of more, a layer's outputs do not stay in the processor's cache
WORTH = 32  # pictures for which compiling is worth its time


class AnyTowers:
    """Two networks into one space. ``images`` and ``texts`` give vectors of length 1, whose products are similarities.

    Attributes:
        name: what they are called in messages and files.
        way: from pictures to the image encoder's input.
        log_scale: the logarithm of the scale of similarities.
        compiled: whether many pictures go through a compiled forward pass.
    """

    name: str
    way: Preprocessing
    log_scale: Tensor
    compiled: bool = True
    _words: TextEncoder | None = None

    def forward(self, x: Any) -> Tensor:
        """The vectors of inputs; differentiable.

        Args:
            x: inputs (n, 3, size, size), as ``way`` gives them.

        Returns:
            Vectors (n, d) of length 1.
        """
        raise NotImplementedError

    def text_vectors(self, features: Any) -> Tensor:
        """The vectors of texts from what the encoder of texts gives; differentiable.

        Args:
            features: a tensor (n, features).

        Returns:
            Vectors (n, d) of length 1.
        """
        raise NotImplementedError

    def ready(self) -> TextEncoder:
        """The encoder of texts, MiniLM fetched on demand where there is no other.

        Returns:
            A ``TextEncoder``.
        """
        if self._words is None:
            from steep.text import encoder

            self._words = encoder()
        return self._words

    def texts(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts.

        Args:
            texts: a text, or a list of them.

        Returns:
            An array (n, d).

        Raises:
            ValueError: for a text without a word.
        """
        with _core.no_grad():
            return np.asarray(self.text_vectors(self.ready()(texts)))

    def images(self, pictures: Sequence[Any], callback: Callable[[int, int], object] | None = None) -> NDArray[Any]:
        """The vectors of pictures.

        Args:
            pictures: images of any size, uint8 (H, W, 3) or what ``data.images.to_square`` takes.
            callback: called with the number of pictures so far, and of all.

        Returns:
            An array (n, d).
        """
        return self.squares(self.inputs(pictures), callback)

    def squares(self, squares: NDArray[np.uint8], callback: Callable[[int, int], object] | None = None) -> NDArray[Any]:
        """The vectors of pictures that have been cut already.

        Args:
            squares: what ``inputs`` gives, uint8 (n, size, size, 3).
            callback: as for ``images``.

        Returns:
            An array (n, d).
        """
        with _core.no_grad(), evaluating():
            return in_batches(self, squares, callback)

    def inputs(self, pictures: Sequence[Any]) -> NDArray[np.uint8]:
        """Pictures as squares of the image encoder's size.

        Args:
            pictures: as in ``images``.

        Returns:
            A uint8 array (n, size, size, 3).
        """
        return np.stack([square(picture, self.way) for picture in pictures])

    def encode(self, pixels: Any) -> Tensor:
        """The vectors of pictures of any size; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) in [0, 1].

        Returns:
            Vectors (n, d) of length 1.
        """
        return self.forward(self.way.normalize(resized(pixels, self.way.size)))

    def objective(self, wanted: NDArray[np.float32]) -> Callable[[Any], Tensor]:
        """What an ascent on pictures increases: how near each is to a text.

        Args:
            wanted: the text's vector.

        Returns:
            A function of pictures (n, 3, height, width) in [0, 1] that gives (n,).
        """
        target = _core.asarray(wanted)
        return lambda pixels: self.encode(pixels) @ target

    def seen(self, pixels: Any) -> str:
        """What a picture shows, of towers that know classes, with its probability: "happy 0.97"; otherwise "".

        Args:
            pixels: a picture (1, 3, height, width) in [0, 1].

        Returns:
            A string.
        """
        return ""


def direction(x: Tensor) -> Tensor:
    """Rows divided by their length."""
    squared = _core.sum(x * x, axis=-1, keepdims=True)
    return x / _core.sqrt(_core.maximum(squared, 1e-12))


def square(picture: Any, way: Preprocessing) -> NDArray[np.uint8]:
    """A picture as (size, size, 3); one that is so already stays as it is where nothing is cut off."""
    whole = (way.size, way.size, 3)
    if way.margin == 1.0 and isinstance(picture, np.ndarray) and (picture.shape, picture.dtype) == (whole, np.uint8):
        return picture
    return to_square(picture, way.size, way.margin)


def resized(pixels: Any, size: int) -> Tensor:
    """Pictures (n, channels, height, width) as squares of another size, bilinear; differentiable.

    Smaller ones are averaged first, by the integer factor next below, so that no pixel is left out.
    """
    x = _core.asarray(pixels)
    factor = min(x.shape[-2:]) // size
    if factor > 1:
        x = functional.avg_pool2d(x, factor)
    return x if x.shape[-2:] == (size, size) else functional.interpolate(x, (size, size), "linear")


def as_inputs(towers: AnyTowers, squares: NDArray[np.uint8]) -> Tensor:
    """Squares (n, size, size, 3) as the image encoder's input."""
    return towers.way.normalize(pixels_of(squares))


def pixels_of(squares: NDArray[np.uint8]) -> Tensor:
    """Pictures (n, height, width, 3) as a tensor (n, 3, height, width) in [0, 1]."""
    return _core.asarray(np.ascontiguousarray(squares.transpose(0, 3, 1, 2)).astype(np.float32) / 255)


def in_batches(
    towers: AnyTowers,
    squares: NDArray[np.uint8],
    callback: Callable[[int, int], object] | None = None,
    run: Callable[[Any], Tensor] | None = None,
) -> NDArray[Any]:
    """``run`` (the towers themselves if None) over squares, in batches, compiled if there are several."""
    eager = run or towers.forward
    whole = towers.compiled and len(squares) > WORTH
    step = compile(eager) if whole else eager
    found: list[NDArray[Any]] = []
    for first in range(0, len(squares), BATCH):
        part = squares[first : first + BATCH]
        filled = np.concatenate([part, np.repeat(part[-1:], BATCH - len(part), axis=0)]) if whole else part
        found.append(np.array(np.asarray(step(as_inputs(towers, filled)))[: len(part)]))
        if callback is not None:
            callback(first + len(part), len(squares))
    return np.concatenate(found)
