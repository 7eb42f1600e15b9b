"""``steep imagine PROMPT``: the picture, how it stands among real ones, an animation and a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding
from steep.imagine.drawing import Drawing, Standing
from steep.io.atomic import atomic_write


class Bars:
    """Progress bars on stderr, one for each thing that is done; a context manager."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                   TextColumn("{task.fields[more]}"), TimeRemainingColumn())  # fmt: skip
        self.progress = Progress(*columns, console=screen.err)
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.progress.live.is_started:
            self.progress.stop()

    def say(self, what: str, done: int, total: int, more: str = "") -> None:
        """Update the bar of ``what``."""
        if not self.progress.live.is_started:
            self.progress.start()
        if what not in self.tasks:
            self.tasks[what] = self.progress.add_task(what, total=total, more=more)
        self.progress.update(self.tasks[what], completed=done, more=more)


def draw(drawn: Callable[..., Drawing], output: Path, film: Path | None, page: Path | None, json: bool) -> int:
    """Draws, writes the files and prints the result; the exit code."""
    also = [path for path in (film, page) if path is not None]
    for path, suffix in ((film, ".gif"), (page, ".html")):
        if path is not None and path.suffix.lower() != suffix:
            raise ValueError(f"{path}: its extension must be {suffix}")
    for path in (output, *also):
        out.check(path)
    keep = max(out.film_wanted(path) for path in (output, *also))
    with Bars() as bars:
        found = drawn(keep=keep, say=bars.say)
    result = _result(found)
    for path in also:
        with atomic_write(path) as file:
            file.write(out.WRITERS[path.suffix.lower()](result))
    return out.deliver(result, output, json)


def _result(found: Drawing) -> out.Result:
    first, judge = found.standings[0], found.standings[-1]
    findings = [Finding(f"by {each.tower}, which {role}", _told(each))
                for each, role in ((first, "guided it"), (judge, "took no part"))]  # fmt: skip
    settings: dict[str, Any] = {"prompt": found.prompt, **found.settings}
    facts = {**settings, "standings": [asdict(each) for each in found.standings], "nearest": found.nearest_name}
    return out.Result(
        found.prompt,
        f"{found.prompt}: rank {first.rank} among {first.count} {first.among} by {first.tower}, "
        f"{judge.rank} by {judge.tower}{_sight(judge)}; the nearest of these: {found.nearest_name}",
        [
            out.Shown("the start", found.start),
            out.Shown("the result", found.picture),
            out.Shown(f"the nearest: {found.nearest_name}", found.nearest),
        ],
        Certificate(str(found.settings["generator"]), "", settings, findings),
        facts,
        found.history,
        found.frames,
        measure="The objective, of all starts together",
        made=1,
    )


def _sight(each: Standing) -> str:
    return f", which sees: {each.seen} ({each.start_seen} at the start)" if each.seen else ""


def _told(each: Standing) -> str:
    return (
        f"rank {each.rank} among {each.count} {each.among}, {each.start_rank} at the start; cosine {each.cosine:.3f}, "
        f"{each.start_cosine:.3f} at the start, {each.best_real:.3f} of the best of these{_sight(each)}"
    )
