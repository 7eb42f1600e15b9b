"""A training run: model, batches, optimiser and rows, the loop over them, and what a checkpoint holds.

Start reading at ``Run.go``.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

import steep
from steep import _core, distributed, io, nn, optim, tree
from steep import metrics as metrics_
from steep._core import Tensor
from steep.data import as_dataset
from steep.data.loader import stack_samples
from steep.display import displayed
from steep.optim.loop import Progress
from steep.optim.schedules import Plateau
from steep.progress import Bar
from steep.training.batches import Batches, class_weights
from steep.training.choices import METRICS_OF, Objective, make_optimizer
from steep.training.epochs import Epochs, measure
from steep.training.logs import Log
from steep.training.own_step import Logs, OwnStep, TrainStep, state_of
from steep.training.recipe import Recipe, described, differences
from steep.training.stepper import Stepper

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class TrainingProgress:
    """What ``callback`` receives after each step.

    Attributes:
        step: number of steps so far.
        steps: total number of steps.
        loss: running mean of the loss.
        accuracy: running mean of the accuracy on batches; NaN unless the loss is "cross_entropy", or if a training step
            of one's own does not return it.
        logs: what a training step of one's own returned.
        epoch: number of epochs that have ended.
        row: the values of the last of them, by name; empty before the first.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    logs: dict[str, float] = field(default_factory=dict)
    epoch: int = 0
    row: dict[str, Any] = field(default_factory=dict)


@displayed
@dataclass
class Trained(Generic[M]):
    """Result of ``fit``.

    Attributes:
        model: the trained model.
        losses: mean loss of each epoch.
        train_accuracy: accuracy on the training data; NaN without test data, or if accuracy is not among the metrics.
        test_accuracy: accuracy on the test data, likewise.
        status: as in ``optim.Result``; "stopped" also if ``patience`` epochs passed without improvement.
        epochs: a row per epoch: "epoch", "step", "loss", "lr", "val_loss" and so on.
        best: the row of the best epoch; None if no epoch ended.
        test: loss and metrics on the test data; empty without.
        message: why the run stopped early, "" if it did not.
    """

    model: M
    losses: list[float] = field(default_factory=list)
    train_accuracy: float = math.nan
    test_accuracy: float = math.nan
    status: str = "finished"
    epochs: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    test: dict[str, Any] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Options:
    """The arguments of ``fit`` that are objects rather than numbers; see there."""

    train: Any
    test: Any
    validation: Any
    loss: Any
    objective: Callable[[Any, Any, Any], Any] | None
    optimizer: Any
    metrics: Iterable[Any] | None
    class_weight: Any
    augment: Any
    train_step: TrainStep | None

    def chosen(self, recipe: Recipe) -> dict[str, metrics_.Metric]:
        """The metrics by name: those asked for, or those that suit the loss."""
        own = self.loss is not None or self.objective is not None or self.train_step is not None
        usual = METRICS_OF.get(recipe.loss, ()) if not own else ()
        return metrics_.named(usual if self.metrics is None else self.metrics)


def facts_of(model: Any, dataset: Any, recipe: Recipe) -> dict[str, Any]:
    """What all ranks of a run have to agree on, as plain values.

    Args:
        model: the model.
        dataset: the training data.
        recipe: the recipe.

    Returns:
        A dict.
    """
    ends = [stack_samples(dataset, np.array([i])) for i in (0, len(dataset) - 1)] if len(dataset) else []
    weights = hashlib.sha256(b"".join(np.asarray(t).tobytes() for t in model.state_dict().values()))
    data = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in tree.leaves(ends)))
    return {
        "steep": steep.__version__,
        "matmul precision": _core.get_matmul_precision(),
        "matrix units": "" if _core._amx_missing() or _core.get_matmul_precision() != "auto" else "amx",
        **{f"recipe.{name}": value for name, value in described(recipe).items()},
        "number of samples": len(dataset),
        "first and last sample": data.hexdigest()[:16],
        "initial weights": weights.hexdigest()[:16],
    }


class Run:
    """The state of a run.

    Args:
        model: the model, in training mode.
        recipe: the recipe.
        given: data, loss and so on.
        capture: whether to compile the steps.
        checkpoint: path of the checkpoint, or None.
        every: steps between checkpoints.
        workers: threads that load batches.
    """

    def __init__(
        self,
        model: Any,
        recipe: Recipe,
        given: Options,
        capture: bool,
        checkpoint: Any,
        every: int | None,
        workers: int,
    ) -> None:
        self.model, self.recipe, self.given, self.capture = model, recipe, given, capture
        self.world = distributed.world()
        weights = class_weights(given.class_weight, as_dataset(given.train))
        part = self.world.part(recipe.shards)
        wide = all(parameter.dtype == _core.float64 for parameter in model.parameters())
        dtype = _core.float64 if wide else _core.float32
        self.batches = Batches(given.train, recipe, given.augment, weights, part, workers, dtype)
        self.steps = recipe.epochs * len(self.batches.loader)
        self.objective = Objective(given.loss if given.loss is not None else recipe.loss, given.objective)
        self.metrics = given.chosen(recipe)
        self.optimizer = make_optimizer(given.optimizer, model.parameters(), recipe, self.steps)
        self.history: list[float] = []
        self.hits = _core.zeros((), dtype=_core.float32)
        self._counts_hits = given.objective is None and given.loss is None and recipe.loss == "cross_entropy"
        self._recent: tuple[float, float] | None = None
        self.stepper = self._stepper()  # what the loop steps
        larger = [name for name, metric in self.metrics.items() if metric.larger_is_better]
        validated = given.validation is not None
        self.epochs = Epochs(model, recipe, validated, larger, recipe.patience is not None)
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.world.agree(facts_of(model, as_dataset(given.train), recipe))
        if self.world.size > 1 and given.train_step is not None:
            raise ValueError("fit: several ranks share the shards of a recipe; a train_step of one's own has none")
        self.every = len(self.batches.loader) if every is None else every
        if checkpoint is not None:
            state_of(given.train_step)  # raises before the run rather than at its first checkpoint
        if self.every < 1:
            raise ValueError(f"fit: a checkpoint is written every so many steps, 1 at least, got {every}")

    def _stepper(self) -> optim.Optimizer:
        recipe, step = self.recipe, self.given.train_step
        sharded = recipe.shards > 1 or recipe.clip is not None or recipe.ema is not None
        if step is None and sharded:
            return Stepper(self.optimizer, self.model, self.batches, recipe, self.hits, self.world)
        if step is None:
            return self.optimizer
        if sharded:
            raise ValueError("fit: with a train_step of one's own, shards, clip and ema are left to it")
        return OwnStep(self.model.parameters(), self._own(step), self.capture)

    def _own(self, step: TrainStep) -> Callable[[], Logs]:
        model, optimizer, batches = self.model, self.optimizer, self.batches
        return lambda: step(model, optimizer, batches.x, batches.y)

    # -- the loop -------------------------------------------------------------------------------------------------

    def go(
        self, callbacks: list[Callable[[TrainingProgress], object]], log: Any, progress: bool | None, resume: bool
    ) -> Any:
        """Makes the steps that are left, and measures.

        Args:
            callbacks: called after each step.
            log: paths of the log.
            progress: whether to show a bar.
            resume: whether to continue from the checkpoint.

        Returns:
            A ``Trained``.
        """
        if resume:
            self.load()
        self.log = Log(log if self.world.rank == 0 else None)
        left = 0 if self.epochs.over else self.steps - len(self.history)
        self.refill()
        with Bar("training", self.steps, progress if self.world.rank == 0 else False, len(self.history)) as bar:

            def after(step: Progress) -> object:
                self.end_of_step(step.value)
                seen = self.progress()
                bar.update(seen.step, f"loss {seen.loss:.4g}")
                stops = [callback(seen) for callback in callbacks]
                return any(stops) or self.epochs.over

            try:
                params, stepper = self.model.parameters(), self.stepper
                result = optim.minimize(self.loss, params, stepper, left, callback=after, capture=self.capture)
            finally:
                self.batches.close()
        return self.finish(result)

    def refill(self) -> None:
        """Loads the batch of the next step."""
        self.batches.step = len(self.history)
        self.batches.refill()

    def loss(self, params: Any) -> Tensor:
        """The mean loss of the batch, or of the shard that is shown; its accuracy is written to ``hits``."""
        batches = self.batches
        value, outputs = self.objective.whole(self.model, batches.x, batches.y, batches.weights)
        if self._counts_hits:
            labels = batches.y if batches.y.ndim < outputs.ndim else _core.argmax(batches.y, axis=-1)
            right = _core.argmax(outputs.detach(), axis=-1) == labels
            self.hits[...] = _core.mean(right.astype(_core.float32))
        return value

    def end_of_step(self, value: float) -> None:
        """After a step: the end of an epoch, a checkpoint, the next batch."""
        self.history.append(value)
        step = len(self.history)
        if step % len(self.batches.loader) == 0:
            self.end_of_epoch()
        if self.checkpoint is not None and (step % self.every == 0 or step == self.steps or self.epochs.over):
            self.save(self.checkpoint)
        self.refill()

    def end_of_epoch(self) -> None:
        """Validates, and writes the log and the best weights."""
        losses, rate = self.losses(), self.optimizer.rate()
        row: dict[str, Any] = {"epoch": len(losses), "step": len(self.history), "loss": losses[-1], "lr": rate}
        with self.averaged():
            if self.given.validation is not None:
                found = measure(self.model, self.given.validation, self.objective, self.metrics)
                row.update({f"val_{name}": value for name, value in found.items()})
            better = self.epochs.end(row)
            if better and self.checkpoint is not None and self.given.validation is not None and not self.world.rank:
                best = self.checkpoint.with_name(f"{self.checkpoint.stem}.best{self.checkpoint.suffix}")
                io.save(best, self.model.state_dict())
        if isinstance(self.optimizer.lr, Plateau):
            value, rate_ = row[self.epochs.monitor], self.optimizer.lr
            rate_.observe(value if rate_.larger_is_better else self.epochs.sign * value)
        self.log.write(self.epochs.rows, running=True)

    def averaged(self) -> Any:
        """Inside, the weights are their averages, if the recipe has any."""
        return self.stepper.averaged() if isinstance(self.stepper, Stepper) else nullcontext()

    def progress(self) -> TrainingProgress:
        """The current progress, with running means."""
        logs = self.stepper.logs if isinstance(self.stepper, OwnStep) else {}
        hits = float(self.hits) if self._counts_hits and not logs else math.nan
        now = self.history[-1], logs.get("accuracy", hits)
        before = self._recent or now
        self._recent = 0.95 * before[0] + 0.05 * now[0], 0.95 * before[1] + 0.05 * now[1]
        rows = self.epochs.rows
        shown = logs or ({"accuracy": hits} if self._counts_hits else {})
        return TrainingProgress(
            len(self.history), self.steps, *self._recent, shown, len(rows), rows[-1] if rows else {}
        )

    def losses(self) -> list[float]:
        """The mean loss of each epoch."""
        size = len(self.batches.loader)
        parts = [self.history[i : i + size] for i in range(0, len(self.history), size)]
        return [sum(part) / len(part) for part in parts]

    def finish(self, result: optim.Result) -> Any:
        """Leaves the best or the averaged weights in the model, and measures it."""
        self.log.write(self.epochs.rows, running=False)
        if self.epochs.weights is not None:
            self.model.load_state_dict(self.epochs.weights)
        elif isinstance(self.stepper, Stepper) and self.stepper.averages is not None:
            optim.averaging.write(self.stepper.params, self.stepper.averages)
        self.model.eval()
        message, status = result.message, result.status
        if self.epochs.over:
            status, message = "stopped", f"{self.epochs.monitor} has not improved for {self.epochs.waited} epochs"
        done = Trained(self.model, self.losses(), status=status, message=message)
        done.epochs, done.best = self.epochs.rows, self.epochs.best
        if self.given.test is not None:
            self.measure(done)
        return done

    def measure(self, done: Trained[Any]) -> None:
        """Measures the model on the test data, and its accuracy on the training data."""
        if self.metrics and self.given.train_step is None:
            done.test = measure(self.model, self.given.test, self.objective, self.metrics)
        accuracy = {"accuracy": metrics_.Accuracy()}
        if "accuracy" in self.metrics or self.given.train_step is not None:
            parts = [part for part in (self.given.train, self.given.test) if len(as_dataset(part))]
            found = [metrics_.evaluate(self.model, part, accuracy.values())["accuracy"] for part in parts]
            done.train_accuracy, done.test_accuracy = [*found, math.nan][:2]

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Writes the run to ``path``, atomically; of several ranks, the first one does."""
        if self.world.rank:
            return
        extra = {
            "recipe": described(self.recipe),
            "history": self.history,
            "train_step": state_of(self.given.train_step),
            "epochs": self.epochs.state_dict(),
            "rate": self.optimizer.lr.state_dict() if isinstance(self.optimizer.lr, Plateau) else None,
        }
        io.save_checkpoint(path, step=len(self.history), extra=extra, **self._state())

    def load(self) -> None:
        """Continues from the checkpoint."""
        path = self.checkpoint
        if path is None:
            raise ValueError("fit: to resume, say from which checkpoint")
        extra = io.load_checkpoint(path, **self._state()).extra
        changed = differences(extra.get("recipe"), self.recipe)
        if changed:
            what = ", ".join(f"{name}={old!r} (not {new!r})" for name, (old, new) in changed.items())
            raise ValueError(f"fit: {os.fspath(path)} was trained by a recipe of {what}")
        self.history = extra["history"]
        if "epochs" in extra:
            self.epochs.load_state_dict(extra["epochs"])
        if isinstance(self.optimizer.lr, Plateau):
            self.optimizer.lr.load_state_dict(extra["rate"])
        self._load_step(extra.get("train_step"), path)

    def _load_step(self, state: Any, path: Path) -> None:
        step = self.given.train_step
        if (state is not None) != (state_of(step) is not None):
            raise ValueError(f"fit: {os.fspath(path)} {'has' if state else 'lacks'} the state of a train_step")
        if state is not None:
            step.load_state_dict(state)  # type: ignore[union-attr]

    def _state(self) -> dict[str, Any]:
        batches = self.batches
        stepper = self.stepper if isinstance(self.stepper, Stepper) else self.optimizer
        return {"model": self.model, "optimizer": stepper, "generator": batches.source, "loader": batches.loader}
