"""``steep dream``: DeepDream, an image that increases a layer's activations, scale by scale."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from steep import _core, ascent, pictures
from steep._core import Tensor
from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding, box_finding, gradient_finding
from steep.cli.images import Image, Source
from steep.cli.session import Session, on_model
from steep.cli.visualize import File, Layer, Steps
from steep.nn.module import Module

Guide = Annotated[Path | None, typer.Option(help="An image whose features are to be found in IMAGE.")]


@on_model
def dream(
    session: Session,
    image: Image,
    layer: Layer = "",
    guide: Guide = None,
    octaves: Annotated[int, typer.Option(min=1, help="Number of octaves.")] = 4,
    octave_scale: Annotated[float, typer.Option(help="Ratio of neighbouring octaves.")] = 1.4,
    steps: Steps = 10,
    step_size: Annotated[float, typer.Option(min=0, help="Mean change of a pixel per step, of 255.")] = 1.5,
    jitter: Annotated[int, typer.Option(min=0, help="Maximum random shift in pixels.")] = 32,
    long_side: Annotated[int, typer.Option(min=1, help="Larger images are reduced to this size.")] = 640,
    output: File = Path("dream.png"),
) -> None:
    """DeepDream: increase a layer's activations in an image, at several scales.

    A network with a fixed input size gets the central square of the image.
    """
    out.check(output)
    chosen = session.layer(layer, session.opened.read(image))
    x = _whole(session, image, long_side, chosen)
    octaves = _possible(session, x, chosen, octaves, octave_scale)
    hint = None if guide is None else session.opened.read(Source(guide))
    low, high = session.bounds()
    length = float(_core.max(high - low)) * step_size / 255
    with screen.StepBar(f"dream {chosen}", steps * octaves) as bar:
        run = ascent.deepdream(session.opened.model, chosen, x, octaves=octaves, octave_scale=octave_scale,
                               steps=steps, step_size=length, jitter=jitter, guide=hint, bounds=(low, high),
                               generator=session.generator(), callback=bar,
                               keep=out.film_wanted(output))  # fmt: skip

    def score(model: Module) -> ascent.Term:
        if hint is None:
            return ascent.layer(model, chosen)
        return ascent.Term(lambda v: ascent.guided_by(model, chosen, hint.astype(v.dtype))(v))

    rise = [float(ascent.layer(session.opened.model, chosen)(v)) for v in (x, run.image)]
    findings = [
        gradient_finding(session.opened.model, score, run.image, session.seed),
        box_finding(run.image, low, high),
        Finding("norm of the layer", f"{rise[0]:.4g} to {rise[1]:.4g}"),
    ]
    settings = {"layer": chosen, "guide": str(guide or ""), "octaves": [list(size) for size in run.octaves],
                "steps": steps, "step_size": step_size, "jitter": jitter, "seed": session.seed}  # fmt: skip
    result = out.Result(
        f"A dream of {chosen}", f"{chosen} of {session.opened.name} in {image.name}, "
        f"{len(run.octaves)} size{'s' * (len(run.octaves) > 1)}",
        [out.Shown(f"original: {image.name}", session.picture(x)), out.Shown("the dream", session.picture(run.image))],
        Certificate(session.opened.name, session.opened.hash, settings, findings),
        {"image": str(image), "layer": chosen, "before": rise[0], "after": rise[1], "status": run.status},
        run.history, [session.picture(frame) for frame in run.frames],
        "" if run.status == "finished" else f"the ascent {run.status}",
        f"The match of {chosen} with the guide" if guide else f"The norm of {chosen}",
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))


def _takes(session: Session, x: Tensor, layer: str) -> bool:
    """Whether the model can evaluate the layer for images of this size."""
    try:
        with _core.no_grad():
            ascent.features.activation(session.opened.model, layer, x)
    except (ValueError, TypeError, IndexError):
        return False
    return True


def _possible(session: Session, x: Tensor, layer: str, octaves: int, scale: float) -> int:
    """``octaves``, or 1 with a message if the model does not accept smaller images."""
    smallest = ascent.octave_sizes(x.shape[2], x.shape[3], octaves, scale)[-1]
    if octaves == 1 or _takes(session, _core.interpolate(x, size=smallest, mode="linear"), layer):
        return octaves
    screen.err.print(f"{session.opened.name} takes no {smallest} pixels: the dream has one size", markup=False)
    return 1


def _whole(session: Session, image: Source, long_side: int, layer: str) -> Tensor:
    """The whole image as the model's input; its central square if the model has a fixed size."""
    picture = image.read()
    height, width = picture.shape[:2]
    if max(height, width) > long_side:
        shrink = long_side / max(height, width)
        picture = pictures.resized(picture, max(1, round(height * shrink)), max(1, round(width * shrink)))
    way = session.opened.preprocessing
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255
    whole = way.normalize(_core.asarray(pixels if len(way.mean) == 3 else pixels.mean(axis=1, keepdims=True)))
    if _takes(session, whole, layer):
        return whole
    screen.err.print(f"{session.opened.name} takes no {whole.shape[2:]} pixels: its own size is used", markup=False)
    return way.preprocess(picture)
