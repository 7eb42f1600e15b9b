"""``steep invert``: an image reconstructed from a layer's activations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steep import ascent
from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding, box_finding, gradient_finding
from steep.cli.images import Image
from steep.cli.session import Session, on_model
from steep.cli.visualize import File, Layer, Steps
from steep.nn.module import Module


@on_model
def invert(
    session: Session,
    image: Image,
    layer: Layer = "",
    steps: Steps = 300,
    prior: Annotated[float, typer.Option(min=0, help="Weight of the natural-image prior.")] = 0.02,
    contrast: Annotated[float, typer.Option(min=0.001, help="Contrast of the prior: smaller is smoother.")] = 0.05,
    output: File = Path("invert.png"),
) -> None:
    """Find an image, from noise, whose activations in a layer equal those of IMAGE.

    Only the activations are used. The prior is that of Mahendran and Vedaldi 2015 (arXiv:1412.0035).
    """
    out.check(output)
    x, bounds = session.opened.read(image), session.bounds()
    chosen = session.layer(layer, x)
    penalty = prior * ascent.mahendran_vedaldi(x.shape, bounds, contrast) if prior else None
    with screen.StepBar(f"invert {chosen}", steps) as bar:
        run = ascent.invert(session.opened.model, chosen, x, steps=steps, penalty=penalty, bounds=bounds,
                            generator=session.generator(), callback=bar, keep=out.film_wanted(output))  # fmt: skip

    def score(model: Module) -> ascent.Term:
        return ascent.Term(lambda v: ascent.inversion(model, chosen, x.astype(v.dtype))(v))

    findings = [
        gradient_finding(session.opened.model, score, run.image, session.seed),
        box_finding(run.image, *bounds),
        Finding("relative error of the activations", f"{run.feature_error:.4f}"),
        Finding("relative error of the pixels", f"{run.input_error:.4f}"),
    ]
    facts = {"image": str(image), "layer": chosen, "feature_error": run.feature_error, "input_error": run.input_error,
             "status": run.status}  # fmt: skip
    if session.classifies(x):
        before, after = session.verdict(x), session.verdict(run.image)
        findings.append(Finding("predicted, before and after", f"{before[1]}, {after[1]}"))
        facts |= {"predicted_before": before[0], "predicted_after": after[0]}
    settings = {"layer": chosen, "steps": steps, "prior": prior, "contrast": contrast, "seed": session.seed}
    result = out.Result(
        f"Inversion of {chosen}", f"{image.name} from {chosen} of {session.opened.name}: activations off by "
        f"{run.feature_error:.1%}, pixels by {run.input_error:.1%}",
        [out.Shown(f"original: {image.name}", session.picture(x)),
         out.Shown(f"reconstruction from {chosen}", session.picture(run.image))],
        Certificate(session.opened.name, session.opened.hash, settings, findings), facts, run.history,
        [session.picture(frame) for frame in run.frames],
        "" if run.status == "finished" else f"the descent {run.status}",
        f"The objective, the squared relative difference of {chosen} and the prior,",
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))
