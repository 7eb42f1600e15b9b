"""Weights in torch's legacy file format, before it used zip archives: pickles, then the bytes of the storages.

A magic number, a version, the machine's sizes, the tensors (each a view of a storage, named by a persistent id), the
storages' keys, and for each key a count and the elements. Start reading at ``read_torch``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from steep.zoo.pickles import Name, Pending, are_sizes, load, malformed, plain_keys

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
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
    """The tensors of a state dict in torch's legacy format. Nothing in the file is executed.

    Args:
        data: the bytes of the file.

    Returns:
        A dict of arrays by name.

    Raises:
        ValueError: naming what is refused, or if the file is truncated.
    """
    file, storages = io.BytesIO(data), dict[str, _Storage]()

    def storage(identity: Any) -> _Storage:
        kind, name, key, _, count, view = identity
        known = isinstance(name, Name) and name.name in STORAGES
        if kind != "storage" or not isinstance(key, str) or not known or type(count) is not int or view is not None:
            raise ValueError(f"the persistent id {identity!r:.80} is refused")
        return storages.setdefault(key, _Storage(STORAGES[name.name], count))

    with malformed():
        if [load(file, {}), load(file, {})] != [MAGIC, VERSION] or load(file, {})["little_endian"] is not True:
            raise ValueError("not a file of torch's legacy format")
        tensors, keys = load(file, TORCH, storage), load(file, {})
        for key in keys:
            if not isinstance(key, str) or key not in storages:
                raise ValueError("the file has a storage that no tensor reads")
            _read_storage(file, storages[key])
        return {name: tensor.value.array() for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, storage: _Storage) -> None:
    dtype = np.dtype(storage.dtype)
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != storage.count:
        raise ValueError(f"a storage of {storage.count} elements is said to have {count}")
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("the file ends within a storage")
    storage.values = np.frombuffer(data, dtype)
