"""Metrics of predictions, computed in parts: the same bits for any batch size.

``Metric`` is the base: ``update`` takes a batch of outputs and targets, ``value`` gives the number. Counts are integers
and sums of floats are exact (``exact.py``), so that nothing depends on how the data were divided. Start reading at
``base.py``; ``METRICS`` has the metrics by name.
"""

from steep.metrics.base import Metric, Weighted
from steep.metrics.classes import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from steep.metrics.evaluate import METRICS, evaluate, find, named
from steep.metrics.exact import ExactSum
from steep.metrics.numbers import MAE, MSE, R2, RMSE
from steep.metrics.ranks import ROCAUC

__all__ = [
    "F1", "MAE", "METRICS", "MSE", "R2", "RMSE", "ROCAUC", "Accuracy", "ConfusionMatrix", "ExactSum", "Metric",
    "Precision", "Recall", "TopK", "Weighted", "evaluate", "find", "named",
]  # fmt: skip
