"""``steep saliency FOLDER --out maps/``: a map of every picture of a folder, by several processes or a Dask cluster.

The maps are the same bits for any number of workers, and a run that was interrupted goes on: see docs/distributed.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import distributed
from steep.cli import screen
from steep.cli.session import Session
from steep.data.folder import SUFFIXES
from steep.data.images import read_image
from steep.io.atomic import atomic_write
from steep.zoo import Preprocessing

CHUNK = 16  # pictures per task and file
NAMES = "pictures.json"


@dataclass(frozen=True)
class Pictures:
    """Pictures as a model's inputs, each read when it is asked for, wherever that is.

    Attributes:
        paths: the files.
        way: from pictures to inputs.
    """

    paths: tuple[Path, ...]
    way: Preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[Any]:
        inputs: NDArray[Any] = np.asarray(self.way.preprocess(read_image(self.paths[index])))
        row: NDArray[Any] = inputs[0]
        return row


def maps_of(session: Session, folder: Path, method: Callable[..., Any], out: Path, workers: int, dask: str) -> None:
    """Write the maps of a folder's pictures and their names; ValueError if none can be read."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    kept, left_out = _readable(found)
    if not kept:
        raise ValueError(f"the folder {folder} has no picture ({', '.join(SUFFIXES)}) that can be read")
    for text in left_out:
        screen.err.print(f"steep: left out {text}", markup=False)
    opened = session.opened
    pictures = Pictures(tuple(path.resolve() for path in kept), opened.preprocessing)
    with _executor(workers, dask) as executor:
        options: dict[str, Any] = {"chunk": CHUNK, "seed": session.seed, "out": out, "executor": executor}
        done = distributed.map(method, opened.model, pictures, **options)
    names = [str(path.relative_to(folder)) for path in kept]
    with atomic_write(out / NAMES) as file:
        file.write(json.dumps(names, indent=1).encode())
    told = {"folder": str(folder), "pictures": len(kept), "left_out": len(left_out), "files": len(done.files),
            "out": str(out)}  # fmt: skip
    if session.json:
        screen.print_json(told)
    else:
        text = f"maps of {len(kept)} pictures in {len(done.files)} files: {out} ({NAMES} has their names, in order)"
        screen.out.print(text, markup=False)


def _readable(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """The pictures that can be read, and the others with the reason."""
    kept, left_out = [], []
    for path in paths:
        try:
            read_image(path)
            kept.append(path)
        except (OSError, ValueError) as error:
            left_out.append(f"{path}: {error}")
    return kept, left_out


@contextmanager
def _executor(workers: int, dask: str) -> Iterator[Any]:
    """Where tasks run: a Dask cluster, so many processes, or here."""
    if dask:
        try:
            client_type = import_module("distributed").Client  # an optional package, of which mypy is to know nothing
        except ImportError:
            raise ValueError("--dask needs the package distributed: pip install distributed") from None
        with client_type(dask) as client:
            yield client.get_executor(pure=False)
    elif workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield pool
    else:
        yield None
