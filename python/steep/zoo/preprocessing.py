"""From images to a network's inputs, and back: size, order of channels, scale, mean and standard deviation.

``normalize`` and ``denormalize`` are differentiable; ``preprocess`` and ``to_image`` convert from and to images,
uint8 (H, W, 3). Ascent works on the network's inputs, in the box from ``low`` to ``high``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from steep import _core, pictures
from steep._core import Tensor
from steep.data.images import Picture, enlarged, middle, resized_to

CROPS = ("center", "none")
ORDERS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0), "grey": (0,)}


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a network: its input is ``(pixel * scale - mean) / std`` for pixels in [0, 1].

    An image's short side is resized to ``size * margin``, bicubic, and its central square is used; or the whole image
    is resized to the square, whatever its proportions.

    Args:
        size: side of the input in pixels.
        mean: mean per channel, in the network's order.
        std: standard deviation per channel.
        scale: factor of pixels.
        channels: "rgb", "bgr" or "grey".
        margin: factor of the size before cropping.
        crop: "center", or "none" for the whole image.
        luma: weights of red, green and blue where a grey network is given colours; None for their mean.

    Raises:
        ValueError: if these are inconsistent.

    Example:
        >>> way = sp.zoo.Preprocessing(size=28, mean=(0.5,), std=(0.25,), channels="grey")
        >>> way.shape, way.high.tolist()
        ((1, 1, 28, 28), [[[[2.0]]]])
    """

    size: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    channels: str = "rgb"
    margin: float = 256 / 224
    crop: str = "center"
    luma: tuple[float, float, float] | None = None

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
        if self.crop not in CROPS:
            raise ValueError(f"crop is one of {list(CROPS)}, got {self.crop!r}")
        if self.size < 1 or self.margin < 1:
            raise ValueError(f"size and margin are at least 1, got {self.size} and {self.margin}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the input of one image: (1, channels, size, size)."""
        return (1, len(self.mean), self.size, self.size)

    @property
    def low(self) -> Tensor:
        """The input of a black pixel, (1, C, 1, 1)."""
        return self._black_to_white()[0]

    @property
    def high(self) -> Tensor:
        """The input of a white pixel, (1, C, 1, 1)."""
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
        """Pixels as the network's input, for any size; differentiable.

        Args:
            pixels: images (N, C, H, W) in [0, 1], red first; a grey network takes colours, too.

        Returns:
            A tensor (N, C, H, W) with the network's channels.
        """
        values = _core.asarray(pixels)
        if self.channels == "grey" and values.ndim == 4 and values.shape[1] == 3:
            values = self._grey(values)
        return self._scaled(self._ordered(self._checked(values)))

    def _grey(self, pixels: Any) -> Any:
        """One channel of three, of a tensor or an array."""
        if self.luma is None:
            return pixels.mean(axis=1, keepdims=True)
        return sum(pixels[:, i : i + 1] * weight for i, weight in enumerate(self.luma))

    def denormalize(self, x: Any) -> Tensor:
        """The inverse of ``normalize``; differentiable.

        Args:
            x: inputs (N, C, H, W).

        Returns:
            Images (N, C, H, W), red first.
        """
        values = self._checked(x)
        mean, std = self._constants(values)
        return self._ordered((values * std + mean) / self.scale)

    def _checked(self, x: Any) -> Tensor:
        values: Tensor = _core.asarray(x)
        if values.ndim != 4 or values.shape[1] != len(self.mean):
            raise ValueError(f"the input has the shape (N, {len(self.mean)}, H, W), got {values.shape}")
        return values

    def enlarged(self, image: Any) -> Picture:
        """An image in the size in which its central square is what the network sees; needs Pillow.

        Args:
            image: as for ``preprocess``.

        Returns:
            A uint8 array (H, W, 3).
        """
        whole = self.crop == "none"
        return resized_to(image, self.size, self.size) if whole else enlarged(image, self.size, self.margin)

    def preprocess(self, image: Any, dtype: Any = None) -> Tensor:
        """An image of any size as the network's input; needs Pillow.

        Args:
            image: uint8 or floats in [0, 1] of shape (H, W), (H, W, 3) or (H, W, 4), or a Pillow image.
            dtype: a float dtype; float32 if None.

        Returns:
            A tensor (1, C, size, size).

        Raises:
            ValueError: for another shape or range.
        """
        picture = self.enlarged(image)
        values = picture[middle(picture, self.size)].transpose(2, 0, 1)[None] / 255
        if self.channels == "grey":
            values = self._grey(values)
        return self.normalize(_core.asarray(values, dtype=dtype or _core.float32))

    def to_image(self, x: Any) -> Picture:
        """An input as an image; values outside the range are clipped.

        Args:
            x: an input (1, C, H, W).

        Returns:
            A uint8 array (H, W, 3).

        Raises:
            ValueError: for more than one input.
        """
        pixels = self.denormalize(x)
        if pixels.shape[0] != 1:
            raise ValueError(f"to_image makes one image of (1, {len(self.mean)}, H, W), got {pixels.shape}")
        return pictures.rgb(pixels.detach().numpy()[0])
