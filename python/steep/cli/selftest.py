"""``steep selftest``: the worked numbers of docs/notes.md, recomputed by the engine."""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape

from steep.cli import screen
from steep.selftest import Outcome, run, select


def selftest(
    rows: Annotated[str, typer.Option(help='Rows of docs/notes.md, such as "1,19,40-52"; all by default.')] = "",
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Recompute the worked numbers of docs/notes.md and compare. Exits with 1 if one differs."""
    screen.use_threads(threads)
    began = time.perf_counter()
    outcomes = run(select(rows))
    seconds, held = time.perf_counter() - began, sum(outcome.ok for outcome in outcomes)
    if json:
        screen.print_json({"rows": [_plain(o) for o in outcomes], "ok": held == len(outcomes), "seconds": seconds})
    else:
        _show(outcomes)
        screen.out.print(f"{held} of {len(outcomes)} hold, {seconds:.2f} s")
    raise typer.Exit(0 if held == len(outcomes) else 1)


def _show(outcomes: list[Outcome]) -> None:
    cells = [
        [
            "[green]ok[/]" if o.ok else "[bold red]FAILED[/]",
            str(o.check.row),
            escape(o.check.what),
            escape(o.error) or _numbers(o.value),
            _numbers(o.expected),
            f"{o.check.tolerance:.0e}" if o.check.tolerance else "exact",
        ]
        for o in outcomes
    ]
    screen.out.print(screen.table("", "row>", "what", "computed", "expected", "tolerance", rows=cells))


def _numbers(values: Any, most: int = 6) -> str:
    flat = np.asarray(values, np.float64).ravel()
    shown = " ".join(f"{value:.9g}" for value in flat[:most])
    return shown + (f" ... ({len(flat)})" if len(flat) > most else "")


def _plain(outcome: Outcome) -> dict[str, Any]:
    check = outcome.check
    return {
        "row": check.row,
        "what": check.what,
        "computed": np.asarray(outcome.value, np.float64).tolist(),
        "expected": np.asarray(outcome.expected, np.float64).tolist(),
        "tolerance": check.tolerance,
        "ok": outcome.ok,
        "error": outcome.error,
    }
