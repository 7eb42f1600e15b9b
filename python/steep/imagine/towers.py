"""``Towers``: two networks into one space that steep trains, and the scale of their similarities.

Each is a frozen encoder, whose outputs are computed once, and a head that is trained. What they do for texts and
pictures is in ``any_towers.py``. Start reading at ``Towers``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from steep import _core, io, nn
from steep._core import Tensor
from steep.imagine.any_towers import AnyTowers, direction
from steep.io.malformed import reading
from steep.random import Generator
from steep.text import TextEncoder
from steep.zoo import Preprocessing

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


class Towers(AnyTowers, nn.Module):
    """Two towers that steep trains: two frozen encoders, or one and a network from scratch, and a head on each.

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
