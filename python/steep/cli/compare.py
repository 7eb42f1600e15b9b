"""``steep compare IMAGE``: saliency maps of one image by several methods, side by side, each with its sanity check.

Start reading at ``side_by_side``, which ``steep report`` uses too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from steep import ascent, pictures, saliency
from steep._core import Tensor
from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding, gradient_finding
from steep.cli.images import Image
from steep.cli.saliency import MAPS, PLACES, flat, method_of
from steep.cli.session import Session, on_model
from steep.cli.visualize import File
from steep.report.html import Scale

STAGES = 2  # of each sanity check


class Compared(NamedTuple):
    """A map: its method, the verdict of its sanity check, correlations, and the image."""

    method: str
    passed: bool | None
    verdict: str
    correlations: list[float]
    shown: out.Shown


def side_by_side(session: Session, x: Tensor, target: int, methods: list[str]) -> list[Compared]:
    """A map of every method, each checked by randomising the weights."""
    found = []
    for name in methods:
        draw, _ = method_of(session, name, "", x)
        values = flat(draw(session.opened.model, x, target))
        asked = saliency.sanity.cascade(session.opened.model, x, target, draw, generator=session.generator(),
                                        stages=STAGES)  # fmt: skip
        scale = Scale("hot", ("0", f"{values.max():.3g}"))
        shown = out.Shown(f"{name}: {asked.verdict}", pictures.hot(values), scale)
        found.append(Compared(name, asked.passed if asked.checked else None, asked.verdict, asked.correlations, shown))
    return found


def plain(found: list[Compared]) -> dict[str, Any]:
    """The maps' checks as plain values, by method."""
    return {each.method: {"passed": each.passed, "correlations": each.correlations} for each in found}


@on_model
def compare(
    session: Session,
    image: Image,
    methods: Annotated[
        str, typer.Option(help=f"Methods with commas between them; all by default: {', '.join((*MAPS, *PLACES))}.")
    ] = "",
    klass: Annotated[
        str, typer.Option("--class", help="A class, by index or name; the predicted one by default.")
    ] = "",
    output: File = Path("compare.html"),
) -> None:
    """Show saliency maps of an image by several methods side by side, each with its sanity check.

    The check randomises the weights: a map that hardly changes does not depend on what the network learned, and says
    nothing about the network's decision.
    """
    out.check(output)
    opened, names = session.opened, [each.strip() for each in methods.split(",") if each.strip()] or [*MAPS, *PLACES]
    x = opened.read(image)
    target = session.class_of(klass, x)
    with screen.err.status("compare"):
        found = side_by_side(session, x, target, names)
    _, label, chance = session.verdict(x)
    findings = [
        gradient_finding(opened.model, lambda m: ascent.logit(m, target), x, session.seed),
        *(Finding(each.method, each.verdict) for each in found),
        Finding("predicted", f"{label}, p = {chance:.4f}"),
    ]
    original = session.picture(x)
    sheet = pictures.sheet([original, *(each.shown.picture for each in found)], 3, gap=2)
    shown = [out.Shown(f"original: {image.name}", original), *(each.shown for each in found)]
    settings = {"methods": ", ".join(names), "class": target, "seed": session.seed}
    told = {"image": str(image), "class": target, "label": opened.label(target), "methods": plain(found)}
    result = out.Result(
        f"Saliency maps of {image.name}", f"{len(found)} methods for {opened.label(target)}", shown,
        Certificate(opened.name, opened.hash, settings, findings), told, sheet=sheet,
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))
