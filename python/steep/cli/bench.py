"""``steep bench``: a short benchmark of a few ops beside NumPy's, in this process. The full one is ``bench/``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import steep as sp
from steep import _core
from steep.cli import screen
from steep.random import Generator


class Case(NamedTuple):
    """A timed operation: the engine's implementation, and NumPy's if there is one."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any] | None = None


def bench(seed: screen.Seed = 0, threads: screen.Threads = None, json: screen.Json = False) -> None:
    """Time a few ops and gradients beside NumPy: the best of several runs, in microseconds."""
    screen.use_threads(threads)
    results = [_measured(case) for case in cases(Generator(seed))]
    if json:
        screen.print_json({"isa": _core.isa(), "threads": _core.get_num_threads(), "results": results})
        return
    rows = [
        [r["name"], f"{r['steep_us']:,.1f}", _or_dash(r["numpy_us"], ",.1f"), _or_dash(r["ratio"], ".2f")]
        for r in results
    ]
    screen.out.print(screen.table("float32", "steep us>", "NumPy us>", "NumPy / steep>", rows=rows))
    screen.out.print(f"{_core.isa()}, {_core.get_num_threads()} threads")


def cases(source: Generator) -> list[Case]:
    """The operations timed, on fresh random operands."""
    a, b = source.normal((512, 512)), source.normal((512, 512))
    long, wide = source.normal((1_000_000,)), source.normal((1000, 1000))
    w, small = source.normal((512, 512)), source.normal((4,))
    na, nb, nlong, nwide = (np.asarray(t) for t in (a, b, long, wide))
    gradient = sp.grad(lambda v: sp.sum(sp.tanh(a @ v)))
    tiny = sp.grad(lambda v: sp.sum(v * v))
    return [
        Case("matmul 512x512", lambda: a @ b, lambda: na @ nb),
        Case("add, a million", lambda: long + long, lambda: nlong + nlong),
        Case("exp, a million", lambda: sp.exp(long), lambda: np.exp(nlong)),
        Case("tanh, a million", lambda: sp.tanh(long), lambda: np.tanh(nlong)),
        Case("sum, a million", lambda: sp.sum(long), lambda: np.sum(nlong)),
        Case("sum of rows, 1000x1000", lambda: sp.sum(wide, axis=1), lambda: np.sum(nwide, axis=1)),
        Case("softmax, 1000x1000", lambda: sp.softmax(wide, axis=1)),
        Case("gradient of sum(tanh(x @ w)), 512", lambda: gradient(w)),
        Case("gradient of sum(v * v), 4 numbers", lambda: tiny(small)),
    ]


def _measured(case: Case) -> dict[str, Any]:
    ours = _best(case.ours)
    theirs = _best(case.theirs) if case.theirs else None
    return {"name": case.name, "steep_us": ours, "numpy_us": theirs, "ratio": theirs / ours if theirs else None}


def _best(work: Callable[[], Any], budget: float = 0.15) -> float:
    """The shortest run in microseconds among those that fit into ``budget`` seconds, at least three."""
    times: list[float] = []
    until = time.perf_counter() + budget
    while len(times) < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1e6


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
