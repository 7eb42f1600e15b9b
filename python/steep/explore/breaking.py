"""Attacks: a small change after which the network predicts another class, judged on the image rounded to bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, attack, pictures
from steep.data.images import Picture
from steep.evaluation import evaluating
from steep.explore.asked import Asked
from steep.explore.desk import Desk
from steep.explore.jobs import Job
from steep.optim.loop import Progress

NORMS = {"pgd": ("linf", "l2", "l1"), "fgsm": ("linf",), "ddn": ("l2",)}
SMALLEST = ("ddn",)


def attacks(desk: Desk, job: Job, asked: Asked) -> None:
    """Send the image before, the image after and the change, with the classes of both."""
    desk.classes()
    shown, subject = desk.shown(asked), desk.subject
    method = asked.choice("method", list(NORMS), "pgd")
    norm = asked.choice("norm", NORMS[method], NORMS[method][0])
    target = asked.optional("target", 0, desk.class_count - 1)
    eps = None if method in SMALLEST else asked.number("eps", 0, 1e4)
    steps = asked.integer("steps", 1, 500, 40)
    clean = _bytes(subject.grey, shown.square)
    before = _scores(desk, clean)
    label = int(before.argmax())
    aim = label if target is None else target
    options: dict[str, Any] = {} if eps is None else {"eps": eps}
    options |= {"norm": norm} if len(NORMS[method]) > 1 else {}
    options |= {} if method == "fgsm" else {"steps": steps}
    options |= {} if target is None else {"targeted": True}
    run: Callable[..., attack.Attack] = getattr(attack, method)
    if method == "pgd":
        run = partial(run, callback=_telling(job, steps))
    scores, way = subject.scores, subject.preprocessing
    pixels = _core.asarray(clean[None] / 255, dtype=_core.float32)
    found = run(lambda v: scores(way.normalize(v)), pixels, [aim], **options)

    def fooled(made: NDArray[np.int64]) -> bool:
        job.check()
        return (int(_scores(desk, made).argmax()) == aim) == (target is not None)

    made, distance = attack.rounded(
        clean, found.x.numpy()[0], fooled, norm=norm, eps=eps, smallest=method in SMALLEST
    )  # fmt: skip
    change = (made - clean) / 255
    largest = float(np.abs(change).max())
    images = [pictures.rgb(clean / 255), pictures.rgb(made / 255), pictures.rgb(0.5 + 0.5 * change / (largest or 1.0))]
    after = _scores(desk, made)
    job.put({"kind": "attacked", "h": images[0].shape[0], "w": images[0].shape[1], "success": fooled(made),
             "before": subject.top(before), "after": subject.top(after), "norm": norm, "distance": distance,
             "largest": largest, "method": method, "eps": eps, "target": target, "changed": int((change != 0).sum()),
             "of": change.size, "code": _code(desk, shown, method, norm, aim, options)}, images)  # fmt: skip


def _telling(job: Job, steps: int) -> Callable[[Progress], bool]:
    def told(progress: Progress) -> bool:
        job.put({"kind": "step", "step": progress.step + 1, "steps": steps}, droppable=True)
        return False

    return told


def _bytes(grey: bool, square: Picture) -> NDArray[np.int64]:
    """A square as integers (channels, size, size)."""
    seen: NDArray[np.int64] = square.transpose(2, 0, 1).astype(np.int64)
    return np.asarray(np.rint(seen.mean(axis=0, keepdims=True)), np.int64) if grey else seen


def _scores(desk: Desk, made: NDArray[np.int64]) -> NDArray[Any]:
    """The network's scores for an image in bytes."""
    pixels = _core.asarray(made[None] / 255, dtype=_core.float32)
    with _core.no_grad(), evaluating():
        scores: NDArray[Any] = np.asarray(desk.subject.model(desk.subject.preprocessing.normalize(pixels)))
    found: NDArray[Any] = scores[0]
    return found


def _code(desk: Desk, shown: Any, method: str, norm: str, aim: int, options: dict[str, Any]) -> str:
    written = "".join(f", {name}={value!r}" for name, value in options.items())
    mean = ".mean(axis=0, keepdims=True).round()" if desk.subject.grey else ""
    wanted = "==" if options.get("targeted") else "!="
    limit = f", eps={options['eps']!r}" if "eps" in options else ", smallest=True"
    return desk.code(
        *desk.square_code(shown),
        f"clean = square.transpose(2, 0, 1){mean}.astype(int)",
        "scores = model.unnormalised()",
        "def predicted(pixels):",
        "    return int(sp.argmax(scores(way.normalize(sp.asarray(pixels, dtype=sp.float32)))))",
        "pixels = sp.asarray(clean[None] / 255, dtype=sp.float32)",
        f"found = sp.attack.{method}(lambda v: scores(way.normalize(v)), pixels, [{aim}]{written})",
        "made, distance = sp.attack.rounded(clean, found.x.numpy()[0],",
        f"    lambda made: predicted(made[None] / 255) {wanted} {aim}, norm={norm!r}{limit})",
        "print(predicted(made[None] / 255), distance)",
        "sp.pictures.image(sp.pictures.rgb(made / 255))",
    )
