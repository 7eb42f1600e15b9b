"""``steep train``: train a small classifier on a data set by name and save its weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from steep import data as datasets
from steep import io
from steep.cli import models, screen
from steep.demo import Settings
from steep.demo.network import network
from steep.demo.run import DIGITS
from steep.training import Recipe, fit

DEFAULT = Recipe()
OF_DIGITS = ("mnist5k", "mnist", "digits")


def train(
    data: Annotated[str, typer.Option(help="Data set: mnist5k, digits, fashion_mnist, mnist.")] = "mnist5k",
    output: Annotated[Path | None, typer.Option(help="Save the weights here (.safetensors or .npz).")] = None,
    factory: Annotated[str, typer.Option(help='"module:function" that makes the network to train.')] = "",
    hidden: Annotated[int, typer.Option(min=1, help="Number of hidden units, without a factory.")] = Settings.hidden,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = DEFAULT.epochs,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size.")] = DEFAULT.batch_size,
    lr: Annotated[float, typer.Option(help="Initial learning rate; cosine decay.")] = DEFAULT.lr,
    momentum: Annotated[float, typer.Option(help="Momentum of SGD.")] = DEFAULT.momentum,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = DEFAULT.weight_decay,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0, help=f"Standard deviation of noise added to each batch; {DIGITS.noise} for digits, else none."
        ),
    ] = None,
    shift: Annotated[int, typer.Option(min=0, help="Maximum random shift of images in pixels.")] = DEFAULT.shift,
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Train a network on the images of a data set by SGD with momentum. Exits with 1 if training diverges.

    It has one hidden layer of ReLUs, or is made by ``--factory``: a module from images (n, 1, height, width) to scores
    (n, classes). The other commands load the weights with the same factory.
    """
    screen.use_threads(threads)
    if output is not None and output.suffix.lower() not in io.WRITERS:
        raise typer.BadParameter(f"{output}: the extension must be one of {', '.join(io.WRITERS)}")
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"{output}: there is no folder {output.parent}")
    if data == "emoji":
        raise ValueError("--data emoji: emoji have texts instead of classes: steep imagine --train clip")
    laid = (DIGITS.noise if data in OF_DIGITS else DEFAULT.noise) if noise is None else noise
    recipe = Recipe(epochs, batch_size, lr, momentum, weight_decay, laid, shift, seed=seed)
    (train, test), began = map(_with_channel, datasets.load(data)), time.perf_counter()
    model = models.made(factory) if factory else network(train, hidden, seed)
    with screen.TrainingBar() as bar:
        trained = fit(model, train, test, recipe, bar)
    result = {
        "data": data,
        "test_accuracy": trained.test_accuracy,
        "train_accuracy": trained.train_accuracy,
        "losses": trained.losses,
        "status": trained.status,
        "seconds": round(time.perf_counter() - began, 2),
    }
    if output is not None:
        io.save(output, trained.model.state_dict())
        result["output"] = str(output)
    text = f"test accuracy {trained.test_accuracy:.1%}, training accuracy {trained.train_accuracy:.1%}"
    saved = "" if output is None else f"; weights in {output}"
    screen.print_json(result) if json else screen.out.print(f"{text}, {result['seconds']} s{saved}", markup=False)
    raise typer.Exit(1 if trained.status == "diverged" else 0)


def _with_channel(part: datasets.Part) -> datasets.Part:
    """Images (n, height, width) as (n, 1, height, width)."""
    return datasets.Part(part.x[:, None], part.y)
