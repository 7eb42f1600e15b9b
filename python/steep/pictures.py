"""Pictures as arrays: from what an optimisation leaves to colours that can be shown, many on one sheet, and PNG files.

Pictures in are floats, (height, width) or (channels, height, width); colours are uint8 (height, width, 3). Only
``image``, ``png`` and ``resized`` need Pillow. PNG bytes depend on the values alone: no time and nothing of the machine
is in them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Colours = NDArray[np.uint8]

# Anchors of a scale from black through violet and orange to pale yellow, evenly spaced, of even steps in lightness.
HOT = np.array([[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [252, 255, 164]])
BLUE, WHITE, RED = np.array([33, 102, 172]), np.array([247, 247, 247]), np.array([178, 24, 43])
GREY = 128


def rgb(picture: Any, low: float = 0.0, high: float = 1.0) -> Colours:
    """(1 or 3, height, width) with values from ``low`` to ``high``, clipped; one channel becomes grey, NaN black.

    Raises ValueError for another shape.
    """
    x = np.asarray(picture, np.float64)
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(f"a picture has shape (1 or 3, height, width), got {x.shape}")
    unit = np.nan_to_num((x - low) / (high - low))
    return _bytes(np.broadcast_to(unit.transpose(1, 2, 0) * 255, (*x.shape[1:], 3)))


def deprocess(picture: Any, std: float = 0.15, crop: int = 25) -> Colours:
    """(1 or 3, height, width) at mean 0 and ``std``, ``crop`` pixels off each edge, plus a half, clipped.

    Source: Chollet, "Visualizing what convnets learn"; notes table, row 55.
    """
    x = np.asarray(picture, np.float64)
    x = (x - x.mean()) / (x.std() + 1e-5) * std
    return rgb(x[:, crop : x.shape[1] - crop, crop : x.shape[2] - crop] + 0.5)


def grey(image: Array) -> Colours:
    """Values in [0, 1] to black..white: (height, width) to (height, width, 3)."""
    return _bytes(np.asarray(image, np.float64)[..., None] * np.full(3, 255.0))


def hot(image: Array) -> Colours:
    """Values of at least 0, the largest at the bright end, NaN black: (height, width) to (height, width, 3)."""
    values = np.nan_to_num(np.asarray(image, np.float64))
    at = values / max(float(values.max()), 1e-12) * (len(HOT) - 1)
    low = np.minimum(at.astype(int), len(HOT) - 2)
    return _bytes(HOT[low] + (HOT[low + 1] - HOT[low]) * (at - low)[..., None])


def signed(image: Array, limit: float) -> Colours:
    """Values in [-limit, limit] from blue through white to red: (height, width) to (height, width, 3)."""
    share = np.clip(np.asarray(image, np.float64) / max(limit, 1e-12), -1, 1)[..., None]
    return _bytes(WHITE + np.where(share > 0, RED - WHITE, BLUE - WHITE) * np.abs(share))


def _bytes(values: Array) -> Colours:
    colours: Colours = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return colours


def sheet(tiles: Sequence[Colours], columns: int, gap: int = 1, background: int = GREY) -> Colours:
    """Tiles of one size in rows of ``columns``, ``gap`` pixels of ``background`` between them.

    64 of 130 by 130 in 8 columns with a gap of 5 make 1075 by 1075 (notes table, row 55). Raises ValueError for tiles
    of several sizes, or none.
    """
    if not tiles or columns < 1 or len({tile.shape for tile in tiles}) != 1:
        raise ValueError(f"a sheet needs tiles of one size, got {sorted({tile.shape for tile in tiles})}")
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    page = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), background, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        page[top : top + height, left : left + width] = tile
    return page


def resized(colours: Colours, height: int, width: int) -> Colours:
    """(height, width, 3) in another size, bicubic; needs Pillow."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(colours), "RGB")
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def image(colours: Colours, scale: int = 1) -> Any:
    """Pillow's image of (height, width, 3) bytes, each pixel ``scale`` by ``scale``; notebooks show it."""
    from PIL import Image

    return Image.fromarray(colours.repeat(scale, axis=0).repeat(scale, axis=1), "RGB")


def png(colours: Colours, scale: int = 1) -> bytes:
    """A PNG file of (height, width, 3) bytes, each pixel ``scale`` by ``scale``; needs Pillow."""
    buffer = io.BytesIO()
    image(colours, scale).save(buffer, "PNG", optimize=False, compress_level=9)
    return buffer.getvalue()
