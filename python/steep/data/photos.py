"""Photographs that ship inside packages: four well-known ones, and twenty labelled ones of each of four data sets.

``photo("chelsea")`` returns an image, ``photos("imagenet")`` images and labels. Downloaded on demand, decoded by
Pillow.
"""

from __future__ import annotations

import re
import zipfile
from typing import NamedTuple

from steep.data.fetch import Source, fetch
from steep.data.images import Picture, read_image
from steep.display import displayed


def _skimage(file: str, size: int, sha256: str) -> Source:
    member = f"skimage/data/{file}"
    return Source(file.partition(".")[0], "scikit-image==0.26.0", member, size, sha256, licence="BSD-3-Clause")


PHOTOS = {
    source.name: source
    for source in (
        _skimage("chelsea.png", 240_512, "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
        _skimage("coffee.png", 466_706, "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
        _skimage("astronaut.png", 791_555, "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
        _skimage("rocket.jpg", 112_525, "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
    )
}
LABELLED = Source(
    name="photos",
    requirement="foolbox==3.3.4",
    member="foolbox-3.3.4-py3-none-any.whl",
    size=1_677_112,
    sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    licence="MIT",
)
FOLDERS = {"imagenet": "imagenet", "cifar10": "cifar10", "mnist": "mnist", "fashion_mnist": "fashionMNIST"}


@displayed
class Labelled(NamedTuple):
    """A labelled photograph.

    Attributes:
        picture: uint8 (H, W, 3).
        label: its class, an integer.
    """

    picture: Picture
    label: int


def photo(name: str) -> Picture:
    """A well-known photograph, downloaded on demand (1.6 MB) from the package scikit-image.

    Args:
        name: "chelsea" (a cat), "coffee", "astronaut" or "rocket".

    Returns:
        A uint8 array (H, W, 3).

    Raises:
        ValueError: for an unknown name.
        FetchError: if it cannot be downloaded.
    """
    if name not in PHOTOS:
        raise ValueError(f"there is no photo {name!r}; known are {list(PHOTOS)}")
    return read_image(fetch(PHOTOS[name], *PHOTOS.values()))


def photos(name: str) -> list[Labelled]:
    """Twenty labelled images, downloaded on demand (1.7 MB) from the package foolbox.

    Args:
        name: "imagenet", "cifar10", "mnist" or "fashion_mnist".

    Returns:
        A list of ``Labelled``.

    Raises:
        ValueError: for an unknown name.
        FetchError: if they cannot be downloaded.
    """
    if name not in FOLDERS:
        raise ValueError(f"there are no photos of {name!r}; known are {list(FOLDERS)}")
    with zipfile.ZipFile(fetch(LABELLED)) as wheel:
        pattern = re.compile(rf"foolbox/data/{FOLDERS[name]}_\d\d_(\d+)\.\w+")
        found = [(member, match[1]) for member in sorted(wheel.namelist()) if (match := pattern.fullmatch(member))]
        return [Labelled(read_image(wheel.read(member)), int(label)) for member, label in found]
