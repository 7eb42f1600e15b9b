"""``kept``: what is computed or trained at first use, and read from the cache from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from steep.data.fetch import cache_folder
from steep.io import safetensors

LAYOUT = "1"  # of what is kept: increase it when a recipe changes
Made = TypeVar("Made")


def kept(
    name: str,
    about: Mapping[str, str],
    read: Callable[[Path], tuple[Made, Mapping[str, str]]],
    make: Callable[[Path], Made],
    write: Callable[[Path, Made, dict[str, str]], object],
) -> Made:
    """What a file of the cache holds; made and written if there is none, or it is damaged or of another origin.

    Args:
        name: the file's name without .safetensors.
        about: its origin, which the file's metadata repeat.
        read: gives what a file holds, and its metadata.
        make: computes it, given the path where it will be, beside which it may keep what it needs to go on.
        write: writes it with its metadata.

    Returns:
        What was read or made.
    """
    path = cache_folder() / f"{name}.safetensors"
    try:
        found, described = read(path)
        if about.items() <= described.items():
            return found
    except (OSError, ValueError, KeyError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    made = make(path)
    write(path, made, dict(about))
    return made


def kept_array(name: str, origin: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """An array that is kept; see ``kept``."""

    def read(path: Path) -> tuple[NDArray[Any], Mapping[str, str]]:
        arrays, about = safetensors.read(path)
        return arrays["values"], about

    def write(path: Path, values: NDArray[Any], about: dict[str, str]) -> None:
        safetensors.write(path, {"values": np.ascontiguousarray(values)}, about)

    return kept(name, {"origin": origin}, read, lambda path: make(), write)


def origin_of(*parts: str) -> str:
    """One text of the layout and everything that what is kept depends on."""
    return " ".join((LAYOUT, *parts))
