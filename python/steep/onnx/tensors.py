"""TensorProto to NumPy, with every size checked before memory is allocated; and external data, confined to its folder.

The file is not trusted: sizes must agree with the data, and external data must be an ordinary file below the folder of
the model, reached by no link.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.table import NARROW, WIDENED, dtype_of

EXTERNAL = 1
_FIELDS = {
    "float32": "float_data", "uint8": "int32_data", "int32": "int32_data", "int64": "int64_data",
    "bool": "int32_data", "float64": "double_data", "bfloat16": "int32_data", "float16": "int32_data",
    **{row.name: "uint64_data" if row.bits == 32 else "int32_data" for row in NARROW.values()},
}  # fmt: skip
_STORED = {"bfloat16": "<u2", "bool": "|u1"}
_ALL = ("raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def decode(proto: Any, folder: Path | None, where: str) -> np.ndarray | Tensor:
    """The values of a TensorProto: an array, or a tensor for bfloat16, which NumPy lacks; float16 becomes float32.

    Integers of fewer than 8 bits become int8 or uint8.

    Raises ValueError naming ``where`` if type, sizes and data do not agree.
    """
    dtype = dtype_of(proto.data_type, where).name
    kept = WIDENED.get(proto.data_type, (dtype, dtype))[0]  # in the type of the file
    shape = tuple(int(n) for n in proto.dims)
    if any(n < 0 for n in shape):
        raise ValueError(f"{where} has a negative size: {shape}")
    if len(shape) > 8:
        raise ValueError(f"{where} has {len(shape)} dimensions; steep has at most 8")
    if proto.HasField("segment"):
        raise ValueError(f"{where} is stored in segments, which is not supported")
    if proto.data_type in NARROW:
        return _narrow(proto, math.prod(shape), folder, where).reshape(shape)
    flat = _values(proto, kept, math.prod(shape), folder, where)
    if dtype == "bfloat16":
        wide = (flat.astype(np.uint32) << 16).view(np.float32).reshape(shape)
        return _core.asarray(wide).astype("bfloat16")
    return flat.astype(dtype, copy=False).reshape(shape)


def _narrow(proto: Any, count: int, folder: Path | None, where: str) -> np.ndarray:
    """Integers of a type that steep holds in a wider one; those of 2 and 4 bits lie in bytes, the first lowest."""
    row = NARROW[proto.data_type]
    if row.bits >= 8:
        return _values(proto, row.name, count, folder, where)
    several = 8 // row.bits
    packed = _values(proto, "uint8", -(-count // several), folder, where)
    parts = (packed[:, None] >> (np.arange(several, dtype=np.uint8) * np.uint8(row.bits))) & np.uint8(2**row.bits - 1)
    flat = parts.reshape(-1)[:count]
    return flat if row.low == 0 else np.where(flat > row.high, flat.astype(np.int8) - 2**row.bits, flat).astype(np.int8)


def _values(proto: Any, dtype: str, count: int, folder: Path | None, where: str) -> np.ndarray:
    stored = np.dtype(_STORED.get(dtype, np.dtype(dtype if dtype != "bfloat16" else "u2").newbyteorder("<")))
    wanted = count * stored.itemsize
    filled = [name for name in _ALL if len(getattr(proto, name))]
    if proto.data_location == EXTERNAL:
        if filled:
            raise ValueError(f"{where} has external data and {filled[0]} as well")
        return np.frombuffer(_external(proto, wanted, folder, where), stored)
    if proto.external_data:
        raise ValueError(f"{where} names external data but is not marked as external")
    if len(filled) > 1:
        raise ValueError(f"{where} has data in {' and in '.join(filled)}")
    if filled == ["raw_data"]:
        if len(proto.raw_data) != wanted:
            raise ValueError(
                f"{where}: {tuple(proto.dims)} of {dtype} takes {wanted} bytes, {len(proto.raw_data)} given"
            )
        return np.frombuffer(proto.raw_data, stored)
    return _from_field(proto, dtype, stored, count, filled, where)


def _from_field(proto: Any, dtype: str, stored: np.dtype[Any], count: int, filled: list[str], where: str) -> np.ndarray:
    field = _FIELDS[dtype]
    if filled and filled != [field]:
        raise ValueError(f"{where} of {dtype} has its data in {filled[0]}, not in {field}")
    values = getattr(proto, field)
    if len(values) != count:
        raise ValueError(f"{where}: {tuple(proto.dims)} has {count} elements, {len(values)} given in {field}")
    wide = np.array(values, dtype=np.int64) if field == "int32_data" else np.array(values)
    bits = np.dtype("<u2") if dtype == "float16" else stored  # which are stored in the integers directly
    if field == "int32_data" and count and bits.kind in "ui":
        info = np.iinfo(bits)
        if wide.min() < info.min or wide.max() > info.max:
            raise ValueError(f"{where}: a value does not fit into {dtype}")
    return wide.astype(bits).view(stored)


# -- external data ----------------------------------------------------------------------------------------------------


def _external(proto: Any, wanted: int, folder: Path | None, where: str) -> bytes:
    if folder is None:
        raise ValueError(f"{where} keeps its data in another file; load the model from its path, not from bytes")
    entries = {}
    for entry in proto.external_data:
        if entry.key in entries:
            raise ValueError(f"{where}: external data gives {entry.key!r} twice")
        entries[entry.key] = entry.value
    names = _confined(entries.get("location", ""), where)
    offset, length = (_natural(entries.get(key), key, where) for key in ("offset", "length"))
    if length is not None and length != wanted:
        raise ValueError(f"{where}: {wanted} bytes are needed, external data has {length}")
    return _read(names, folder, offset or 0, wanted, where)


def _natural(text: str | None, key: str, where: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{where}: external data has {key} {text[:40]!r}, which is no size")
    return int(text)


def _confined(location: str, where: str) -> list[str]:
    """The parts of a relative path that goes only downwards."""
    names = location.split("/")
    if not names[-1] or location.startswith("/") or "\0" in location or "\\" in location or ":" in names[0]:
        raise ValueError(f"{where}: external data at {location[:100]!r}; it must be a relative path with /")
    if names[-1] == "." or ".." in names:
        raise ValueError(f"{where}: external data at {location[:100]!r} may leave the folder of the model")
    return [name for name in names if name not in ("", ".")]


def _open(names: list[str], folder: Path) -> int:
    """A file below a folder, each part of the path opened relative to the previous one and none through a link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for i, name in enumerate(names):
        try:
            inner = os.open(name, flags | (os.O_DIRECTORY if i < len(names) - 1 else 0), dir_fd=at)
        finally:
            os.close(at)
        at = inner
    return at


def _read(names: list[str], folder: Path, offset: int, length: int, where: str) -> bytes:
    try:
        handle = _open(names, folder)
    except OSError as error:
        why = "it is a link, or below one" if error.errno in (errno.ELOOP, errno.ENOTDIR) else error.strerror
        raise ValueError(f"{where}: external data at {'/'.join(names)[:100]!r} cannot be read: {why}") from None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
            raise ValueError(f"{where}: external data at {names[-1]!r} is not a file of its own (copy it)")
        if offset + length > info.st_size:
            raise ValueError(f"{where}: external data ends at {info.st_size}, {offset} + {length} is asked for")
        with open(handle, "rb", closefd=False) as file:
            file.seek(offset)
            return file.read(length)
    finally:
        os.close(handle)
