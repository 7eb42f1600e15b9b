"""Checkpoints: everything that a run needs to continue as if it had never stopped, in one safetensors file.

Model, optimiser, generators, loader and step. A state is any tree of dicts, lists, tensors and plain values: its
tensors become tensors of the file, the rest JSON in the file's metadata. Saving is atomic.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steep._core import Tensor
from steep.display import displayed
from steep.io import safetensors
from steep.io.arrays import to_array, to_tensor
from steep.io.malformed import reading
from steep.random import Generator

KEY = "steep.checkpoint"
TENSOR = "tensor:"


class Stateful(Protocol):
    """An object with a state: optimisers, loaders and modules."""

    def state_dict(self) -> dict[str, Any]:
        """The state.

        Returns:
            A tree of tensors and plain values.
        """

    def load_state_dict(self, state: Any) -> None:
        """Restores a state.

        Args:
            state: what ``state_dict`` returned.
        """


@displayed
@dataclass(frozen=True)
class Checkpoint:
    """What ``load_checkpoint`` returns besides the objects that it restored in place.

    Attributes:
        step: the step.
        extra: further values.
    """

    step: int
    extra: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Any = None,
    optimizer: Stateful | None = None,
    generator: Generator | None = None,
    loader: Stateful | None = None,
    step: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Writes the states of objects to a file, atomically.

    The generators inside ``model`` (dropout) are saved with it.

    Args:
        path: path of the file.
        model: a module.
        optimizer: an optimiser.
        generator: a ``Generator``.
        loader: a ``DataLoader``.
        step: number of the step.
        extra: a tree of tensors and plain values.

    Raises:
        TypeError: for a value that cannot be saved.
        OSError: from the file system; an existing file then stays unchanged.

    Example:
        >>> model = sp.nn.Linear(2, 1, generator=0)
        >>> sp.io.save_checkpoint("run.safetensors", model=model, step=7)
        >>> sp.io.load_checkpoint("run.safetensors", model=model).step
        7
    """
    parts = _parts(model, optimizer, generator, loader)
    states = {name: part.state_dict() for name, part in parts.items()}
    arrays: dict[str, NDArray[Any]] = {}
    plain = _pack({"step": step, "extra": dict(extra or {}), "parts": states}, "", arrays)
    safetensors.write(path, arrays, {KEY: json.dumps(plain)})


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Any = None,
    optimizer: Stateful | None = None,
    generator: Generator | None = None,
    loader: Stateful | None = None,
) -> Checkpoint:
    """Restores objects in place from a checkpoint; the run then continues bit for bit.

    Args:
        path: path of the file.
        model: a module.
        optimizer: an optimiser.
        generator: a ``Generator``.
        loader: a ``DataLoader``.

    Returns:
        A ``Checkpoint``.

    Raises:
        ValueError: if the file is not a checkpoint, lacks a requested part, or does not fit; every object is then
            unchanged.

    Example:
        >>> source = sp.random.Generator(0)
        >>> sp.io.save_checkpoint("run.safetensors", generator=source, extra={"best": 0.5})
        >>> sp.io.load_checkpoint("run.safetensors", generator=source).extra
        {'best': 0.5}
    """
    content = _read(path)
    parts = _parts(model, optimizer, generator, loader)
    missing = [name for name in parts if name not in content["parts"]]
    if missing:
        raise ValueError(f"{os.fspath(path)} holds no state for {missing}; it has {list(content['parts'])}")
    with reading(path, "a checkpoint of these objects"):
        _restore(parts, content["parts"])
    return Checkpoint(content["step"], content["extra"])


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    arrays, metadata = safetensors.read(path)
    if KEY not in metadata:
        raise ValueError(f"{os.fspath(path)} is a safetensors file, but no checkpoint: {KEY!r} is missing")
    with reading(path, "a checkpoint"):
        content: dict[str, Any] = _unpack(json.loads(metadata[KEY]), arrays, "")
        expected = {"step": int, "extra": dict, "parts": dict}
        for name, kind in expected.items():
            if not isinstance(content, dict) or type(content.get(name)) is not kind:
                raise ValueError(f"{name!r} is missing, or is not of type {kind.__name__}")
    return content


def _restore(parts: dict[str, Stateful], states: Mapping[str, Any]) -> None:
    before = {name: part.state_dict() for name, part in parts.items()}
    try:
        for name, part in parts.items():
            with reading(f"part {name!r}", "a state"):
                part.load_state_dict(states[name])
    except Exception:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise


class _Generators:
    """Named generators as one object with a state."""

    def __init__(self, generators: Mapping[str, Generator]) -> None:
        self.generators = generators

    def state_dict(self) -> dict[str, Any]:
        return {name: generator.state() for name, generator in self.generators.items()}

    def load_state_dict(self, state: Any) -> None:
        if state.keys() != self.generators.keys():
            raise ValueError(f"generators {sorted(self.generators)} are expected, the state has {sorted(state)}")
        for name, generator in self.generators.items():
            generator.set_state(state[name])


def _parts(model: Any, optimizer: Any, generator: Any, loader: Any) -> dict[str, Stateful]:
    inner = dict(model.named_generators()) if model is not None else {}
    parts = {
        "model": model,
        "model generators": _Generators(inner) if inner else None,
        "optimizer": optimizer,
        "generator": _Generators({"generator": generator}) if generator is not None else None,
        "loader": loader,
    }
    return {name: part for name, part in parts.items() if part is not None}


def _pack(node: Any, path: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """``node`` as JSON; tensors and arrays are moved to ``arrays`` and replaced by their names."""
    if isinstance(node, Tensor | np.ndarray):
        name = path[1:]
        arrays[name] = to_array(node)
        return TENSOR + name
    if isinstance(node, dict):
        return {_key(key, path): _pack(value, f"{path}/{key}", arrays) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_pack(value, f"{path}/{i}", arrays) for i, value in enumerate(node)]
    return _plain(node, path)


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str) or "/" in key:
        raise TypeError(f"checkpoint: the keys of {path or '/'} must be strings without '/', got {key!r}")
    return key


def _plain(node: Any, path: str) -> Any:
    node = node.item() if isinstance(node, np.generic) else node
    if node is not None and not isinstance(node, bool | int | float | str):
        raise TypeError(f"checkpoint: {path} is a {type(node).__name__}, which cannot be saved")
    if isinstance(node, str) and node.startswith(TENSOR):
        raise ValueError(f"checkpoint: {path} is a string that begins with {TENSOR!r}, which is reserved")
    return node


def _unpack(node: Any, arrays: Mapping[str, NDArray[Any]], path: str) -> Any:
    if isinstance(node, str) and node.startswith(TENSOR):
        if node.removeprefix(TENSOR) not in arrays:
            raise ValueError(f"{path} names {node[:200]!r}, and the file has no such tensor")
        return to_tensor(arrays[node.removeprefix(TENSOR)])
    if isinstance(node, dict):
        return {key: _unpack(value, arrays, f"{path}/{key}") for key, value in node.items()}
    return [_unpack(value, arrays, f"{path}/{i}") for i, value in enumerate(node)] if isinstance(node, list) else node
