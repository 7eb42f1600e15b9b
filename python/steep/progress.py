"""Progress bars in terminals and notebooks, for what takes over a second; nothing elsewhere.

A terminal gets a line that is overwritten, a notebook an HTML progress element that is updated. Nothing needs to be
installed. Start reading at ``Bar``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, TypeVar

T = TypeVar("T")
DELAY, PERIOD, WIDTH = 1.0, 0.1, 30  # seconds before the first line and between two; characters of a bar


class Bar:
    """A progress bar; a context manager.

    Args:
        what: what is going on.
        total: number of steps; None if it is not known.
        shown: whether to show it; if None, in terminals and notebooks, once it has taken a second.
        done: number of steps made already.

    Example:
        >>> with sp.progress.Bar("counting", 3, shown=False) as bar:
        ...     for i in range(3):
        ...         bar.update(i + 1)
    """

    def __init__(self, what: str, total: int | None, shown: bool | None = None, done: int = 0) -> None:
        self.what, self.total, self.done, self.first, self.note = what, total, done, done, ""
        self._notebook = _notebook() if shown is not False else None
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.shown = (terminal or self._notebook is not None) if shown is None else shown
        self._began = time.monotonic()
        self._next = self._began + (DELAY if shown is None else 0.0)
        self._drawn: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._drawn is not None:
            self._draw()
            if self._notebook is None:
                print(file=sys.stderr)

    def update(self, done: int, note: str = "") -> None:
        """Shows how far it is.

        Args:
            done: number of steps made.
            note: text behind the bar.
        """
        self.done, self.note = done, note
        if self.shown and time.monotonic() >= self._next:
            self._draw()
            self._next = time.monotonic() + PERIOD

    def line(self) -> str:
        """The bar as a line of text."""
        taken = time.monotonic() - self._began
        if not self.total:
            return f"{self.what} {self.done} [{_clock(taken)}] {self.note}"
        filled = WIDTH * self.done // self.total
        made = self.done - self.first
        left = _clock(taken / made * (self.total - self.done)) if made else "?"
        bar = "#" * filled + "." * (WIDTH - filled)
        return f"{self.what} {bar} {self.done}/{self.total} [{_clock(taken)}, {left} left] {self.note}"

    def _draw(self) -> None:
        if self._notebook is None:
            print(f"\r{self.line()}\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = True
            return
        content = f'<progress value="{self.done}" max="{self.total or 0}"></progress> {escape(self.line())}'
        if self._drawn is None:
            self._drawn = self._notebook.display(self._notebook.HTML(content), display_id=True)
        elif hasattr(self._drawn, "update"):
            self._drawn.update(self._notebook.HTML(content))


def over(items: Iterable[T], what: str, total: int | None = None, shown: bool | None = None) -> Iterator[T]:
    """Iterates with a progress bar.

    Args:
        items: what to iterate over.
        what: what is going on.
        total: their number; ``len(items)`` if None and there is one.
        shown: as in ``Bar``.

    Yields:
        The items.

    Example:
        >>> list(sp.progress.over([3, 4], "counting"))
        [3, 4]
    """
    count = len(items) if total is None and hasattr(items, "__len__") else total  # type: ignore[arg-type]
    with Bar(what, count, shown) as bar:
        for number, item in enumerate(items, 1):
            yield item
            bar.update(number)


def _notebook() -> Any:
    """IPython's module of displays, if this is a notebook; nothing is imported that is not there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or type(shell).__name__ != "ZMQInteractiveShell":
        return None
    import importlib

    return importlib.import_module("IPython.display")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
