"""The safetensors format: a length, a JSON header, and the bytes of the tensors, without gaps.

The reader accepts exactly what the format's rules allow; nothing in a file is executed. Start reading at ``parse``:
bytes to entries. Reading needs no copy of the file beyond its own bytes. Source: the format's description in
github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from steep.io.arrays import BFloat16
from steep.io.atomic import atomic_write
from steep.io.malformed import reading

MOST_HEADER = 100_000_000
MOST_INTEGER = 2**64 - 1
METADATA = "__metadata__"

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

# Types that steep has, or that widen to one without loss: name in the file, NumPy type there, type in steep.
READS = {
    "BOOL": ("u1", "?"), "U8": ("u1", "u1"), "I32": ("<i4", "i4"), "I64": ("<i8", "i8"), "F32": ("<f4", "f4"),
    "F64": ("<f8", "f8"),
    "I8": ("i1", "i4"), "I16": ("<i2", "i4"), "U16": ("<u2", "i4"), "U32": ("<u4", "i8"), "F16": ("<f2", "f4"),
}  # fmt: skip
# The types that steep writes, in the order of the reference implementation.
WRITES = {
    "int64": "I64", "float64": "F64", "float32": "F32", "int32": "I32", "bfloat16": "BF16",
    "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


class Entry(NamedTuple):
    """One tensor of a file: its dtype in the file, its shape, and the begin and end of its bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """The header of a file: tensors by name, metadata, and where the bytes of the tensors start."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    start: int


def parse(data: bytes | memoryview) -> Header:
    """Parses and checks the header of a file.

    Args:
        data: the bytes of the whole file.

    Returns:
        A ``Header``.

    Raises:
        ValueError: naming the violated rule and the tensor.
    """
    start = 8 + _header_length(data)
    raw = _json(bytes(data[8:start]))
    metadata = _metadata(raw.pop(METADATA, {}))
    entries = {name: _entry(name, info) for name, info in raw.items()}
    _check_layout(entries, len(data) - start)
    return Header(entries, metadata, start)


def _header_length(data: bytes | memoryview) -> int:
    if len(data) < 8:
        raise ValueError(f"the file has {len(data)} bytes; the length of the header alone takes 8")
    length = int.from_bytes(data[:8], "little")
    if length > MOST_HEADER:
        raise ValueError(f"the header is said to have {length} bytes; at most {MOST_HEADER} are allowed")
    if length > len(data) - 8:
        raise ValueError(f"the header is said to have {length} bytes, but only {len(data) - 8} follow")
    return length


def _json(raw: bytes) -> dict[str, Any]:
    if raw[:1] != b"{":
        raise ValueError("the header must begin with '{'")
    try:
        header = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_natural
        )
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the header is not valid JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("the header must be a JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        _check_text(key)
        _check_text(value if isinstance(value, str) else "")
        if key in found:
            raise ValueError(f"key {key!r} occurs twice")
        found[key] = value
    return found


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not valid Unicode") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _natural(digits: str) -> int | float:
    """Integers outside 0..2^64-1 become floats, which no field accepts; long ones are never converted."""
    if digits.startswith("-") or len(digits) > 20 or int(digits) > MOST_INTEGER:
        return math.nan
    return int(digits)


def _metadata(raw: Any) -> dict[str, str]:
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        raise ValueError(f"{METADATA} must map strings to strings")
    return raw


def _entry(name: str, info: Any) -> Entry:
    if not isinstance(info, dict) or not info.keys() >= {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} must be an object with dtype, shape and data_offsets, got {info!r:.200}")
    dtype, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"tensor {name!r} has unknown dtype {dtype!r:.200}; known are {list(BITS)}")
    if not _are_naturals(shape):
        raise ValueError(f"tensor {name!r}: shape must be a list of integers from 0, got {shape!r:.200}")
    if not _are_naturals(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name!r}: data_offsets must be two integers from 0, got {offsets!r:.200}")
    entry = Entry(dtype, tuple(shape), *offsets)
    _check_size(name, entry)
    return entry


def _are_naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _check_size(name: str, entry: Entry) -> None:
    bits = 1
    for factor in (*entry.shape, BITS[entry.dtype]):
        bits *= factor
        if bits > MOST_INTEGER:
            raise ValueError(f"tensor {name!r}: the size of {entry.dtype} {list(entry.shape)} overflows 64 bits")
    if bits % 8:
        raise ValueError(f"tensor {name!r}: {entry.dtype} {list(entry.shape)} does not fill whole bytes")
    if entry.end - entry.begin != bits // 8:
        raise ValueError(
            f"tensor {name!r}: {entry.dtype} {list(entry.shape)} takes {bits // 8} bytes, but its data_offsets "
            f"[{entry.begin}, {entry.end}] hold {entry.end - entry.begin}"
        )


def _check_layout(entries: dict[str, Entry], available: int) -> None:
    """The tensors must be contiguous from 0 to the end of the file, without gap or overlap."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != at:
            fault = "overlaps the tensor before it" if entry.begin < at else "leaves a hole before it"
            raise ValueError(f"tensor {name!r} begins at byte {entry.begin} of the data instead of {at}: it {fault}")
        at = entry.end
    if at != available:
        raise ValueError(f"the tensors take {at} bytes, but {available} follow the header")


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Reads the tensors of a file and its metadata.

    int8, int16, uint16, uint32 and float16 are widened without loss; bfloat16 is returned as ``BFloat16``.

    Args:
        path: path of the file.

    Returns:
        A dict of arrays and a dict of strings.

    Raises:
        ValueError: naming the file and what is wrong, or a dtype that steep does not have.
    """
    with open(path, "rb") as file:
        data = memoryview(file.read())
    with reading(path, "a safetensors file"):
        return decode(data)


def decode(data: bytes | memoryview) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors and the metadata in the bytes of a file, as ``read`` gives them.

    Args:
        data: the bytes of the whole file.

    Returns:
        A dict of arrays and a dict of strings.

    Raises:
        ValueError: naming what is wrong.
    """
    header, seen = parse(data), memoryview(data)
    arrays = {name: _array(name, entry, seen[header.start :]) for name, entry in header.entries.items()}
    return arrays, header.metadata


def _array(name: str, entry: Entry, data: memoryview) -> NDArray[Any]:
    raw = data[entry.begin : entry.end]
    if entry.dtype == "BF16":
        wide = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(entry.shape).view(BFloat16)
    if entry.dtype not in READS:
        raise ValueError(f"tensor {name!r} is {entry.dtype}, which steep cannot hold; convert it first")
    stored, wanted = READS[entry.dtype]
    return np.frombuffer(raw, stored).astype(wanted).reshape(entry.shape)


def write(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a file, atomically.

    Tensors are ordered by dtype, then by name, as in the reference implementation: the same tensors give the same
    bytes.

    Args:
        path: path of the file.
        arrays: arrays by name.
        metadata: strings by string.

    Raises:
        TypeError: for a name or dtype that cannot be saved.
    """
    ordered = sorted(arrays.items(), key=lambda item: _rank(*item))
    header = _header_bytes(ordered, metadata)
    with atomic_write(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, array in ordered:
            file.write(_bytes(array))


def _dtype_name(array: NDArray[Any]) -> str:
    return "bfloat16" if isinstance(array, BFloat16) else array.dtype.name


def _bytes(array: NDArray[Any]) -> memoryview:
    if isinstance(array, BFloat16):
        array = (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data


def _rank(name: Any, array: NDArray[Any]) -> tuple[int, str]:
    if not isinstance(name, str) or name == METADATA:
        raise TypeError(f"a tensor's name must be a string other than {METADATA!r}, got {name!r}")
    if _dtype_name(array) not in WRITES:
        raise TypeError(f"tensor {name!r} is {array.dtype}; steep saves {list(WRITES)}")
    return list(WRITES).index(_dtype_name(array)), name


def _header_bytes(ordered: list[tuple[str, NDArray[Any]]], metadata: Mapping[str, str] | None) -> bytes:
    header: dict[str, Any] = {METADATA: _checked_metadata(metadata)} if metadata else {}
    at = 0
    for name, array in ordered:
        dtype = WRITES[_dtype_name(array)]
        offsets = [at, at := at + array.size * BITS[dtype] // 8]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    padded = text + b" " * (-len(text) % 8)
    if len(padded) > MOST_HEADER:
        raise ValueError(f"the header would have {len(padded)} bytes; at most {MOST_HEADER} are allowed")
    return padded


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map strings to strings, got {key!r}: {value!r}")
    return dict(metadata)
