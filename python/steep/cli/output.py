"""How a command writes its result: an image, an animation or a page by the extension of ``--output``, and text or JSON.

Start reading at ``deliver``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from steep import pictures
from steep.cli import screen
from steep.cli.certificate import Certificate
from steep.io.atomic import atomic_write
from steep.pictures import Colours
from steep.report import html as page

FRAMES = 40  # of an animation
DURATION = 80  # milliseconds per frame


@dataclass(frozen=True)
class Shown:
    """An image of a page: its caption, and for a map what its colours stand for."""

    caption: str
    picture: Colours
    scale: page.Scale | None = None

    def outlined(self, box: Sequence[int]) -> Shown:
        """The image with a rectangle drawn into it."""
        return replace(self, caption=f"{self.caption} and box", picture=pictures.outlined(self.picture, box))


@dataclass(frozen=True)
class Result:
    """The result of a command: ``text``, a line; ``shown``, the images of its page, originals before what was made.

    ``facts`` are added to the JSON; ``history`` is drawn as a curve of ``measure``, ``frames`` become the animation;
    ``failed`` describes what did not succeed, "" if all did; ``made`` is the position of the result among ``shown``,
    unless it is a ``sheet`` of them all.
    """

    title: str
    text: str
    shown: Sequence[Shown]
    certificate: Certificate
    facts: dict[str, Any] = field(default_factory=dict)
    history: Sequence[float] = ()
    frames: Sequence[Colours] = ()
    failed: str = ""
    measure: str = ""
    made: int = -1
    sheet: Colours | None = None

    @property
    def picture(self) -> Colours:
        """The image that the command makes."""
        return self.shown[self.made].picture if self.sheet is None else self.sheet

    @property
    def ok(self) -> bool:
        """Whether the command succeeded and every finding holds."""
        return not self.failed and self.certificate.holds


def film_wanted(output: Path) -> int:
    """Number of frames to keep for this file."""
    return FRAMES if output.suffix.lower() == ".gif" else 0


def check(output: Path) -> None:
    """Raises ValueError for a file that could not be written, before any work is done."""
    if output.suffix.lower() not in WRITERS:
        raise ValueError(f"{output}: the extension must be one of {', '.join(WRITERS)}")
    check_folder(output)


def check_folder(output: Path, made: bool = False) -> None:
    """Raises ValueError for a file whose folder does not exist or may not be written to, or that is a folder itself.

    ``made``: whether folders that do not exist are made.
    """
    folder = next(each for each in output.absolute().parents if each.exists() or not made)
    if not folder.is_dir():
        raise ValueError(f"{output}: there is no folder {output.parent if not made else folder}")
    if output.is_dir():
        raise ValueError(f"{output} is a folder, and a file is to be written")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{output}: the folder {folder} may not be written to")


def deliver(result: Result, output: Path, json: bool) -> int:
    """Write the file atomically, print the result, and return the exit code."""
    with atomic_write(output) as file:
        file.write(WRITERS[output.suffix.lower()](result))
    if json:
        told = {"output": str(output), "ok": result.ok, "failed": result.failed, **result.facts}
        screen.print_json({**told, "certificate": result.certificate.plain()})
    else:
        screen.out.print(result.text, markup=False)
        for finding in result.certificate.findings:
            screen.out.print(f"  {finding.what}: {finding}", markup=False)
        if result.failed:
            screen.out.print(f"[bold red]failed[/]: {result.failed}")
        screen.out.print(str(output), markup=False)
    return 0 if result.ok else 1


def as_read(picture: Colours, output: Path) -> Colours:
    """The image as read back from the file: an animation has 256 colours."""
    return np.array(pictures.of_256_colours(picture).convert("RGB")) if film_wanted(output) else picture


def _png(result: Result) -> bytes:
    return pictures.png(result.picture)


def _gif(result: Result) -> bytes:
    return pictures.gif([*result.frames, result.picture], DURATION)


def _html(result: Result) -> bytes:
    figures = [
        page.figure(
            escape(each.caption), (page.embedded(pictures.png(each.picture)), escape(each.caption)), scale=each.scale
        )
        for each in result.shown
    ]
    rows = [(escape(name), escape(value)) for name, value in result.certificate.rows()]
    curve = page.curve(list(result.history), escape(f"{result.measure} by step"), "step")
    body = [
        page.header(escape(result.title), escape(result.text), []),
        page.section("Images", "", page.grid(min(3, max(2, len(figures))), figures)),
        *([page.section("History", f"{escape(result.measure)} before each step.", curve)] if curve else []),
        page.section("Settings and checks", "", page.table(rows)),
    ]
    return page.document(escape(result.title), "\n".join(body)).encode()


WRITERS: dict[str, Callable[[Result], bytes]] = {".png": _png, ".gif": _gif, ".html": _html}
