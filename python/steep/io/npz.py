"""NumPy's .npz: a zip of .npy members.

Read without pickle, with every member checked; written atomically, the same arrays to the same bytes.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.io.atomic import atomic_write
from steep.io.malformed import reading
from steep.io.safetensors import WRITES

FORMAT: Any = np.lib.format  # untyped in some releases of NumPy, typed in others


def read(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Reads the arrays of an .npz file.

    Args:
        path: path of the file.

    Returns:
        A dict of arrays by name.

    Raises:
        ValueError: for anything but an .npz of plain, undamaged arrays.
    """
    with open(path, "rb") as file, reading(path, "an npz file"), zipfile.ZipFile(file) as archive:
        return {_name(member): _read_member(archive, member) for member in archive.namelist()}


def _name(member: str) -> str:
    if not member.endswith(".npy"):
        raise ValueError(f"member {member!r} is not an .npy array")
    return member[: -len(".npy")]


def _read_member(archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    with reading(f"member {member!r}", "an array"), archive.open(member) as file:
        array: NDArray[Any] = FORMAT.read_array(file, allow_pickle=False)
        if file.read(1):
            raise ValueError(f"bytes follow the array in member {member!r}")
    if array.dtype.name not in WRITES:
        raise ValueError(f"member {member!r} is {array.dtype}; steep holds {list(WRITES)}")
    return array.astype(array.dtype.newbyteorder("="))


def write(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes an uncompressed .npz file, atomically.

    Args:
        path: path of the file.
        arrays: arrays by name.

    Raises:
        TypeError: for a dtype that steep does not have.
    """
    for name, array in arrays.items():
        if array.dtype.name not in WRITES:
            raise TypeError(f"array {name!r} is {array.dtype}; steep saves {list(WRITES)}")
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                FORMAT.write_array(member, array, allow_pickle=False)
