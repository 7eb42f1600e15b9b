"""``steep report MODEL``: one page on a model, its layers, what activates some units, and what changes its answer.

Each part is a function from the ``Subject`` to a section. Start reading at ``report``; ``PARTS`` is their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from steep import _core, ascent, attack, pictures, saliency
from steep._core import Tensor
from steep.cli import models, screen
from steep.cli import output as out
from steep.cli.compare import plain, side_by_side
from steep.cli.images import Source, source
from steep.cli.session import Session, on_model
from steep.flops import shown as short
from steep.io.atomic import atomic_write
from steep.nn.cost import Cost, cost
from steep.report import html as page
from steep.report.html import Scale
from steep.scores import as_probabilities

MAPS = ["gradient", "input_times_gradient", "guided_backprop", "integrated_gradients", "occlusion"]
LAYERS, PER_LAYER = 2, 3  # whose units are shown, and how many of each


@dataclass(frozen=True)
class Subject:
    """The model with what the parts share: an image to ask it about, which is synthesised if none was given."""

    session: Session
    image: Source | None
    steps: int

    @cached_property
    def x(self) -> Tensor:
        """The image as the model's input."""
        if self.image is not None:
            return self.session.opened.read(self.image)
        way = self.session.opened.preprocessing
        return way.normalize(self.synthesised(ascent.logit(self.session.opened.model, 0)))

    @property
    def image_name(self) -> str:
        """What the image is called."""
        return self.image.name if self.image else f"an image synthesised for {self.label(0)}"

    def label(self, number: int) -> str:
        """The name of a class, in words."""
        return self.session.opened.label(number) if self.session.opened.classes else f"class {number}"

    def synthesised(self, objective: Any) -> Tensor:
        """An image that an objective is high for, in [0, 1]."""
        way = self.session.opened.preprocessing
        run = ascent.visualize(objective, way.shape, steps=self.steps, preprocess=way.normalize,
                               generator=self.session.generator())  # fmt: skip
        return run.image

    @cached_property
    def maps(self) -> dict[str, Tensor]:
        """The layers with feature maps, in order."""
        with _core.no_grad():
            found = self.session.opened.model.activations(self.x)
        return {name: v for name, v in found.items() if isinstance(v, Tensor) and v.ndim == 4 and v.shape[1] > 1}


@partial(on_model, model=models.ModelArgument)
def report(
    session: Session,
    image: Annotated[
        Source | None,
        typer.Option(parser=source, metavar="IMAGE", help="An image to ask the model about; else one is synthesised."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of ascent for each synthesised image.")] = 64,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page (.html).")] = Path("report.html"),
) -> None:
    """Write one page about a model: layers, shapes, parameters and operations; images that activate some of its units;
    saliency maps of one image with their sanity checks; and the smallest changes that change its answer.
    """
    if output.suffix.lower() != ".html":
        raise ValueError(f"{output}: a report is written as .html")
    out.check_folder(output)
    subject, facts, sections = Subject(session, image, steps), dict[str, Any](), []
    for name, part in PARTS.items():
        with screen.err.status(f"report: {name}"):
            told, text, content = part(subject)
        facts |= told
        sections.append(page.section(name[0].upper() + name[1:], text, content))
    opened = session.opened
    lead = f"Weights {opened.hash[:12]}, input {_shape(opened.preprocessing.shape)}, {opened.preprocessing.channels}."
    tiles = [(short(facts["parameters"]), "parameters"), (short(facts["flops"]), "operations for one image"),
             (str(len(opened.layers)), "layers")]  # fmt: skip
    body = [
        page.header(escape(opened.name), escape(lead), tiles),
        *sections,
    ]
    with atomic_write(output) as file:
        file.write(page.document(f"Report on {escape(opened.name)}", "\n".join(body)).encode())
    if session.json:
        about = {"output": str(output), "model": opened.name, "sha256": opened.hash, "seed": session.seed}
        screen.print_json({**about, "image": None if image is None else str(image), **facts})
    else:
        screen.out.print(f"{short(facts['parameters'])} parameters, {short(facts['flops'])} operations", markup=False)
        screen.out.print(str(output), markup=False)


Part = tuple[dict[str, Any], str, str]  # what is told as JSON, a paragraph, and HTML


def _shape(shape: Any) -> str:
    return " × ".join(str(n) for n in shape)


def _layers(subject: Subject) -> Part:
    """The layers in order, with what each costs."""
    opened = subject.session.opened
    model, costs = opened.model, cost(opened.model, subject.x)
    with _core.no_grad():
        found = model.activations(subject.x, opened.layers)
    weights = {name: sum(w.size for w in held) for name, held in saliency.sanity.weights_by_layer(model)}
    rows = [_layer_row(name, v, weights.get(name), costs.get(name)) for name, v in found.items()]
    head = ("layer", "output", "parameters", "operations")
    return (
        {"parameters": sum(weights.values()), "flops": costs[""].flops, "layers": {r[0]: r[1] for r in rows}},
        "Operations are additions and multiplications for one image.",
        page.listed(head, [[escape(cell) for cell in row] for row in rows]),
    )


def _layer_row(name: str, value: Any, weights: int | None, costs: Cost | None) -> list[str]:
    operations = short(costs.flops) if costs else ""
    return [name, _shape(getattr(value, "shape", ())), f"{weights:,}" if weights else "", operations]


def _units(subject: Subject) -> Part:
    """Images that activate the first channels of some layers, and the classes that the image is predicted as."""
    model, figures, told = subject.session.opened.model, [], []
    names = list(subject.maps)
    chosen = [names[(i + 1) * len(names) // (LAYERS + 1)] for i in range(LAYERS)] if len(names) >= LAYERS else names
    for layer in dict.fromkeys(chosen):
        for channel in range(min(PER_LAYER, subject.maps[layer].shape[1])):
            objective = ascent.channel(model, layer, channel)
            picture = subject.synthesised(objective)
            value = float(objective(subject.session.opened.preprocessing.normalize(picture)))
            caption = f"{layer}, channel {channel}: {value:.3g}"
            told.append({"layer": layer, "channel": channel, "value": value})
            figures.append(_figure(caption, pictures.rgb(np.asarray(picture)[0])))
    text = f"Found from noise by {subject.steps} steps of gradient ascent on a channel's mean activation."
    return {"units": told}, text if figures else "The model has no layer with feature maps.", page.grid(3, figures)


def _figure(caption: str, picture: pictures.Colours, scale: Scale | None = None) -> str:
    return page.figure(escape(caption), (page.embedded(pictures.png(picture)), escape(caption)), scale=scale)


def _dependence(subject: Subject) -> Part:
    """Saliency maps of the predicted class, each with its sanity check."""
    session, x = subject.session, subject.x
    number, label, chance = session.verdict(x)
    found = side_by_side(session, x, number, MAPS)
    figures = [_figure(f"original: {subject.image_name}", session.picture(x))]
    figures += [_figure(each.shown.caption, each.shown.picture, each.shown.scale) for each in found]
    text = (
        f"Which pixels the score of {escape(label)} (p = {chance:.3f}) depends on. A map passes its sanity check if it "
        "changes where the weights are made random."
    )
    return {"predicted": number, "probability": chance, "saliency": plain(found)}, text, page.grid(3, figures)


def _weakness(subject: Subject) -> Part:
    """The smallest change of the image that is found to change the answer, the nearest classes, and units that do not
    respond."""
    session, way = subject.session, subject.session.opened.preprocessing
    number, label, _ = session.verdict(subject.x)
    scores, pixels = session.opened.model.unnormalised(), way.denormalize(subject.x)
    pixels = _core.clip(pixels.detach(), 0.0, 1.0)
    found = attack.ddn(lambda v: scores(way.normalize(v)), pixels, [number])
    after, change = session.verdict(way.normalize(found.x)), np.asarray(found.x - pixels)[0]
    size = float(np.abs(change).max()) or 1.0
    figures = [
        _figure(f"original: {label}", session.picture(subject.x)),
        _figure("the change", pictures.rgb(0.5 + 0.5 * change / size),
                Scale("grey", (f"-{size:.3g}", "0", f"{size:.3g}"))),
        _figure(f"adversarial: {after[1]}, p = {after[2]:.3f}", pictures.rgb(np.asarray(found.x)[0])),
    ]  # fmt: skip
    chances = as_probabilities(np.asarray(models.class_scores(session.opened, subject.x).detach()))
    nearest = [int(i) for i in np.argsort(-chances, kind="stable")[:4]]
    zero = {name: _zero_channels(value) for name, value in subject.maps.items()}
    rows = [("norm of the change (l2, pixels in [0, 1])", f"{found.distance[0]:.4g}"),
            ("most probable classes", escape(", ".join(f"{subject.label(i)} {chances[i]:.3f}" for i in nearest))),
            ("channels that are 0 for this image", escape(_counted(zero)))]  # fmt: skip
    told = {"distance": float(found.distance[0]), "success": bool(found.success[0]), "becomes": after[0],
            "zero_channels": zero}  # fmt: skip
    text = f"The smallest change that DDN finds in 100 steps with which {escape(label)} is predicted as another class."
    return told, text, page.grid(3, figures) + page.table(rows)


def _zero_channels(value: Tensor) -> int:
    return int((np.abs(np.asarray(value)[0]).max(axis=(1, 2)) == 0).sum())


def _counted(zero: dict[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in zero.items() if count) or "none"


PARTS: dict[str, Callable[[Subject], Part]] = {
    "layers": _layers,
    "what activates some units": _units,
    "what the answer depends on": _dependence,
    "what changes the answer": _weakness,
}
