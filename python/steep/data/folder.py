"""A folder of pictures as a data set: a subfolder per class, each file read when its sample is asked for.

Files are decoded by Pillow, which releases the interpreter lock, so the loader's threads decode side by side. Start
reading at ``folder``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import progress
from steep.data.images import Picture, read_image, to_square

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
ERRORS = ("raise", "skip")
LUMA = np.array([299, 587, 114], np.int64)  # thousandths of ITU-R BT.601


class Folder:
    """A data set of picture files. Samples are (x, y): float32 (channels, height, width) in [0, 1], and an integer.

    Args:
        files: paths of the pictures.
        labels: int64 (n,), indices of ``classes``.
        classes: names of the subfolders, sorted.
        size: side of the squares to which pictures are resized, or None.
        grey: whether they have one channel rather than three.

    Attributes:
        skipped: pairs of a path and what was wrong with it.
        ignored: paths of files that are no pictures by their names.
    """

    def __init__(
        self, files: list[Path], labels: NDArray[np.int64], classes: list[str], size: int | None, grey: bool
    ) -> None:
        self.files, self.labels, self.classes = files, labels, classes
        self.size, self.grey = size, grey
        self.skipped: list[tuple[Path, str]] = []
        self.ignored: list[Path] = []

    def __repr__(self) -> str:
        return f"Folder({len(self)} pictures of {len(self.classes)} classes)"

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], np.int64]:
        """The picture at ``index`` and its class."""
        return scaled([self.picture(index)])[0], self.labels[index]

    def batch(self, indices: NDArray[np.int64]) -> Any:
        """The samples at ``indices``.

        Args:
            indices: an int64 array.

        Returns:
            A float32 array (n, channels, height, width) and an int64 array (n,).

        Raises:
            ValueError: naming the file, if a picture cannot be read, or if sizes differ and no ``size`` was given.
        """
        pictures = [self.picture(int(i)) for i in indices]
        other = next((n for n, p in enumerate(pictures) if p.shape != pictures[0].shape), None)
        if other is not None:
            raise ValueError(
                f"folder: {self.files[indices[other]]} has {_sides(pictures[other])} pixels, and "
                f"{self.files[indices[0]]} has {_sides(pictures[0])}: give a size"
            )
        return scaled(pictures), self.labels[indices]

    def picture(self, index: int) -> Picture:
        """The picture at ``index``, resized and cropped if there is a size.

        Args:
            index: its number.

        Returns:
            A uint8 array (height, width, channels).

        Raises:
            ValueError: naming the file and its number, if it cannot be read.
        """
        path = self.files[index]
        try:
            found = read_image(path)
        except ValueError as error:
            raise ValueError(f"folder: picture {index}: {error}") from None
        if self.size is not None and found.shape[:2] != (self.size, self.size):
            found = to_square(found, self.size, 1.0)
        return ((found @ LUMA + 500) // 1000).astype(np.uint8)[..., None] if self.grey else found

    def check(self, threads: int | None = None) -> list[tuple[int, str]]:
        """Decodes every picture.

        Args:
            threads: number of threads; that of the processor's cores if None.

        Returns:
            Pairs of a number and what is wrong with that picture.
        """
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            found = progress.over(pool.map(self._fault, range(len(self))), "checking pictures", len(self))
            return [(number, fault) for number, fault in enumerate(found) if fault]

    def _fault(self, index: int) -> str:
        try:
            self.picture(index)
        except (ValueError, OSError) as error:
            return str(error)
        return ""


def _sides(picture: Picture) -> str:
    return f"{picture.shape[0]} by {picture.shape[1]}"


def scaled(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Pictures of bytes as inputs.

    Args:
        pictures: uint8 arrays (height, width, channels) of one shape.

    Returns:
        A float32 array (n, channels, height, width) in [0, 1].
    """
    height, width, channels = pictures[0].shape
    found = np.empty((len(pictures), channels, height, width), np.float32)
    for picture, place in zip(pictures, found, strict=True):
        place[...] = picture.transpose(2, 0, 1)
        place *= np.float32(1 / 255)  # by itself: a product that converts goes through a buffer
    return found


def folder(path: str | os.PathLike[str], size: int | None = None, grey: bool = False, errors: str = "raise") -> Folder:
    """A folder with a subfolder of pictures for each class, as a data set; needs Pillow.

    Pictures are read when they are asked for: upright, by EXIF, in colour or grey, of 8 or 16 bits.

    Args:
        path: the folder.
        size: side in pixels of the central square to which pictures are resized; None to leave them as they are.
        grey: whether to make one channel rather than three.
        errors: "raise" to raise at a picture that cannot be read, with its path and number; "skip" to decode all once
            at the beginning and leave such pictures out, which ``skipped`` lists.

    Returns:
        A ``Folder``.

    Raises:
        ValueError: if there is no picture, a class without one, or for another ``errors``.
        NotADirectoryError: if ``path`` is no folder.

    Example:
        >>> from pathlib import Path
        >>> for name in ("cats", "dogs"):
        ...     Path("animals", name).mkdir(parents=True)
        ...     _ = Path("animals", name, "one.png").write_bytes(sp.pictures.png(np.zeros((4, 6, 3), np.uint8)))
        >>> animals = sp.data.folder("animals", size=4)
        >>> animals.classes, animals[1][0].shape, int(animals[1][1])
        (['cats', 'dogs'], (3, 4, 4), 1)
    """
    if errors not in ERRORS:
        raise ValueError(f"folder: errors must be one of {list(ERRORS)}, got {errors!r}")
    root = Path(path)
    if not root.is_dir():
        raise NotADirectoryError(f"folder: {root} is not a folder")
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise ValueError(f"folder: {root} has no subfolders; each class is a subfolder of pictures")
    files, labels, ignored = [], [], []
    for label, name in enumerate(classes):
        mine, others = _files(root / name)
        if not mine:
            raise ValueError(f"folder: {root / name} holds no pictures ({', '.join(SUFFIXES)})")
        files += mine
        ignored += others
        labels += [label] * len(mine)
    found = Folder(files, np.array(labels, np.int64), classes, size, grey)
    found.ignored = ignored
    return found if errors == "raise" else _without(found, found.check())


def _files(place: Path) -> tuple[list[Path], list[Path]]:
    """The pictures below a folder, and the other files, each sorted."""
    paths = sorted(p for p in place.rglob("*") if p.is_file() and not p.name.startswith("."))
    mine = [p for p in paths if p.suffix.lower() in SUFFIXES]
    return mine, [p for p in paths if p.suffix.lower() not in SUFFIXES]


def _without(given: Folder, faults: Iterable[tuple[int, str]]) -> Folder:
    wrong = dict(faults)
    kept = [i for i in range(len(given)) if i not in wrong]
    if not kept:
        raise ValueError(f"folder: none of {len(given)} pictures can be read; the first: {wrong[0]}")
    found = Folder([given.files[i] for i in kept], given.labels[kept], given.classes, given.size, given.grey)
    found.skipped, found.ignored = [(given.files[i], fault) for i, fault in wrong.items()], given.ignored
    return found
