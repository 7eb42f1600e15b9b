"""``steep info``: versions and hardware support; with ``--model``, the layers of a network."""

from __future__ import annotations

import platform
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape

import steep
from steep import _core
from steep.cli import models, screen
from steep.data.fetch import cache_folder


def info(
    model: Annotated[str, typer.Option(help="Describe this model instead: its input, layers and shapes.")] = "",
    factory: models.Factory = "",
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Print versions, instruction sets and matrix units, threads and ops; or a model's layers."""
    screen.use_threads(threads)
    facts = of_model(models.open_model(model, factory)) if model else gather()
    layers: dict[str, Any] = {} if json else facts.pop("layers", {})
    if json:
        screen.print_json(facts)
        return
    rows = [[name.replace("_", " "), escape(_shown(v))] for name, v in facts.items()]
    screen.out.print(screen.table("", "", rows=rows))
    if layers:
        screen.out.print(screen.table("layer", "output", rows=[[escape(n), _shown(s)] for n, s in layers.items()]))


def of_model(opened: models.Opened) -> dict[str, Any]:
    """A model as plain values: its hash, its preprocessing, and each layer's output shape in order."""
    way = opened.preprocessing
    with _core.no_grad():
        found = opened.model.activations(_core.zeros(way.shape), opened.layers)
    return {
        "model": opened.name,
        "sha256": opened.hash,
        "input": list(way.shape),
        "channels": way.channels,
        "scale": way.scale,
        "mean": list(way.mean),
        "std": list(way.std),
        "classes": len(opened.classes or ()) or "not named",
        "layers": {name: list(getattr(value, "shape", ())) for name, value in found.items()},
    }


def gather() -> dict[str, Any]:
    """The facts as plain values."""
    built, supported = _core._isas()
    rows = [row for row in _core._op_table() if not row["hidden"]]
    return {
        "steep": steep.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "isa": _core.isa(),
        "isas_built": built.split(),
        "isas_supported": supported.split(),
        "isas_not_supported": _reasons({isa: _core._isa_missing(isa) for isa in built.split()}),
        "matrix_units": [] if _core._amx_missing() else ["amx"],
        "matrix_units_not_used": _reasons({"amx": _core._amx_missing()}),
        "threads": _core.get_num_threads(),
        "thread_pool": _core._thread_pool(),
        "ops": len(rows),
        "gradient_rules": sum(bool(row["differentiable"]) for row in rows),
        "memory": dict(_core.memory_report()),
        "cache": str(cache_folder()),
    }


def _reasons(missing: dict[str, str | None]) -> list[str]:
    """What is not used on this machine, and why."""
    return [f"{name}: {reason}" for name, reason in missing.items() if reason is not None]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
