"""``fit``: train a classifier by the one loop, watched step by step, saved now and then, and resumed to the bit.

Batches come from ``batches.py``; the step is ``optim.minimize``'s. Nothing here knows of the screen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from steep import _core, io, nn, optim
from steep._core import Tensor
from steep.data import Part
from steep.optim.loop import Progress
from steep.scores import accuracy, one_tensor
from steep.training.batches import Augment, Batches
from steep.training.recipe import Recipe

M = TypeVar("M", bound=nn.Module)
Path = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainingProgress:
    """What a watcher is told after each step: how far training is, the loss and accuracy of recent batches."""

    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass
class Trained(Generic[M]):
    """The network, the mean loss of each epoch, and its accuracy on both parts; ``status`` as in ``optim.Result``."""

    model: M
    losses: list[float] = field(default_factory=list)
    train_accuracy: float = 0.0
    test_accuracy: float = 0.0
    status: str = "finished"


def fit(
    model: M,
    train: Part,
    test: Part,
    recipe: Recipe,
    callback: Callable[[TrainingProgress], object] = lambda progress: None,
    checkpoint: Path | None = None,
    every: int | None = None,
    resume: bool = False,
    augment: Augment | None = None,
    capture: bool = True,
) -> Trained[M]:
    """Train ``model`` in place on ``train`` and measure it on both parts; ``callback`` may stop it by returning True.

    ``model`` maps (n, ...), what ``train.x`` holds, to scores (n, classes). The same model, parts and recipe give the
    same weights, bit for bit, on any number of threads. With ``checkpoint`` the run is saved there every so many steps
    (by default once an epoch); with ``resume`` it is taken up from there and ends with the bits of a run that never
    stopped. ``augment(x, y, generator)``, if given, changes each batch last, as ``attack.adversary`` does, and draws
    from the generator that is saved with the run. Steps are compiled unless ``capture=False``, for models that do more
    in Python than computing. The model is left in evaluation mode. Raises ValueError for a recipe that no optimiser or
    loader takes, for fewer than 1 step between checkpoints, and for a checkpoint of another recipe or model.
    """
    run = _Run(model.train(), train, recipe, augment)
    if resume:
        run.load(checkpoint)
    every = len(run.batches.loader) if every is None else every
    if every < 1:
        raise ValueError(f"fit: a checkpoint is written every so many steps, 1 at least, got {every}")

    def after(progress: Progress) -> object:
        run.history.append(progress.value)
        if checkpoint is not None and (len(run.history) % every == 0 or len(run.history) == run.steps):
            run.save(checkpoint)
        run.batches.refill()
        return callback(run.progress())

    run.batches.refill()
    left = run.steps - len(run.history)
    result = optim.minimize(run.loss, model.parameters(), run.optimizer, left, callback=after, capture=capture)
    model.eval()
    return Trained(model, run.epochs(), accuracy(model, *train), accuracy(model, *test), result.status)


class _Run:
    """What belongs to a run: the model, the batches, the optimiser, and the loss of every step so far."""

    def __init__(self, model: nn.Module, train: Part, recipe: Recipe, augment: Augment | None) -> None:
        self.model, self.recipe, self.batches = model, recipe, Batches(train, recipe, augment)
        self.steps = recipe.epochs * len(self.batches.loader)
        rate = optim.schedules.cosine(recipe.lr, max(1, self.steps))
        self.optimizer = optim.SGD(model.parameters(), rate, recipe.momentum, weight_decay=recipe.weight_decay)
        self.history: list[float] = []
        self.hits = _core.zeros((), dtype=_core.float32)
        self._recent: tuple[float, float] | None = None

    def loss(self, params: Any) -> Tensor:
        """The mean cross-entropy of the batch at hand; the share of it that was read rightly goes to ``hits``."""
        scores = one_tensor(self.model(self.batches.x))
        right = _core.argmax(scores.detach(), axis=-1) == self.batches.y
        self.hits[...] = _core.mean(right.astype(_core.float32))
        return nn.cross_entropy(scores, self.batches.y)

    def progress(self) -> TrainingProgress:
        """How the run stands, with running means."""
        now = self.history[-1], float(self.hits)
        before = self._recent or now
        self._recent = 0.95 * before[0] + 0.05 * now[0], 0.95 * before[1] + 0.05 * now[1]
        return TrainingProgress(len(self.history), self.steps, *self._recent)

    def epochs(self) -> list[float]:
        """The mean loss of each epoch."""
        size = len(self.batches.loader)
        parts = [self.history[i : i + size] for i in range(0, len(self.history), size)]
        return [sum(part) / len(part) for part in parts]

    def save(self, path: Path) -> None:
        """Write the run to ``path``, atomically."""
        extra = {"recipe": asdict(self.recipe), "history": self.history}
        io.save_checkpoint(path, step=len(self.history), extra=extra, **self._state())

    def load(self, path: Path | None) -> None:
        """Go on from ``path``."""
        if path is None:
            raise ValueError("fit: to resume, say from which checkpoint")
        extra = io.load_checkpoint(path, **self._state()).extra
        if extra.get("recipe") != asdict(self.recipe):
            raise ValueError(f"fit: {os.fspath(path)} was trained by {extra.get('recipe')}, not by {self.recipe}")
        self.history = extra["history"]

    def _state(self) -> dict[str, Any]:
        batches = self.batches
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "generator": batches.source,
            "loader": batches.loader,
        }
