"""What excites a unit: gradient ascent from noise, whose images stream to the page as it climbs."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from steep import _core, ascent, optim
from steep.ascent.term import Term
from steep.ascent.transforms import Transform
from steep.evaluation import evaluating
from steep.explore.asked import Asked
from steep.explore.desk import Desk
from steep.explore.jobs import Job
from steep.optim.loop import Progress
from steep.pictures import rgb
from steep.random import Generator

EVERY = 0.08  # seconds between images that are sent
FACTORS = [0.9, 0.95, 1.0, 1.05, 1.1]
ANGLES = [-10, -5, 0, 0, 5, 10]


def climb(desk: Desk, job: Job, asked: Asked) -> None:
    """Send images on the way, then the last one with its classes and the code."""
    objective, name, written = _objective(desk, asked)
    steps = asked.integer("steps", 1, 2048, 128)
    lr, seed = asked.number("lr", 1e-4, 1.0, 0.05), asked.integer("seed", 0, 1 << 31, 0)
    way, draw = desk.subject.preprocessing, Generator(seed)
    spectrum = ascent.fft(way.shape, draw)
    start = (ascent.color_decorrelated(spectrum) if way.shape[1] == 3 else spectrum).then(_core.sigmoid)
    look, look_code = _transform(desk, asked, draw)
    penalty, penalty_code = _penalty(asked)
    sent = [0.0]

    def on_step(progress: Progress) -> bool:
        job.check()
        now = time.monotonic()
        if now - sent[0] >= EVERY:
            sent[0] = now
            with _core.no_grad():
                picture = rgb(start.render(progress.params).numpy()[0])
            job.put({"kind": "image", "step": progress.step + 1, "steps": steps, "value": progress.value,
                     "h": picture.shape[0], "w": picture.shape[1]}, [picture], droppable=True)  # fmt: skip
        return False

    found = ascent.maximize(
        objective, start, steps, partial(optim.Adam, lr=lr), penalty, ascent.compose(*look, way.normalize),
        callback=on_step, warm_start=16,
    )  # fmt: skip
    picture = rgb(found.image.numpy()[0])
    with _core.no_grad(), evaluating():
        x = way.normalize(found.image)
        scores = np.asarray(desk.subject.model(x)) if desk.layers or not desk.fault else np.zeros(0)
    plain = scores.ndim == 2 and scores.shape[1] > 1 and bool(np.isfinite(scores).all())
    start_code = "sp.ascent.fft(way.shape, draw)"
    start_code = f"sp.ascent.color_decorrelated({start_code})" if way.shape[1] == 3 else start_code
    code = desk.code(
        f"draw = sp.random.Generator({seed})",
        f"start = {start_code}.then(sp.sigmoid)",
        "found = sp.ascent.maximize(",
        f"    {written}, start, {steps}, partial(sp.optim.Adam, lr={lr:g}),",
        *([f"    penalty={penalty_code},"] if penalty_code else []),
        "    transform=sp.ascent.compose(",
        *(f"        {each}," for each in [*look_code, "way.normalize"]),
        "    ),",
        "    warm_start=16,",
        ")",
        "sp.pictures.image(sp.pictures.rgb(found.image.numpy()[0]))",
        imports="from functools import partial",
    )
    job.put({"kind": "climbed", "name": name, "status": found.status, "eager": found.eager, "steps": len(found.history),
             "history": found.history, "h": picture.shape[0], "w": picture.shape[1], "code": code,
             "top": desk.subject.top(scores[0]) if plain else []}, [picture])  # fmt: skip


def _objective(desk: Desk, asked: Asked) -> tuple[Term, str, str]:
    """What is maximised, its name, and its Python."""
    model = desk.subject.model
    target = asked.optional("target", 0, 1 << 31)
    if target is not None:
        return ascent.logit(model, target), desk.subject.label(target), f"sp.ascent.logit(model, {target})"
    layer = desk.layer(asked)
    channel = asked.integer("channel", 0, layer.shape[0] - 1)
    what = asked.choice("what", ["channel", "neuron"], "channel")
    function = getattr(ascent, what)
    return function(model, layer.name, channel), f"{layer.name}, unit {channel}", \
        f"sp.ascent.{what}(model, {layer.name!r}, {channel})"  # fmt: skip


def _transform(desk: Desk, asked: Asked, draw: Generator) -> tuple[list[Transform], list[str]]:
    """The random transforms, those of ``ascent.standard_transforms`` by default, and their Python."""
    by = asked.integer("jitter", 0, 64, max(1, round(desk.subject.preprocessing.size / 28)))
    made: list[tuple[Transform, str]] = []
    if by:
        made += [(ascent.pad(by, value=0.5), f"sp.ascent.pad({by}, value=0.5)"),
                 (ascent.jitter(by, draw), f"sp.ascent.jitter({by}, draw)")]  # fmt: skip
    if asked.flag("rotate", True):
        made += [(ascent.scale(FACTORS, draw), f"sp.ascent.scale({FACTORS}, draw)"),
                 (ascent.rotate(ANGLES, draw), f"sp.ascent.rotate({ANGLES}, draw)")]  # fmt: skip
    if by:  # the second one removes what padding has added
        made.append(made[1])
    return [step for step, _ in made], [code for _, code in made]


def _penalty(asked: Asked) -> tuple[Any, str]:
    """The penalty of the image and its Python; None for none."""
    weights = {"total_variation": asked.number("smooth", 0, 10, 0.0), "l2": asked.number("l2", 0, 10, 0.0)}
    terms = [(weight, name) for name, weight in weights.items() if weight]
    total: Any = None
    for weight, name in terms:
        term = weight * getattr(ascent, name)
        total = term if total is None else total + term
    return total, " + ".join(f"{weight:g} * sp.ascent.{name}" for weight, name in terms)
