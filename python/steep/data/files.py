"""Data sets in files of their usual formats: idx, npz, and CIFAR's pickles and binary files.

Pickles are read as data: only what NumPy's arrays are made of is accepted, so no code of a file is run.
"""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.data.sets import Part, Splits
from steep.io import npz as npz_files
from steep.io.malformed import reading

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
SIDE, CHANNELS = 32, 3
Path_ = str | os.PathLike[str]


def read_idx(path: Path_) -> NDArray[Any]:
    """Reads an idx file, gzipped or not, of any of the format's types.

    Args:
        path: path of the file.

    Returns:
        An array.

    Raises:
        ValueError: if it is not such a file.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("a.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
        >>> sp.data.read_idx("a.idx").tolist()
        [7, 8, 9]
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        with reading(path, "a whole gzip file"):
            raw = gzip.decompress(raw)
    with reading(path, "a whole idx file"):
        kind = TYPES.get(raw[2]) if len(raw) >= 4 and raw[:2] == b"\0\0" else None
        if kind is None:
            raise ValueError(f"its head is {raw[:4]!r}")
        start = 4 + 4 * raw[3]
        shape = tuple(int(n) for n in np.frombuffer(raw[4:start], ">u4"))
        size = int(np.prod(shape, dtype=object))
        if len(shape) != raw[3] or len(raw) != start + size * np.dtype(kind).itemsize:
            raise ValueError(f"{len(raw)} bytes, and sizes {shape} of {np.dtype(kind)}")
        values = np.frombuffer(raw, kind, offset=start).reshape(shape)
    return values.astype(values.dtype.newbyteorder("="))


def idx(images: Path_, labels: Path_) -> Part:
    """A data set of two idx files, as MNIST has them.

    Args:
        images: path of the samples; bytes are divided by 255.
        labels: path of the labels.

    Returns:
        A ``Part``.

    Raises:
        ValueError: if they are not such files, or not of one length.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("x.idx").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255]))
        >>> _ = Path("y.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
        >>> part = sp.data.idx("x.idx", "y.idx")
        >>> part.x.tolist(), part.y.tolist()
        ([[[0.0, 1.0]]], [7])
    """
    return _part(f"{images} and {labels}", read_idx(images), read_idx(labels))


def npz(path: Path_, x: str = "x", y: str = "y") -> Part:
    """A data set of two arrays of an npz file.

    Args:
        path: path of the file.
        x: name of the samples; bytes are divided by 255.
        y: name of the labels or targets.

    Returns:
        A ``Part``.

    Raises:
        ValueError: if the file lacks an array, or they are not of one length.

    Example:
        >>> np.savez("data.npz", x=np.zeros((2, 3)), y=[0, 1])
        >>> sp.data.npz("data.npz").x.shape
        (2, 3)
    """
    arrays = npz_files.read(path)
    for name in (x, y):
        if name not in arrays:
            raise ValueError(f"{os.fspath(path)} has no array {name!r}; it has {', '.join(arrays)}")
    return _part(os.fspath(path), arrays[x], arrays[y])


def _part(where: str, x: NDArray[Any], y: NDArray[Any]) -> Part:
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        raise ValueError(f"{where}: samples of shape {x.shape} and labels of shape {y.shape} do not fit")
    scaled = x / np.float32(255) if x.dtype == np.uint8 else x
    return Part(scaled.astype(np.float32), y.astype(np.float32 if y.dtype.kind == "f" else np.int64))


# -- CIFAR --------------------------------------------------------------------------------------------------------


def cifar(folder: Path_, coarse: bool = False) -> Splits:
    """CIFAR-10 or CIFAR-100 from the folder of its archive, of the Python or of the binary version.

    Args:
        folder: the folder.
        coarse: of CIFAR-100, whether to read the twenty superclasses.

    Returns:
        A ``Splits``; samples are (n, 3, 32, 32).

    Raises:
        ValueError: if the folder holds no complete version, or a file is damaged; naming it.
    """
    root = Path(folder)
    for train, test, read in VERSIONS:
        if all((root / name).is_file() for name in (*train, *test)):
            parts = [[read(root / name, coarse) for name in names] for names in (train, test)]
            return Splits(*(_joined(part) for part in parts))
    known = "; ".join(", ".join((*train, *test)) for train, test, _ in VERSIONS)
    raise ValueError(f"cifar: {root} holds no version of CIFAR; one of these is complete: {known}")


def _joined(parts: list[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> Part:
    x = np.concatenate([x for x, _ in parts]).reshape(-1, CHANNELS, SIDE, SIDE)
    return _part("cifar", x, np.concatenate([y for _, y in parts]))


class _Arrays(pickle.Unpickler):
    """Reads dicts, lists, numbers, texts and NumPy arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encoded_bytes,
        }
        if name == "_reconstruct" and module.startswith("numpy.") and module.endswith(".multiarray"):
            return np._core.multiarray._reconstruct if hasattr(np, "_core") else np.core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) not in allowed:
            raise ValueError(f"it names {module}.{name}, which is no part of an array")
        return allowed[module, name]


def _encoded_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"it encodes by {encoding!r}")
    return text.encode("latin1")


def _pickled(path: Path, coarse: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with path.open("rb") as file, reading(path, "a batch of CIFAR"):
        found = {
            k.decode() if isinstance(k, bytes) else k: v for k, v in _Arrays(file, encoding="bytes").load().items()
        }
        names = ("coarse_labels",) if coarse else ("labels", "fine_labels")
        labels = next((found[name] for name in names if name in found), None)
        pixels = np.asarray(found.get("data", []))
        if labels is None or pixels.shape != (len(labels), CHANNELS * SIDE * SIDE) or pixels.dtype != np.uint8:
            raise ValueError(f"it holds {', '.join(found)}, with data of {pixels.dtype}{pixels.shape}")
        return pixels, np.asarray(labels, np.int64)


def _binary(marks: int) -> Callable[[Path, bool], tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    def read(path: Path, coarse: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        size = marks + CHANNELS * SIDE * SIDE
        raw = np.frombuffer(path.read_bytes(), np.uint8)
        if not len(raw) or len(raw) % size:
            raise ValueError(f"{path}: {len(raw)} bytes are not records of {size}")
        rows = raw.reshape(-1, size)
        return rows[:, marks:], rows[:, 0 if coarse else marks - 1].astype(np.int64)

    return read


_TEN = [f"data_batch_{i}" for i in range(1, 6)]
VERSIONS = [
    (_TEN, ["test_batch"], _pickled),
    ([f"{name}.bin" for name in _TEN], ["test_batch.bin"], _binary(1)),
    (["train"], ["test"], _pickled),
    (["train.bin"], ["test.bin"], _binary(2)),
]
