"""``steep imagine --train clip``: contrastive pre-training of two towers on emoji, and what they retrieve."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from steep import imagine as library
from steep.cli import screen
from steep.imagine.recipes import emoji_scorer
from steep.imagine.towers import Towers

DEFAULT = library.Settings()
TRAINED = ("clip", "emoji")


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


def imagine(
    train: Annotated[
        str, typer.Option("--train", help=f"What to train on emoji: {' or '.join(TRAINED)}.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where clip is written (.safetensors).")] = Path(
        "clip.safetensors"
    ),
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs of clip.")] = DEFAULT.epochs,
    batch_size: Annotated[int, typer.Option(min=2, help="Batch size of clip.")] = DEFAULT.batch,
    lr: Annotated[float, typer.Option(help="Largest learning rate of clip.")] = DEFAULT.lr,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training, bit for bit.")] = False,
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Train two networks that map pictures and texts to one space, and print what they retrieve.

    "clip" is a small convolutional network from scratch beside a frozen MiniLM; it takes minutes. "emoji" is the scorer
    that ``steep search`` uses by default, two linear heads on a frozen MobileNetV2 and MiniLM. 245 concepts and the
    style Fluent are held out: R@k is the share of texts whose own picture is among the k nearest of these.
    """
    screen.use_threads(threads)
    if train not in TRAINED:
        raise ValueError(f"--train {train}: there are {' and '.join(TRAINED)}")
    if train == "clip" and (output.suffix.lower() != ".safetensors" or not output.parent.is_dir()):
        raise ValueError(f"{output}: towers are written as .safetensors, into a folder that exists")
    settings = library.Settings(epochs=epochs, batch=batch_size, lr=lr, seed=seed)
    began, file = time.perf_counter(), output if train == "clip" else None
    with Bars() as bars:
        towers, report = _clip(settings, bars, output, resume) if train == "clip" else emoji_scorer(bars.say)
    seconds = round(time.perf_counter() - began, 1)
    if json:
        told = {"trained": train, "output": None if file is None else str(file), "seed": seed, "seconds": seconds}
        screen.print_json({**told, "temperature": temperature(towers), **report.plain()})
        return
    rows = [[name, *(f"{part[k]:.3f}" for k in (1, 5, 10))]
            for name, part in (("new concepts", report.new_concepts), ("new style", report.new_style))]  # fmt: skip
    screen.out.print(screen.table("text to image", "R@1>", "R@5>", "R@10>", rows=rows))
    screen.out.print(f"temperature {temperature(towers):.3f}, {seconds} s{f'; {file}' if file else ''}", markup=False)


def temperature(towers: Towers) -> float:
    """1 / scale of the similarities."""
    import math

    return math.exp(-float(towers.log_scale))


def _clip(settings: library.Settings, bars: Bars, output: Path, resume: bool) -> tuple[Towers, library.recipes.Report]:
    state = output.with_suffix(".state.safetensors")
    if resume and not state.is_file():
        raise ValueError(f"--resume: there is no {state}, which an interrupted training leaves")
    towers, report = library.train_clip(
        settings,
        bars.say,
        lambda step, steps, loss: bars.say("training", step, steps, f"loss {loss:.3f}"),
        state,
        resume,
    )
    towers.save(output, {"trained": "clip", "epochs": str(settings.epochs), "seed": str(settings.seed)})
    state.unlink(missing_ok=True)
    return towers, report
