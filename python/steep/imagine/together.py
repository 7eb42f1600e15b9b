"""``Together``: several towers as one, whose similarities are the means of theirs.

What one network takes for a thing by mistake, another of other layers rarely does, so an ascent that both guide
deceives them less; docs/imagine.md has figures. Start reading at ``Together``.

Liu et al. 2017, "Delving into transferable adversarial examples and black-box attacks", arXiv:1611.02770.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.imagine.any_towers import AnyTowers, square
from steep.imagine.towers import Towers
from steep.text import TextEncoder


class Together(AnyTowers):
    """Towers of one encoder of texts, side by side: vectors are theirs, one behind the other, divided by the root of
    their number, so that a product of two is the mean of the products.

    Args:
        members: the towers, two at least.

    Raises:
        ValueError: for fewer.

    Attributes:
        members: the towers.
    """

    def __init__(self, members: Sequence[Towers]) -> None:
        if len(members) < 2:
            raise ValueError(f"Together: two towers at least, got {len(members)}")
        self.members = tuple(members)
        self.name = "+".join(each.name for each in self.members)
        self.way = self.members[0].way
        self.log_scale = _core.mean(_core.stack([each.log_scale.detach() for each in self.members]))

    def ready(self) -> TextEncoder:
        """The encoder of texts.

        Returns:
            A ``TextEncoder``.
        """
        return self.members[0].ready()

    def text_vectors(self, features: Any) -> Tensor:
        """The vectors of texts from the encoder's features; differentiable.

        Args:
            features: a tensor (n, features).

        Returns:
            Vectors (n, d) of length 1.
        """
        return side_by_side([each.text_vectors(features) for each in self.members])

    def encode(self, pixels: Any) -> Tensor:
        """The vectors of pictures of any size; differentiable.

        Args:
            pixels: pictures (n, 3, height, width) in [0, 1].

        Returns:
            Vectors (n, d) of length 1.
        """
        return side_by_side([each.encode(pixels) for each in self.members])

    def images(self, pictures: Sequence[Any], callback: Callable[[int, int], object] | None = None) -> NDArray[Any]:
        """The vectors of pictures.

        Args:
            pictures: images of any size, uint8 (H, W, 3) or what ``data.images.to_square`` takes.
            callback: called with the number of pictures so far, and of all, by one tower after the other.

        Returns:
            An array (n, d).
        """
        found = [each.images(pictures, callback) for each in self.members]
        return np.asarray(side_by_side([_core.asarray(vectors) for vectors in found]))

    def squares(self, squares: NDArray[np.uint8], callback: Callable[[int, int], object] | None = None) -> NDArray[Any]:
        """The vectors of pictures that have been cut already.

        Args:
            squares: pictures of one size, uint8 (n, size, size, 3).
            callback: as for ``images``.

        Returns:
            An array (n, d).
        """
        ways = [each.way for each in self.members]
        found = [each.squares(np.stack([square(picture, way) for picture in squares]), callback)
                 for each, way in zip(self.members, ways, strict=True)]  # fmt: skip
        return np.asarray(side_by_side([_core.asarray(vectors) for vectors in found]))


def members_of(towers: AnyTowers) -> tuple[AnyTowers, ...]:
    """The towers of which these are made: themselves, if not of several."""
    return towers.members if isinstance(towers, Together) else (towers,)


def side_by_side(vectors: Sequence[Tensor]) -> Tensor:
    """Vectors of length 1 as one of length 1."""
    return _core.concat(list(vectors), axis=-1) * float(1 / np.sqrt(len(vectors)))
