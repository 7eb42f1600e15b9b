"""Image files as arrays, by Pillow (extra ``viz``), which is imported when first needed.

An image is uint8 (height, width, 3), red first. Start reading at ``read_image``; ``to_square`` makes the inputs of
classifiers.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
LONGEST = 16  # times the short side: the ends of longer images are cropped before resizing


def pillow() -> Any:
    """The module ``PIL.Image``.

    Returns:
        The module.

    Raises:
        ImportError: saying what to install.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("images are read by Pillow, which is not installed: pip install 'steep[viz]'") from None
    return Image


def read_image(source: str | os.PathLike[str] | bytes) -> Picture:
    """Reads an image file, upright, and on white where it is transparent; needs Pillow.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        A uint8 array (height, width, 3).

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not an image, or too large.

    Example:
        >>> sp.data.read_image(sp.pictures.png(np.zeros((2, 3, 3), np.uint8))).shape
        (2, 3, 3)
    """
    image = pillow()
    name = "the image" if isinstance(source, bytes) else os.fspath(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image.DecompressionBombWarning)  # large, but below Pillow's limit
            opened = image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        with opened:
            from PIL import ImageOps

            ImageOps.exif_transpose(opened, in_place=True)  # else it copies those that are upright
            return _eight_bits(opened)
    except image.DecompressionBombError as error:
        raise ValueError(f"{name}: {error}") from None
    except (image.UnidentifiedImageError, SyntaxError):
        raise ValueError(f"{name} is not an image that Pillow can read") from None
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(f"{name}: {error}") from None


def _eight_bits(image: Any) -> Picture:
    """Pillow's image as uint8 (height, width, 3); Pillow itself clips 16-bit greys at 255 instead of scaling.

    Raises ValueError for greys of more bits, and for floats outside [0, 1].
    """
    if image.mode == "F":
        return to_picture(np.asarray(image))
    if not image.mode.startswith("I"):
        image = _on_white(image)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    greys = np.asarray(image)
    if greys.min() < 0 or greys.max() > 65535:
        raise ValueError(f"an image of grey values from {greys.min()} to {greys.max()}: 16 bits are the most")
    return to_picture(np.rint(greys / 257).astype(np.uint8))


def _on_white(image: Any) -> Any:
    """An image without transparency: what shows on white paper. Below transparent pixels files have any colours."""
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image
    paper = pillow().new("RGBA", image.size, (255, 255, 255, 255))
    paper.alpha_composite(image.convert("RGBA"))
    return paper


def to_picture(image: Any) -> Picture:
    """Converts an array or Pillow image to uint8 (height, width, 3).

    Args:
        image: uint8 or floats in [0, 1] of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), whose last channel is
            opacity, or a Pillow image. What is transparent is put on white.

    Returns:
        A uint8 array (height, width, 3).

    Raises:
        ValueError: for another shape, or floats outside [0, 1].
    """
    values = _eight_bits(image) if hasattr(image, "convert") else np.asarray(image)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or 0 in values.shape:
        raise ValueError(f"an image has the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {values.shape}")
    if values.dtype.kind == "f":
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(f"an image of floats lies in [0, 1], got {values.min():.4g} to {values.max():.4g}")
        values = np.rint(values * 255)
    elif values.dtype != np.uint8:
        raise ValueError(f"an image is uint8 or floats in [0, 1], got {values.dtype}")
    if values.shape[2] == 4:
        opacity = values[..., 3:].astype(np.float64) / 255
        values = np.rint(values[..., :3] * opacity + 255 * (1 - opacity))
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)), np.uint8)


def _not_too_long(picture: Picture) -> Picture:
    """The middle of an image that is much longer than the square needs, which would be too large when enlarged."""
    most = LONGEST * min(picture.shape[:2])
    rows, columns = (max(0, n - most) // 2 for n in picture.shape[:2])
    return picture[rows : picture.shape[0] - rows, columns : picture.shape[1] - columns]


def enlarged(image: Any, size: int, margin: float) -> Picture:
    """Resizes an image so that its short side has ``size * margin`` pixels, bicubic.

    Args:
        image: as in ``to_picture``.
        size: side of a square in pixels.
        margin: factor of the size.

    Returns:
        A uint8 array (height, width, 3).

    Raises:
        ValueError: for what is not an image.
    """
    picture = _not_too_long(to_picture(image))
    short, least = int(size * margin), min(picture.shape[:2])
    height, width = (max(short, round(side * short / least)) for side in picture.shape[:2])
    return resized_to(picture, height, width)


def resized_to(image: Any, height: int, width: int) -> Picture:
    """Resizes an image, bicubic.

    Args:
        image: as in ``to_picture``.
        height: the new height.
        width: the new width.

    Returns:
        A uint8 array (height, width, 3).

    Raises:
        ValueError: for what is not an image.
    """
    picture = pillow().fromarray(to_picture(image))
    if (width, height) != picture.size:
        picture = picture.resize((width, height), pillow().Resampling.BICUBIC)
    return np.array(picture)


def middle(picture: Picture, size: int) -> tuple[slice, slice]:
    """The slices of the central square.

    Args:
        picture: a uint8 array (height, width, 3).
        size: side of the square in pixels.

    Returns:
        Slices of rows and columns.
    """
    top, left = ((side - size) // 2 for side in picture.shape[:2])
    return slice(top, top + size), slice(left, left + size)


def to_square(image: Any, size: int, margin: float) -> Picture:
    """The central square of an image, after resizing its short side to ``size * margin`` pixels, bicubic.

    Args:
        image: as in ``to_picture``.
        size: side of the square in pixels.
        margin: factor of the size before cropping.

    Returns:
        A uint8 array (size, size, 3).

    Raises:
        ValueError: for what is not an image.

    Example:
        >>> sp.data.images.to_square(np.zeros((20, 30)), 10, 1.0).shape
        (10, 10, 3)
    """
    whole = enlarged(image, size, margin)
    return whole[middle(whole, size)]
