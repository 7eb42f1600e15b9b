"""Saliency methods side by side, each with the verdict of its sanity check (``saliency.sanity.cascade``)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from steep import pictures, saliency
from steep._core import Tensor
from steep.explore.asked import Asked
from steep.explore.desk import Desk, watched
from steep.explore.jobs import Cancelled, Job, described
from steep.random import Generator
from steep.scores import predicted

SAMPLES = 16  # of SmoothGrad
STEPS = 32  # of integrated gradients
BRIGHT = 0.995  # the share of pixels below the brightest colour, so that single ones do not darken the others


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        name: the name of its function in ``steep.saliency``.
        question: what it answers.
        options: from the image size and the layer to its options.
        whole: whether it needs the module rather than a function.
    """

    name: str
    question: str
    options: Callable[[int, str], dict[str, Any]] = lambda size, layer: {}
    whole: bool = False


METHODS = (
    Method("gradient", "which pixels, changed a little, change the score most"),
    Method("input_times_gradient", "how much each pixel contributes, to first order"),
    Method("guided_backprop", "the gradient through positive paths alone; sharp, and mostly edges"),
    Method("deconvnet", "what a deconvolutional network reconstructs"),
    Method("grad_cam", "which positions of a layer contribute", lambda size, layer: {"layer": layer}, True),
    Method("smoothgrad", "the gradient averaged over noise", lambda size, layer: {"samples": SAMPLES}),
    Method("integrated_gradients", "how much each pixel contributes, from an input of zeros on",
           lambda size, layer: {"steps": STEPS}),
    Method("occlusion", "how the score falls when a square is covered",
           lambda size, layer: {"window": max(1, size // 8)}),
)  # fmt: skip


def attributions(desk: Desk, job: Job, asked: Asked) -> None:
    """Send the map of each method, then its verdict."""
    shown, model = desk.shown(asked), desk.subject.model
    x = desk.subject.input(shown.square)
    classes = desk.classes()
    target = asked.optional("target", 0, classes - 1)
    chosen = int(predicted(model, x)[0]) if target is None else target
    names = [layer.name for layer in desk.layers]
    layer = asked.choice("layer", [*names, ""], "") or desk.default_layer()
    job.put({"kind": "target", "index": chosen, "name": desk.subject.label(chosen)})
    for method in METHODS:
        if method.whole and not layer:
            continue
        try:
            _one(desk, job, method, method.options(desk.subject.preprocessing.size, layer), x, chosen, shown)
        except Cancelled:
            raise
        except Exception as error:  # of the user's model; the other methods go on
            job.put({"kind": "missing", "method": method.name, "text": described(error)})


def _one(desk: Desk, job: Job, method: Method, options: dict[str, Any], x: Tensor, target: int, shown: Any) -> None:
    function = getattr(saliency, method.name)

    def drawn(model: Any, v: Tensor, k: Any) -> Tensor:
        job.check()
        more = {"generator": Generator(0)} if method.name == "smoothgrad" else {}
        found: Tensor = function(model if method.whole else watched(job, model), v, target=k, **options, **more)
        return found

    began = time.perf_counter()
    values = flat(drawn(desk.subject.model, x, target).numpy()[0])
    picture = pictures.hot(np.minimum(values, np.quantile(values, BRIGHT)))
    written = "".join(f", {key}={value!r}" for key, value in options.items())
    code = desk.code(
        *desk.input_code(shown),
        f"method = lambda model, x, target: sp.saliency.{method.name}(model, x, target=target{written})",
        f"map = method(model, x, {target}).numpy()[0]",
        f"print(sp.saliency.sanity.cascade(model, x, {target}, method, stages=1).verdict)",
        "values = abs(map).max(axis=0) if map.ndim == 3 else map.clip(0)",
        f"sp.pictures.image(sp.pictures.hot(np.minimum(values, np.quantile(values, {BRIGHT}))))",
        imports="import numpy as np",
    )
    job.put({"kind": "saliency", "method": method.name, "question": method.question, "h": picture.shape[0],
             "w": picture.shape[1], "ms": (time.perf_counter() - began) * 1000, "code": code,
             "layer": options.get("layer")}, [picture])  # fmt: skip
    verdict = saliency.sanity.cascade(desk.copy.model, x, target, drawn, stages=1)
    job.put({"kind": "verdict", "method": method.name, "passed": verdict.passed if verdict.checked else None,
             "final": verdict.final, "text": verdict.verdict})  # fmt: skip


def flat(map: Any) -> Any:
    """A map of one image as (height, width): the largest magnitude over channels, or its positive part.

    Args:
        map: (channels, height, width) or (height, width).

    Returns:
        Values that are not negative.
    """
    return np.abs(map).max(axis=0) if map.ndim == 3 else np.maximum(map, 0)
