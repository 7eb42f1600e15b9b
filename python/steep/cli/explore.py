"""``steep explore``: a page in the browser on which one can walk through a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steep import explore
from steep.cli import models, require, screen
from steep.cli.models import ChannelsLast, Opened


def explore_(
    model: Annotated[
        str, typer.Argument(help="A model of the zoo, an .onnx file, or .safetensors weights.")
    ] = "squeezenet1_1",
    folder: Annotated[
        Path | None, typer.Option(help="A folder of images to choose from, searched for top examples.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="An image that is open from the start.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; any free one by default.")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    factory: models.Factory = "",
    size: models.Size = None,
    channels: models.Channels = "",
    mean: models.Mean = "",
    std: models.Std = "",
    classes: models.Classes = "",
    threads: screen.Threads = None,
) -> None:
    """Walk through a network in the browser: its layers live, what excites a unit, saliency maps, attacks.

    The page is served on 127.0.0.1 alone, at an address that no one else knows, until Ctrl-C. digits_cnn ships with
    steep; other models of the zoo are fetched at first use.
    """
    require("PIL")
    screen.use_threads(threads)
    given = models.Input(size, channels, mean, std)

    def opened() -> explore.Subject:
        found = models.open_model(model, factory, given, classes)
        return explore.Subject(
            found.name, found.model, found.preprocessing, found.classes, _source(found, model, factory, given)
        )

    explore.serve(opened, folder, image, port, browser=browser, say=lambda line: screen.out.print(line, markup=False))


def _source(opened: Opened, spec: str, factory: str, given: models.Input) -> str:
    """The Python that makes ``model`` and ``way``."""
    way = f"way = sp.zoo.{opened.preprocessing!r}"
    path = Path(spec)
    if path.suffix.lower() == ".onnx" and not isinstance(opened.model, ChannelsLast):
        made = [f"model = sp.onnx.load({spec!r}, requires_grad=False)", way]
    elif path.suffix.lower() == ".safetensors" and factory:
        module, _, function = factory.partition(":")
        made = [f"from {module} import {function}", f"model = {function}()",
                f"model.load_state_dict(sp.io.load({spec!r}))", "model.eval()", way]  # fmt: skip
    elif not path.suffix or not path.exists():
        same = "way = model.preprocessing" if given == models.Input() else way
        made = [f"model = sp.zoo.load({spec!r})", same]
    else:
        made = ["from steep.cli.models import open_model", f"model = open_model({spec!r}).model", way]
    return "\n".join(["import steep as sp", *made])
