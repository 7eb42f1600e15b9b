"""``Towers``: two networks into one space, one for pictures and one for texts, and the scale of their similarities.

Each is a frozen encoder, whose outputs are computed once, and a head that is trained. Start reading at ``Towers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steep import _core, compile, io, nn
from steep._core import Tensor
from steep.data.images import to_square
from steep.evaluation import evaluating
from steep.io.malformed import reading
from steep.nn import functional
from steep.random import Generator
from steep.text import TextEncoder
from steep.zoo import Preprocessing

BATCH = 32
START = 10.0  # of the scale
WORDS = 384  # features of a text by MiniLM
KIND = "steep towers"


class Cnn(nn.Sequential):
    """Six convolutions for pictures of 64 pixels, with batch normalization and ReLU, to features by mean pooling.

    Args:
        seed: seed of the initial values.
    """

    CHANNELS = ((32, 2), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2))

    def __init__(self, seed: int = 0) -> None:
        source, before = Generator(seed), 3
        layers: dict[str, Any] = {}
        for i, (channels, stride) in enumerate(self.CHANNELS, 1):
            layers[f"conv{i}"] = nn.Conv2d(before, channels, 3, stride, 1, bias=False, generator=source)
            layers[f"bn{i}"], layers[f"relu{i}"] = nn.BatchNorm2d(channels), nn.ReLU()
            before = channels
        super().__init__({**layers, "pool": nn.AdaptiveAvgPool2d(1), "features": nn.Flatten()})


class Towers(nn.Module):
    """Two towers. ``images`` and ``texts`` give vectors of length 1, whose products are similarities.

    Args:
        trunk: a network from the pictures' input to features (n, features).
        way: from pictures to its input.
        features: number of its features.
        frozen: whether the trunk is left as it is.
        words: the encoder of texts, None until it is needed (``ready`` then fetches MiniLM).
        size: length of the vectors.
        seed: seed of the heads.
        name: what it is called in messages and files.

    Attributes:
        log_scale: the logarithm of the scale of similarities, learnt.
    """

    def __init__(
        self,
        trunk: nn.Module,
        way: Preprocessing,
        features: int,
        frozen: bool,
        words: TextEncoder | None = None,
        size: int = 128,
        seed: int = 0,
        name: str = "towers",
    ) -> None:
        source = Generator(seed)
        self.name, self.frozen, self.way, self._words = name, frozen, way, words
        self.trunk = trunk
        self.image_head = nn.Linear(features, size, generator=source)
        self.text_head = nn.Linear(WORDS, size, generator=source)
        self.log_scale = _core.tensor(float(np.log(START)), dtype=_core.float32, requires_grad=True)

    def forward(self, x: Any) -> Tensor:
        """The vectors of pictures; differentiable.

        Args:
            x: inputs (n, 3, size, size), as ``way`` gives them; of a frozen trunk also its features (n, features).

        Returns:
            Vectors (n, size) of length 1.
        """
        x = _core.asarray(x)
        return direction(self.image_head(self.trunk(x) if x.ndim == 4 else x))

    def text_vectors(self, features: Any) -> Tensor:
        """The vectors of texts from the encoder's features; differentiable.

        Args:
            features: a tensor (n, 384).

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(self.text_head(features))

    def trained(self) -> list[Tensor]:
        """The tensors that training changes."""
        parts: list[nn.Module] = [self.image_head, self.text_head, *([] if self.frozen else [self.trunk])]
        return [self.log_scale, *(each for part in parts for each in part.parameters())]

    def ready(self) -> TextEncoder:
        """The encoder of texts, fetched on demand."""
        if self._words is None:
            from steep.text import encoder

            self._words = encoder()
        return self._words

    def texts(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts.

        Args:
            texts: a text, or a list of them.

        Returns:
            An array (n, size).
        """
        with _core.no_grad():
            return np.asarray(self.text_vectors(self.ready()(texts)))

    def images(self, pictures: Sequence[Any], callback: Callable[[int, int], object] | None = None) -> NDArray[Any]:
        """The vectors of pictures.

        Args:
            pictures: images of any size, uint8 (H, W, 3) or what ``data.images.to_square`` takes.
            callback: called with the number of pictures so far, and of all.

        Returns:
            An array (n, size).
        """
        with _core.no_grad(), evaluating():
            return in_batches(self, self.inputs(pictures), callback)

    def inputs(self, pictures: Sequence[Any]) -> NDArray[np.uint8]:
        """Pictures as squares of the trunk's size.

        Args:
            pictures: as in ``images``.

        Returns:
            A uint8 array (n, size, size, 3).
        """
        return np.stack([square(picture, self.way.size) for picture in pictures])

    def encode(self, pixels: Any) -> Tensor:
        """The vectors of pictures of any size; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) in [0, 1].

        Returns:
            Vectors (n, size) of length 1.
        """
        return self.forward(self.way.normalize(resized(pixels, self.way.size)))

    def save(self, path: Path, about: dict[str, str]) -> None:
        """Writes what was trained, atomically.

        Args:
            path: a .safetensors file.
            about: what it was trained on.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        io.save(path, self._learnt(), {"kind": KIND, **about})

    def restore(self, path: Path) -> dict[str, str]:
        """Reads what ``save`` wrote.

        Args:
            path: the file.

        Returns:
            What it was trained on.

        Raises:
            ValueError: if the file is no such file.
        """
        about = io.metadata(path)
        with reading(path, f"a file of the towers {self.name}"):
            if about.get("kind") != KIND:
                raise ValueError("it holds no towers of steep")
            found, own = io.load(path), self._learnt()
            if found.keys() != own.keys():
                raise ValueError(f"it lacks {sorted(own.keys() - found.keys())[:3]}")
            self.load_state_dict({**self.state_dict(), **found})
        return dict(about)

    def _learnt(self) -> dict[str, Tensor]:
        """Everything but a frozen trunk."""
        return {key: value for key, value in self.state_dict().items() if not (self.frozen and "trunk" in key)}


class HasWay(Protocol):
    """Anything that encodes pictures: a way to inputs, and a network of these."""

    way: Preprocessing

    def forward(self, x: Any) -> Tensor:
        """The vectors of inputs."""


def direction(x: Tensor) -> Tensor:
    """Rows divided by their length."""
    squared = _core.sum(x * x, axis=-1, keepdims=True)
    return x / _core.sqrt(_core.maximum(squared, 1e-12))


def square(picture: Any, size: int) -> NDArray[np.uint8]:
    """A picture as (size, size, 3)."""
    if isinstance(picture, np.ndarray) and picture.shape == (size, size, 3) and picture.dtype == np.uint8:
        return picture
    return to_square(picture, size, 1.0)


def resized(pixels: Any, size: int) -> Tensor:
    """Pictures (n, channels, height, width) as squares of another size, bilinear; differentiable.

    Smaller ones are averaged first, by the integer factor next below, so that no pixel is left out.
    """
    x = _core.asarray(pixels)
    factor = min(x.shape[-2:]) // size
    if factor > 1:
        x = functional.avg_pool2d(x, factor)
    return x if x.shape[-2:] == (size, size) else functional.interpolate(x, (size, size), "linear")


def as_inputs(towers: HasWay, squares: NDArray[np.uint8]) -> Tensor:
    """Squares (n, size, size, 3) as the trunk's input."""
    pixels = np.ascontiguousarray(squares.transpose(0, 3, 1, 2)).astype(np.float32) / 255
    return towers.way.normalize(_core.asarray(pixels))


def in_batches(
    towers: HasWay,
    squares: NDArray[np.uint8],
    callback: Callable[[int, int], object] | None = None,
    run: Callable[[Any], Tensor] | None = None,
) -> NDArray[Any]:
    """``run`` (the towers themselves if None) over squares, in compiled batches of one size."""
    step = compile(run or towers.forward)
    found: list[NDArray[Any]] = []
    for first in range(0, len(squares), BATCH):
        part = squares[first : first + BATCH]
        filled = np.concatenate([part, np.repeat(part[-1:], BATCH - len(part), axis=0)])
        whole = len(squares) > BATCH  # a single batch is not worth compiling
        rows = (step if whole else run or towers.forward)(as_inputs(towers, filled if whole else part))
        found.append(np.array(np.asarray(rows)[: len(part)]))
        if callback is not None:
            callback(min(first + BATCH, len(squares)), len(squares))
    return np.concatenate(found)
