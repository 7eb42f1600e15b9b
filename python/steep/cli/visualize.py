"""``steep visualize``: feature visualization of a channel, a layer or a class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from steep import _core, ascent, pictures
from steep._core import Tensor
from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding, gradient_finding
from steep.cli.session import Session, on_model

File = Annotated[Path, typer.Option("--output", "-o", help="An image (.png), an animation (.gif) or a page (.html).")]
Layer = Annotated[str, typer.Option(help="Name of a layer; steep info --model lists them.")]
Steps = Annotated[int, typer.Option(min=1, help="Number of steps.")]


@on_model
def visualize(
    session: Session,
    layer: Layer = "",
    channel: Annotated[
        int | None, typer.Option(min=0, help="A channel of the layer; the whole layer by default.")
    ] = None,
    klass: Annotated[str, typer.Option("--class", help="A class, by index or name, instead of a layer.")] = "",
    steps: Steps = 256,
    lr: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 0.03,
    still: Annotated[bool, typer.Option("--still", help="Without random jitter, scaling and rotations.")] = False,
    output: File = Path("visualize.png"),
) -> None:
    """Find the image that maximises a channel, a layer or a class, from noise.

    A Fourier spectrum with decorrelated colours is optimised by Adam under random jitter, scaling and rotations.
    """
    out.check(output)
    way, model = session.opened.preprocessing, session.opened.model
    blank = way.normalize(_core.full(way.shape, 0.5))
    name, objective = _objective(session, layer, channel, klass, blank)
    with screen.StepBar(f"visualize {name}", steps) as bar:
        run = ascent.visualize(objective(model), way.shape, steps=steps, lr=lr, preprocess=way.normalize,
                               transform=(lambda x: x) if still else None, generator=session.generator(),
                               callback=bar, keep=out.film_wanted(output))  # fmt: skip
    x = way.normalize(run.image)
    rise = [float(objective(model)(v)) for v in (blank, x)]
    findings = [gradient_finding(model, objective, x, session.seed), Finding("value on grey", f"{rise[0]:.4g}"),
                Finding("value on the image", f"{rise[1]:.4g}")]  # fmt: skip
    facts: dict[str, Any] = {"objective": name, "value": rise[1], "grey": rise[0], "status": run.status}
    if klass:
        number, label, chance = session.verdict(x)
        facts |= {"predicted": number, "label": label, "probability": chance}
        findings.append(Finding("predicted again", f"{label}, p = {chance:.4f}"))
    settings = {"objective": name, "steps": steps, "lr": lr, "still": still, "seed": session.seed}
    picture = pictures.rgb(np.asarray(run.image)[0])
    failed = "" if run.status == "finished" and rise[1] > rise[0] else f"the value did not rise ({run.status})"
    result = out.Result(
        f"Feature visualization of {name}",
        f"{name} of {session.opened.name}: {rise[0]:.4g} for grey, {rise[1]:.4g} for the image",
        [out.Shown(name, picture)],
        Certificate(session.opened.name, session.opened.hash, settings, findings), facts, run.history,
        [pictures.rgb(np.asarray(frame)[0]) for frame in run.frames], failed,
        f"The value of {name}" + ("" if still else " under random transforms"),
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))


def _objective(session: Session, layer: str, channel: int | None, klass: str, x: Tensor) -> tuple[str, Any]:
    """A name, and the function from a model to the objective. Raises ValueError unless exactly one is given."""
    if bool(klass) == bool(layer):
        raise ValueError("choose an objective: --class NAME, or --layer NAME with or without --channel N")
    if klass:
        number = session.class_of(klass, x)
        label = session.opened.label(number)
        return label if session.opened.classes else f"class {label}", lambda model: ascent.logit(model, number)
    found = session.opened.layer(layer)
    with _core.no_grad():
        count = ascent.features.activation(session.opened.model, found, x).shape[1]
    if channel is None:
        return found, lambda model: ascent.layer(model, found)
    if channel >= count:
        raise ValueError(f"layer {found!r} has the channels 0 to {count - 1}, not {channel}")
    return f"{found}, channel {channel}", lambda model: ascent.channel(model, found, channel)
