"""``steep imagine``: a picture for a sentence (``imagine_draw.py``), and the training of what that takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from steep import imagine as library
from steep.cli import screen
from steep.cli.imagine_draw import Bars, draw
from steep.data import load
from steep.imagine.decoder import DRAWN, save_decoder, train_decoder
from steep.imagine.generators import NAMED, drawn_pictures
from steep.imagine.recipes import emoji_scorer
from steep.imagine.scorers import NAMED as SCORERS
from steep.imagine.towers import Towers

DEFAULT = library.Settings()
TRAINED = ("clip", "emoji", "generator")


def imagine(
    prompt: Annotated[str, typer.Argument(help="What to draw, in English.", show_default=False)] = "",
    train: Annotated[
        str,
        typer.Option("--train", help=f"What to train on emoji instead: {' or '.join(TRAINED)}.", show_default=False),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The picture (.png, .gif, .html); what was trained (.safetensors).",
            show_default=False,
        ),
    ] = None,
    generator: Annotated[
        str, typer.Option(help=f"What draws: {', '.join(NAMED)}, a .safetensors file of --train generator, or .onnx.")
    ] = "emoji",
    scorer: Annotated[
        str,
        typer.Option(
            help=f"What guides it: {', '.join(SCORERS)}, a .safetensors file of --train clip, or IMAGE.onnx,TEXT.onnx.",
            show_default="emoji, faces for faces",
        ),
    ] = "",
    judge: Annotated[
        str, typer.Option(help="What judges the result, likewise.", show_default="judge, faces_judge for faces")
    ] = "",
    steps: Annotated[int, typer.Option(min=1, help="Number of steps of the ascent.")] = 50,
    film: Annotated[Path | None, typer.Option(help="An animation of the ascent (.gif).", show_default=False)] = None,
    page: Annotated[Path | None, typer.Option(help="A page with all about it (.html).", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs.", show_default="10 or 20")] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Batch size of clip.")] = DEFAULT.batch,
    lr: Annotated[float, typer.Option(help="Largest learning rate of clip.")] = DEFAULT.lr,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training, bit for bit.")] = False,
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Draw a picture for a sentence, or train what that takes.

    The latent of a generator is optimised for the towers that guide it; beside the picture stands its rank among real
    ones, or of a face among other faces, under these and under a judge that took no part. What is not in the cache is
    trained at first use, in some minutes.

    --train clip: two networks that map pictures and texts to one space, a small convolutional one from scratch beside a
    frozen MiniLM. --train emoji: the scorer by that name, two linear heads on a frozen MobileNetV2 and MiniLM. 245
    concepts and the style Fluent are held out: R@k is the share of texts whose own picture is among the k nearest of
    these. --train generator: an auto-decoder of emoji.
    """
    screen.use_threads(threads)
    if bool(prompt.strip()) == bool(train):
        raise ValueError('steep imagine "a red heart" draws it, steep imagine --train clip trains: give one of the two')
    if prompt:
        drawn = partial(library.draw, prompt, scorer or None, generator, judge=judge or None, steps=steps, seed=seed)
        raise typer.Exit(draw(drawn, output or Path("imagine.png"), film, page, json))
    if train not in TRAINED:
        raise ValueError(f"--train {train}: there are {' and '.join(TRAINED)}")
    TRAINERS[train](output or Path(f"{train}.safetensors"), epochs, batch_size, lr, resume, seed, json)


def _train_towers(train: str) -> Callable[..., None]:
    def run(output: Path, epochs: int | None, batch: int, lr: float, resume: bool, seed: int, json: bool) -> None:
        file = output if train == "clip" else None
        if file is not None:
            _checked(file, resume)
        settings = library.Settings(epochs=epochs or DEFAULT.epochs, batch=batch, lr=lr, seed=seed)
        began = time.perf_counter()
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
        told_file = f"; {file}" if file else ""
        screen.out.print(f"temperature {temperature(towers):.3f}, {seconds} s{told_file}", markup=False)

    return run


def _train_generator(
    output: Path, epochs: int | None, batch: int, lr: float, resume: bool, seed: int, json: bool
) -> None:
    _checked(output, resume)
    recipe, state = replace(DRAWN, epochs=epochs or DRAWN.epochs, seed=seed), _state(output)
    began = time.perf_counter()
    with Bars() as bars:
        decoder, losses = train_decoder(
            drawn_pictures(load("emoji")),
            recipe,
            lambda step, steps, loss: bars.say("training", step, steps, f"loss {loss:.3f}"),
            state,
            resume,
        )
    save_decoder(decoder, output, {"trained": "generator", "epochs": str(recipe.epochs), "seed": str(seed)})
    state.unlink(missing_ok=True)
    seconds = round(time.perf_counter() - began, 1)
    if json:
        told = {"trained": "generator", "output": str(output), "seed": seed, "seconds": seconds}
        return screen.print_json({**told, "losses": losses})
    screen.out.print(f"loss {losses[-1]:.4f}, {seconds} s; {output}", markup=False)


def _state(output: Path) -> Path:
    return output.with_suffix(".state.safetensors")


def _checked(output: Path, resume: bool) -> None:
    """Raises ValueError for a file that could not be written, or nothing to resume."""
    if output.suffix.lower() != ".safetensors" or not output.parent.is_dir():
        raise ValueError(f"{output}: what is trained is written as .safetensors, into a folder that exists")
    if resume and not _state(output).is_file():
        raise ValueError(f"--resume: there is no {_state(output)}, which an interrupted training leaves")


def temperature(towers: Towers) -> float:
    """1 / scale of the similarities."""
    import math

    return math.exp(-float(towers.log_scale))


def _clip(settings: library.Settings, bars: Bars, output: Path, resume: bool) -> tuple[Towers, library.recipes.Report]:
    state = _state(output)
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


TRAINERS: dict[str, Callable[..., None]] = {
    "clip": _train_towers("clip"),
    "emoji": _train_towers("emoji"),
    "generator": _train_generator,
}
