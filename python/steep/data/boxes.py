"""Rectangles in images, and those around the objects of the photographs of ``photos.py``.

``BOXES`` was drawn once by eye, for steep, on the photographs that show one object of the class in their label; those
with several objects, or one that fills the image, have none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from steep.data.images import Picture
from steep.data.photos import photo, photos
from steep.display import displayed


class Box(NamedTuple):
    """A rectangle of pixels; ``array[box.slices]`` is its part of an array (height, width).

    Attributes:
        top: the first row.
        left: the first column.
        bottom: the row after the last.
        right: the column after the last.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The slices of rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        """The number of pixels; 0 for a rectangle without any."""
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)


@displayed
class Boxed(NamedTuple):
    """A photograph with one object.

    Attributes:
        name: its name or its position among the photographs of ImageNet.
        picture: uint8 (H, W, 3).
        label: its class in ImageNet.
        box: the rectangle around the object, in pixels of the photograph.
    """

    name: str
    picture: Picture
    label: int
    box: Box


# Top, left, bottom, right in fractions of the height and width. A photograph of "imagenet" is named by its position.
BOXES: dict[str, tuple[float, float, float, float]] = {
    "0": (0.105, 0.23, 0.885, 0.60),  # boxer
    "5": (0.09, 0.185, 0.55, 1.0),  # thatch
    "6": (0.26, 0.195, 0.67, 0.82),  # jeep
    "7": (0.30, 0.09, 0.74, 0.985),  # jeep
    "9": (0.16, 0.08, 0.905, 0.90),  # bottle cap
    "10": (0.11, 0.115, 0.96, 0.92),  # drum
    "11": (0.175, 0.0, 0.69, 1.0),  # loafer
    "13": (0.125, 0.0, 0.92, 0.875),  # cannon
    "17": (0.24, 0.0, 0.70, 1.0),  # bald eagle
    "18": (0.09, 0.27, 0.90, 0.79),  # leafhopper
    "19": (0.26, 0.25, 0.84, 0.85),  # dung beetle
    "chelsea": (0.0, 0.02, 1.0, 0.82),  # Egyptian cat
    "coffee": (0.04, 0.125, 0.95, 0.79),  # espresso
}
NAMED = {"chelsea": 285, "coffee": 967}  # the classes of photographs without a label


def boxed_photos() -> list[Boxed]:
    """Thirteen photographs with the rectangle around their object, downloaded on demand (3.3 MB).

    Returns:
        A list of ``Boxed``.

    Raises:
        FetchError: if they cannot be downloaded.
    """
    labelled = photos("imagenet")
    found = []
    for name, fractions in BOXES.items():
        picture, label = (photo(name), NAMED[name]) if name in NAMED else labelled[int(name)]
        height, width = picture.shape[:2]
        corners = np.rint(np.multiply(fractions, (height, width, height, width))).astype(int)
        found.append(Boxed(name, picture, label, Box(*corners.tolist())))
    return found


def cropped(box: Box, shape: tuple[int, ...], size: int, margin: float) -> Box:
    """Where a rectangle lies after ``images.to_square``.

    Args:
        box: a rectangle of an image.
        shape: shape of the image, (height, width, ...).
        size: side of the square in pixels.
        margin: factor of the size before cropping.

    Returns:
        A ``Box`` of the square, cut at its edges.

    Example:
        >>> sp.data.boxes.cropped(sp.data.Box(0, 0, 20, 10), (20, 30), 10, 1.0)
        Box(top=0, left=0, bottom=10, right=3)
    """
    factor = int(size * margin) / min(shape[:2])
    corner = [(side * factor - size) // 2 for side in shape[:2]]

    def within(value: Any, axis: int) -> int:
        return int(np.clip(np.floor(value * factor - corner[axis] + 0.5), 0, size))

    return Box(within(box.top, 0), within(box.left, 1), within(box.bottom, 0), within(box.right, 1))
