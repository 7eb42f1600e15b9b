"""The options that all commands on a model share, in one place: ``on_model`` adds them to a command's own.

A command takes a ``Session`` first, which holds the opened model, the seed and whether to print JSON. Typer reads the
signature that ``on_model`` assembles. A command on one image is run once for each image of a folder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial, update_wrapper
from pathlib import Path
from typing import Any

import typer

from steep import _core
from steep._core import Tensor
from steep.cli import models, require, screen
from steep.cli.images import Source, for_each
from steep.cli.models import Opened
from steep.pictures import Colours
from steep.random import Generator
from steep.scores import as_probabilities


@dataclass(frozen=True)
class Session:
    """A model, opened at first use, the seed of all random numbers, and whether the result is printed as JSON."""

    open: Callable[[], Opened]
    seed: int
    json: bool

    @cached_property
    def opened(self) -> Opened:
        """The opened model."""
        return self.open()

    def generator(self) -> Generator:
        """A new generator of the seed."""
        return Generator(self.seed)

    def picture(self, x: Any) -> Colours:
        """The image of an input (1, C, H, W) of the model."""
        return self.opened.preprocessing.to_image(x)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """The model's inputs for black and for white."""
        return self.opened.preprocessing.low, self.opened.preprocessing.high

    def classifies(self, x: Tensor) -> bool:
        """Whether the model is a classifier."""
        with _core.no_grad():
            scores = self.opened.model(x)
        return isinstance(scores, Tensor) and scores.ndim == 2 and scores.shape[1] > 1

    def class_of(self, text: str, x: Tensor) -> int:
        """The class that ``text`` denotes, or the predicted one if it is empty."""
        scores = models.class_scores(self.opened, x)
        return self.opened.class_number(text, scores.shape[0]) if text else int(_core.argmax(scores))

    def verdict(self, x: Tensor) -> tuple[int, str, float]:
        """The class predicted for one input, its name, and its probability, by running the model now."""
        with _core.no_grad():
            chances = as_probabilities(models.class_scores(self.opened, x).numpy())
        best = int(chances.argmax())
        return best, self.opened.label(best), float(chances[best])

    def layer(self, name: str, x: Tensor) -> str:
        """The layer called ``name``; if empty, one at two thirds of the layers with feature maps."""
        if name:
            return self.opened.layer(name)
        top = [layer for layer in self.opened.layers if "." not in layer]
        with _core.no_grad():
            found = self.opened.model.activations(x)
        maps = [layer for layer in (top if len(top) > 2 else self.opened.layers) if _is_map(found.get(layer))]
        if not maps:
            raise ValueError(f"{self.opened.name} has no layer with feature maps; choose one by --layer")
        return maps[2 * len(maps) // 3]


def _is_map(found: Any) -> bool:
    return isinstance(found, Tensor) and found.ndim == 4 and min(found.shape[2:]) > 1


def _shared(
    model: models.Model = "squeezenet1_1",
    factory: models.Factory = "",
    size: models.Size = None,
    channels: models.Channels = "",
    mean: models.Mean = "",
    std: models.Std = "",
    crop: models.Crop = "",
    layout: models.Layout = "",
    classes: models.Classes = "",
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> Session:
    """The session for these options."""
    require("PIL")
    screen.use_threads(threads)
    given = models.Input(size, channels, mean, std, crop)
    return Session(partial(models.open_model, model, factory, given, classes, layout), seed, json)


def on_model(command: Callable[..., None], model: Any = None) -> Callable[..., None]:
    """``command``, which takes a ``Session`` first, as a function of its other parameters and the shared ones.

    ``model``: how the model is named, if not by an option.
    """
    # Not typing.get_type_hints, which in Python 3.10 wraps what has None as its default, and so hides its Annotated.
    own, shared = (list(inspect.signature(f, eval_str=True).parameters.values()) for f in (command, _shared))
    names = {parameter.name for parameter in shared}

    def run(**given: Any) -> None:
        session = _shared(**{name: given.pop(name) for name in names})
        image = given.get("image")
        if not isinstance(image, Source) or not image.is_folder or given.get("maps"):
            return command(session, **given)

        def one(image: Source, target: Path | None) -> None:
            command(session, **{**given, "image": image, **({} if target is None else {"output": target})})

        default = Path(command.__name__.rstrip("_") + ".png")
        raise typer.Exit(for_each(image.path, given["output"] or default if "output" in given else None, one))

    update_wrapper(run, command)
    del run.__wrapped__  # type: ignore[attr-defined]  # whose signature would be used
    if model is not None:
        shared = [p.replace(default=p.empty, annotation=model) if p.name == "model" else p for p in shared]
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own[1:], *shared)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
