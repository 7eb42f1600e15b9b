"""A method applied to every sample of a data set, by any executor: the same bits for any chunk, worker or executor.

``map`` cuts the data into chunks, each of which is a task and one atomic file; ``sweep`` runs a function on every point
of a grid. An executor is one of ``concurrent.futures``, or anything with its ``submit``: ``client.get_executor()`` of
Dask, joblib's loky, a process pool. Start reading at ``map``; ``_chunk`` is what a worker does.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steep
from steep import _core, io, modes, progress
from steep._core import Tensor
from steep.data.dataset import TensorDataset, is_array
from steep.data.loader import stack_samples
from steep.display import displayed
from steep.evaluation import evaluating
from steep.io import safetensors
from steep.random import Generator, observed_draws

Arrays = dict[str, NDArray[Any]]
FACTS = "map.json"
ERRORS = ("raise", "skip")
ODD = 0x9E3779B97F4A7C15  # an odd number: keys of neighbouring samples are far apart


@displayed
@dataclass
class Mapped:
    """What ``map`` returns: the results in the order of the samples.

    Attributes:
        files: the files, one per chunk; empty without a folder.
        failures: pairs of the number of a chunk's first sample and what went wrong.
        _parts: without a folder, the results by the number of their first sample.
    """

    files: list[Path]
    failures: list[tuple[int, str]] = field(default_factory=list)
    _parts: dict[int, Arrays] = field(default_factory=dict, repr=False)

    def chunks(self) -> Iterator[Arrays]:
        """The chunks in order, each read when it is asked for.

        Yields:
            Arrays by name.
        """
        if not self.files:
            yield from (self._parts[start] for start in sorted(self._parts))
        for path in self.files:
            yield safetensors.read(path)[0]

    def arrays(self) -> Arrays:
        """All results, in memory.

        Returns:
            Arrays by name: "result", or the fields of what the method returns.
        """
        parts = list(self.chunks())
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def map(
    method: Callable[..., Any],
    model: Any,
    data: Any,
    *,
    chunk: int = 256,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    executor: Any = None,
    errors: str = "raise",
    shown: bool | None = None,
) -> Mapped:
    """Applies a method to every sample: ``method(model, x)``, or ``method(model, x, y)`` if the samples are pairs.

    Every attribution, attack and function of a batch is such a method; ``functools.partial`` gives its options.
    A method that draws random numbers gets a ``generator`` for each sample, from a key of seed and index, so it is
    called with one sample at a time; others with a chunk. A method that draws only if it is given a generator
    (``attack.pgd``) is given one if its partial has one. The model is in evaluation mode.

    Args:
        method: the method; with an executor of other processes, a function that can be pickled.
        model: the model.
        data: an array or tensor of inputs, a tuple (x, y) of them, or a data set.
        chunk: samples per task and file.
        seed: seed of all random numbers.
        out: a folder to write a file per chunk to. Chunks that are there already are kept, so a run that was
            interrupted goes on.
        executor: where tasks run; here, one after another, if None.
        errors: "raise" to stop at a chunk that fails, "skip" to go on and list it in ``failures``.
        shown: whether to show a progress bar; if None, in terminals and notebooks, if it takes over a second.

    Returns:
        A ``Mapped``.

    Raises:
        ValueError: for a folder with results of another method, model, data or seed, naming the difference.
        RuntimeError: for a chunk that fails, naming its samples.

    Example:
        >>> model = sp.nn.Linear(4, 3, generator=0)
        >>> maps = sp.distributed.map(sp.saliency.gradient, model, np.ones((5, 4), np.float32), chunk=2)
        >>> maps.arrays()["result"].shape
        (5, 4)
    """
    if errors not in ERRORS:
        raise ValueError(f"map: errors must be one of {list(ERRORS)}, got {errors!r}")
    if chunk < 1:
        raise ValueError(f"map: chunk must be at least 1, got {chunk}")
    samples = data if _is_dataset(data) else TensorDataset(*(data if isinstance(data, tuple) else (data,)))
    packed = pickle.dumps(model)
    starts = range(0, len(samples), chunk)
    folder = None if out is None else Path(out)
    if folder is not None:
        _check(folder, _facts(method, model, samples, chunk, seed))
    paths = {start: folder / f"{start:09d}.safetensors" for start in starts} if folder else {}
    task = _Task(method, packed, seed, _precision(), os.getpid())
    left = [start for start in starts if not (paths and paths[start].exists())]
    calls = ((start, _call(task, samples, start, chunk, paths.get(start))) for start in left)
    found = Mapped([])
    with progress.Bar("mapping", len(starts), shown, len(starts) - len(left)) as bar:
        for start, result, error in _run(calls, executor):
            if error is not None:
                _failed(found, start, min(start + chunk, len(samples)), error, errors)
            elif not paths:
                found._parts[start] = result
            bar.update(bar.done + 1)
    found.files = [path for path in paths.values() if path.exists()]
    found.failures.sort()
    return found


def _precision() -> str:
    """The current mode; "auto" chooses by the number of rows and by the processor, so "fma" takes its place."""
    current = _core.get_matmul_precision()
    return "fma" if current == "auto" else current


def _is_dataset(data: Any) -> bool:
    has_both = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return has_both and not is_array(data) and not isinstance(data, tuple | list)


def _failed(found: Mapped, start: int, stop: int, error: BaseException, errors: str) -> None:
    text = f"{type(error).__name__}: {error}"
    if errors == "raise":
        raise RuntimeError(
            f"map: samples {start} to {stop - 1} failed by {text}; finished chunks of a folder are kept"
        ) from error
    found.failures.append((start, text))


# -- tasks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    """What every chunk needs; the model is unpickled once per process."""

    method: Callable[..., Any]
    model: bytes
    seed: int
    precision: str
    process: int  # that asked: in others, one thread each


def _call(task: _Task, samples: Any, start: int, chunk: int, path: Path | None) -> Callable[[], Any]:
    """A function without arguments that computes a chunk; arrays in memory are cut here, files are read there."""
    indices = np.arange(start, min(start + chunk, len(samples)))
    if isinstance(samples, TensorDataset):
        cut = TensorDataset(*(samples[indices] if len(samples.arrays) > 1 else (samples[indices],)))
        return functools.partial(_chunk, task, cut, np.arange(len(indices)), start, path)
    return functools.partial(_chunk, task, samples, indices, start, path)


@functools.lru_cache(maxsize=4)
def _model(packed: bytes) -> Any:
    return pickle.loads(packed)  # bytes of this program, made by ``map``


def _chunk(task: _Task, samples: Any, indices: NDArray[np.int64], start: int, path: Path | None) -> Arrays | None:
    """The results of a chunk; written to its file if there is one."""
    if os.getpid() != task.process:
        _core.set_num_threads(1)
    loaded = stack_samples(samples, indices)
    parts = loaded if isinstance(loaded, tuple) else (loaded,)
    with modes.matmul_precision(task.precision), evaluating():
        arrays = _results(task, [_core.asarray(part) for part in parts], start)
    if path is None:
        return arrays
    safetensors.write(path, arrays, {"first": str(start), "count": str(len(indices))})
    return None


def _results(task: _Task, parts: list[Tensor], start: int) -> Arrays:
    model, count = _model(task.model), len(parts[0])
    if not _draws(task.method, model, [part[:1] for part in parts]):
        return _named(task.method(model, *parts), count)
    found = []
    for i in range(count):
        generator = Generator(((task.seed + 1) * ODD + start + i) % 2**63)
        found.append(_named(task.method(model, *(part[i : i + 1] for part in parts), generator=generator), 1))
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _draws(method: Callable[..., Any], model: Any, one: list[Tensor]) -> bool:
    """Whether it draws random numbers: it was given a generator or needs one, or does so on one sample."""
    wanted = inspect.signature(method).parameters.get("generator")
    if wanted is not None and wanted.default is inspect.Parameter.empty:
        return True
    if isinstance(method, functools.partial) and method.keywords.get("generator") is not None:
        return True
    with observed_draws() as drawn:
        method(model, *one)
    if drawn and wanted is None:
        raise ValueError(
            f"map: {described(method)} draws random numbers, and has no parameter 'generator' to key them by"
        )
    return bool(drawn)


def _named(result: Any, count: int) -> Arrays:
    """What a method returned for so many samples, as arrays by name; numbers for all of them are left out."""
    if is_dataclass(result) and not isinstance(result, type):
        result = {each.name: getattr(result, each.name) for each in fields(result)}
    elif hasattr(result, "_asdict"):
        result = result._asdict()
    if not isinstance(result, Mapping):
        result = {"result": result}
    kept = {k: v.detach() if isinstance(v, Tensor) else v for k, v in result.items()}
    arrays = {k: np.array(v) for k, v in kept.items() if isinstance(v, Tensor | np.ndarray) and v.ndim}
    for name, array in arrays.items():
        if len(array) != count:
            raise ValueError(
                f"map: {name!r} has the shape {array.shape} for {count} samples; it must have one row for each"
            )
    return arrays


def _run(calls: Iterator[tuple[int, Any]], executor: Any) -> Iterator[tuple[int, Any, BaseException | None]]:
    """Results as they come; never more than a few tasks are waiting, so memory stays bounded."""
    if executor is None:
        for start, call in calls:
            try:
                result, error = call(), None
            except Exception as found:
                result, error = None, found
            yield start, result, error
        return
    most = 2 * (getattr(executor, "_max_workers", None) or os.cpu_count() or 4)
    waiting: dict[Future[Any], int] = {}
    try:
        for start, call in calls:
            waiting[executor.submit(call)] = start
            if len(waiting) >= most:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)
    finally:
        for future in waiting:
            future.cancel()


def _finished(waiting: dict[Future[Any], int]) -> Iterator[tuple[int, Any, BaseException | None]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        start, error = waiting.pop(future), future.exception()
        yield start, None if error else future.result(), error


# -- what a folder holds ------------------------------------------------------------------------------------------


def _facts(method: Callable[..., Any], model: Any, samples: Any, chunk: int, seed: int) -> dict[str, Any]:
    """What the results depend on, as plain values."""
    first, last = (stack_samples(samples, np.array([i])) for i in (0, len(samples) - 1))
    state = model.state_dict() if hasattr(model, "state_dict") else {}
    return {
        "steep": steep.__version__,
        "method": described(_without_generator(method)),
        "model": _hash([type(model).__name__, *(np.asarray(v) for v in state.values())]),
        "samples": len(samples),
        "data": _hash([first, last]),
        "chunk": chunk,
        "seed": seed,
        "precision": _precision(),
    }


def _without_generator(method: Any) -> Any:
    """The method as text is to name it: the generator of a partial is replaced anyway."""
    if not isinstance(method, functools.partial):
        return method
    given = {k: "by sample" if k == "generator" and v is not None else v for k, v in method.keywords.items()}
    return functools.partial(method.func, *method.args, **given)


def described(method: Any) -> str:
    """A function with the options it was given, as text.

    Args:
        method: a function or a ``functools.partial``.

    Returns:
        Text.
    """
    if isinstance(method, functools.partial):
        options = [*(repr(a) for a in method.args), *(f"{k}={v!r}" for k, v in sorted(method.keywords.items()))]
        return f"{described(method.func)}({', '.join(options)})"
    return f"{getattr(method, '__module__', '')}.{getattr(method, '__qualname__', type(method).__name__)}"


def _hash(values: Any) -> str:
    found = hashlib.sha256()
    for value in _leaves(values):
        found.update(str(np.asarray(value).dtype).encode() + np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def _leaves(values: Any) -> list[Any]:
    return [leaf for each in values for leaf in (_leaves(each) if isinstance(each, tuple | list) else [each])]


def _check(folder: Path, facts: dict[str, Any]) -> None:
    """Writes what the results depend on into a new folder; compares it in one that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FACTS
    if not path.exists():
        with io.atomic_write(path) as file:
            file.write(json.dumps(facts, indent=2).encode())
        return
    before = json.loads(path.read_text())
    for name, value in facts.items():
        if before.get(name) != value:
            raise ValueError(
                f"map: {folder} holds results of {name} {before.get(name)!r}, not of {value!r}; name another folder"
            )


# -- sweeps -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A point of a sweep.

    Attributes:
        config: the options.
        result: what the function returned; None if it failed.
        error: what went wrong, "" if nothing did.
    """

    config: dict[str, Any]
    result: Any
    error: str = ""


def sweep(
    run: Callable[..., Any],
    grid: Mapping[str, Sequence[Any]],
    *,
    out: str | os.PathLike[str] | None = None,
    executor: Any = None,
    errors: str = "raise",
    shown: bool | None = None,
) -> list[Point]:
    """Calls ``run(**config)`` for every combination of options.

    Args:
        run: the function; its result is of plain values if there is a folder.
        grid: the values of each option.
        out: a folder to write a file per point to; points that are there already are not run again.
        executor: where points run; here, one after another, if None.
        errors: "raise" to stop at a point that fails, "skip" to go on.
        shown: whether to show a progress bar; if None, in terminals and notebooks, if it takes over a second.

    Returns:
        A list of ``Point``, in the order of the grid, the last option changing fastest.

    Raises:
        RuntimeError: for a point that fails, naming it.

    Example:
        >>> [point.result for point in sp.distributed.sweep(max, {"key": [abs], "default": [1]}, errors="skip")]
        [None]
        >>> [point.result for point in sp.distributed.sweep(dict, {"a": [1, 2], "b": [3]})]
        [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    configs = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    found: dict[int, Point] = {}
    for number, config in enumerate(configs):
        path = None if folder is None else folder / f"{_name(config)}.json"
        if path is not None and path.exists():
            found[number] = Point(config, json.loads(path.read_text())["result"])
    calls = ((n, functools.partial(run, **config)) for n, config in enumerate(configs) if n not in found)
    with progress.Bar("sweeping", len(configs), shown, len(found)) as bar:
        for number, result, error in _run(calls, executor):
            config = configs[number]
            if error is not None and errors == "raise":
                raise RuntimeError(f"sweep: {config} failed by {type(error).__name__}: {error}") from error
            text = "" if error is None else f"{type(error).__name__}: {error}"
            found[number] = Point(config, result, text)
            if folder is not None and error is None:
                with io.atomic_write(folder / f"{_name(config)}.json") as file:
                    file.write(json.dumps({"config": config, "result": result}, default=str).encode())
            bar.update(bar.done + 1)
    return [found[number] for number in range(len(configs))]


def _name(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
