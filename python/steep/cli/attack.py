"""``steep attack``: a small change of an image after which a network classifies it differently.

Evaluated, measured and written is the image in bytes, in a size such that reading its file gives the network exactly
these bytes. Start reading at ``attack_``; ``attack.rounded`` chooses the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from steep import _core, ascent, attack, pictures
from steep._core import Tensor
from steep.attack import Attack
from steep.cli import output as out
from steep.cli import screen
from steep.cli.certificate import Certificate, Finding, box_finding, gradient_finding
from steep.cli.images import Image
from steep.cli.session import Session, on_model
from steep.cli.visualize import File
from steep.data.images import Picture, middle
from steep.report.html import Scale
from steep.suggest import near

Method = Callable[..., Attack]
Bytes = NDArray[np.int64]

BOUNDED: dict[str, Method] = {"fgsm": attack.fgsm, "pgd": attack.pgd}
SMALLEST: dict[str, Method] = {
    "deepfool": attack.deepfool,
    "carlini_wagner": attack.carlini_wagner,
    "ddn": attack.ddn,
    "lbfgs": attack.lbfgs,
}
METHODS = (*BOUNDED, *SMALLEST)
NORMS = {"fgsm": ("linf",), "pgd": ("linf", "l2", "l1"), "deepfool": ("l2", "linf", "l1")}  # the others: l2 only
EPS = 0.02
HINTS = dict.fromkeys(BOUNDED, ": try a larger --eps, or --method ddn, which searches the smallest change")
MEASURES = {
    "fgsm": "The cross-entropy of the class",
    "pgd": "The cross-entropy of the class",
    "ddn": "The cross-entropy of the class",
    "carlini_wagner": "The objective, the squared change and the penalty on the margin,",
    "lbfgs": "The objective, the squared change and the penalty on the loss,",
}  # what the history of a method is


@on_model
def attack_(
    session: Session,
    image: Image,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "pgd",
    eps: Annotated[
        float | None, typer.Option(min=0, help=f"Largest change of pixels in [0, 1]; {EPS} for fgsm and pgd.")
    ] = None,
    norm: Annotated[str, typer.Option(help="Norm of the change for pgd and deepfool: linf, l2 or l1.")] = "",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of steps; the default depends on the method.")
    ] = None,
    target: Annotated[str, typer.Option(help="The target class, by index or name; any other class by default.")] = "",
    klass: Annotated[str, typer.Option("--class", help="The true class; the predicted one by default.")] = "",
    output: File = Path("attack.png"),
) -> None:
    """Change an image slightly so that the network predicts another class, or a target class.

    fgsm and pgd stay within ``--eps``; the others search the smallest change, and stay within ``--eps`` if it is given.
    Success is evaluated by predicting again, from the image as its file will be read.
    """
    out.check(output)
    opened, way = session.opened, session.opened.preprocessing
    run, used, limit, settings = _method(session, method, eps, norm, steps)
    whole = _Whole(way.enlarged(image.read()), way.size, way.channels == "grey", output)
    clean = opened.read(image)
    before = session.verdict(clean)
    label = session.class_of(klass or str(before[0]), clean)
    aim = session.class_of(target, clean) if target else label
    with screen.err.status(f"attack by {method}"):
        scores = opened.model.unnormalised()
        found = run(lambda v: scores(way.normalize(v)), whole.pixels(), [aim], targeted=bool(target))

    def fooled(picture: Picture) -> bool:
        return (session.verdict(way.preprocess(picture))[0] == aim) == bool(target)

    made, distance = attack.rounded(
        whole.clean, np.asarray(found.x)[0], lambda made: fooled(whole.with_bytes(made)), norm=used, eps=limit,
        smallest=method in SMALLEST,
    )  # fmt: skip
    picture = whole.with_bytes(made)
    x, success = way.preprocess(picture), fooled(picture)
    after, change = session.verdict(x), (made - whole.clean) / 255
    findings = [
        gradient_finding(opened.model, lambda m: ascent.logit(m, aim), x, session.seed),
        Finding(f"{used} norm of the change", distance, None if limit is None else limit * (1 + 1e-5)),
        box_finding(made / 255, 0.0, 1.0),
        Finding("predicted again", f"{after[1]}, p = {after[2]:.4f}; before {before[1]}, p = {before[2]:.4f}"),
    ]
    told = {"image": str(image), "method": method, "success": success, "distance": distance, "norm": used,
            "class": label, "target": aim if target else None, "predicted_before": before[0],
            "predicted_after": after[0], "labels": [before[1], after[1]],
            "probabilities": [before[2], after[2]]}  # fmt: skip
    size = float(np.abs(change).max()) or 1.0
    lost = ": the change is lost when pixels are rounded to bytes" if found.success[0] else HINTS.get(method, "")
    result = out.Result(
        f"{image.name} classified as {after[1]}",
        f"{method}: {before[1]} (p = {before[2]:.3f}) became {after[1]} (p = {after[2]:.3f}) by a change of "
        f"{distance:.4g} in {used}",
        [out.Shown(f"original: {before[1]}, p = {before[2]:.3f}", whole.picture),
         out.Shown("the change: the channels around grey", pictures.rgb(0.5 + 0.5 * change / size),
                   Scale("grey", (f"-{size:.3g}", "0", f"{size:.3g}"))),
         out.Shown(f"adversarial: {after[1]}, p = {after[2]:.3f}", picture)],
        Certificate(opened.name, opened.hash, {"method": method, "norm": used, **settings, "class": label,
                                               "target": told["target"], "seed": session.seed}, findings),
        told, found.history, (), "" if success else f"the prediction held{lost}", MEASURES.get(method, ""),
    )  # fmt: skip
    raise typer.Exit(out.deliver(result, output, session.json))


class _Whole:
    """An image in a size in which reading it changes nothing, and the central square that the network sees.

    ``clean``: the bytes of that square, (1 or 3, size, size).
    """

    def __init__(self, picture: Picture, size: int, grey: bool, output: Path) -> None:
        self.picture, self._where, self._output = picture, middle(picture, size), output
        seen = picture[self._where].transpose(2, 0, 1).astype(np.int64)
        self.clean: Bytes = np.rint(seen.mean(axis=0, keepdims=True)).astype(np.int64) if grey else seen

    def pixels(self) -> Tensor:
        """The network's part, (1, C, size, size) in [0, 1]."""
        return _core.asarray(self.clean[None] / 255, dtype=_core.float32)

    def with_bytes(self, made: Bytes) -> Picture:
        """The whole image with other bytes in the central square, as its file will be read."""
        picture = self.picture.copy()
        picture[self._where] = made.transpose(1, 2, 0)
        return out.as_read(picture, self._output)


def _method(
    session: Session, method: str, eps: float | None, norm: str, steps: int | None
) -> tuple[Method, str, float | None, dict[str, Any]]:
    """The attack as a function of model, pixels and labels, its norm, its bound, and its settings."""
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}{near(method, METHODS) or '.'} There are {', '.join(METHODS)}")
    norms = NORMS.get(method, ("l2",))
    if norm and norm not in norms:
        raise ValueError(f"--norm {norm}: {method} supports {' and '.join(norms)}")
    if method == "fgsm" and steps not in (None, 1):
        raise ValueError(f"--steps {steps}: fgsm is one step; pgd makes more")
    limit = EPS if eps is None and method in BOUNDED else eps
    settings: dict[str, Any] = {} if limit is None else {"eps": limit}
    options: dict[str, Any] = {"eps": limit}
    if len(norms) > 1:
        options["norm"] = norm or norms[0]
    if method != "fgsm" and steps is not None:
        options["steps"] = settings["steps"] = steps
    if method == "pgd":
        settings["steps"] = options.setdefault("steps", 40)
        options["generator"] = session.generator()
    return partial({**BOUNDED, **SMALLEST}[method], **options), norm or norms[0], limit, settings
