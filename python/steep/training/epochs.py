"""What happens at the end of an epoch: the validation set, the best weights so far, and when to stop.

``Epochs`` holds one row per epoch, which the log, the callbacks and the result show, and what a checkpoint needs of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, metrics, nn, tree
from steep.data import DataLoader, as_dataset
from steep.evaluation import evaluating
from steep.metrics.base import update_all
from steep.training.choices import Objective
from steep.training.recipe import Recipe


def measure(
    model: nn.Module, data: Any, objective: Objective, chosen: dict[str, metrics.Metric], batch_size: int = 100
) -> dict[str, Any]:
    """The mean loss and the metrics of a model on data, in evaluation mode.

    Args:
        model: the model.
        data: a tuple of arrays or a data set.
        objective: the loss.
        chosen: metrics by name.
        batch_size: samples computed at a time; losses by sample and metrics do not depend on it.

    Returns:
        A dict with "loss" and the metrics; the loss is NaN for no samples.
    """
    dataset = as_dataset(data)
    for metric in chosen.values():
        metric.reset()
    total, weight = metrics.ExactSum(), metrics.ExactSum()
    with _core.no_grad(), evaluating():
        for x, y, *rest in DataLoader(dataset, batch_size) if len(dataset) else ():
            losses, outputs = objective.measured(model, x, y, bool(chosen))
            values = np.atleast_1d(np.asarray(losses, np.float64))
            counts = _counts(values if losses.ndim else None, x, rest)
            total.add(values * counts)
            weight.add(counts)
            update_all(chosen.values(), outputs, y, rest)
    seen = weight.value()
    return {
        "loss": total.value() / seen if seen else math.nan,
        **{name: plain(metric.value()) for name, metric in chosen.items()},
    }


def _counts(losses: Any, x: Any, rest: list[Any]) -> NDArray[np.float64]:
    """How much each loss counts: its sample's weight; a mean for all its samples."""
    if losses is None:
        return np.array([float(len(tree.leaves(x)[0]))])
    return np.asarray(rest[0], np.float64) if rest else np.ones(len(losses))


def plain(value: Any) -> Any:
    """A value of a metric as JSON has it: a number, or lists of numbers.

    Args:
        value: the value.

    Returns:
        A number or list.
    """
    return value.tolist() if isinstance(value, np.ndarray) else value


class Epochs:
    """The rows of a run, its best epoch and the weights of it.

    Args:
        model: the model.
        recipe: ``patience`` and ``monitor``.
        validated: whether there is a validation set.
        larger: the values of an epoch for which larger is better.
        keep: whether to keep the weights of the best epoch.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, validated: bool, larger: Iterable[str], keep: bool) -> None:
        self.model, self.recipe, self.keep = model, recipe, keep
        self.monitor = recipe.monitor or ("val_loss" if validated else "loss")
        self.sign = -1.0 if self.monitor.removeprefix("val_") in set(larger) else 1.0
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.weights: dict[str, Any] | None = None
        self.waited = 0

    def end(self, row: dict[str, Any]) -> bool:
        """Takes the row of an epoch.

        Args:
            row: values by name.

        Returns:
            Whether it is the best so far.

        Raises:
            ValueError: if it lacks what is monitored.
        """
        self.rows.append(row)
        if self.monitor not in row:
            raise ValueError(f"fit: monitor {self.monitor!r} is not a value of an epoch: {', '.join(row)}")
        better = self.best is None or self.sign * row[self.monitor] < self.sign * self.best[self.monitor]
        self.waited = 0 if better else self.waited + 1
        if better:
            self.best = row
            self.weights = self.model.state_dict() if self.keep else None
        return better

    @property
    def over(self) -> bool:
        """Whether ``patience`` epochs have passed without improvement."""
        return self.recipe.patience is not None and self.waited >= self.recipe.patience

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs.

        Returns:
            A tree of tensors and plain values.
        """
        best = None if self.best is None else self.rows.index(self.best)
        return {"rows": self.rows, "best": best, "weights": self.weights, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        self.rows, self.waited, self.weights = state["rows"], state["waited"], state["weights"]
        self.best = None if state["best"] is None else self.rows[state["best"]]
