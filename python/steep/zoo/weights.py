"""Weights from external files: parsed once, and stored in the cache as safetensors under the layers' own names.

Afterwards only that file is opened, unless it is damaged or has another source. Start reading at ``weights``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import nn
from steep._core import Tensor
from steep.data.fetch import cache_folder, fetch
from steep.io import safetensors
from steep.io.malformed import reading
from steep.suggest import near
from steep.zoo.entry import Arrays, Entry, Format
from steep.zoo.table import MODELS

LAYOUT = "1"  # of the converted files: increase it when layers are renamed


def find(name: str) -> Entry:
    """The row of a model.

    Args:
        name: its name.

    Returns:
        An ``Entry``.

    Raises:
        ValueError: for an unknown name, with suggestions.
    """
    if name not in MODELS:
        raise ValueError(f"the zoo has no model {name!r}{near(name, MODELS) or '.'} It has {list(MODELS)}")
    return MODELS[name]


def weights(name: str) -> Arrays:
    """The weights of a model by the names of its layers.

    Args:
        name: name of the model.

    Returns:
        A dict of arrays.

    Raises:
        ValueError: for an unknown name.
        FetchError: if they cannot be downloaded.
    """
    entry = find(name)
    if entry.complete:
        return {key: np.asarray(value) for key, value in nn.Sequential(entry.layers())._named(Tensor)}
    if entry.format is None:
        return safetensors.read(Path(__file__).parent / "weights" / Path(entry.source.member).name)[0]
    path = cache_folder() / f"{name}.safetensors"
    origin = {"source": entry.source.sha256, "layout": LAYOUT}
    found = _converted(path, origin)
    if found is None:
        found = _from_source(entry, entry.format)
        safetensors.write(path, found, origin)
    return found


def _converted(path: Path, origin: dict[str, str]) -> Arrays | None:
    """The arrays of a converted file; None if it is missing, damaged, or from another source."""
    try:
        arrays, metadata = safetensors.read(path)
    except (OSError, ValueError):
        return None
    return arrays if metadata == origin else None


def _from_source(entry: Entry, form: Format) -> Arrays:
    others = [source for other in MODELS.values() for source in (other.source, *other.beside)]
    paths = [fetch(source, *others) for source in (entry.source, *entry.beside)]
    with reading(paths[0], f"a file of the weights of {entry.source.name}"):
        return _converted_layers(entry, form, form.read(*(path.read_bytes() for path in paths)))


def _converted_layers(entry: Entry, form: Format, arrays: Arrays) -> Arrays:
    found = {name: arrays[key] for name, key in form.extras.items()}
    layers = dict(nn.Sequential(entry.layers())._named(Tensor))
    keys = [key for key in layers if key not in found]
    numbers = {holder: i for i, holder in enumerate(dict.fromkeys(key.rpartition(".")[0] for key in keys))}
    for key in keys:
        holder, _, attribute = key.rpartition(".")
        array = arrays[form.rename(holder, numbers[holder]) + form.suffixes[attribute]]
        found[key] = np.ascontiguousarray(_outputs_first(array, layers[key].shape) if form.outputs_last else array)
    return found


def _outputs_first(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Kernels and matrices with their outputs first; of depthwise kernels these are the channels."""
    if array.ndim != 4:
        return np.transpose(array)
    depthwise = array.shape[3] == shape[1] == 1
    return np.transpose(array, (2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
