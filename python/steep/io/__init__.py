"""Saving and loading: safetensors and npz by the file's extension, and checkpoints. No pickle is used.

Every write is atomic (``atomic.py``); every reader checks a whole file before using it (``safetensors.py``,
``npz.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.io import npz, safetensors
from steep.io.arrays import to_array, to_tensor
from steep.io.atomic import atomic_write
from steep.io.malformed import reading
from steep.io.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

__all__ = ["Checkpoint", "atomic_write", "load", "load_checkpoint", "metadata", "save", "save_checkpoint"]

Arrays: TypeAlias = dict[str, NDArray[Any]]

READERS: dict[str, Callable[[Any], Arrays]] = {
    ".safetensors": lambda path: safetensors.read(path)[0],
    ".npz": npz.read,
}
WRITERS: dict[str, Callable[[Any, Arrays], None]] = {".safetensors": safetensors.write, ".npz": npz.write}


def save(path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes named tensors or arrays to a .safetensors or .npz file, atomically.

    Args:
        path: path of the file.
        tensors: tensors or arrays by name, such as ``model.state_dict()``.
        metadata: strings by string, for safetensors only.

    Raises:
        ValueError: for another extension, or metadata for npz.
        TypeError: for a dtype or name that cannot be saved.
        OSError: from the file system; an existing file then stays unchanged.

    Example:
        >>> sp.io.save("weights.safetensors", {"w": sp.ones(2)})
        >>> sp.io.load("weights.safetensors")["w"].tolist()
        [1.0, 1.0]
    """
    kind = _kind(path)
    arrays = {name: to_array(value) for name, value in tensors.items()}
    if metadata is None:
        WRITERS[kind](path, arrays)
    elif kind == ".safetensors":
        safetensors.write(path, arrays, metadata)
    else:
        raise ValueError("npz files hold no metadata: save as .safetensors")


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors or .npz file.

    Args:
        path: path of the file.

    Returns:
        A dict of tensors by name.

    Raises:
        ValueError: naming file, tensor and fault.
        OSError: if the file cannot be read.

    Example:
        >>> sp.io.save("weights.npz", {"w": sp.ones(2)})
        >>> sp.io.load("weights.npz")["w"].tolist()
        [1.0, 1.0]
    """
    arrays = READERS[_kind(path)](path)
    with reading(path, "a file of tensors"):
        return {name: to_tensor(array) for name, array in arrays.items()}


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads the metadata of a .safetensors file.

    Args:
        path: path of the file.

    Returns:
        A dict of strings.

    Raises:
        ValueError: if the file is malformed.

    Example:
        >>> sp.io.save("weights.safetensors", {"w": sp.ones(2)}, {"by": "me"})
        >>> sp.io.metadata("weights.safetensors")
        {'by': 'me'}
    """
    return safetensors.read(path)[1]


def _kind(path: str | os.PathLike[str]) -> str:
    kind = Path(path).suffix.lower()
    if kind not in READERS:
        raise ValueError(f"{os.fspath(path)}: the extension must be one of {list(READERS)}, got {kind!r}")
    return kind
