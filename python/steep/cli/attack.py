"""``steep attack``: a small change of a picture after which a network reads it as something else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from steep import _core, ascent, attack, pictures
from steep.attack import Attack
from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding, box_finding, gradient_finding
from steep.cli.classify import Image
from steep.cli.session import Session, on_model
from steep.cli.visualize import File
from steep.near import near

Method = Callable[..., Attack]

BOUNDED: dict[str, Method] = {"fgsm": attack.fgsm, "pgd": attack.pgd}
SMALLEST: dict[str, Method] = {
    "deepfool": attack.deepfool,
    "carlini_wagner": attack.carlini_wagner,
    "ddn": attack.ddn,
    "lbfgs": attack.lbfgs,
}
METHODS = (*BOUNDED, *SMALLEST)
HINTS = dict.fromkeys(BOUNDED, ": try a larger --eps, or --method ddn, which finds how much it takes")


@on_model
def attack_(
    session: Session,
    image: Image,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "pgd",
    eps: Annotated[float, typer.Option(min=0, help="Largest change, pixels being 0 to 1; for fgsm and pgd.")] = 0.02,
    norm: Annotated[str, typer.Option(help="How pgd measures the change: linf, l2 or l1.")] = "linf",
    steps: Annotated[int, typer.Option(min=1, help="Steps of pgd.")] = 40,
    target: Annotated[str, typer.Option(help="The class to reach, by number or name; any other one without.")] = "",
    klass: Annotated[str, typer.Option("--class", help="The true class; the predicted one without.")] = "",
    output: File = Path("attack.png"),
) -> None:
    """Change a picture a little so that the network reads it as another class, or as the class asked for.

    fgsm and pgd stay within ``--eps``; the others look for the smallest change. Success comes from predicting again.
    """
    out.check(output)
    opened, way = session.opened, session.opened.preprocessing
    pixels = _core.clip(way.denormalize(opened.read(image)), 0.0, 1.0)
    before = session.verdict(way.normalize(pixels))
    label = session.class_of(klass or str(before[0]), way.normalize(pixels))
    aim = session.class_of(target, way.normalize(pixels)) if target else label
    run, used, settings = _method(session, method, eps, norm, steps)
    with screen.err.status(f"attack by {method}"):
        found = run(lambda v: opened.model(way.normalize(v)), pixels, [aim], targeted=bool(target))
    x = way.normalize(found.x)
    after, change = session.verdict(x), np.asarray(found.x)[0] - np.asarray(pixels)[0]
    distance = float(found.distance[0])
    limit = eps * (1 + 1e-5) if method in BOUNDED else None
    findings = [
        gradient_finding(opened.model, lambda m: ascent.logit(m, aim), x, session.seed),
        Finding(f"{used} norm of the change", distance, limit),
        box_finding(found.x, 0.0, 1.0),
        Finding("predicted again", f"{after[1]}, p = {after[2]:.4f}; before {before[1]}, p = {before[2]:.4f}"),
    ]
    success = bool(found.success[0])
    told = {"image": str(image), "method": method, "success": success, "distance": distance, "norm": used,
            "class": label, "target": aim if target else None, "predicted_before": before[0],
            "predicted_after": after[0], "labels": [before[1], after[1]],
            "probabilities": [before[2], after[2]]}  # fmt: skip
    size = float(np.abs(change).max()) or 1.0
    result = out.Result(
        f"{image.name} read as {after[1]}",
        f"{method}: {before[1]} (p = {before[2]:.3f}) became {after[1]} (p = {after[2]:.3f}) by a change of "
        f"{distance:.4g} in {used}",
        [("after", pictures.rgb(np.asarray(found.x)[0])), ("before", pictures.rgb(np.asarray(pixels)[0])),
         (f"the change, {0.5 / size:.3g} times", pictures.rgb(0.5 + 0.5 * change / size))],
        Certificate(opened.name, opened.hash, {"method": method, "norm": used, **settings, "class": label,
                                               "target": told["target"], "seed": session.seed}, findings),
        told, found.history, (), "" if success else f"the prediction held{HINTS.get(method, '')}",
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))


def _method(session: Session, method: str, eps: float, norm: str, steps: int) -> tuple[Method, str, dict[str, Any]]:
    """The attack as a function of model, pixels and labels, the norm it measures by, and its settings."""
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}{near(method, METHODS) or '.'} There are {', '.join(METHODS)}")
    if method == "fgsm":
        return partial(attack.fgsm, eps=eps), "linf", {"eps": eps}
    if method == "pgd":
        run = partial(attack.pgd, eps=eps, norm=norm, steps=steps, generator=session.generator())
        return run, norm, {"eps": eps, "steps": steps}
    return SMALLEST[method], "l2", {}
