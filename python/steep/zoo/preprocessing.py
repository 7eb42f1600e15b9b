"""From pictures to what a network was trained on, and back: size, order of channels, scale, mean and deviation.

``normalize`` and ``denormalize`` are made of ops and differentiable; ``preprocess`` and ``to_image`` go from and to
pictures, uint8 (H, W, 3). Ascent works in the network's own space, whose box is ``low`` to ``high``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from steep import _core, pictures
from steep._core import Tensor
from steep.data.images import Picture, to_square

ORDERS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0), "grey": (0,)}


@dataclass(frozen=True)
class Preprocessing:
    """A network's input is ``(pixel * scale - mean) / std`` for pixels in [0, 1], its channels in order ``channels``.

    ``mean`` and ``std`` stand in the network's own order. A picture's short side is brought to ``size * margin``,
    bicubic, and its middle taken. ``channels``: "rgb", "bgr" or "grey". Raises ValueError if these do not fit.
    """

    size: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    channels: str = "rgb"
    margin: float = 256 / 224

    def __post_init__(self) -> None:
        if self.channels not in ORDERS:
            raise ValueError(f"channels is one of {list(ORDERS)}, got {self.channels!r}")
        count = len(ORDERS[self.channels])
        if len(self.mean) != count or len(self.std) != count or not all(self.std):
            raise ValueError(
                f"{self.channels} needs {count} means and {count} deviations other than 0, "
                f"got {self.mean} and {self.std}"
            )
        if not np.all(np.isfinite([*self.mean, *self.std, self.scale])) or not self.scale:
            raise ValueError(f"means, deviations and scale are finite, got {self.mean}, {self.std} and {self.scale}")
        if self.size < 1 or self.margin < 1:
            raise ValueError(f"size and margin are at least 1, got {self.size} and {self.margin}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the input of one picture: (1, channels, size, size)."""
        return (1, len(self.mean), self.size, self.size)

    @property
    def low(self) -> Tensor:
        """The input that a black pixel gives, (1, C, 1, 1)."""
        return self._black_to_white()[0]

    @property
    def high(self) -> Tensor:
        """The input that a white pixel gives, (1, C, 1, 1)."""
        return self._black_to_white()[1]

    def _black_to_white(self) -> tuple[Tensor, Tensor]:
        grey: Tensor = _core.full((1, len(self.mean), 1, 1), 1.0)
        return self._scaled(grey * 0), self._scaled(grey)

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, 1, 1)
        mean, std = (np.asarray(values).reshape(shape) for values in (self.mean, self.std))
        return _core.asarray(mean, dtype=like.dtype), _core.asarray(std, dtype=like.dtype)

    def _scaled(self, values: Tensor) -> Tensor:
        mean, std = self._constants(values)
        return (values * self.scale - mean) / std

    def _ordered(self, values: Tensor) -> Tensor:
        order = ORDERS[self.channels]
        return values[:, ::-1] if order != tuple(sorted(order)) else values

    def normalize(self, pixels: Any) -> Tensor:
        """Pixels (N, C, H, W) in [0, 1], red first, as the network wants them; any size. Differentiable."""
        return self._scaled(self._ordered(self._checked(pixels)))

    def denormalize(self, x: Any) -> Tensor:
        """The inverse of ``normalize``: pixels (N, C, H, W) in [0, 1] where x lies in the box. Differentiable."""
        values = self._checked(x)
        mean, std = self._constants(values)
        return self._ordered((values * std + mean) / self.scale)

    def _checked(self, x: Any) -> Tensor:
        values: Tensor = _core.asarray(x)
        if values.ndim != 4 or values.shape[1] != len(self.mean):
            raise ValueError(f"the input has the shape (N, {len(self.mean)}, H, W), got {values.shape}")
        return values

    def preprocess(self, image: Any, dtype: Any = None) -> Tensor:
        """A picture of any size as the network's input, (1, C, size, size) float32 or ``dtype``.

        ``image``: uint8 or floats in [0, 1], (H, W), (H, W, 3) or (H, W, 4), or an image of Pillow's, which is needed.
        Raises ValueError for another shape or range.
        """
        values = to_square(image, self.size, self.margin).transpose(2, 0, 1)[None] / 255
        if self.channels == "grey":
            values = values.mean(axis=1, keepdims=True)
        return self.normalize(_core.asarray(values, dtype=dtype or _core.float32))

    def to_image(self, x: Any) -> Picture:
        """The picture that an input (1, C, H, W) stands for: uint8 (H, W, 3); what leaves the box is cut off."""
        pixels = self.denormalize(x)
        if pixels.shape[0] != 1:
            raise ValueError(f"to_image makes one picture of (1, {len(self.mean)}, H, W), got {pixels.shape}")
        return pictures.rgb(pixels.detach().numpy()[0])
