"""``fit``: trains a classifier by the one loop, with progress callbacks, checkpoints and exact resumption.

Batches come from ``batches.py``; the step is ``optim.minimize``'s, or one's own (``own_step.py``).
"""

from __future__ import annotations

import math
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
from steep.training.own_step import Logs, OwnStep, TrainStep, state_of
from steep.training.recipe import Recipe

M = TypeVar("M", bound=nn.Module)
Path = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainingProgress:
    """What ``callback`` receives after each step.

    Attributes:
        step: number of steps so far.
        steps: total number of steps.
        loss: running mean of the loss.
        accuracy: running mean of the accuracy on batches; NaN if a training step of one's own does not return it.
        logs: what a training step of one's own returned.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    logs: dict[str, float] = field(default_factory=dict)


@dataclass
class Trained(Generic[M]):
    """Result of ``fit``.

    Attributes:
        model: the trained model.
        losses: mean loss of each epoch.
        train_accuracy: accuracy on the training part; NaN without a test part.
        test_accuracy: accuracy on the test part, likewise.
        status: as in ``optim.Result``.
    """

    model: M
    losses: list[float] = field(default_factory=list)
    train_accuracy: float = 0.0
    test_accuracy: float = 0.0
    status: str = "finished"


def fit(
    model: M,
    train: Part,
    test: Part | None,
    recipe: Recipe,
    callback: Callable[[TrainingProgress], object] = lambda progress: None,
    checkpoint: Path | None = None,
    every: int | None = None,
    resume: bool = False,
    augment: Augment | None = None,
    capture: bool = True,
    train_step: TrainStep | None = None,
) -> Trained[M]:
    """Trains a classifier in place and measures its accuracy; or any model, by a training step of one's own.

    The same model, data and recipe give the same weights, bit for bit, on any number of threads. The model is left in
    evaluation mode.

    Args:
        model: maps inputs (n, ...), as in ``train.x``, to scores (n, classes).
        train: the training part of a data set.
        test: the test part; None to measure no accuracy, for models that are no classifiers.
        recipe: everything else that determines the run.
        callback: called with a ``TrainingProgress`` after each step; returning True stops the run.
        checkpoint: path at which the run is saved.
        every: steps between checkpoints; one epoch if None.
        resume: whether to continue from ``checkpoint``, with the bits of a run that was never interrupted.
        augment: a function ``(x, y, generator) -> x`` applied to each batch last, such as ``attack.adversary``.
        capture: whether to compile the steps; pass False for models with side effects in Python.
        train_step: a function ``(model, optimizer, x, y)`` that makes one step from a batch: it computes the loss,
            updates the weights, by ``optimizer.apply_gradients`` or by optimisers of its own, and returns the loss, or
            a dict of scalars with the loss first. One that holds optimisers or generators is an object with
            ``state_dict()`` and ``load_state_dict(state)``, which checkpoints use. If a scalar is not finite, the run
            ends as "diverged", after that step.

    Returns:
        A ``Trained``.

    Raises:
        ValueError: for invalid options of the recipe, fewer than 1 step between checkpoints, or a checkpoint of another
            recipe or model; for a ``train_step`` whose state a checkpoint would lack.

    References:
        Chollet, "Customizing what happens in fit()", keras.io/guides; ``examples/own_step.py`` has its two examples.

    Example:
        >>> from steep.training import Recipe, fit
        >>> part = sp.data.Part(np.eye(8, dtype=np.float32).reshape(8, 1, 2, 4), np.arange(8) % 2)
        >>> model = sp.nn.Sequential(sp.nn.Flatten(), sp.nn.Linear(8, 2, generator=0))
        >>> fit(model, part, part, Recipe(epochs=2, batch_size=4, shift=0)).status
        'finished'
    """
    run = _Run(model.train(), train, recipe, augment, train_step, capture)
    if checkpoint is not None:
        state_of(train_step)  # raises before the run rather than at its first checkpoint
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
    result = optim.minimize(run.loss, model.parameters(), run.stepper, left, callback=after, capture=capture)
    model.eval()
    learnt, reached = (math.nan if test is None else accuracy(model, *part) for part in (train, test or train))
    return Trained(model, run.epochs(), learnt, reached, result.status)


class _Run:
    """The state of a run: model, batches, optimiser, and the loss of every step so far."""

    def __init__(
        self,
        model: nn.Module,
        train: Part,
        recipe: Recipe,
        augment: Augment | None,
        train_step: TrainStep | None,
        capture: bool,
    ) -> None:
        self.model, self.recipe, self.batches = model, recipe, Batches(train, recipe, augment)
        self.steps = recipe.epochs * len(self.batches.loader)
        rate = optim.schedules.cosine(recipe.lr, max(1, self.steps))
        self.optimizer = optim.SGD(model.parameters(), rate, recipe.momentum, weight_decay=recipe.weight_decay)
        self.history: list[float] = []
        self.hits = _core.zeros((), dtype=_core.float32)
        self._recent: tuple[float, float] | None = None
        self.train_step = train_step
        self.stepper: optim.Optimizer = self.optimizer  # what the loop steps
        if train_step is not None:
            self.stepper = OwnStep(model.parameters(), self._own(train_step), capture)

    def _own(self, train_step: TrainStep) -> Callable[[], Logs]:
        model, optimizer, batches = self.model, self.optimizer, self.batches
        return lambda: train_step(model, optimizer, batches.x, batches.y)

    def loss(self, params: Any) -> Tensor:
        """The mean cross-entropy of the current batch; its accuracy is written to ``hits``."""
        scores = one_tensor(self.model(self.batches.x))
        right = _core.argmax(scores.detach(), axis=-1) == self.batches.y
        self.hits[...] = _core.mean(right.astype(_core.float32))
        return nn.cross_entropy(scores, self.batches.y)

    def progress(self) -> TrainingProgress:
        """The current progress, with running means."""
        logs = self.stepper.logs if isinstance(self.stepper, OwnStep) else {"accuracy": float(self.hits)}
        now = self.history[-1], logs.get("accuracy", math.nan)
        before = self._recent or now
        self._recent = 0.95 * before[0] + 0.05 * now[0], 0.95 * before[1] + 0.05 * now[1]
        return TrainingProgress(len(self.history), self.steps, *self._recent, logs)

    def epochs(self) -> list[float]:
        """The mean loss of each epoch."""
        size = len(self.batches.loader)
        parts = [self.history[i : i + size] for i in range(0, len(self.history), size)]
        return [sum(part) / len(part) for part in parts]

    def save(self, path: Path) -> None:
        """Write the run to ``path``, atomically."""
        extra = {"recipe": asdict(self.recipe), "history": self.history, "train_step": state_of(self.train_step)}
        io.save_checkpoint(path, step=len(self.history), extra=extra, **self._state())

    def load(self, path: Path | None) -> None:
        """Continues from ``path``."""
        if path is None:
            raise ValueError("fit: to resume, say from which checkpoint")
        extra = io.load_checkpoint(path, **self._state()).extra
        if extra.get("recipe") != asdict(self.recipe):
            raise ValueError(f"fit: {os.fspath(path)} was trained by {extra.get('recipe')}, not by {self.recipe}")
        self.history = extra["history"]
        state = extra.get("train_step")
        if (state is not None) != (state_of(self.train_step) is not None):
            raise ValueError(f"fit: {os.fspath(path)} {'has' if state else 'lacks'} the state of a train_step")
        if state is not None:
            self.train_step.load_state_dict(state)  # type: ignore[union-attr]

    def _state(self) -> dict[str, Any]:
        batches = self.batches
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "generator": batches.source,
            "loader": batches.loader,
        }
