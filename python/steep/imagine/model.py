"""``load``: a scorer and a generator under one name, for loops of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steep._core import Tensor
from steep.imagine.any_towers import AnyTowers
from steep.imagine.generators import Generator, generator
from steep.imagine.recipes import Say, quiet
from steep.imagine.scorers import scorer


class Model(NamedTuple):
    """What maps texts and pictures to one space, and latents to pictures.

    Attributes:
        towers: the two towers.
        generator: a function of latents that gives pictures (n, 3, height, width) in [0, 1].
    """

    towers: AnyTowers
    generator: Generator

    def encode_text(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts.

        Args:
            texts: a text, or a list of them.

        Returns:
            An array (n, size) of vectors of length 1.
        """
        return self.towers.texts(texts)

    def encode_image(self, pixels: Any) -> Tensor:
        """The vectors of pictures; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) of any size in [0, 1].

        Returns:
            Vectors (n, size) of length 1.
        """
        return self.towers.encode(pixels)


def load(name: str = "emoji", say: Say = quiet) -> Model:
    """A scorer and a generator by the name that they share.

    Args:
        name: "emoji".
        say: called with what is being done, and how much of it.

    Returns:
        A ``Model``.

    Raises:
        ValueError: for another name.
        FetchError: if what it needs cannot be downloaded.
    """
    if name != "emoji":
        raise ValueError(f"there is no model {name!r}: the one by name is emoji; see imagine.scorer, imagine.generator")
    return Model(scorer(name, say), generator(name, say))
