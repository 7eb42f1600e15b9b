"""``steep saliency``: which pixels the score of a class depends on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from steep import _core, ascent, pictures, saliency
from steep._core import Tensor
from steep.cli import output as out
from steep.cli.certificate import Certificate, Finding, gradient_finding
from steep.cli.images import ImageOrNone
from steep.cli.saliency_folder import maps_of
from steep.cli.saliency_text import words_of
from steep.cli.session import Session, on_model
from steep.cli.visualize import Layer
from steep.report.html import Scale
from steep.suggest import near

MAPS = ("gradient", "input_times_gradient", "guided_backprop", "deconvnet", "integrated_gradients", "smoothgrad")
PLACES = ("grad_cam", "occlusion")
STAGES = 4  # of the cascade: enough for the verdict, and affordable for maps of many passes


@on_model
def saliency_(
    session: Session,
    image: ImageOrNone = None,
    text: Annotated[str, typer.Option(help="A text instead of an image: which of its words matter.")] = "",
    like: Annotated[str, typer.Option(help="With --text: the text that it is compared with.")] = "",
    method: Annotated[str, typer.Option(help=f"One of {', '.join((*MAPS, *PLACES))}.")] = "gradient",
    klass: Annotated[
        str, typer.Option("--class", help="A class, by index or name; the predicted one by default.")
    ] = "",
    layer: Layer = "",
    box: Annotated[str, typer.Option(help="Draw the rectangle around the object: threshold or graph_cut.")] = "",
    sanity: Annotated[bool, typer.Option(help="Test whether the map depends on the weights.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A file (.png, .gif, .html), saliency.png by default; of a text .html alone."
        ),
    ] = None,
    maps: Annotated[
        Path | None, typer.Option("--out", help="Of a folder of images: where the maps are written, as .safetensors.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Of a folder: the number of processes.")] = 1,
    dask: Annotated[str, typer.Option(help="Of a folder: the address of a Dask scheduler, tcp://host:8786.")] = "",
) -> None:
    """Map which pixels of an image the score of a class depends on, and test the map.

    The map comes with the result of the cascade: its correlation with the map of randomised weights. ``--layer`` is for
    grad_cam. ``--box`` localises the object, which the network was not trained to do. With ``--text`` and ``--like``
    the words of a text are coloured, by what each adds to the similarity of the two in MiniLM (integrated gradients).
    Of a folder a file is written for each of its images; with ``--out`` the maps themselves instead, by several
    processes if asked, and an interrupted run goes on.
    """
    if (image is None) == (not text):
        raise ValueError('give an image, or --text "..." with --like "..."')
    if image is None:
        raise typer.Exit(words_of(text, like, output, session.json))
    if maps is not None:
        if not image.is_folder:
            raise ValueError(f"--out goes with a folder of images, and {image} is none")
        maps_of(session, image.path, _of_folder(session, method, klass, layer), maps, workers, dask)
        raise typer.Exit(0)
    output = output or Path("saliency.png")
    out.check(output)
    opened = session.opened
    x = opened.read(image)
    target = session.class_of(klass, x)
    draw, settings = method_of(session, method, layer, x)
    map = draw(opened.model, x, target)
    values = flat(map)
    findings = [gradient_finding(opened.model, lambda m: ascent.logit(m, target), x, session.seed)]
    facts: dict[str, Any] = {}
    scale = Scale("hot", ("0", f"{values.max():.3g}"))
    shown = [out.Shown(f"original: {image.name}", session.picture(x)), out.Shown(method, pictures.hot(values), scale)]
    if box:
        around = saliency.box(values, shown[0].picture, method=box)
        shown = [each.outlined(around) for each in shown]
        settings["box"], facts["box"] = box, around._asdict()
        findings.append(Finding("box", "rows {0} to {2}, columns {1} to {3}".format(*around)))
    if method == "integrated_gradients":
        gap = float(saliency.completeness_gap(opened.model, x, map, target)[0])
        findings.append(Finding("completeness gap", gap, 0.05))
    if sanity:
        asked = saliency.sanity.cascade(opened.model, x, target, draw, generator=session.generator(), stages=STAGES)
        findings.append(Finding("sanity", asked.verdict))
        facts |= {"sanity": {"layers": asked.layers, "correlations": asked.correlations,
                            "passed": asked.passed if asked.checked else None}}  # fmt: skip
    number, label, chance = session.verdict(x)
    findings.append(Finding("predicted", f"{label}, p = {chance:.4f}"))
    name = opened.label(target) if opened.classes else f"class {target}"
    text = f"{method} of {name} in {image.name} (classified as {label}, p = {chance:.3f})"
    told = {"image": str(image), "method": method, "class": target, "label": opened.label(target), "predicted": number,
            "probability": chance, **facts}  # fmt: skip
    result = out.Result(
        f"What {opened.name} depends on", text, shown,
        Certificate(opened.name, opened.hash, {"method": method, "class": target, **settings, "seed": session.seed},
                    findings), told, made=0 if box else -1,
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))


def method_of(session: Session, method: str, layer: str, x: Tensor) -> tuple[Callable[..., Tensor], dict[str, Any]]:
    """The map as a function of model, input and class, and its further settings."""
    if method not in (*MAPS, *PLACES):
        raise ValueError(f"there is no method {method!r}{near(method, (*MAPS, *PLACES)) or '.'} "
                         f"There are {', '.join((*MAPS, *PLACES))}")  # fmt: skip
    if layer and method != "grad_cam":
        raise ValueError(f"--layer is for grad_cam; {method} needs none")
    if method == "grad_cam":
        chosen = session.layer(layer, x)
        return lambda model, v, target: saliency.grad_cam(model, v, chosen, target), {"layer": chosen}
    if method == "occlusion":
        window = max(1, min(x.shape[2:]) // 8)
        return partial(saliency.occlusion, window=window), {"window": window}
    if method == "smoothgrad":
        return lambda model, v, target: saliency.smoothgrad(model, v, target, generator=session.generator()), {}
    function: Callable[..., Tensor] = getattr(saliency, method)
    return function, {}


def _of_folder(session: Session, method: str, klass: str, layer: str) -> Callable[..., Tensor]:
    """The map as a function of model and inputs that another process can be sent."""
    opened = session.opened
    blank = _core.zeros(opened.preprocessing.shape)
    _, settings = method_of(session, method, layer, blank)
    options: dict[str, Any] = {"target": session.class_of(klass, blank)} if klass else {}
    options |= settings
    return partial(getattr(saliency, method), **options)


def flat(map: Tensor) -> NDArray[Any]:
    """The map of one image as (height, width): the largest magnitude over the channels."""
    values: NDArray[Any] = np.asarray(map)[0]
    return np.asarray(np.abs(values).max(axis=0) if values.ndim == 3 else np.maximum(values, 0))
