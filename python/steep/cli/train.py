"""``steep train``: train a small network on a data set by name, a folder of pictures or a table; save its weights."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from steep import data as datasets
from steep import io
from steep.cli import models, screen
from steep.cli import output as out
from steep.demo import Settings
from steep.demo.network import of_sizes
from steep.demo.run import DIGITS
from steep.training import LOSSES, OPTIMIZERS, SCHEDULES, Recipe, fit

DEFAULT = Recipe()
OF_DIGITS = ("mnist5k", "mnist", "digits")


def _names(table: Any) -> str:
    return ", ".join(table)


def train(
    data: Annotated[
        str,
        typer.Option(
            help="Data set: mnist5k, digits, fashion_mnist, mnist; or a folder with a subfolder of pictures for each "
            "class (or such folders named train and test); or a .csv file."
        ),
    ] = "mnist5k",
    output: Annotated[Path | None, typer.Option(help="Save the weights here (.safetensors or .npz).")] = None,
    factory: Annotated[str, typer.Option(help='"module:function" that makes the network to train.')] = "",
    hidden: Annotated[int, typer.Option(min=1, help="Number of hidden units, without a factory.")] = Settings.hidden,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = DEFAULT.epochs,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size.")] = DEFAULT.batch_size,
    lr: Annotated[float, typer.Option(help="Initial learning rate.")] = DEFAULT.lr,
    momentum: Annotated[float, typer.Option(help="Momentum of SGD.")] = DEFAULT.momentum,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = DEFAULT.weight_decay,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0, help=f"Standard deviation of noise added to each batch; {DIGITS.noise} for digits, else none."
        ),
    ] = None,
    shift: Annotated[int, typer.Option(min=0, help="Maximum random shift of images in pixels.")] = DEFAULT.shift,
    size: Annotated[
        int | None, typer.Option(min=1, help="Of a folder: resize pictures to squares of this side.")
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Of a folder: read grey pictures.")] = False,
    target: Annotated[str, typer.Option(help="Of a table: the column to predict.")] = "",
    loss: Annotated[str, typer.Option(help=f"{_names(LOSSES)}; the one that suits the data by default.")] = "",
    optimizer: Annotated[str, typer.Option(help=f"{_names(OPTIMIZERS)}.")] = DEFAULT.optimizer,
    schedule: Annotated[str, typer.Option(help=f"Of the learning rate: {_names(SCHEDULES)}.")] = DEFAULT.schedule,
    shards: Annotated[int, typer.Option(min=1, help="Parts in which a batch is computed: a power of two.")] = 1,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without improvement on the test part.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Save the run here after each epoch.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from --checkpoint.")] = False,
    log: Annotated[
        list[Path] | None, typer.Option(help="A row per epoch: .csv, .jsonl, or a folder for TensorBoard. Repeatable.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Draw curves here (.html), renewed while the run goes on.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads that load batches ahead.")] = 0,
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Train a network on a data set by SGD with momentum, or another optimiser. Exits with 1 if training diverges.

    It has one hidden layer of ReLUs, or is made by ``--factory``: a module from images (n, channels, height, width), or
    rows (n, features), to scores (n, classes). The other commands load the weights with the same factory.
    """
    screen.use_threads(threads)
    if output is not None and output.suffix.lower() not in io.WRITERS:
        raise typer.BadParameter(f"{output}: the extension must be one of {', '.join(io.WRITERS)}")
    if output is not None:
        out.check_folder(output)
    if page is not None and page.suffix != ".html":
        raise typer.BadParameter(f"{page}: a page ends in .html")
    for path in filter(None, (page, checkpoint, *(each for each in log or [] if each.suffix))):
        out.check_folder(path, made=True)
    if data == "emoji":
        raise ValueError("--data emoji: emoji have texts instead of classes: steep imagine --train clip")
    laid = (DIGITS.noise if data in OF_DIGITS else DEFAULT.noise) if noise is None else noise
    given, began = _read(data, size, grey, target, seed), time.perf_counter()
    recipe = Recipe(epochs, batch_size, lr, momentum, weight_decay, laid, shift, seed=seed)
    recipe = replace(
        recipe, loss=loss or given.loss, optimizer=optimizer, schedule=schedule, shards=shards, patience=patience
    )
    logs = [*(log or []), *([page] if page else [])]
    options: dict[str, Any] = {"checkpoint": checkpoint, "resume": resume, "log": logs, "workers": workers}
    options = {name: value for name, value in options.items() if value}
    if logs or patience or checkpoint:
        options["validation"] = given.test
    model = models.made(factory) if factory else of_sizes(given.inputs, hidden, given.outputs, seed)
    with screen.TrainingBar() as bar:
        trained = fit(model, given.train, given.test, recipe, bar, **options)
    _report(data, trained, round(time.perf_counter() - began, 2), output, json)


class _Given(NamedTuple):
    """Data, and what a network for them and their loss are."""

    train: Any
    test: Any
    inputs: int
    outputs: int
    loss: str


def _read(name: str, size: int | None, grey: bool, target: str, seed: int) -> _Given:
    """The data set of a name, a folder or a table."""
    path = Path(name)
    if path.suffix.lower() == ".csv":
        return _table(path, target, seed)
    if path.is_dir() and name not in datasets.sets.SETS:
        return _folder(path, size, grey, seed)
    train, test = map(_with_channel, datasets.load(name))
    return _Given(train, test, train.x[0].size, int(train.y.max()) + 1, "cross_entropy")


def _folder(path: Path, size: int | None, grey: bool, seed: int) -> _Given:
    parts = [path / part for part in ("train", "test")]
    if all(part.is_dir() for part in parts):
        train, test = (datasets.folder(part, size, grey) for part in parts)
        if train.classes != test.classes:
            raise ValueError(f"{path}: train has the classes {train.classes}, and test {test.classes}")
    else:
        train, test = datasets.split(datasets.folder(path, size, grey), 0.2, seed=seed, stratify=True)
    return _Given(train, test, train[0][0].size, len(train.classes), "cross_entropy")


def _table(path: Path, target: str, seed: int) -> _Given:
    if not target:
        raise typer.BadParameter(f"{path}: say which column to predict: --target COLUMN")
    rows = datasets.table(path, target)
    train, test = datasets.split(rows, 0.2, seed=seed)
    return _Given(train, test, rows.x.shape[1], len(rows.classes) or 1, "cross_entropy" if rows.classes else "mse")


def _report(data: str, trained: Any, seconds: float, output: Path | None, json: bool) -> None:
    """Saves the weights, prints the result, and exits."""
    result = {
        "data": data,
        "test_accuracy": trained.test_accuracy,
        "train_accuracy": trained.train_accuracy,
        "losses": trained.losses,
        "test": {name: value for name, value in trained.test.items() if not isinstance(value, list)},
        "status": trained.status,
        "seconds": seconds,
    }
    if output is not None:
        io.save(output, trained.model.state_dict())
        result["output"] = str(output)
    text = f"test accuracy {trained.test_accuracy:.1%}, training accuracy {trained.train_accuracy:.1%}"
    if np.isnan(trained.test_accuracy) and trained.test:
        text = "test " + ", ".join(f"{name} {value:.4g}" for name, value in trained.test.items())
    saved = "" if output is None else f"; weights in {output}"
    screen.print_json(result) if json else screen.out.print(f"{text}, {seconds} s{saved}", markup=False)
    raise typer.Exit(1 if trained.status == "diverged" else 0)


def _with_channel(part: datasets.Part) -> datasets.Part:
    """Images (n, height, width) as (n, 1, height, width)."""
    return datasets.Part(part.x[:, None], part.y)
