"""Saving and loading: safetensors and npz chosen by the file's extension, and checkpoints. No pickle anywhere.

Every write is atomic (``atomic.py``); every reader checks all before it uses any (``safetensors.py``, ``npz.py``).
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
    """Write named tensors or arrays, such as ``model.state_dict()``, to a .safetensors or .npz file, atomically.

    ``metadata`` (strings to strings) is for safetensors only. Raises ValueError for another extension, TypeError for a
    dtype or name that cannot be saved, OSError from the disk; the old file then stays as it was.
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
    """The tensors of a .safetensors or .npz file by name. Raises ValueError naming file, tensor and fault."""
    arrays = READERS[_kind(path)](path)
    with reading(path, "a file of tensors"):
        return {name: to_tensor(array) for name, array in arrays.items()}


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a .safetensors file."""
    return safetensors.read(path)[1]


def _kind(path: str | os.PathLike[str]) -> str:
    kind = Path(path).suffix.lower()
    if kind not in READERS:
        raise ValueError(f"{os.fspath(path)}: the extension must be one of {list(READERS)}, got {kind!r}")
    return kind
