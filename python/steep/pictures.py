"""Images as arrays: from the result of an optimisation to colours, contact sheets, and PNG files.

Inputs are floats, (height, width) or (channels, height, width); colours are uint8 (height, width, 3). Only ``image``,
``gif`` and ``resized`` need Pillow. The bytes of files depend on the values alone, not on time or machine.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Colours = NDArray[np.uint8]

# Anchors of a colour scale from black through violet and orange to pale yellow, evenly spaced in lightness.
HOT = np.array([[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [252, 255, 164]])
BLUE, WHITE, RED = np.array([33, 102, 172]), np.array([247, 247, 247]), np.array([178, 24, 43])
GREY = 128


def rgb(picture: Any, low: float = 0.0, high: float = 1.0) -> Colours:
    """An image as bytes; one channel becomes grey, NaN black.

    Args:
        picture: an array (1 or 3, height, width).
        low: value of black.
        high: value of white; values outside are clipped.

    Returns:
        A uint8 array (height, width, 3).

    Raises:
        ValueError: for another shape.

    Example:
        >>> sp.pictures.rgb(np.ones((1, 1, 1))).tolist()
        [[[255, 255, 255]]]
    """
    x = np.asarray(picture, np.float64)
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(f"an image has shape (1 or 3, height, width), got {x.shape}")
    unit = np.nan_to_num((x - low) / (high - low))
    return _bytes(np.broadcast_to(unit.transpose(1, 2, 0) * 255, (*x.shape[1:], 3)))


def deprocess(picture: Any, std: float = 0.15, crop: int = 25) -> Colours:
    """Normalises an optimised image for display: mean 0 and ``std``, cropped, plus 0.5, clipped.

    Args:
        picture: an array (1 or 3, height, width).
        std: the standard deviation.
        crop: pixels removed from each edge.

    Returns:
        A uint8 array (height, width, 3).

    References:
        Chollet 2020, "Visualizing what convnets learn", keras.io/examples/vision/visualizing_what_convnets_learn.

    Example:
        >>> sp.pictures.deprocess(np.ones((3, 60, 60))).shape
        (10, 10, 3)
    """
    x = np.asarray(picture, np.float64)
    x = (x - x.mean()) / (x.std() + 1e-5) * std
    return rgb(x[:, crop : x.shape[1] - crop, crop : x.shape[2] - crop] + 0.5)


def grey(image: Array) -> Colours:
    """Values in [0, 1] as grey levels.

    Args:
        image: an array (height, width).

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.pictures.grey(np.zeros((1, 1))).tolist()
        [[[0, 0, 0]]]
    """
    return _bytes(np.asarray(image, np.float64)[..., None] * np.full(3, 255.0))


def hot(image: Array) -> Colours:
    """Non-negative values as colours from black to pale yellow, scaled to the largest; NaN is black.

    Args:
        image: an array (height, width).

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.pictures.hot(np.ones((2, 3))).shape
        (2, 3, 3)
    """
    values = np.nan_to_num(np.asarray(image, np.float64))
    at = values / max(float(values.max()), 1e-12) * (len(HOT) - 1)
    low = np.minimum(at.astype(int), len(HOT) - 2)
    return _bytes(HOT[low] + (HOT[low + 1] - HOT[low]) * (at - low)[..., None])


def signed(image: Array, limit: float) -> Colours:
    """Values in [-limit, limit] as colours from blue through white to red.

    Args:
        image: an array (height, width).
        limit: the largest magnitude.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.pictures.signed(np.zeros((2, 3)), 1.0).shape
        (2, 3, 3)
    """
    share = np.clip(np.asarray(image, np.float64) / max(limit, 1e-12), -1, 1)[..., None]
    return _bytes(WHITE + np.where(share > 0, RED - WHITE, BLUE - WHITE) * np.abs(share))


def _bytes(values: Array) -> Colours:
    colours: Colours = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return colours


def sheet(tiles: Sequence[Colours], columns: int, gap: int = 1, background: int = GREY) -> Colours:
    """A contact sheet of images of one size.

    Args:
        tiles: uint8 arrays (height, width, 3).
        columns: number of tiles per row.
        gap: pixels between tiles.
        background: grey level between them.

    Returns:
        A uint8 array (height, width, 3).

    Raises:
        ValueError: for no tiles, or tiles of several sizes.

    Example:
        >>> sp.pictures.sheet([sp.pictures.grey(np.zeros((130, 130)))] * 64, 8, gap=5).shape
        (1075, 1075, 3)
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


def outlined(colours: Colours, box: Sequence[int], width: int = 2, colour: Sequence[int] = (0, 255, 0)) -> Colours:
    """An image with a rectangle drawn into it.

    Args:
        colours: a uint8 array (height, width, 3).
        box: the rectangle (top, left, bottom, right), such as a ``data.Box``; the lines are inside of it.
        width: width of the lines in pixels.
        colour: red, green and blue.

    Returns:
        A new uint8 array (height, width, 3).

    Example:
        >>> sp.pictures.outlined(sp.pictures.grey(np.zeros((4, 4))), (0, 0, 4, 4), 1)[:, 1, 1].tolist()
        [255, 0, 0, 255]
    """
    top, left, bottom, right = box
    inside = np.zeros(colours.shape[:2], bool)
    inside[top:bottom, left:right] = True
    inside[top + width : max(bottom - width, 0), left + width : max(right - width, 0)] = False
    return np.where(inside[..., None], np.asarray(colour, np.uint8), colours)


def resized(colours: Colours, height: int, width: int) -> Colours:
    """Resizes an image by bicubic interpolation; needs Pillow.

    Args:
        colours: a uint8 array (height, width, 3).
        height: the new height.
        width: the new width.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.pictures.resized(sp.pictures.grey(np.zeros((2, 2))), 4, 6).shape
        (4, 6, 3)
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(colours), "RGB")
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def image(colours: Colours, scale: int = 1) -> Any:
    """An image as a Pillow image, which notebooks display; needs Pillow.

    Args:
        colours: a uint8 array (height, width, 3).
        scale: factor by which pixels are repeated.

    Returns:
        A ``PIL.Image.Image``.

    Example:
        >>> sp.pictures.image(sp.pictures.grey(np.zeros((2, 3))), scale=4).size
        (12, 8)
    """
    from PIL import Image

    return Image.fromarray(colours.repeat(scale, axis=0).repeat(scale, axis=1), "RGB")


def png(colours: Colours, scale: int = 1, level: int = 9) -> bytes:
    """An image as the bytes of a PNG file.

    Args:
        colours: a uint8 array (height, width, 3).
        scale: factor by which pixels are repeated.
        level: how much time is spent on a small file, 0 to 9; 4 takes a fifth of the time that 9 takes, for 2% more.

    Returns:
        Bytes.

    References:
        The PNG specification, w3.org/TR/png-3: each row is stored as differences from its neighbours, by the
        filter that leaves the smallest ones.

    Example:
        >>> sp.pictures.png(sp.pictures.grey(np.zeros((2, 3))))[1:4]
        b'PNG'
    """
    pixels = colours.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = pixels.shape[:2]
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(_filtered(pixels).tobytes(), level),
        b"IEND": b"",
    }
    made = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts.items():
        made += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return made


def _filtered(pixels: Colours) -> Colours:
    """The rows of a PNG file, each behind the number of its filter: none, left, up, their mean, or Paeth's choice."""
    height, width = pixels.shape[:2]
    here = pixels.reshape(height, width * 3).astype(np.int16)
    left, up, corner = (np.zeros_like(here) for _ in range(3))
    left[:, 3:], up[1:], corner[1:, 3:] = here[:, :-3], here[:-1], here[:-1, :-3]
    guess = left + up - corner
    to_left, to_up, to_corner = (np.abs(guess - each) for each in (left, up, corner))
    nearest = np.where((to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner))
    rows = np.stack([here, here - left, here - up, here - (left + up) // 2, here - nearest]).astype(np.uint8)
    best = np.abs(rows.view(np.int8)).view(np.uint8).sum(axis=2, dtype=np.int64).argmin(axis=0)
    chosen: Colours = rows[best, np.arange(height)]
    return np.concatenate([best[:, None].astype(np.uint8), chosen], axis=1)


def gif(frames: Sequence[Colours], milliseconds: int = 80, last: int | None = None) -> bytes:
    """Images as the bytes of an animated GIF file, with 256 colours per frame; needs Pillow.

    Args:
        frames: uint8 arrays (height, width, 3) of one size.
        milliseconds: duration of a frame.
        last: duration of the last one, if it differs.

    Returns:
        Bytes.

    Example:
        >>> sp.pictures.gif([sp.pictures.grey(np.zeros((2, 3)))] * 2)[:6]
        b'GIF89a'
    """
    first, *rest = [of_256_colours(frame) for frame in frames]
    durations = [milliseconds] * len(rest) + [milliseconds if last is None else last]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return buffer.getvalue()


def of_256_colours(colours: Colours) -> Any:
    """An image with the colours that a GIF file has; needs Pillow.

    Args:
        colours: a uint8 array (height, width, 3).

    Returns:
        A ``PIL.Image.Image`` with a palette.

    Example:
        >>> sp.pictures.of_256_colours(sp.pictures.grey(np.zeros((2, 3)))).mode
        'P'
    """
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(colours), "RGB").quantize(256, dither=Image.Dither.NONE)
