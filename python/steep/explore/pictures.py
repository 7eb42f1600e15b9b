"""The images that the page opens: decoded, made square, kept by a number; and those of the folder that was given.

Only files that were listed at the start are read, by their index. An image far larger than needed is scaled down while
it is decoded, and the page says so. Start reading at ``Pictures``.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep.data.folder import SUFFIXES
from steep.data.images import Picture, pillow, read_image, to_square
from steep.display import displayed
from steep.explore.subject import Subject

KEPT = 32  # squares in memory
LARGE = 24_000_000  # pixels above which an image is scaled down first
SCALED = 2048  # pixels of its longer side then
MOST = 500  # files of the folder that top examples are searched in


@displayed
@dataclass(frozen=True)
class Shown:
    """An image as the network sees it.

    Attributes:
        id: its number.
        name: the name of its file, or what it is.
        square: uint8 (size, size, 3).
        note: what was done to it, for people.
        file: the path or name to write into code, None if it was no file.
    """

    id: int
    name: str
    square: Picture
    note: str
    file: str | None


class Pictures:
    """Images by key, and the files of a folder by index.

    Args:
        subject: the model.
        folder: a folder of images, or None.
    """

    def __init__(self, subject: Subject, folder: Path | None = None) -> None:
        self.subject, self.folder = subject, folder
        self.files = listed(folder) if folder else []
        self._kept: OrderedDict[int, Shown] = OrderedDict()
        self._lock, self._decoding, self._last = threading.Lock(), threading.Lock(), 0
        self._squares: dict[int, Picture | None] = {}

    def __getitem__(self, id: int) -> Shown:
        """The image with a number. Raises ValueError if it is not kept any more."""
        with self._lock:
            if id not in self._kept:
                raise ValueError("the image is not in memory any more: open it again")
            self._kept.move_to_end(id)
            return self._kept[id]

    def add(self, data: bytes, name: str, file: str | None = None) -> Shown:
        """Decode an image file.

        Args:
            data: its bytes.
            name: its name, for people.
            file: what code calls it; its name if None.

        Returns:
            What is shown.

        Raises:
            ValueError: if it is no image, or has too many pixels.
        """
        with self._decoding:
            picture, note = decoded(data)
            way = self.subject.preprocessing
            square = to_square(picture, way.size, way.margin)
        return self._keep(name, square, note, file or name)

    def add_square(self, square: Picture, name: str) -> Shown:
        """Keep a square as it is, such as a frame of the camera.

        Args:
            square: uint8 (size, size, 3).
            name: what it is.

        Returns:
            What is shown.
        """
        return self._keep(name, square, "", None)

    def of_folder(self, index: int) -> Shown:
        """An image of the folder.

        Args:
            index: its index in ``files``.

        Returns:
            What is shown.

        Raises:
            ValueError: for another index, or a file that cannot be read.
        """
        if not 0 <= index < len(self.files):
            raise ValueError(f"the folder has {len(self.files)} images, there is no number {index}")
        path = self.files[index]
        try:
            return self.add(path.read_bytes(), path.name, str(path))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None

    def square(self, index: int) -> Picture | None:
        """The square of a file of the folder, kept in memory; None for one that cannot be read.

        For jobs, of which one runs at a time. It takes no lock, so that an image that is opened on the page does not
        wait for a search of the folder.

        Args:
            index: its index in ``files``.

        Returns:
            uint8 (size, size, 3), or None.
        """
        if index not in self._squares:
            way = self.subject.preprocessing
            try:
                picture = to_square(decoded(self.files[index].read_bytes())[0], way.size, way.margin)
            except (OSError, ValueError):
                self._squares[index] = None
            else:
                self._squares[index] = picture
        return self._squares[index]

    def _keep(self, name: str, square: Picture, note: str, file: str | None) -> Shown:
        with self._lock:
            self._last += 1
            shown = self._kept[self._last] = Shown(self._last, name, square, note, file)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return shown


class Inputs:
    """The squares of a folder as a data set of inputs, made when they are asked for.

    Args:
        subject: the model.
        squares: uint8 (size, size, 3) each.
    """

    def __init__(self, subject: Subject, squares: list[Picture]) -> None:
        self.subject, self.squares = subject, squares

    def __len__(self) -> int:
        return len(self.squares)

    def __getitem__(self, at: Any) -> NDArray[np.float32]:
        """The input at an index, (channels, size, size), or those of a slice."""
        some = self.squares[at] if isinstance(at, slice) else [self.squares[at]]
        found: NDArray[np.float32] = np.asarray(_core.concat([self.subject.input(square) for square in some]))
        return found if isinstance(at, slice) else found[0]


def listed(folder: Path) -> list[Path]:
    """The image files in a folder and its folders, sorted.

    Args:
        folder: the folder.

    Returns:
        Paths.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it has no images.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        raise ValueError(f"the folder {folder} has no image ({', '.join(SUFFIXES)})")
    return found


def decoded(data: bytes) -> tuple[Picture, str]:
    """An image file as an array, scaled down while it is decoded if it is very large.

    Args:
        data: bytes of the file.

    Returns:
        A uint8 array (height, width, 3), and what was done, "" for nothing.

    Raises:
        ValueError: if it is no image, or larger than Pillow accepts.
    """
    try:
        with _opened(data) as image:
            width, height = image.size
            if width * height <= LARGE:
                return read_image(data), ""
            image.thumbnail((SCALED, SCALED))  # JPEG is decoded at a fraction of its size, others in full
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "PNG", exif=image.getexif(), compress_level=1)
    except Exception:  # Pillow's formats raise many kinds; read_image says what is wrong
        return read_image(data), ""
    small = f"{image.size[0]:,} by {image.size[1]:,}"
    return read_image(buffer.getvalue()), f"{width:,} by {height:,} pixels, scaled down to {small} first"


def _opened(data: bytes) -> Any:
    """The image before it is decoded; Pillow warns of large ones, and refuses those that are twice as large."""
    image = pillow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", image.DecompressionBombWarning)
        return image.open(io.BytesIO(data))
