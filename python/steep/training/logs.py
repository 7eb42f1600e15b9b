"""The log of a run: a row per epoch, as CSV, JSON lines, a page with curves, or TensorBoard's event files.

The kind follows from the path: ``.csv``, ``.jsonl``, ``.html``, or a folder for event files. Files are written
completely and atomically after each epoch, so a run that goes on from a checkpoint has the log of one that was never
interrupted; only event files grow.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from steep.io import atomic_write
from steep.report import html as page
from steep.training.tensorboard import EventFile

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = list[Row]
Target: TypeAlias = str | os.PathLike[str]
SECONDS = 2  # after which the page of a run that goes on is read again


def names_of(rows: Rows) -> list[str]:
    """The columns of all rows, in the order in which they first occur.

    Args:
        rows: the rows.

    Returns:
        A list of names.
    """
    return list(dict.fromkeys(name for row in rows for name in row))


def as_csv(rows: Rows, running: bool) -> str:
    """The rows as CSV; lists as JSON.

    Args:
        rows: the rows.
        running: whether more will follow; not used.

    Returns:
        Text.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, names_of(rows), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
    return text.getvalue()


def as_json_lines(rows: Rows, running: bool) -> str:
    """The rows as JSON, one per line; numbers that are not finite are null.

    Args:
        rows: the rows.
        running: whether more will follow; not used.

    Returns:
        Text.
    """
    return "".join(json.dumps({k: _finite(v) for k, v in row.items()}, allow_nan=False) + "\n" for row in rows)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_page(rows: Rows, running: bool) -> str:
    """A page with a curve for each value, which a browser reads again every two seconds while the run goes on.

    Args:
        rows: the rows.
        running: whether more will follow.

    Returns:
        HTML.
    """
    last = rows[-1] if rows else {}
    numbers = [(f"{value:.4g}", escape(name)) for name, value in last.items() if isinstance(value, int | float)]
    curves = []
    for name in names_of(rows):
        values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
        if name not in ("epoch", "step"):
            drawn = page.curve([float(value) for value in values], f"{escape(name)} by epoch")
            curves += [page.section(escape(name), "", drawn)] if drawn else []
    state = "The run goes on; this page renews itself." if running else "The run is over."
    html = page.document("A training run", page.header("A training run", state, numbers) + "\n".join(curves))
    refresh = f'<meta http-equiv="refresh" content="{SECONDS}">\n'
    return html.replace("<title>", refresh + "<title>", 1) if running else html


KINDS: dict[str, Callable[[Rows, bool], str]] = {".csv": as_csv, ".jsonl": as_json_lines, ".html": as_page}


class Log:
    """Where the rows of a run are written.

    Args:
        targets: a path or several: files ``.csv``, ``.jsonl`` or ``.html``, or a folder for event files.

    Raises:
        ValueError: for another extension.
    """

    def __init__(self, targets: Target | Iterable[Target] | None) -> None:
        given = [] if targets is None else [targets] if isinstance(targets, str | os.PathLike) else list(targets)
        paths = [Path(target) for target in given]
        for path in paths:
            if path.suffix not in ("", *KINDS):
                raise ValueError(f"log: {path} must end in {', '.join(KINDS)}, or be a folder for TensorBoard's files")
        self.files = [path for path in paths if path.suffix]
        self.events = [EventFile(path) for path in paths if not path.suffix]
        for path in self.files:
            path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, rows: Rows, running: bool) -> None:
        """Writes the files; event files get the last row.

        Args:
            rows: all rows so far.
            running: whether more will follow.
        """
        for path in self.files:
            with atomic_write(path) as file:
                file.write(KINDS[path.suffix](rows, running).encode())
        for events in self.events if running and rows else ():
            scalars = {k: float(v) for k, v in rows[-1].items() if isinstance(v, int | float) and k != "step"}
            events.add(rows[-1]["step"], scalars)
