"""Weights in torch's two file formats, read as data: a zip archive, and the legacy one that came before it.

Both hold a pickle of the tensors, each a view of a storage that a persistent id names. In an archive each storage is a
member; in a legacy file a magic number, a version and the machine's sizes come first, and afterwards the storages'
keys, and for each key a count and the elements. Start reading at ``read_torch``.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from steep.zoo.pickles import Name, Pending, are_sizes, load, malformed, plain_keys

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
DEEPEST = 4  # dicts within dicts
STORAGES = {"torch FloatStorage": "<f4", "torch DoubleStorage": "<f8", "torch LongStorage": "<i8"}


@dataclass
class _Storage:
    dtype: str
    count: int
    values: NDArray[Any] | None = None


@dataclass
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        values = self.storage.values
        if values is None:
            raise ValueError("a storage has no bytes")
        steps = [stride * values.itemsize for stride in self.strides]
        view: NDArray[Any] = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps)
        copied: NDArray[Any] = view.copy()
        return copied


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Pending:
    if not isinstance(storage, _Storage) or not are_sizes((offset,)) or not are_sizes(shape) or not are_sizes(strides):
        raise ValueError("a tensor without a storage, shape or strides is refused")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= storage.count or math.prod(shape) > storage.count or 0 in shape:
        raise ValueError(
            f"a tensor of shape {shape}, strides {strides} from {offset} leaves its storage of {storage.count}"
        )
    return Pending(_no_state, _View(storage, offset, shape, strides))


def _no_state(state: Any) -> Any:
    raise ValueError("a state for a tensor is refused")


TORCH: dict[str, Callable[..., Any] | None] = {
    "collections OrderedDict": lambda *pairs: plain_keys(*pairs) if pairs else {},
    "torch._utils _rebuild_tensor_v2": _rebuild,
    **dict.fromkeys(STORAGES),
}


def read_torch(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict, or of a checkpoint that holds some. Nothing in the file is executed.

    Args:
        data: the bytes of the file, a zip archive or in torch's legacy format.

    Returns:
        A dict of arrays by name; those of a dict within a dict by both names with a dot between them.

    Raises:
        ValueError: naming what is refused, or if the file is truncated.
    """
    with malformed():
        tensors = _of_archive(data) if data.startswith(b"PK") else _of_legacy_file(io.BytesIO(data))
        found: dict[str, NDArray[Any]] = {}
        _collect(tensors, "", found)
        if not found:
            raise ValueError("the file holds no tensor")
        return found


def _collect(value: Any, name: str, found: dict[str, NDArray[Any]]) -> None:
    if isinstance(value, Pending) and isinstance(value.value, _View):
        found[name] = value.value.array()
    elif isinstance(value, dict):
        if name.count(".") > DEEPEST:
            raise ValueError(f"the dict at {name!r:.80} is nested too deeply")
        for key, item in value.items():
            _collect(item, f"{name}.{key}" if name else str(key), found)


class _Storages(dict[str, _Storage]):
    """Storages by key, made as persistent ids name them.

    Args:
        fields: number of fields of a persistent id; the sixth, of legacy files, is a view's, and must be None.
    """

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.fields = fields

    def named(self, identity: Any) -> _Storage:
        """The storage of a persistent id."""
        kind, name, key, _, count, *view = identity
        known = isinstance(name, Name) and name.name in STORAGES and len(identity) == self.fields
        if kind != "storage" or not isinstance(key, str) or not known or type(count) is not int or any(view):
            raise ValueError(f"the persistent id {identity!r:.80} is refused")
        return self.setdefault(key, _Storage(STORAGES[name.name], count))


def _of_archive(data: bytes) -> Any:
    """The content of a zip archive: ``NAME/data.pkl`` and the storages ``NAME/data/KEY``."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickled = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
        if pickled is None:
            raise ValueError("a zip archive without data.pkl is no file of torch")
        folder, storages = pickled.removesuffix("data.pkl"), _Storages(5)
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are not little-endian")
        tensors = load(io.BytesIO(archive.read(pickled)), TORCH, storages.named)
        for key, storage in storages.items():
            _fill(storage, archive.read(f"{folder}data/{key}"))
        return tensors


def _of_legacy_file(file: BinaryIO) -> Any:
    if [load(file, {}), load(file, {})] != [MAGIC, VERSION] or load(file, {})["little_endian"] is not True:
        raise ValueError("not a file of torch's legacy format")
    storages = _Storages(6)
    tensors, keys = load(file, TORCH, storages.named), load(file, {})
    for key in keys:
        if not isinstance(key, str) or key not in storages:
            raise ValueError("the file has a storage that no tensor reads")
        _read_storage(file, storages[key])
    return tensors


def _read_storage(file: BinaryIO, storage: _Storage) -> None:
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != storage.count:
        raise ValueError(f"a storage of {storage.count} elements is said to have {count}")
    _fill(storage, file.read(count * np.dtype(storage.dtype).itemsize))


def _fill(storage: _Storage, data: bytes) -> None:
    dtype = np.dtype(storage.dtype)
    if len(data) != storage.count * dtype.itemsize:
        raise ValueError("the file ends within a storage")
    storage.values = np.frombuffer(data, dtype)
