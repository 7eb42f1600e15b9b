"""``steep info``: what is installed and what this machine lets it use."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

import steep
from steep import _core
from steep.cli import screen
from steep.data.fetch import cache_folder


def info(threads: screen.Threads = None, json: screen.Json = False) -> None:
    """Print versions, the instruction set in use, threads, memory and the number of ops."""
    screen.use_threads(threads)
    facts = gather()
    if json:
        screen.print_json(facts)
        return
    screen.out.print(screen.table("", "", rows=[[name.replace("_", " "), _shown(v)] for name, v in facts.items()]))


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
        "threads": _core.get_num_threads(),
        "ops": len(rows),
        "gradient_rules": sum(bool(row["differentiable"]) for row in rows),
        "memory": dict(_core.memory_report()),
        "cache": str(cache_folder()),
    }


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
