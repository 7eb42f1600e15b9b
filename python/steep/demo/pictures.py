"""Arrays to PNG bytes, with Pillow: grey, hot and signed colours, enlarged pixel by pixel.

The bytes depend on the values alone: no time, no name of the program, nothing of the machine is written into them.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Colours = NDArray[np.uint8]

SCALE = 8
# Anchors of a scale from black through violet and orange to pale yellow, evenly spaced, of even steps in lightness.
HOT = np.array([[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [252, 255, 164]])
BLUE, WHITE, RED = np.array([33, 102, 172]), np.array([247, 247, 247]), np.array([178, 24, 43])


def grey(image: Array) -> Colours:
    """Values in [0, 1] to black..white: (height, width) to (height, width, 3)."""
    return _bytes(np.asarray(image, np.float64)[..., None] * np.full(3, 255.0))


def hot(image: Array) -> Colours:
    """Values of at least 0, the largest of the picture at the bright end: (height, width) to (height, width, 3)."""
    values = np.asarray(image, np.float64)
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


def sheet(tiles: list[Colours], columns: int, gap: int = 1) -> Colours:
    """Tiles of one size in rows of ``columns``, ``gap`` grey pixels between them."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    page = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 128, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        page[top : top + height, left : left + width] = tile
    return page


def png(colours: Colours, scale: int = SCALE) -> bytes:
    """A PNG file of (height, width, 3) bytes, each pixel ``scale`` by ``scale``; needs Pillow."""
    from PIL import Image

    enlarged = colours.repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(enlarged, "RGB").save(buffer, "PNG", optimize=False, compress_level=9)
    return buffer.getvalue()
