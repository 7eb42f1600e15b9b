"""Metrics by name, and ``evaluate``: metrics of a model on data, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from steep import _core
from steep.data import DataLoader, as_dataset
from steep.evaluation import evaluating
from steep.metrics.base import Metric, Weighted, update_all
from steep.metrics.classes import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from steep.metrics.numbers import MAE, MSE, R2, RMSE
from steep.metrics.ranks import ROCAUC
from steep.suggest import near

METRICS: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "roc_auc": ROCAUC,
    "confusion_matrix": ConfusionMatrix,
    "mse": MSE,
    "rmse": RMSE,
    "mae": MAE,
    "r2": R2,
}
WEIGHTED = "weighted_"  # before the name of a metric that gets the weights of samples
Named: TypeAlias = "str | Metric"


def find(name: str) -> Metric:
    """A metric by name.

    Args:
        name: a name of ``METRICS``, or "top" and a number, such as "top5"; after "weighted_" one that is given the
            weights of samples.

    Returns:
        A ``Metric`` that has seen nothing.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> sp.metrics.find("top2").of([[3.0, 2.0, 1.0]], [1])
        1.0
    """
    if name.startswith(WEIGHTED):
        return Weighted(find(name.removeprefix(WEIGHTED)))
    top = re.fullmatch(r"top(\d+)", name)
    if top:
        return TopK(int(top[1]))
    if name not in METRICS:
        known = ", ".join([*METRICS, "top5"])
        raise ValueError(f"there is no metric {name!r}{near(name, METRICS) or '.'} Known are {known}")
    return METRICS[name]()


def named(metrics: Iterable[Named]) -> dict[str, Metric]:
    """Metrics by their names; those given as objects by the names of their classes, in lower case.

    Args:
        metrics: names and metrics.

    Returns:
        A dict of metrics.

    Raises:
        ValueError: if a name occurs twice.

    Example:
        >>> list(sp.metrics.named(["accuracy", sp.metrics.RMSE()]))
        ['accuracy', 'rmse']
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    pairs = [(m, find(m)) if isinstance(m, str) else (_name(m), m) for m in metrics]
    if len(dict(pairs)) != len(pairs):
        raise ValueError(f"metrics of one name: {[name for name, _ in pairs]}")
    return dict(pairs)


def _name(metric: Metric) -> str:
    return WEIGHTED + _name(metric.metric) if isinstance(metric, Weighted) else type(metric).__name__.lower()


def evaluate(
    model: Callable[[Any], Any], data: Any, metrics: Iterable[Named] = ("accuracy",), batch_size: int = 100
) -> dict[str, Any]:
    """Metrics of a model on data, in evaluation mode.

    Args:
        model: a function from inputs to outputs.
        data: a tuple (x, y) or (x, y, weights), or a data set of such samples; ``Weighted`` metrics get the weights.
        metrics: names of metrics (``METRICS``, "top5") and ``Metric`` objects.
        batch_size: rows computed at a time; the values do not depend on it.

    Returns:
        A dict of values by name.

    Raises:
        ValueError: for an unknown name, or data that do not fit.

    Example:
        >>> sp.metrics.evaluate(lambda x: x, (np.eye(2, dtype=np.float32), [0, 0]))
        {'accuracy': 0.5}
    """
    chosen = named(metrics)
    for metric in chosen.values():
        metric.reset()
    with _core.no_grad(), evaluating():
        for x, y, *rest in DataLoader(as_dataset(data), batch_size):
            update_all(chosen.values(), model(x), y, rest)
    return {name: metric.value() for name, metric in chosen.items()}
