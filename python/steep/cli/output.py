"""How a command writes its result: an image, an animation or a page by the extension of ``--output``, and text or JSON.

Start reading at ``deliver``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from steep import page, pictures
from steep.cli import screen
from steep.cli.certificate import Certificate
from steep.io.atomic import atomic_write
from steep.pictures import Colours

FRAMES = 40  # of an animation
DURATION = 80  # milliseconds per frame


@dataclass(frozen=True)
class Result:
    """The result of a command: ``shown``, captions with images, the first being the result itself; ``text``, a line.

    ``facts`` are added to the JSON; ``history`` is drawn as a curve, ``frames`` become the animation; ``failed``
    describes what did not succeed, "" if all did.
    """

    title: str
    text: str
    shown: Sequence[tuple[str, Colours]]
    certificate: Certificate
    facts: dict[str, Any] = field(default_factory=dict)
    history: Sequence[float] = ()
    frames: Sequence[Colours] = ()
    failed: str = ""

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
    if not output.parent.is_dir():
        raise ValueError(f"{output}: there is no folder {output.parent}")


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
    return pictures.png(result.shown[0][1])


def _gif(result: Result) -> bytes:
    return pictures.gif([*result.frames, result.shown[0][1]], DURATION)


def _html(result: Result) -> bytes:
    figures = [page.figure(escape(caption), (page.embedded(pictures.png(picture)), escape(caption)))
               for caption, picture in result.shown]  # fmt: skip
    rows = [(escape(name), escape(value)) for name, value in result.certificate.rows()]
    curve = page.curve(list(result.history), "value by step", "step")
    body = [
        page.header(escape(result.title), escape(result.text), []),
        page.section("Pictures", "", page.grid(min(3, max(2, len(figures))), figures)),
        *([page.section("On the way", "The value before each step.", curve)] if curve else []),
        page.section("How it was made", "The same command gives the same bytes.", page.table(rows)),
    ]
    return page.document(escape(result.title), "\n".join(body)).encode()


WRITERS: dict[str, Callable[[Result], bytes]] = {".png": _png, ".gif": _gif, ".html": _html}
