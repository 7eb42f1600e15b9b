"""What all commands share: their common options, the two consoles, progress bars and JSON.

stdout carries results only, so that ``--json`` can be piped; progress goes to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from steep import _core, tree
from steep.optim.loop import Progress as Step
from steep.training import TrainingProgress

Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers; the same seed gives the same result.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Number of threads; results do not depend on it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]

out = Console(highlight=False, soft_wrap=True)
if not out.is_terminal:
    out.width = 200
err = Console(stderr=True, highlight=False, soft_wrap=True)


def use_threads(count: int | None) -> None:
    """Sets the number of threads, if one was given."""
    if count is not None:
        _core.set_num_threads(count)


_gathered: list[list[Any]] = []  # of the as_list() blocks that are open


def print_json(value: Any) -> None:
    """One JSON document on stdout; numbers that are not finite become null."""
    if _gathered:
        _gathered[-1].append(value)
    else:
        print(json.dumps(_finite(value), indent=2, allow_nan=False))


def heading(text: str) -> None:
    """The name of what follows, where a command runs on several things."""
    if _gathered:
        out.print(text, markup=False, style="bold")


@contextmanager
def as_list() -> Iterator[None]:
    """What is printed as JSON inside becomes one list, printed at the end, also where an error ends it."""
    _gathered.append([])
    try:
        yield
    finally:
        found = _gathered.pop()
        if found:
            print_json(found)


def _finite(value: Any) -> Any:
    return tree.map(lambda x: None if isinstance(x, float) and not isfinite(x) else x, value)


def table(*columns: str, rows: list[list[str]]) -> Table:
    """A plain table; columns whose name ends in ">" are aligned to the right."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    for row in rows:
        made.add_row(*row)
    return made


class TrainingBar:
    """A progress bar of training on stderr: steps, loss, accuracy, time left. A context manager; call it to update."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  accuracy {task.fields[accuracy]}  left"),
            TimeRemainingColumn(),
            console=err,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.progress.live.is_started:
            self.progress.stop()

    def __call__(self, seen: TrainingProgress) -> None:
        """Update the bar."""
        fields: dict[str, Any] = {"loss": f"{seen.loss:.3f}", "accuracy": f"{seen.accuracy:.1%}"}
        if self.task is None:
            self.progress.start()
            self.task = self.progress.add_task("training", total=seen.steps, **fields)
        self.progress.update(self.task, completed=seen.step, **fields)
        if seen.step == seen.steps:
            self.progress.stop()


class StepBar:
    """A progress bar of an optimisation on stderr: steps, value, time left. A context manager and callback."""

    def __init__(self, what: str, steps: int) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                   TextColumn("value {task.fields[value]}  left"), TimeRemainingColumn())  # fmt: skip
        self.progress = Progress(*columns, console=err, transient=True)
        self.task = self.progress.add_task(what, total=steps, value="")

    def __enter__(self) -> StepBar:
        self.progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.progress.stop()

    def __call__(self, seen: Step) -> None:
        """Advance by one step."""
        self.progress.update(self.task, advance=1, value=f"{seen.value:.4g}")
