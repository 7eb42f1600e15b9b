"""Saliency maps from one backward pass.

A map has the shape of the input: each value says how much the score changes with that pixel.
"""

from __future__ import annotations

from typing import Any

from steep import _core, transforms
from steep._core import Tensor
from steep.scores import Classifier, class_scores, predicted


def gradient(model: Classifier, x: Any, target: Any = None, signed: bool = False) -> Tensor:
    """The absolute gradient of the unnormalised score of ``target`` by ``x`` (n, ...), in its shape and dtype.

    ``target`` is a class, one for each row, or None for the class predicted. ``signed`` keeps the sign. Raises
    IndexError for a class outside the model's, GradientError for an input without floats. Sources: Simonyan et al.
    2014, arXiv:1312.6034; notes table, row 62.
    """
    chosen = predicted(model, x) if target is None else target
    slope: Tensor = transforms.grad(lambda v: _core.sum(class_scores(model(v), chosen)))(_core.asarray(x))
    return slope if signed else _core.abs(slope)
