"""``steep classify``: what a network sees in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape

from steep import _core
from steep.cli import models, screen
from steep.cli.session import Session, on_model

Image = Annotated[Path, typer.Argument(help="The picture.", show_default=False)]


@on_model
def classify(
    session: Session,
    image: Image,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print.")] = 5,
) -> None:
    """Print the most probable classes of a picture.

    A model of the zoo knows how pictures become its input; others take what the options say, by default pixels as
    ImageNet networks of torchvision want them. Outputs that are probabilities already are taken as they are.
    """
    opened = session.opened
    with _core.no_grad():
        chances = models.probabilities(models.class_scores(opened, opened.read(image)).numpy())
    best = [int(i) for i in np.argsort(-chances, kind="stable")[:top]]
    if session.json:
        found = [{"class": i, "name": opened.label(i), "probability": float(chances[i])} for i in best]
        about = {"image": str(image), "model": opened.name, "sha256": opened.hash, "seed": session.seed}
        screen.print_json({**about, "top": found})
        return
    rows = [[f"{chances[i]:.4f}", str(i), escape(opened.label(i))] for i in best]
    screen.out.print(screen.table("probability>", "class>", "name", rows=rows))
