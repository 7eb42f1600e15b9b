"""``steep classify``: the classes that a network predicts for an image."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.markup import escape

from steep import _core, imagine
from steep.cli import models, screen
from steep.cli.images import Image, Source
from steep.cli.imagine_draw import Bars
from steep.cli.search import Scorer
from steep.cli.session import Session, on_model
from steep.scores import as_probabilities


@on_model
def classify(
    session: Session,
    image: Image,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print.")] = 5,
    labels: Annotated[str, typer.Option(help='Classes in words instead of a model\'s: "a cat, a dog".')] = "",
    scorer: Scorer = "emoji",
) -> None:
    """Print the most probable classes of an image.

    A model of the zoo includes its preprocessing; for others it is given by options, by default that of torchvision's
    ImageNet networks. Outputs that are probabilities already are not normalised again.

    With ``--labels`` the classes are texts, and the probabilities the softmax of their similarities with the image by
    ``--scorer``, which was trained on emoji: for drawings, not for photographs.
    """
    if labels:
        _by_words(session, image, [each.strip() for each in labels.split(",") if each.strip()], scorer)
        return
    opened = session.opened
    with _core.no_grad():
        chances = as_probabilities(models.class_scores(opened, opened.read(image)).numpy())
    best = [int(i) for i in np.argsort(-chances, kind="stable")[:top]]
    if session.json:
        found = [{"class": i, "name": opened.label(i), "probability": float(chances[i])} for i in best]
        about = {"image": str(image), "model": opened.name, "sha256": opened.hash, "seed": session.seed}
        screen.print_json({**about, "top": found})
        return
    screen.heading(str(image))
    rows = [[f"{chances[i]:.4f}", str(i), escape(opened.label(i))] for i in best]
    screen.out.print(screen.table("probability>", "class>", "name", rows=rows))


def _by_words(session: Session, image: Source, labels: list[str], scorer: str) -> None:
    """Zero-shot classification."""
    picture = image.read()
    with Bars() as bars:
        towers = imagine.scorer(scorer, bars.say)
    chances = imagine.zero_shot(towers, picture, labels)
    best = sorted(range(len(labels)), key=lambda i: -chances[i])
    if session.json:
        found = [{"name": labels[i], "probability": chances[i]} for i in best]
        screen.print_json({"image": str(image), "scorer": scorer, "top": found})
        return
    screen.heading(str(image))
    rows = [[f"{chances[i]:.4f}", escape(labels[i])] for i in best]
    screen.out.print(screen.table("probability>", "label", rows=rows))
